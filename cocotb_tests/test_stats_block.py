# SPDX-License-Identifier: Apache-2.0
"""tupelo_stats alone: random events on all ports against counters in Python; snapshots at random moments."""

import random
from collections import Counter
from typing import Any

import cocotb
import pytest
from cocotb.triggers import RisingEdge

from cocotb_tests.block_pins import BlockPins
from cocotb_tests.conftest import RunBench
from driver.registers import QueueStat, Stat

TIMEOUT = {"timeout_time": 10, "timeout_unit": "ms"}
SOURCES = (
    "rtl/tupelo_regs_pkg.sv",
    "rtl/tupelo_pkg.sv",
    "rtl/tupelo_stat_bank.sv",
    "rtl/tupelo_stats.sv",
)
QUEUE_BASE, QUEUE_STEP = 64, 8
PULSES = {
    "rx_in_i": Stat.RX_WIRE_FRAMES,
    "rx_buffer_i": Stat.RX_BUFFERS,
    "indirect_i": Stat.INDIRECT_TABLES,
    "moderated_i": Stat.IRQ_MODERATED,
    "msix_i": Stat.MSIX_SENT,
    "read_error_i": Stat.DMA_READ_ERRORS,
    "write_error_i": Stat.DMA_WRITE_ERRORS,
}
SHARED = {
    "irq": QueueStat.INTERRUPTS,
    "kick": QueueStat.KICKS,
    "event_read": QueueStat.EVENT_READS,
    "fetch": QueueStat.DESC_FETCHES,
}
CLASS = (  # rx_class_stat_t, the last member first
    Stat.RX_CSUM_BAD,
    Stat.RX_CSUM_OK,
    Stat.RX_STEER_HOST,
    Stat.RX_STEER_RSS,
    Stat.RX_STEER_ANY,
    Stat.RX_STEER_LISTENER,
    Stat.RX_STEER_FLOW,
    Stat.RX_FRAGMENTS,
    Stat.RX_MALFORMED,
)
DOOR = (Stat.RX_DROP_BAD, Stat.RX_DROP_SHORT, Stat.RX_DROP_LONG, Stat.RX_DROP_OVERFLOW, Stat.RX_DROP_RESET)
LATER = (Stat.RX_DROP_NO_BUFFER, Stat.RX_DROP_TOO_SMALL, Stat.RX_DROP_QUEUE_ERROR, Stat.RX_DROP_FILTER)
SENDING = tuple(s for s in Stat if s.name.startswith("TX_DROP_") and s != Stat.TX_DROP_RESET)
INPUTS = (
    *PULSES,
    *(f"{name}{end}" for name in (*SHARED, "used") for end in ("_i", "_queue_i")),
    *("rd_i", "idx_i", "snapshot_i", "live_i", "tx_out_i", "tx_out_queue_i", "tx_out_bytes_i", "tx_fate_i"),
    *("fate_i", "tx_reset_drops_i", "rx_in_drop_i", "rx_in_drop_stat_i", "rx_class_i", "rx_drop_i"),
    *("rx_drop_stat_i", "rx_drop_queue_i", "rx_done_i", "rx_queue_i", "rx_bytes_i", "rx_reset_drops_i"),
    "used_count_i",
)


class Stats(BlockPins):
    """The block and its model: `now` counts, `frozen` is what a snapshot holds, or None."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut, INPUTS, ("data_o",))
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.n = 1 << len(dut.kick_queue_i)
        self.now: Counter[int] = Counter()
        self.frozen: Counter[int] | None = None
        self.asked: tuple[int, int] | None = None  # index and value that is to come
        self.read = 0
        self.favourite = 0  # a queue that many events meet

    def one(self, rate: float) -> int:
        return int(self.rng.random() < rate)

    def queue(self, side: int | None = None) -> int:
        number = self.favourite if self.one(0.5) else self.rng.randrange(self.n)
        return number if side is None else number & ~1 | side

    async def step(
        self, rate: float, *, index: int | None = None, snapshot: bool = False, live: bool = False
    ) -> None:
        """One cycle of random events; ask for a counter, check the answer to the question before."""
        events: Counter[int] = Counter()
        self._device(events, rate)
        self._transmit(events, rate)
        self._receive(events, rate)
        self._queues(events, rate)
        put = self.put
        put["snapshot_i"](int(snapshot))
        put["live_i"](int(live))
        put["rd_i"](int(index is not None))
        want = None
        if index is not None:
            put["idx_i"](index)
            want = (index, (self.now if self.frozen is None else self.frozen)[index])
        await RisingEdge(self.dut.clk)
        # The answer to the question of the cycle before was there until this edge.
        if self.asked is not None:
            got = self.get["data_o"]()
            assert got == self.asked[1], f"index {self.asked[0]}: {got}, not {self.asked[1]}"
            self.read += 1
        self.asked = want
        if live:
            self.frozen = None
        elif snapshot:
            self.frozen = self.now.copy()
        self.now.update(events)

    def _device(self, events: Counter[int], rate: float) -> None:
        for name, stat in PULSES.items():
            pulse = self.one(rate)
            self.put[name](pulse)
            events[stat] += pulse

    def _transmit(self, events: Counter[int], rate: float) -> None:
        rng, put = self.rng, self.put
        out, queue, n_bytes = self.one(rate), self.queue(1), rng.randrange(1, 9729)
        put["tx_out_i"](out)
        put["tx_out_queue_i"](queue)
        put["tx_out_bytes_i"](n_bytes)
        if out:
            events.update({Stat.TX_FRAMES: 1, Stat.TX_BYTES: n_bytes})
            events[of(queue, QueueStat.FRAMES)] += 1
            events[of(queue, QueueStat.BYTES)] += n_bytes
        end, queue, sent, csum, tso = (
            self.one(rate),
            self.queue(1),
            self.one(0.6),
            self.one(0.5),
            self.one(0.3),
        )
        reason, frames = rng.choice(SENDING), rng.randrange(1 << 16)
        put["tx_fate_i"](end)
        fate = queue << 1 | sent
        put["fate_i"](
            ((fate << 6 | reason) << 16 | frames) << 50 | rng.getrandbits(48) << 2 | csum << 1 | tso
        )
        if end:
            events[Stat.TX_CHAINS] += 1
            events[Stat.TX_CSUM_FRAMES] += csum and sent
            events[Stat.TX_TSO_FRAMES] += tso and sent
            events[Stat.TX_TSO_SEGMENTS] += frames * tso
            if not sent:
                events[reason] += 1
                events[of(queue, QueueStat.DROPS)] += 1
        lost = rng.randrange(512) * self.one(rate / 10)
        put["tx_reset_drops_i"](lost)
        events[Stat.TX_DROP_RESET] += lost

    def _receive(self, events: Counter[int], rate: float) -> None:
        rng, put = self.rng, self.put
        drop, reason = self.one(rate), rng.choice(DOOR)
        put["rx_in_drop_i"](drop)
        put["rx_in_drop_stat_i"](reason)
        events[reason] += drop
        pulses = self.one(rate) << rng.randrange(2) | self.one(rate) << rng.randrange(2, 7)
        pulses |= self.one(rate) << 7 | self.one(rate) << 8
        put["rx_class_i"](pulses)
        events.update(stat for bit, stat in enumerate(CLASS) if pulses >> bit & 1)
        drop, reason, queue = self.one(rate), rng.choice(LATER), self.queue(0)
        put["rx_drop_i"](drop)
        put["rx_drop_stat_i"](reason)
        put["rx_drop_queue_i"](queue)
        events[reason] += drop
        events[of(queue, QueueStat.DROPS)] += drop
        done, queue, n_bytes = self.one(rate), self.queue(0), rng.randrange(1, 9729)
        put["rx_done_i"](done)
        put["rx_queue_i"](queue)
        put["rx_bytes_i"](n_bytes)
        if done:
            events.update({Stat.RX_FRAMES: 1, Stat.RX_BYTES: n_bytes})
            events[of(queue, QueueStat.FRAMES)] += 1
            events[of(queue, QueueStat.BYTES)] += n_bytes
        lost = rng.randrange(1 << 16) * self.one(rate / 10)
        put["rx_reset_drops_i"](lost)
        events[Stat.RX_DROP_RESET] += lost

    def _queues(self, events: Counter[int], rate: float) -> None:
        put = self.put
        for name, stat in SHARED.items():
            pulse, queue = self.one(rate), self.queue()
            put[f"{name}_i"](pulse)
            put[f"{name}_queue_i"](queue)
            events[of(queue, stat)] += pulse
            if name == "fetch":
                events[Stat.DESC_FETCHES] += pulse
        pulse, queue, count = self.one(rate), self.queue(), self.rng.randrange(1, 5)
        put["used_i"](pulse)
        put["used_queue_i"](queue)
        put["used_count_i"](count)
        events[of(queue, QueueStat.USED_DESCRIPTORS)] += pulse * count

    def indexes(self) -> list[int]:
        """All counters and some that do not exist, in random order."""
        found = [*range(len(Stat)), 50, 63, *range(QUEUE_BASE, QUEUE_BASE + QUEUE_STEP * self.n)]
        self.rng.shuffle(found)
        return found[:300]


def of(queue: int, stat: QueueStat) -> int:
    return QUEUE_BASE + QUEUE_STEP * queue + stat


async def started(dut: Any) -> Stats:
    bench = Stats(dut)
    await bench.start()
    return bench


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(rate=[0.1, 0.9])
async def counters_count(dut: Any, rate: float) -> None:
    """Random events every cycle: each read gives the value before the events of its cycle."""
    bench = await started(dut)
    for _ in range(4):
        bench.favourite = bench.rng.randrange(bench.n)
        indexes = bench.indexes()
        for index in indexes:
            await bench.step(rate, index=index)
    assert bench.read == 4 * len(indexes) - 1


@cocotb.test(**TIMEOUT)
async def a_snapshot_is_of_one_cycle(dut: Any) -> None:
    """Snapshots at random moments, one over another, and back to live: all reads give the model's moment."""
    bench = await started(dut)
    for _ in range(12):
        bench.favourite = bench.rng.randrange(bench.n)
        for _ in range(bench.rng.randrange(30)):
            await bench.step(0.5)
        await bench.step(0.9, snapshot=True, index=int(Stat.TX_BYTES))
        for index in bench.indexes()[:150]:
            await bench.step(0.5, index=index)
        if bench.one(0.5):
            await bench.step(0.9, live=True)
            for index in bench.indexes()[:40]:
                await bench.step(0.5, index=index)


@cocotb.test(**TIMEOUT)
async def one_queue_every_cycle(dut: Any) -> None:
    """Events of one queue in a row, with a snapshot in the middle: nothing is lost or counted twice."""
    bench = await started(dut)
    bench.queue = lambda side=None: 1 if side is None else side  # type: ignore[method-assign]
    queue_counters = [of(queue, stat) for queue in (0, 1) for stat in QueueStat]
    for round_ in range(3):
        for _ in range(50):
            await bench.step(1.0)
        await bench.step(1.0, snapshot=round_ != 1, live=round_ == 1)
        for index in queue_counters:
            await bench.step(1.0, index=index)
    assert bench.now[of(1, QueueStat.KICKS)] > 190


@cocotb.test(**TIMEOUT)
async def rst_clears_everything(dut: Any) -> None:
    bench = await started(dut)
    for _ in range(100):
        await bench.step(0.5)
    await bench.step(0.0, snapshot=True)
    await bench.step(0.0)
    bench.put["rst"](1)
    await RisingEdge(dut.clk)
    bench.put["rst"](0)
    bench.now.clear()
    bench.frozen = bench.asked = None
    for index in bench.indexes():
        await bench.step(0.0, index=index)
    await bench.step(0.0)


@pytest.mark.sim
@pytest.mark.parametrize("queues", [2, 16, 128])
def test_stats(run_bench: RunBench, queues: int) -> None:
    run_bench("tupelo_stats", sources=SOURCES, QUEUES=queues)
