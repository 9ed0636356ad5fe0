# SPDX-License-Identifier: Apache-2.0
"""Rings of the whole NIC: sizes, wrap-around, full and empty, chains, alignments and lengths, in both
directions.
"""

import random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import gather

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.nic_tests import LONG, SHORT, TOP, Shape
from cocotb_tests.rig import Rig
from cocotb_tests.traffic import FRAME_MAX, FRAME_MIN, Layout, feed, frame_of, frame_sizes, receiver, sender

RX, TX = 0, 1
QUICK = {"latency_cycles": 30, "jitter_cycles": 20}
EDGE_SIZES = (
    14,
    15,
    16,
    51,
    52,
    53,
    63,
    64,
    65,
    115,
    116,
    117,
    243,
    244,
    245,
    255,
    256,
    257,
    1514,
    4083,
    4084,
    4085,
)
TIMEOUT = {"timeout_time": 40, "timeout_unit": "ms"}


def quick(rig: Rig) -> None:
    """Less latency than the default, to have more of everything else in the same time."""
    for name, value in QUICK.items():
        setattr(rig.knobs, name, value)


async def both_ways(rig: Rig, sent: list[bytes], received: list[bytes], **options: Any) -> None:
    """Send and receive at the same time on pair 0, and wait for both."""
    largest_in = HEADER_BYTES + max(map(len, received), default=FRAME_MIN)
    tx = sender(rig, TX, max(map(len, sent), default=FRAME_MIN), **options)
    rx = receiver(rig, RX, largest_in, **options)
    tasks = [
        tx.run(sent),
        rx.run(len(received)),
        feed(rig, rx, received),
    ]
    await gather(*tasks)


def frames(rng: random.Random, queue: int, sizes: list[int]) -> list[bytes]:
    """Distinct frames of these sizes."""
    return [frame_of(rng, queue, number, size) for number, size in enumerate(sizes)]


@nic_test(**TIMEOUT)
@cocotb.parametrize(("slots", [2, 3, 4, 256, 1024]), ("parts", [1, 2]))
async def rings_wrap_many_times(dut: Any, slots: int, parts: int) -> None:
    """Small rings wrap dozens of times; the largest three times and a bit."""
    rig = Rig(dut, salt=(slots, parts))
    quick(rig)
    await rig.start({RX: slots, TX: slots})
    count = max(60, slots * 13 // (4 * parts))
    sizes = frame_sizes(rig.rng, count, (), FRAME_MIN, 80)
    layout = Layout(parts=lambda rng: rng.randint(1, parts))
    await both_ways(
        rig,
        frames(rig.rng, TX, sizes),
        frames(rig.rng, RX, sizes),
        layout=layout,
        spread=parts,
        cells=min(slots, 300),
    )
    stats = await rig.finish()
    assert stats["tx_frames"] == stats["rx_frames"] == count
    assert rig.board.queues[TX].walk.next_used.wrap in (0, 1)


@nic_test(**TIMEOUT)
async def transmit_ring_runs_full_and_empty(dut: Any) -> None:
    """Fill every slot before the doorbell, wait until all is used, again and again."""
    rig = Rig(dut)
    quick(rig)
    await rig.start({RX: 2, TX: 16})
    tx = sender(rig, TX, 100, layout=Layout(parts=lambda rng: 1), burst=lambda rng: 16)
    for lap in range(20):
        assert tx.queue.free == 16 and not tx.queue.outstanding
        await tx.run(frames(rig.rng, TX, [rig.rng.randint(14, 100) for _ in range(16)]))
        assert tx.queue.next_used.slot == 0, f"lap {lap}"
    await rig.finish()


@nic_test(**TIMEOUT)
async def receive_ring_runs_empty_and_drops_are_counted(dut: Any) -> None:
    """With no buffer left, frames are dropped and counted; with new buffers, reception goes on."""
    rig = Rig(dut)
    quick(rig)
    await rig.start({RX: 4, TX: 2})
    rx = receiver(rig, RX, 200, layout=Layout(parts=lambda rng: 1))
    number = 0
    for _ in range(8):
        await rx.refill()
        await rig.cycles(400)  # the device has fetched them
        burst = [frame_of(rig.rng, RX, number + n, 60) for n in range(7)]
        number += len(burst)
        rig.wire.send(burst)
        await rig.until(lambda: rig.wire.source.idle)
        await rig.cycles(600)
        assert rx.reap() == 4
    stats = await rig.finish()
    assert (stats["rx_frames"], stats["rx_drop_no_buffer"]) == (32, 24)


@nic_test(**TIMEOUT)
@cocotb.parametrize(parts=list(range(1, 17)))
async def chains_of_up_to_16_elements(dut: Any, parts: int) -> None:
    """Every chain has exactly `parts` elements, anywhere in memory."""
    rig = Rig(dut, salt=parts)
    quick(rig)
    await rig.start({RX: 37, TX: 37})
    layout = Layout(parts=lambda rng: parts)
    sizes = frame_sizes(rig.rng, 12, (FRAME_MIN, 64, 1514), 16, 600)
    await both_ways(
        rig, frames(rig.rng, TX, sizes), frames(rig.rng, RX, sizes), layout=layout, spread=parts, cells=6
    )
    await rig.finish()


@nic_test(**TIMEOUT)
async def every_alignment_of_buffers(dut: Any) -> None:
    """One element of each offset 0..63 from a beat, sent and received, then pairs of offsets."""
    rig = Rig(dut)
    quick(rig)
    await rig.start({RX: 64, TX: 64})
    for parts in (1, 2):
        offsets = iter([*range(64), *range(64)] * 4)
        layout = Layout(parts=lambda rng, parts=parts: parts, offset=lambda rng, o=offsets: next(o, 0))
        sizes = [rig.rng.randint(14, 200) for _ in range(64)]
        await both_ways(
            rig, frames(rig.rng, TX, sizes), frames(rig.rng, RX, sizes), layout=layout, spread=4, cells=16
        )
        await rig.finish()
        await rig.device.start({RX: 64, TX: 64})


@nic_test(**TIMEOUT)
async def lengths_around_every_boundary(dut: Any) -> None:
    """Frames of 14..9728 octets: all corners of beats, 256-byte bursts and 4 KiB pages, then random ones."""
    rig = Rig(dut)
    quick(rig)
    await rig.start({RX: 32, TX: 32})
    corners = (*EDGE_SIZES, 9000, FRAME_MAX - 1, FRAME_MAX)
    count = len(corners) + (10 if rig.harness.data_w == 128 else 30)
    sizes = frame_sizes(rig.rng, count, corners, FRAME_MIN, FRAME_MAX)
    await both_ways(rig, frames(rig.rng, TX, sizes), frames(rig.rng, RX, sizes), cells=8)
    await rig.finish()


@nic_test(**TIMEOUT)
async def every_length_up_to_300(dut: Any) -> None:
    """Each length once, back to back in the largest ring that fits."""
    rig = Rig(dut)
    quick(rig)
    await rig.start({RX: 128, TX: 128})
    sizes = list(range(FRAME_MIN, 301))
    await both_ways(rig, frames(rig.rng, TX, sizes), frames(rig.rng, RX, sizes), cells=64)
    await rig.finish()


CASES = [
    "rings_wrap_many_times",
    "transmit_ring_runs_full_and_empty",
    "receive_ring_runs_empty_and_drops_are_counted",
    "chains_of_up_to_16_elements",
    "every_alignment_of_buffers",
    "lengths_around_every_boundary",
    "every_length_up_to_300",
]


@pytest.mark.sim
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_rings(run_bench: RunBench, shape: Shape, case: str) -> None:
    run_bench(TOP, case, **shape.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("shape", LONG, ids=str)
def test_rings_of_other_shapes(run_bench: RunBench, shape: Shape) -> None:
    run_bench(TOP, CASES, **shape.parameters)
