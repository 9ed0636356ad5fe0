# SPDX-License-Identifier: Apache-2.0
"""One receive queue: buffers out to the device, frames in. VIRTIO 1.2 sections 5.1.6.3 and 5.1.6.4."""

import numpy as np
import numpy.typing as npt

from driver import ring
from driver.bus import Bus
from driver.descriptors import NET_HEADER_BYTES
from driver.errors import DeviceError, Fault
from driver.netqueue import FOREIGN, NetQueue
from driver.pool import BufArray, BufferPool
from driver.ring import RingPos
from driver.virtqueue import LenArray, PackedQueue

NO_RAW: tuple[BufArray, npt.NDArray[np.uint32]] = (np.empty(0, np.uint32), np.empty(0, np.uint32))


class RxQueue(NetQueue):
    """Receive side of a queue pair. `recv` copies and reposts; the `raw` calls leave frames in place."""

    def __init__(
        self, bus: Bus, index: int, doorbell_bytes: int, queue: PackedQueue, pool: BufferPool
    ) -> None:
        super().__init__(bus, index, doorbell_bytes, queue, pool)
        self._headers = pool.view[:, :NET_HEADER_BYTES]

    def post_free(self) -> int:
        """Give every free buffer of the pool to the device, as far as the ring has room. Needs a kick."""
        n = min(self.queue.free_slots, self.pool.free_count)
        self.repost(self.pool.take(n))
        return n

    def repost(self, bufs: BufArray) -> None:
        """Give these buffers (taken from the pool) to the device. Needs a kick."""
        lens = np.full(len(bufs), self.pool.buffer_bytes, np.uint32)
        self._buf_of[self.queue.post_batch(self.pool.iovas(bufs), lens)] = bufs

    def reap_raw(self, limit: int | None = None) -> tuple[BufArray, LenArray]:
        """Take up to `limit` received frames: buffers uint32[m] and frame lengths uint32[m].

        Frame k lies in buffer k from NET_HEADER_BYTES on; the caller reposts the buffers. DeviceError,
        which quarantines the queue, for a used descriptor or header that no correct device writes.
        """
        before = self.queue.used
        ids, lens = self.queue.reap_batch(limit)
        if len(ids) == 0:
            return NO_RAW
        bufs = self._buf_of[ids]
        self._buf_of[ids] = FOREIGN
        foreign = bufs == FOREIGN
        if foreign.any():
            bufs, lens, ids = bufs[~foreign], lens[~foreign], ids[~foreign]
        self._check_headers(before, bufs, lens)
        return bufs, lens - np.uint32(NET_HEADER_BYTES)

    def _check_headers(self, first: RingPos, bufs: BufArray, lens: LenArray) -> None:
        """Without offloads negotiated: flags and gso_type 0, num_buffers 1 (section 5.1.6.4.1)."""
        headers = self._headers[bufs]
        sound = (headers[:, 0] == 0) & (headers[:, 1] == 0) & (headers[:, 10] == 1) & (headers[:, 11] == 0)
        sound &= lens >= NET_HEADER_BYTES
        if sound.all():
            return
        k = int(sound.argmin())
        value = int.from_bytes(headers[k].tobytes(), "little")
        slot, wrap = ring.advance(first, k, self.queue.size)
        self.queue.fault = DeviceError(self.queue.name, Fault.HEADER, slot, wrap, value, int(lens[k]))
        self.pool.give(bufs)
        raise self.queue.fault

    def recv(self, limit: int | None = None) -> list[bytes]:
        """Copy up to `limit` received frames out and repost their buffers. Needs a kick."""
        bufs, lens = self.reap_raw(limit)
        if len(bufs) == 0:
            return []
        frames = self.pool.gather(bufs, lens, NET_HEADER_BYTES)
        self.repost(bufs)
        return frames
