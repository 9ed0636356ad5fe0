# SPDX-License-Identifier: Apache-2.0
"""The wire side: bad, short and long frames, frames back to back, a full FIFO, back-pressure, full rate."""

from typing import Any

import cocotb
import pytest
from cocotb.triggers import gather

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.frame_rules import HEADER_BYTES, MAX_FRAME, MIN_FRAME
from cocotb_tests.nic_tests import LONG, SHORT, TOP, Shape
from cocotb_tests.raw_ring import Events
from cocotb_tests.rig import Rig
from cocotb_tests.traffic import Layout, Receiver, feed, frame_of, receiver, sender
from driver.registers import VENDOR

RX, TX = 0, 1
PLAIN = Layout(parts=lambda rng: 1)
TIMEOUT = {"timeout_time": 6, "timeout_unit": "ms"}


async def ready(rig: Rig, slots: int, size: int) -> Receiver:
    """Bring queue pair 0 up with a receive ring full of buffers that the device has fetched."""
    rig.knobs.latency_cycles = 30
    await rig.start({RX: slots, TX: 8})
    rx = receiver(rig, RX, size, layout=PLAIN, mode=Events.DISABLE)
    await rx.refill()
    await rig.cycles(400)
    return rx


async def drain(rig: Rig, rx: Receiver) -> dict[str, int]:
    """Wait until the wire is quiet, take what came, and give the counters."""
    await rig.until(lambda: rig.wire.source.idle)
    await rig.cycles(2500)
    rx.received += rx.reap()
    return await rig.finish()


@nic_test(**TIMEOUT)
async def bad_short_and_long_frames_are_never_delivered(dut: Any) -> None:
    """tuser, fewer than 14 octets, more than 9728: counted by reason, good ones between them delivered."""
    rig = Rig(dut)
    rx = await ready(rig, 64, HEADER_BYTES + MAX_FRAME)
    number = good = 0
    for size in (
        60,
        MIN_FRAME,
        1514,
        1,
        13,
        MAX_FRAME,
        MAX_FRAME + 1,
        MAX_FRAME + 64,
        12_000,
        2,
        64,
        65,
        128,
        60,
    ):
        for bad in (False, True):
            number += 1
            good += not bad and MIN_FRAME <= size <= MAX_FRAME
            rig.wire.send([frame_of(rig.rng, RX, number, size)], bad=bad)
            await rig.until(lambda: rig.wire.source.idle)
            await rig.cycles(300)  # room in the FIFO again: this is about the frames alone
    stats = await drain(rig, rx)
    assert rx.received == stats["rx_frames"] == good
    assert stats["rx_drop_short"] and stats["rx_drop_long"] and stats["rx_drop_bad"] == 14


@nic_test(**TIMEOUT)
async def back_to_back_frames_of_all_kinds(dut: Any) -> None:
    """No idle cycle between frames, good and bad ones mixed: nothing lost but the bad."""
    rig = Rig(dut)
    rx = await ready(rig, 256, HEADER_BYTES + 200)
    good = 0
    for number in range(300):
        bad = rig.rng.random() < 0.3
        size = rig.rng.choice((rig.rng.randint(1, 20), rig.rng.randint(14, 200), 64, 128))
        if not bad and size >= MIN_FRAME:
            good += 1
            if good > 250:
                break
        rig.wire.send([frame_of(rig.rng, RX, number, size)], bad=bad)
        if number % 40 == 39:
            await rig.until(lambda: rig.wire.source.idle)
            await rig.cycles(500)
    stats = await drain(rig, rx)
    assert stats["rx_drop_overflow"] == 0
    assert rx.received == stats["rx_frames"]


@nic_test(**TIMEOUT)
async def a_full_fifo_drops_whole_frames_and_counts_them(dut: Any) -> None:
    """Memory that hardly takes writes: the wire does not wait, what does not fit is dropped whole, at the
    wire or (once the queue holds its part of the buffer) behind the classifier.
    """
    rig = Rig(dut)
    rx = await ready(rig, 256, HEADER_BYTES + 1514)
    rig.knobs.max_writes, rig.knobs.latency_cycles = 1, 400
    count = 120
    rig.wire.send([frame_of(rig.rng, RX, n, 1514) for n in range(count)])
    await rig.until(lambda: rig.wire.source.idle)
    rig.knobs.max_writes, rig.knobs.latency_cycles = 64, 30
    stats = await drain(rig, rx)
    dropped = stats["rx_drop_overflow"] + stats["rx_drop_no_buffer"]
    assert dropped > 0
    assert rx.received + dropped == count
    rig.wire.send([frame_of(rig.rng, RX, count + n, 700) for n in range(4)])  # and it works as before
    await rig.until(lambda: rig.wire.source.idle)
    await rig.cycles(1500)
    rx.received += rx.reap()
    assert rx.received + dropped == count + 4
    await rig.finish()


@nic_test(**TIMEOUT)
async def buffers_too_small_are_kept_for_the_next_frame(dut: Any) -> None:
    """A frame that does not fit its chain is dropped and counted; the next one gets the chain."""
    rig = Rig(dut)
    rx = await ready(rig, 16, HEADER_BYTES + 100)
    for number, size in enumerate((60, 101, 100, 500, 9000, 99, 101, 14)):
        rig.wire.send([frame_of(rig.rng, RX, number, size)])
        await rig.until(lambda: rig.wire.source.idle)
        await rig.cycles(300)
    stats = await drain(rig, rx)
    assert (rx.received, stats["rx_drop_too_small"]) == (4, 4)


@nic_test(**TIMEOUT)
async def frames_before_driver_ok_are_dropped(dut: Any) -> None:
    """With no driver, all frames are counted and none is kept for later."""
    rig = Rig(dut)
    await rig.start()
    rig.wire.send([frame_of(rig.rng, RX, n, 64) for n in range(20)])
    await rig.until(lambda: rig.wire.source.idle)
    await rig.cycles(200)
    await rig.device.start({RX: 8, TX: 8})
    rx = receiver(rig, RX, HEADER_BYTES + 64)
    frames = [frame_of(rig.rng, RX, 100 + n, 64) for n in range(10)]
    await gather(rx.run(10), feed(rig, rx, frames))
    stats = await rig.finish()
    assert (stats["rx_frames"], stats["rx_drop_no_buffer"]) == (10, 20)


@nic_test(**TIMEOUT)
async def transmit_drops_are_counted_by_reason(dut: Any) -> None:
    """Chains with no legal frame, or a header that asks for what was not negotiated, are used and dropped."""
    rig = Rig(dut)
    await rig.start({RX: 8, TX: 32})
    tx = sender(rig, TX, 12_000, layout=PLAIN, mode=Events.DISABLE)
    chains = [
        bytes(HEADER_BYTES) + frame_of(rig.rng, TX, n, size)
        for n, size in enumerate((60, 13, MAX_FRAME + 1, 12_000, 60, 1, MIN_FRAME, MAX_FRAME))
    ]
    chains += [bytes(5), bytes(HEADER_BYTES)]
    for flags, gso in ((1, 0), (0, 1), (0, 3), (0, 4), (1, 1)):
        chains.append(
            bytes([flags, gso]) + bytes(HEADER_BYTES - 2) + frame_of(rig.rng, TX, 100 + flags + gso, 60)
        )
    since, free = tx.queue.next_avail, tx.queue.free
    for octets in chains:
        tx.post(octets)
    await tx.kick(since, free - tx.queue.free)
    await rig.until(rig.quiet)
    assert tx.reap() == len(chains)
    stats = await rig.finish()
    assert stats["tx_frames"] == 4
    assert (stats["tx_drop_short"], stats["tx_drop_long"], stats["tx_drop_header"]) == (4, 2, 5)


@nic_test(**TIMEOUT)
@cocotb.parametrize(size=[60, 1514])
async def transmit_waits_for_the_wire_and_loses_nothing(dut: Any, size: int) -> None:
    """A wire that is nearly always stalled: every frame comes out, in order."""
    rig = Rig(dut, salt=size)
    rig.wire.knobs.stall, rig.wire.knobs.longest_stall_cycles = 0.9, 30
    await rig.start({RX: 8, TX: 64})
    await sender(rig, TX, size).run([frame_of(rig.rng, TX, n, size) for n in range(80)])
    stats = await rig.finish()
    assert stats["tx_frames"] == 80


@nic_test(**TIMEOUT)
@cocotb.parametrize((("size", "window"), [(60, 256), (1514, 16)]))
async def loop_runs_at_the_promised_rate(dut: Any, size: int, window: int) -> None:
    """Transmit ring to wire to receive ring at 250 cycles of latency: cycles a frame are bounded.

    A window of large frames is what the receive FIFO holds: the wire is as fast as memory, and never waits.
    """
    rig = Rig(dut, salt=size, poison=False)
    await rig.start({RX: 256, TX: 256})
    count = 900
    rx = receiver(rig, RX, 2048, layout=PLAIN, mode=Events.DISABLE)
    await rx.refill()
    await rig.cycles(1500)
    rig.wire.loopback = True
    tx = sender(rig, TX, size, cells=window, layout=PLAIN, mode=Events.DISABLE, burst=lambda rng: 256)
    start = rig.cycle
    await gather(tx.run([frame_of(rig.rng, TX, n, size) for n in range(count)]), rx.run(count))
    per_frame = (rig.cycle - start) / count
    cocotb.log.info("%d octets: %.2f cycles a frame", size, per_frame)
    beats = -(-(size + HEADER_BYTES) // (rig.harness.data_w // 8)) + 2  # and descriptors
    promised = max(8.0, 1.6 * beats) if size == 60 else 3 * beats
    # Few slots are few reads in flight: up to 256 bytes each, a round trip of 250 cycles and the pipeline's.
    reads = -(-(size + HEADER_BYTES) // 256)
    slots = await rig.harness.read(VENDOR.RD_SLOTS.offset_bytes)
    assert per_frame <= max(promised, reads * 320 / slots), f"{per_frame:.2f} cycles a frame"
    await rig.finish()


CASES = [
    "bad_short_and_long_frames_are_never_delivered",
    "back_to_back_frames_of_all_kinds",
    "a_full_fifo_drops_whole_frames_and_counts_them",
    "buffers_too_small_are_kept_for_the_next_frame",
    "frames_before_driver_ok_are_dropped",
    "transmit_drops_are_counted_by_reason",
    "transmit_waits_for_the_wire_and_loses_nothing",
    "loop_runs_at_the_promised_rate",
]


@pytest.mark.sim
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_wire(run_bench: RunBench, shape: Shape, case: str) -> None:
    run_bench(TOP, case, **shape.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("shape", LONG, ids=str)
def test_wire_of_other_shapes(run_bench: RunBench, shape: Shape) -> None:
    run_bench(TOP, CASES, **shape.parameters)
