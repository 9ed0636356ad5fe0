# SPDX-License-Identifier: Apache-2.0
"""Host memory as AXI sees it: whole aligned beats over regions that need not be aligned."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from driver.bus import DmaRegion

Bytes = npt.NDArray[np.uint8]
FILL = 0xEE  # read where no region is


class Memory(Protocol):
    """What is needed of sim.memory.HostMemory."""

    def find(self, iova: int, size_bytes: int = 1) -> tuple[DmaRegion, int] | None:
        """Return the region that holds all of the bytes, and the offset in it."""
        ...


class HostView:
    """Reads of beats and writes with strobes; says which touch no region."""

    def __init__(self, memory: Memory, beat_bytes: int) -> None:
        self._find = memory.find
        self._beat = beat_bytes

    def reachable(self, addr: int, beats: int) -> list[bool]:
        """For each beat of a read, whether it holds a byte of some region: such a beat is a good one."""
        if self._find(addr, beats * self._beat) is not None:
            return [True] * beats
        return [self._overlap(addr + self._beat * n) is not None for n in range(beats)]

    def read_beat(self, addr: int) -> bytes:
        """Return one beat; bytes outside regions read as FILL."""
        beat = self._beat
        found = self._find(addr, beat)
        if found is not None:
            region, offset = found
            return region.view[offset : offset + beat].tobytes()
        region_at = self._overlap(addr)
        out = np.full(beat, FILL, np.uint8)
        if region_at is not None:
            low, high = max(addr, region_at.iova), min(addr + beat, region_at.iova + region_at.size_bytes)
            out[low - addr : high - addr] = region_at.view[low - region_at.iova : high - region_at.iova]
        return out.tobytes()

    def writable(self, addr: int, strobes: int) -> bool:
        """Whether every strobed byte of a burst lies in a region."""
        return all(self._find(addr + start, end - start) is not None for start, end in strobe_runs(strobes))

    def write(self, addr: int, data: bytes, strobes: int) -> None:
        """Write the strobed bytes; those outside regions are lost."""
        source = np.frombuffer(data, np.uint8)
        for start, end in strobe_runs(strobes):
            found = self._find(addr + start, end - start)
            if found is not None:
                region, offset = found
                region.view[offset : offset + end - start] = source[start:end]

    def read(self, addr: int, size: int) -> bytes | None:
        """Return bytes that all lie in one region, or None."""
        found = self._find(addr, size)
        if found is None:
            return None
        region, offset = found
        return region.view[offset : offset + size].tobytes()

    def _overlap(self, addr: int) -> DmaRegion | None:
        """Return a region with a byte in the beat at addr: one that covers its start, or begins inside."""
        for offset in range(self._beat):
            found = self._find(addr + offset, 1)
            if found is not None:
                return found[0]
        return None


def strobe_runs(strobes: int) -> list[tuple[int, int]]:
    """Return (start, end) of each run of set bits, lowest first."""
    runs = []
    base = 0
    while strobes:
        skip = (strobes & -strobes).bit_length() - 1
        strobes >>= skip
        length = ((~strobes) & (strobes + 1)).bit_length() - 1
        runs.append((base + skip, base + skip + length))
        strobes >>= length
        base += skip + length
    return runs
