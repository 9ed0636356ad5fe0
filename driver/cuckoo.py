# SPDX-License-Identifier: Apache-2.0
"""Where entries of a two-choice table lie, and how to make room: cuckoo hashing, breadth first. No I/O.

A table has two banks of buckets of WAYS slots; an entry may lie in one bucket of each bank. When both of
a new entry's buckets are full, entries move to their other bucket. The search goes over all buckets that
moves can reach, each once, the shortest way first. If it ends without a free slot, then all entries of the
buckets seen have both of their choices among these buckets, and there is one entry more than slots: no
placement exists at all, so `None` is exact and not a matter of luck. Its bound is the number of buckets.
"""

from collections import deque
from typing import NamedTuple

from driver.errors import UsageError

WAYS = 4
FREE = -1


class Move(NamedTuple):
    """Entry `entry` goes from slot `source` to slot `target`, which is free by then."""

    entry: int
    source: int
    target: int


class Plan(NamedTuple):
    """Do `moves` in this order (each target is free then), and put the new entry into `slot`."""

    moves: tuple[Move, ...]
    slot: int


class Placement:
    """Which entry (a number) lies in which slot; slots are numbered {bank, bucket, way}."""

    def __init__(self, capacity: int) -> None:
        buckets = capacity // (2 * WAYS)
        if buckets < 1 or buckets & (buckets - 1) or buckets * 2 * WAYS != capacity:
            raise UsageError(f"a table of {capacity} slots: not a power of two of at least {2 * WAYS}")
        self.capacity = capacity
        self.bucket_bits = buckets.bit_length() - 1
        self._bank_slots = capacity // 2
        self._owner = [FREE] * capacity
        self._choices: dict[int, tuple[int, int]] = {}  # entry -> first slots of its two buckets

    def choices(self, hash64: int) -> tuple[int, int]:
        """First slots of the two buckets for a 64-bit hash: its top bits, and those of its low half."""
        low = 32 - self.bucket_bits
        first = hash64 >> 32 + low
        second = (hash64 & 0xFFFF_FFFF) >> low
        return first * WAYS, self._bank_slots + second * WAYS

    def owner(self, slot: int) -> int | None:
        """The entry in a slot, or None."""
        entry = self._owner[slot]
        return None if entry == FREE else entry

    def __len__(self) -> int:
        return len(self._choices)

    def put(self, entry: int, slot: int, choices: tuple[int, int]) -> None:
        """Note that `entry`, whose buckets start at `choices`, lies in `slot`."""
        if slot - slot % WAYS not in choices:
            raise UsageError(f"slot {slot} is in none of the buckets at {choices}")
        self._owner[slot] = entry
        self._choices[entry] = choices

    def move(self, move: Move) -> None:
        """Note a move."""
        self._owner[move.target] = move.entry
        self._owner[move.source] = FREE

    def remove(self, entry: int, slot: int) -> None:
        """Note that `entry` has left `slot`."""
        self._owner[slot] = FREE
        del self._choices[entry]

    def plan(self, choices: tuple[int, int]) -> Plan | None:
        """How to make room in one of the two buckets at `choices`; None if there is truly none."""
        free = [self._free_ways(bucket) for bucket in choices]
        if free[0] or free[1]:
            ways = free[0] if len(free[0]) >= len(free[1]) else free[1]  # the emptier one keeps room longest
            return Plan((), ways[0])
        return self._search(choices)

    def _free_ways(self, bucket: int) -> list[int]:
        return [slot for slot in range(bucket, bucket + WAYS) if self._owner[slot] == FREE]

    def _search(self, roots: tuple[int, int]) -> Plan | None:
        came_from: dict[int, int | None] = dict.fromkeys(roots)  # bucket -> slot whose entry may move here
        waiting = deque(came_from)
        while waiting:
            bucket = waiting.popleft()
            for slot in range(bucket, bucket + WAYS):
                other = self._other(slot)
                if other in came_from:
                    continue
                came_from[other] = slot
                if free := self._free_ways(other):
                    return self._path(came_from, free[0])
                waiting.append(other)
        return None

    def _other(self, slot: int) -> int:
        """The bucket that the entry in `slot` could be in instead."""
        first, second = self._choices[self._owner[slot]]
        return second if slot - slot % WAYS == first else first

    def _path(self, came_from: dict[int, int | None], free_slot: int) -> Plan:
        """The moves from the free slot back to one of the new entry's buckets: the last one first."""
        moves = []
        target = free_slot
        while (source := came_from[target - target % WAYS]) is not None:
            moves.append(Move(self._owner[source], source, target))
            target = source
        return Plan(tuple(moves), target)
