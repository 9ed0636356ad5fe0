# SPDX-License-Identifier: Apache-2.0
"""Senders and receivers on raw queues: random chains in random places, asleep whenever there is nothing to
do.

They sleep until an interrupt and ring a doorbell only when the device asked for it, so each test that uses
them is also a test that no wake-up gets lost: a sleep that ends by its timeout with work waiting is an
error.
"""

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cocotb.triggers import Event

from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.packed_walk import Place
from cocotb_tests.raw_ring import Events, RawQueue, RingFull
from cocotb_tests.rig import Rig
from driver.bus import DmaRegion

SLEEP_NS = 400_000  # 100,000 cycles: nothing but a lost wake-up explains a longer sleep with work to do
FRAME_MIN, FRAME_MAX = 14, 9728


class LostWakeup(AssertionError):
    """Work was waiting, and nobody said so."""


@dataclass(slots=True)
class Layout:
    """How chains lie in memory: number of elements and gap before each, drawn for each chain."""

    parts: Callable[[random.Random], int] = lambda rng: rng.choice((1, 1, 2, 3))
    offset: Callable[[random.Random], int] = lambda rng: rng.randrange(64)

    def cut(self, rng: random.Random, size: int, start: int, room: int) -> list[tuple[int, int]]:
        """Return (addr, length) elements of `size` bytes in all, within [start, start + room)."""
        parts = max(1, min(self.parts(rng), size))
        edges = [0, *sorted(rng.sample(range(1, size), parts - 1)), size]
        elements, at = [], start
        for low, high in itertools.pairwise(edges):
            at += self.offset(rng)
            elements.append((at, high - low))
            at += high - low
        assert at <= start + room, "cell too small for this layout"
        return elements


@dataclass(slots=True)
class Cells:
    """One region cut into equal cells, one for each chain in flight."""

    region: DmaRegion
    size: int
    free: list[int]

    @classmethod
    def make(cls, rig: Rig, count: int, size: int) -> "Cells":
        """Allocate count cells of size bytes (made a multiple of 64)."""
        size = -(-size // 64) * 64
        region = rig.harness.dma_alloc(count * size, 4096)
        return cls(region, size, [region.iova + size * n for n in range(count)])


def frame_of(rng: random.Random, queue: int, number: int, size: int) -> bytes:
    """Return a frame of `size` octets that no other (queue, number) has, as far as `size` allows."""
    return (number.to_bytes(4, "big") + bytes([queue]) + rng.randbytes(size))[:size]


@dataclass(slots=True)
class Pump:
    """What sender and receiver share: the queue, cells, and sleeping."""

    rig: Rig
    queue: RawQueue
    cells: Cells
    layout: Layout = field(default_factory=Layout)
    mode: Events = Events.DESC  # how to ask for interrupts; DISABLE: poll
    polls: int = 0
    sleeps: int = 0
    kicks: int = 0
    held: dict[int, int] = field(default_factory=dict)  # buffer id -> cell

    async def kick(self, since: Place, slots: int) -> None:
        """Ring the doorbell if the device asked for it."""
        if slots and self.queue.needs_kick(since, slots):
            self.kicks += 1
            await self.rig.device.kick(self.queue.number)

    def reap(self) -> int:
        """Take back the cells of used chains; return how many."""
        used = self.queue.reap()
        for entry in used:
            self.cells.free.append(self.held.pop(entry.buffer_id))
        return len(used)

    async def sleep(self, ahead: int = 0) -> bool:
        """Wait for used descriptors by interrupt; False when none came and the whole device stands still."""
        queue = self.queue
        if self.mode is Events.DISABLE:
            self.polls += 1
            await self.rig.cycles(self.rig.rng.randrange(20, 200))
            return True
        queue.set_interrupts(self.mode, ahead)
        if queue.has_used():  # while interrupts were off: this second look is the driver's duty
            return True
        self.sleeps += 1
        awake = await self._interrupt()
        queue.set_interrupts(Events.DISABLE)
        return awake

    async def _interrupt(self) -> bool:
        vectors, counts = [self.rig.device.vector(self.queue.number)], self.rig.board.counts
        waiting = False  # since the last timeout there was work
        while True:
            before = counts["used"]
            if await self.rig.harness.wait_irq(vectors, SLEEP_NS):
                return True
            if waiting:
                raise LostWakeup(f"{self.state()}: used descriptors, no interrupt for {SLEEP_NS} ns")
            waiting = self.queue.has_used()
            if not waiting and counts["used"] == before:
                return False

    def state(self) -> str:
        """One line for messages."""
        queue = self.queue
        off_wrap, flags = queue.device_events()
        place = queue.next_avail
        return (
            f"queue {queue.number}: {queue.outstanding} offered, next slot {place.slot} wrap {place.wrap}, "
            f"the device waits with flags {flags} off_wrap {off_wrap:#x}"
        )


@dataclass(slots=True)
class Sender(Pump):
    """Send frames; `burst` draws how many to offer before a doorbell is considered."""

    burst: Callable[[random.Random], int] = lambda rng: rng.randrange(1, 9)

    async def run(self, frames: Iterable[bytes]) -> None:
        """Return once every frame's chain was used."""
        waiting = deque(frames)
        self.queue.set_interrupts(Events.DISABLE)
        while waiting or self.queue.outstanding:
            progress = self.reap()
            progress += await self._offer(waiting)
            if not progress and not await self.sleep() and self.queue.outstanding:
                raise LostWakeup(f"{self.state()} not sent; {self.rig.board.state()}")

    async def _offer(self, waiting: deque[bytes]) -> int:
        queue, rng = self.queue, self.rig.rng
        since, free = Place(queue.next_avail.slot, queue.next_avail.wrap), queue.free
        offered = 0
        for _ in range(self.burst(rng)):
            if not waiting or not self.cells.free:
                break
            try:
                self.post(bytes(HEADER_BYTES) + waiting[0])
            except RingFull:
                break
            waiting.popleft()
            offered += 1
        await self.kick(since, free - queue.free)
        return offered

    def post(self, octets: bytes) -> int:
        """Put octets into a free cell and offer them; return the buffer id. RingFull."""
        cell = self.cells.free[-1]
        elements = self.place(octets, cell)
        buffer_id = self.queue.offer(elements, device_writes=False)
        self.held[buffer_id] = self.cells.free.pop()
        return buffer_id

    def place(self, octets: bytes, cell: int) -> list[tuple[int, int]]:
        """Put octets into a cell; return the elements."""
        while True:
            elements = self.layout.cut(self.rig.rng, len(octets), cell, self.cells.size)
            if len(elements) <= self.queue.size_slots:
                break
        position, view, base = 0, self.cells.region.view, self.cells.region.iova
        memory = memoryview(view)
        for addr, size in elements:
            memory[addr - base : addr - base + size] = octets[position : position + size]
            position += size
        return elements


@dataclass(slots=True)
class Receiver(Pump):
    """Keep a receive ring filled with buffers of `size` bytes and count what comes."""

    size: int = 2048
    received: int = 0
    credit: int = 0  # buffers that the device knows of, in all
    fed: int = 0  # frames that `feed` sent for it
    fill: Callable[[random.Random], int] = lambda rng: 1 << 16  # chains to offer at a time
    stopped: Event = field(default_factory=Event)

    async def run(self, count: int) -> None:
        """Return once `count` more frames were received."""
        self.queue.set_interrupts(Events.DISABLE)
        target = self.received + count
        while self.received < target:
            got = self.reap()
            self.received += got
            progress = got + await self.refill()
            if not progress and self.received < target and not await self.sleep():
                raise LostWakeup(
                    f"{self.state()}, {self.received} of {target} frames; {self.rig.board.state()}"
                )

    async def refill(self) -> int:
        """Offer buffers until ring or cells are used up."""
        queue, rng = self.queue, self.rig.rng
        since, free = Place(queue.next_avail.slot, queue.next_avail.wrap), queue.free
        offered = 0
        for _ in range(self.fill(rng)):
            if not self.cells.free:
                break
            elements = self.layout.cut(rng, self.size, self.cells.free[-1], self.cells.size)
            if len(elements) > queue.free:
                if offered or queue.outstanding:
                    break
                continue
            self.held[queue.offer(elements, device_writes=True)] = self.cells.free.pop()
            offered += 1
        await self.kick(since, free - queue.free)
        self.credit += offered
        return offered


async def feed(rig: Rig, to: Receiver, frames: Sequence[bytes], window_bytes: int = 12_000) -> None:
    """Send frames into the NIC no faster than it surely has buffers and room, so that none may be lost."""
    sizes: deque[int] = deque()  # of those that are under way
    for frame in frames:
        while to.fed >= to.credit or (sizes and sum(sizes) + len(frame) > window_bytes):
            await rig.cycles(16)
            while len(sizes) > to.fed - to.received:
                sizes.popleft()
        sizes.append(len(frame))
        to.fed += 1
        rig.wire.send([frame])


def sender(
    rig: Rig, queue: int, largest: int, *, cells: int | None = None, spread: int = 0, **options: object
) -> Sender:
    """Make a sender with room for frames of up to `largest` octets; spread: most elements of a chain."""
    raw = rig.device.queues[queue]
    size = HEADER_BYTES + largest + 64 * max(4, spread)
    count = raw.size_slots if cells is None else cells
    return Sender(rig, raw, Cells.make(rig, count, size), **options)  # type: ignore[arg-type]


def receiver(
    rig: Rig, queue: int, size: int, *, cells: int | None = None, spread: int = 0, **options: object
) -> Receiver:
    """Make a receiver whose chains hold `size` bytes."""
    raw = rig.device.queues[queue]
    count = raw.size_slots if cells is None else cells
    made = Cells.make(rig, count, size + 64 * max(4, spread))
    return Receiver(rig, raw, made, size=size, **options)  # type: ignore[arg-type]


def frame_sizes(rng: random.Random, count: int, corners: Sequence[int], low: int, high: int) -> list[int]:
    """Return the corner sizes first, then random ones, `count` in all, shuffled."""
    sizes = [*corners, *(rng.randint(low, high) for _ in range(max(0, count - len(corners))))][:count]
    rng.shuffle(sizes)
    return sizes
