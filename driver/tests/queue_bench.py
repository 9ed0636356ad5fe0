# SPDX-License-Identifier: Apache-2.0
"""A PackedQueue and the model's device side over the same memory."""

import numpy as np

from driver.bus import DmaRegion
from driver.tests.model_queue import DeviceQueue
from driver.virtqueue import PackedQueue

IOVA = 0x7000_0000


def make(
    size: int, *, device_writes: bool = False, event_idx: bool = True
) -> tuple[PackedQueue, DeviceQueue]:
    region = DmaRegion(IOVA, np.zeros(PackedQueue.region_bytes(size), np.uint8))

    def memory(iova: int, n: int) -> memoryview:
        assert iova >= IOVA and iova + n <= IOVA + region.size_bytes
        return region.view[iova - IOVA : iova - IOVA + n].data

    queue = PackedQueue(region, size, "q0", device_writes=device_writes, event_idx=event_idx)
    areas = (queue.desc_iova, queue.driver_iova, queue.device_iova)
    return queue, DeviceQueue(memory, size, *areas, event_idx=event_idx)


def post(queue: PackedQueue, n: int, first: int = 0) -> list[int]:
    """Post n buffers of 100 bytes at addresses first, first + 1, ...; return the ids."""
    addrs = np.arange(first, first + n, dtype=np.uint64)
    ids: list[int] = queue.post_batch(addrs, np.full(n, 100, np.uint32)).tolist()
    return ids
