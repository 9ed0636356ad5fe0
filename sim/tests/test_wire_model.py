# SPDX-License-Identifier: Apache-2.0
"""The C++ wire, mailbox and wake-up rules against their headers. No simulator."""

import ctypes
import random
from pathlib import Path

import pytest

from sim.fast_config import FastConfig, WireConfig
from sim.fast_lib import IrqMask
from sim.tests.models import FLAG_BAR, FLAG_FATAL, FLAG_MAY_STOP, Beat, Models, library

MSIX_ADDR = 0xFEE0_0000


@pytest.fixture(scope="module")
def so(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return library(tmp_path_factory.mktemp("models"))


def frames_of(m: Models) -> list[bytes]:
    out, part = [], b""
    for data, last, _ in m.rx:
        part += data
        if last:
            out.append(part)
            part = b""
    assert part == b""
    return out


def random_frames(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(rng.choice([1, 14, 60, 63, 64, 65, 127, 128, 1514, 9728])) for _ in range(count)]


def test_frames_from_python_enter_whole_and_in_order(so: Path) -> None:
    m = Models.load(so)
    frames = random_frames(100)
    assert m.wire().send(frames) == 100
    m.step(30_000)
    assert frames_of(m) == frames
    assert all(len(data) == 64 for data, last, _ in m.rx if not last)


def test_full_rate_after_the_delay(so: Path) -> None:
    m = Models.load(so, FastConfig(wire=WireConfig(delay_cycles=10)))
    m.wire().send([bytes(64)] * 50)
    m.step(9)  # what leaves in cycle 9 is handed over in cycle 10
    assert m.rx == []
    m.step(50)
    assert len(m.rx) == 50


def test_a_gap_follows_each_frame(so: Path) -> None:
    m = Models.load(so, FastConfig(wire=WireConfig(delay_cycles=0, gap_cycles=3)))
    m.wire().send([bytes(64)] * 10)
    m.step(41)
    assert len(m.rx) == 10


def test_bad_frames_carry_the_flag_in_their_last_beat(so: Path) -> None:
    m = Models.load(so)
    m.wire().send([bytes(100)], bad=True)
    m.wire().send([bytes(100)])
    m.step(300)
    assert [(last, bad) for _, last, bad in m.rx] == [
        (False, False),
        (True, True),
        (False, False),
        (True, False),
    ]


def test_frames_of_the_nic_reach_python_with_their_time(so: Path) -> None:
    m = Models.load(so)
    wire = m.wire()
    frames = random_frames(50, seed=2)
    ends = []
    for frame in frames:
        m.send(frame)
        ends.append(m.cycle - 1)
    taken = wire.take_timed()
    assert [t.raw for t in taken] == frames
    assert [t.time_ns for t in taken] == [(end + 1) * 4 for end in ends]
    assert wire.take() == [] and m.rx == []
    assert wire.counters()["tx_frames"] == 50 and wire.counters()["tx_bytes"] == sum(map(len, frames))


def test_loopback_returns_everything(so: Path) -> None:
    m = Models.load(so, FastConfig(wire=WireConfig(loopback=True, keep_frames=True)))
    frames = random_frames(50, seed=3)
    for frame in frames:
        m.send(frame)
    m.step(10_000)
    assert frames_of(m) == frames
    assert m.wire().take() == frames


def test_a_full_queue_drops_and_counts(so: Path) -> None:
    m = Models.load(so, FastConfig(wire=WireConfig(queue_frames=4)))
    wire = m.wire()
    assert wire.send([bytes([k]) * 60 for k in range(6)]) == 4
    m.step(300)
    assert [frame[0] for frame in frames_of(m)] == [0, 1, 2, 3]
    assert wire.counters()["dropped"] == 2


def test_a_hole_in_tkeep_stops_the_simulation(so: Path) -> None:
    for keep, last in ((0b101, 1), (0, 1), (1, 0), (6, 1)):
        m = Models.load(so)
        m.lib.fast_tx(Beat(), keep, last)
        m.step()
        assert m.flags & FLAG_FATAL and "tkeep" in m.violation


def test_a_pause_inside_a_frame_is_counted(so: Path) -> None:
    m = Models.load(so)
    m.step(20)
    m.lib.fast_tx(Beat(), (1 << 64) - 1, 0)
    m.step(4)
    m.lib.fast_tx(Beat(), (1 << 64) - 1, 1)
    m.step(10)
    assert m.wire().counters()["underruns"] == 3


def test_mailbox_keeps_order_and_a_read_waits_for_the_writes(so: Path) -> None:
    m = Models.load(so)
    m.step(20)  # its reset
    for k in range(3):
        m.lib.tupelo_bar_push(1, 4 * k, k, 15)
    m.lib.tupelo_bar_push(0, 8, 0, 0)
    fields = [ctypes.c_uint() for _ in range(4)]
    for k in range(3):
        m.step()
        assert m.flags & FLAG_BAR
        m.lib.fast_bar_next(*map(ctypes.byref, fields))
        assert [f.value for f in fields] == [1, 4 * k, k, 15]
    m.step()
    assert not m.flags & FLAG_BAR
    for _ in range(3):
        m.lib.fast_bar_done(0, 0, 0)
    m.step()
    assert m.flags & FLAG_BAR
    m.lib.fast_bar_next(*map(ctypes.byref, fields))
    assert m.lib.tupelo_bar_answer() == -1 and m.events == []
    m.lib.fast_bar_done(0x1234, 1, 0)
    m.step()
    assert len(m.events) == 1 and m.lib.tupelo_bar_answer() == 0x1234


def test_only_wanted_interrupts_wake_and_only_once_until_polled(so: Path) -> None:
    m = Models.load(so)
    mask = IrqMask(1 << 5, 0, 1 << 1, 0)
    m.lib.tupelo_irq_want(mask)
    m.lib.fast_msix(MSIX_ADDR, 4)
    m.step(10)
    assert m.events == []
    m.lib.fast_msix(MSIX_ADDR, 129)
    m.step(10)
    assert len(m.events) == 1
    m.lib.tupelo_poll()
    m.step(10)
    assert len(m.events) == 2  # still pending
    fired = IrqMask()
    assert m.lib.tupelo_irq_take(mask, fired) and list(fired) == [0, 0, 2, 0]
    m.lib.tupelo_poll()
    m.step(10)
    assert len(m.events) == 2
    assert m.status.irq_pending[0] == 1 << 4


def test_a_message_elsewhere_is_counted(so: Path) -> None:
    m = Models.load(so)
    m.lib.fast_msix(MSIX_ADDR + 4, 1)
    m.lib.fast_msix(MSIX_ADDR, 256)
    m.step()
    assert m.status.msix_bad == 2 and list(m.status.irq_pending) == [0] * 4


def test_wire_wakes_by_count_or_age(so: Path) -> None:
    m = Models.load(so)
    m.lib.tupelo_wire_want(3, 100)
    for _ in range(2):
        m.send(bytes(60))
    assert m.events == []
    m.send(bytes(60))
    m.step()
    assert len(m.events) == 1
    m.wire().take()
    m.lib.tupelo_poll()
    m.send(bytes(60))
    sent = m.cycle
    m.step(200)
    assert len(m.events) == 2 and 95 <= m.events[1] - sent <= 101


def test_a_deadline_wakes_at_its_cycle(so: Path) -> None:
    m = Models.load(so)
    m.lib.tupelo_set_deadline(57)
    m.step(100)
    assert m.events == [56]  # the edge that ends cycle 56 is time 57


def test_the_clock_stops_only_when_nothing_is_under_way(so: Path) -> None:
    m = Models.load(so, FastConfig(idle_cycles=50))
    region = m.memory().alloc(64, 64)
    m.step(40)
    m.read(region.iova)
    m.step(290)
    assert not m.flags & FLAG_MAY_STOP  # 250 for the answer, and then not yet 50
    m.step(20)
    assert m.flags & FLAG_MAY_STOP
    m.lib.tupelo_set_deadline(m.cycle + 1000)
    assert m.lib.fast_stop() == 1000
    assert m.status.stopped
    m.lib.fast_resume(m.cycle + 1000)
    m.step()
    assert m.events and not m.flags & FLAG_MAY_STOP
    clocked = m.status.clocked
    m.lib.tupelo_set_deadline((1 << 64) - 1)
    m.lib.tupelo_poll()
    m.step(100)
    assert m.lib.fast_stop() == -1 and m.status.clocked == clocked + 100


def test_a_frame_under_way_bounds_the_stop(so: Path) -> None:
    m = Models.load(so, FastConfig(wire=WireConfig(delay_cycles=500), idle_cycles=20))
    m.step(40)
    m.wire().send([bytes(60)])
    assert m.lib.fast_stop() == 500
