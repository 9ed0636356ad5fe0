# SPDX-License-Identifier: Apache-2.0
"""One receive queue: buffers out to the device, frames in. VIRTIO 1.2 sections 5.1.6.3 and 5.1.6.4.

With mergeable buffers (MRG_RXBUF) a frame may take several: the header in the first says how many, all
but the last are full. One whose last buffers are not there yet waits for the next call.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driver import ring
from driver.bus import Bus
from driver.config import PLAIN, Mode
from driver.errors import DeviceError, Fault, UsageError
from driver.netqueue import FOREIGN, NetQueue
from driver.offload import HEADER_DTYPE, RxBatch, decode_headers
from driver.pool import BufArray, BufferPool
from driver.virtqueue import LenArray, PackedQueue

FRAME_BYTES_MAX = 9728
NO_RAW: tuple[BufArray, npt.NDArray[np.uint32]] = (np.empty(0, np.uint32), np.empty(0, np.uint32))
HeaderArray = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class RawFrames:
    """Received frames in place: frame k lies in counts[k] buffers, one after the other in `bufs`.

    lens[i] bytes of the frame are in buffer bufs[i], from the queue's header_bytes on in the first of a
    frame, from 0 on in the others (`first` tells which).
    """

    bufs: BufArray
    lens: LenArray
    first: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.uint16]
    headers: HeaderArray  # HEADER_DTYPE[frames]

    def __len__(self) -> int:
        return len(self.counts)


class RxQueue(NetQueue):
    """Receive side of a queue pair. `recv` copies and reposts; the `raw` calls leave frames in place."""

    def __init__(
        self,
        bus: Bus,
        index: int,
        doorbell_bytes: int,
        queue: PackedQueue,
        pool: BufferPool,
        mode: Mode = PLAIN,
        frame_bytes_max: int = FRAME_BYTES_MAX,
    ) -> None:
        super().__init__(bus, index, doorbell_bytes, queue, pool, mode)
        self.frame_bytes_max = frame_bytes_max
        self._headers = pool.view[:, : self.header_bytes]
        self._rest = NO_RAW  # used buffers of a frame that is not whole yet, or whose header is at fault
        self._rest_bad = False

    def post_free(self) -> int:
        """Give every free buffer of the pool to the device, as far as the ring has room. Needs a kick."""
        n = min(self.queue.free_slots, self.pool.free_count)
        self.repost(self.pool.take(n))
        return n

    def repost(self, bufs: BufArray) -> None:
        """Give these buffers (taken from the pool) to the device. Needs a kick."""
        lens = np.full(len(bufs), self.pool.buffer_bytes, np.uint32)
        self._buf_of[self.queue.post_batch(self.pool.iovas(bufs), lens)] = bufs

    def has_frames(self) -> bool:
        """Whether a call would find something; one memory read."""
        return self._rest_bad or self.queue.has_used()

    # In place -----------------------------------------------------------------------------------------

    def reap_raw(self, limit: int | None = None) -> tuple[BufArray, LenArray]:
        """Take up to `limit` received frames: buffers uint32[m] and frame lengths uint32[m].

        Frame k lies in buffer k from header_bytes on; the caller reposts the buffers. DeviceError,
        which quarantines the queue, for a used descriptor or header that no correct device writes.
        """
        if self.mode.mergeable:
            raise UsageError(f"queue {self.queue.name}: frames may take several buffers, use reap_frames")
        bufs, lens = self._take(limit)
        if len(bufs) == 0:
            return NO_RAW
        headers = self._headers[bufs]
        sound = ((headers[:, 0] & (0xFF ^ self.mode.rx_flags)) == 0) & (headers[:, 1] == 0)
        sound &= (headers[:, 10] == 1) & (headers[:, 11] == 0) & (lens >= self.header_bytes)
        if not sound.all():
            self._fail(Fault.HEADER, bufs, lens, int(sound.argmin()))
        return bufs, lens - np.uint32(self.header_bytes)

    def reap_frames(self, limit: int | None = None) -> RawFrames:
        """Take received frames with their headers, from up to `limit` buffers; the caller reposts those.

        Works with and without mergeable buffers. DeviceError as reap_raw, after all sound frames before.
        """
        if not self.mode.mergeable:
            bufs, lens = self.reap_raw(limit)
            ones = np.ones(len(bufs), np.uint16)
            return RawFrames(bufs, lens, ones != 0, ones, decode_headers(self._headers[bufs]))
        bufs, lens = self._take(limit)
        if len(self._rest[0]):
            bufs, lens = np.concatenate([self._rest[0], bufs]), np.concatenate([self._rest[1], lens])
            self._rest, self._rest_bad = NO_RAW, False
        return self._split(bufs, lens)

    def _take(self, limit: int | None) -> tuple[BufArray, LenArray]:
        """Used buffers of this queue and what the device wrote into each."""
        if self._rest_bad:
            return NO_RAW
        ids, lens = self.queue.reap_batch(limit)
        if len(ids) == 0:
            return NO_RAW
        bufs = self._buf_of[ids]
        self._buf_of[ids] = FOREIGN
        foreign = bufs == FOREIGN
        if foreign.any():
            bufs, lens = bufs[~foreign], lens[~foreign]
        return bufs, lens

    def _split(self, bufs: BufArray, lens: LenArray) -> RawFrames:
        """Frames out of used buffers; what does not make a whole frame yet is kept for the next call."""
        total = len(bufs)
        headers = decode_headers(self._headers[bufs])
        counts: npt.NDArray[np.uint16] = headers["num_buffers"].astype(np.uint16)
        alone = (counts == 1) & ((headers["flags"] & (0xFF ^ self.mode.rx_flags)) == 0)
        alone &= (headers["gso_type"] == 0) & (lens >= self.header_bytes)
        if alone.all():
            return RawFrames(bufs, lens - np.uint32(self.header_bytes), alone, counts, headers)
        starts: list[int] = []
        at = 0
        fault: Fault | None = None
        while at < total:
            fault = None if alone[at] else self._check_merged(headers[at], lens[at:])
            if fault is not None or at + int(counts[at]) > total:
                break
            starts.append(at)
            at += int(counts[at])
        if fault is not None and not starts:
            self._fail(fault, bufs, lens, 0)
        if at < total:
            self._rest, self._rest_bad = (bufs[at:], lens[at:]), fault is not None
        first = np.zeros(at, np.bool_)
        first[starts] = True
        part_lens = lens[:at] - np.where(first, np.uint32(self.header_bytes), np.uint32(0))
        return RawFrames(bufs[:at], part_lens, first, counts[starts], headers[starts])

    def _check_merged(self, header: np.void, lens: LenArray) -> Fault | None:
        """What is wrong with a frame whose buffers hold `lens`, as far as they are there."""
        if int(header["flags"]) & (0xFF ^ self.mode.rx_flags) or int(header["gso_type"]):
            return Fault.HEADER
        count = int(header["num_buffers"])
        if not 1 <= count <= self.queue.size or int(lens[0]) < self.header_bytes:
            return Fault.NUM_BUFFERS
        parts = lens[:count]
        if (parts[: count - 1] != self.pool.buffer_bytes).any() or int(parts[-1]) == 0:
            return Fault.TRUNCATED
        if int(parts.sum()) > self.frame_bytes_max + self.header_bytes:
            return Fault.NUM_BUFFERS
        return None

    def _fail(self, fault: Fault, bufs: BufArray, lens: LenArray, k: int) -> None:
        """Quarantine the queue for the k-th of these buffers, which were reaped last."""
        back = 2 * self.queue.size - (len(bufs) - k)
        slot, wrap = ring.advance(self.queue.used, back, self.queue.size)
        value = int.from_bytes(self._headers[bufs[k]].tobytes(), "little")
        self.queue.fault = DeviceError(self.queue.name, fault, slot, wrap, value, int(lens[k]))
        self.pool.give(bufs)
        raise self.queue.fault

    # Copying ------------------------------------------------------------------------------------------

    def recv(self, limit: int | None = None) -> list[bytes]:
        """Copy up to `limit` received frames out and repost their buffers. Needs a kick."""
        if self.mode.mergeable:
            return self.recv_meta(limit).frames
        bufs, lens = self.reap_raw(limit)
        if len(bufs) == 0:
            return []
        frames = self.pool.gather(bufs, lens, self.header_bytes)
        self.repost(bufs)
        return frames

    def recv_meta(self, limit: int | None = None) -> RxBatch:
        """As recv, with what the device says of each frame; `limit` counts buffers."""
        raw = self.reap_frames(limit)
        while len(raw) == 0 and self.has_frames() and limit != 0:  # only parts of a frame so far
            raw = self.reap_frames(limit)
        if len(raw) == 0:
            return RxBatch([], np.zeros(0, HEADER_DTYPE))
        frames = self._assemble(raw)
        self.repost(raw.bufs)
        return RxBatch(frames, raw.headers)

    def _assemble(self, raw: RawFrames) -> list[bytes]:
        """Copies of the frames; parts are put together."""
        heads = self.pool.gather(raw.bufs[raw.first], raw.lens[raw.first], self.header_bytes)
        if len(heads) == len(raw.bufs):
            return heads
        tails = iter(self.pool.gather(raw.bufs[~raw.first], raw.lens[~raw.first]))
        counts = raw.counts.tolist()
        return [
            head if count == 1 else b"".join([head, *(next(tails) for _ in range(count - 1))])
            for head, count in zip(heads, counts, strict=True)
        ]

    def reset(self) -> None:
        """As NetQueue.reset; the parts of a frame that is not whole go back to the pool too."""
        super().reset()
        self.pool.give(self._rest[0])
        self._rest, self._rest_bad = NO_RAW, False
