# SPDX-License-Identifier: Apache-2.0
"""One transmit queue: frames into pool buffers, buffers onto the ring, completions back.

A buffer holds a virtio_net_hdr and a frame, back to back. No offload is asked for, so the header is all
zero (VIRTIO 1.2 section 5.1.6.2), is never written, and stays zero from the pool's allocation on.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from driver.bus import Bus
from driver.descriptors import NET_HEADER_BYTES
from driver.errors import UsageError
from driver.netqueue import FOREIGN, NetQueue
from driver.pool import BufArray, BufferPool
from driver.virtqueue import PackedQueue, Segment

FRAME_BYTES_MIN = 14  # an Ethernet header
NO_BUFS: BufArray = np.empty(0, np.uint32)


class TxQueue(NetQueue):
    """Transmit side of a queue pair. `send` copies frames; the `raw` calls move buffers and copy nothing."""

    def __init__(
        self,
        bus: Bus,
        index: int,
        doorbell_bytes: int,
        queue: PackedQueue,
        pool: BufferPool,
        frame_bytes_max: int,
        chain_slots_max: int,
    ) -> None:
        super().__init__(bus, index, doorbell_bytes, queue, pool)
        self.frame_bytes_max = frame_bytes_max
        self.chain_slots_max = min(chain_slots_max, queue.size)
        self._single_bytes = pool.buffer_bytes - NET_HEADER_BYTES  # longest frame that needs no chain
        self._raw = np.zeros(queue.size, np.bool_)  # by buffer id: posted by post_raw
        self._raw_done: list[BufArray] = []
        self._chain_of: dict[int, BufArray] = {}

    # Copying path -------------------------------------------------------------------------------------

    def send(self, frames: Sequence[bytes]) -> int:
        """Post frames from the first on, as many as there is room for; return how many. Needs a kick.

        UsageError, with none posted, for a frame outside 14..frame_bytes_max bytes.
        """
        lens = [len(frame) for frame in frames]
        if not lens:
            return 0
        longest = max(lens)
        if min(lens) < FRAME_BYTES_MIN or longest > self.frame_bytes_max:
            k = next(k for k, n in enumerate(lens) if not FRAME_BYTES_MIN <= n <= self.frame_bytes_max)
            raise UsageError(
                f"queue {self.queue.name}: frame {k} has {lens[k]} bytes, "
                f"not {FRAME_BYTES_MIN}..{self.frame_bytes_max}"
            )
        slots = self.slots_for(longest)
        if slots > self.chain_slots_max:
            raise UsageError(
                f"queue {self.queue.name}: frame {lens.index(longest)} needs a chain of {slots} slots, "
                f"at most {self.chain_slots_max}"
            )
        if self.space() < len(frames):
            self.reap()
        if slots > 1:
            return self._send_mixed(frames)
        n = min(len(frames), self.space())
        if n == 0:
            return 0
        bufs = self.pool.take(n)
        frame_lens = self.pool.fill(bufs, frames[:n], NET_HEADER_BYTES)
        self._buf_of[self.queue.post_batch(self.pool.iovas(bufs), frame_lens + NET_HEADER_BYTES)] = bufs
        return n

    def _send_mixed(self, frames: Sequence[bytes]) -> int:
        """As send when a frame needs a chain of buffers; no part goes where a header must stay zero."""
        room = self._single_bytes
        for k, frame in enumerate(frames):
            parts = [frame[at : at + room] for at in range(0, len(frame), room)]
            if len(parts) > self.space():
                self.reap()
            if len(parts) > self.space():
                return k
            bufs = self.pool.take(len(parts))
            self.pool.fill(bufs, parts, NET_HEADER_BYTES)
            iovas = (self.pool.iovas(bufs) + np.uint64(NET_HEADER_BYTES)).tolist()
            chain = [Segment(iova, len(part), False) for iova, part in zip(iovas, parts, strict=True)]
            chain[0] = Segment(iovas[0] - NET_HEADER_BYTES, NET_HEADER_BYTES + len(parts[0]), False)
            self._chain_of[self.queue.post_chain(chain)] = bufs
        return len(frames)

    def slots_for(self, frame_bytes: int) -> int:
        """Ring slots that `send` takes for a frame of this length."""
        return -(-frame_bytes // self._single_bytes)

    def space(self) -> int:
        """Frames of one buffer each that send would accept without reaping."""
        return min(self.queue.free_slots, self.pool.free_count)

    # Raw path -----------------------------------------------------------------------------------------

    def post_raw(self, bufs: BufArray, frame_lens: int | npt.NDArray[np.uint32]) -> None:
        """Post pool buffers that hold frames at NET_HEADER_BYTES; they come back from reap_raw.

        `frame_lens` is uint32[n], or one length for all. The header before each frame must be zero, as it is
        unless the caller wrote there. UsageError if the ring lacks room. Needs a kick.
        """
        lens = (
            np.zeros(len(bufs), np.uint32) + np.asarray(frame_lens, np.uint32) + np.uint32(NET_HEADER_BYTES)
        )
        ids = self.queue.post_batch(self.pool.iovas(bufs), lens)
        self._buf_of[ids] = bufs
        self._raw[ids] = True

    def reap_raw(self) -> BufArray:
        """Buffers of post_raw whose frames are sent, oldest first; they are the caller's again."""
        self.reap()
        done, self._raw_done = self._raw_done, []
        if len(done) == 1:
            return done[0]
        return np.concatenate(done) if done else NO_BUFS

    # Both ---------------------------------------------------------------------------------------------

    def reap(self) -> int:
        """Take back every completed buffer; return how many frames completed."""
        ids, _ = self.queue.reap_batch()
        if len(ids) == 0:
            return 0
        bufs = self._buf_of[ids]
        self._buf_of[ids] = FOREIGN
        if self._chain_of:
            for buffer_id in ids.tolist():
                chain = self._chain_of.pop(buffer_id, None)
                if chain is not None:
                    self.pool.give(chain)
        raw = self._raw[ids]
        if raw.any():
            self._raw[ids] = False
            self._raw_done.append(bufs[raw])
            bufs = bufs[~raw]
        self.pool.give(bufs[bufs != FOREIGN])
        return len(ids)

    def reset(self) -> None:
        """As NetQueue.reset; buffers that reap_raw has not handed out yet go back to the pool too."""
        super().reset()
        for bufs in (*self._chain_of.values(), *self._raw_done):
            self.pool.give(bufs)
        self._raw[:] = False
        self._raw_done = []
        self._chain_of = {}
