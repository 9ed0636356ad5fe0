# SPDX-License-Identifier: Apache-2.0
"""A second reading of packed virtqueues (VIRTIO 1.2 section 2.8), for the scoreboard; it shares nothing
with driver/.

`RingWalk` sees host memory and says which chains the driver has offered; it also says why a chain is
illegal.
"""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

NEXT, WRITE, INDIRECT = 1 << 0, 1 << 1, 1 << 2  # 2.8.1, 2.8.7
AVAIL_BIT, USED_BIT = 7, 15
DESC = struct.Struct("<QIHH")  # addr, len, id, flags
DESC_READ, DATA_READ = 2, 4
DESC_LENGTH, DESC_FLAGS, CHAIN_BROKEN, CHAIN_LONG, BAD_TABLE = 8, 9, 10, 11, 13

ReadMemory = Callable[[int, int], bytes | None]


@dataclass(slots=True)
class Place:
    """Slot and wrap counter; it moves only through `advance`."""

    slot: int = 0
    wrap: int = 1

    def advance(self, size_slots: int, by: int = 1) -> None:
        """Move forward; passing the end of the ring flips the wrap counter (2.8.1)."""
        self.slot += by
        while self.slot >= size_slots:
            self.slot -= size_slots
            self.wrap ^= 1


@dataclass(slots=True)
class Chain:
    """One offered buffer: its elements in order, each (addr_bus, len_bytes, device_writes)."""

    number: int  # in order of offer, from 0
    slot: int
    slots: int
    buffer_id: int
    elements: list[tuple[int, int, bool]]
    data: bytes | None = None  # transmit: the bytes at the time of the offer; None if memory lacks some
    table: tuple[int, int] | None = None  # addr_bus, len_bytes of the indirect table that held the elements

    @property
    def size_bytes(self) -> int:
        """Sum of the elements' lengths."""
        return sum(length for _, length, _ in self.elements)


@dataclass(slots=True)
class RingWalk:
    """Walk one ring behind the driver."""

    base: int
    size_slots: int
    device_reads: bool  # transmit ring: no element may have WRITE; receive ring: all must
    read: ReadMemory
    chain_limit: int  # slots
    offered: deque[Chain] = field(default_factory=deque)  # not used yet
    next_offer: Place = field(default_factory=Place)
    next_used: Place = field(default_factory=Place)
    count: int = 0
    broken: int = 0  # stop reason that the device owes at next_offer, 0 for none
    tables: bool = False  # VIRTIO_F_INDIRECT_DESC was negotiated

    @property
    def end(self) -> int:
        """First address after the ring."""
        return self.base + DESC.size * self.size_slots

    def walk(self) -> list[Chain]:
        """Take in all chains that have become available; return the new ones."""
        fresh: list[Chain] = []
        while not self.broken:
            chain = self._next()
            if chain is None:
                break
            self.next_offer.advance(self.size_slots, chain.slots)
            self.offered.append(chain)
            fresh.append(chain)
        return fresh

    def _entry(self, slot: int) -> tuple[int, int, int, int] | None:
        raw = self.read(self.base + DESC.size * slot, DESC.size)
        return None if raw is None else DESC.unpack(raw)

    @staticmethod
    def _available(flags: int, wrap: int) -> bool:
        return flags >> AVAIL_BIT & 1 == wrap and flags >> USED_BIT & 1 != wrap  # 2.8.1

    def _next(self) -> Chain | None:
        place = Place(self.next_offer.slot, self.next_offer.wrap)
        first = self._entry(place.slot)
        if first is None:
            self.broken = DESC_READ
            return None
        if sum(chain.slots for chain in self.offered) >= self.size_slots:
            return None  # full: what is in the slot is still an unused offer
        if not self._available(first[3], place.wrap):
            return None
        elements: list[tuple[int, int, bool]] = []
        entry: tuple[int, int, int, int] | None = first
        while entry is not None:
            addr, length, buffer_id, flags = entry
            if not self._available(flags, place.wrap):
                return self._illegal(CHAIN_BROKEN)
            if self.tables and flags & INDIRECT and not elements:
                return self._table(addr, length, buffer_id, flags)
            if flags & INDIRECT or bool(flags & WRITE) == self.device_reads:
                return self._illegal(DESC_FLAGS)
            if length == 0:
                return self._illegal(DESC_LENGTH)
            elements.append((addr, length, bool(flags & WRITE)))
            if not flags & NEXT:
                return self._chain(elements, buffer_id)
            if len(elements) >= min(self.size_slots, self.chain_limit):
                return self._illegal(CHAIN_LONG)
            place.advance(self.size_slots)
            entry = self._entry(place.slot)
        return self._illegal(DESC_READ)

    def _table(self, addr: int, length: int, buffer_id: int, flags: int) -> Chain | None:
        """A chain whose elements are in a table (2.8.8): it takes one slot of the ring."""
        if flags & NEXT or length == 0 or length % DESC.size or length > DESC.size * self.chain_limit:
            return self._illegal(BAD_TABLE)
        octets = self.read(addr, length)
        if octets is None:
            return self._illegal(DESC_READ)
        elements = []
        for part, size, _, bits in DESC.iter_unpack(octets):
            if bits & (NEXT | INDIRECT):
                return self._illegal(BAD_TABLE)
            if bool(bits & WRITE) == self.device_reads:
                return self._illegal(DESC_FLAGS)
            if size == 0:
                return self._illegal(DESC_LENGTH)
            elements.append((part, size, bool(bits & WRITE)))
        chain = self._chain(elements, buffer_id)
        chain.slots, chain.table = 1, (addr, length)
        return chain

    def _illegal(self, reason: int) -> Chain | None:
        self.broken = reason
        return None

    def _chain(self, elements: list[tuple[int, int, bool]], buffer_id: int) -> Chain:
        chain = Chain(self.count, self.next_offer.slot, len(elements), buffer_id, elements)
        self.count += 1
        if self.device_reads:
            parts = [self.read(addr, length) for addr, length, _ in elements]
            if None in parts:
                self.broken = DATA_READ
            else:
                chain.data = b"".join(part for part in parts if part is not None)
        return chain
