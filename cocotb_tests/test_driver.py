# SPDX-License-Identifier: Apache-2.0
"""The real driver, unchanged, on the pins harness, with the scoreboard watching the pins."""

from typing import Any

import cocotb
import pytest

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.nic_tests import LONG, SHORT, TOP, Shape
from cocotb_tests.rig import Rig
from cocotb_tests.test_storm import weather
from cocotb_tests.traffic import frame_of
from driver.nic import NicConfig, TupeloNic
from driver.registers import QueueStat, Stat, StopReason

TIMEOUT = {"timeout_time": 40, "timeout_unit": "ms"}
WAIT_NS = 400_000
FRAMES = 16  # a queue pair and lap


async def send_and_receive(rig: Rig, nic: TupeloNic, pair: int, count: int) -> None:
    """Frames out on a pair, then as many in from the wire; all compared."""
    frames = [frame_of(rig.rng, pair, rig.cycle + n, rig.rng.randint(14, 1514)) for n in range(count)]
    out: list[bytes] = []
    for start in range(0, count, 8):
        assert await nic.send_all(frames[start : start + 8], pair, WAIT_NS) == len(frames[start : start + 8])
        while len(out) < min(count, start + 8):
            assert await rig.wire.wait(WAIT_NS), "nothing came out"
            out += rig.wire.take()
    assert out == frames
    got: list[bytes] = []
    for start in range(0, count, 8):
        rig.wire.send(frames[start : start + 8])
        while len(got) < min(count, start + 8):
            assert await nic.wait_rx(WAIT_NS, [0]), "no interrupt"
            got += nic.recv(0)
    assert got == frames


@nic_test(**TIMEOUT)
@cocotb.parametrize(event_idx=[True, False], wild=[False, True])
async def driver_sends_and_receives(dut: Any, event_idx: bool, wild: bool) -> None:
    """Start, traffic on each pair, statistics, stop, start again, traffic."""
    rig = Rig(dut, salt=(event_idx, wild), poison=False)
    await rig.start()
    weather(rig, wild)
    nic = TupeloNic(rig.harness)
    pairs = rig.queues // 2
    for lap in range(2):
        config = NicConfig(queue_pairs=pairs, tx_ring_slots=32, rx_ring_slots=48, event_idx=event_idx)
        await nic.start(config)
        for pair in range(pairs):
            await send_and_receive(rig, nic, pair, FRAMES)
        await rig.until(rig.quiet)
        stats = await nic.statistics()
        assert stats.total(Stat.TX_FRAMES) == stats.total(Stat.RX_FRAMES) == FRAMES * pairs * (lap + 1)
        assert stats.queue(1, QueueStat.FRAMES) == FRAMES * (lap + 1)
        assert not await nic.queue_errors()
        await nic.stop()
        assert rig.harness.memory.idle
    await rig.finish()


@nic_test(**TIMEOUT)
async def driver_names_a_failed_access_and_recovers(dut: Any) -> None:
    """An error response stops one queue; the driver says why, resets that queue, and goes on."""
    rig = Rig(dut, poison=False)
    await rig.start()
    nic = TupeloNic(rig.harness)
    await nic.start(NicConfig(queue_pairs=1, tx_ring_slots=16, rx_ring_slots=16))
    await send_and_receive(rig, nic, 0, 8)
    rig.harness.memory.fault = lambda kind, addr, size, queue: queue == 1 and kind == "read"
    await nic.send([frame_of(rig.rng, 9, 1, 100)], 0)
    await rig.cycles(3000)
    rig.harness.memory.fault = None
    errors = await nic.queue_errors()
    assert [error.index for error in errors] == [1]
    assert errors[0].reason in (StopReason.DESC_READ, StopReason.DATA_READ, StopReason.EVENT_READ)
    await nic.reset_queue(1)
    await send_and_receive(rig, nic, 0, 8)
    await nic.stop()
    await rig.finish()


@nic_test(**TIMEOUT)
async def driver_loops_small_frames(dut: Any) -> None:
    """The bench's loop: transmit ring to wire to receive ring."""
    rig = Rig(dut, poison=False)
    await rig.start()
    rig.wire.loopback = True
    nic = TupeloNic(rig.harness)
    await nic.start(NicConfig(queue_pairs=1))
    frames = [frame_of(rig.rng, 1, n, 60) for n in range(400)]
    got: list[bytes] = []
    for start in range(0, len(frames), 50):
        assert await nic.send_all(frames[start : start + 50], 0, WAIT_NS) == 50
        while len(got) < start + 50:
            assert await nic.wait_rx(WAIT_NS, [0])
            got += nic.recv(0)
    assert got == frames
    await nic.stop()
    await rig.finish()


CASES = [
    "driver_sends_and_receives",
    "driver_names_a_failed_access_and_recovers",
    "driver_loops_small_frames",
]


@pytest.mark.sim
@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_driver(run_bench: RunBench, shape: Shape) -> None:
    run_bench(TOP, CASES, **shape.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("shape", LONG, ids=str)
def test_driver_on_other_shapes(run_bench: RunBench, shape: Shape) -> None:
    run_bench(TOP, CASES, **shape.parameters)
