# SPDX-License-Identifier: Apache-2.0
"""One uvm_agent for each interface of the NIC, over the agents in cocotb_tests/agents, which move the pins.

Those bind their pins with cocotb-bus (`cocotb_bus.bus.Bus`); the BAR's master is cocotbext-axi's. cocotb-bus
has AXI4 drivers too, but its memory slave knows neither latency nor disorder nor errors, and it has no
monitors for AXI4 and AXI4-Stream: there the project's own are used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import ClockCycles
from pyuvm import (
    ConfigDB,
    uvm_agent,
    uvm_analysis_port,
    uvm_component,
    uvm_driver,
    uvm_sequence,
    uvm_sequence_item,
    uvm_sequencer,
    uvm_subscriber,
)

from cocotb_tests.agents.bar import BarAccess
from sim.pins import PinsHarness


@dataclass(frozen=True, slots=True)
class Seen:
    """What a monitor publishes: a thing and the cycle at which the pins showed it."""

    cycle: int
    what: Any


class BarItem(uvm_sequence_item):
    """One access of the BAR; `value` is what is written, or what was read."""

    def __init__(self, write: bool, offset_bytes: int, value: int = 0, width_bytes: int = 4) -> None:
        super().__init__("bar")
        self.write, self.offset_bytes, self.value, self.width_bytes = write, offset_bytes, value, width_bytes


class FrameItem(uvm_sequence_item):
    """A frame into the NIC, some cycles after the one before; bad ones end with tuser."""

    def __init__(self, octets: bytes, bad: bool = False, gap_cycles: int = 0) -> None:
        super().__init__("frame")
        self.octets, self.bad, self.gap_cycles = octets, bad, gap_cycles


class KnobItem(uvm_sequence_item):
    """How an agent that answers shall behave from now on (fields of its knobs), for some cycles."""

    def __init__(self, cycles: int = 0, **knobs: float) -> None:
        super().__init__("knobs")
        self.cycles, self.knobs = cycles, knobs


class OneItem(uvm_sequence):
    """A sequence of one item."""

    def __init__(self, item: uvm_sequence_item) -> None:
        super().__init__("one")
        self.item = item

    async def body(self) -> None:
        await self.start_item(self.item)
        await self.finish_item(self.item)


class PinsMonitor(uvm_component):
    """Publishes what the pin agent's listeners hear."""

    def build_phase(self) -> None:
        self.ap = uvm_analysis_port("ap", self)
        self.harness: PinsHarness = ConfigDB().get(self, "", "harness")

    def say(self, what: Any) -> None:
        self.ap.write(Seen(self.harness.loop.cycle, what))


class PinsDriver(uvm_driver):
    """Carries out items one after the other."""

    def build_phase(self) -> None:
        super().build_phase()
        self.harness: PinsHarness = ConfigDB().get(self, "", "harness")

    async def run_phase(self) -> None:
        while True:
            item = await self.seq_item_port.get_next_item()
            await self.carry_out(item)
            self.seq_item_port.item_done()

    async def carry_out(self, item: Any) -> None:
        """Override."""
        raise NotImplementedError

    async def cycles(self, count: int) -> None:
        if count:
            await ClockCycles(self.harness.dut.clk, count)


class PinsAgent(uvm_agent):
    """Sequencer, driver and monitor of one interface; passive: the monitor alone."""

    driver_type: type[PinsDriver]
    monitor_type: type[PinsMonitor]

    def build_phase(self) -> None:
        super().build_phase()
        self.monitor = self.monitor_type("monitor", self)
        if self.active():
            self.sequencer = uvm_sequencer("sequencer", self)
            self.driver = self.driver_type("driver", self)

    def connect_phase(self) -> None:
        if self.active():
            self.driver.seq_item_port.connect(self.sequencer.seq_item_export)


# AXI4-Lite ----------------------------------------------------------------------------------------------


class BarDriver(PinsDriver):
    async def carry_out(self, item: BarItem) -> None:
        if item.write:
            await self.harness.write(item.offset_bytes, item.value, item.width_bytes)
        else:
            item.value = await self.harness.read(item.offset_bytes, item.width_bytes)


class BarMonitor(PinsMonitor):
    """Each completed access as a BarAccess."""

    def connect_phase(self) -> None:
        self.harness.bar_monitor.on_access.append(self.say)


class BarAgent(PinsAgent):
    """The BAR."""

    driver_type, monitor_type = BarDriver, BarMonitor


# AXI4 host memory ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MemoryAccess:
    """A read as asked for (no data), or a write as it becomes visible."""

    write: bool
    addr: int
    size: int
    queue: int
    resp: int
    data: bytes = b""
    strobes: int = 0


class MemoryDriver(PinsDriver):
    """Turns the responder's knobs: latency, jitter, stalls, disorder, errors."""

    async def carry_out(self, item: KnobItem) -> None:
        for name, value in item.knobs.items():
            setattr(self.harness.memory.knobs, name, value)
        await self.cycles(item.cycles)


class MemoryMonitor(PinsMonitor):
    def connect_phase(self) -> None:
        self.harness.memory.on_read.append(self._read)
        self.harness.memory.on_write.append(self._write)

    def _read(self, addr: int, size: int, queue: int, resp: int) -> None:
        self.say(MemoryAccess(False, addr, size, queue, resp))

    def _write(self, addr: int, data: bytes, strobes: int, queue: int, resp: int) -> None:
        self.say(MemoryAccess(True, addr, len(data), queue, resp, data, strobes))


class MemoryAgent(PinsAgent):
    """Host memory: the responder runs by itself, items change how."""

    driver_type, monitor_type = MemoryDriver, MemoryMonitor


# The wire -----------------------------------------------------------------------------------------------


class WireInDriver(PinsDriver):
    async def carry_out(self, item: FrameItem) -> None:
        await self.cycles(item.gap_cycles)
        self.harness.wire.send([item.octets], item.bad)
        while not self.harness.wire.source.idle:
            await self.cycles(1)


class WireInMonitor(PinsMonitor):
    """Whole frames as (octets, bad)."""

    def connect_phase(self) -> None:
        self.harness.wire.source.on_frame.append(lambda octets, bad: self.say((octets, bad)))


class WireInAgent(PinsAgent):
    """From the wire into the NIC."""

    driver_type, monitor_type = WireInDriver, WireInMonitor


class WireOutDriver(PinsDriver):
    """Back-pressure of the wire (and pauses inside frames into the NIC: they share their knobs)."""

    async def carry_out(self, item: KnobItem) -> None:
        for name, value in item.knobs.items():
            setattr(self.harness.wire.knobs, name, value)
        await self.cycles(item.cycles)


class WireOutMonitor(PinsMonitor):
    """Whole frames as octets."""

    def connect_phase(self) -> None:
        self.harness.wire.sink.on_frame.append(self.say)


class WireOutAgent(PinsAgent):
    """From the NIC to the wire."""

    driver_type, monitor_type = WireOutDriver, WireOutMonitor


# Interrupts ---------------------------------------------------------------------------------------------


class MsixDriver(PinsDriver):
    async def carry_out(self, item: KnobItem) -> None:
        for name, value in item.knobs.items():
            setattr(self.harness.msix.knobs, name, value)
        await self.cycles(item.cycles)


class MsixMonitor(PinsMonitor):
    """Messages as (address, data)."""

    def connect_phase(self) -> None:
        self.harness.msix.on_message.append(lambda addr, data: self.say((addr, data)))


class MsixAgent(PinsAgent):
    """MSI-X messages."""

    driver_type, monitor_type = MsixDriver, MsixMonitor


class Listener(uvm_subscriber):
    """A subscriber that calls a function."""

    def __init__(self, name: str, parent: uvm_component, hear: Callable[[Seen], None]) -> None:
        super().__init__(name, parent)
        self._hear = hear

    def write(self, tt: Seen) -> None:
        self._hear(tt)


__all__ = [
    "BarAccess", "BarAgent", "BarItem", "FrameItem", "KnobItem", "Listener", "MemoryAccess", "MemoryAgent",
    "MsixAgent", "OneItem", "Seen", "WireInAgent", "WireOutAgent",
]  # fmt: skip
