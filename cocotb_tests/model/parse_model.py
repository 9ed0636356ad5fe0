# SPDX-License-Identifier: Apache-2.0
"""Reference parser: what the headers of a frame say, read from the RFCs, one header after the other.

The device sees the first 128 bytes. What lies beyond is not judged, only not known.
"""

from dataclasses import dataclass, field

WINDOW = 128

IPV4, IPV6 = 0x0800, 0x86DD
TPIDS = (0x8100, 0x88A8)
HOP_BY_HOP, ICMP, TCP, UDP, ROUTING, FRAGMENT, AUTH, ICMPV6, DESTINATION = 0, 1, 6, 17, 43, 44, 51, 58, 60
EXTENSIONS = (HOP_BY_HOP, ROUTING, FRAGMENT, AUTH, DESTINATION)
MAX_EXTENSIONS = 4


class Malformed(Exception):
    """A header is cut short, or says what cannot be."""


class Unknown(Exception):
    """What comes next is not in the window, or not something to look into."""


@dataclass
class Parsed:
    """Names and meaning as in parsed_t; offsets count from the frame's start."""

    dst_mac: bytes = bytes(6)
    src_mac: bytes = bytes(6)
    vlans: int = 0
    ip: bool = False
    ipv6: bool = False
    options: bool = False
    fragment: bool = False
    later: bool = False
    more: bool = False
    malformed: bool = False
    tcp: bool = False
    udp: bool = False
    icmp: bool = False
    proto: int = 0
    src: bytes = b""
    dst: bytes = b""
    sport: int = 0
    dport: int = 0
    l3_offset: int = 0
    l4_offset: int = 0
    payload_offset: int = 0
    l3_bytes: int = 0
    fragment_id: int = 0
    fragment_offset: int = 0
    tcp_flags: int = 0
    ip_csum_ok: bool = False
    l4_bytes: int = 0  # that a TCP or UDP checksum covers
    csum: str = field(default="", compare=False)  # "ok", "bad" or "": not verified


def number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def ones_sum(octets: bytes) -> int:
    """Ones'-complement sum of big-endian words (RFC 1071), odd last byte padded on the right; 0..0xFFFF."""
    octets += bytes(len(octets) % 2)
    total = sum(number(octets[n : n + 2]) for n in range(0, len(octets), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def parse(frame: bytes, *, goes_on: bool = False) -> Parsed:
    """Return what the device must say about a frame; goes_on: these are its first bytes, not all of it."""
    found = Parsed(frame[0:6], frame[6:12])
    try:
        read_link(frame, found, goes_on)
    except Malformed:
        found.malformed = True
    except Unknown:
        pass
    if not goes_on:
        found.csum = verdict(frame, found)
    return found


def read_link(frame: bytes, found: Parsed, goes_on: bool) -> None:
    at = 12
    while number(frame[at : at + 2]) in TPIDS and len(frame) >= at + 2:
        found.vlans += 1
        at += 4
        if found.vlans == 3:
            if len(frame) < at + 2 and not goes_on:
                raise Malformed
            raise Unknown
        if len(frame) < at + 2:
            raise Malformed
    kind = number(frame[at : at + 2])
    found.l3_offset = at + 2
    if kind == IPV4:
        read_ipv4(frame, found, goes_on)
    elif kind == IPV6:
        read_ipv6(frame, found, goes_on)


def read_ipv4(frame: bytes, found: Parsed, goes_on: bool) -> None:
    """RFC 791 section 3.1."""
    packet = frame[found.l3_offset :]
    if len(packet) < 20:
        raise Malformed
    header_bytes, total = 4 * (packet[0] & 15), number(packet[2:4])
    if packet[0] >> 4 != 4 or header_bytes < 20 or total < header_bytes:
        raise Malformed
    if total > len(packet) and not goes_on:
        raise Malformed
    where = number(packet[6:8])
    found.ip, found.l3_bytes, found.proto = True, total, packet[9]
    found.src, found.dst = packet[12:16], packet[16:20]
    found.options = header_bytes > 20
    found.more, found.fragment_offset = bool(where & 0x2000), where & 0x1FFF
    found.later = found.fragment_offset > 0
    found.fragment = found.more or found.later
    found.fragment_id = number(packet[4:6])
    found.ip_csum_ok = ones_sum(packet[:header_bytes]) == 0xFFFF
    found.l4_offset = found.l3_offset + header_bytes
    if not found.later:
        read_transport(frame, found)


def read_ipv6(frame: bytes, found: Parsed, goes_on: bool) -> None:
    """RFC 8200 section 3."""
    packet = frame[found.l3_offset :]
    if len(packet) < 40 or packet[0] >> 4 != 6:
        raise Malformed
    payload, following = number(packet[4:6]), packet[6]
    if payload + 40 > len(packet) and not goes_on:
        raise Malformed
    if payload == 0 and following == HOP_BY_HOP:
        raise Unknown  # a jumbogram, RFC 2675
    found.ip = found.ipv6 = found.ip_csum_ok = True
    found.l3_bytes = min(payload + 40, 0xFFFF)
    found.src, found.dst, found.proto = packet[8:24], packet[24:40], following
    found.l4_offset = found.l3_offset + 40
    for place in range(MAX_EXTENSIONS):
        if found.proto not in EXTENSIONS:
            break
        read_extension(frame, found, first=place == 0)
        if found.later:
            return
    read_transport(frame, found)


def need(found: Parsed, octets: int) -> None:
    """The next octets must be in the packet, else it lies; and in the window, else nobody knows."""
    if found.l4_offset + octets > found.l3_offset + found.l3_bytes:
        raise Malformed
    if found.l4_offset + octets > WINDOW:
        raise Unknown


def read_extension(frame: bytes, found: Parsed, first: bool) -> None:
    """RFC 8200 sections 4.3 to 4.6, RFC 4302 section 2."""
    found.options |= not (first and found.proto == FRAGMENT)
    need(found, 8)
    header = frame[found.l4_offset : found.l4_offset + 8]
    if found.proto == FRAGMENT:
        octets = 8
    elif found.proto == AUTH:
        octets = (header[1] + 2) * 4
        if octets < 12:
            raise Malformed  # the fixed fields take 12
    else:
        octets = (header[1] + 1) * 8
    if found.l4_offset + octets > found.l3_offset + found.l3_bytes:
        raise Malformed
    if found.proto == ROUTING and header[3] != 0:
        raise Unknown  # segments left: there is another destination
    if found.proto == FRAGMENT:
        where = number(header[2:4])
        if where & 0xFFF9:  # else an atomic fragment, RFC 6946
            found.fragment, found.more = True, bool(where & 1)
            found.fragment_offset = where >> 3
            found.later = found.fragment_offset > 0
            found.fragment_id = number(header[4:8])
    found.proto = header[0]
    if found.l4_offset + octets > WINDOW:
        raise Unknown
    found.l4_offset += octets


def read_transport(frame: bytes, found: Parsed) -> None:
    left = found.l3_offset + found.l3_bytes - found.l4_offset
    header = frame[found.l4_offset : found.l4_offset + 20]
    if found.proto == TCP:  # RFC 9293 section 3.1
        need(found, 20)
        octets = 4 * (header[12] >> 4)
        if octets < 20 or octets > left:
            raise Malformed
        found.tcp, found.l4_bytes = True, left
        found.tcp_flags = number(header[12:14]) & 0x1FF
    elif found.proto == UDP:  # RFC 768; in a fragment the datagram goes on elsewhere
        need(found, 8)
        octets, found.l4_bytes = 8, number(header[4:6])
        if found.l4_bytes < 8 or (found.l4_bytes > left and not found.fragment):
            raise Malformed
        found.udp = True
    elif found.proto == (ICMPV6 if found.ipv6 else ICMP):  # RFC 792; RFC 4443 sections 3 and 4
        need(found, 8)
        found.icmp = True
        return
    else:
        return
    found.sport, found.dport = number(header[0:2]), number(header[2:4])
    found.payload_offset = found.l4_offset + octets


def verdict(frame: bytes, found: Parsed) -> str:
    """What is to be said about the checksum of a whole received frame: "ok", "bad" or nothing."""
    if not (found.tcp or found.udp) or found.fragment:
        return ""
    end = found.l4_offset + found.l4_bytes
    if end < len(frame) and len(frame) > WINDOW:
        return ""  # padding where the device cannot see it
    segment = frame[found.l4_offset : end]
    none = found.udp and segment[6:8] == bytes(2)
    if none:
        return "bad" if found.ipv6 else ""  # RFC 8200 section 8.1: a must; RFC 768: none was made
    pseudo = found.src + found.dst + bytes([0, found.proto]) + len(segment).to_bytes(4, "big")
    right = ones_sum(pseudo + segment) == 0xFFFF
    return "ok" if right and found.ip_csum_ok else "bad"
