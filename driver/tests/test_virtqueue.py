# SPDX-License-Identifier: Apache-2.0
"""PackedQueue against the model's device side: order of writes, notifications, wake-ups, bad devices."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from driver.errors import DeviceError, Fault, QueueQuarantined, UsageError
from driver.tests.model_queue import DESC, DISABLE, ENABLE, DeviceQueue
from driver.tests.queue_bench import make, post
from driver.virtqueue import PackedQueue, Segment

SIZES = [1, 2, 3, 4, 5, 7, 256]


def pump(dev: DeviceQueue, limit: int = 1 << 30, length: int = 0) -> int:
    """Let the device take and use up to `limit` buffers; return how many interrupts that made."""
    fired = 0
    while limit and (buffer := dev.take()):
        fired += dev.use(buffer, length)
        limit -= 1
    return fired


@pytest.mark.parametrize("size", SIZES)
def test_batches_arrive_in_order_across_the_wrap(size: int) -> None:
    queue, dev = make(size, device_writes=True)
    sent = 0
    for round_ in range(8 * size if size < 10 else 12):
        n = 1 + round_ % size
        ids = post(queue, n, first=sent)
        seen = [dev.take() for _ in range(n)]
        assert [b.parts for b in seen if b] == [[(sent + k, 100, True)] for k in range(n)]
        assert [b.buffer_id for b in seen if b] == ids
        for k, buffer in enumerate(seen):
            assert buffer is not None
            dev.use(buffer, k + 1)
        got, lens = queue.reap_batch()
        assert got.tolist() == ids and lens.tolist() == list(range(1, n + 1))
        sent += n


@pytest.mark.parametrize("size", SIZES)
def test_full_then_empty(size: int) -> None:
    queue, dev = make(size)
    post(queue, size)
    assert queue.free_slots == 0
    with pytest.raises(
        UsageError, match=rf"queue q0: 1 slots asked at position 0 \(wrap 0\), 0 of {size} free"
    ):
        post(queue, 1)
    assert not queue.has_used() and queue.reap_batch()[0].size == 0
    pump(dev)
    assert len(queue.reap_batch()[0]) == size == queue.free_slots
    assert queue.reap_batch()[0].size == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 17])
def test_chains_of_every_length_keep_their_segments(size: int) -> None:
    queue, dev = make(size)
    for round_ in range(5 * size):
        n = 1 + round_ % min(size, 16)
        chain = [Segment(1000 * round_ + k, k + 1, device_writes=k >= n // 2) for k in range(n)]
        buffer_id = queue.post_chain(chain)
        buffer = dev.take()
        assert buffer is not None
        assert (buffer.buffer_id, buffer.parts) == (buffer_id, [tuple(s) for s in chain])
        dev.use(buffer, buffer.writable_bytes)
        ids, lens = queue.reap_batch()
        assert ids.tolist() == [buffer_id] and lens.tolist() == [buffer.writable_bytes]
    assert queue.free_slots == size


def test_an_id_that_was_a_chain_is_one_slot_again_in_a_batch() -> None:
    queue, dev = make(8)
    chain = [Segment(k, 1, False) for k in range(3)]
    queue.post_chain(chain)
    pump(dev)
    queue.reap_batch()
    single = post(queue, 1)
    queue.post_chain(chain)
    pump(dev)
    assert queue.reap_batch()[0].tolist()[0] == single[0]
    assert queue.free_slots == 8 and queue.used == queue.avail


class Recorder:
    """Stands in for one column of the ring and notes the order of writes."""

    def __init__(self, column: Any, name: str, log: list[tuple[str, int, int]]) -> None:
        self.column, self.name, self.log = column, name, log

    def __setitem__(self, key: Any, value: Any) -> None:
        self.column[key] = value
        slots = range(*key.indices(len(self.column))) if isinstance(key, slice) else [int(key)]
        self.log.extend((self.name, slot, int(self.column[slot])) for slot in slots)

    def __getitem__(self, key: Any) -> Any:
        return self.column[key]


@pytest.mark.parametrize("lap", [0, 3, 4])
@pytest.mark.parametrize("chained", [False, True])
def test_flags_are_written_last_and_the_first_slot_last_of_all(lap: int, chained: bool) -> None:
    queue, dev = make(5)
    for _ in range(lap):
        post(queue, 1)
        pump(dev)
        queue.reap_batch()
    log: list[tuple[str, int, int]] = []
    for name in ("_addr", "_len", "_id", "_flags"):
        setattr(queue, name, Recorder(getattr(queue, name), name, log))
    if chained:
        queue.post_chain([Segment(k, 1, False) for k in range(4)])
    else:
        post(queue, 4)
    for slot in {slot for _, slot, _ in log}:
        assert [name for name, at, _ in log if at == slot][-1] == "_flags"
    assert log[-1][:2] == ("_flags", lap)
    assert [entry[:2] for entry in log].count(("_flags", lap)) == 1


def test_used_length_counts_only_with_the_write_flag() -> None:
    queue, dev = make(4, device_writes=True)
    post(queue, 2)
    for wrote in (False, True):
        buffer = dev.take()
        assert buffer is not None
        dev.write_used(buffer.buffer_id, 77, wrote)
        dev.step_used(1)
    assert queue.reap_batch()[1].tolist() == [0, 77]


# Doorbells and interrupts -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 256])
def test_a_doorbell_is_wanted_exactly_when_the_event_slot_is_passed(size: int) -> None:
    queue, dev = make(size)
    for round_ in range(6 * size if size < 10 else 20):
        dev.ask(DESC)  # at the next slot: the next post must ring
        n = 1 + round_ % size
        post(queue, n)
        assert queue.take_kick()
        assert not queue.take_kick()  # nothing new
        pump(dev, n - 1)
        dev.ask(DESC)  # at a slot already posted: no ring until the next lap
        pump(dev)
        queue.reap_batch()
        post(queue, 1)
        assert queue.take_kick() == (n == 0)
        pump(dev)
        queue.reap_batch()


def test_doorbells_by_mode() -> None:
    queue, dev = make(8)
    for mode, wanted in ((ENABLE, True), (DISABLE, False), (3, True)):
        dev.ask(mode)
        post(queue, 1)
        assert queue.take_kick() is wanted
    plain, dev = make(8, event_idx=False)
    dev.ask(DESC)  # reserved without EVENT_IDX
    post(plain, 1)
    assert plain.take_kick()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_interrupt_after_n_comes_once_at_the_nth(size: int) -> None:
    queue, dev = make(size)
    for round_ in range(4 * size):
        n = 1 + round_ % size
        post(queue, size)
        assert not queue.interrupt_after(n)
        assert [pump(dev, 1) for _ in range(size)] == [int(k == n - 1) for k in range(size)]
        assert queue.interrupt_after(n)  # already used: told to poll
        queue.reap_batch()


def test_interrupts_on_and_off() -> None:
    queue, dev = make(8)
    post(queue, 8)
    queue.disable_interrupts()
    assert pump(dev, 2) == 0
    assert queue.enable_interrupts()  # two wait already
    assert pump(dev, 2) == 2
    queue.reap_batch()
    assert not queue.enable_interrupts()


def test_without_event_idx_every_used_buffer_interrupts() -> None:
    queue, dev = make(4, event_idx=False)
    post(queue, 4)
    assert not queue.interrupt_after(3)
    assert pump(dev) == 4


def test_interrupt_after_counts_slots_through_chains() -> None:
    queue, dev = make(8)
    for _ in range(2):
        queue.post_chain([Segment(k, 1, False) for k in range(3)])
    assert not queue.interrupt_after(4)
    assert [pump(dev, 1) for _ in range(2)] == [0, 1]
    assert queue.interrupt_after(6) and not queue.interrupt_after(7)


class Hook:
    """Runs the device before and after the driver's write of its event structure."""

    def __init__(self, array: Any, before: Callable[[], None], after: Callable[[], None]) -> None:
        self.array, self.before, self.after = array, before, after

    def __setitem__(self, key: int, value: int) -> None:
        self.before()
        self.array[key] = value
        self.after()


def woken_or_told(size: int, n: int, event_idx: bool, used: tuple[int, ...]) -> bool:
    """Use so many buffers before the event is written, before the second look, and after it."""
    early, between, late = used
    queue, dev = make(size, event_idx=event_idx)
    post(queue, size)
    fired: list[int] = []
    queue.disable_interrupts()
    event = queue._driver_event
    hook = Hook(event, lambda: fired.append(pump(dev, early)), lambda: fired.append(pump(dev, between)))
    queue._driver_event = hook  # type: ignore[assignment]
    told = queue.interrupt_after(n)
    fired.append(pump(dev, late))
    return told or sum(fired) > 0


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("event_idx", [False, True])
def test_no_wake_up_is_lost_at_any_interleaving(size: int, n: int, event_idx: bool) -> None:
    """Buffers become used before, between and after the steps of arming; the driver must poll or be woken."""
    n = min(n, size)
    for used in product(range(n + 1), repeat=3):
        if sum(used) == n:
            assert woken_or_told(size, n, event_idx, used), used


def test_the_lost_wake_up_test_can_fail() -> None:
    """Without the second look, a buffer used just before arming would be slept over."""
    queue, dev = make(2)
    post(queue, 2)
    queue.disable_interrupts()
    assert pump(dev, 1) == 0
    queue._driver_event[0] = DESC << 16 | 1 << 15  # arm at slot 0 and do not look
    assert pump(dev, 1) == 0 and queue.has_used()


# Devices that write nonsense --------------------------------------------------------------------------


def spoiled(
    trick: Callable[[PackedQueue, DeviceQueue], None], good: int = 2
) -> tuple[PackedQueue, DeviceError]:
    """Use `good` buffers well, then play the trick; check that the good ones are delivered first."""
    queue, dev = make(8, device_writes=True)
    post(queue, 6)
    for _ in range(6):
        dev.take()
    for buffer in dev.taken[:good]:
        dev.use(buffer, 10)
    trick(queue, dev)
    if good:
        assert len(queue.reap_batch()[0]) == good
    free, pos = queue.free_slots, queue.used
    with pytest.raises(DeviceError) as caught:
        queue.reap_batch()
    assert (queue.free_slots, queue.used) == (free, pos) and queue.in_flight == 6 - good
    with pytest.raises(QueueQuarantined):
        queue.reap_batch()
    with pytest.raises(QueueQuarantined):
        post(queue, 1)
    return queue, caught.value


@pytest.mark.parametrize("good", [0, 1, 5])
@pytest.mark.parametrize("buffer_id", [8, 0xFFFF])
def test_an_id_never_given(good: int, buffer_id: int) -> None:
    _, error = spoiled(lambda _, dev: dev.write_used(buffer_id, 1, True), good)
    assert (error.fault, error.slot, error.wrap, error.value) == (Fault.UNKNOWN_ID, good, 1, buffer_id)
    assert "queue q0, position" in str(error)


def test_an_id_that_is_free() -> None:
    def trick(queue: PackedQueue, dev: DeviceQueue) -> None:
        dev.write_used(int(np.flatnonzero(~queue._held)[0]), 1, True)

    assert spoiled(trick)[1].fault is Fault.ID_NOT_POSTED


def test_an_id_twice_in_one_batch() -> None:
    queue, dev = make(8, device_writes=True)
    ids = post(queue, 3)
    for _ in range(2):
        dev.write_used(ids[0], 1, True)
        dev.step_used(1)
    assert queue.reap_batch()[0].tolist() == [ids[0]]
    with pytest.raises(DeviceError, match="position 1") as caught:
        queue.reap_batch()
    assert caught.value.fault is Fault.ID_NOT_POSTED


def test_a_length_beyond_the_buffer() -> None:
    def trick(_: PackedQueue, dev: DeviceQueue) -> None:
        dev.write_used(dev.taken[0].buffer_id, 101, True)

    error = spoiled(trick)[1]
    assert (error.fault, error.value, error.bound) == (Fault.LENGTH, 101, 100)


def test_writing_a_read_only_buffer() -> None:
    queue, dev = make(4)
    ids = post(queue, 1)
    dev.write_used(ids[0], 1, True)
    with pytest.raises(DeviceError) as caught:
        queue.reap_batch()
    assert (caught.value.fault, caught.value.bound) == (Fault.LENGTH, 0)


def test_more_used_than_posted() -> None:
    queue, dev = make(4)
    ids = post(queue, 1)
    pump(dev)
    dev.write_used(ids[0], 0, False)
    assert queue.reap_batch()[0].tolist() == ids
    with pytest.raises(DeviceError, match="position 1") as caught:
        queue.reap_batch()
    assert caught.value.fault is Fault.USED_TWICE


@pytest.mark.parametrize("good", [0, 1])
def test_nonsense_while_chains_are_in_flight(good: int) -> None:
    queue, dev = make(8)
    for _ in range(2):
        queue.post_chain([Segment(k, 1, False) for k in range(3)])
    pump(dev, good)
    dev.write_used(999, 0, False)
    assert good == 0 or len(queue.reap_batch()[0]) == good
    with pytest.raises(DeviceError) as caught:
        queue.reap_batch()
    assert (caught.value.fault, caught.value.slot) == (Fault.UNKNOWN_ID, 3 * good)


def test_reset_returns_what_was_in_flight_and_starts_afresh() -> None:
    queue, dev = make(5)
    ids = post(queue, 3)
    assert sorted(queue.reset().tolist()) == sorted(ids)
    assert not queue._memory.any() and queue.free_slots == 5
    fresh = DeviceQueue(dev.memory, 5, dev.desc, dev.driver, dev.device, event_idx=True)
    post(queue, 5)
    assert len([fresh.take() for _ in range(5)]) == 5


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([], "a chain of no segment"),
        ([Segment(0, 0, False)], "segment 0 of the chain out of range"),
        ([Segment(1 << 64, 1, False)], "segment 0 of the chain out of range"),
        ([Segment(0, 1, True), Segment(0, 1, False)], "segment 1 is device-readable after a writable one"),
        ([Segment(0, 1, True)] * 4, "4 slots asked"),
    ],
)
def test_wrong_chains_are_refused_and_change_nothing(segments: list[Segment], message: str) -> None:
    queue, _ = make(3)
    with pytest.raises(UsageError, match=message):
        queue.post_chain(segments)
    assert queue.free_slots == 3 and not queue._memory.any()


def test_wrong_batches_are_refused() -> None:
    queue, _ = make(3)
    with pytest.raises(UsageError, match="buffer 1 of the batch is empty"):
        queue.post_batch(np.zeros(2, np.uint64), np.array([1, 0], np.uint32))
    with pytest.raises(UsageError, match="2 addresses but 1 lengths"):
        queue.post_batch(np.zeros(2, np.uint64), np.array([1], np.uint32))
    with pytest.raises(UsageError, match="interrupt after 4 of 3 slots"):
        queue.interrupt_after(4)
    with pytest.raises(UsageError, match=r"size 32769 not in 1\.\.32768"):
        make(32769)
    assert not queue._memory.any()
