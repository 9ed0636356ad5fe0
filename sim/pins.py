# SPDX-License-Identifier: Apache-2.0
"""The verification harness: every pin of tupelo_nic driven and watched from Python, the driver unchanged.

    harness = PinsHarness(dut, seed=cocotb.RANDOM_SEED)
    await harness.start()
    nic = TupeloNic(harness)

`PinsHarness` is the driver's `Bus`; `harness.wire` is the other end. Latency, stalls, disorder and errors
are knobs that may be turned at any moment: `memory.knobs`, `wire.knobs`, `msix.knobs`, `bar.stall`.
"""

import random
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import ClockCycles, Event, First, Timer

from cocotb_tests.agents.axi_memory import AxiMemory, MemoryKnobs
from cocotb_tests.agents.axi_monitor import AxiMonitor, axi_bus
from cocotb_tests.agents.axis import WireKnobs, WireSink, WireSource
from cocotb_tests.agents.bar import BarMaster, BarMonitor
from cocotb_tests.agents.base import ClockLoop, Violations
from cocotb_tests.agents.msix import MsixKnobs, MsixSink
from driver.bus import DmaRegion
from driver.registers import COMMON
from sim.memory import HostMemory

CLOCK_NS = 4
RESET_CYCLES = 8
QUEUES_MAX = 128
MSIX_ADDRESS_BASE = 0xFEE0_0000
DEFAULT_MAC = bytes.fromhex("020000000001")
DEFAULT_MTU = 1500


class PinsWire:
    """The wire as the pins show it: frames in and out as bytes, or a loop from transmit to receive."""

    def __init__(self, source: WireSource, sink: WireSink, knobs: WireKnobs) -> None:
        self.source = source
        self.sink = sink
        self.knobs = knobs
        self.loopback = False
        sink.on_frame.append(self._on_frame)

    def send(self, frames: Sequence[bytes], bad: bool = False) -> None:
        """Queue frames into the NIC, without FCS; bad ones end with tuser."""
        for frame in frames:
            self.source.send(frame, bad)

    def take(self) -> list[bytes]:
        """Return and forget the frames that came out of the NIC (none in loopback)."""
        frames = list(self.sink.frames)
        self.sink.frames.clear()
        self.sink.arrived.clear()
        return frames

    async def wait(self, timeout_ns: int | None = None) -> bool:
        """Wait until `take` would return something; False on timeout."""
        if not self.sink.frames:
            self.sink.arrived.clear()
            await _either(self.sink.arrived, timeout_ns)
        return bool(self.sink.frames)

    def _on_frame(self, frame: bytes) -> None:
        if self.loopback:
            self.sink.frames.pop()
            self.source.send(frame)


class PinsHarness:
    """tupelo_nic with an agent on each interface; implements driver.bus.Bus."""

    # Who wants to know of each harness, before it starts; cocotb_tests.audit.
    on_start: ClassVar[list[Callable[["PinsHarness"], None]]] = []

    def __init__(
        self,
        dut: Any,
        seed: int,
        *,
        memory: HostMemory | None = None,
        knobs: MemoryKnobs | None = None,
        mac: bytes = DEFAULT_MAC,
        mtu: int = DEFAULT_MTU,
    ) -> None:
        self.dut = dut
        self.data_w = len(dut.m_axi_wdata)
        self.violations = Violations()
        self.host = HostMemory() if memory is None else memory

        def rng(name: str) -> random.Random:  # of its own, so that one agent's use does not shift another's
            return random.Random(f"{seed} {name}")

        bus = axi_bus(dut)
        wire_knobs = WireKnobs()
        self.monitor = AxiMonitor(bus, self.data_w, QUEUES_MAX, self.violations)
        self.memory = AxiMemory(bus, self.data_w, self.host, rng("axi"), knobs or MemoryKnobs())
        self.bar_monitor = BarMonitor(dut, self.violations)
        source = WireSource(dut, self.data_w, rng("source"), wire_knobs)
        sink = WireSink(dut, self.data_w, rng("sink"), wire_knobs, self.violations)
        self.wire = PinsWire(source, sink, wire_knobs)
        self.msix = MsixSink(dut, rng("msix"), MsixKnobs(), self.violations)
        self.msix.on_message.append(self._on_message)
        self.loop = ClockLoop(dut.clk, self.violations)
        # Monitors first: what they publish is then known before an agent acts on the same edge.
        self.loop.add(self.monitor, self.bar_monitor, self.memory, source, sink, self.msix)
        self.bar: BarMaster
        self._mac, self._mtu = mac, mtu
        self._fired: set[int] = set()
        self._waiters: list[tuple[frozenset[int], Event]] = []

    async def start(self) -> None:
        """Start the clock, pulse rst, start the agents. Once in a test."""
        for listener in self.on_start:
            listener(self)
        dut = self.dut
        dut.rst.value = 1
        dut.mac_addr_i.value = int.from_bytes(self._mac, "little")
        dut.mtu_i.value = self._mtu
        dut.link_up_i.value = 1
        Clock(dut.clk, CLOCK_NS, unit="ns").start()
        self.bar = BarMaster(dut)
        await ClockCycles(dut.clk, RESET_CYCLES)
        dut.rst.value = 0
        cocotb.start_soon(self.loop.run())
        await ClockCycles(dut.clk, 2)
        self.monitor.queues = await self.read(COMMON.NUM_QUEUES.offset_bytes, 2)

    @property
    def idle(self) -> bool:
        """Whether no frame is under way on the wire side and no access on the memory side."""
        return self.memory.idle and self.wire.source.idle and not self.wire.sink.in_frame

    def check(self) -> None:
        """Raise ProtocolError if any rule of a bus was broken so far."""
        self.violations.check()

    # Bus ------------------------------------------------------------------------------------------------

    async def read(self, offset_bytes: int, width_bytes: int = 4) -> int:
        """Read 1, 2 or 4 bytes of the BAR; every earlier write is complete."""
        return await self.bar.read(offset_bytes, width_bytes)

    async def write(self, offset_bytes: int, value: int, width_bytes: int = 4) -> None:
        """Write 1, 2 or 4 bytes of the BAR, in order."""
        await self.bar.write(offset_bytes, value, width_bytes)

    def dma_alloc(self, size_bytes: int, align_bytes: int = 64) -> DmaRegion:
        """Give zeroed memory that the device may read and write."""
        return self.host.alloc(size_bytes, align_bytes)

    def dma_free(self, region: DmaRegion) -> None:
        """Take a region back; an access by the device after this is an error response."""
        self.host.free(region)

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        """Wait for any of the vectors; return and forget those that fired. An empty set is a timeout."""
        wanted = frozenset(vectors)
        if not self._fired & wanted and timeout_ns != 0:
            waiter = (wanted, Event())
            self._waiters.append(waiter)
            try:
                await _either(waiter[1], timeout_ns)
            finally:
                self._waiters.remove(waiter)
        got = frozenset(self._fired & wanted)
        self._fired -= got
        return got

    def now_ns(self) -> int:
        """Simulated time."""
        return round(get_sim_time("ns"))

    def _on_message(self, addr: int, data: int) -> None:
        if addr != MSIX_ADDRESS_BASE:
            self.violations.add("m_msix", f"message to {addr:#x}")
        self._fired.add(data)
        for wanted, event in self._waiters:
            if data in wanted:
                event.set()


async def _either(event: Event, timeout_ns: int | None) -> None:
    if timeout_ns is None:
        await event.wait()
    else:
        await First(event.wait(), Timer(timeout_ns, "ns"))
