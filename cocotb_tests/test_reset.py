# SPDX-License-Identifier: Apache-2.0
"""Resets in the middle of traffic: of the device, and of one queue while the others go on."""

import itertools
from typing import Any

import cocotb
import pytest
from cocotb.task import Task

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.nic_tests import LONG, SHORT, TOP, Shape
from cocotb_tests.rig import Rig
from cocotb_tests.test_storm import LAYOUT, all_queues, run_traffic, size_of
from cocotb_tests.traffic import Receiver, Sender, frame_of, receiver, sender

RX = 0
RESETS = 100
QUEUE_RESETS = 60
TIMEOUT = {"timeout_time": 400, "timeout_unit": "ms"}


class Endless:
    """Senders and a receiver that go on until they are cancelled."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.number = 0
        self.tasks: dict[int, list[Task[Any]]] = {}

    def start(self, queue: int) -> None:
        """Start traffic on one queue."""
        rig = self.rig
        if queue & 1:
            pump = sender(rig, queue, 3000, cells=16, spread=5, layout=LAYOUT)
            work = [self._send(pump)]
        elif queue == RX:
            sink = receiver(rig, queue, HEADER_BYTES + 3000, cells=16, spread=5, layout=LAYOUT)
            work = [sink.run(1 << 60), self._feed(sink)]
        else:
            return
        self.tasks[queue] = [cocotb.start_soon(job) for job in work]

    def stop(self, queue: int) -> None:
        """Stop one queue's driver half at once, whatever it is doing."""
        for task in self.tasks.pop(queue, ()):
            task.cancel()

    def frame(self, queue: int) -> bytes:
        """A frame that there was not before."""
        self.number += 1
        return frame_of(self.rig.rng, queue, self.number, max(14, size_of(self.rig)))

    async def _send(self, pump: Sender) -> None:
        while True:
            await pump.run([self.frame(pump.queue.number) for _ in range(8)])

    async def _feed(self, pump: Receiver) -> None:
        for number in itertools.count():
            while number >= pump.credit:
                await self.rig.cycles(16)
            self.rig.wire.send([self.frame(RX)])


@nic_test(**TIMEOUT)
async def hundred_resets_in_traffic(dut: Any) -> None:
    """Reset at a random moment of traffic, take the memory away, start again, pass traffic without fault."""
    rig = Rig(dut)
    rig.knobs.jitter_cycles = 100
    await rig.start()
    for number in range(RESETS):
        rig.knobs.latency_cycles = rig.rng.choice((5, 60, 250))
        rig.knobs.stall = rig.rng.choice((0.0, 0.3))
        rig.harness.wire.knobs.stall = rig.rng.choice((0.0, 0.5))
        await rig.device.start(all_queues(rig, 8))
        endless = Endless(rig)
        for queue in rig.device.queues:
            endless.start(queue)
        await rig.cycles(rig.rng.randrange(1, 2000))
        for queue in list(endless.tasks):
            endless.stop(queue)
        await rig.device.reset()
        assert rig.harness.memory.idle, f"reset {number}: complete with accesses in flight"
        rig.check()
        await rig.until(lambda: rig.harness.idle)
        await rig.cycles(300)
        await rig.device.start(all_queues(rig, 8))
        await run_traffic(rig, 2)
    await rig.finish()


async def all_go_on(rig: Rig, before: dict[int, int]) -> None:
    """Wait until each of these queues has used more than `before`."""
    try:
        await rig.until(lambda: all(rig.board.queues[q].used > used for q, used in before.items()))
    except AssertionError as error:
        stuck = [q for q, used in before.items() if rig.board.queues[q].used == used]
        raise AssertionError(f"queues {stuck} stand still: {error}") from error


@nic_test(**TIMEOUT)
async def queue_resets_disturb_no_other_queue(dut: Any) -> None:
    """One queue after the other is reset and set up again while all of them carry traffic."""
    rig = Rig(dut)
    rig.knobs.latency_cycles, rig.knobs.jitter_cycles = 60, 100
    await rig.start()
    sizes = all_queues(rig, 8)
    await rig.device.start(sizes)
    endless = Endless(rig)
    for queue in sizes:
        endless.start(queue)
    for number in range(QUEUE_RESETS):
        # A wire that hardly takes anything leaves chains in the device's caches at the moment of the reset.
        rig.wire.knobs.stall = rig.rng.choice((0.0, 0.0, 0.85))
        await rig.cycles(rig.rng.randrange(1, 1200))
        queue = rig.rng.randrange(rig.queues)
        before = {q: score.used for q, score in rig.board.queues.items() if q & 1 and q != queue}
        endless.stop(queue)
        await rig.device.reset_queue(queue)
        rig.check()
        await rig.device.add_queue(queue, sizes[queue])
        endless.start(queue)
        if number % 8 == 7 and before:
            rig.wire.knobs.stall = 0.0
            await all_go_on(rig, before)
    for queue in list(endless.tasks):
        endless.stop(queue)
    rig.wire.knobs.stall = 0.0
    await rig.device.reset()
    await rig.until(lambda: rig.harness.idle)
    await rig.device.start(sizes)
    await run_traffic(rig, 10)
    await rig.finish()


@nic_test(**TIMEOUT)
async def reset_of_an_idle_or_half_set_up_device(dut: Any) -> None:
    """Reset before DRIVER_OK, with some queues enabled, twice in a row, and with nothing to do."""
    rig = Rig(dut)
    await rig.start()
    await rig.device.reset()
    await rig.device.reset()
    for _ in range(5):
        await rig.device.negotiate()
        for queue in range(rig.rng.randrange(rig.queues + 1)):
            await rig.device.add_queue(queue, 4)
        await rig.device.reset()
        await rig.device.start(all_queues(rig, 4))
        await rig.device.reset()
    await rig.device.start(all_queues(rig, 8))
    await run_traffic(rig, 5)
    await rig.finish()


CASES = [
    "hundred_resets_in_traffic",
    "queue_resets_disturb_no_other_queue",
    "reset_of_an_idle_or_half_set_up_device",
]


@pytest.mark.sim
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_reset(run_bench: RunBench, shape: Shape, case: str) -> None:
    run_bench(TOP, case, **shape.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("shape", LONG, ids=str)
def test_reset_of_other_shapes(run_bench: RunBench, shape: Shape) -> None:
    run_bench(TOP, CASES, **shape.parameters)
