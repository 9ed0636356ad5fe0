# SPDX-License-Identifier: Apache-2.0
"""Ring positions against a walk of one slot at a time, for every position of small rings."""

from itertools import product

import pytest

from driver import ring
from driver.ring import RingPos

SIZES = [1, 2, 3, 4, 5, 7]


def walk(pos: RingPos, slots: int, size: int) -> list[RingPos]:
    """The positions passed, one at a time: slots + 1 of them."""
    passed = [pos]
    for _ in range(slots):
        slot, wrap = passed[-1]
        passed.append(RingPos(0, 1 - wrap) if slot == size - 1 else RingPos(slot + 1, wrap))
    return passed


def everywhere(size: int) -> list[RingPos]:
    return [RingPos(slot, wrap) for slot, wrap in product(range(size), (0, 1))]


@pytest.mark.parametrize("size", SIZES)
def test_advance_and_distance_agree_with_a_walk(size: int) -> None:
    for pos in everywhere(size):
        for slots, end in enumerate(walk(pos, 2 * size - 1, size)):
            assert ring.advance(pos, slots, size) == end
            assert ring.distance(pos, end, size) == slots
        assert ring.advance(pos, 7 * size + 1, size) == walk(pos, 7 * size + 1, size)[-1]


@pytest.mark.parametrize("size", SIZES)
def test_spans_and_positions_cover_the_walk(size: int) -> None:
    for pos, slots in product(everywhere(size), range(size + 1)):
        expected = walk(pos, slots, size)[:slots]
        by_span = [
            RingPos(k, wrap) for start, stop, wrap in ring.spans(pos, slots, size) for k in range(start, stop)
        ]
        index, wrap = ring.positions(pos, slots, size)
        assert by_span == expected
        assert list(zip(index.tolist(), wrap.tolist(), strict=True)) == expected


@pytest.mark.parametrize("size", SIZES)
def test_crosses_is_true_exactly_for_the_slots_passed(size: int) -> None:
    for start, event, slots in product(everywhere(size), everywhere(size), range(2 * size + 2)):
        assert ring.crosses(event, start, slots, size) == (event in walk(start, slots, size)[:slots])


@pytest.mark.parametrize("size", [256, 300, 32768])
def test_large_rings_at_their_edges(size: int) -> None:
    for slot, wrap in product((0, 1, size - 2, size - 1), (0, 1)):
        pos = RingPos(slot, wrap)
        for slots in (0, 1, size - 1, size):
            assert ring.advance(pos, slots, size) == walk(pos, slots, size)[-1]
            assert ring.distance(pos, ring.advance(pos, slots, size), size) == slots


def test_an_event_outside_the_ring_counts_as_touched() -> None:
    assert ring.crosses(RingPos(4, 1), RingPos(0, 1), 1, size=4)


@pytest.mark.parametrize(
    ("pos", "value"), [(RingPos(0, 1), 0x8000), (RingPos(0x7FFF, 0), 0x7FFF), (RingPos(3, 1), 0x8003)]
)
def test_off_wrap_layout(pos: RingPos, value: int) -> None:
    assert ring.encode_off_wrap(pos) == value
    assert ring.decode_off_wrap(value) == pos
