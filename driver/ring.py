# SPDX-License-Identifier: Apache-2.0
"""Packed-ring positions: the one place where a (slot, wrap) pair moves. VIRTIO 1.2 section 2.8.1.

A position is a slot number in 0..size-1 and a wrap counter, 1 on the first lap, that flips at each lap. Two
laps are told apart, so the positions of a ring form a circle of 2 * size; all arithmetic is done there.
Any size from 1 to 32768 works; nothing assumes a power of two.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SIZE_MAX = 32768  # VIRTIO 1.2 section 2.8
OFF_BITS = 15  # event offset in bits 0..14, its wrap counter in bit 15 (section 2.8.14)


class RingPos(NamedTuple):
    """Where one side of the ring stands."""

    slot: int  # 0..size-1
    wrap: int  # 0 or 1


class Span(NamedTuple):
    """Slots start..stop-1 of one lap."""

    start: int
    stop: int
    wrap: int


START = RingPos(0, 1)  # both sides, after set-up (section 2.8.1)


def advance(pos: RingPos, slots: int, size: int) -> RingPos:
    """The position `slots` >= 0 further on."""
    laps, index = divmod(pos.slot + slots, size)
    return RingPos(index, pos.wrap ^ (laps & 1))


def distance(start: RingPos, end: RingPos, size: int) -> int:
    """Slots from `start` forward to `end`, 0..2*size-1."""
    lap = size if start.wrap != end.wrap else 0
    return (end.slot - start.slot + lap) % (2 * size)


def spans(pos: RingPos, slots: int, size: int) -> tuple[Span, ...]:
    """The `slots` <= size slots from `pos` on as one slice, or two where they cross the wrap."""
    stop = pos.slot + slots
    if stop <= size:
        return (Span(pos.slot, stop, pos.wrap),)
    return (Span(pos.slot, size, pos.wrap), Span(0, stop - size, pos.wrap ^ 1))


def positions(pos: RingPos, slots: int, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """The same slots as arrays: int64[slots] of indices and uint16[slots] of wrap counters."""
    laps, index = np.divmod(pos.slot + np.arange(slots, dtype=np.int64), size)
    return index, ((laps & 1) ^ pos.wrap).astype(np.uint16)


def encode_off_wrap(pos: RingPos) -> int:
    """The 16-bit event position of an event suppression structure."""
    return pos.slot | pos.wrap << OFF_BITS


def decode_off_wrap(value: int) -> RingPos:
    """Inverse of encode_off_wrap; the index is not checked against a ring size."""
    return RingPos(value & ((1 << OFF_BITS) - 1), value >> OFF_BITS & 1)


def crosses(event: RingPos, start: RingPos, slots: int, size: int) -> bool:
    """Whether moving `slots` on from `start` touches the slot `event` (so that its event is due).

    An event outside the ring counts as touched: to notify too often is harmless, too seldom is not.
    """
    return event.slot >= size or slots >= 2 * size or distance(start, event, size) < slots
