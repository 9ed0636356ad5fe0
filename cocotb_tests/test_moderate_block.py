# SPDX-License-Identifier: Apache-2.0
"""tupelo_moderate alone: every wish for an interrupt is sent in time, joined to one that is sent, or
forgotten with its queue; and one of a queue without moderation in its own cycle.
"""

import random
from collections import Counter
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.block_pins import BlockPins, bus_write
from cocotb_tests.conftest import RunBench
from driver.registers import MODERATION

TIMEOUT = {"timeout_time": 10, "timeout_unit": "ms"}
SOURCES = ("rtl/tupelo_regs_pkg.sv", "rtl/tupelo_axil_pkg.sv", "rtl/tupelo_moderate.sv")
INPUTS = ("cfg_rst", "bus_i", "active_i", "s_valid", "s_queue", "s_vector", "s_count", "m_ready")
OUTPUTS = ("rd_data_o", "s_ready", "m_valid", "m_queue", "m_vector", "merged_o", "waiting_o")
UNIT = 64  # cycles
SETTINGS = ((0, 0), (300, 1), (3, 10), (1, 5), (20, 3))  # count and time


class Queue:
    """What the model knows of one virtqueue."""

    def __init__(self) -> None:
        self.count = self.time = 0
        self.held = 0  # used descriptors that are held
        self.vector = 0
        self.since = 0  # cycle of the first of them
        self.limit = 0  # setting of `time` then

    @property
    def on(self) -> bool:
        return self.count > 1 and self.time > 0


class Moderate(BlockPins):
    """The block and its model: each cycle what goes in and what comes out is compared."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut, INPUTS, OUTPUTS)
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.n = len(dut.active_i)
        self.queues = [Queue() for _ in range(self.n)]
        self.active = (1 << self.n) - 1
        self.seen: Counter[str] = Counter()
        self.cycle = 0
        self.wish: tuple[int, int, int] | None = None
        self.stalled: tuple[int, int] | None = None
        self.slack = UNIT + 2 * self.n + 8  # a timer is checked once a round, and waits while others send

    async def begin(self) -> None:
        await self.start()
        self.put["active_i"](self.active)

    async def step(self, wish: tuple[int, int, int] | None = None, ready: int = 1) -> None:
        """One cycle: offer a wish (queue, vector, count) unless one is still offered; then compare."""
        put, get = self.put, self.get
        if self.wish is None and wish is not None:
            self.wish = wish
            for name, value in zip(("s_queue", "s_vector", "s_count"), wish, strict=True):
                put[name](value)
        put["s_valid"](int(self.wish is not None))
        put["m_ready"](ready)
        await FallingEdge(self.dut.clk)
        self.cycle += 1
        taken = self.wish if self.wish is not None and get["s_ready"]() else None
        sent = (get["m_queue"](), get["m_vector"]()) if get["m_valid"]() else None
        assert self.stalled is None or sent == self.stalled, f"{self.stalled} became {sent}"
        self.stalled = sent if sent and not ready else None
        self._compare(taken, sent if ready else None, bool(get["merged_o"]()))
        await RisingEdge(self.dut.clk)
        if taken:
            self.wish = None

    def _compare(
        self, taken: tuple[int, int, int] | None, sent: tuple[int, int] | None, merged: bool
    ) -> None:
        passed = False
        if taken:
            queue = self.queues[taken[0]]
            total = queue.held + taken[2]
            hold = queue.on and self.active >> taken[0] & 1 and total < queue.count
            assert merged == bool(queue.held), f"merged {merged} of queue {taken[0]} with {queue.held} held"
            self.seen["merged"] += merged
            self.seen["wishes"] += 1
            if hold:
                if not queue.held:
                    queue.since, queue.limit = self.cycle, queue.time * UNIT
                queue.held, queue.vector = total, taken[1]
            else:
                assert sent == taken[:2], f"queue {taken[0]} with {total} of {queue.count}: sent {sent}"
                queue.held, passed = 0, True
                self.seen["sent"] += 1
                self.seen["by count" if queue.on else "at once"] += 1
        else:
            assert not merged
        if sent and not passed:
            queue = self.queues[sent[0]]
            assert queue.held and sent[1] == queue.vector, f"spurious: {sent}"
            early = self.cycle - queue.since < queue.limit
            assert not (early and queue.on), f"queue {sent[0]} after {self.cycle - queue.since} cycles"
            queue.held = 0
            self.seen["sent"] += 1
            self.seen["by time"] += 1
        for number, queue in enumerate(self.queues):
            late = self.cycle - queue.since - queue.limit
            assert not queue.held or late <= self.slack or self.stalled, f"queue {number}: {late} late"

    async def setup(self, number: int, count: int, time: int) -> None:
        """Write both settings of a queue while the clock's other business goes on."""
        for reg, data in ((MODERATION.SELECT, number), (MODERATION.COUNT, count), (MODERATION.TIME, time)):
            self.put["bus_i"](bus_write(reg.offset_bytes, data))
            await self.step()
            self.put["bus_i"](0)
            if reg is MODERATION.COUNT:
                self.queues[number].count = count
            if reg is MODERATION.TIME:
                self.queues[number].time = time

    def random_wish(self) -> tuple[int, int, int]:
        number = self.rng.randrange(self.n)
        return number, self.rng.randrange(1 << 16), self.rng.choice((1, 1, 1, 2, 3, 8, 40))

    async def forget(self, number: int) -> None:
        """Reset a queue: what is held is gone, without an interrupt."""
        self.seen["forgotten"] += bool(self.queues[number].held)
        self.active &= ~(1 << number)
        self.put["active_i"](self.active)
        self.queues[number].held = 0
        await self.step()
        self.active |= 1 << number
        self.put["active_i"](self.active)

    def balance(self) -> None:
        held = sum(bool(queue.held) for queue in self.queues)
        gone = self.seen["sent"] + self.seen["merged"] + self.seen["forgotten"]
        assert self.seen["wishes"] == gone + held, dict(self.seen)
        assert bool(self.get["waiting_o"]()) == bool(held)


async def begun(dut: Any) -> Moderate:
    bench = Moderate(dut)
    await bench.begin()
    return bench


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(rate=[0.05, 0.7], stall=[0.0, 0.3])
async def no_interrupt_is_lost_or_invented(dut: Any, rate: float, stall: float) -> None:
    """Random wishes, stalls, queue resets and settings, changed under way, against the model; at the end
    nothing is held.
    """
    bench = await begun(dut)
    rng = bench.rng
    bench.slack += int(200 * stall + 100 * rate) + (2000 if rate > 0.5 else 0)
    for round_ in range(8):
        for number in range(bench.n):
            await bench.setup(number, *SETTINGS[(round_ + number) % len(SETTINGS)])
        for _ in range(1500):
            wish = bench.random_wish() if rng.random() < rate else None
            await bench.step(wish, int(rng.random() >= stall))
            if rng.random() < 0.004 and bench.wish is None and bench.stalled is None:
                held = [number for number, queue in enumerate(bench.queues) if queue.held]
                await bench.forget(rng.choice(held or range(bench.n)))
    for _ in range(12 * UNIT + bench.slack):
        await bench.step()
    bench.balance()
    assert not bench.get["waiting_o"]()
    for kind in ("merged", "by count", "by time", "at once", "forgotten"):
        assert bench.seen[kind], f"no wish went the way '{kind}': {dict(bench.seen)}"


@cocotb.test(**TIMEOUT)
async def without_moderation_no_cycle_is_added(dut: Any) -> None:
    """Count or time at once: the interrupt leaves in the cycle of the wish, one a cycle."""
    bench = await begun(dut)
    for number, (count, time) in enumerate([(0, 0), (1, 50), (50, 0)][: bench.n]):
        await bench.setup(number, count, time)
    for _ in range(300):
        await bench.step((bench.rng.randrange(min(3, bench.n)), bench.rng.randrange(1 << 16), 1))
        assert bench.wish is None
    assert bench.seen["at once"] == 300


@cocotb.test(**TIMEOUT)
async def time_runs_from_the_first_wish(dut: Any) -> None:
    """Further wishes do not put the interrupt off: it comes after `time`, 64 cycles and one round."""
    bench = await begun(dut)
    last = bench.n - 1
    await bench.setup(last, 0xFFFF, 20)
    for _ in range(5):
        start, before = bench.cycle, bench.seen["sent"]
        while bench.seen["sent"] == before:
            await bench.step((last, 7, 1) if bench.cycle % 10 == 0 else None)
            assert bench.cycle - start <= 20 * UNIT + bench.slack + 10
        assert bench.cycle - start >= 20 * UNIT
        for _ in range(bench.rng.randrange(100)):
            await bench.step()
    bench.balance()


@cocotb.test(**TIMEOUT)
async def turning_it_off_sends_what_is_held(dut: Any) -> None:
    """Time to 0, or count to 0, while an interrupt is held: it is sent within a round."""
    bench = await begun(dut)
    for count, time in ((100, 0), (0, 1000), (1, 1000)):
        number = bench.rng.randrange(bench.n)
        await bench.setup(number, 100, 1000)
        await bench.step((number, 3, 2))
        for _ in range(300):
            await bench.step()
        assert bench.queues[number].held == 2
        bench.seen.clear()
        await bench.setup(number, count, time)
        for _ in range(bench.n + 2):
            await bench.step()
        assert bench.seen["sent"] == 1 and not bench.queues[number].held


@cocotb.test(**TIMEOUT)
async def device_reset_forgets_and_keeps_the_settings(dut: Any) -> None:
    """rst: nothing held is sent later; the settings stay until cfg_rst. Queues that do not exist read 0."""
    bench = await begun(dut)
    await bench.setup(1, 100, 5)
    await bench.step((1, 9, 1))
    assert bench.queues[1].held
    bench.put["rst"](1)
    bench.queues[1].held = 0
    await RisingEdge(dut.clk)
    bench.put["rst"](0)
    for _ in range(6 * UNIT + bench.slack):
        await bench.step()
    assert not bench.seen["sent"]
    assert [await bench.read(reg) for reg in (MODERATION.SELECT, MODERATION.COUNT, MODERATION.TIME)] == [
        1,
        100,
        5,
    ]
    await bench.write(MODERATION.SELECT, bench.n)
    await bench.write(MODERATION.COUNT, 9)
    assert await bench.read(MODERATION.COUNT) == 0
    bench.put["cfg_rst"](1)
    bench.put["rst"](1)
    await RisingEdge(dut.clk)
    bench.put["cfg_rst"](0)
    bench.put["rst"](0)
    await RisingEdge(dut.clk)
    await bench.write(MODERATION.SELECT, 1)
    assert [await bench.read(reg) for reg in (MODERATION.COUNT, MODERATION.TIME)] == [0, 0]


@pytest.mark.sim
@pytest.mark.parametrize("queues", [2, 16, 128])
def test_moderate(run_bench: RunBench, queues: int) -> None:
    run_bench("tupelo_moderate", sources=SOURCES, QUEUES=queues)
