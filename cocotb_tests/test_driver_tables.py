# SPDX-License-Identifier: Apache-2.0
"""The driver's table managers against the tables' RTL alone: filled until full, looked up all the while.

The look-ups know only which flows are established and where they go; no hash, no slot.
"""

import random
from collections import Counter, deque
from collections.abc import Collection
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.conftest import RunBench
from cocotb_tests.model.steer_model import ANY, FLOW, LISTENER, NONE, Answer, Tuple
from cocotb_tests.test_tables import SOURCES
from driver.bus import DmaRegion
from driver.errors import TableFull
from driver.steering import TO_DROP, TO_HOST, FlowKey, Found, ListenerKey, Steering, to_queue

LATENCY = 4
CHURN = 300
TIMEOUT = {"timeout_time": 40, "timeout_unit": "ms"}


class TablesBus:
    """driver.bus.Bus straight to the registers of tupelo_tables; look-ups on the receive port beside it."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.wanted: dict[Tuple, tuple[int, int, int]] = {}  # established: match, target, pair
        self.unsettled: set[Tuple] = set()  # being changed just now
        self.asked: Counter[Tuple] = Counter()
        self.run = True
        self._clk = RisingEdge(dut.clk)
        self._pins, self._data = writer(dut.bus_i), reader(dut.rd_data_o)

    async def start(self) -> None:
        for name in ("bus_i", "rx_valid", "rx_tuple", "tx_valid", "tx_tuple"):
            getattr(self.dut, name).value = 0
        self.dut.rst.value = 1
        Clock(self.dut.clk, 4, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        cocotb.start_soon(self._lookups())

    async def write(self, offset_bytes: int, value: int, width_bytes: int = 4) -> None:
        self._pins(1 << 73 | offset_bytes << 55 | value << 23 | 15 << 19)
        await self._clk
        self._pins(0)

    async def read(self, offset_bytes: int, width_bytes: int = 4) -> int:
        self._pins(1 << 18 | offset_bytes)
        await self._clk
        self._pins(0)
        await self._clk
        return int(self._data())

    def now_ns(self) -> int:
        return 0

    def dma_alloc(self, size_bytes: int, align_bytes: int = 64) -> DmaRegion:
        raise NotImplementedError

    def dma_free(self, region: DmaRegion) -> None:
        raise NotImplementedError

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        raise NotImplementedError

    async def _lookups(self) -> None:
        """Two cycles of three ask for an established tuple; the answer is judged by what was then wanted."""
        dut = self.dut
        valid, result = reader(dut.rx_result_valid), reader(dut.rx_result)
        put_valid, put_tuple = writer(dut.rx_valid), writer(dut.rx_tuple)
        line: deque[tuple[Tuple, tuple[int, int, int]] | None] = deque([None] * LATENCY)
        asked: tuple[Tuple, tuple[int, int, int]] | None = None
        while True:
            await self._clk
            line.append(asked)
            due = line.popleft()
            assert bool(valid()) == (due is not None)
            if due is not None:
                got = Answer.unpack(result())
                found = (got.match, got.target, got.pair)
                fits = found in (due[1], self.wanted.get(due[0], (NONE, 0, 0)))
                assert fits or due[0] in self.unsettled, f"{due[0]}: {got}, not {due[1]}"
            asked = None
            if self.run and self.wanted and self.rng.random() < 0.66:
                key = self.rng.choice(list(self.wanted))
                asked = (key, self.wanted[key])
                self.asked[key] += 1
                put_tuple(key.packed())
            put_valid(int(asked is not None))


def tuple_of(key: FlowKey) -> Tuple:
    ends = (int(key.local), int(key.remote), key.local_port, key.remote_port)
    return Tuple(int(key.local.version == 6), key.proto, *ends)


def random_flow(rng: random.Random) -> FlowKey:
    width = rng.choice((4, 16))
    return FlowKey.of(
        rng.choice((6, 17)),
        rng.randbytes(width),
        rng.getrandbits(16),
        rng.randbytes(width),
        rng.getrandbits(16),
    )


@cocotb.test(**TIMEOUT)
async def driver_fills_and_churns_the_tables(dut: Any) -> None:
    """Insert until it is full, then redirect, delete and insert; all look-ups are right, hits exact."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bus = TablesBus(dut, random.Random(rng.random()))
    await bus.start()
    steering = await Steering.attach(bus, state=Found.EMPTY)
    await steering.enable()
    handles: dict[FlowKey, Any] = {}

    async def insert() -> None:
        key, pair = random_flow(rng), rng.randrange(64)
        handles[key] = await steering.flows.insert(key, to_queue(pair))
        bus.wanted[tuple_of(key)] = (FLOW, 0, pair)

    full = 0
    try:
        while True:
            await insert()
    except TableFull:
        full = len(steering.flows)
    assert full >= 0.9 * steering.flows.capacity and steering.flows.moves > 0
    for _ in range(CHURN):
        key = rng.choice(list(handles))
        where = tuple_of(key)
        action = rng.choice((TO_DROP, TO_HOST, to_queue(rng.randrange(64))))
        bus.unsettled.add(where)
        await steering.flows.redirect(handles[key], action)
        bus.wanted[where] = (FLOW, int(action.target), action.pair)
        gone = rng.choice(list(handles))
        bus.unsettled.add(tuple_of(gone))
        del bus.wanted[tuple_of(gone)]
        await ClockCycles(dut.clk, LATENCY + 2)
        count = bus.asked.pop(tuple_of(gone), 0)
        assert await steering.flows.hits(handles[gone]) == count
        await steering.flows.delete(handles.pop(gone))
        bus.unsettled.clear()
        try:
            await insert()
        except TableFull:
            assert len(steering.flows) >= 0.9 * steering.flows.capacity
    bus.run = False
    await ClockCycles(dut.clk, LATENCY + 2)
    for key, handle in handles.items():
        assert await steering.flows.hits(handle) == bus.asked[tuple_of(key)]
    again = await Steering.attach(bus, state=Found.REBUILD, verify=True)
    assert set(again.flows) == set(steering.flows)


@cocotb.test(**TIMEOUT)
async def driver_sets_listeners_and_addresses(dut: Any) -> None:
    """Own address before any address, any only for local addresses; both families."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bus = TablesBus(dut, random.Random(rng.random()))
    await bus.start()
    steering = await Steering.attach(bus, state=Found.CLEAR, verify=True)
    await steering.enable()
    for text, six in (("10.0.0.1", False), ("2001:db8::1", True)):
        key = FlowKey.of(6, text, 80, text, 9)
        both = await steering.listeners.insert(ListenerKey.of(6, None, 80, ipv6=six), to_queue(5))
        bus.wanted[tuple_of(key)] = (NONE, 0, 0)
        await ClockCycles(dut.clk, 50)
        bus.unsettled.add(tuple_of(key))
        await steering.locals.add(text)
        bus.wanted[tuple_of(key)] = (ANY, 0, 5)
        bus.unsettled.clear()
        await ClockCycles(dut.clk, 50)
        bus.unsettled.add(tuple_of(key))
        own = await steering.listeners.insert(ListenerKey.of(6, text, 80), TO_DROP)
        bus.wanted[tuple_of(key)] = (LISTENER, 2, 0)
        bus.unsettled.clear()
        await ClockCycles(dut.clk, 50)
        assert await steering.listeners.hits(own) > 0 and await steering.listeners.hits(both) > 0


CASES = ["driver_fills_and_churns_the_tables", "driver_sets_listeners_and_addresses"]


@pytest.mark.sim
def test_driver_tables(run_bench: RunBench) -> None:
    run_bench("tupelo_tables", CASES, sources=SOURCES, FLOWS=512, LISTENERS=64)
