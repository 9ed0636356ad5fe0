# SPDX-License-Identifier: Apache-2.0
"""One bench of the whole NIC: the pins harness, a raw device, and the scoreboard watching both."""

import random
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import Timer

from cocotb_tests.agents.axi_memory import MemoryKnobs
from cocotb_tests.raw_device import RawDevice
from cocotb_tests.scoreboard import Scoreboard
from sim.memory import HostMemory
from sim.pins import CLOCK_NS, PinsHarness

POISON = 0xDB  # what a transmit buffer holds once it was given back
DRAIN_CYCLES = 500_000  # 32 KiB inside, a beat of 16 bytes in 140 cycles


class Rig:
    """Harness, device and scoreboard of one test; every random choice comes from cocotb's seed."""

    def __init__(
        self, dut: Any, knobs: MemoryKnobs | None = None, *, salt: object = "", poison: bool = True
    ) -> None:
        seed = f"{cocotb.RANDOM_SEED} {salt}"
        self.rng = random.Random(f"test {seed}")
        host = HostMemory(placement=random.Random(f"placement {seed}"))
        self.harness = PinsHarness(dut, seed, memory=host, knobs=knobs)
        self.device = RawDevice(self.harness)
        self.pumps: dict[int, Any] = {}  # a test's senders and receivers that outlive one round
        view = self.harness.memory.view
        self.board = Scoreboard(view.read, self.harness.data_w // 8, spoil=self._spoil if poison else None)
        self.harness.bar_monitor.on_access.append(self.board.on_bar)
        self.harness.memory.on_read.append(self.board.on_read)
        self.harness.memory.on_write.append(self.board.on_write)
        self.harness.wire.sink.on_frame.append(self.board.on_wire_out)
        self.harness.wire.source.on_frame.append(self.board.on_wire_in)

    @property
    def wire(self) -> Any:
        """The wire's two ends."""
        return self.harness.wire

    @property
    def knobs(self) -> MemoryKnobs:
        """Host memory's behaviour."""
        return self.harness.memory.knobs

    @property
    def queues(self) -> int:
        """Virtqueues that the device has."""
        return self.harness.monitor.queues

    @property
    def cycle(self) -> int:
        """Clock edges since the start."""
        return self.harness.loop.cycle

    async def start(self, sizes: dict[int, int] | None = None, **options: Any) -> None:
        """Reset the pins; with sizes {queue: slots} bring the device up too."""
        await self.harness.start()
        if sizes is not None:
            await self.device.start(sizes, **options)

    async def cycles(self, count: int) -> None:
        """Let time pass; 0 does not even yield."""
        if count:
            await Timer(count * CLOCK_NS, "ns")

    async def until(self, done: Callable[[], bool], limit_cycles: int = DRAIN_CYCLES, step: int = 50) -> None:
        """Wait for a condition; AssertionError after the limit, with what the scoreboard saw by then."""
        end = self.cycle + limit_cycles
        while not done():
            self.check()
            assert self.cycle < end, f"not done after {limit_cycles} cycles: {self.board.state()}"
            await self.cycles(step)

    def quiet(self) -> bool:
        """Whether all transmit chains are used and on the wire, and nothing is in flight."""
        return self.harness.idle and self.board.drained()

    def check(self) -> None:
        """Raise on a bus violation or a scoreboard problem so far."""
        self.harness.check()
        self.board.check()

    async def finish(self, *, drained: bool = True, statistics: bool = True) -> dict[str, int]:
        """Wait until all is quiet, compare with the device's counters, give the verdict."""
        if drained:
            await self.until(self.quiet)
        await self.until(lambda: self.harness.idle)
        stats = await self.device.statistics()
        self.harness.check()
        self.board.finish(stats if statistics else None, drained=drained)
        return stats

    def _spoil(self, addr: int, size: int) -> None:
        found = self.harness.host.find(addr, size)
        if found is not None:
            region, offset = found
            region.view[offset : offset + size] = POISON
