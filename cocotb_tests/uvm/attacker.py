# SPDX-License-Identifier: Apache-2.0
"""A program that owns one queue pair and means harm: it has its memory, its doorbells, and nothing else."""

import itertools
import random
import struct
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from cocotb_tests.guard_frames import FrameMaker, Sent
from cocotb_tests.model.guard_model import Request
from cocotb_tests.packed_walk import AVAIL_BIT, DESC, INDIRECT, NEXT, USED_BIT, WRITE, Place
from cocotb_tests.parse_frames import make
from cocotb_tests.raw_ring import EVENT
from cocotb_tests.uvm.attack_judge import Range
from driver.bus import DmaRegion

HEADER = struct.Struct("<BBHHHHH")
ARENA_BYTES = 0x10000
RING_SLOTS_MAX = 64
NOWHERE = (0, 0x1234_5678_9AC0, (1 << 64) - 50, (1 << 63) + 64)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A part of a region, as raw rings want it."""

    iova: int
    view: npt.NDArray[np.uint8]

    @property
    def size_bytes(self) -> int:
        return int(self.view.size)


@dataclass(slots=True)
class Arena:
    """The attacker's memory: four windows in it, and ground between them that is not the attacker's."""

    region: DmaRegion
    windows: list[Range] = field(default_factory=list)

    def __post_init__(self) -> None:
        base = self.region.iova
        self.windows = [
            Range(base + 0x1000, base + 0x1FFF, True, True),  # rings
            Range(base + 0x3010, base + 0xAFE7, True, True),  # buffers; no end at a beat's end
            Range(base + 0xC000, base + 0xC7FF, True, False),
            Range(base + 0xD004, base + 0xD7FD, False, True),
        ]

    def slice(self, offset: int, size: int) -> Slice:
        return Slice(self.region.iova + offset, self.region.view[offset : offset + size])

    def put(self, addr: int, octets: bytes) -> None:
        """The attacker writes its own memory; what is not in the arena is left out."""
        offset = addr - self.region.iova
        if offset >= 0 and offset + len(octets) <= ARENA_BYTES:
            self.region.view[offset : offset + len(octets)] = np.frombuffer(octets, np.uint8)

    def areas(self, which: int) -> tuple[Slice, Slice, Slice]:
        """Descriptor ring, driver and device event structure of its receive (0) or transmit (1) queue."""
        start = 0x1000 + 0x800 * which
        return (
            self.slice(start, 16 * RING_SLOTS_MAX),
            self.slice(start + 0x400, 4),
            self.slice(start + 0x404, 4),
        )


@dataclass(slots=True)
class Hand:
    """Where the attacker writes next in one ring, and what it believes that the device still has."""

    number: int
    ring: Slice
    slots: int
    place: Place = field(default_factory=Place)
    pending: deque[tuple[int, int, int]] = field(default_factory=deque)  # slot, wrap, slots
    refused: int = 0  # times in a row that there was no room

    def full(self, more: int) -> bool:
        """Whether `more` slots would overwrite what is offered."""
        while self.pending:
            slot, wrap, _ = self.pending[0]
            flags = DESC.unpack_from(memoryview(self.ring.view), DESC.size * slot)[3]
            if not flags >> AVAIL_BIT & 1 == flags >> USED_BIT & 1 == wrap:
                break
            self.pending.popleft()
        return sum(count for _, _, count in self.pending) + more > self.slots

    def post(self, entries: list[tuple[int, int, int]], rng: random.Random) -> None:
        """Write descriptors (addr, length, flags) at the next places; if decent, the first one last."""
        if self.full(len(entries)) and rng.random() < 0.99:
            self.refused += 1
            return
        self.refused = 0
        self.pending.append((self.place.slot, self.place.wrap, len(entries)))
        place = Place(self.place.slot, self.place.wrap)
        writes = []
        for addr, size, flags in entries[: self.slots]:
            bits = place.wrap << AVAIL_BIT | (place.wrap ^ 1) << USED_BIT
            writes.append((DESC.size * place.slot, addr, size, rng.getrandbits(16), flags | bits))
            place.advance(self.slots)
        if rng.random() < 0.9:
            writes.reverse()
        for offset, *fields in writes:
            DESC.pack_into(memoryview(self.ring.view), offset, *fields)
        self.place = place


@dataclass(slots=True)
class Attacker:
    """Random deeds; `step` does one. Every choice comes from `rng`."""

    rng: random.Random
    arena: Arena
    maker: FrameMaker
    pair: int
    others: list[int]  # addresses of somebody else's memory
    stolen: Callable[[], bytes]  # a frame of somebody else
    hands: dict[int, Hand] = field(default_factory=dict)
    deeds: Counter[str] = field(default_factory=Counter)
    beat: int = 64
    cursor: int = 0
    malice: float = 0.25  # chance that a part of an offer is not what a decent driver would write

    def step(self) -> int | None:
        """Do something; return a queue whose doorbell shall be rung."""
        rng = self.rng
        deed = rng.choices(
            (self.transmit, self.receive, self.scribble, self.nudge, self.ring, self.idle),
            (10, 6, 2, 0.3, 1, 2),
        )[0]
        self.deeds[deed.__name__] += 1
        return deed()

    def idle(self) -> int | None:
        return None

    def ring(self) -> int | None:
        """A doorbell for nothing."""
        return self.rng.choice((2 * self.pair, 2 * self.pair + 1))

    # Addresses ------------------------------------------------------------------------------------------

    def inside(self, size: int) -> int:
        """An address in the buffer window with room for `size` bytes."""
        window = self.arena.windows[1]
        last = max(window.low, window.last + 1 - size)
        if self.rng.random() < 0.1:  # where something else may be under way
            return self.rng.randint(window.low, last)
        self.cursor += self.rng.randrange(32)
        if not window.low <= self.cursor <= last:
            self.cursor = window.low
        self.cursor += size
        return self.cursor - size

    def astray(self, size: int) -> int:
        """An address that is at an edge, in a window of too few rights, in the rings, or somebody else's."""
        rng, base = self.rng, self.arena.region.iova
        window = rng.choice(self.arena.windows)
        kind = rng.randrange(6)
        if kind == 0:  # up to the last byte, or some further
            return window.last + 1 - size + rng.choice((0, 0, 1, 1, 2, 63, 64, 255, 4096))
        if kind == 1:
            return window.low - rng.choice((0, 0, 1, 2, 15, 64, 256))
        if kind == 2:  # inside one of the others
            return rng.randint(window.low, max(window.low, window.last + 1 - size))
        if kind == 3:
            return base + rng.randrange(ARENA_BYTES)
        if kind == 4:
            return rng.choice(self.others) + rng.randrange(-64, 2048)
        return rng.choice(NOWHERE)

    def where(self, size: int) -> int:
        addr = self.astray(size) if self.rng.random() < self.malice / 3 else self.inside(size)
        return addr % (1 << 64)

    def length(self, size: int) -> int:
        rng = self.rng
        if rng.random() < self.malice / 6:
            return rng.choice((0, 1, size + 1, 4096, 65535, 1 << 20, (1 << 32) - 1, rng.getrandbits(32)))
        return size

    def flags(self, good: int) -> int:
        return good ^ (self.rng.choice((WRITE, NEXT, INDIRECT, 0xFF78)) if self.rng.random() < 0.01 else 0)

    # Offers ---------------------------------------------------------------------------------------------

    def chain(self, sizes: list[int], write: bool, put: bytes | None) -> list[tuple[int, int, int]]:
        """Entries of the given sizes, in the ring or as one indirect table."""
        rng, at, entries = self.rng, 0, []
        for number, size in enumerate(sizes):
            addr = self.where(size)
            if put is not None:
                self.arena_put(addr, put[at : at + size])
            at += size
            more = NEXT if number + 1 < len(sizes) else 0
            entries.append((addr, self.length(size), self.flags((WRITE if write else 0) | more)))
        if rng.random() > 0.15:
            return entries
        self.deeds["indirect"] += 1
        if rng.random() < 0.98:  # the elements of a table follow each other: NEXT is an error there
            entries = [(addr, size, bits & ~NEXT) for addr, size, bits in entries]
        table = b"".join(DESC.pack(addr, size, rng.getrandbits(16), bits) for addr, size, bits in entries)
        place = self.where(len(table) + 15)
        place += -place % 16 if rng.random() < 0.98 else 0
        self.arena_put(place, table)
        return [(place, self.length(len(table)), self.flags(INDIRECT))]

    def arena_put(self, addr: int, octets: bytes) -> None:
        """Write, but only where a program that is confined to its windows could."""
        windows = self.arena.windows
        if octets and any(w.holds(addr, addr + len(octets) - 1) for w in windows[:2]):
            self.arena.put(addr, octets)

    def cuts(self, size: int) -> list[int]:
        parts = min(size, self.rng.choice((1, 1, 2, 3, 6)))
        edges = [0, *sorted(self.rng.sample(range(1, size), parts - 1)), size]
        return [high - low for low, high in itertools.pairwise(edges)]

    def transmit(self) -> int | None:
        """One frame, or a packet in fragments: honest, forged, or stolen."""
        rng, hand = self.rng, self.hands.get(2 * self.pair + 1)
        if hand is None:
            return None
        kind = rng.random()
        if kind < 0.75:
            sent = [self.maker.single(self.pair)]
        elif kind < 0.85:
            sent = list(self.maker.train(self.pair))
        elif kind < 0.9:
            sent = [self.large()]
        else:
            sent = [(self.stolen(), Request(*rng.choice(((0,), (1, 0, 0, 34, 6), (1, 0, 0, 0, 6)))))]
        for frame, request in sent:
            header = HEADER.pack(
                request.flags, request.gso_type, request.hdr_len, request.gso_size,
                request.csum_start & 0xFFFF, request.csum_offset & 0xFFFF, 0,
            )  # fmt: skip
            octets = header + frame
            hand.post(self.chain(self.cuts(len(octets)), False, octets), rng)
        return hand.number if rng.random() < 0.9 else None

    def large(self) -> Sent:
        """A big TCP packet to be cut."""
        asked = self.maker.tuple_for(self.pair)
        frame = make(self.maker.recipe(asked, self.rng.choice((1500, 4000, 9000))))
        request = self.maker.request(asked, frame, honest=self.rng.random() < 0.8)
        return frame, replace(request, gso_size=min(request.gso_size or 100, 9000))

    def receive(self) -> int | None:
        """Buffers for what comes."""
        rng, hand = self.rng, self.hands.get(2 * self.pair)
        if hand is None:
            return None
        for _ in range(rng.randint(1, 4)):
            size = rng.choice((1, 12, 60, 300, 1024, 2048))
            hand.post(self.chain(self.cuts(size), True, None), rng)
        return hand.number if rng.random() < 0.9 else None

    # Memory changed under way ---------------------------------------------------------------------------

    def scribble(self) -> int | None:
        """Change bytes in descriptors, event structures or buffers, used or not."""
        rng, windows = self.rng, self.arena.windows
        for _ in range(rng.randint(1, 4)):
            window = windows[0] if rng.random() < 0.1 else windows[1]
            addr = rng.randint(window.low, window.last - 8)
            self.arena.put(addr, rng.randbytes(rng.choice((1, 1, 2, 8))))
        return None

    def nudge(self) -> int | None:
        """Change a field of a live descriptor, or say something about interrupts."""
        rng = self.rng
        which = rng.randrange(2)
        hand = self.hands.get(2 * self.pair + which)
        ring, driver, device = self.arena.areas(which)
        if hand is None or rng.random() < 0.4:
            target = driver if rng.random() < 0.8 else device
            EVENT.pack_into(memoryview(target.view), 0, rng.getrandbits(16), rng.choice((0, 1, 2, 3, 0xFFFF)))
            return None
        slot = (hand.place.slot - rng.randint(1, 4)) % hand.slots
        addr, size, number, flags = DESC.unpack_from(memoryview(ring.view), DESC.size * slot)
        change = rng.randrange(4)
        if change == 0:
            addr = self.astray(size & 0xFFFF) % (1 << 64)
        elif change == 1:
            size = rng.choice((0, 1, 65535, size ^ 1 << rng.randrange(32)))
        elif change == 2:
            flags ^= rng.choice((NEXT, WRITE, INDIRECT, 1 << AVAIL_BIT, 1 << USED_BIT))
        else:
            number ^= 1 << rng.randrange(16)
        DESC.pack_into(memoryview(ring.view), DESC.size * slot, addr, size, number, flags)
        return hand.number
