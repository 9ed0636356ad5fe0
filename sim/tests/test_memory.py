# SPDX-License-Identifier: Apache-2.0
"""HostMemory: what it allocates, what it finds, what it refuses."""

import itertools
import mmap
import random

import pytest

from driver.bus import DmaRegion
from sim.memory import GUARD_BYTES, AllocationError, HostMemory, UnknownRegion


class Journal:
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.table: dict[int, tuple[int, int]] = {}

    def region_added(self, iova: int, size_bytes: int, pointer: int) -> None:
        self.table[iova] = (size_bytes, pointer)

    def region_removed(self, iova: int) -> None:
        del self.table[iova]


def test_regions_are_zeroed_and_hold_what_is_written() -> None:
    memory = HostMemory()
    region = memory.alloc(1000)
    assert not region.view.any()
    memory.write(region.iova + 10, b"tupelo")
    assert region.view[10:16].tobytes() == b"tupelo"
    assert memory.read(region.iova + 9, 8) == b"\0tupelo\0"


@pytest.mark.parametrize("align", [1, 2, 16, 64, 4096, 1 << 20])
@pytest.mark.parametrize("placed", [False, True])
def test_alignment_and_guard_gaps(align: int, placed: bool) -> None:
    memory = HostMemory(placement=random.Random(7) if placed else None)
    regions = [memory.alloc(size, align) for size in (1, 63, 4096, 5000, 1)]
    for region in regions:
        assert region.iova % align == 0
        assert region.iova % 4096 == region.view.ctypes.data % 4096
        if placed:
            assert region.iova % (2 * align) != 0  # no better than asked
    for before, after in itertools.pairwise(regions):
        assert after.iova - (before.iova + before.size_bytes) >= GUARD_BYTES


def test_an_offset_makes_an_odd_address() -> None:
    region = HostMemory().alloc(100, 64, offset_bytes=3)
    assert region.iova % 64 == 3


def test_iova_is_no_offset_into_one_array() -> None:
    memory = HostMemory()
    first, second = memory.alloc(1 << 16), memory.alloc(1 << 16)
    assert first.iova >> 32
    distance = second.iova - first.iova
    assert distance != second.view.ctypes.data - first.view.ctypes.data


def test_find_tells_region_and_offset() -> None:
    memory = HostMemory()
    first, second = memory.alloc(100), memory.alloc(200)
    assert memory.find(first.iova) == (first, 0)
    assert memory.find(second.iova + 150, 50) == (second, 150)
    for iova, size in ((first.iova - 1, 1), (first.iova + 100, 1), (second.iova + 150, 51)):
        assert memory.find(iova, size) is None


def test_wrong_use_is_refused() -> None:
    memory = HostMemory()
    region = memory.alloc(64)
    for size, align in ((0, 64), (-1, 64), (64, 3), (64, 0), (64, 1 << 31)):
        with pytest.raises(AllocationError):
            memory.alloc(size, align)
    with pytest.raises(UnknownRegion):
        memory.read(region.iova + 60, 8)
    memory.free(region)
    with pytest.raises(UnknownRegion):
        memory.free(region)
    with pytest.raises(UnknownRegion):
        memory.free(DmaRegion(region.iova, region.view))
    assert memory.find(region.iova) is None


def test_a_listener_has_the_same_table() -> None:
    journal = Journal()
    memory = HostMemory(journal)
    regions = [memory.alloc(size) for size in (10, 20, 30)]
    memory.free(regions[1])
    assert journal.table == {r.iova: (r.size_bytes, r.view.ctypes.data) for r in (regions[0], regions[2])}
    memory.free_all()
    assert not journal.table and not memory.regions()


def test_a_view_outlives_its_region() -> None:
    memory = HostMemory()
    region = memory.alloc(4096)
    view = region.view
    view[:] = 5
    memory.free(region)
    del region
    assert int(view.sum()) == 5 * 4096


def test_memory_of_somebody_else_is_adopted_and_let_go() -> None:
    """At its own pages: the device's bytes are the mapping's, and nothing keeps it once it is free."""
    journal = Journal()
    memory = HostMemory(journal)
    mapped = mmap.mmap(-1, 3 * mmap.PAGESIZE)
    region = memory.adopt(memoryview(mapped))
    assert region.iova % mmap.PAGESIZE == 0 and region.size_bytes == 3 * mmap.PAGESIZE
    assert journal.table == {region.iova: (region.size_bytes, region.view.ctypes.data)}
    memory.write(region.iova + 5000, b"tupelo")
    assert mapped[5000:5006] == b"tupelo"
    after = memory.alloc(64)
    assert after.iova - (region.iova + region.size_bytes) >= GUARD_BYTES
    memory.free(region)
    assert list(journal.table) == [after.iova]
    del region
    mapped.close()  # BufferError if anything still held it


@pytest.mark.parametrize("wrong", [b"read-only", bytearray(), memoryview(mmap.mmap(-1, 8192))[1:]])
def test_memory_that_cannot_be_adopted(wrong: bytes | bytearray | memoryview) -> None:
    with pytest.raises(AllocationError):
        HostMemory().adopt(memoryview(wrong))
