# SPDX-License-Identifier: Apache-2.0
"""Frames as the arbiter must read and write them: whose is it, and the few that it sends itself.

Every frame that is read comes from somebody who may lie; None means that the arbiter has no use for it.
"""

import struct
from dataclasses import dataclass

from driver.arbiter.entries import TCP, UDP

ETH_BYTES = 14
TYPE_IPV4, TYPE_IPV6 = b"\x08\x00", b"\x86\xdd"
ICMP, ICMPV6 = 1, 58
FRAGMENT6 = 44
EXTENSIONS = frozenset(
    (0, 43, 60, 135, 139, 140)
)  # IPv6 headers with a length in units of 8 (RFC 8200, 7045)
EXTENSIONS_MAX = 8
FIN, SYN, RST, ACK = 1, 2, 4, 16
TCP_BYTES = 20


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet's addressing. Ports are 0 where there are none: other protocols, later fragments."""

    family: int
    proto: int
    src: bytes
    dst: bytes
    src_port: int
    dst_port: int
    l4: int  # offset in the frame of what is behind the IP headers
    end: int  # offset behind the IP packet: what follows is padding
    fragment: int  # offset in bytes, 0 for the first fragment too
    more: bool  # more fragments follow
    ident: int  # of a fragment


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment as far as answering it with a reset needs it."""

    seq: int
    ack: int
    flags: int
    length: int  # in sequence numbers: payload, SYN and FIN

    @property
    def next_seq(self) -> int:
        """The sequence number behind it."""
        return (self.seq + self.length) & 0xFFFF_FFFF


def parse(frame: bytes) -> Packet | None:
    """The packet in an untagged Ethernet frame; None if there is none or its lengths cannot be."""
    kind = frame[12:14]
    if kind == TYPE_IPV4:
        return _parse4(frame)
    return _parse6(frame) if kind == TYPE_IPV6 else None


def _parse4(frame: bytes) -> Packet | None:
    if len(frame) < ETH_BYTES + 20 or frame[14] >> 4 != 4:
        return None
    l4 = ETH_BYTES + 4 * (frame[14] & 15)
    end = ETH_BYTES + int.from_bytes(frame[16:18], "big")
    if not ETH_BYTES + 20 <= l4 <= end <= len(frame):
        return None
    field = int.from_bytes(frame[20:22], "big")
    fragment, more = 8 * (field & 0x1FFF), bool(field & 0x2000)
    ident = int.from_bytes(frame[18:20], "big")
    return _packet(frame, 4, frame[23], frame[26:30], frame[30:34], l4, end, fragment, more, ident)


def _parse6(frame: bytes) -> Packet | None:
    if len(frame) < ETH_BYTES + 40 or frame[14] >> 4 != 6:
        return None
    proto, l4 = frame[20], ETH_BYTES + 40
    end = l4 + int.from_bytes(frame[18:20], "big")
    if end > len(frame):
        return None
    fragment, more, ident = 0, False, 0
    for _ in range(EXTENSIONS_MAX):
        if fragment or (proto not in EXTENSIONS and proto != FRAGMENT6):
            break
        if l4 + 8 > end:
            return None
        if proto == FRAGMENT6:
            field = int.from_bytes(frame[l4 + 2 : l4 + 4], "big")
            fragment, more = field & 0xFFF8, bool(field & 1)
            ident = int.from_bytes(frame[l4 + 4 : l4 + 8], "big")
            size = 8
        else:
            size = 8 + 8 * frame[l4 + 1]
        proto, l4 = frame[l4], l4 + size
        if l4 > end:
            return None
    return _packet(frame, 6, proto, frame[22:38], frame[38:54], l4, end, fragment, more, ident)


def _packet(
    frame: bytes, family: int, proto: int, src: bytes, dst: bytes, l4: int, end: int,
    fragment: int, more: bool, ident: int,
) -> Packet | None:  # fmt: skip
    src_port = dst_port = 0
    if proto in (TCP, UDP) and not fragment:
        if end - l4 < (8 if proto == UDP else TCP_BYTES) and not more:
            return None
        if end - l4 >= 4:
            src_port, dst_port = struct.unpack_from(">HH", frame, l4)
    return Packet(family, proto, bytes(src), bytes(dst), src_port, dst_port, l4, end, fragment, more, ident)


def segment(frame: bytes, packet: Packet) -> Segment | None:
    """The TCP header of a packet that is no fragment; None if its offset cannot be."""
    if packet.proto != TCP or packet.fragment or packet.more or packet.end - packet.l4 < TCP_BYTES:
        return None
    seq, ack, offset, flags = struct.unpack_from(">IIBB", frame, packet.l4 + 4)
    header = 4 * (offset >> 4)
    if not TCP_BYTES <= header <= packet.end - packet.l4:
        return None
    length = packet.end - packet.l4 - header + bool(flags & SYN) + bool(flags & FIN)
    return Segment(seq, ack, flags, length)


def tcp_frame(
    macs: tuple[bytes, bytes],
    ends: tuple[bytes, int],
    peer: tuple[bytes, int],
    seq: int,
    ack: int,
    flags: int,
) -> bytes:
    """A TCP segment without payload: macs = (destination, source), ends and peer = (address, port)."""
    (local, local_port), (remote, remote_port) = ends, peer
    header = struct.pack(">HHIIBBHHH", local_port, remote_port, seq, ack, TCP_BYTES // 4 << 4, flags, 0, 0, 0)
    pseudo = local + remote + struct.pack(">HH", TCP, len(header))
    header = header[:16] + struct.pack(">H", checksum(pseudo + header)) + header[18:]
    dst, src = macs
    if len(local) == 16:
        ip = struct.pack(">IHBB", 6 << 28, len(header), TCP, 64) + local + remote
        return dst + src + TYPE_IPV6 + ip + header
    # Atomic datagram (RFC 6864 section 4.1): DF set, identification without meaning.
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(header), 0, 0x4000, 64, TCP, 0) + local + remote
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return (dst + src + TYPE_IPV4 + ip + header).ljust(60, b"\0")


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071) of these octets."""
    if len(octets) & 1:
        octets += b"\0"
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - int(total)
