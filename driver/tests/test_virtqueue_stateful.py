# SPDX-License-Identifier: Apache-2.0
"""PackedQueue under random histories, compared after each step with a model of lists and dicts."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from driver.tests.model_queue import DESC, DISABLE, ENABLE, Buffer
from driver.tests.queue_bench import make
from driver.virtqueue import Segment

Parts = list[tuple[int, int, bool]]


class QueueHistory(RuleBasedStateMachine):
    """The driver posts and reaps, the device takes and uses in any order; nothing is lost or mixed up."""

    @initialize(size=st.sampled_from([1, 2, 3, 4, 5, 7, 9, 33]), event_idx=st.booleans())
    def begin(self, size: int, event_idx: bool) -> None:
        self.queue, self.dev = make(size, device_writes=True, event_idx=event_idx)
        self.held: dict[int, Parts] = {}  # posted and not reaped
        self.to_take: list[int] = []  # ids in the order of posting
        self.used: list[tuple[int, int]] = []  # id and length, used and not reaped
        self.next_addr = 1
        self.owed = False  # an interrupt is due: armed, and the device has not sent one yet
        self.armed_slots = 0

    def parts(self, n: int) -> Parts:
        parts = [(self.next_addr + k, 1 + (self.next_addr + k) % 50, True) for k in range(n)]
        self.next_addr += n
        return parts

    def room(self) -> int:
        return self.queue.size - sum(len(parts) for parts in self.held.values())

    def note(self, buffer_id: int, parts: Parts) -> None:
        assert buffer_id not in self.held
        self.held[buffer_id] = parts
        self.to_take.append(buffer_id)

    @rule(data=st.data())
    def post_batch(self, data: st.DataObject) -> None:
        parts = self.parts(data.draw(st.integers(0, self.room())))
        addrs = np.array([addr for addr, _, _ in parts], np.uint64)
        lens = np.array([length for _, length, _ in parts], np.uint32)
        for buffer_id, part in zip(self.queue.post_batch(addrs, lens).tolist(), parts, strict=True):
            self.note(buffer_id, [part])

    @precondition(lambda self: self.room() > 0)
    @rule(data=st.data())
    def post_chain(self, data: st.DataObject) -> None:
        parts = self.parts(data.draw(st.integers(1, min(self.room(), 16))))
        readable = data.draw(st.integers(0, len(parts)))
        parts = [(addr, length, k >= readable) for k, (addr, length, _) in enumerate(parts)]
        self.note(self.queue.post_chain([Segment(*part) for part in parts]), parts)

    @rule(limit=st.integers(1, 40))
    def device_takes(self, limit: int) -> None:
        for _ in range(min(limit, len(self.to_take))):
            buffer = self.dev.take()
            assert buffer is not None
            expected = self.to_take.pop(0)
            assert (buffer.buffer_id, buffer.parts) == (expected, self.held[expected])
        if not self.to_take:
            assert self.dev.take() is None

    @precondition(lambda self: bool(self.dev.taken))
    @rule(data=st.data(), n=st.integers(1, 8))
    def device_uses(self, data: st.DataObject, n: int) -> None:
        for _ in range(min(n, len(self.dev.taken))):
            buffer: Buffer = self.dev.taken[data.draw(st.integers(0, len(self.dev.taken) - 1))]
            length = data.draw(st.integers(0, buffer.writable_bytes))
            self.used.append((buffer.buffer_id, length))
            if self.dev.use(buffer, length):
                self.owed = False

    @rule(limit=st.one_of(st.none(), st.integers(0, 40)))
    def reap(self, limit: int | None) -> None:
        ids, lens = self.queue.reap_batch(limit)
        n = len(self.used) if limit is None else min(limit, len(self.used))
        assert list(zip(ids.tolist(), lens.tolist(), strict=True)) == self.used[:n]
        del self.used[:n]
        for buffer_id in ids.tolist():
            del self.held[buffer_id]
        self.owed = False  # polling: what was armed no longer matters

    @rule(data=st.data())
    def arm(self, data: st.DataObject) -> None:
        slots = data.draw(st.integers(1, self.queue.size))
        self.owed = not self.queue.interrupt_after(slots)
        self.armed_slots = slots

    @rule()
    def disarm(self) -> None:
        self.queue.disable_interrupts()
        self.owed = False

    @rule(mode=st.sampled_from([ENABLE, DISABLE, DESC]))
    def device_asks(self, mode: int) -> None:
        self.queue.take_kick()
        self.dev.ask(mode)
        waiting = bool(self.to_take)
        kicked = self.queue.take_kick()
        assert not kicked  # nothing was posted since
        assert self.dev.available() == waiting

    @invariant()
    def counts_agree(self) -> None:
        assert self.queue.free_slots == self.room()
        assert self.queue.in_flight == len(self.held)
        assert sorted(self.queue.held_ids().tolist()) == sorted(self.held)
        assert self.queue.has_used() == bool(self.used)

    @invariant()
    def no_interrupt_is_overdue(self) -> None:
        used_slots = sum(len(self.held[buffer_id]) for buffer_id, _ in self.used)
        assert not self.owed or used_slots < self.armed_slots


TestQueueHistory = QueueHistory.TestCase
TestQueueHistory.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
