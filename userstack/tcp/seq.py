# SPDX-License-Identifier: Apache-2.0
"""Sequence numbers modulo 2**32 (RFC 9293 section 3.4)."""

MASK = 0xFFFF_FFFF
_HALF = 0x8000_0000


def diff(a: int, b: int) -> int:
    """Signed distance from b to a, -2**31..2**31-1: a is "after" b when it is positive."""
    return ((a - b + _HALF) & MASK) - _HALF


def add(a: int, count: int) -> int:
    return (a + count) & MASK
