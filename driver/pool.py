# SPDX-License-Identifier: Apache-2.0
"""Buffers of one size in one region of device-visible memory, counted out and in.

Buffer k is row k of a uint8[count, stride] view and starts at iova(k). Whole batches of frames go in
and come out; frames of one length move as one block.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from driver.bus import Bus, U8Array
from driver.errors import UsageError

BufArray = npt.NDArray[np.uint32]

ALIGN_BYTES = 64


class BufferPool:
    """`count` buffers of at least `buffer_bytes`; take() and give() refuse what would lose or alias one."""

    def __init__(self, bus: Bus, count: int, buffer_bytes: int, *, name: str = "pool") -> None:
        if count < 1 or buffer_bytes < 1:
            raise UsageError(f"{name}: {count} buffers of {buffer_bytes} bytes")
        stride = self.stride_of(buffer_bytes)
        self.name = name
        self.count = count
        self.buffer_bytes = buffer_bytes
        self.stride_bytes = stride
        self._bus = bus
        self.region = bus.dma_alloc(count * stride, 4096 if stride % 4096 == 0 else ALIGN_BYTES)
        self.view: U8Array = self.region.view[: count * stride].reshape(count, stride)
        self._bytes = self.view.reshape(-1).data
        self._iovas = np.uint64(self.region.iova) + np.arange(count, dtype=np.uint64) * np.uint64(stride)
        self._free: BufArray = np.arange(count, dtype=np.uint32)[::-1].copy()  # a stack
        self._top = count
        self._out: npt.NDArray[np.bool_] = np.zeros(count, np.bool_)

    @staticmethod
    def stride_of(buffer_bytes: int) -> int:
        """Bytes from one buffer to the next."""
        return -(-buffer_bytes // ALIGN_BYTES) * ALIGN_BYTES

    @property
    def free_count(self) -> int:
        return self._top

    def outstanding(self) -> BufArray:
        """Buffers taken and not given back: what leaks if this is the end."""
        return np.flatnonzero(self._out).astype(np.uint32)

    def take(self, n: int) -> BufArray:
        """Take n buffers, uint32[n]; UsageError if fewer are free."""
        if not 0 <= n <= self._top:
            raise UsageError(f"{self.name}: {n} buffers asked, {self._top} of {self.count} free")
        self._top -= n
        bufs = self._free[self._top : self._top + n][::-1].copy()
        self._out[bufs] = True
        return bufs

    def give(self, bufs: BufArray) -> None:
        """Give buffers back; UsageError, with nothing given, if one was not out or comes twice."""
        n = len(bufs)
        if n and int(bufs.max()) >= self.count:
            raise UsageError(f"{self.name}: no buffer {int(bufs.max())}")
        if not self._out[bufs].all():
            raise UsageError(f"{self.name}: buffer {int(bufs[~self._out[bufs]][0])} is not out")
        self._out[bufs] = False
        if self._top + n > self.count - int(np.count_nonzero(self._out)):
            self._out[bufs] = True
            raise UsageError(f"{self.name}: a buffer is given back twice at once")
        self._free[self._top : self._top + n] = bufs
        self._top += n

    def iovas(self, bufs: BufArray) -> npt.NDArray[np.uint64]:
        """Bus addresses of the buffers' first bytes, uint64[n]."""
        return self._iovas[bufs]

    def fill(self, bufs: BufArray, frames: Sequence[bytes], offset_bytes: int = 0) -> npt.NDArray[np.uint32]:
        """Copy frame k to buffer k at `offset_bytes`; return the lengths, uint32[n].

        The offset is kept free for a header, which is not touched. UsageError if a frame does not fit.
        """
        lens = np.fromiter(map(len, frames), np.uint32, len(frames))
        if len(bufs) != len(frames):
            raise UsageError(f"{self.name}: {len(frames)} frames for {len(bufs)} buffers")
        if len(frames) == 0:
            return lens
        longest = int(lens.max())
        if offset_bytes + longest > self.stride_bytes:
            raise UsageError(
                f"{self.name}: frame of {longest} bytes at {offset_bytes} of {self.stride_bytes}"
            )
        if len(frames) > 1 and longest == int(lens.min()):
            block = np.frombuffer(b"".join(frames), np.uint8).reshape(len(frames), longest)
            self.view[bufs, offset_bytes : offset_bytes + longest] = block
            return lens
        memory = self._bytes
        for start, frame in zip(
            (bufs * np.int64(self.stride_bytes) + offset_bytes).tolist(), frames, strict=True
        ):
            memory[start : start + len(frame)] = frame
        return lens

    def gather(self, bufs: BufArray, lens: npt.NDArray[np.uint32], offset_bytes: int = 0) -> list[bytes]:
        """Copy `lens[k]` bytes out of buffer k from `offset_bytes` on; inverse of fill."""
        n = len(bufs)
        if n == 0:
            return []
        longest = int(lens.max())
        if offset_bytes + longest > self.stride_bytes:
            raise UsageError(f"{self.name}: {longest} bytes at {offset_bytes} of {self.stride_bytes}")
        if n > 1 and 0 < longest == int(lens.min()):
            block = self.view[bufs, offset_bytes : offset_bytes + longest].tobytes()
            return [block[at : at + longest] for at in range(0, n * longest, longest)]
        starts = bufs * np.int64(self.stride_bytes) + offset_bytes
        memory = self._bytes
        ends = starts + lens
        return [bytes(memory[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]

    def close(self) -> int:
        """Free the memory; return how many buffers were still out."""
        left = int(np.count_nonzero(self._out))
        self._bytes.release()
        self._bus.dma_free(self.region)
        return left
