# SPDX-License-Identifier: Apache-2.0
"""The Internet checksum (RFC 1071) on whole buffers, through one big integer.

A big-endian number is congruent, modulo 0xffff, to the sum of its 16-bit words, because 0x10000 = 1 (mod
0xffff).
Modulo makes 0 of both one's-complement zeros; the sum of words that are not all zero is never +0, only
0xffff,
so the two are told apart by looking at the number itself.
"""


def word_sum(data: bytes) -> int:
    """Sum of the big-endian 16-bit words modulo 0xffff; odd lengths are padded with one zero byte."""
    if len(data) & 1:
        return (int.from_bytes(data, "big") << 8) % 0xFFFF
    return int.from_bytes(data, "big") % 0xFFFF


def checksum(data: bytes) -> int:
    """Value for the checksum field, with that field zero in `data`."""
    number = int.from_bytes(data, "big")
    if not number:
        return 0xFFFF
    return -(number << 8 if len(data) & 1 else number) % 0xFFFF


def is_valid(data: bytes) -> bool:
    """True if `data`, its checksum field included, sums to 0xffff."""
    number = int.from_bytes(data, "big")
    if len(data) & 1:
        number <<= 8
    return number != 0 and number % 0xFFFF == 0


def pseudo_sum(src: int, dst: int, protocol: int, length_bytes: int) -> int:
    """Unreduced sum of the IPv4 pseudo header (RFC 9293 section 3.1, RFC 768); never zero for real
    packets."""
    return src + dst + protocol + length_bytes


def transport_checksum(pseudo: int, segment: bytes) -> int:
    """Checksum of a UDP or TCP segment whose checksum field is zero; `pseudo` must not be zero."""
    return -(pseudo + word_sum(segment)) % 0xFFFF


def transport_valid(pseudo: int, segment: bytes) -> bool:
    return (pseudo + word_sum(segment)) % 0xFFFF == 0
