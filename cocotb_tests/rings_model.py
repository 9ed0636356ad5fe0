# SPDX-License-Identifier: Apache-2.0
"""A driver's side of packed rings with direct and indirect chains in a model memory, for the block tests."""

import random
from collections import deque
from dataclasses import dataclass, field

NEXT, WRITE, INDIRECT, AVAIL, USED = 1, 2, 4, 1 << 7, 1 << 15
DESC_BYTES = 16

Buffer = tuple[int, int]  # address, bytes


def desc(addr: int, length: int, buffer_id: int, flags: int) -> int:
    """Return a descriptor as the 128-bit number it is in memory."""
    return addr | length << 64 | buffer_id << 96 | flags << 112


@dataclass(frozen=True, slots=True)
class Chain:
    """What the device must hand to its readers for one buffer."""

    buffer_id: int
    indirect: bool
    buffers: tuple[Buffer, ...]


@dataclass(slots=True)
class Ring:
    """One queue: its place in memory and what has been posted and not been taken."""

    memory: dict[int, int]  # descriptors by their address
    rng: random.Random
    queue: int
    base: int
    size: int
    tables: int  # where this queue's tables and buffers are
    span: int  # bytes of that area
    index: int = 0
    wrap: bool = True
    free: int = 0
    posted: deque[Chain] = field(default_factory=deque)
    taken: list[Buffer] = field(default_factory=list)
    table_at: int = 0
    next_id: int = 0

    def __post_init__(self) -> None:
        self.free = self.size

    @property
    def direction(self) -> int:
        """WRITE for a receive queue."""
        return 0 if self.queue % 2 else WRITE

    def buffers(self, count: int) -> tuple[Buffer, ...]:
        """Return random buffers inside this queue's area, bytes of the area's end among them."""
        found = []
        for _ in range(count):
            length = self.rng.choice((1, 64, 1514, 4096, self.rng.randint(1, 9000)))
            room = self.span - length
            found.append((self.tables + self.rng.choice((0, room, self.rng.randint(0, room))), length))
        return tuple(found)

    def table(self, buffers: tuple[Buffer, ...], flags: int | None = None) -> int:
        """Write an indirect table somewhere in the area, with flags that mean nothing; return its address."""
        room = (self.span - len(buffers) * DESC_BYTES) // DESC_BYTES
        # Tables are not overwritten while they may be in use: they go around the area.
        if self.table_at > room:
            self.table_at = 0
        addr = self.tables + self.table_at * DESC_BYTES
        self.table_at += len(buffers) + self.rng.choice((0, 0, 1, 5))
        for number, (at, length) in enumerate(buffers):
            noise = self.rng.choice((0, NEXT, AVAIL, USED, NEXT | AVAIL | USED))
            entry = desc(at, length, self.rng.getrandbits(16), self.direction | noise | (flags or 0))
            self.memory[addr + number * DESC_BYTES] = entry
        return addr

    def write(self, entries: list[tuple[int, int, int, int]]) -> int:
        """Make descriptors (address, length, id, flags) available, the first last; return its address."""
        places = []
        for _ in entries:
            places.append((self.index, self.wrap))
            self.index += 1
            if self.index == self.size:
                self.index, self.wrap = 0, not self.wrap
        for (index, wrap), (addr, length, buffer_id, flags) in reversed(
            list(zip(places, entries, strict=True))
        ):
            mark = AVAIL if wrap else USED
            self.memory[self.base + index * DESC_BYTES] = desc(addr, length, buffer_id, flags | mark)
        self.free -= len(entries)
        return self.base + places[0][0] * DESC_BYTES

    def post_direct(self, count: int) -> None:
        """Post a chain of `count` descriptors."""
        buffers, buffer_id = self.buffers(count), self._new_id()
        flags = [self.direction | NEXT] * (count - 1) + [self.direction]
        # The id that counts is the last descriptor's.
        ids = [self.rng.getrandbits(16) for _ in range(count - 1)] + [buffer_id]
        self.write([(*b, i, f) for b, i, f in zip(buffers, ids, flags, strict=True)])
        self.posted.append(Chain(buffer_id, False, buffers))

    def post_indirect(self, count: int) -> None:
        """Post a table of `count` entries."""
        buffers, buffer_id = self.buffers(count), self._new_id()
        flags = INDIRECT | self.rng.choice((0, WRITE))  # WRITE is reserved here
        self.write([(self.table(buffers), count * DESC_BYTES, buffer_id, flags)])
        self.posted.append(Chain(buffer_id, True, buffers))

    def took(self, word: int, indirect: bool) -> None:
        """The device has taken this descriptor: it must be the next; a whole chain gives its slots back."""
        chain = self.posted[0]
        self.taken.append((word & (1 << 64) - 1, word >> 64 & 0xFFFFFFFF))
        last = len(self.taken) == len(chain.buffers)
        assert self.taken[-1] == chain.buffers[len(self.taken) - 1], f"queue {self.queue}: {word:032x}"
        assert indirect == chain.indirect and word >> 112 == (0 if last else NEXT), f"queue {self.queue}"
        if last:
            assert word >> 96 & 0xFFFF == chain.buffer_id, f"queue {self.queue}"
            self.posted.popleft()
            self.taken = []
            self.free += 1 if indirect else len(chain.buffers)

    def _new_id(self) -> int:
        self.next_id = (self.next_id + 1) % 65536
        return self.next_id
