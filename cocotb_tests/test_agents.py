# SPDX-License-Identifier: Apache-2.0
"""The agents themselves: each monitor can fail, and host memory keeps exactly the promises that it makes."""

import random
from collections import deque
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.axi_memory import DECERR, OKAY, SLVERR, AxiMemory, MemoryKnobs
from cocotb_tests.agents.axi_monitor import PINS, AxiMonitor, axi_bus
from cocotb_tests.agents.axis import WireKnobs, WireSink, WireSource
from cocotb_tests.agents.base import ClockLoop, Stall, Violations
from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.agents.msix import MsixKnobs, MsixSink
from cocotb_tests.conftest import RunBench
from sim.memory import HostMemory

SOURCE = "cocotb_tests/hdl/pins_only.sv"
DATA_W, BEAT = 128, 16
TIMEOUT = {"timeout_time": 4, "timeout_unit": "ms"}


class Pins:
    """The device's part of the pins, in the test's hands."""

    def __init__(self, dut: Any, knobs: MemoryKnobs | None = None) -> None:
        self.dut = dut
        self.violations = Violations()
        self.host = HostMemory()
        self.region = self.host.alloc(4096, 4096)
        rng = random.Random(cocotb.RANDOM_SEED)
        bus = axi_bus(dut)
        self.monitor = AxiMonitor(bus, DATA_W, 4, self.violations)
        self.memory = AxiMemory(bus, DATA_W, self.host, rng, knobs or MemoryKnobs(latency_cycles=3))
        self.sink = WireSink(dut, DATA_W, rng, WireKnobs(), self.violations)
        self.source = WireSource(dut, DATA_W, rng, WireKnobs())
        self.msix = MsixSink(dut, rng, MsixKnobs(), self.violations)
        self.loop = ClockLoop(dut.clk, self.violations)
        self.loop.add(self.monitor, self.memory, self.sink, self.source, self.msix)
        self.get = {pin: reader(getattr(bus, pin)) for pin in PINS}

    async def start(self) -> None:
        for name in dir(self.dut):
            if name.endswith(("valid", "ready", "lock", "user", "len", "last")) and name[0] in "ms":
                getattr(self.dut, name).value = 0
        self.dut.m_axi_arsize.value = self.dut.m_axi_awsize.value = 4
        self.dut.m_axi_arburst.value = self.dut.m_axi_awburst.value = 1
        self.dut.m_axi_rready.value = self.dut.m_axi_bready.value = 1
        Clock(self.dut.clk, 4, unit="ns").start()
        cocotb.start_soon(self.loop.run())
        await ClockCycles(self.dut.clk, 4)

    def set(self, **pins: int) -> None:
        for name, value in pins.items():
            writer(getattr(self.dut, name))(value)

    async def edge(self, count: int = 1) -> None:
        await ClockCycles(self.dut.clk, count)

    async def fire(self, channel: str, **pins: int) -> None:
        """Hold one transfer until it is taken."""
        self.set(**{f"m_axi_{name}": value for name, value in pins.items()}, **{f"m_axi_{channel}valid": 1})
        while True:
            await RisingEdge(self.dut.clk)
            if self.get[f"{channel}ready"]():
                break
        self.set(**{f"m_axi_{channel}valid": 0})

    async def write(self, addr: int, data: bytes, axi_id: int = 0, strobes: int | None = None) -> None:
        """One burst, address first."""
        beats = -(-len(data) // BEAT)
        await self.fire("aw", awaddr=addr, awlen=beats - 1, awid=axi_id, awuser=axi_id & 0x7F)
        for n in range(beats):
            part = data[n * BEAT : (n + 1) * BEAT]
            mask = (1 << len(part)) - 1 if strobes is None else strobes
            word = int.from_bytes(part, "little")
            await self.fire("w", wdata=word, wstrb=mask, wlast=int(n + 1 == beats))


async def breach(pins: Pins, name: str) -> None:
    """Break one rule on purpose."""
    base = pins.region.iova
    match name:
        case "valid_falls":
            pins.memory.knobs.stall = 1.0
            await pins.edge(2)
            pins.set(m_axi_arvalid=1, m_axi_araddr=base)
            await pins.edge(2)
            pins.set(m_axi_arvalid=0)
        case "payload_changes":
            pins.memory.knobs.stall = 1.0
            await pins.edge(2)
            pins.set(m_axi_awvalid=1, m_axi_awaddr=base)
            await pins.edge(2)
            pins.set(m_axi_awaddr=base + 16)
        case "crosses_256":
            await pins.fire("ar", araddr=base + 240, arlen=1)
        case "unaligned":
            await pins.fire("ar", araddr=base + 8, arlen=0)
        case "narrow":
            await pins.fire("ar", araddr=base, arsize=2)
        case "fixed_burst":
            await pins.fire("aw", awaddr=base, awburst=0)
        case "no_such_queue":
            await pins.fire("ar", araddr=base, aruser=9)
        case "wlast_early":
            await pins.fire("aw", awaddr=base, awlen=3)
            await pins.fire("w", wlast=1)
        case "wlast_late":
            await pins.fire("aw", awaddr=base, awlen=0)
            await pins.fire("w", wlast=0)
        case "write_id_of_another_queue":
            await pins.fire("aw", awaddr=base, awid=1, awuser=2)
        case "wire_underrun":
            pins.set(m_axis_tx_tvalid=1, m_axis_tx_tkeep=0xFFFF, m_axis_tx_tlast=0)
            await pins.edge(1)
            pins.set(m_axis_tx_tvalid=0)
        case "wire_keep_with_hole":
            pins.set(m_axis_tx_tvalid=1, m_axis_tx_tkeep=0xF0FF, m_axis_tx_tlast=1)
        case "wire_short_beat_inside":
            pins.set(m_axis_tx_tvalid=1, m_axis_tx_tkeep=0x00FF, m_axis_tx_tlast=0)
        case "message_changes":
            pins.msix.knobs.stall = 1.0
            await pins.edge(2)
            pins.set(m_msix_valid=1, m_msix_data=1)
            await pins.edge(3)
            pins.set(m_msix_data=2)
    await pins.edge(4)


BREACHES = (
    *("valid_falls", "payload_changes", "crosses_256", "unaligned", "narrow", "fixed_burst", "no_such_queue"),
    *("wlast_early", "wlast_late", "write_id_of_another_queue"),
    *("wire_underrun", "wire_keep_with_hole", "wire_short_beat_inside", "message_changes"),
)


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(name=[cocotb.Param(name, name) for name in BREACHES])
async def breach_is_recorded(dut: Any, name: str) -> None:
    """Exactly the broken rule is in the list."""
    pins = Pins(dut)
    await pins.start()
    assert not pins.violations.seen
    await breach(pins, name)
    assert pins.violations.seen, f"{name} was not seen"


@cocotb.test(**TIMEOUT)
async def writes_of_one_id_show_in_order(dut: Any) -> None:
    """With random latency, memory shows writes of one ID in order; across IDs it need not."""
    pins = Pins(dut, MemoryKnobs(latency_cycles=20, jitter_cycles=200))
    await pins.start()
    seen: dict[int, list[int]] = {1: [], 2: []}
    order: list[int] = []

    def listen(addr: int, data: bytes, strobes: int, queue: int, resp: int) -> None:
        seen[queue].append(addr)
        order.append(addr)

    pins.memory.on_write.append(listen)
    addresses = [pins.region.iova + 16 * n for n in range(100)]
    for n, addr in enumerate(addresses):
        await pins.write(addr, bytes([n]) * 16, 1 + n % 2)
    while not pins.memory.idle:
        await pins.edge(10)
    assert seen[1] == addresses[0::2] and seen[2] == addresses[1::2]
    assert order != addresses, "nothing overtook anything: this tested nothing"
    assert pins.region.view[:1600].tobytes() == b"".join(bytes([n]) * 16 for n in range(100))
    pins.violations.check()


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(stall=[0.0, 0.4], interleave=[0.0, 0.7])
async def reads_return_memory_whatever_the_order(dut: Any, stall: float, interleave: float) -> None:
    """Bursts of many IDs, interleaved and out of order: each gets its own bytes, in order within its ID."""
    pins = Pins(dut, MemoryKnobs(latency_cycles=5, jitter_cycles=60, stall=stall, interleave=interleave))
    await pins.start()
    pins.region.view[:] = [(7 * n + n // 256) % 256 for n in range(4096)]
    expected: dict[int, deque[tuple[bytes, bool]]] = {}
    rng = random.Random(cocotb.RANDOM_SEED)
    left = 0

    async def collect() -> None:
        nonlocal left
        get = pins.get
        while True:
            await RisingEdge(dut.clk)
            if get["rvalid"]() and get["rready"]():
                data, last = expected[get["rid"]()].popleft()
                assert get["rdata"]().to_bytes(BEAT, "little") == data and bool(get["rlast"]()) == last
                left -= 1

    collector = cocotb.start_soon(collect())
    for _ in range(150):
        beats, axi_id = rng.randint(1, 16), rng.randrange(6)
        addr = 256 * rng.randrange(16) + BEAT * rng.randint(0, 16 - beats)
        octets = pins.region.view[addr : addr + beats * BEAT].tobytes()
        queue = expected.setdefault(axi_id, deque())
        queue.extend((octets[BEAT * n : BEAT * (n + 1)], n + 1 == beats) for n in range(beats))
        left += beats
        await pins.fire("ar", araddr=pins.region.iova + addr, arlen=beats - 1, arid=axi_id)
    while left:
        await pins.edge(10)
    collector.cancel()
    pins.violations.check()


@cocotb.test(**TIMEOUT)
async def reads_of_one_id_keep_their_turn(dut: Any) -> None:
    """Without jitter data comes in the order of the addresses, also the next read of the same ID."""
    pins = Pins(dut, MemoryKnobs(latency_cycles=5))
    await pins.start()
    asked = [0 if n % 2 else 1 + n for n in range(40)]
    answered: list[int] = []

    async def collect() -> None:
        while True:
            await RisingEdge(dut.clk)
            if pins.get["rvalid"]() and pins.get["rready"]() and pins.get["rlast"]():
                answered.append(pins.get["rid"]())

    collector = cocotb.start_soon(collect())
    for axi_id in asked:
        await pins.fire("ar", araddr=pins.region.iova, arlen=15, arid=axi_id)
    assert len(answered) < len(asked) // 2, "nothing waited: this tested nothing"
    while len(answered) < len(asked):
        await pins.edge(10)
    collector.cancel()
    assert answered == asked
    pins.violations.check()


@cocotb.test(**TIMEOUT)
async def accesses_outside_memory_are_errors(dut: Any) -> None:
    """DECERR with address and queue in the log; injected errors are SLVERR; strobes decide."""
    pins = Pins(dut)
    await pins.start()
    small = pins.host.alloc(20, 64)
    resps: list[int] = []

    async def answers() -> None:
        while True:
            await RisingEdge(dut.clk)
            if pins.get["bvalid"]():
                resps.append(pins.get["bresp"]())

    watcher = cocotb.start_soon(answers())
    await pins.write(small.iova, b"a" * 16)
    await pins.write(small.iova + 16, b"b" * 16, strobes=0x000F)
    await pins.write(small.iova + 16, b"c" * 16, strobes=0x001F)
    await pins.write(0x1000, b"d" * 16, axi_id=3)
    await pins.edge(2)  # how the one before ends has been settled
    pins.memory.fault = lambda kind, addr, size, queue: True
    await pins.write(small.iova, b"e" * 16)
    await pins.edge(40)
    watcher.cancel()
    assert sorted(resps) == [OKAY, OKAY, SLVERR, DECERR, DECERR]
    assert small.view.tobytes() == b"a" * 16 + b"b" * 4
    logged = [(bad.addr_bus, bad.queue, bad.resp) for bad in pins.memory.bad_accesses]
    assert logged == [(small.iova + 16, 0, DECERR), (0x1000, 3, DECERR), (small.iova, 0, SLVERR)]


@cocotb.test(**TIMEOUT)
async def source_frames_reach_the_pins(dut: Any) -> None:
    """Frames with random gaps: the beats on the pins are the frames', bad ones flagged at their end."""
    pins = Pins(dut)
    await pins.start()
    pins.source.knobs.gap = 0.4
    dut.s_axis_rx_tready.value = 1
    frames = [(bytes([n]) * n, bool(n % 3 == 0)) for n in range(1, 60)]
    for frame, bad in frames:
        pins.source.send(frame, bad)
    got, octets = [], b""
    while len(got) < len(frames):
        await RisingEdge(dut.clk)
        if dut.s_axis_rx_tvalid.value:
            size = int(dut.s_axis_rx_tkeep.value).bit_length()
            octets += int(dut.s_axis_rx_tdata.value).to_bytes(BEAT, "little")[:size]
            if dut.s_axis_rx_tlast.value:
                got.append((octets, bool(dut.s_axis_rx_tuser.value)))
                octets = b""
    assert got == frames


def test_stall_pauses_as_often_as_asked() -> None:
    never, often = Stall(random.Random(1)), Stall(random.Random(1), chance=0.5, longest=4)
    assert all(never.go() for _ in range(100))
    assert 200 < sum(often.go() for _ in range(1000)) < 700


@pytest.mark.sim
def test_agents(run_bench: RunBench) -> None:
    run_bench("pins_only", sources=[SOURCE], DATA_W=DATA_W)
