# SPDX-License-Identifier: Apache-2.0
"""The loop that `tupelo bench` measures: four transmit rings, the wire in loopback, one receive ring.

It runs inside the simulator on either harness, over the driver's batch calls. Frames are counted in and out,
the first ones are compared byte for byte, so that no figure comes from frames that were dropped.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from driver.bus import Bus
from driver.descriptors import NET_HEADER_BYTES
from driver.nic import NicConfig, TupeloNic
from driver.pool import BufArray
from driver.stats import Statistics
from sim.fast_config import FastConfig, WireConfig
from sim.job import Progress

TX_QUEUES = 4
TX_SLOTS = 256
RX_SLOTS = 1024
CYCLE_NS = 4
config = FastConfig(wire=WireConfig(loopback=True))  # for run_fast
PATIENCE_NS = 1_000_000
CONFIG = NicConfig(
    queue_pairs=TX_QUEUES,
    tx_ring_slots=TX_SLOTS,
    rx_ring_slots=RX_SLOTS,
    rx_interrupt_after=384,
    rx_moderation_ns=10_000,
)


class LoopError(RuntimeError):
    """Frames were lost, changed or invented: the figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class LoopFigures:
    """One measured loop."""

    frames: int
    wall_s: float
    sim_ns: int

    @property
    def frames_per_s(self) -> float:
        return self.frames / self.wall_s

    @property
    def cycles_per_frame(self) -> float:
        return self.sim_ns / CYCLE_NS / self.frames

    @property
    def cycles_per_s(self) -> float:
        return self.sim_ns / CYCLE_NS / self.wall_s


def numbered_frames(size_bytes: int, first: int, count: int) -> list[bytes]:
    """Frames of one size, each with its number in it: a broadcast of a locally assigned address."""
    head = bytes.fromhex("ffffffffffff02000000000288b5")
    return [
        (head + n.to_bytes(4, "big") + bytes(range(256)) * 6)[:size_bytes]
        for n in range(first, first + count)
    ]


class Loop:
    """The state of one loop on a started NIC (CONFIG)."""

    def __init__(self, nic: TupeloNic, frame_bytes: int, window: int) -> None:
        self._nic = nic
        self._window = min(window, RX_SLOTS)
        self._frame_bytes = frame_bytes
        self._ready: list[BufArray] = []
        self._wanted: set[bytes] = set()
        self.sent = 0
        self.received = 0
        for number, queue in enumerate(nic.tx):
            count = min(TX_SLOTS, queue.pool.free_count)
            bufs = queue.pool.take(count)
            frames = numbered_frames(frame_bytes, number * TX_SLOTS, count)
            queue.pool.fill(bufs, frames, NET_HEADER_BYTES)
            self._ready.append(bufs)
            self._wanted.update(frames)

    async def run(self, count: int, report: Callable[[int], None]) -> None:
        """Send `count` frames and wait until all are back; LoopError if one is not."""
        goal = self.received + count
        while self.received < goal:
            await self._send(goal)
            if not await self._nic.wait_rx(PATIENCE_NS):
                seen = await self._nic.statistics()
                drops = {**seen.rx_drops(), **seen.tx_drops()}
                missing = self.sent - self.received
                raise LoopError(f"{missing} of {self.sent} frames did not come back; drops {drops}")
            self._receive()
            report(self.received)

    async def _send(self, goal: int) -> None:
        """Fill each transmit ring as far as the window allows; the receive ring has a buffer for each."""
        for number, queue in enumerate(self._nic.tx):
            if len(back := queue.reap_raw()):
                self._ready[number] = np.concatenate([self._ready[number], back])
            bufs = self._ready[number]
            room = min(len(bufs), self._window - (self.sent - self.received), goal - self.sent)
            if room > 0:
                queue.post_raw(bufs[:room], self._frame_bytes)
                self._ready[number] = bufs[room:]
                self.sent += room
                await queue.kick()

    def _receive(self) -> None:
        queue = self._nic.rx[0]
        bufs, lens = queue.reap_raw()
        if not (lens == self._frame_bytes).all():
            raise LoopError(f"a frame of {int(lens[lens != self._frame_bytes][0])} bytes came back")
        if self.received < RX_SLOTS:  # a reading of all would be measured with the NIC
            for frame in queue.pool.gather(bufs, lens, NET_HEADER_BYTES):
                if frame not in self._wanted:
                    raise LoopError(f"a frame came back changed: {frame.hex()}")
        queue.repost(bufs)
        self.received += len(bufs)

    async def check(self, before: Statistics) -> None:
        """LoopError unless the device counted each frame out and in since `before`, and dropped none."""
        seen = (await self._nic.statistics()).since(before)
        drops = {**seen.rx_drops(), **seen.tx_drops()}
        if seen["tx_frames"] != self.sent or seen["rx_frames"] != self.received or drops:
            raise LoopError(
                f"{self.sent} sent, {self.received} received, but the device counts "
                f"{seen['tx_frames']} and {seen['rx_frames']}, drops {drops}"
            )

    def give_back(self) -> None:
        """Return the transmit buffers to their pools, so that the driver finds none missing at the end."""
        for bufs, queue in zip(self._ready, self._nic.tx, strict=True):
            queue.pool.give(np.concatenate([bufs, queue.reap_raw()]))


async def measure(
    nic: TupeloNic, frame_bytes: int, count: int, window: int, warm_up: int, report: Callable[[int], None]
) -> LoopFigures:
    """Start the NIC, loop `warm_up` frames, then `count` measured ones, `window` at a time, and stop it."""
    await nic.start(CONFIG)
    before = await nic.statistics()
    loop = Loop(nic, frame_bytes, window)
    await loop.run(warm_up, report)
    start_ns, start_s = nic.bus.now_ns(), time.perf_counter()
    await loop.run(count, report)
    wall_s = time.perf_counter() - start_s
    sim_ns = nic.bus.now_ns() - start_ns
    await loop.check(before)
    loop.give_back()
    await nic.stop()
    return LoopFigures(count, wall_s, sim_ns)


async def loops(
    bus: Bus, sizes: list[list[int]], warm_up: int, progress: str | None = None
) -> dict[str, dict[str, float]]:
    """Measure a loop for each [frame bytes, frames, window] of `sizes`; figures by frame size."""
    tell = Progress(progress)
    before = 0
    figures: dict[str, dict[str, float]] = {}
    for frame_bytes, count, window in sizes:
        found = await measure(
            TupeloNic(bus),
            frame_bytes,
            count,
            window,
            warm_up,
            lambda done, base=before: tell(frames=base + done),  # type: ignore[misc]
        )
        before += warm_up + count
        figures[str(frame_bytes)] = {
            "frames_per_s": found.frames_per_s,
            "cycles_per_frame": found.cycles_per_frame,
            "cycles_per_s": found.cycles_per_s,
        }
    return figures
