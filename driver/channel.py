# SPDX-License-Identifier: Apache-2.0
"""A channel: a queue pair whose rings and buffers lie in an arena, memory that a stack has to itself.

The privileged side lays the arena out, gives the device a window on it, and sets the pair up
(driver.arbiter.pairs). The stack, in this process or another, has the arena and a `ChannelPort`: a doorbell,
interrupts, a clock. It has no way to the device's registers.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from driver.bus import DmaRegion
from driver.config import Mode
from driver.errors import UsageError
from driver.msix import queue_vector
from driver.pool import BufferPool
from driver.registers import Feature
from driver.rx import RxQueue
from driver.tx import TxQueue
from driver.virtqueue import PackedQueue

PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """What both sides must agree on; the privileged side says it."""

    pair: int
    rx_slots: int
    tx_slots: int
    buffer_bytes: int
    features: int  # negotiated by the privileged side for the whole device
    frame_bytes_max: int
    chain_slots_max: int
    doorbells: tuple[int, int] = (0, 0)  # BAR offsets of receive and transmit, known once the pair is set up

    @property
    def parts(self) -> tuple[int, int, int, int]:
        """Bytes of receive ring, transmit ring, receive buffers, transmit buffers, each whole pages."""
        rings = PackedQueue.region_bytes(self.rx_slots), PackedQueue.region_bytes(self.tx_slots)
        stride = BufferPool.stride_of(self.buffer_bytes)
        rx, tx, rx_buffers, tx_buffers = map(_pages, (*rings, self.rx_slots * stride, self.tx_slots * stride))
        return rx, tx, rx_buffers, tx_buffers

    @property
    def arena_bytes(self) -> int:
        """Size of the arena."""
        return sum(self.parts)

    def vectors(self) -> tuple[int, int]:
        """MSI-X vectors of receive and transmit."""
        return queue_vector(2 * self.pair), queue_vector(2 * self.pair + 1)


def _pages(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


class Arena:
    """The pieces of one arena; making it zeroes both rings."""

    def __init__(self, shape: Shape, region: DmaRegion) -> None:
        if region.size_bytes < shape.arena_bytes:
            raise UsageError(f"an arena of {region.size_bytes} bytes, {shape.arena_bytes} are needed")
        self.shape = shape
        at, pieces = 0, []
        for size in shape.parts:
            pieces.append(DmaRegion(region.iova + at, region.view[at : at + size]))
            at += size
        self.rx_region, self.tx_region, self.rx_buffers, self.tx_buffers = pieces
        event_idx = bool(shape.features >> Feature.RING_EVENT_IDX & 1)
        self.rx_ring = PackedQueue(
            self.rx_region, shape.rx_slots, f"rx{shape.pair}", device_writes=True, event_idx=event_idx
        )
        self.tx_ring = PackedQueue(
            self.tx_region, shape.tx_slots, f"tx{shape.pair}", device_writes=False, event_idx=event_idx
        )


class ChannelPort(Protocol):
    """What a stack has of the device beside its memory."""

    async def ring(self, doorbell_bytes: int, value: int, width_bytes: int) -> None:
        """Ring a doorbell; one that is not this channel's is refused (or ignored) by whoever takes it."""
        ...

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        """As Bus.wait_irq, for this channel's two vectors."""
        ...

    def now_ns(self) -> int:
        """As Bus.now_ns."""
        ...


class _PortBus:
    """The part of a Bus that the queues use; memory comes from the arena, in the order of its parts."""

    def __init__(self, port: ChannelPort, pieces: Sequence[DmaRegion]) -> None:
        self._port = port
        self._pieces = list(pieces)

    async def read(self, offset_bytes: int, width_bytes: int = 4) -> int:
        raise UsageError("a channel reads no registers")

    async def write(self, offset_bytes: int, value: int, width_bytes: int = 4) -> None:
        await self._port.ring(offset_bytes, value, width_bytes)

    def dma_alloc(self, size_bytes: int, align_bytes: int = 64) -> DmaRegion:
        piece = self._pieces.pop(0)
        if size_bytes > piece.size_bytes:
            raise UsageError(f"{size_bytes} bytes of an arena's piece of {piece.size_bytes}")
        return piece

    def dma_free(self, region: DmaRegion) -> None:
        """The arena goes as a whole."""

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        return await self._port.wait_irq(vectors, timeout_ns)

    def now_ns(self) -> int:
        return self._port.now_ns()


class Channel:
    """The stack's end: `rx` and `tx` are the queues and have batch calls; all receive buffers are posted."""

    def __init__(self, shape: Shape, region: DmaRegion, port: ChannelPort) -> None:
        arena = Arena(shape, region)
        self.shape = shape
        self._port = port
        bus = _PortBus(port, [arena.rx_buffers, arena.tx_buffers])
        mode, buffer_bytes = Mode.of(shape.features), shape.buffer_bytes
        rx_pool = BufferPool(bus, shape.rx_slots, buffer_bytes, name=f"rx{shape.pair} pool")
        tx_pool = BufferPool(bus, shape.tx_slots, buffer_bytes, name=f"tx{shape.pair} pool")
        rx_doorbell, tx_doorbell = shape.doorbells
        self.rx = RxQueue(
            bus, 2 * shape.pair, rx_doorbell, arena.rx_ring, rx_pool, mode, shape.frame_bytes_max
        )
        self.tx = TxQueue(
            bus, 2 * shape.pair + 1, tx_doorbell, arena.tx_ring, tx_pool,
            shape.frame_bytes_max, shape.chain_slots_max, mode,
        )  # fmt: skip
        for ring in (arena.rx_ring, arena.tx_ring):
            ring.disable_interrupts()
        self.rx.post_free()

    async def start(self) -> None:
        """Ring for the receive buffers that are posted."""
        await self.rx.kick()

    async def send(self, frames: Sequence[bytes]) -> int:
        """Send frames from the first on, as many as there is room for; return how many."""
        self.tx.reap()
        accepted = self.tx.send(frames)
        await self.tx.kick()
        return accepted

    def recv(self, limit: int | None = None) -> list[bytes]:
        """Take up to `limit` frames; their buffers go back to the ring, with the next wait's doorbell."""
        return self.rx.recv(limit)

    async def wait(
        self,
        timeout_ns: int | None = None,
        *,
        tx_slots: int = 0,
        or_when: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Wait for a frame or (tx_slots > 0) for so many free transmit slots; False on a timeout.

        or_when: another reason to return; the port's wait_irq must return when it may have become true.
        """
        await self.rx.kick()
        await self.tx.kick()
        deadline_ns = None if timeout_ns is None else self._port.now_ns() + timeout_ns
        rx_vector, tx_vector = self.shape.vectors()
        vectors = [rx_vector, *([tx_vector] if tx_slots else [])]
        try:
            while not (self._ready(tx_slots) or or_when()):
                missed = [self.rx.queue.interrupt_after(1)]
                if tx_slots:
                    missed.append(self.tx.interrupt_for(tx_slots))
                if any(missed):
                    continue
                left_ns = None if deadline_ns is None else deadline_ns - self._port.now_ns()
                if left_ns is not None and left_ns <= 0:
                    return False
                await self._port.wait_irq(vectors, left_ns)
            return True
        finally:
            self.rx.queue.disable_interrupts()
            self.tx.queue.disable_interrupts()

    def _ready(self, tx_slots: int) -> bool:
        if self.rx.has_frames():
            return True
        if tx_slots and self.tx.room() < tx_slots:
            self.tx.reap()
        return bool(tx_slots) and self.tx.room() >= tx_slots
