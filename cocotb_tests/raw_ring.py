# SPDX-License-Identifier: Apache-2.0
"""The driver's half of a packed virtqueue, by hand: for tests that must offer what a decent driver would not.

Shares nothing with driver/. A RawQueue is memory and positions only; `raw_device` talks to the BAR.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cocotb_tests.packed_walk import AVAIL_BIT, DESC, NEXT, USED_BIT, WRITE, Place


class Region(Protocol):
    """Memory that the device reaches: an iova and the bytes behind it."""

    @property
    def iova(self) -> int:
        """I/O virtual address of the first byte."""

    @property
    def view(self) -> npt.NDArray[np.uint8]:
        """uint8[size]."""


class Events(IntEnum):
    """flags of struct pvirtq_event_suppress, VIRTIO 1.2 section 2.8.10."""

    ENABLE = 0
    DISABLE = 1
    DESC = 2


EVENT = struct.Struct("<HH")  # off_wrap, flags


@dataclass(frozen=True, slots=True)
class Used:
    """One used descriptor."""

    buffer_id: int
    length: int


class RingFull(Exception):
    """Not enough free slots for a chain."""


class UnknownId(AssertionError):
    """The device used a buffer that it was not offered."""


class RawQueue:
    """Offer chains, reap used descriptors, both event structures; in-order use is taken for granted."""

    def __init__(self, number: int, size_slots: int, desc: Region, driver: Region, device: Region) -> None:
        self.number = number
        self.size_slots = size_slots
        self.desc, self.driver, self.device = desc, driver, device
        self._ring = memoryview(desc.view)
        self._driver = memoryview(driver.view)
        self._device = memoryview(device.view)
        self.next_avail, self.next_used = Place(), Place()
        self.free = size_slots
        self._lengths: dict[int, int] = {}  # buffer id -> slots of its chain
        self._ids = list(range(size_slots - 1, -1, -1))

    # Offering -------------------------------------------------------------------------------------------

    @property
    def outstanding(self) -> int:
        """Chains offered and not reaped."""
        return len(self._lengths)

    def offer(self, elements: Sequence[tuple[int, int]], *, device_writes: bool) -> int:
        """Make one chain of (addr_bus, len_bytes) available; return its buffer id. RingFull."""
        flags = [
            (WRITE if device_writes else 0) | (NEXT if i + 1 < len(elements) else 0)
            for i in range(len(elements))
        ]
        return self.offer_raw(
            [(addr, size, extra) for (addr, size), extra in zip(elements, flags, strict=True)]
        )

    def offer_raw(self, entries: Sequence[tuple[int, int, int]]) -> int:
        """Make one chain of (addr_bus, len_bytes, flags without AVAIL and USED) available, legal or not."""
        if len(entries) > self.free or not self._ids:
            raise RingFull(f"queue {self.number}: {len(entries)} slots wanted, {self.free} free")
        buffer_id = self._ids.pop()
        self.write_slots(entries, buffer_id)
        self._lengths[buffer_id] = len(entries)
        self.free -= len(entries)
        return buffer_id

    def write_slots(self, entries: Sequence[tuple[int, int, int]], buffer_id: int) -> None:
        """Write entries at next_avail and move on, without any accounting: the first slot's flags go last."""
        place = Place(self.next_avail.slot, self.next_avail.wrap)
        writes = []
        for addr, size, flags in entries:
            bits = place.wrap << AVAIL_BIT | (place.wrap ^ 1) << USED_BIT
            writes.append((DESC.size * place.slot, addr, size, buffer_id, flags | bits))
            place.advance(self.size_slots)
        for offset, *fields in reversed(writes):
            DESC.pack_into(self._ring, offset, *fields)
        self.next_avail = place

    # Reaping --------------------------------------------------------------------------------------------

    def has_used(self) -> bool:
        """Whether the next used descriptor is there."""
        flags = DESC.unpack_from(self._ring, DESC.size * self.next_used.slot)[3]
        wrap = self.next_used.wrap
        return bool(flags >> AVAIL_BIT & 1 == wrap and flags >> USED_BIT & 1 == wrap)

    def reap(self) -> list[Used]:
        """Take all used descriptors."""
        taken = []
        while self._lengths and self.has_used():
            _, length, buffer_id, _ = DESC.unpack_from(self._ring, DESC.size * self.next_used.slot)
            if buffer_id not in self._lengths:
                raise UnknownId(
                    f"queue {self.number} slot {self.next_used.slot}: used id {buffer_id} is not offered"
                )
            slots = self._lengths.pop(buffer_id)
            self._ids.append(buffer_id)
            self.free += slots
            self.next_used.advance(self.size_slots, slots)
            taken.append(Used(buffer_id, length))
        return taken

    # Event suppression ----------------------------------------------------------------------------------

    def set_interrupts(self, mode: Events, ahead_slots: int = 0) -> None:
        """Say when the device shall interrupt; DESC: `ahead_slots` after the next used position."""
        place = Place(self.next_used.slot, self.next_used.wrap)
        place.advance(self.size_slots, ahead_slots)
        off_wrap = place.slot | place.wrap << 15 if mode is Events.DESC else 0
        EVENT.pack_into(self._driver, 0, off_wrap, mode)

    def device_events(self) -> tuple[int, int]:
        """Return (off_wrap, flags) as the device last wrote them."""
        off_wrap, flags = EVENT.unpack_from(self._device)
        return off_wrap, flags

    def needs_kick(self, since: Place, slots: int) -> bool:
        """Whether the device wants a doorbell for the `slots` made available from position `since` on."""
        off_wrap, flags = self.device_events()
        if flags != Events.DESC:
            return flags == Events.ENABLE and slots > 0
        # The slot that the device waits for is among those just written: walk them, no modular arithmetic.
        wanted = (off_wrap & 0x7FFF, off_wrap >> 15)
        place = Place(since.slot, since.wrap)
        for _ in range(slots):
            if (place.slot, place.wrap) == wanted:
                return True
            place.advance(self.size_slots)
        return False
