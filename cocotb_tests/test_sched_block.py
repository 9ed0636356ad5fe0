# SPDX-License-Identifier: Apache-2.0
"""tupelo_tx_sched alone: shares, priorities and rates counted in bytes, and its speed counted in cycles."""

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from cocotb_tests.block_pins import BlockPins
from cocotb_tests.conftest import RunBench
from driver.registers import SCHED

TIMEOUT = {"timeout_time": 20, "timeout_unit": "ms"}
SOURCES = (
    "rtl/tupelo_regs_pkg.sv",
    "rtl/tupelo_axil_pkg.sv",
    "rtl/tupelo_rr_pick.sv",
    "rtl/tupelo_tx_sched.sv",
)
INPUTS = (
    *("cfg_rst", "bus_i", "ready_i", "take_i", "charge_i", "charge_queue_i", "charge_bytes_i"),
    *("more_i", "more_queue_i", "more_bytes_i"),
)
OUTPUTS = ("rd_data_o", "pick_valid_o", "pick_o", "waiting_o")
REGISTERS = {"weight": SCHED.WEIGHT, "priority": SCHED.CLASS, "rate": SCHED.RATE, "burst": SCHED.BURST}
MIXES: tuple[tuple[int, ...], ...] = (
    (60,),
    (1514,),
    (60, 1514),
    (9014,),
    (60, 590, 1514),
    (4000, 60),
    (300,),
    (60, 60, 60, 9014),
)
TOLERANCE = 0.02
MORE_CYCLES = 3  # between two reports of what went out beyond a chain's length

Ready = Callable[[int], Iterable[int]]


class Sched(BlockPins):
    """The block with chains behind it: which pairs have some, and what was sent."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut, INPUTS, OUTPUTS)
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.pairs = len(dut.ready_i) // 2
        self.sent = [0] * self.pairs
        self.takes: list[tuple[int, int]] = []  # cycle and pair
        self.cycle = 0

    async def setup(self, pair: int, **values: int) -> None:
        """Write registers of one pair and read them back."""
        await self.write(SCHED.SELECT, pair)
        for name, value in values.items():
            await self.write(REGISTERS[name], value)
            assert await self.read(REGISTERS[name]) == value

    async def run(
        self,
        cycles: int,
        ready: Ready | Iterable[int],
        size: Callable[[int], int],
        walk: Callable[[], int] = lambda: 0,
        wire: int = 0,
        more: Callable[[int, int], int] = lambda pair, n_bytes: 0,
    ) -> None:
        """Take what is offered. ready: pairs that have chains, or a function of the cycle. size: bytes of a
        pair's next chain. walk: cycles from a take to its charge. wire: bytes a cycle that the wire takes, no
        more are taken before they are through; 0 for a wire without limit. more: bytes that a chain of this
        pair and length sends beyond; they are told up to 100 cycles later and count as sent.
        """
        put, get = self.put, self.get
        have: Ready = ready if callable(ready) else lambda _: ready
        owed: tuple[int, int, int] | None = None
        free_at, before, more_at = 0, -1, 0
        beyond: deque[tuple[int, int, int]] = deque()
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)
            self.cycle += 1
            put["take_i"](0)
            put["charge_i"](0)
            put["more_i"](0)
            if beyond and self.cycle >= beyond[0][0]:
                self._more(*beyond.popleft()[1:])
            mask = sum(2 << 2 * pair for pair in have(self.cycle))
            if mask != before:
                put["ready_i"](mask | self.rng.getrandbits(1))  # receive queues do not matter
                before = mask
            await FallingEdge(self.dut.clk)  # now the pick of this cycle is there
            if owed is not None:
                if self.cycle == owed[0]:
                    self._charge(owed[1], owed[2])
                    owed = None
                continue
            if self.cycle < free_at or not get["pick_valid_o"]():
                continue
            queue = get["pick_o"]()
            assert queue & 1 and mask >> queue & 1, f"queue {queue} has nothing to send"
            n_bytes = size(queue >> 1)
            self.takes.append((self.cycle, queue >> 1))
            self.sent[queue >> 1] += n_bytes
            if later := more(queue >> 1, n_bytes):
                self.sent[queue >> 1] += later
                more_at = max(more_at + MORE_CYCLES, self.cycle + self.rng.randint(1, 100))
                beyond.append((more_at, queue, later))
            put["take_i"](1)
            if steps := walk():
                owed = (self.cycle + steps, queue, n_bytes)
            else:
                self._charge(queue, n_bytes)
            if wire:
                free_at = self.cycle + n_bytes // wire
        while owed is not None or beyond:
            await RisingEdge(self.dut.clk)
            put["take_i"](0)
            put["charge_i"](0)
            put["more_i"](0)
            if owed is not None:
                self._charge(owed[1], owed[2])
                owed = None
            elif beyond:
                await ClockCycles(self.dut.clk, MORE_CYCLES)
                self._more(*beyond.popleft()[1:])
        await RisingEdge(self.dut.clk)
        put["take_i"](0)
        put["charge_i"](0)
        put["more_i"](0)

    def _more(self, queue: int, n_bytes: int) -> None:
        self.put["more_i"](1)
        self.put["more_queue_i"](queue)
        self.put["more_bytes_i"](n_bytes)

    def _charge(self, queue: int, n_bytes: int) -> None:
        self.put["charge_i"](1)
        self.put["charge_queue_i"](queue)
        self.put["charge_bytes_i"](n_bytes)

    def mixed(self, pair: int) -> int:
        return self.rng.choice(MIXES[pair % len(MIXES)])

    def check_shares(self, weights: dict[int, int]) -> None:
        """Every pair has its weight's share of what these pairs sent."""
        total = sum(self.sent[pair] for pair in weights)
        for pair, weight in weights.items():
            share = self.sent[pair] / total * sum(weights.values()) / weight
            assert abs(share - 1) <= TOLERANCE, f"pair {pair}: {share:.4f} of its share; bytes {self.sent}"

    def clear(self) -> None:
        self.sent = [0] * self.pairs
        self.takes.clear()


async def started(dut: Any) -> Sched:
    bench = Sched(dut)
    await bench.start()
    return bench


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(weights=["equal", "one", "mixed"], steps=[0, 2])
async def shares_follow_the_weights(dut: Any, weights: str, steps: int) -> None:
    """Backlogged queues of different frame sizes each get their weight's share within 2 %."""
    bench = await started(dut)
    table = {"equal": [32], "one": [1], "mixed": [32, 16, 64, 48, 8, 100, 24, 40]}[weights]
    of = {pair: table[pair % len(table)] for pair in range(min(8, bench.pairs))}
    for pair, weight in of.items():
        await bench.setup(pair, weight=weight)
    walk = (lambda: bench.rng.randint(0, steps)) if steps else (lambda: 0)
    await bench.run(200_000 if weights == "one" else 40_000, list(of), bench.mixed, walk)
    bench.check_shares(of)


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(weights=[[32], [1, 2], [32, 16, 64, 48, 8, 100, 24, 40]])
async def what_goes_out_counts(dut: Any, weights: list[int]) -> None:
    """Queues whose chains send more than their length, in both classes, get their share of what is sent."""
    bench = await started(dut)
    of = {pair: weights[pair % len(weights)] for pair in range(min(8, bench.pairs))}
    for pair, weight in of.items():
        await bench.setup(pair, weight=weight)
    cycles = 100_000 if weights[0] == 1 else 40_000

    def walk() -> int:
        return bench.rng.randint(0, 2)

    def more(pair: int, n_bytes: int) -> int:
        return bench.rng.choice((0, 54, n_bytes // 2, n_bytes)) if pair % 2 else 0

    await bench.run(cycles, list(of), bench.mixed, walk, more=more)
    bench.check_shares(of)
    low = {pair: weight for pair, weight in of.items() if pair > 1}
    await bench.setup(1, priority=1)

    def have(cycle: int) -> list[int]:
        return list(of) if cycle // 10 % 10 == 0 else [pair for pair in of if pair != 1]

    bench.clear()
    await bench.run(cycles, have, bench.mixed, walk, more=more)
    assert bench.sent[1]
    bench.check_shares(low)


@cocotb.test(**TIMEOUT)
async def a_burst_of_chains_loses_no_charge(dut: Any) -> None:
    """A chain a cycle, and every third one is told to have sent more: each byte of it is paid."""
    bench = await started(dut)
    high = [bench.pairs - 1, 1]
    for pair in (0, 2, *high):
        await bench.setup(pair, weight=65_535, priority=int(pair in high))

    def more(pair: int, n_bytes: int) -> int:
        return 40_000 if len(bench.takes) % 3 == 0 else 0

    for pairs in ([0, 2], high):
        bench.clear()
        await bench.run(60_000, pairs, lambda _: 1514, more=more)
        bench.check_shares(dict.fromkeys(pairs, 1))


@cocotb.test(**TIMEOUT)
async def the_rate_is_one_of_the_wire(dut: Any) -> None:
    """A limited queue whose chains send half as much again as their length keeps to its rate within 1 %."""
    bench = await started(dut)
    per_1024 = 3000
    await bench.setup(1, burst=20_000, rate=per_1024 * 16)
    await bench.run(40_000, [0, 1], lambda _: 1000, wire=64, more=lambda pair, n: n // 2 * pair)
    bench.clear()
    await bench.run(204_800, [0, 1], lambda _: 1000, wire=64, more=lambda pair, n: n // 2 * pair)
    wanted = per_1024 * 200
    assert abs(bench.sent[1] / wanted - 1) < 0.01, f"{bench.sent[1]} bytes of {wanted}"


@cocotb.test(**TIMEOUT)
async def shares_survive_turns_that_break_off(dut: Any) -> None:
    """A queue whose cache runs dry for a moment in its turn keeps what was left of it."""
    bench = await started(dut)
    of = {pair: 32 for pair in range(min(8, bench.pairs))}
    dry = {"pair": -1, "until": 0}

    def have(cycle: int) -> list[int]:
        if cycle >= dry["until"] and bench.takes and bench.rng.random() < 0.005:
            dry.update(pair=bench.takes[-1][1], until=cycle + 8)
        return [pair for pair in of if cycle >= dry["until"] or pair != dry["pair"]]

    await bench.run(120_000, have, bench.mixed, wire=64)
    bench.check_shares(of)


@cocotb.test(**TIMEOUT)
async def turns_may_be_longer_than_what_is_cached(dut: Any) -> None:
    """A queue whose cache holds a quarter of a turn, and is filled again some time after, gets its share."""
    bench = await started(dut)
    of = dict.fromkeys(range(min(8, bench.pairs)), 128)  # a turn of pair 0 is 136 chains
    for pair, weight in of.items():
        await bench.setup(pair, weight=weight)
    cache, fill_cycles = 32, 60
    stock = {"chains": cache, "seen": 0, "full_at": 0}

    def have(cycle: int) -> list[int]:
        stock["chains"] -= sum(pair == 0 for _, pair in bench.takes[stock["seen"] :])
        stock["seen"] = len(bench.takes)
        if stock["chains"] == 0 and stock["full_at"] < cycle:
            stock["full_at"] = cycle + fill_cycles
        if stock["full_at"] == cycle:
            stock["chains"] = cache
        return [pair for pair in of if pair or stock["chains"]]

    await bench.run(150_000, have, bench.mixed, wire=64)
    bench.check_shares(of)


@cocotb.test(**TIMEOUT)
async def high_class_goes_first_and_leaves_shares_alone(dut: Any) -> None:
    """No low queue is picked while a high one has a chain; its bursts do not shift the low queues' shares."""
    bench = await started(dut)
    high = bench.pairs // 2
    low = {pair: 32 for pair in range(min(8, bench.pairs)) if pair != high}
    await bench.setup(high, priority=1)

    def have(cycle: int) -> list[int]:
        return [*low, high] if cycle // 10 % 3 == 0 else list(low)

    await bench.run(60_000, have, bench.mixed)
    for cycle, pair in bench.takes:
        assert pair == high or high not in have(cycle), f"pair {pair} before the high one in cycle {cycle}"
    assert bench.sent[high]
    bench.check_shares(low)
    bench.clear()
    await bench.run(500, [*low, high], bench.mixed)
    assert {pair for _, pair in bench.takes} == {high}
    await bench.setup(high, priority=0)
    bench.clear()
    await bench.run(40_000, [*low, high], bench.mixed)
    bench.check_shares({**low, high: 32})


@cocotb.test(**TIMEOUT)
async def high_queues_share_by_weight(dut: Any) -> None:
    """Inside the high class weights count as in the low one."""
    bench = await started(dut)
    of = {0: 10, 1: 30, bench.pairs - 1: 60}
    for pair, weight in of.items():
        await bench.setup(pair, weight=weight, priority=1)
    await bench.run(30_000, range(bench.pairs), bench.mixed)
    bench.check_shares(of)


@cocotb.test(**TIMEOUT)
async def rate_is_exact_and_burst_is_what_it_says(dut: Any) -> None:
    """A limited queue sends its burst at once and then its rate within 1 %; the others get the rest."""
    bench = await started(dut)
    limited, free, per_1024 = 1, 0, 3000
    burst = 20_000
    await bench.setup(limited, burst=burst, rate=per_1024 * 16)
    assert not bench.get["waiting_o"]()
    await bench.run(400, [limited], lambda _: 1000)
    at_once = bench.sent[limited]
    assert burst < at_once <= burst + 1000 + per_1024, f"{at_once} bytes at once"
    assert bench.get["waiting_o"]()
    bench.clear()
    await bench.run(102_400, [limited, free], lambda pair: 1000 if pair == limited else 1514, wire=64)
    wanted = per_1024 * 100
    assert abs(bench.sent[limited] / wanted - 1) < 0.01, f"{bench.sent[limited]} bytes of {wanted}"
    assert sum(bench.sent) > 64 * 102_400 * 0.9, "the wire stood still"
    await bench.run(20_000, [], bench.mixed)
    assert not bench.get["waiting_o"](), "a full bucket waits for nothing"
    bench.clear()
    await bench.run(400, [limited], lambda _: 1000)
    assert burst < bench.sent[limited] <= burst + 1000 + per_1024, "the bucket holds more than its depth"
    await bench.setup(limited, rate=0)
    bench.clear()
    await bench.run(200, [limited], lambda _: 1000)
    assert len(bench.takes) >= 130 and not bench.get["waiting_o"]()


@cocotb.test(**TIMEOUT)
async def rates_of_all_queues_at_once(dut: Any) -> None:
    """Every queue keeps its own rate, and charges of 2 cycles in 5 do not hold up the filling."""
    bench = await started(dut)
    mean = 0.4 * 60 * 1024 / bench.pairs  # bytes per 1,024 cycles
    rates = {pair: int(16 * mean * (0.5 + pair / bench.pairs)) for pair in range(bench.pairs)}
    for pair, rate in rates.items():
        await bench.setup(pair, burst=800, rate=rate)
    await bench.run(20_000, range(bench.pairs), lambda _: 60)
    bench.clear()
    await bench.run(40_960, range(bench.pairs), lambda _: 60)
    for pair, rate in rates.items():
        wanted = rate / 16 * 40
        assert abs(bench.sent[pair] - wanted) < 0.01 * wanted + 60, (
            f"pair {pair}: {bench.sent[pair]} of {wanted}"
        )


@cocotb.test(**TIMEOUT)
async def a_chain_costs_its_descriptors_and_a_turn_one_cycle(dut: Any) -> None:
    """No cycle is lost but one a turn: one queue, several, the smallest weight, chains of two descriptors."""
    bench = await started(dut)
    for pairs in ([0], [bench.pairs - 1], list(range(min(4, bench.pairs)))):
        for weight in (1, 32):
            for pair in pairs:
                await bench.setup(pair, weight=weight)
            for steps in (0, 1):
                bench.clear()
                await bench.run(2000, pairs, lambda _: 60, lambda steps=steps: steps)  # type: ignore[misc]
                least = 2000 / (1 + steps + 60 / (64 * weight))
                assert len(bench.takes) >= 0.99 * least, (
                    f"{len(bench.takes)} chains: {pairs} {weight} {steps}"
                )
            seen = {pair for _, pair in bench.takes}
            assert seen == set(pairs)


@cocotb.test(**TIMEOUT)
async def a_chain_is_picked_within_two_cycles(dut: Any) -> None:
    """From ready to pick: at most 2 cycles whatever queue it is, after chains of ordinary frames."""
    bench = await started(dut)
    for _ in range(200):
        pair, start = bench.rng.randrange(bench.pairs), bench.cycle + 1
        bench.clear()
        await bench.run(6, [pair], lambda _: bench.rng.choice((60, 590, 1514)))
        assert bench.takes[0][0] - start <= 2, f"{bench.takes[0][0] - start} cycles"
        await bench.run(3, [], bench.mixed)


@cocotb.test(**TIMEOUT)
async def settings_are_kept_through_a_device_reset(dut: Any) -> None:
    """rst alone forgets debts and fills buckets; cfg_rst brings the reset values; absent pairs read 0."""
    bench = await started(dut)
    last = bench.pairs - 1
    await bench.setup(last, weight=65_535, priority=1, rate=123_456, burst=0xFFFF_FFFF)
    await bench.write(SCHED.RATE, 0xAABB_CCDD, strobes=0b0100)
    assert await bench.read(SCHED.RATE) == 0x00BB_E240
    await bench.run(10, [last], lambda _: 65_538)
    assert bench.get["waiting_o"]()
    bench.put["rst"](1)
    await RisingEdge(dut.clk)
    bench.put["rst"](0)
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    assert not bench.get["waiting_o"]()
    assert await bench.read(SCHED.WEIGHT) == 65_535 and await bench.read(SCHED.CLASS) == 1
    assert await bench.read(SCHED.RATE) == 0x00BB_E240 and await bench.read(SCHED.BURST) == 0xFFFF_FFFF
    await bench.write(SCHED.WEIGHT, 0)
    assert await bench.read(SCHED.WEIGHT) == 1
    await bench.write(SCHED.SELECT, bench.pairs)
    await bench.write(SCHED.WEIGHT, 77)
    assert await bench.read(SCHED.WEIGHT) == 0
    for name in ("rst", "cfg_rst"):
        bench.put[name](1)
    await RisingEdge(dut.clk)
    for name in ("rst", "cfg_rst"):
        bench.put[name](0)
    await RisingEdge(dut.clk)
    assert await bench.read(SCHED.SELECT) == 0
    for pair in range(bench.pairs):
        await bench.write(SCHED.SELECT, pair)
        values = [await bench.read(reg) for reg in REGISTERS.values()]
        assert values == [32, 0, 0, 65_536]


@pytest.mark.sim
@pytest.mark.parametrize("queues", [16, 128])
def test_sched(run_bench: RunBench, queues: int) -> None:
    run_bench("tupelo_tx_sched", sources=SOURCES, QUEUES=queues)


@pytest.mark.sim
def test_sched_of_one_pair(run_bench: RunBench) -> None:
    cases = ["a_chain_is_picked_within_two_cycles", "settings_are_kept_through_a_device_reset"]
    run_bench("tupelo_tx_sched", cases, sources=SOURCES, QUEUES=2)
