# SPDX-License-Identifier: Apache-2.0
"""What the batch path costs, shown with `pytest -s`; the bound only catches a loop over descriptors."""

import timeit
from collections.abc import Callable

import numpy as np
import pytest

from driver import ring
from driver.descriptors import USED_FLAGS, WRITE
from driver.tests.queue_bench import make


@pytest.mark.parametrize("size", [256, 300, 1024])
@pytest.mark.parametrize("batch", [64, 256])
def test_batch_path(size: int, batch: int, record_property: Callable[[str, object], None]) -> None:
    queue, _ = make(size, device_writes=True)
    addrs = np.arange(batch, dtype=np.uint64) * 2048
    lens = np.full(batch, 2048, np.uint32)

    def use(pos: ring.RingPos) -> None:
        for start, stop, wrap in ring.spans(pos, batch, size):
            queue._flags[start:stop] = USED_FLAGS[wrap] | WRITE

    def cycle() -> None:
        pos = queue.avail
        queue.post_batch(addrs, lens)
        queue.take_kick()
        use(pos)
        assert len(queue.reap_batch()[0]) == batch

    rounds = 200
    whole = min(timeit.repeat(cycle, number=rounds, repeat=5))
    device = min(timeit.repeat(lambda: use(queue.used), number=rounds, repeat=5))
    us_per_frame = (whole - device) / rounds / batch * 1e6
    record_property("us_per_frame", us_per_frame)
    print(f"ring of {size}, batches of {batch}: {us_per_frame:.2f} us a frame to post and reap")
    assert us_per_frame < 10
