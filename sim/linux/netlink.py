# SPDX-License-Identifier: Apache-2.0
"""Netlink's framing (RFC 3549 section 2.3, linux/netlink.h): messages and attributes. No I/O.

Numbers are in the machine's byte order unless a field says otherwise.
"""

import struct
import sys
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import NamedTuple

from sim.linux.errors import NetlinkError

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")
NESTED, BIG_ENDIAN = 0x8000, 0x4000


class Control(IntEnum):
    """Message types below the first of a family."""

    NOOP = 1
    ERROR = 2
    DONE = 3
    OVERRUN = 4


class Flag(IntFlag):
    """Message flags; the upper byte depends on the kind of request."""

    REQUEST = 1
    MULTI = 2
    ACK = 4
    DUMP_INTERRUPTED = 0x10
    DUMP = 0x300
    REPLACE = 0x100
    EXCLUSIVE = 0x200
    CREATE = 0x400


class Message(NamedTuple):
    """One netlink message; body is what follows its header."""

    kind: int
    flags: int
    sequence: int
    body: bytes

    @property
    def error(self) -> int:
        """The errno (positive, 0 for an acknowledgement) of an ERROR message."""
        if self.kind != Control.ERROR or len(self.body) < 4:
            raise NetlinkError(f"not an error message: {self!r}")
        return -int.from_bytes(self.body[:4], sys.byteorder, signed=True)


def encode(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """One message with its header."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def decode(raw: bytes) -> Iterator[Message]:
    """The messages of one datagram; NetlinkError for a length that cannot be."""
    at = 0
    while at < len(raw):
        if at + HEADER.size > len(raw):
            raise NetlinkError(f"{len(raw) - at} bytes after a message: {raw[at:].hex()}")
        size, kind, flags, sequence, _ = HEADER.unpack_from(raw, at)
        if size < HEADER.size or at + size > len(raw):
            raise NetlinkError(f"a message of {size} bytes at byte {at} of {len(raw)}")
        yield Message(kind, flags, sequence, raw[at + 16 : at + size])
        at += (size + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(raw: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes from byte `at` on, the last of each kind; NetlinkError for a length that cannot be."""
    found = {}
    while at + ATTRIBUTE.size <= len(raw):
        size, kind = ATTRIBUTE.unpack_from(raw, at)
        if size < ATTRIBUTE.size or at + size > len(raw):
            raise NetlinkError(f"an attribute of {size} bytes at byte {at} of {len(raw)}")
        found[kind & ~(NESTED | BIG_ENDIAN)] = raw[at + ATTRIBUTE.size : at + size]
        at += -(-size // 4) * 4
    return found
