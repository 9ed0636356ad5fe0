# SPDX-License-Identifier: Apache-2.0
"""What a receive and a transmit queue have in common: a ring, its buffers, its doorbell."""

import numpy as np

from driver import ring
from driver.bus import Bus
from driver.config import PLAIN, Mode
from driver.pool import BufferPool
from driver.virtqueue import PackedQueue

FOREIGN = np.uint32(0xFFFFFFFF)  # buffer number of an id that was posted on the ring by somebody else


class NetQueue:
    """One virtqueue of a network device. Posting never rings the doorbell; `kick` does, if it is wanted."""

    def __init__(
        self,
        bus: Bus,
        index: int,
        doorbell_bytes: int,
        queue: PackedQueue,
        pool: BufferPool,
        mode: Mode = PLAIN,
    ) -> None:
        self.index = index  # virtqueue index
        self.queue = queue
        self.pool = pool
        self.mode = mode
        self.header_bytes = mode.header_bytes  # before each frame in a buffer
        self._bus = bus
        self._doorbell_bytes = doorbell_bytes  # BAR offset
        self._buf_of = np.full(queue.size, FOREIGN, np.uint32)  # pool buffer, by buffer id

    async def kick(self) -> bool:
        """Ring the doorbell if the device wants it for what was posted; return whether it was rung."""
        if not self.queue.take_kick():
            return False
        if (
            self.mode.notification_data
        ):  # VIRTIO 1.2 sections 2.9 and 4.1.5.2.1: where the next slot is filled
            data = ring.encode_off_wrap(self.queue.avail) << 16 | self.index
            await self._bus.write(self._doorbell_bytes, data)
        else:
            await self._bus.write(self._doorbell_bytes, self.index, 2)  # section 4.1.5.2
        return True

    def reset(self) -> None:
        """Take every buffer back from the device, which must be off the queue; start with an empty ring."""
        bufs = self._buf_of[self.queue.reset()]
        self._buf_of[:] = FOREIGN
        self.pool.give(bufs[bufs != FOREIGN])
