# SPDX-License-Identifier: Apache-2.0
"""Indirect descriptor tables (VIRTIO 1.2 section 2.8.7): a chain in one slot of the ring."""

from collections.abc import Sequence
from typing import NamedTuple

from driver.bus import DmaRegion
from driver.descriptors import DESC_BYTES, DESC_DTYPE, WRITE
from driver.errors import UsageError

SLOTS_MAX = 128  # the device takes no longer tables
LINE_BYTES = 64  # tables and event structures start on a line of their own


class Segment(NamedTuple):
    """One buffer of a chain."""

    addr: int  # iova
    len_bytes: int
    device_writes: bool


class IndirectTables:
    """`count` tables of `slots` descriptors each, from `offset_bytes` of a region on."""

    def __init__(self, region: DmaRegion, offset_bytes: int, count: int, slots: int) -> None:
        stride = _stride(slots)
        if not 1 <= slots <= SLOTS_MAX or offset_bytes + count * stride > region.size_bytes:
            raise UsageError(
                f"{count} indirect tables of {slots} slots at {offset_bytes} of {region.size_bytes}"
            )
        self.count = count
        self.slots = slots
        starts = range(offset_bytes, offset_bytes + count * stride, stride)
        self._iovas = [region.iova + start for start in starts]
        self._tables = [region.view[start : start + slots * DESC_BYTES].view(DESC_DTYPE) for start in starts]
        self._free = list(range(count))
        self._in_use: dict[int, int] = {}  # table by buffer id

    @staticmethod
    def region_bytes(count: int, slots: int) -> int:
        """Bytes of shared memory that so many tables take."""
        return count * _stride(slots)

    def __bool__(self) -> bool:
        """Whether a table is in use."""
        return bool(self._in_use)

    @property
    def free_count(self) -> int:
        return len(self._free)

    def fill(self, buffer_id: int, segments: Sequence[Segment]) -> int:
        """Write a chain into a free table, which the buffer keeps until `give`; return the table's iova."""
        n = len(segments)
        if n > self.slots or not self._free:
            raise UsageError(f"{n} segments, {self.free_count} free indirect tables of {self.slots} slots")
        number = self._in_use[buffer_id] = self._free.pop()
        table = self._tables[number]
        table["addr"][:n] = [segment.addr for segment in segments]
        table["len"][:n] = [segment.len_bytes for segment in segments]
        table["id"][:n] = 0
        table["flags"][:n] = [WRITE if segment.device_writes else 0 for segment in segments]
        return self._iovas[number]

    def give(self, buffer_ids: Sequence[int]) -> None:
        """Take back the tables of those of these buffers that have one."""
        for buffer_id in buffer_ids:
            if (number := self._in_use.pop(buffer_id, None)) is not None:
                self._free.append(number)

    def reset(self) -> None:
        """Take all back."""
        self.give(list(self._in_use))


def _stride(slots: int) -> int:
    return -(-slots * DESC_BYTES // LINE_BYTES) * LINE_BYTES
