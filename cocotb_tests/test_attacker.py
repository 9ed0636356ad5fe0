# SPDX-License-Identifier: Apache-2.0
"""A randomized attacker owns one guarded queue pair with windows; monitors on the pins judge, not the driver.

Beside it another pair carries known traffic, which the scoreboard follows frame by frame, and must keep the
rate that it has beside an honest sender with as much to send.
"""

import itertools
from typing import Any

import cocotb
import pytest

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.guard_frames import LOCALS, OWN_MAC, PEERS
from cocotb_tests.model.steer_model import Tuple
from cocotb_tests.nic_tests import TOP, WIDE
from cocotb_tests.parse_frames import TCP
from cocotb_tests.raw_ring import Events
from cocotb_tests.received import HEADER
from cocotb_tests.traffic import Layout, sender
from cocotb_tests.uvm.attack_judge import Escaped, Range, WindowJudge, WireJudge, unchanged
from cocotb_tests.uvm.attack_rig import (
    EVIL,
    EVIL_FLOW,
    FRAME_BYTES,
    GOOD,
    GOOD_FLOW,
    RING_SLOTS,
    AttackRig,
    keep_busy,
    packet,
    tables,
)

TIMEOUT = {"timeout_time": 20, "timeout_unit": "ms"}
CYCLES = {"short": 40_000, "long": 1_000_000}
BASELINE_CYCLES = 8_000
MEMORY_ERRORS = {"DESC_READ", "EVENT_READ", "DATA_READ", "DATA_WRITE", "USED_WRITE", "EVENT_WRITE"}
SLOWEST = 0.9  # of the goodput beside an honest sender; runs of 10^4 cycles differ by some hundredths


async def baseline(rig: AttackRig) -> float:
    """Bytes a cycle that the innocent pair gets while the other one is an honest sender with a full ring."""
    await rig.guard.guard(EVIL)
    await rig.device.add_queue(2 * EVIL + 1, RING_SLOTS)
    rig.windows.ranges = [Range(0, (1 << 64) - 1, True, True)]
    one = Layout(parts=lambda rng: 1)
    honest = sender(rig, 2 * EVIL + 1, FRAME_BYTES, layout=one, mode=Events.DISABLE, burst=lambda rng: 64)
    task = cocotb.start_soon(
        keep_busy(honest, (packet(EVIL_FLOW, n, FRAME_BYTES, inwards=False) for n in itertools.count()))
    )
    await rig.cycles(2000)
    before, other = rig.good_bytes, rig.evil_bytes
    await rig.cycles(BASELINE_CYCLES)
    goodput, beside = rig.good_bytes - before, rig.evil_bytes - other
    task.cancel()
    assert 0.8 < goodput / beside < 1.25, f"two honest senders: {goodput} and {beside} bytes"
    await rig.device.reset_queue(2 * EVIL + 1)
    return goodput / BASELINE_CYCLES


@nic_test(**TIMEOUT)
@cocotb.parametrize(busy=[True, False])
async def attacker_is_confined(dut: Any, busy: bool) -> None:
    """Random descriptors, memory changed in flight, forged frames, doorbells, windows that change, errors of
    its memory: nothing gets out.

    busy: the innocent pair always has frames to send, and its goodput is judged; else the attacker has most
    of the bus, and does more.
    """
    rig = AttackRig(dut, busy)
    rig.knobs.latency_cycles, rig.knobs.jitter_cycles = 60, 40
    await rig.begin()
    sending = keep_busy(rig.sending, rig.good_frames(), 0 if busy else 400)
    tasks = [cocotb.start_soon(sending), cocotb.start_soon(rig.receive_known())]
    alone = await baseline(rig) if busy else 0.0
    rig.recruit()
    await rig.enable_evil()
    tasks += [cocotb.start_soon(rig.supervise()), cocotb.start_soon(rig.assault())]
    start, before = rig.cycle, rig.good_bytes
    rig.wire_judge.own = rig.windows.reads = rig.windows.writes = 0
    total = CYCLES["long" if cocotb.plusargs.get("long") else "short"]
    while rig.cycle < start + total:
        await rig.cycles(500)
        rig.check()
    rate = (rig.good_bytes - before) / (rig.cycle - start)
    judge = rig.windows
    cocotb.log.info("goodput %.2f bytes a cycle, %.2f beside an honest sender", rate, alone)
    cocotb.log.info("deeds %s; lives %d, stops %s", dict(rig.attacker.deeds), rig.lives, dict(rig.stops))
    cocotb.log.info("windows redrawn %d times, granted %d times", rig.redrawn, rig.granted)
    cocotb.log.info(
        "attacker: %d reads, %d writes, %d frames out; innocent: %d frames in",
        judge.reads, judge.writes, rig.wire_judge.own, rig.receiving.received,
    )  # fmt: skip
    stats = await rig.device.statistics()
    cocotb.log.info("drops %s", {name: n for name, n in stats.items() if "drop" in name and n})
    rig.check()
    rig.judge_memory()
    assert all(not task.done() for task in tasks), [task for task in tasks if task.done()]
    assert rate >= SLOWEST * alone, f"goodput {rate:.2f}, beside an honest sender {alone:.2f} bytes a cycle"
    stopped = sum(count for name, count in stats.items() if name.startswith("tx_drop_guard"))
    assert min(judge.reads, judge.writes) > 50 and rig.stops["WINDOW"] > 2, "no attack to speak of"
    assert busy or min(rig.wire_judge.own, stopped) > 50, "no attack to speak of"
    assert rig.redrawn, "its windows never changed"
    assert busy or rig.stops.keys() & MEMORY_ERRORS, "no errors of its memory"
    lost = rig.board.counts["skipped"]  # the memory is slow under this load: buffers may come late
    drops = (await rig.device.queue_statistics(2 * GOOD))["drops"] + stats["rx_drop_overflow"]
    assert lost <= drops, f"{lost} frames for the innocent were lost, {drops} are counted"
    assert rig.receiving.received > 100


@nic_test(**TIMEOUT)
async def judge_sees_an_attack_without_windows(dut: Any) -> None:
    """The same attack with the windows off must be noticed, or the judge is blind."""
    rig = AttackRig(dut)
    rig.knobs.latency_cycles = 60
    await rig.begin()
    rig.recruit()
    rig.confined = False
    await rig.enable_evil()
    tasks = [cocotb.start_soon(rig.assault()), cocotb.start_soon(rig.supervise())]
    for _ in range(200):
        await rig.cycles(500)
        if rig.windows.escapes:
            break
    for task in tasks:
        task.cancel()
    with pytest.raises(Escaped):
        rig.windows.check()


@nic_test(**TIMEOUT)
@cocotb.parametrize(("segment_bytes", [1, 512]))
async def tiny_segments_take_no_more_than_their_share(dut: Any, segment_bytes: int) -> None:
    """A guarded pair has TCP data cut into small segments, again and again, beside an honest sender."""
    rig = AttackRig(dut)
    rig.knobs.latency_cycles = 60
    await rig.begin()
    task = cocotb.start_soon(keep_busy(rig.sending, rig.good_frames()))
    await rig.guard.guard(EVIL)
    await rig.device.add_queue(2 * EVIL + 1, RING_SLOTS)
    rig.windows.ranges = [Range(0, (1 << 64) - 1, True, True)]
    alone = rig.good_bytes
    await rig.cycles(4000)
    alone = rig.good_bytes - alone
    one = Layout(parts=lambda rng: 1)
    size = 1500
    pump = sender(rig, 2 * EVIL + 1, size, layout=one, mode=Events.DISABLE, cells=64)
    flow = Tuple(0, TCP, LOCALS[0][0], PEERS[0][0], 80, 443)
    pump.queue.set_interrupts(Events.DISABLE)
    header = HEADER.pack(1, 1, 54, segment_bytes, 34, 16, 0)
    for number in range(64):
        pump.post(header + packet(flow, number, size, inwards=False))
    await rig.device.kick(2 * EVIL + 1)
    await rig.cycles(2000)
    before, beside = rig.good_bytes, rig.evil_bytes
    await rig.cycles(16_000)
    rate, other = (rig.good_bytes - before) / 16_000, (rig.evil_bytes - beside) / 16_000
    cocotb.log.info("goodput %.2f beside %.2f bytes a cycle, alone %.2f", rate, other, alone / 4000)
    task.cancel()
    rig.check()
    assert rate > 0.9 * other, f"{rate:.2f} bytes a cycle beside {other:.2f} of the attacker"


CASES = ["attacker_is_confined", "judge_sees_an_attack_without_windows"]


@pytest.mark.sim
def test_attacker(run_bench: RunBench) -> None:
    run_bench(TOP, CASES, **WIDE.parameters)


@pytest.mark.sim
def test_tiny_segments(run_bench: RunBench) -> None:
    run_bench(TOP, "tiny_segments_take_no_more_than_their_share", **WIDE.parameters)


@pytest.mark.sim
@pytest.mark.slow
def test_attacker_for_a_million_cycles(run_bench: RunBench) -> None:
    run_bench(TOP, "attacker_is_confined", plusargs=["+long"], **WIDE.parameters)


# The judges can fail ------------------------------------------------------------------------------------

RANGES = [
    Range(0x1000, 0x1FFF, True, True),
    Range(0x3010, 0x30FF, True, False),
    Range(0x4004, 0x40FF, False, True),
]


@pytest.mark.parametrize(
    ("addr", "size", "fine"),
    [
        (0x1000, 0x100, True),
        (0x1FC0, 64, True),
        (0x1FC0, 128, False),
        (0x2000, 64, False),
        (0x0FC0, 64, False),
        (0x3000, 64, True),  # a beat that holds bytes of the window
        (0x2FC0, 64, False),
        (0x4040, 64, False),  # no right to read
        (1 << 63, 64, False),
    ],
)
def test_window_judge_reads(addr: int, size: int, fine: bool) -> None:
    judge = WindowJudge((2, 3), 64, RANGES)
    judge.on_read(addr, size, 3, 0)
    assert bool(judge.escapes) is not fine
    judge = WindowJudge((2, 3), 64, RANGES)
    judge.on_read(addr, size, 4, 0)
    judge.check()


@pytest.mark.parametrize(
    ("addr", "strobes", "fine"),
    [
        (0x1000, (1 << 64) - 1, True),
        (0x1FC0, (1 << 64) - 1, True),
        (0x2000, 1, False),
        (0x3040, 1, False),  # no right to write
        (0x4000, 0xF0, True),
        (0x4000, 0xF8, False),
        (0x40C0, 1 << 63, True),
        (0x4100, 1, False),
    ],
)
def test_window_judge_writes(addr: int, strobes: int, fine: bool) -> None:
    judge = WindowJudge((2, 3), 64, RANGES)
    judge.on_write(addr, bytes(64), strobes, 2, 0)
    assert bool(judge.escapes) is not fine


def test_wire_judge_knows_own_frames_from_others() -> None:
    own = packet(EVIL_FLOW, 1, 300, inwards=False)
    judge = WireJudge(OWN_MAC, tables(), EVIL)
    judge.on_attacker_frame(own)
    judge.check()
    stolen = packet(GOOD_FLOW, 1, 300, inwards=False)
    forged = own[:6] + bytes([OWN_MAC[0] ^ 2]) + own[7:]
    port = own[:34] + b"\0\7" + own[36:]
    address = own[:29] + bytes([own[29] ^ 8]) + own[30:]
    later = own[:20] + b"\0\1" + own[22:29] + bytes([own[29] ^ 8]) + own[30:]
    arp = own[:12] + b"\x08\x06" + own[14:]
    tagged = own[:12] + b"\x81\0\0\1" + own[12:]
    for frame in (stolen, forged, port, address, later, arp, tagged, own[:13]):
        judge = WireJudge(OWN_MAC, tables(), EVIL)
        judge.on_attacker_frame(frame)
        with pytest.raises(Escaped):
            judge.check()


def test_changed_memory_is_found() -> None:
    before = bytes(0x100)
    assert not unchanged(before, b"\1" + bytes(0xFF), 0x4004, RANGES)
    assert unchanged(before, b"\1" + bytes(0xFF), 0x4003, RANGES)
    assert unchanged(before, b"\1" + bytes(0xFF), 0x3010, RANGES)
    assert GOOD != EVIL
