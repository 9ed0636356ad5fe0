# SPDX-License-Identifier: Apache-2.0
"""Event suppression both ways, and that no wake-up is ever lost (VIRTIO 1.2 section 2.8.10).

Senders and receivers of traffic.py sleep until an interrupt and ring a doorbell only if asked to; a
wake-up that does not come ends the test. Long idle times between rounds put driver and device to sleep
over and over, each time at another moment of the other one's check.
"""

from collections.abc import Sequence
from typing import Any

import cocotb
import pytest
from cocotb.triggers import gather

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.nic_tests import NARROW, SHORT, TOP, WIDE, Shape
from cocotb_tests.packed_walk import Place
from cocotb_tests.raw_ring import Events
from cocotb_tests.rig import Rig
from cocotb_tests.traffic import Layout, Receiver, feed, frame_of, receiver, sender
from driver.registers import Feature

RX, TX = 0, 1
SIZE = 60
ROUNDS = {"short": 700, "long": 6000}
PLAIN = Layout(parts=lambda rng: 1)
TIMEOUT = {"timeout_time": 400, "timeout_unit": "ms"}


def rounds() -> int:
    """How many sleeps each side goes through."""
    return ROUNDS["long" if cocotb.plusargs.get("long") else "short"]


def shake(rig: Rig) -> None:
    """Another latency, other stalls: where driver's and device's checks meet moves all the time."""
    rng, knobs = rig.rng, rig.knobs
    knobs.latency_cycles = rng.choice((1, 4, 12, 40))
    knobs.jitter_cycles = rng.choice((0, 3, 30))
    knobs.stall = rng.choice((0.0, 0.0, 0.2))
    rig.harness.msix.knobs.stall = rng.choice((0.0, 0.3))


@nic_test(**TIMEOUT)
@cocotb.parametrize(mode=[Events.ENABLE, Events.DESC])
async def sender_sleeps_and_is_always_woken(dut: Any, mode: Events) -> None:
    """One to three frames a round, then sleep until they are used; doorbells only on the device's request."""
    rig = Rig(dut, salt=mode)
    without = () if mode is Events.DESC else (Feature.RING_EVENT_IDX,)
    await rig.start({RX: 2, TX: 5}, without=without)
    tx = sender(rig, TX, SIZE, mode=mode, layout=PLAIN, burst=lambda rng: rng.randrange(1, 4))
    for number in range(rounds()):
        shake(rig)
        await tx.run([frame_of(rig.rng, TX, number * 4 + n, SIZE) for n in range(rig.rng.randrange(1, 4))])
        await rig.cycles(rig.rng.choice((0, 0, 1, 5, 20, 100)))
    assert tx.sleeps > rounds() // 2, "the sender hardly ever slept: this tested nothing"
    await rig.finish()


@nic_test(**TIMEOUT)
@cocotb.parametrize(mode=[Events.ENABLE, Events.DESC])
async def receiver_sleeps_and_is_always_woken(dut: Any, mode: Events) -> None:
    """Frames come at random moments; receiver and device (for want of buffers) sleep in between."""
    rig = Rig(dut, salt=mode)
    without = () if mode is Events.DESC else (Feature.RING_EVENT_IDX,)
    await rig.start({RX: 3, TX: 2}, without=without)
    rx = receiver(rig, RX, HEADER_BYTES + SIZE, mode=mode, layout=PLAIN)
    count = rounds()
    task = cocotb.start_soon(rx.run(count))
    number = 0
    while number < count:
        shake(rig)
        number += await burst(
            rig, rx, number, min(count - number, rig.rng.randrange(1, 4)), (0, 1, 5, 20, 100)
        )
        await rig.cycles(rig.rng.choice((0, 0, 10, 100, 300)))
    await task
    assert rx.sleeps > count // 4, "the receiver hardly ever slept: this tested nothing"
    await rig.finish()


async def burst(rig: Rig, rx: Receiver, first: int, count: int, gaps: Sequence[int]) -> int:
    """Send some frames, then none until all are received: no later one may stand in for a lost wake-up."""
    for number in range(first, first + count):
        while number >= rx.credit:
            await rig.cycles(8)
        rig.wire.send([frame_of(rig.rng, RX, number, SIZE)])
        await rig.cycles(rig.rng.choice(gaps))
    while rx.received < first + count:  # the receiver itself gives up on a lost wake-up
        await rig.cycles(4)
    return count


@nic_test(**TIMEOUT)
async def no_interrupt_while_disabled(dut: Any) -> None:
    """With DISABLE in both rings, thousands of used descriptors raise no interrupt."""
    rig = Rig(dut)
    rig.knobs.latency_cycles = 20
    await rig.start({RX: 16, TX: 16})
    tx = sender(rig, TX, SIZE, mode=Events.DISABLE)
    rx = receiver(rig, RX, HEADER_BYTES + SIZE, mode=Events.DISABLE)
    for queue in (tx.queue, rx.queue):
        queue.set_interrupts(Events.DISABLE)
    frames = [frame_of(rig.rng, q, n, SIZE) for q in (TX, RX) for n in range(200)]
    tasks = [tx.run(frames[:200]), rx.run(200), feed(rig, rx, frames[200:])]
    await gather(*tasks)
    assert rig.harness.msix.messages == 0
    stats = await rig.finish()
    assert stats["msix_sent"] == 0


@nic_test(**TIMEOUT)
@cocotb.parametrize(ahead=[0, 1, 4, 9])
async def interrupt_comes_at_the_asked_position(dut: Any, ahead: int) -> None:
    """DESC mode: no interrupt before the descriptor at off_wrap is used, one after it."""
    rig = Rig(dut, salt=ahead)
    rig.knobs.latency_cycles = 10
    await rig.start({RX: 2, TX: 10})
    tx = sender(rig, TX, SIZE, layout=PLAIN)
    queue, vector = tx.queue, rig.device.vector(TX)
    for number in range(30):
        queue.set_interrupts(Events.DESC, ahead)
        for n in range(10):
            before = rig.harness.msix.messages
            since = Place(queue.next_avail.slot, queue.next_avail.wrap)
            frame = frame_of(rig.rng, TX, number * 16 + n, SIZE)
            tx.post(bytes(HEADER_BYTES) + frame)
            await tx.kick(since, 1)
            await rig.until(queue.has_used, 5000, 5)
            await rig.cycles(120)  # an event read and a message take less
            assert (rig.harness.msix.messages - before == 1) == (n == ahead), f"descriptor {n}"
            tx.reap()
        assert await rig.harness.wait_irq([vector], 0) == {vector}
    await rig.finish()


@nic_test(**TIMEOUT)
async def device_asks_for_doorbells_only_when_asleep(dut: Any) -> None:
    """Under steady load nearly no doorbell is rung, though each one that the device wants is."""
    rig = Rig(dut)
    await rig.start({RX: 2, TX: 256})
    tx = sender(rig, TX, SIZE, mode=Events.DISABLE, layout=PLAIN, burst=lambda rng: 4)
    await tx.run([frame_of(rig.rng, TX, 0, SIZE)])
    await rig.until(lambda: tx.queue.device_events()[1] == Events.DESC, 5000)  # it has gone to sleep once
    count, before = 600, tx.kicks
    await tx.run([frame_of(rig.rng, TX, n + 1, SIZE) for n in range(count)])
    assert 0 < tx.kicks - before < count // 40, f"{tx.kicks} doorbells for {count} frames"
    stats = await rig.finish()
    assert stats["tx_frames"] == count + 1


@nic_test(**TIMEOUT)
async def masked_vector_keeps_its_message(dut: Any) -> None:
    """With MSI-X masked nothing is sent, and the message that is due comes at the unmask (PCIe 6.1.4)."""
    rig = Rig(dut)
    await rig.start({RX: 2, TX: 4})
    await rig.device.mask(TX, True)
    tx = sender(rig, TX, SIZE, mode=Events.DISABLE, layout=PLAIN)
    tx.queue.set_interrupts(Events.ENABLE)
    tx.post(bytes(HEADER_BYTES) + frame_of(rig.rng, TX, 0, SIZE))
    await rig.device.kick(TX)
    await rig.until(tx.queue.has_used)
    await rig.cycles(1000)
    assert rig.harness.msix.messages == 0
    await rig.device.mask(TX, False)
    vector = rig.device.vector(TX)
    assert await rig.harness.wait_irq([vector], 4000) == {vector}
    await rig.finish()


@nic_test(**TIMEOUT)
@cocotb.parametrize(mode=[Events.ENABLE, Events.DESC])
async def receiver_is_woken_by_frames_during_event_reads(dut: Any, mode: Events) -> None:
    """Frames at distances around an event read's latency: used while the device asks whether to interrupt."""
    rig = Rig(dut, salt=mode)
    without = () if mode is Events.DESC else (Feature.RING_EVENT_IDX,)
    await rig.start({RX: 32, TX: 2}, without=without)
    rx = receiver(rig, RX, HEADER_BYTES + SIZE, mode=mode, layout=PLAIN)
    count = 2 * rounds()
    task = cocotb.start_soon(rx.run(count))
    number = 0
    while number < count:
        shake(rig)
        rig.knobs.latency_cycles = rig.rng.choice((20, 60, 100))
        gaps = range(rig.rng.choice((20, 120, 250)))
        number += await burst(rig, rx, number, min(count - number, rig.rng.randrange(1, 7)), gaps)
    await task
    assert rx.sleeps > count // 16, "the receiver hardly ever slept: this tested nothing"
    await rig.finish()


CASES = [
    "receiver_is_woken_by_frames_during_event_reads",
    "sender_sleeps_and_is_always_woken",
    "receiver_sleeps_and_is_always_woken",
    "no_interrupt_while_disabled",
    "interrupt_comes_at_the_asked_position",
    "device_asks_for_doorbells_only_when_asleep",
    "masked_vector_keeps_its_message",
]


@pytest.mark.sim
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_events(run_bench: RunBench, shape: Shape, case: str) -> None:
    run_bench(TOP, case, **shape.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES[:3])
@pytest.mark.parametrize("shape", (WIDE, NARROW), ids=str)
def test_thousands_of_sleeps(run_bench: RunBench, shape: Shape, case: str) -> None:
    run_bench(TOP, case, plusargs=["+long"], **shape.parameters)
