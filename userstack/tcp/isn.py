# SPDX-License-Identifier: Apache-2.0
"""Initial sequence numbers: ISN = M + F(four-tuple, secret) (RFC 6528, RFC 9293 section 3.4.1)."""

import hashlib

from .seq import MASK

TICK_NS = 4_000  # M moves once every 4 microseconds


def initial_seq(secret: bytes, now_ns: int, local: tuple[int, int], remote: tuple[int, int]) -> int:
    """`local` and `remote` are (address, port); `secret` is at least 16 random bytes."""
    tuple_bytes = b"".join(ip.to_bytes(4, "big") + port.to_bytes(2, "big") for ip, port in (local, remote))
    digest = hashlib.blake2s(tuple_bytes, key=secret, digest_size=4).digest()
    return (now_ns // TICK_NS + int.from_bytes(digest, "big")) & MASK
