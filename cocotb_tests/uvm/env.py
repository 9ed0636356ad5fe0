# SPDX-License-Identifier: Apache-2.0
"""The environment: an agent on each interface, the host's queues, predictor and scoreboard."""

import random
from typing import Any

import cocotb
from pyuvm import ConfigDB, uvm_component, uvm_env

from cocotb_tests.agents.bar import BarAccess
from cocotb_tests.packed_walk import Chain
from cocotb_tests.uvm.agents import (
    BarAgent,
    Listener,
    MemoryAccess,
    MemoryAgent,
    MsixAgent,
    Seen,
    WireInAgent,
    WireOutAgent,
)
from cocotb_tests.uvm.coverage import NicCoverage
from cocotb_tests.uvm.host import Host, SequencerBus
from cocotb_tests.uvm.predictor import Predictor
from cocotb_tests.uvm.ring_monitor import RingMonitor
from cocotb_tests.uvm.scoreboard import NicJudge
from sim.memory import HostMemory
from sim.pins import DEFAULT_MAC, PinsHarness

QUIET_CYCLES = 1500  # nothing has moved for so long: nothing will
PATIENCE_CYCLES = 200_000
CHECK_CYCLES, STUCK_CYCLES = 1000, 20_000


class NicScoreboard(uvm_component):
    """Connects the judge and the ring monitor to the monitors' analysis ports."""

    def build_phase(self) -> None:
        self.harness: PinsHarness = ConfigDB().get(self, "", "harness")
        pairs: int = ConfigDB().get(self, "", "pairs")
        self.predictor = Predictor(DEFAULT_MAC, pairs)
        self.rings = RingMonitor(self.harness.memory.view.read, self.harness.data_w // 8)
        self.judge = NicJudge(self.predictor, self.rings.features)
        self.interrupts = 0
        self.coverage = NicCoverage(DEFAULT_MAC, self.harness.data_w // 8)
        self.judge.on_outcome.append(self.coverage.arrival)
        self.judge.on_fate.append(self.coverage.fate)
        self.rings.on_offered.append(self._offered)
        self.rings.on_received.append(self._received)
        self.rings.on_fault.append(self.judge.failed)
        self.rings.on_cut.append(lambda queue, done: (self.judge.ended if done else self.judge.cut)(queue))
        self.bar = Listener("bar", self, self._bar)
        self.memory = Listener("memory", self, self._memory)
        self.wire_in = Listener("wire_in", self, self._wire_in)
        self.wire_out = Listener("wire_out", self, self._wire_out)
        self.msix = Listener("msix", self, self._msix)

    def check(self) -> None:
        """Raise on anything wrong so far."""
        self.harness.check()
        self.rings.check()
        self.judge.check()

    def _bar(self, seen: Seen) -> None:
        access: BarAccess = seen.what
        self.rings.on_bar(access)
        self.predictor.watch.access(access, seen.cycle)

    def _memory(self, seen: Seen) -> None:
        self.judge.cycle = seen.cycle
        access: MemoryAccess = seen.what
        self.coverage.memory(self.harness.memory.knobs)
        if access.write:
            self.rings.on_write(access.addr, access.data, access.strobes, access.queue, access.resp)
        else:
            self.rings.on_read(access.addr, access.size, access.queue, access.resp)

    def _offered(self, pair: int, chain: Chain) -> None:
        self.judge.offered(pair, chain.data or b"")
        self.coverage.chain(chain, self.rings.features.header_bytes)

    def _received(self, pair: int, octets: bytes) -> None:
        self.judge.received(pair, octets)

    def _wire_in(self, seen: Seen) -> None:
        self.judge.cycle = seen.cycle
        self.judge.wire_in(*seen.what)

    def _wire_out(self, seen: Seen) -> None:
        self.judge.cycle = seen.cycle
        self.judge.wire_out(seen.what)
        self.coverage.wire(self.harness.wire.knobs)

    def _msix(self, seen: Seen) -> None:
        vector = seen.what[1]
        self.interrupts += 1
        if self.harness.msix.knobs.stall:
            self.coverage.hit("pressure", "interrupts stall")
        if not 0 <= vector <= 2 * self.predictor.pairs:
            self.judge.problems.append(f"cycle {seen.cycle}: an interrupt with data {vector:#x}")


class NicEnv(uvm_env):
    """Everything around one tupelo_nic. ConfigDB: dut, salt."""

    def build_phase(self) -> None:
        dut: Any = ConfigDB().get(self, "", "dut")
        salt: str = ConfigDB().get(self, "", "salt")
        seed = f"{cocotb.RANDOM_SEED} {salt}"
        self.rng = random.Random(f"environment {seed}")
        self.harness = PinsHarness(dut, seed, memory=HostMemory(placement=random.Random(f"place {seed}")))  # type: ignore[arg-type]
        for name in ("harness", "rng"):
            ConfigDB().set(self, "*", name, getattr(self, name))
        self.bar = BarAgent("bar", self)
        self.memory = MemoryAgent("memory", self)
        self.wire_in = WireInAgent("wire_in", self)
        self.wire_out = WireOutAgent("wire_out", self)
        self.msix = MsixAgent("msix", self)
        self.host = Host("host", self)
        self.scoreboard = NicScoreboard("scoreboard", self)

    def connect_phase(self) -> None:
        for name in ("bar", "memory", "wire_in", "wire_out", "msix"):
            listener = getattr(self.scoreboard, name)
            getattr(self, name).monitor.ap.connect(listener.analysis_export)
        self.bus = SequencerBus(self.bar.sequencer, self.harness)
        self.host.attach(self.bus, self.scoreboard.rings)

    async def guard(self) -> None:
        """For ever: raise on anything wrong, or when nothing has moved for a long time."""
        board, loop = self.scoreboard, self.harness.loop
        last, since = -1, loop.cycle
        while True:
            await self.host.scene.cycles(CHECK_CYCLES)
            board.check()
            moved = board.judge.exact.total() + board.judge.delivered.total()
            if moved != last:
                last, since = moved, loop.cycle
            assert loop.cycle - since < STUCK_CYCLES, (
                f"nothing moves: {board.rings.state()}; {self.host.state()}"
            )

    async def quiet(self) -> None:
        """Wait until nothing moves any more."""
        await self.host.drain()
        judge, loop = self.scoreboard.judge, self.harness.loop
        last, since, start = -1, loop.cycle, loop.cycle
        while loop.cycle - since < QUIET_CYCLES or not self.harness.idle:
            await self.host.scene.cycles(50)
            self.scoreboard.check()
            moved = judge.exact.total() + self.scoreboard.rings.counts.total()
            if moved != last:
                last, since = moved, loop.cycle
            assert loop.cycle - start < PATIENCE_CYCLES, f"never quiet: {self.scoreboard.rings.state()}"

    async def verdict(self) -> dict[str, int]:
        """Quiet, then everything compared with the device's counters; returns those."""
        await self.quiet()
        device, judge = self.host.device, self.scoreboard.judge
        judge.cycle = self.harness.loop.cycle
        stats = await device.statistics()
        cocotb.log.info("%s", {name: value for name, value in stats.items() if value})
        queues = {q: await device.queue_statistics(q) for q in range(2 * self.host.pairs)}
        self.scoreboard.check()
        judge.finish(stats, queues)
        self.scoreboard.coverage.statistics(stats)
        waits = sum(agent.driver.waits for agent in self.host.transmit)
        self.scoreboard.coverage.hit("pressure", "ring full", waits)
        return stats
