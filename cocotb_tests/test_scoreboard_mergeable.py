# SPDX-License-Identifier: Apache-2.0
"""The scoreboard accepts a frame over several buffers and rejects each way in which it can be wrong."""

import struct
from collections.abc import Callable

import pytest

from cocotb_tests.frame_rules import HASH_HEADER_BYTES, HEADER_BYTES
from cocotb_tests.history import (
    RING_SLOTS,
    RX,
    History,
    Offer,
    Player,
    WireIn,
    Write,
    bar_write,
    buffer,
    change,
    change_used,
    frame_of,
    ring,
    setup,
    swap,
    used_at,
)
from cocotb_tests.packed_walk import DESC, WRITE
from cocotb_tests.received import FEATURE, FEATURE_SELECT, GUEST_CSUM, HASH_REPORT, MRG_RXBUF
from cocotb_tests.scoreboard import ScoreError

LAPS = 4
SIZE = 30  # of a buffer; a frame takes all three


def negotiated(bits: int) -> History:
    events: History = []
    for half in (0, 1):
        events += [bar_write(FEATURE_SELECT, half), bar_write(FEATURE, bits >> 32 * half & 0xFFFFFFFF)]
    return events


def good(bits: int = 1 << MRG_RXBUF, header: bytes = b"") -> History:
    """Each frame fills two buffers and part of a third; the first is given back last."""
    events = [*negotiated(bits), *setup()]
    header = header or struct.pack("<10xH", RING_SLOTS)
    for lap in range(LAPS):
        frame = (frame_of(RX, lap) + bytes(range(80)))[: 2 * SIZE + 9 + lap - len(header)]
        octets, places = header + frame, [buffer(RX, RING_SLOTS * lap + n) for n in range(RING_SLOTS)]
        events.append(WireIn(frame))
        events += [Offer(RX, ((at, SIZE),)) for at in places]
        ids = range(RING_SLOTS) if lap % 2 == 0 else reversed(range(RING_SLOTS))  # as RawQueue hands them out
        parts = [octets[SIZE * n : SIZE * (n + 1)] for n in range(RING_SLOTS)]
        events += [Write(at, part, RX) for at, part in zip(places, parts, strict=True)]
        flags = (0x8080 if lap % 2 == 0 else 0) | WRITE
        used = list(enumerate(zip(ids, parts, strict=True)))
        for slot, (buffer_id, part) in used if bits >> MRG_RXBUF & 1 == 0 else reversed(used):
            entry = DESC.pack(0, len(part), buffer_id, flags)
            events.append(Write(ring(RX) + DESC.size * slot, entry, RX, 0xFF00))
    return events


def verdict(history: History) -> None:
    """The counters say that LAPS frames were delivered, nothing dropped."""
    board = Player().play(history)
    board.finish({"rx_frames": LAPS, "rx_wire_frames": LAPS, "rx_drop_no_buffer": 0})


def test_good_history_passes() -> None:
    verdict(good())


def test_header_with_a_hash_passes() -> None:
    header = struct.pack("<10xHIHH", RING_SLOTS, 0x12345678, 2, 0)
    assert len(header) == HASH_HEADER_BYTES
    verdict(good(1 << MRG_RXBUF | 1 << HASH_REPORT, header))


def test_checked_checksum_passes_only_if_negotiated() -> None:
    header = struct.pack("<B9xH", 2, RING_SLOTS)
    verdict(good(1 << MRG_RXBUF | 1 << GUEST_CSUM, header))
    with pytest.raises(ScoreError, match="header"):
        verdict(good(header=header))


@pytest.mark.parametrize("hashed", [(1, 0, 0), (1, 2, 1), (1, 10, 0)])
def test_impossible_hash_is_seen(hashed: tuple[int, int, int]) -> None:
    header = struct.pack("<10xHIHH", RING_SLOTS, *hashed)
    with pytest.raises(ScoreError, match="hash"):
        verdict(good(1 << MRG_RXBUF | 1 << HASH_REPORT, header))


def test_several_buffers_without_the_feature_are_seen() -> None:
    with pytest.raises(ScoreError, match="num_buffers"):
        verdict(good(0))


def set_buffers(h: History, value: int) -> None:
    at = used_at(h, RX)[RING_SLOTS] - RING_SLOTS
    event = h[at]
    assert isinstance(event, Write)
    change(h, at, data=event.data[: HEADER_BYTES - 2] + bytes([value, 0]) + event.data[HEADER_BYTES:])


def too_few_buffers(h: History) -> None:
    set_buffers(h, RING_SLOTS - 1)


def too_many_buffers(h: History) -> None:
    set_buffers(h, RING_SLOTS + 1)


def no_buffers(h: History) -> None:
    set_buffers(h, 0)


def first_not_filled(h: History) -> None:
    change_used(h, RX, 2 * RING_SLOTS - 1, 1, lambda length: length - 1)


def last_too_long(h: History) -> None:
    change_used(h, RX, RING_SLOTS, 1, lambda length: length + 1)


def last_of_a_frame_lost(h: History) -> None:
    del h[used_at(h, RX)[-RING_SLOTS]]


def first_of_a_frame_lost(h: History) -> None:
    del h[used_at(h, RX)[-1]]


def visible_one_by_one(h: History) -> None:
    first, last = used_at(h, RX)[RING_SLOTS], used_at(h, RX)[2 * RING_SLOTS - 1]
    swap(h, first, last)


def ids_swapped(h: History) -> None:
    for which in (RING_SLOTS, RING_SLOTS + 2):
        change_used(h, RX, which, 2, lambda buffer_id: 2 - buffer_id)


def used_out_of_order(h: History) -> None:
    at = used_at(h, RX)[RING_SLOTS]
    swap(h, at + 1, at + 2)


def wrong_byte_in_the_second(h: History) -> None:
    at = used_at(h, RX)[RING_SLOTS] - 2
    event = h[at]
    assert isinstance(event, Write)
    change(h, at, data=bytes([event.data[0] ^ 1]) + event.data[1:])


DAMAGES = [
    *(too_few_buffers, too_many_buffers, no_buffers, first_not_filled, last_too_long, last_of_a_frame_lost),
    *(first_of_a_frame_lost, visible_one_by_one, ids_swapped, used_out_of_order, wrong_byte_in_the_second),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_seen(damage: Callable[[History], None]) -> None:
    history = good()
    damage(history)
    with pytest.raises(ScoreError):
        verdict(history)
