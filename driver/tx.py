# SPDX-License-Identifier: Apache-2.0
"""One transmit queue: frames into pool buffers, buffers onto the ring, completions back.

A buffer holds a virtio_net_hdr and a frame, back to back (VIRTIO 1.2 section 5.1.6.2). The header is all zero
while nothing is asked for; one with a request is zeroed again when its buffer comes back, so that buffers
of the pool always have a clean one.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from driver.bus import Bus
from driver.config import PLAIN, Mode
from driver.errors import UsageError
from driver.netqueue import FOREIGN, NetQueue
from driver.offload import GSO_FRAME_BYTES_MAX, Gso, TxOffload, encode_requests
from driver.pool import BufArray, BufferPool
from driver.virtqueue import PackedQueue, Segment

FRAME_BYTES_MIN = 14  # an Ethernet header
NO_BUFS: BufArray = np.empty(0, np.uint32)
Headers = npt.NDArray[np.uint8]


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
        mode: Mode = PLAIN,
        indirect_over: int = 0,
    ) -> None:
        super().__init__(bus, index, doorbell_bytes, queue, pool, mode)
        self.frame_bytes_max = frame_bytes_max
        self.chain_slots_max = min(chain_slots_max, pool.count)
        self.indirect_over = indirect_over if queue.tables is not None else 0
        self._single_bytes = pool.buffer_bytes - self.header_bytes  # longest frame that needs no chain
        self._raw = np.zeros(queue.size, np.bool_)  # by buffer id: posted by post_raw
        self._raw_done: list[BufArray] = []
        self._chain_of: dict[int, BufArray] = {}
        self._dirty = np.zeros(pool.count, np.bool_)  # by buffer: its header is not zero
        self._dirty_count = 0

    # Copying path -------------------------------------------------------------------------------------

    def send(self, frames: Sequence[bytes]) -> int:
        """Post frames from the first on, as many as there is room for; return how many. Needs a kick.

        UsageError, with none posted, for a frame outside 14..frame_bytes_max bytes.
        """
        return self._send(frames, None, self._check_lengths(frames, self.frame_bytes_max))

    def send_offload(self, frames: Sequence[bytes], offloads: Sequence[TxOffload | None]) -> int:
        """As send, with a request (or None) for each frame. A frame to be segmented has up to 65,550 bytes.

        UsageError, with none posted, for a request that was not negotiated or that points outside its frame.
        """
        if len(offloads) != len(frames):
            raise UsageError(f"queue {self.queue.name}: {len(frames)} frames but {len(offloads)} requests")
        for offload in set(offloads):
            if offload is not None:
                self.mode.check(offload)
        limits = [self._limit(offload) for offload in offloads]
        slots = self._check_lengths(frames, max(limits, default=0))
        for k, (frame, offload, limit) in enumerate(zip(frames, offloads, limits, strict=True)):
            if len(frame) > limit or (
                offload is not None and offload.csum_start + offload.csum_offset + 2 > len(frame)
            ):
                raise UsageError(f"queue {self.queue.name}: frame {k} has {len(frame)} bytes for {offload}")
        return self._send(frames, encode_requests(offloads, self.header_bytes), slots)

    def _limit(self, offload: TxOffload | None) -> int:
        return self.frame_bytes_max if offload is None or offload.gso is Gso.NONE else GSO_FRAME_BYTES_MAX

    def _check_lengths(self, frames: Sequence[bytes], limit: int) -> int:
        """Buffers that the longest frame takes; UsageError if one can never be sent."""
        lens = [len(frame) for frame in frames]
        if not lens:
            return 0
        longest = max(lens)
        if min(lens) < FRAME_BYTES_MIN or longest > limit:
            k = next(k for k, n in enumerate(lens) if not FRAME_BYTES_MIN <= n <= limit)
            raise UsageError(
                f"queue {self.queue.name}: frame {k} has {lens[k]} bytes, not {FRAME_BYTES_MIN}..{limit}"
            )
        slots = self.slots_for(longest)
        if slots > self.chain_slots_max:
            raise UsageError(
                f"queue {self.queue.name}: frame {lens.index(longest)} needs a chain of {slots} slots, "
                f"at most {self.chain_slots_max}"
            )
        return slots

    def _send(self, frames: Sequence[bytes], headers: Headers | None, slots: int) -> int:
        if self.space() < len(frames):
            self.reap()
        if slots > 1:
            return self._send_mixed(frames, headers)
        n = min(len(frames), self.space())
        if n == 0:
            return 0
        bufs = self.pool.take(n)
        frame_lens = self.pool.fill(bufs, frames[:n], self.header_bytes)
        if headers is not None:
            self._write_headers(bufs, headers[:n])
        self._buf_of[self.queue.post_batch(self.pool.iovas(bufs), frame_lens + self.header_bytes)] = bufs
        return n

    def _send_mixed(self, frames: Sequence[bytes], headers: Headers | None) -> int:
        """As _send when a frame needs a chain of buffers; no part goes where a header must stay zero."""
        room = self._single_bytes
        for k, frame in enumerate(frames):
            parts = [frame[at : at + room] for at in range(0, len(frame), room)]
            if not self._fits(len(parts)):
                self.reap()
            if not self._fits(len(parts)):
                return k
            bufs = self.pool.take(len(parts))
            self.pool.fill(bufs, parts, self.header_bytes)
            if headers is not None:
                self._write_headers(bufs[:1], headers[k : k + 1])
            iovas = (self.pool.iovas(bufs) + np.uint64(self.header_bytes)).tolist()
            chain = [Segment(iova, len(part), False) for iova, part in zip(iovas, parts, strict=True)]
            first = iovas[0] - self.header_bytes
            chain[0] = Segment(first, self.header_bytes + len(parts[0]), False)
            post = self.queue.post_indirect if self._indirect(len(parts)) else self.queue.post_chain
            self._chain_of[post(chain)] = bufs
        return len(frames)

    def _indirect(self, parts: int) -> bool:
        """Whether a chain goes through an indirect table: it is long enough and a table is free."""
        tables = self.queue.tables
        return 0 < self.indirect_over < parts and tables is not None and tables.free_count > 0

    def _fits(self, parts: int) -> bool:
        slots = 1 if self._indirect(parts) else parts
        return self.queue.free_slots >= slots and self.pool.free_count >= parts

    def slots_for(self, frame_bytes: int) -> int:
        """Buffers that `send` takes for a frame of this length; without indirect tables ring slots too."""
        return -(-frame_bytes // self._single_bytes)

    def space(self) -> int:
        """Frames of one buffer each that send would accept without reaping."""
        return min(self.queue.free_slots, self.pool.free_count)

    def room(self) -> int:
        """What a wait for room counts: free ring slots; with indirect tables free buffers count too."""
        return self.space() if self.indirect_over else self.queue.free_slots

    def interrupt_for(self, slots: int) -> bool:
        """Ask for an interrupt when so many slots may be free; True if it may have been missed."""
        if self.indirect_over:  # one slot may give back many buffers
            return self.queue.in_flight == 0 or self.queue.interrupt_after(1)
        return self.queue.interrupt_after(slots - self.queue.free_slots)

    # Headers ------------------------------------------------------------------------------------------

    def _write_headers(self, bufs: BufArray, headers: Headers) -> None:
        self.pool.view[bufs, : self.header_bytes] = headers
        self._dirty[bufs] = True
        self._dirty_count += len(bufs)

    def _clean(self, bufs: BufArray) -> None:
        """Zero the headers that carried a request."""
        dirty = bufs[self._dirty[bufs]]
        self.pool.view[dirty, : self.header_bytes] = 0
        self._dirty[dirty] = False
        self._dirty_count -= len(dirty)

    def set_headers(self, bufs: BufArray, offloads: Sequence[TxOffload | None]) -> None:
        """Write the headers of raw buffers; they stay. None: zero, as `give` wants them."""
        for offload in set(offloads):
            if offload is not None:
                self.mode.check(offload)
        self.pool.view[bufs, : self.header_bytes] = encode_requests(offloads, self.header_bytes)

    # Raw path -----------------------------------------------------------------------------------------

    def post_raw(self, bufs: BufArray, frame_lens: int | npt.NDArray[np.uint32]) -> None:
        """Post pool buffers that hold frames at header_bytes; they come back from reap_raw.

        `frame_lens` is uint32[n], or one length for all. The header before each frame is zero unless the
        caller wrote there (set_headers). UsageError if the ring lacks room. Needs a kick.
        """
        lens = (
            np.zeros(len(bufs), np.uint32) + np.asarray(frame_lens, np.uint32) + np.uint32(self.header_bytes)
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
                    self._give(chain)
        raw = self._raw[ids]
        if raw.any():
            self._raw[ids] = False
            self._raw_done.append(bufs[raw])
            bufs = bufs[~raw]
        self._give(bufs[bufs != FOREIGN])
        return len(ids)

    def _give(self, bufs: BufArray) -> None:
        if self._dirty_count:
            self._clean(bufs)
        self.pool.give(bufs)

    def reset(self) -> None:
        """As NetQueue.reset; buffers that reap_raw has not handed out yet go back to the pool too."""
        super().reset()
        for bufs in (*self._chain_of.values(), *self._raw_done):
            self.pool.give(bufs)
        self._clean(np.flatnonzero(self._dirty).astype(np.uint32))
        self._raw[:] = False
        self._raw_done = []
        self._chain_of = {}
