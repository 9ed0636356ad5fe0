# SPDX-License-Identifier: Apache-2.0
"""BufferPool: frames survive the trip, buffers are neither lost nor given twice."""

import random

import numpy as np
import pytest

from driver.errors import UsageError
from driver.pool import BufferPool
from driver.tests.model import ModelBus


@pytest.mark.parametrize("sizes", [[60] * 9, [1514], [0, 1, 2000, 64, 1], [2036] * 3, []])
def test_fill_and_gather_are_inverse(sizes: list[int]) -> None:
    pool = BufferPool(ModelBus(), 16, 2048)
    rng = random.Random(5)
    frames = [rng.randbytes(size) for size in sizes]
    bufs = pool.take(len(frames))
    lens = pool.fill(bufs, frames, offset_bytes=12)
    assert lens.tolist() == sizes
    assert pool.gather(bufs, lens, offset_bytes=12) == frames
    assert not pool.view[:, :12].any()  # the header's place is left alone


def test_addresses_are_the_buffers_places_in_the_region() -> None:
    bus = ModelBus()
    pool = BufferPool(bus, 3, 100)
    bufs = pool.take(3)
    pool.fill(bufs, [b"a", b"b", b"c"])
    assert [bytes(bus.memory(int(iova), 1)) for iova in pool.iovas(bufs)] == [b"a", b"b", b"c"]
    assert pool.stride_bytes == 128


def test_accounting() -> None:
    bus = ModelBus()
    pool = BufferPool(bus, 4, 64, name="p")
    bufs = pool.take(3)
    assert len(set(bufs.tolist())) == 3 and pool.free_count == 1
    with pytest.raises(UsageError, match="p: 2 buffers asked, 1 of 4 free"):
        pool.take(2)
    pool.give(bufs[:1])
    with pytest.raises(UsageError, match=f"p: buffer {bufs[0]} is not out"):
        pool.give(bufs[:1])
    with pytest.raises(UsageError, match="given back twice at once"):
        pool.give(np.array([bufs[1], bufs[1]], np.uint32))
    with pytest.raises(UsageError, match="p: no buffer 4"):
        pool.give(np.array([4], np.uint32))
    assert sorted(pool.outstanding().tolist()) == sorted(bufs[1:].tolist())
    assert pool.close() == 2 and bus.regions == []


def test_frames_that_do_not_fit_are_refused() -> None:
    pool = BufferPool(ModelBus(), 4, 64)
    bufs = pool.take(2)
    with pytest.raises(UsageError, match="frame of 60 bytes at 12 of 64"):
        pool.fill(bufs, [bytes(60), b""], offset_bytes=12)
    with pytest.raises(UsageError, match="1 frames for 2 buffers"):
        pool.fill(bufs, [b""])
    with pytest.raises(UsageError, match="65 bytes at 0 of 64"):
        pool.gather(bufs, np.array([65, 1], np.uint32))
