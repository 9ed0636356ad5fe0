# SPDX-License-Identifier: Apache-2.0
"""Programs that test_fast_harness.py runs in the fast harness."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer

from driver.moderation import Moderation, set_moderation
from driver.msix import queue_vector
from driver.nic import NicConfig, TupeloNic
from driver.registers import COMMON, MAGIC, MSIX_TABLE, VENDOR
from driver.scheduling import TxShare, set_tx_share
from sim.fast import FastHarness
from sim.fast_config import FastConfig, WireConfig, stressed

PATIENCE_NS = 2_000_000


def configured(config: FastConfig) -> Callable[[Any], Any]:
    """Give a program its harness's settings."""

    def mark(function: Any) -> Any:
        function.config = config
        return function

    return mark


async def registers(harness: FastHarness) -> dict[str, Any]:
    """Read and write the BAR in each width."""
    magic = await harness.read(VENDOR.MAGIC.offset_bytes)
    parts = [await harness.read(VENDOR.MAGIC.offset_bytes + k, 1) for k in range(4)]
    halves = [await harness.read(VENDOR.MAGIC.offset_bytes + k, 2) for k in (0, 2)]
    scratch = MSIX_TABLE.DATA.at(1).offset_bytes
    await harness.write(scratch, 0x11223344)
    await harness.write(scratch + 1, 0xAA, 1)
    await harness.write(scratch + 2, 0xBBCC, 2)
    answers = [cocotb.start_soon(harness.read(scratch)), cocotb.start_soon(harness.read(scratch + 2, 2))]
    wrong = []
    for offset, width in ((1, 2), (2, 4), (0, 3), (1 << 18, 4), (-4, 4)):
        try:
            await harness.read(offset, width)
        except ValueError:
            wrong.append((offset, width))
    return {
        "magic": magic == MAGIC,
        "parts": bytes(parts).decode(),
        "halves": halves == [MAGIC & 0xFFFF, MAGIC >> 16],
        "scratch": [hex(await answer) for answer in answers],
        "refused": len(wrong),
    }


async def miscounted(harness: FastHarness) -> None:
    """Three frames enter a NIC that has no driver; the wire claims to have had one more."""
    counters = harness.wire.counters
    harness.wire.counters = lambda: {  # type: ignore[method-assign]
        name: value + (name == "rx_frames") for name, value in counters().items()
    }
    harness.wire.send([bytes(60)] * 3)


async def clock(harness: FastHarness) -> dict[str, Any]:
    """Sleep for a simulated second with an idle NIC, be woken in between, and see the time."""
    await harness.read(COMMON.DEVICE_STATUS.offset_bytes, 1)
    start_ns, start_cycles = harness.now_ns(), harness.cycles
    await harness.sleep(1_000_000_000)
    slept_ns, slept_cycles = harness.now_ns() - start_ns, harness.cycles - start_cycles
    sleeper = cocotb.start_soon(harness.sleep(50_000_000))
    await Timer(10_001, "us")  # a trigger that the harness does not know of: the clock stands still
    asked_ns = harness.now_ns()
    for _ in range(3):  # each of these would start the clock
        await harness.write(MSIX_TABLE.DATA.at(1).offset_bytes, 1)
    await harness.read(COMMON.DEVICE_STATUS.offset_bytes, 1)
    answered_ns = harness.now_ns()
    await sleeper
    woken_ns = harness.now_ns()
    fired = await harness.wait_irq([0, 1], timeout_ns=40_000)
    return {
        "slept_ns": slept_ns,
        "slept_cycles": slept_cycles,
        "asked_after_ns": asked_ns - start_ns - slept_ns,
        "answer_ns": answered_ns - asked_ns,
        "woken_after_ns": woken_ns - start_ns - slept_ns,
        "timeout_ns": harness.now_ns() - woken_ns,
        "fired": sorted(fired),
    }


async def held_back(harness: FastHarness, wait_ns: int) -> dict[str, int]:
    """An interrupt that moderation holds, then a frame that a rate limit holds, each far longer than idle."""
    nic = TupeloNic(harness)
    await nic.start(NicConfig())
    waited = {}
    index = nic.rx[0].index
    await set_moderation(harness, index, Moderation(count=8, time_ns=wait_ns))
    nic.rx[0].queue.interrupt_after(1)
    start_ns = harness.now_ns()
    harness.wire.send([bytes(60)])
    fired = await harness.wait_irq([queue_vector(index)], 10 * wait_ns)
    waited["interrupt_ns"] = harness.now_ns() - start_ns if fired else -1
    await set_moderation(harness, index, Moderation())
    frame_bytes = 1000
    share = TxShare(rate_bytes_per_s=frame_bytes * 1_000_000_000 // wait_ns, burst_bytes=frame_bytes)
    await set_tx_share(harness, 0, share)
    start_ns = harness.now_ns()
    await nic.send([bytes(frame_bytes)] * 3)  # two overdraw the bucket, the third waits until that is paid
    while harness.wire.waiting()[0] < 3 and harness.now_ns() - start_ns < 10 * wait_ns:
        await harness.wire.wait(wait_ns, frames=3)
    times = [frame.time_ns - start_ns for frame in harness.wire.take_timed()]
    waited["last_frame_ns"] = times[2] if len(times) == 3 else -1
    await set_tx_share(harness, 0, TxShare())
    await nic.stop()
    return waited


async def _loop(harness: FastHarness, count: int, frame_seed: int) -> dict[str, Any]:
    rng = random.Random(frame_seed)
    nic = TupeloNic(harness)
    await nic.start(NicConfig(queue_pairs=2, rx_ring_slots=512))
    frames = [rng.randbytes(rng.choice([14, 60, 61, 1514, rng.randrange(14, 2000)])) for _ in range(count)]
    got: list[bytes] = []
    sent = 0
    while len(got) < count:
        if sent - len(got) < 200:
            sent += await nic.send(frames[sent : sent + 40])
        if not await nic.wait_rx(PATIENCE_NS):
            break
        got += nic.recv()
    seen = await nic.statistics()
    await nic.stop()
    return {
        "same": got == frames,
        "cycles": harness.cycles,
        "counted": [seen["tx_frames"], seen["rx_frames"]],
        "drops": {**seen.rx_drops(), **seen.tx_drops()},
        "regions": len(harness.memory.regions()),
        "faults": len(harness.errors.faults()),
    }


@configured(FastConfig(wire=WireConfig(loopback=True)))
async def loop(harness: FastHarness, count: int, frame_seed: int) -> dict[str, Any]:
    """Send frames round the wire and compare."""
    return await _loop(harness, count, frame_seed)


@configured(replace(stressed(), wire=WireConfig(loopback=True, stall_tx=0.2, stall_rx=0.2)))
async def stressed_loop(harness: FastHarness, count: int, frame_seed: int) -> dict[str, Any]:
    """The same with stalls, jitter and reordering everywhere."""
    return await _loop(harness, count, frame_seed)


async def wire(harness: FastHarness, count: int) -> dict[str, Any]:
    """Send frames out of the NIC and into it, with Python at the wire's end."""
    rng = random.Random(harness.seed)
    nic = TupeloNic(harness)
    await nic.start(NicConfig(rx_ring_slots=512))
    frames = [rng.randbytes(rng.randrange(14, 1515)) for _ in range(count)]
    out: list[bytes] = []
    sending = cocotb.start_soon(nic.send_all(frames, timeout_ns=PATIENCE_NS))
    times: list[int] = []
    while len(out) < count and await harness.wire.wait(PATIENCE_NS, frames=32, max_age_ns=2000):
        taken = harness.wire.take_timed()
        out += [frame.raw for frame in taken]
        times += [frame.time_ns for frame in taken]
    await sending
    silent = await harness.wire.wait(10_000)
    harness.wire.send(frames[:200])
    harness.wire.send([bytes(60)], bad=True)
    back: list[bytes] = []
    while len(back) < 200 and await nic.wait_rx(PATIENCE_NS):
        back += nic.recv()
    await harness.sleep(10_000)
    seen = await nic.statistics()
    return {
        "out": out == frames,
        "times": times == sorted(times) and len(set(times)) == count,
        "silent": silent,
        "back": back == frames[:200],
        "bad": seen["rx_drop_bad"],
    }


async def sum_up(harness: FastHarness, values: list[int]) -> int:
    print("adding", flush=True)
    return sum(values)


async def fail(harness: FastHarness) -> None:
    raise RuntimeError("this program fails")


async def busy(harness: FastHarness, pid_file: str) -> None:
    """Never end: wake up every simulated 4 us."""
    with open(pid_file, "w") as out:
        out.write(str(os.getpid()))
    while True:
        await harness.sleep(4000)
