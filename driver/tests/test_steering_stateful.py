# SPDX-License-Identifier: Apache-2.0
"""Random lives of a flow table against a dictionary; full tables against a matching that tries all."""

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from driver.cuckoo import WAYS, Placement
from driver.errors import StaleHandle, TableFull
from driver.steering import TO_DROP, TO_HOST, Action, FlowKey, Found, Handle, Steering, to_queue
from driver.tests.model import run
from driver.tests.model_blocks import BlocksBus, flow_key

SLOTS = 32
ACTIONS = [TO_HOST, TO_DROP, *(to_queue(pair) for pair in range(4))]


def key_of(number: int) -> FlowKey:
    return FlowKey.of(6, f"10.0.0.{number % 4}", 80, f"10.1.{number // 4}.7", 1000 + number)


class FlowLives(RuleBasedStateMachine):
    """Insert, redirect, delete, count, rebuild; at each write the device finds what the dictionary says."""

    def __init__(self) -> None:
        super().__init__()
        self.bus = BlocksBus(SLOTS, 8)
        self.steering = run(Steering.attach(self.bus, state=Found.EMPTY))
        self.live: dict[FlowKey, tuple[Handle[FlowKey], Action]] = {}
        self.gone: list[Handle[FlowKey]] = []
        self.hits: dict[FlowKey, int] = {}

    def found(self, key: FlowKey) -> tuple[int, int] | None:
        raw = flow_key(6, False, int(key.local), key.local_port, int(key.remote), key.remote_port)
        slot = self.bus.blocks.flows.lookup(raw)
        return None if slot is None else (slot.target, slot.pair)

    def all_found(self, but: FlowKey | None = None) -> None:
        for key, (_, action) in self.live.items():
            assert key == but or self.found(key) == (action.target, action.pair)

    @rule(number=st.integers(0, 60), action=st.sampled_from(ACTIONS))
    def insert(self, number: int, action: Action) -> None:
        key = key_of(number)
        if key in self.live:
            return
        self.bus.after_write = self.all_found
        try:
            handle = run(self.steering.flows.insert(key, action))
        except TableFull:
            assert len(self.live) >= SLOTS // 2
            return
        finally:
            self.bus.after_write = lambda: None
        self.live[key] = handle, action
        self.hits[key] = 0

    @precondition(lambda self: self.live)
    @rule(data=st.data(), action=st.sampled_from(ACTIONS))
    def redirect(self, data: st.DataObject, action: Action) -> None:
        key = data.draw(st.sampled_from(list(self.live)))
        handle, old = self.live[key]

        def either() -> None:
            self.all_found(but=key)
            assert self.found(key) in ((old.target, old.pair), (action.target, action.pair))

        self.bus.after_write = either
        run(self.steering.flows.redirect(handle, action))
        self.bus.after_write = lambda: None
        self.live[key] = handle, action

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(list(self.live)))
        handle, _ = self.live.pop(key)
        run(self.steering.flows.delete(handle))
        self.gone.append(handle)
        assert self.found(key) is None

    @precondition(lambda self: self.live)
    @rule(data=st.data(), frames=st.integers(1, 5))
    def frames(self, data: st.DataObject, frames: int) -> None:
        key = data.draw(st.sampled_from(list(self.live)))
        handle, _ = self.live[key]
        self.bus.blocks.flows.hits[handle.id] += frames
        self.hits[key] += frames
        assert run(self.steering.flows.hits(handle)) == self.hits[key]

    @rule()
    def rebuild(self) -> None:
        assert run(self.steering.flows.rebuild()).cleared == 0
        self.gone.clear()  # what was deleted before is not known to a new driver

    @invariant()
    def picture_and_device_agree(self) -> None:
        self.all_found()
        assert {entry.key for entry in self.steering.flows} == set(self.live)
        assert len(self.bus.blocks.flows.slots) == len(self.live)
        for handle in self.gone[-3:]:
            try:
                self.steering.flows.get(handle)
            except StaleHandle:
                continue
            raise AssertionError(f"{handle} is not stale")


FlowLives.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestFlowLives = FlowLives.TestCase


def can_be_placed(entries: list[tuple[int, int]], slots: int) -> bool:
    """Whether all entries fit, by bipartite matching of entries and slots."""
    owner: dict[int, int] = {}

    def place(entry: int, tried: set[int]) -> bool:
        for slot in (s for first in entries[entry] for s in range(first, first + WAYS)):
            if slot not in tried:
                tried.add(slot)
                if slot not in owner or place(owner[slot], tried):
                    owner[slot] = entry
                    return True
        return False

    return all(place(entry, set()) for entry in range(len(entries)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1 << 32), capacity=st.sampled_from([8, 16, 32]), skew=st.booleans())
def test_full_means_that_no_arrangement_exists(seed: int, capacity: int, skew: bool) -> None:
    rng = random.Random(seed)
    placement = Placement(capacity)
    where: dict[int, int] = {}
    entries: list[tuple[int, int]] = []
    for entry in range(capacity + 1):
        choices = placement.choices(rng.getrandbits(64) if not skew else rng.choice([0, rng.getrandbits(64)]))
        plan = placement.plan(choices)
        assert (plan is not None) == can_be_placed([*entries, choices], capacity)
        if plan is None:
            break
        for move in plan.moves:
            assert placement.owner(move.target) is None and where[move.entry] == move.source
            placement.move(move)
            where[move.entry] = move.target
        assert placement.owner(plan.slot) is None
        placement.put(entry, plan.slot, choices)
        where[entry] = plan.slot
        entries.append(choices)
    for entry, slot in where.items():
        assert slot - slot % WAYS in entries[entry]
    assert len(set(where.values())) == len(where)
