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


def offsets(key: bytes, local: tuple[int, int], remote: tuple[int, int]) -> tuple[int, int]:
    """ISN and timestamp offset of a connection of a listener in shared mode (docs/arbiter.md, Identifiers).

    `key` is the listener's; `local` and `remote` are (IPv4 address, port).
    """
    data = b"\x04" + b"".join(ip.to_bytes(16, "big") for ip in (local[0], remote[0]))
    data += local[1].to_bytes(2, "big") + remote[1].to_bytes(2, "big")
    digest = hashlib.blake2s(data, digest_size=8, key=key, person=b"tup-conn").digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def clocked(offset: int, now_ns: int) -> int:
    """An ISN from its offset, on the clock that all stacks of the interface share."""
    return (offset + now_ns // TICK_NS) & MASK
