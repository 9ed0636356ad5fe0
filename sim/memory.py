# SPDX-License-Identifier: Apache-2.0
"""Host memory that the device can reach: a table of regions (iova, size, pointer), each memory of its own.

An iova says nothing about where the bytes lie, and between regions there are guard gaps that belong to
nobody, so an access that strays is an error response and not a wrong byte somewhere else.
"""

import bisect
import mmap
import random
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from driver.bus import DmaRegion, U8Array

GUARD_BYTES = 8192  # least distance of two regions: no burst and no aligned beat touches both
FIRST_IOVA = 0x7A_0000_0000  # above 4 GiB: the high address words count
LAST_IOVA = (1 << 56) - 1


class HostMemoryError(ValueError):
    """Base of the errors of this module; the caller broke a rule."""


class AllocationError(HostMemoryError):
    """A size or an alignment that cannot be served."""


class UnknownRegion(HostMemoryError):
    """An address or a region that is not, or no longer, in the table."""


class Listener(Protocol):
    """Who keeps a copy of the table (the memory model in C++)."""

    def region_added(self, iova: int, size_bytes: int, pointer: int) -> None: ...

    def region_removed(self, iova: int) -> None: ...


@dataclass(frozen=True, slots=True)
class _Entry:
    region: DmaRegion
    pointer: int
    backing: object  # keeps the bytes alive


class HostMemory:
    """Allocates regions and finds them by address.

    placement: a random source puts each region at a random address with the asked alignment and no better;
    None packs regions upwards, each at a multiple of its alignment.
    """

    def __init__(self, listener: Listener | None = None, placement: random.Random | None = None) -> None:
        self._listener = listener
        self._placement = placement
        self._next_iova = FIRST_IOVA
        self._starts: list[int] = []  # sorted iovas
        self._entries: dict[int, _Entry] = {}

    def alloc(self, size_bytes: int, align_bytes: int = 64, offset_bytes: int = 0) -> DmaRegion:
        """Return a zeroed region whose iova is offset_bytes above a multiple of align_bytes.

        align_bytes: a power of two up to 1 GiB. Pointer and iova agree in their low 12 bits.
        Raises AllocationError.
        """
        if size_bytes <= 0:
            raise AllocationError(f"size must be positive: {size_bytes=}")
        if align_bytes <= 0 or align_bytes & (align_bytes - 1) or align_bytes > 1 << 30:
            raise AllocationError(f"alignment must be a power of two up to 1 GiB: {align_bytes=}")
        iova = self._place(align_bytes) + offset_bytes
        if iova + size_bytes > LAST_IOVA:
            raise AllocationError(f"address space is used up: {size_bytes=} at {iova:#x}")
        lead = iova % mmap.PAGESIZE
        backing = mmap.mmap(-1, lead + size_bytes)
        return self._add(iova, np.frombuffer(backing, dtype=np.uint8)[lead:], backing)

    def adopt(self, memory: memoryview) -> DmaRegion:
        """Make memory that somebody else has mapped a region, at whole pages; `free` lets go of it.

        Raises AllocationError if it is empty, read-only, or does not begin with a page.
        """
        if memory.readonly or not memory.nbytes:
            raise AllocationError(f"not memory to write: {memory.nbytes} bytes, {memory.readonly=}")
        view: U8Array = np.frombuffer(memory, dtype=np.uint8)
        if int(view.ctypes.data) % mmap.PAGESIZE:
            raise AllocationError(f"memory at {int(view.ctypes.data):#x} does not begin with a page")
        iova = self._place(mmap.PAGESIZE)
        if iova + memory.nbytes > LAST_IOVA:
            raise AllocationError(f"address space is used up: {memory.nbytes} bytes at {iova:#x}")
        return self._add(iova, view, memory)

    def _add(self, iova: int, view: U8Array, backing: object) -> DmaRegion:
        region = DmaRegion(iova, view)
        pointer = int(view.ctypes.data)
        self._next_iova = iova + region.size_bytes + GUARD_BYTES
        bisect.insort(self._starts, iova)
        self._entries[iova] = _Entry(region, pointer, backing)
        if self._listener is not None:
            self._listener.region_added(iova, region.size_bytes, pointer)
        return region

    def free(self, region: DmaRegion) -> None:
        """Take a region back; later accesses to it are errors. The bytes live on with their view.

        Raises UnknownRegion for a region that is not from here or was freed before.
        """
        entry = self._entries.get(region.iova)
        if entry is None or entry.region is not region:
            raise UnknownRegion(f"not an allocated region: iova {region.iova:#x}, {region.size_bytes} bytes")
        if self._listener is not None:
            self._listener.region_removed(region.iova)
        self._starts.remove(region.iova)
        del self._entries[region.iova]

    def find(self, iova: int, size_bytes: int = 1) -> tuple[DmaRegion, int] | None:
        """Return the region that holds iova..iova+size_bytes-1 in full, and the offset in it; else None."""
        index = bisect.bisect_right(self._starts, iova) - 1
        if index < 0:
            return None
        region = self._entries[self._starts[index]].region
        offset = iova - region.iova
        return (region, offset) if offset + size_bytes <= region.size_bytes else None

    def read(self, iova: int, size_bytes: int) -> bytes:
        """Return a copy of the bytes at iova; UnknownRegion when they are not all in one region."""
        region, offset = self._found(iova, size_bytes)
        return region.view[offset : offset + size_bytes].tobytes()

    def write(self, iova: int, raw: bytes) -> None:
        """Set the bytes at iova; UnknownRegion when they are not all in one region."""
        region, offset = self._found(iova, len(raw))
        region.view[offset : offset + len(raw)] = np.frombuffer(raw, dtype=np.uint8)

    def regions(self) -> list[DmaRegion]:
        """Return the table in order of address."""
        return [self._entries[start].region for start in self._starts]

    def free_all(self) -> None:
        """Take every region back."""
        for region in self.regions():
            self.free(region)

    def _found(self, iova: int, size_bytes: int) -> tuple[DmaRegion, int]:
        found = self.find(iova, size_bytes)
        if found is None:
            raise UnknownRegion(f"no region holds {size_bytes} bytes at {iova:#x}")
        return found

    def _place(self, align_bytes: int) -> int:
        first = self._next_iova
        if self._placement is None:
            return -(-first // align_bytes) * align_bytes
        slot = -(-(first + self._placement.randrange(1 << 16)) // align_bytes)
        return (slot | 1) * align_bytes
