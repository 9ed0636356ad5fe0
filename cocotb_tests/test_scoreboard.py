# SPDX-License-Identifier: Apache-2.0
"""The scoreboard accepts a right history and rejects each way in which one can be wrong (no simulator)."""

import struct
from collections.abc import Callable

import pytest

from cocotb_tests import bar_watch
from cocotb_tests.agents.host_view import strobe_runs
from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.history import (
    BASE,
    BEAT,
    CHAINS,
    RX,
    TX,
    History,
    Player,
    Read,
    WireIn,
    WireOut,
    Write,
    bar_read,
    bar_write,
    buffer,
    change,
    change_used,
    device,
    driver,
    good,
    positions,
    ring,
    setup,
    statistics,
    swap,
    used,
    used_at,
    verdict,
)
from cocotb_tests.packed_walk import DESC, WRITE, Place
from cocotb_tests.scoreboard import ScoreError


def test_good_history_passes() -> None:
    verdict(good())


def test_both_rings_wrapped() -> None:
    board = Player().play(good())
    assert all(score.used == CHAINS for score in board.queues.values())


def swap_sent(h: History) -> None:
    """Hold frame 2 back until frame 3 has gone."""
    outs = positions(h, WireOut)
    h.insert(outs[3], h.pop(outs[2]))


def lose_sent(h: History) -> None:
    del h[positions(h, WireOut)[3]]


def lose_last_sent(h: History) -> None:
    del h[positions(h, WireOut)[-1]]


def duplicate_sent(h: History) -> None:
    at = positions(h, WireOut)[3]
    h.insert(at, h[at])


def wrong_byte_sent(h: History) -> None:
    at = positions(h, WireOut)[4]
    change(h, at, frame=b"\xff" + h[at].frame[1:])  # type: ignore[union-attr]


def short_sent(h: History) -> None:
    at = positions(h, WireOut)[4]
    change(h, at, frame=h[at].frame[:-1])  # type: ignore[union-attr]


def lose_used(h: History) -> None:
    del h[used_at(h, TX)[-1]]


def duplicate_used(h: History) -> None:
    at = used_at(h, TX)[2]
    h.insert(at, h[at])


def wrong_wrap(h: History) -> None:
    change_used(h, TX, 3, 3, lambda flags: flags ^ 0x8080)


def wrong_id(h: History) -> None:
    change_used(h, RX, 3, 2, lambda buffer_id: buffer_id + 1)


def wrong_flags(h: History) -> None:
    change_used(h, RX, 3, 3, lambda flags: flags & ~WRITE)


def short_length(h: History) -> None:
    change_used(h, RX, 3, 1, lambda length: length - 1)


def long_length(h: History) -> None:
    change_used(h, RX, 3, 1, lambda length: length + 1000)


def used_in_wrong_slot(h: History) -> None:
    at = used_at(h, RX)[0]
    change(h, at, addr=h[at].addr + DESC.size)  # type: ignore[union-attr]


def half_descriptor(h: History) -> None:
    change(h, used_at(h, RX)[0], strobes=0xF000)


def used_before_data(h: History) -> None:
    at = used_at(h, RX)[4]
    swap(h, at - 1, at)


def used_before_offer(h: History) -> None:
    h.insert(len(setup()), used(TX, Place(), 0))


def swap_received(h: History) -> None:
    ins = positions(h, WireIn)
    h.insert(ins[2], h.pop(ins[3]))


def lose_received(h: History) -> None:
    h.insert(positions(h, WireIn)[3], WireIn(b"never delivered"))


def lose_last_received(h: History) -> None:
    h.append(WireIn(b"never delivered"))


def duplicate_received(h: History) -> None:
    del h[positions(h, WireIn)[-1]]


def wrong_byte_received(h: History) -> None:
    at = used_at(h, RX)[5] - 1
    data = bytearray(h[at].data)  # type: ignore[union-attr]
    data[-1] ^= 1
    change(h, at, data=bytes(data))


def wrong_header(h: History) -> None:
    at = used_at(h, RX)[5] - 1
    change(h, at, data=bytes(HEADER_BYTES) + h[at].data[HEADER_BYTES:])  # type: ignore[union-attr]


def deliver_bad(h: History) -> None:
    change(h, positions(h, WireIn)[2], bad=True)


def stray_write_after_buffer(h: History) -> None:
    h.insert(used_at(h, RX)[0], Write(buffer(RX, 0) + 300, b"!", RX))


def stray_write_before_buffer(h: History) -> None:
    h.insert(used_at(h, RX)[1], Write(buffer(RX, 1) - 1, b"!!", RX))


def write_into_sent_buffer(h: History) -> None:
    h.insert(used_at(h, TX)[0], Write(buffer(TX, 0), b"!", TX))


def write_after_used(h: History) -> None:
    h.insert(used_at(h, RX)[0] + 1, Write(buffer(RX, 0), b"!", RX))


def write_as_other_queue(h: History) -> None:
    change(h, used_at(h, RX)[0] - 1, queue=TX)


def write_driver_area(h: History) -> None:
    h.append(Write(driver(TX), bytes(4), TX))


def write_past_device_area(h: History) -> None:
    h.append(Write(device(TX), bytes(8), TX))


def stray_read(h: History) -> None:
    h.append(Read(BASE + 0xF000, BEAT, TX))


def read_of_receive_buffer(h: History) -> None:
    at = used_at(h, RX)[3]
    h.insert(at, Read(buffer(RX, 3) // BEAT * BEAT, BEAT, RX))


def before_driver_ok(h: History) -> None:
    h.insert(len(setup()) - 1, Read(ring(TX), BEAT, TX))


def after_reset(h: History) -> None:
    h += [
        bar_write(bar_watch.DEVICE_STATUS, 0, 1),
        bar_read(bar_watch.DEVICE_STATUS, 0),
        Read(ring(TX), BEAT, TX),
    ]


def after_queue_reset(h: History) -> None:
    h += [bar_write(bar_watch.QUEUE_SELECT, TX, 2), bar_write(bar_watch.QUEUE_RESET, 1, 2)]
    h += [bar_read(bar_watch.QUEUE_RESET & ~3, 0), Write(device(TX), bytes(4), TX)]


DAMAGES = [
    *(swap_sent, lose_sent, lose_last_sent, duplicate_sent, wrong_byte_sent, short_sent),
    *(lose_used, duplicate_used, wrong_wrap, wrong_id, wrong_flags, short_length, long_length),
    *(used_in_wrong_slot, half_descriptor, used_before_data, used_before_offer),
    *(
        swap_received,
        lose_received,
        lose_last_received,
        duplicate_received,
        wrong_byte_received,
        wrong_header,
    ),
    *(
        deliver_bad,
        stray_write_after_buffer,
        stray_write_before_buffer,
        write_into_sent_buffer,
        write_after_used,
    ),
    *(write_as_other_queue, write_driver_area, write_past_device_area, stray_read, read_of_receive_buffer),
    *(before_driver_ok, after_reset, after_queue_reset),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_seen(damage: Callable[[History], None]) -> None:
    history = good()
    damage(history)
    with pytest.raises(ScoreError):
        verdict(history)


@pytest.mark.parametrize("name", sorted(statistics()))
def test_wrong_counter_is_seen(name: str) -> None:
    stats = statistics()
    stats[name] += 1
    with pytest.raises(ScoreError, match="statistics"):
        verdict(good(), stats)


def test_reset_then_silence_passes() -> None:
    tail: History = [bar_write(bar_watch.DEVICE_STATUS, 0, 1), Read(ring(TX), BEAT, TX)]
    verdict([*good(), *tail, bar_read(bar_watch.DEVICE_STATUS, 0)])


def test_bad_frames_are_expected_drops() -> None:
    history = [*good(), WireIn(bytes(60), bad=True), WireIn(bytes(13)), WireIn(bytes(9729))]
    stats = statistics() | {
        "rx_drop_bad": 1,
        "rx_drop_short": 1,
        "rx_drop_long": 1,
        "rx_wire_frames": CHAINS + 3,
    }
    verdict(history, stats)


def test_strobe_runs() -> None:
    assert strobe_runs(0b1110_0110_0001) == [(0, 1), (5, 7), (9, 12)]
    assert strobe_runs(0) == []
    assert strobe_runs((1 << 64) - 1) == [(0, 64)]
    assert struct.calcsize("<QIHH") == DESC.size
