# SPDX-License-Identifier: Apache-2.0
"""tupelo_rings with windows, queue table and queue control: indirect tables, room in the cache, windows."""

from collections import deque
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.conftest import RunBench
from cocotb_tests.rings_bench import SPAN, Bench
from cocotb_tests.rings_model import DESC_BYTES, INDIRECT, NEXT, WRITE, Buffer, Chain, Ring
from driver.registers import StopReason

RTL = (
    *("regs_pkg", "pkg", "axil_pkg", "rings_pkg", "rr_pick", "fifo", "queue_table", "windows", "queue_ctl"),
    *("desc_cache", "desc_fetch", "desc_unpack", "indirect", "rings"),
)
SOURCES = [*(f"rtl/tupelo_{name}.sv" for name in RTL), "cocotb_tests/hdl/rings_bench.sv"]
READ_RIGHT, WRITE_RIGHT = 1, 2
TIMEOUT = {"timeout_time": 4, "timeout_unit": "ms"}


def cache() -> int:
    """DESC_CACHE of this build."""
    return int(cocotb.plusargs["depth"])


def post_some(ring: Ring, largest: int, mix: float) -> bool:
    """Post a few random chains; return whether there was room for any."""
    posted = False
    for _ in range(ring.rng.randint(1, 12)):
        count = ring.rng.choice((1, 2, 3, ring.rng.randint(1, largest)))
        if ring.rng.random() < mix:
            if not ring.free:
                break
            ring.post_indirect(count)
        else:
            count = min(count, ring.size, ring.free)
            if not count:
                break
            ring.post_direct(count)
        posted = True
    return posted


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(mix=[0.0, 0.5, 1.0], stall=[0.0, 0.5], large=[False, True])
async def tables_are_chains(dut: Any, mix: float, stall: float, large: bool) -> None:
    """Every queue gives its chains in ring order, direct and indirect ones mixed, however large."""
    bench = Bench(dut, (mix, stall, large), stall=stall)
    await bench.start()
    depth = cache()
    for queue in range(bench.queues):
        await bench.enable(queue, bench.rng.choice((4, 7, 64, 256)))
    for _ in range(250):
        queue = bench.rng.randrange(bench.queues)
        if post_some(bench.ring[queue], depth if large else 4, mix):
            bench.kick(queue)
        bench.take = bench.rng.random() > 0.2
        await ClockCycles(dut.clk, bench.rng.choice((1, 20, 100)))
    bench.take = True
    await bench.drained()
    assert not int(dut.stopped_o.value)
    assert (bench.tables > 0) == (mix > 0.0)
    assert bench.descs > 500


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(entries=[0, 1, 2, 3])
async def tables_are_read_ahead(dut: Any, entries: int) -> None:
    """Memory far away: reads of rings and tables overlap, to a descriptor a cycle or full caches."""
    latency, window = 250, 6000
    bench = Bench(dut, entries, latency=latency, stall=0.0)
    await bench.start()
    for queue in range(bench.queues):
        await bench.enable(queue, 256)
    chains = 0
    for cycle in range(2500 + window):
        if cycle == 2500:  # in full swing
            chains = 0
        for ring in bench.ring.values():
            while ring.free:
                ring.post_indirect(entries) if entries else ring.post_direct(1)
                chains += 1
            if cycle % 50 == 0:
                bench.kick(ring.queue)
        await RisingEdge(dut.clk)
    spent = window / chains
    round_trip = (2 if entries else 1) * (latency + 30)
    # Places are reserved by powers of two; some chains wait for their readers' turn.
    held = bench.queues * max(1, cache() // (1 << max(entries - 1, 0).bit_length()))
    bound = 1.5 * max(1 + entries, round_trip / held)
    cocotb.log.info("%d entries: %.2f cycles a chain, bound %.2f", entries, spent, bound)
    assert spent <= bound


async def with_windows(bench: Bench) -> None:
    """Give each pair its queues' areas: rings for both rights, transmit buffers for reading only."""
    for queue in range(bench.queues):
        base, first = (queue + 1) << 32, queue % 2 * 2
        rights = READ_RIGHT if queue % 2 else READ_RIGHT | WRITE_RIGHT
        assert await bench.window(queue // 2, first, base, base + (1 << 20) - 1, READ_RIGHT | WRITE_RIGHT)
        assert await bench.window(
            queue // 2, first + 1, base + (1 << 20), base + (1 << 20) + SPAN - 1, rights
        )
        assert await bench.control(queue // 2, 3) == (3 if queue // 2 else 2)
    bench.allowed = [((q + 1) << 32, ((q + 1) << 32) + (1 << 20) + SPAN) for q in range(bench.queues)]


def break_a_rule(bench: Bench, ring: Ring, rule: str) -> tuple[int, int]:
    """Post what must stop the queue; return the reason and the address it must be told with."""
    good, way = ring.buffers(3), ring.direction
    ring.table_at += -ring.table_at % 16  # a line of its own
    end = ring.tables + SPAN
    bad: dict[str, tuple[Buffer, int]] = {
        "outside": ((end - 63, 64), StopReason.WINDOW),
        "below": ((ring.tables - (1 << 20) - 1, 2), StopReason.WINDOW),
        "around": (((1 << 64) - 8, 16), StopReason.WINDOW),
        "empty": ((ring.tables, 0), StopReason.DESC_LENGTH),
        "foreign": ((((ring.queue ^ 1) + 1 << 32) + (1 << 20) + SPAN - 8, 9), StopReason.WINDOW),
    }
    place, _, kind = rule.partition("-")
    if place == "ring":
        buffer, reason = bad[kind]
        at = ring.write([(*buffer, 1, way)])
        return reason, buffer[0] if reason == StopReason.WINDOW else at
    if place == "entry":
        buffer, reason, flags = *bad.get(kind, (good[1], StopReason.INDIRECT)), 0
        if kind == "nested":
            flags = INDIRECT
        elif kind == "direction":
            flags, reason = WRITE ^ way, StopReason.DESC_FLAGS
        addr = ring.table((good[0], buffer, good[2]))
        word = bench.memory[addr + DESC_BYTES]
        bench.memory[addr + DESC_BYTES] = (word | flags << 112) & ~(
            (way if kind == "direction" else 0) << 112
        )
        ring.write([(addr, 3 * DESC_BYTES, 1, INDIRECT)])
        return reason, buffer[0] if reason == StopReason.WINDOW else addr + DESC_BYTES
    addr, length, flags, reason = ring.table(good), 3 * DESC_BYTES, INDIRECT, StopReason.INDIRECT
    if kind == "error":
        bench.bad_reads.add(addr // 256)
        ring.table_at += 16
        ring.write([(addr, length, 1, flags)])
        return StopReason.DESC_READ, addr
    if kind == "outside":
        ring.write([(end - DESC_BYTES, 2 * DESC_BYTES, 1, flags)])
        return StopReason.WINDOW, end - DESC_BYTES
    if kind == "inside":  # of a direct chain
        at = ring.write([(*good[0], 1, way | NEXT), (addr, length, 1, flags)])
        return reason, ring.base + ((at - ring.base) // DESC_BYTES + 1) % ring.size * DESC_BYTES
    addr += 8 if kind == "crooked" else 0
    flags |= NEXT if kind == "next" else 0
    length = {"zero": 0, "odd": 40, "long": (cache() + 1) * DESC_BYTES, "huge": 1 << 31}.get(kind, length)
    return reason, ring.write([(addr, length, 1, flags)])


BREACHES = (
    *(f"ring-{kind}" for kind in ("outside", "below", "around", "empty", "foreign")),
    *(f"entry-{kind}" for kind in ("outside", "below", "around", "empty", "foreign", "nested", "direction")),
    *(
        f"table-{kind}"
        for kind in ("error", "outside", "inside", "crooked", "next", "zero", "odd", "long", "huge")
    ),
)


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(stall=[0.0, 0.4])
async def breach_stops_one_queue(dut: Any, stall: float) -> None:
    """Each breach is told with its reason and address, what lies before it is whole, nothing behind it is let
    out, other queues go on, and a queue reset heals it.
    """
    bench = Bench(dut, stall, stall=stall)
    await bench.start()
    await with_windows(bench)
    for queue in range(bench.queues):
        await bench.enable(queue, 64)
    breaches = [(rule, queue) for rule in BREACHES for queue in (0, 1)]
    bench.rng.shuffle(breaches)
    for rule, queue in breaches:
        cocotb.log.info("%s in queue %d", rule, queue)
        for other in range(bench.queues):
            post_some(bench.ring[other], 6, 0.5)
            bench.kick(other)
        ring = bench.ring[queue]
        while ring.free < 3:
            await ClockCycles(dut.clk, 10)
        expected = break_a_rule(bench, ring, rule)
        told = deque(ring.posted)
        post_some(ring, 6, 0.5)
        behind = len(ring.posted) - len(told)
        for other in range(bench.queues):
            bench.kick(other)
        assert await bench.error(queue) == expected, rule
        await ClockCycles(dut.clk, 300)
        assert len(ring.posted) >= behind and len(ring.taken) == 0, rule
        bench.bad_reads.clear()
        await bench.reset_queue(queue)
        await bench.drained(*(q for q in range(bench.queues) if q != queue))
        ring = await bench.enable(queue, bench.rng.choice((5, 64)))
        assert not bench.stopped(queue)
        post_some(ring, 6, 0.5)
        bench.kick(queue)
        await bench.drained(queue)


@cocotb.test(**TIMEOUT)
async def reset_in_traffic(dut: Any) -> None:
    """A queue reset at any moment leaves nothing of the old ring behind, with tables on their way."""
    bench = Bench(dut, "reset", stall=0.3)
    await bench.start()
    for queue in range(bench.queues):
        await bench.enable(queue, 32)
    for _ in range(60):
        for queue in range(bench.queues):
            post_some(bench.ring[queue], 8, 0.7)
            bench.kick(queue)
        await ClockCycles(dut.clk, bench.rng.randrange(200))
        queue = bench.rng.randrange(bench.queues)
        await bench.reset_queue(queue)
        await bench.enable(queue, bench.rng.choice((3, 32)))
    await bench.drained()


@cocotb.test(**TIMEOUT)
async def areas_are_checked_at_the_start(dut: Any) -> None:
    """A queue whose ring areas are not in the ranges of its pair, with rights, stops before any access."""
    bench = Bench(dut, "areas", stall=0.0)
    await bench.start()
    assert await bench.control(0, 3) == 2, "the guard of pair 0 cannot be turned on"
    stops = 0
    for turn in range(150):
        base, size = (turn + 1) << 24, bench.rng.choice((1, 16, 100))
        needs = ((base, size * 16, 3), (base + 0xF0000, 4, READ_RIGHT), (base + 0xF0010, 4, WRITE_RIGHT))
        ranges = []
        for number, (addr, length, rights) in enumerate(needs):
            slack = bench.rng.choice((-1, 0, 0, 0, 5))
            first, last = addr - bench.rng.choice((0, 0, 0, 0, 16, -1)), addr + length - 1 + slack
            ranges.append((first, last, bench.rng.choice((rights, rights, rights, 3, 3, 0, 1, 2))))
            assert await bench.window(0, number, *ranges[-1])
        wide = bench.rng.random() < 0.3
        ranges.append((0, (1 << 64) - 1, 3 if wide else 0))
        assert await bench.window(0, 3, *ranges[-1])
        bad = [
            addr
            for addr, length, rights in needs
            if not any(b <= addr and addr + length - 1 <= e and r & rights == rights for b, e, r in ranges)
        ]
        ring = await bench.enable(0, size, base)
        await ClockCycles(dut.clk, 20)
        if bad:
            stops += 1
            bench.allowed = []
            assert await bench.error(0) == (StopReason.WINDOW, bad[0])
            bench.kick(0)
            await ClockCycles(dut.clk, 50)
        else:
            assert not bench.stopped(0)
            # Only a range without rights may be changed now; what it reads as is what was committed.
            for number in range(3):
                assert await bench.window(0, number, 0, 0, 3) == (ranges[number][2] == 0)
            bench.allowed = None
            ring.write([(0xFFFF_FFFF_0000, 4, 1, WRITE)])
            bench.kick(0)
            if wide:
                ring.posted.append(Chain(1, False, ((0xFFFF_FFFF_0000, 4),)))
                await bench.drained(0)
            else:
                assert await bench.error(0) == (StopReason.WINDOW, 0xFFFF_FFFF_0000)
        await bench.reset_queue(0)
    assert 30 < stops < 140


@pytest.mark.sim
@pytest.mark.parametrize(("queues", "data_w", "depth"), [(4, 512, 64), (4, 128, 16), (8, 256, 128)])
def test_rings(run_bench: RunBench, queues: int, data_w: int, depth: int) -> None:
    run_bench(
        "rings_bench",
        sources=SOURCES,
        plusargs=[f"+depth={depth}"],
        QUEUES=queues,
        DATA_W=data_w,
        DESC_CACHE=depth,
    )
