# SPDX-License-Identifier: Apache-2.0
"""Records in shared memory that one writer changes while readers in other processes read them.

A record is a lock word and a body: `sequence << 32 | CRC-32 of the body, started with the sequence`. The
sequence is odd while the body changes. A reader takes the lock word, the body, the lock word again, and
believes the body if the two words are equal, even, and hold the body's CRC. The CRC makes this right also
where stores become visible in another order than they were issued in: docs/host-info.md, "Memory order".
"""

import platform
from _thread import allocate_lock
from collections.abc import Callable
from errno import EAGAIN, EINVAL
from zlib import crc32

from .entries import ArbiterError

ATTEMPTS = 200  # of a read, before it is reported; a writer that runs is out of a record within microseconds
LOCK_BYTES = 8
SEQUENCE_MASK = 0xFFFF_FFFF

# Stores of one core become visible in order, and loads are done in order: no fence is needed.
ORDERED_MACHINES = frozenset(("x86_64", "amd64", "i686", "i386"))

_gate = allocate_lock()


def _pass_gate() -> None:
    """Order what comes before and after it: leaving a lock releases, entering it again acquires."""
    with _gate:
        pass
    with _gate:
        pass


def _nothing() -> None:
    pass


def _fence_for(machine: str) -> Callable[[], None]:
    return _nothing if machine.lower() in ORDERED_MACHINES else _pass_gate


fence = _fence_for(platform.machine())
FENCED = fence is not _nothing  # spares the call where every one counts


class PageError(ArbiterError):
    """A shared page cannot be used: not one of ours, or its content makes no sense."""


class NotConsistent(PageError):
    """A bounded number of attempts found no consistent content: the writer is stuck, or the bytes are not
    ours."""


def words_of(memory: memoryview) -> memoryview:
    """The same memory as 64-bit words, each read and written by one load or store; PageError if it cannot be.

    CPython copies an item of format Q with a memcpy of constant size 8, which compilers turn into one move.
    """
    if memory.nbytes % 8 or not memory.c_contiguous or memory.ndim != 1:
        raise PageError(EINVAL, f"a page is whole 64-bit words in one piece, not {memory.nbytes} bytes")
    return memory.cast("B").cast("Q")


class LockedWriter:
    """Writes records 0..capacity-1 that start at `offset_bytes`; the only writer of that memory."""

    __slots__ = ("_body_at", "_bytes", "_first", "_step", "_words", "body_bytes", "capacity")

    def __init__(self, memory: memoryview, offset_bytes: int, body_bytes: int, capacity: int) -> None:
        self._words, self._bytes = words_of(memory), memory.cast("B")
        self._first, self._step = offset_bytes // 8, (LOCK_BYTES + body_bytes) // 8
        self._body_at = offset_bytes + LOCK_BYTES
        self.body_bytes, self.capacity = body_bytes, capacity

    def write(self, index: int, body: bytes) -> None:
        """Replace one record; ValueError if the body is not of `body_bytes`."""
        words, lock_at = self._words, self._first + index * self._step
        begin = (words[lock_at] >> 32 | 1) & SEQUENCE_MASK  # also after a writer that died in the middle
        end = (begin + 1) & SEQUENCE_MASK
        body_at = self._body_at + index * self._step * 8
        words[lock_at] = begin << 32
        fence()
        self._bytes[body_at : body_at + self.body_bytes] = body
        fence()
        words[lock_at] = end << 32 | crc32(body, end)


class LockedReader:
    """Reads what a LockedWriter writes, from any process; needs no more than read access."""

    __slots__ = ("_body_at", "_bytes", "_first", "_step", "_words", "body_bytes", "capacity", "retries")

    def __init__(self, memory: memoryview, offset_bytes: int, body_bytes: int, capacity: int) -> None:
        self._words, self._bytes = words_of(memory), memory.cast("B")
        self._first, self._step = offset_bytes // 8, (LOCK_BYTES + body_bytes) // 8
        self._body_at = offset_bytes + LOCK_BYTES
        self.body_bytes, self.capacity = body_bytes, capacity
        self.retries = 0  # attempts that met a record in the middle of a change

    def attempt(self, index: int) -> bytes | None:
        """One try: the body, b"" for a record never written, None if it is not consistent right now."""
        words, lock_at = self._words, self._first + index * self._step
        lock = words[lock_at]
        if not lock:
            return b""
        if lock >> 32 & 1:
            return None
        body_at = self._body_at + index * self._step * 8
        fence()
        body = bytes(self._bytes[body_at : body_at + self.body_bytes])
        fence()
        if words[lock_at] != lock or crc32(body, lock >> 32) != lock & 0xFFFF_FFFF:
            return None
        return body

    def read(self, index: int) -> bytes:
        """As attempt(), again and again up to ATTEMPTS times; then NotConsistent."""
        for _ in range(ATTEMPTS):
            body = self.attempt(index)
            if body is not None:
                return body
            self.retries += 1
        raise NotConsistent(EAGAIN, f"record {index}: no consistent content in {ATTEMPTS} attempts")
