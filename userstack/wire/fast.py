# SPDX-License-Identifier: Apache-2.0
"""Ethernet + IPv4 + TCP in one step: the same bytes as the codecs beside it, for the path every data frame
takes.

A test holds both against each other; a frame that is anything but plain goes through the codecs.
"""

import struct

from .tcp import NO_OPTIONS, Options, Segment

HEADERS = struct.Struct("!6s6sHBBHHHBBHIIIIIHHHH")  # 14 + 20 + 20 bytes
RECEIVED = struct.Struct("!6s6xHBxH2xHxB2xIIIIIHH4x")  # the same without what receiving does not look at
HEADERS_BYTES = 54
_IP_CONST = 0x4500 + 0x4000 + 0x4006  # version/IHL/TOS, don't fragment, TTL 64 with protocol 6


def decode_tcp(frame: bytes, mac: bytes, ip: int) -> tuple[int, Segment] | None:
    """(source address, segment) of a well-formed plain TCP frame to (mac, ip); None sends it to the codecs.

    Plain: untagged, no IP options, not a fragment, TCP without options or with timestamps only, checksums
    right.
    """
    if len(frame) < HEADERS_BYTES:
        return None
    dst_mac, kind, first, total, fragment, protocol, src, dst, *tcp = RECEIVED.unpack_from(frame)
    if (kind, first, protocol, dst, dst_mac) != (0x0800, 0x45, 6, ip, mac) or fragment & 0xBFFF or src == ip:
        return None
    ports, seq, ack, head, window = tcp
    options, data = NO_OPTIONS, HEADERS_BYTES
    if head >> 12 == 8 and frame[54:58] == b"\x01\x01\x08\x0a" and 52 <= total <= len(frame) - 14:
        options, data = Options(timestamps=struct.unpack_from("!II", frame, 58)), 66
    elif head >> 12 != 5 or total < 40:
        return None
    end = 14 + total
    if end > len(frame) or int.from_bytes(frame[14:34], "big") % 0xFFFF:
        return None
    number = int.from_bytes(frame[34:end], "big")
    if (src + dst + 6 + total - 20 + (number << 8 if total & 1 else number)) % 0xFFFF:
        return None
    return src, Segment(ports >> 16, ports & 0xFFFF, seq, ack, head & 0xFF, window, frame[data:end], options)


def encode_tcp(
    macs: tuple[bytes, bytes],
    src: int,
    dst: int,
    ident: int,
    ports: int,
    seq: int,
    ack: int,
    flags: int,
    window: int,
    options: bytes,
    payload: bytes,
) -> bytes:
    """A whole frame, padded to 60 bytes. `macs` is (destination, source), `ports` source << 16 |
    destination."""
    tcp_bytes = 20 + len(options) + len(payload)
    head = (20 + len(options)) << 10 | flags
    number = int.from_bytes(payload, "big")
    if len(payload) & 1:
        number <<= 8
    addresses = src + dst
    number += addresses + 6 + tcp_bytes + ports + seq + ack + head + window
    if options:
        number += int.from_bytes(options, "big")
    total = 20 + tcp_bytes
    ip_sum = -(_IP_CONST + total + ident + addresses) % 0xFFFF
    packed = HEADERS.pack(
        macs[0], macs[1], 0x0800, 0x45, 0, total, ident, 0x4000, 64, 6, ip_sum, src, dst,
        ports, seq, ack, head, window, -number % 0xFFFF, 0,
    )  # fmt: skip
    frame = packed + options + payload if options else packed + payload
    return frame if len(frame) >= 60 else frame.ljust(60, b"\x00")
