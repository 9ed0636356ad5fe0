# SPDX-License-Identifier: Apache-2.0
"""What a NIC does on an offload request, in software: for a plain wire that stands in for the NIC.

RFC 1071 (sum), RFC 791 and 8200 (IP), RFC 9293 (TCP), VIRTIO 1.2 section 5.1.6.2.
"""

from driver.offload import CSUM_OFFSETS, UDP, VLAN_TYPES, Gso, TxOffload, partial_checksum
from driver.offload import TCP as TCP_PROTOCOL

FIN, PSH, CWR = 0x01, 0x08, 0x80


def checksum(raw: bytes) -> int:
    """Ones'-complement sum of big-endian words, folded and inverted."""
    if len(raw) % 2:
        raw += b"\0"
    # 2^16 is 1 modulo 2^16 - 1, so the remainder of the whole number is the folded sum.
    total = int.from_bytes(raw, "big")
    folded = total % 0xFFFF
    return ~(folded or (0xFFFF if total else 0)) & 0xFFFF


def complete(frame: bytes, wish: TxOffload | None) -> list[bytes]:
    """The frames for the wire: summed, and cut if that was asked for."""
    if wish is None:
        return [frame]
    if wish.gso is Gso.NONE:
        at = wish.csum_start + wish.csum_offset
        value = checksum(frame[wish.csum_start :])
        if value == 0 and wish.csum_offset == CSUM_OFFSETS[UDP]:
            value = 0xFFFF  # 0 says that a UDP frame has no sum (RFC 768); of TCP it is a sum as any other
        return [frame[:at] + value.to_bytes(2, "big") + frame[at + 2 :]]
    return _segments(frame, wish)


def _segments(frame: bytes, wish: TxOffload) -> list[bytes]:
    """One TCP frame as segments of gso_size_bytes."""
    l3, l4, end = _network(frame), wish.csum_start, wish.header_bytes
    payload = frame[end:]
    sequence = int.from_bytes(frame[l4 + 4 : l4 + 8], "big")
    ident = int.from_bytes(frame[l3 + 4 : l3 + 6], "big")
    starts = range(0, max(1, len(payload)), wish.gso_size_bytes)
    result = []
    for number, at in enumerate(starts):
        part = payload[at : at + wish.gso_size_bytes]
        headers = bytearray(frame[:end])
        headers[l4 + 4 : l4 + 8] = ((sequence + at) & 0xFFFF_FFFF).to_bytes(4, "big")
        if number < len(starts) - 1:
            headers[l4 + 13] &= ~(FIN | PSH)
        if number and wish.ecn:
            headers[l4 + 13] &= ~CWR
        size = end - l4 + len(part)
        if wish.gso is Gso.TCPV4:
            headers[l3 + 2 : l3 + 4] = (l4 - l3 + size).to_bytes(2, "big")
            headers[l3 + 4 : l3 + 6] = ((ident + number) & 0xFFFF).to_bytes(2, "big")
            headers[l3 + 10 : l3 + 12] = bytes(2)
            headers[l3 + 10 : l3 + 12] = checksum(bytes(headers[l3:l4])).to_bytes(2, "big")
            addresses = bytes(headers[l3 + 12 : l3 + 20])
        else:
            headers[l3 + 4 : l3 + 6] = (l4 - l3 - 40 + size).to_bytes(2, "big")
            addresses = bytes(headers[l3 + 8 : l3 + 40])
        at_sum = l4 + wish.csum_offset
        headers[at_sum : at_sum + 2] = partial_checksum(addresses, TCP_PROTOCOL, size).to_bytes(2, "big")
        headers[at_sum : at_sum + 2] = checksum(bytes(headers[l4:]) + part).to_bytes(2, "big")
        result.append(bytes(headers) + part)
    return result


def _network(frame: bytes) -> int:
    """Where the IP header starts."""
    at = 12
    while frame[at : at + 2] in VLAN_TYPES:
        at += 4
    return at + 2
