# SPDX-License-Identifier: Apache-2.0
"""Everything at once: traffic on all queues, random latency, stalls on every channel, disorder, and
errors.

The scoreboard says whether anything was lost, doubled, swapped within a queue, or written where it should
not be.
"""

import itertools
from typing import Any

import cocotb
import pytest
from cocotb.task import Task
from cocotb.triggers import gather

from cocotb_tests.agents.axi_memory import READ
from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.nic_tests import LONG, MANY, SHORT, TOP, Shape
from cocotb_tests.raw_ring import Events
from cocotb_tests.rig import Rig
from cocotb_tests.traffic import Layout, feed, frame_of, receiver, sender
from driver.registers import StopReason

RX = 0
LAYOUT = Layout(parts=lambda rng: rng.choice((1, 1, 2, 5)))
TIMEOUT = {"timeout_time": 400, "timeout_unit": "ms"}
LOADS = {"short": 40, "long": 600}
ERROR_REASONS = {
    StopReason.DESC_READ,
    StopReason.EVENT_READ,
    StopReason.DATA_READ,
    StopReason.DATA_WRITE,
    StopReason.USED_WRITE,
    StopReason.EVENT_WRITE,
}


def load() -> int:
    """Frames a queue."""
    return LOADS["long" if cocotb.plusargs.get("long") else "short"]


def weather(rig: Rig, wild: bool) -> None:
    """Set every knob of every agent at random."""
    rng, knobs, harness = rig.rng, rig.knobs, rig.harness
    stall = rng.choice((0.05, 0.3, 0.6)) if wild else 0.0
    knobs.latency_cycles = rng.choice((1, 30, 250))
    knobs.jitter_cycles = rng.choice((0, 50, 400))
    knobs.stall, knobs.longest_stall_cycles = stall, rng.choice((3, 12, 60))
    knobs.interleave = rng.choice((0.0, 0.3, 0.9))
    knobs.max_reads, knobs.max_writes = rng.choice((256, 7, 1)), rng.choice((64, 3, 1))
    if min(knobs.max_reads, knobs.max_writes) == 1:  # one access at a time: cycles without end otherwise
        knobs.latency_cycles, knobs.jitter_cycles = (
            min(30, knobs.latency_cycles),
            min(50, knobs.jitter_cycles),
        )
    harness.wire.knobs.stall = harness.wire.knobs.gap = stall
    harness.msix.knobs.stall = stall
    harness.bar.stall(rng, stall)


def size_of(rig: Rig) -> int:
    """Mostly small frames, some full ones, a few jumbo ones."""
    rng = rig.rng
    return rng.choice(
        (rng.randint(14, 130), rng.randint(14, 130), rng.randint(14, 1514), rng.randint(14, 3000))
    )


async def run_traffic(rig: Rig, per_queue: int, layout: Layout = LAYOUT) -> None:
    """Traffic on every transmit queue and on the receive queue of pair 0, until all of it has passed."""
    modes = (Events.ENABLE, Events.DESC, Events.DISABLE)
    tasks = []
    for queue in rig.device.queues:
        frames = [frame_of(rig.rng, queue, n, size_of(rig)) for n in range(per_queue)]
        mode = rig.rng.choice(modes)
        if queue & 1:
            pump = sender(rig, queue, 3000, cells=24, spread=5, layout=layout, mode=mode)
            tasks.append(pump.run(frames))
        elif queue == RX:
            rx = receiver(rig, queue, HEADER_BYTES + 3000, cells=24, spread=5, layout=layout, mode=mode)
            tasks += [rx.run(per_queue), feed(rig, rx, frames)]
    await gather(*tasks)


def all_queues(rig: Rig, slots: int) -> dict[int, int]:
    """Every queue of the build, with rings of different sizes around `slots`."""
    return {queue: slots + 3 * queue for queue in range(rig.queues)}


@nic_test(**TIMEOUT)
@cocotb.parametrize(wild=[False, True], round_number=[0, 1, 2])
async def nothing_lost_doubled_or_swapped(dut: Any, wild: bool, round_number: int) -> None:
    """All queues, both directions, random weather."""
    rig = Rig(dut, salt=(wild, round_number))
    await rig.start()
    weather(rig, wild)
    await rig.device.start(all_queues(rig, 16))
    await run_traffic(rig, load() * (1 if wild else 2))
    await rig.finish()


@nic_test(**TIMEOUT)
async def weather_changes_while_traffic_flows(dut: Any) -> None:
    """Knobs turn every few hundred cycles."""
    rig = Rig(dut)
    await rig.start()
    await rig.device.start(all_queues(rig, 8))
    traffic = cocotb.start_soon(run_traffic(rig, load() * 2))
    while not traffic.done():
        weather(rig, True)
        await rig.cycles(rig.rng.randrange(100, 1500))
    await rig.finish()


@nic_test(**TIMEOUT)
async def transmit_queues_share_the_wire(dut: Any) -> None:
    """All transmit queues have work, and frames come in without a pause: none gets much less than another."""
    rig = Rig(dut, poison=False)
    rig.knobs.latency_cycles = 60
    await rig.start()
    await rig.device.start({queue: 64 for queue in range(rig.queues)})
    one = Layout(parts=lambda rng: 1)
    numbers = itertools.count()

    async def busy(queue: int) -> None:
        pump = sender(rig, queue, 60, layout=one, mode=Events.DISABLE, burst=lambda rng: 64)
        await pump.run(frame_of(rig.rng, queue, next(numbers), 60) for _ in range(3000))

    rx = receiver(rig, RX, HEADER_BYTES + 64, layout=one, mode=Events.DISABLE)
    frames = [frame_of(rig.rng, RX, next(numbers), 60) for _ in range(3000)]
    tasks = [cocotb.start_soon(job) for job in (rx.run(3000), feed(rig, rx, frames))]
    tasks += [cocotb.start_soon(busy(queue)) for queue in rig.device.queues if queue & 1]
    await rig.cycles(max(6000, 400 * rig.queues))
    used = {queue: score.used for queue, score in rig.board.queues.items() if queue & 1}
    for task in tasks:
        task.cancel()
    cocotb.log.info("used: %s", used)
    assert min(used.values()) * 2 > max(used.values()) > 0, used
    await rig.device.reset()
    rig.check()


def settled(rig: Rig, tasks: dict[int, Task[None]], feeder: Task[None]) -> bool:
    """Whether each queue has finished or met an error; in the second case its driver half is stopped."""
    for queue, task in tasks.items():
        if rig.board.queues[queue].faulted and not task.done():
            task.cancel()
            if queue == RX:
                feeder.cancel()
    return all(task.done() for task in tasks.values())


async def check_stop(rig: Rig, queue: int) -> None:
    """A queue is stopped if an access of its failed, and says which.

    Descriptors fetched ahead may be thrown away unused; an error on such a fetch need not stop the queue.
    """
    told = await rig.device.stopped(queue)
    failed = [bad for bad in rig.harness.memory.bad_accesses if bad.queue == queue]
    ring = rig.device.queues[queue].desc
    ahead = [
        bad for bad in failed if bad.kind == READ and abs(bad.addr_bus - ring.iova) < 64 + ring.size_bytes
    ]
    assert told.stopped == bool(failed) or failed == ahead, f"queue {queue}: {told}, failed accesses {failed}"
    if told.stopped:
        assert told.reason in ERROR_REASONS
        beat = rig.harness.data_w // 8
        near = any(bad.addr_bus - beat < told.addr < bad.addr_bus + bad.size_bytes for bad in failed)
        assert near, f"queue {queue}: {told}, failed accesses {failed}"


@nic_test(**TIMEOUT)
@cocotb.parametrize(round_number=list(range(6)))
async def errors_stop_only_their_queue(dut: Any, round_number: int) -> None:
    """A few accesses fail: their queues stop with a reason and that address, the others finish their work."""
    rig = Rig(dut, salt=round_number)
    await rig.start()
    weather(rig, False)
    await rig.device.start(all_queues(rig, 16))
    chance = 0.004
    rig.knobs.read_error = chance if round_number % 2 else 0.0
    rig.knobs.write_error = 0.0 if round_number % 2 else 4 * chance
    tasks: dict[int, Task[None]] = {}
    for queue in rig.device.queues:
        frames = [frame_of(rig.rng, queue, n, size_of(rig)) for n in range(load())]
        if queue & 1:
            tasks[queue] = cocotb.start_soon(sender(rig, queue, 3000, cells=24, spread=5).run(frames))
        elif queue == RX:
            rx = receiver(rig, queue, HEADER_BYTES + 3000, cells=24, spread=5)
            tasks[queue] = cocotb.start_soon(rx.run(load()))
            feeder = cocotb.start_soon(feed(rig, rx, frames))
    await rig.until(lambda: settled(rig, tasks, feeder), limit_cycles=1_500_000)
    rig.knobs.read_error = rig.knobs.write_error = 0.0
    await rig.cycles(3000)
    for queue in tasks:
        await check_stop(rig, queue)
    await rig.finish()
    await rig.device.start(all_queues(rig, 16))
    await run_traffic(rig, 10)
    await rig.finish()


CASES = [
    "nothing_lost_doubled_or_swapped",
    "weather_changes_while_traffic_flows",
    "errors_stop_only_their_queue",
]


@pytest.mark.sim
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_storm(run_bench: RunBench, shape: Shape, case: str) -> None:
    run_bench(TOP, case, **shape.parameters)


@pytest.mark.sim
def test_sixty_four_pairs_share_the_wire(run_bench: RunBench) -> None:
    run_bench(TOP, "transmit_queues_share_the_wire", **MANY.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", (*SHORT, *LONG), ids=str)
def test_long_storm(run_bench: RunBench, shape: Shape, case: str) -> None:
    run_bench(TOP, case, plusargs=["+long"], **shape.parameters)
