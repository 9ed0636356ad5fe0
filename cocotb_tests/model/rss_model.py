# SPDX-License-Identifier: Apache-2.0
"""Receive side scaling: the Toeplitz hash bit by bit, and which part of a frame it is taken over.

VIRTIO 1.2 sections 5.1.6.4.3 and 5.1.6.4.4; the hash and its test vectors: Microsoft, "Verifying the RSS Hash
Calculation".
"""

import ipaddress
from dataclasses import dataclass

from cocotb_tests.model.parse_model import Parsed

IPV4, TCPV4, UDPV4, IPV6, TCPV6, UDPV6 = range(6)  # bits of the hash types; report values are one more

MICROSOFT_KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)


@dataclass(frozen=True)
class Vector:
    """One line of the published tables."""

    dst: str
    dport: int
    src: str
    sport: int
    ip_hash: int
    tcp_hash: int


MICROSOFT_VECTORS = (
    Vector("161.142.100.80", 1766, "66.9.149.187", 2794, 0x323E8FC2, 0x51CCC178),
    Vector("65.69.140.83", 4739, "199.92.111.2", 14230, 0xD718262A, 0xC626B0EA),
    Vector("12.22.207.184", 38024, "24.19.198.95", 12898, 0xD2D0A5DE, 0x5C2B394A),
    Vector("209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xAFC7327F),
    Vector("202.188.127.2", 1303, "153.39.163.191", 44251, 0x5D1809C5, 0x10E828A2),
    Vector("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2CC18CD5, 0x40207D3D),
    Vector("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0F0C461C, 0xDDE51BBF),
    Vector(
        "fe80::200:f8ff:fe21:67cf",
        38024,
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        44251,
        0x4B61E985,
        0x02D1FEEF,
    ),
)


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def toeplitz(data: int, data_bits: int, key: int, key_bits: int, out_bits: int = 32) -> int:
    """XOR of the key's windows at the places of the data's set bits; bit 0 is the most significant one."""
    result = 0
    for place in range(data_bits):
        if data >> (data_bits - 1 - place) & 1:
            result ^= key >> (key_bits - place - out_bits) & ((1 << out_bits) - 1)
    return result


def rss_hash(data: bytes, key: bytes) -> int:
    """Return the 32-bit hash of some bytes."""
    return toeplitz(int.from_bytes(data, "big"), 8 * len(data), int.from_bytes(key, "big"), 8 * len(key))


def hash_and_report(found: Parsed, types: int, key: bytes) -> tuple[int, int]:
    """Return the hash and the report value of a frame; (0, 0) if none of the enabled types fits."""
    if not found.ip or found.malformed:
        return 0, 0
    addresses = found.src + found.dst
    base = IPV6 if found.ipv6 else IPV4
    if (found.tcp or found.udp) and not found.fragment:
        kind = base + (1 if found.tcp else 2)
        if types >> kind & 1:
            ports = found.sport.to_bytes(2, "big") + found.dport.to_bytes(2, "big")
            return rss_hash(addresses + ports, key), kind + 1
    if types >> base & 1:
        return rss_hash(addresses, key), base + 1
    return 0, 0
