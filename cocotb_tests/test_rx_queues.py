# SPDX-License-Identifier: Apache-2.0
"""The receive path under overload: no queue waits for another one's buffers, every drop has a reason."""

import random
from collections.abc import Callable
from typing import Any

import cocotb
import pytest

from cocotb_tests.conftest import RunBench
from cocotb_tests.rx_bench import FRAME_MOST, UDP_LEAST, Frame, RxBench, make_frame
from driver.registers import Stat

TOP = "rx_bench"
PARTS = (
    *(
        "regs_pkg",
        "pkg",
        "axil_pkg",
        "parse_pkg",
        "fifo",
        "rr_pick",
        "desc_cache",
        "l4_csum",
        "parse",
        "parse_ext",
    ),
    *(
        "parse_l2",
        "parse_l3",
        "parse_l4",
        "toeplitz",
        "rss",
        "rx_classify",
        "rx_ingress",
        "rx_store",
        "rx_lists",
    ),
    *("rx_choose", "rx_queues", "rx_split", "rx_scatter", "rx"),
)
SOURCES = [*(f"rtl/tupelo_{part}.sv" for part in PARTS), "cocotb_tests/hdl/rx_bench.sv"]
TIMEOUT = {"timeout_time": 20, "timeout_unit": "ms"}
BUFFER_BYTES = 32768
KEPT_FREE_BEATS = 32  # of the buffer, by making room
GOOD, DRY, SLOW = 0, 2, 4  # virtqueues; queue 0 gets what is no IP, too
NO_BUFFER, OVERFLOW = Stat.RX_DROP_NO_BUFFER, Stat.RX_DROP_OVERFLOW


def size_of(rng: random.Random) -> int:
    """Every kind of length from 14 to the largest."""
    return rng.choice(
        (rng.randint(14, 64), rng.randint(UDP_LEAST, 200), rng.randint(UDP_LEAST, 1514), 60,
         rng.choice((64, 128, 256, 1514)), rng.randint(1514, FRAME_MOST) if rng.random() < 0.3 else 14)
    )  # fmt: skip


def wait_for(bench: RxBench, queue: int, count: int) -> Callable[[], bool]:
    """Whether so many frames have been delivered to a queue."""
    return lambda: len(bench.queues[queue].delivered) >= count


async def drain(bench: RxBench, size: int) -> None:
    """Give every queue buffers for all that waits, until nothing is inside."""
    bench.source = lambda: None
    bench.active = sum(1 << queue for queue in bench.queues)
    bench.stopped = 0
    await bench.until(bench.wire_idle)
    while True:
        await bench.step(40)
        if not bench.inside():
            break
        for queue, state in bench.queues.items():
            if state.inside and not state.waiting_puts:
                bench.post(queue, size, 8)
        await bench.step(400)
    await bench.step(60)
    bench.finish()


def supply(bench: RxBench, rng: random.Random, size: int, parts: int) -> Callable[[], None]:
    """Every queue has a changing mood: plenty, a buffer now and then, nothing; it may sleep or be stopped."""
    moods = dict.fromkeys(bench.queues, 1.0)

    def tell() -> None:
        if rng.random() < 0.004:
            queue = rng.choice(list(bench.queues))
            moods[queue] = rng.choice((1.0, 1.0, 0.02, 0.002, 0.0))
            if rng.random() < 0.3:
                bench.awake ^= 1 << queue
            if rng.random() < 0.1:
                bench.stopped ^= 1 << queue
                bench.active = bench.active & ~(1 << queue) | (~bench.stopped & 1 << queue)
        for queue, state in bench.queues.items():
            if len(state.waiting_puts) < 2 and rng.random() < moods[queue]:
                bench.post(queue, size, 1, rng.randint(1, parts))

    return tell


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(mergeable=[False, True], gap=[0.0, 0.1], stall=[0.0, 0.1])
async def every_frame_is_delivered_in_order_or_counted(
    dut: Any, mergeable: bool, gap: float, stall: float
) -> None:
    """Any frames, any supply, any stalls: conservation by queue, order within a queue, every byte."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {mergeable} {gap} {stall}")
    bench = RxBench(dut, rng, mergeable=mergeable, gap=gap, stall=stall)
    await bench.start()
    size = rng.choice((300, 1200)) if mergeable else FRAME_MOST + 12
    pairs = len(bench.queues)

    def source() -> Frame:
        if rng.random() < 0.02:
            frame = make_frame(rng, rng.randrange(pairs), 100, filtered=True)
        else:
            frame = make_frame(rng, rng.randrange(pairs), size_of(rng))
        frame.bad = rng.random() < 0.05
        return frame

    bench.source = source
    bench.tell = supply(bench, rng, size, 1 if mergeable else 3)
    await bench.step(4000 * (2 + 64 // bench.beat))
    bench.tell = lambda: None
    bench.awake = sum(1 << queue for queue in bench.queues)
    await drain(bench, size)
    cocotb.log.info("%s; drops %s; door %s", bench.cycle, bench.drops, bench.door)
    assert sum(len(state.delivered) for state in bench.queues.values()) > 60
    assert len({stat for _, stat in bench.drops}) >= 2 and bench.filtered, "too few drops: this tested little"


SHARE = 3  # the wire's slots for one good frame


def latencies(bench: RxBench, queues: tuple[int, ...]) -> list[int]:
    """Cycles from a frame's last beat on the wire to its last write, by queue and in order."""
    return [frame.done - frame.sent for queue in queues for frame in bench.queues[queue].delivered]


async def mixed(
    bench: RxBench, rng: random.Random, count: int, good: tuple[int, ...], dry: tuple[int, ...]
) -> None:
    """Every third slot of the wire has a frame for `good`, the others are for `dry` or empty."""
    beats = -(-60 // bench.beat)
    first = bench.cycle + 10
    frames = [make_frame(rng, good[n % len(good)] // 2, 60) for n in range(count)]

    def source() -> Frame | None:
        slot, early = divmod(bench.cycle - first, beats)
        if early or slot < 0 or slot >= SHARE * count:
            return None
        if slot % SHARE == 0:
            return frames[slot // SHARE]
        return make_frame(rng, dry[slot % len(dry)] // 2, 60) if dry else None

    bench.source = source
    for _ in range(SHARE * count):
        for queue in good:
            if len(bench.queues[queue].waiting_puts) < 4:
                bench.post(queue, 256, 8)
        await bench.step(10)
        if sum(len(bench.queues[queue].delivered) for queue in good) == count:
            return
    raise AssertionError(bench.state())


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(good=[(0,), (0, 4, 6)])
async def a_dry_queue_costs_the_others_not_a_cycle(dut: Any, good: tuple[int, ...]) -> None:
    """Two thirds of a full wire are for a dry queue that is awake: the other frames take as long as alone."""
    measured = []
    for dry in ((), (DRY,)):
        rng = random.Random(f"{cocotb.RANDOM_SEED} {good}")
        bench = RxBench(dut, rng)
        await bench.start()
        bench.active = bench.awake = 0xFF
        for queue in good:
            bench.post(queue, 256, 32)
        await bench.step(200)
        await mixed(bench, random.Random(f"{cocotb.RANDOM_SEED}"), 1500, good, dry)
        assert not bench.door, bench.state()
        assert not any(bench.dropped(queue) for queue in good), bench.state()
        measured.append(latencies(bench, good))
        if dry:
            lost = bench.drops[DRY, NO_BUFFER]
            assert lost > 1000 and len(bench.queues[DRY].inside) == lost + bench.inside()
        await bench.reset_device()
    alone, beside = measured
    cocotb.log.info("latency alone %d..%d, beside %d..%d", min(alone), max(alone), min(beside), max(beside))
    assert alone == beside


@cocotb.test(**TIMEOUT)
async def a_slow_queue_costs_its_own_frames_only(dut: Any) -> None:
    """Two thirds of a full wire are for a queue with a buffer each 90 cycles: only these hold up others."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = RxBench(dut, rng)
    await bench.start()
    bench.post(GOOD, 256, 32)
    await bench.step(200)
    await mixed(bench, rng, 300, (GOOD,), ())
    alone = max(latencies(bench, (GOOD,)))
    bench.queues[GOOD].delivered.clear()

    def tell() -> None:
        if bench.cycle % 90 == 0:
            bench.post(SLOW, 256, 1)

    bench.tell = tell
    await mixed(bench, rng, 1500, (GOOD,), (SLOW,))
    bench.tell = lambda: None
    mine = len(bench.queues[SLOW].delivered)
    held_up = [extra for spent in latencies(bench, (GOOD,)) if (extra := spent - alone) > 0]
    cocotb.log.info(
        "%d slow frames held up %d others, the last by %s", mine, len(held_up), max(held_up, default=0)
    )
    assert mine > 30 and not bench.door and not bench.dropped(GOOD), bench.state()
    # A slow frame takes the splitter for three cycles, the wire leaves one in three: so many others feel it.
    assert len(held_up) <= 4 * mine and max(held_up, default=0) <= 2 + -(-72 // bench.beat)
    await drain(bench, 256)


@cocotb.test(**TIMEOUT)
async def frames_that_wait_go_on_as_soon_as_buffers_come(dut: Any) -> None:
    """A buffer full of frames waits; with the first chain the first one goes, and then all at full rate."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = RxBench(dut, rng)
    await bench.start()
    beats = -(-60 // bench.beat)
    count = (BUFFER_BYTES // bench.beat - KEPT_FREE_BEATS) // beats
    bench.send([make_frame(rng, DRY // 2, 60) for _ in range(count)])
    await bench.until(lambda: bench.entered == count)
    await bench.step(3000)
    assert bench.inside() == count and not bench.drops
    start = bench.cycle
    bench.post(DRY, 128, 1)
    await bench.until(wait_for(bench, DRY, 1), 40)
    assert bench.queues[DRY].delivered[0].done - start <= 12 + 8 * 128 // bench.beat // 8
    await bench.step(1000)
    assert bench.inside() == count - 1
    start = bench.cycle
    for part in range(count - 1):
        bench.post(DRY, 128, 1)
        if part % 32 == 31:
            await bench.step()
    await bench.until(wait_for(bench, DRY, count))
    spent = bench.cycle - start
    cocotb.log.info("%d frames that waited took %d cycles", count - 1, spent)
    assert spent <= (count - 1) * (-(-72 // bench.beat) + 1) + 40
    # One chain for two long frames: the second, on offer while the first is written, gives way again.
    bench.send([make_frame(rng, DRY // 2, 1000) for _ in range(2)])
    await bench.step(200)
    bench.post(GOOD, 256, 4)
    bench.post(DRY, 2048, 1)
    await bench.until(wait_for(bench, DRY, count + 1), 300)
    bench.send([make_frame(rng, GOOD // 2, 60) for _ in range(4)])
    await bench.until(wait_for(bench, GOOD, 4), 300)
    bench.post(DRY, 2048, 1)
    await bench.until(wait_for(bench, DRY, count + 2), 300)
    bench.finish()


@cocotb.test(**TIMEOUT)
async def room_is_made_where_it_has_been_dry_longest(dut: Any) -> None:
    """A full buffer of a dead queue's frames: a queue dry for a moment loses none, the dead one does."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = RxBench(dut, rng)
    await bench.start()
    beats = -(-60 // bench.beat)
    held = (BUFFER_BYTES // bench.beat - KEPT_FREE_BEATS) // beats
    bench.send([make_frame(rng, DRY // 2, 60) for _ in range(held)])
    await bench.step(4096)
    burst = held * 3 // 4
    bench.send(
        [make_frame(rng, n % 4 // 2 * 2, 60) for n in range(burst)]
    )  # queues 0 and 4, both dry since now
    await bench.until(lambda: bench.entered == held + burst)
    await bench.step(50)
    assert set(bench.drops) == {(DRY, NO_BUFFER)} and not bench.door, bench.state()
    assert burst - 40 <= bench.dropped(DRY) <= burst + 40
    bench.post(0, 128, burst)
    bench.post(4, 128, burst)
    await bench.until(lambda: len(bench.queues[0].delivered) + len(bench.queues[4].delivered) == burst)
    bench.post(DRY, 128, held)
    await bench.until(lambda: bench.inside() == 0)
    await bench.step(50)
    bench.finish()


@cocotb.test(**TIMEOUT)
async def drops_have_the_right_reason(dut: Any) -> None:
    """Asleep, not active: NO_BUFFER at once; stopped: QUEUE_ERROR; a table's DROP; too small; by queue."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = RxBench(dut, rng)
    await bench.start()
    most = 60  # cycles until a frame that nobody takes is counted

    async def expect(queue: int, stat: Stat, frames: list[Frame]) -> None:
        before, total = bench.drops[queue, stat], sum(bench.drops.values())
        bench.send(frames)
        last = bench.entered + len(frames)
        await bench.until(lambda: bench.entered == last)
        await bench.step(most)
        assert bench.drops[queue, stat] - before == len(frames), bench.state()
        assert sum(bench.drops.values()) - total == len(frames), bench.state()

    def some(queue: int, size: int = 60, filtered: bool = False) -> list[Frame]:
        return [make_frame(rng, queue // 2, size, filtered=filtered) for _ in range(5)]

    bench.awake = 0xFF & ~(1 << DRY)
    await expect(DRY, NO_BUFFER, some(DRY))
    bench.active &= ~(1 << SLOW)
    await expect(SLOW, NO_BUFFER, some(SLOW))
    bench.stopped = 1 << SLOW
    await expect(SLOW, Stat.RX_DROP_QUEUE_ERROR, some(SLOW))
    await expect(GOOD, Stat.RX_DROP_FILTER, some(GOOD, filtered=True))
    bench.post(6, 100, 1)
    await expect(6, Stat.RX_DROP_TOO_SMALL, some(6, 89))
    bench.send(some(6, 88)[:1])  # and the chain is still there
    await bench.until(wait_for(bench, 6, 1))
    bench.send([make_frame(rng, 1, 60), *some(GOOD, filtered=True), make_frame(rng, 1, 60)])
    bench.awake = 0xFF
    await bench.step(100)
    assert bench.inside() == 2  # frames for a queue that may still find buffers wait
    bench.awake = 0xFF & ~(1 << DRY)
    await bench.step(20)
    assert bench.inside() == 0
    bench.finish()


@cocotb.test(**TIMEOUT)
async def a_frame_in_many_buffers_waits_for_the_rest_of_them(dut: Any) -> None:
    """Mergeable: frames that need more buffers than are cached wait for them, and hold up nobody."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = RxBench(dut, rng, mergeable=True)
    await bench.start()
    bench.post(GOOD, 128, 64)
    for number in range(6):
        need = rng.randint(2, 24)
        bench.send([make_frame(rng, SLOW // 2, 100 * need - 12 - rng.randrange(100))])
        entered = bench.entered
        await bench.until(lambda entered=entered: bench.entered > entered)
        for n in range(need):
            assert len(bench.queues[SLOW].delivered) == number
            bench.post(GOOD, 128, 3)
            before = len(bench.queues[GOOD].delivered)
            bench.send([make_frame(rng, GOOD, 60) for _ in range(3)])
            await bench.until(wait_for(bench, GOOD, before + 3), 200)
            assert max(latencies(bench, (GOOD,))[-3:]) <= 40 + 128 // bench.beat * 8
            bench.post(SLOW, 100, 1)
            await bench.step(rng.choice((1, 2, 3, 20)) if n + 1 < need else 60 + 9728 // bench.beat)
        await bench.until(wait_for(bench, SLOW, number + 1), 200)
    assert not bench.drops
    # Counted through in part, then asleep: dropped; the next frame starts over with the same buffers.
    bench.post(SLOW, 100, 5)
    bench.send([make_frame(rng, SLOW // 2, 900), make_frame(rng, SLOW // 2, 450)])
    await bench.step(200)
    assert bench.inside() == 2
    bench.awake &= ~(1 << SLOW)
    await bench.until(wait_for(bench, SLOW, 7), 200)
    assert bench.drops == {(SLOW, NO_BUFFER): 1}
    # More than a full cache holds.
    bench.awake = 0xFF
    bench.post(SLOW, 16, bench.cache)
    bench.send([make_frame(rng, SLOW // 2, 16 * bench.cache + 100)])
    await bench.step(300)
    assert bench.drops[SLOW, Stat.RX_DROP_TOO_SMALL] == 1
    await bench.step(100)
    bench.finish()


@cocotb.test(**TIMEOUT)
async def a_full_buffer_of_frames_that_can_go_drops_whole_ones(dut: Any) -> None:
    """Memory that takes no writes: what does not fit is refused, at the wire or (of queues that hold their
    part of the buffer) behind it; the rest comes out whole.
    """
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = RxBench(dut, rng, stall=0.5)
    await bench.start()
    for queue in bench.queues:
        bench.post(queue, FRAME_MOST + 12, 60)
    bench.send([make_frame(rng, rng.randrange(4), size_of(rng)) for _ in range(200)])
    await bench.until(lambda: bench.entered + sum(bench.door.values()) == 200)
    await bench.until(lambda: bench.inside() == 0)
    await bench.step(200)
    assert bench.door[OVERFLOW] and {reason for _, reason in bench.drops} <= {NO_BUFFER}
    bench.finish()


@cocotb.test(**TIMEOUT)
async def resets_with_frames_waiting(dut: Any) -> None:
    """Queue reset drops the queue's frames and is not held up; a device reset counts all that is inside."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = RxBench(dut, rng, stall=0.1)
    await bench.start()
    busy = bench._get["busy_o"]
    bench._put["busy_queue_i"](DRY)
    for _ in range(5):
        count = rng.randint(1, 12)
        kept = bench.inside()
        bench.send([make_frame(rng, DRY // 2, size_of(rng) + UDP_LEAST) for _ in range(count)])
        entered = bench.entered + count
        await bench.until(lambda entered=entered: bench.entered == entered)
        await bench.step(100)
        assert bench.inside() == count and not busy()
        bench.active &= ~(1 << DRY)
        await bench.step(count + 10)
        assert bench.inside() == kept and not busy(), bench.state()
        bench.active |= 1 << DRY
    for _ in range(25):
        lost = bench.lost_in_reset
        bench.source = lambda: make_frame(rng, rng.randrange(4), size_of(rng))
        for queue in bench.queues:
            if rng.random() < 0.7:
                bench.post(queue, FRAME_MOST + 12, rng.randint(1, 20))
        await bench.step(rng.choice((rng.randint(1, 60), rng.randint(60, 900))))
        bench.halt = True
        bench.active = 0
        await bench.step(2)  # the pins follow, and a drop in that cycle is counted
        dropped = sum(bench.drops.values())
        await bench.step(rng.choice((0, 1, 10)))
        assert sum(bench.drops.values()) == dropped, "a frame was dropped while the device was halted"
        await bench.reset_device()
        bench.halt = False
        await bench.step(10)
        assert bench.lost_in_reset >= lost
        bench.active = 0xFF
    assert bench.lost_in_reset > 100
    await drain(bench, FRAME_MOST + 12)


@pytest.mark.sim
@pytest.mark.parametrize("data_w", [128, 512])
def test_rx_queues(run_bench: RunBench, data_w: int) -> None:
    run_bench(TOP, sources=SOURCES, DATA_W=data_w, QUEUES=8)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("data_w", [256])
def test_rx_queues_of_another_width(run_bench: RunBench, data_w: int) -> None:
    run_bench(TOP, sources=SOURCES, DATA_W=data_w, QUEUES=8)
