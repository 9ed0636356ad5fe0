# SPDX-License-Identifier: Apache-2.0
"""Two phases: registry, then hardware; whatever fails, nothing is left of either."""

import errno
from random import Random

import pytest

from driver.arbiter.entries import ArbiterError, Entry, EntryFlag, Kind, Request
from driver.arbiter.plan import Plan
from driver.arbiter.registry import Registry

A, PEER, TCP = 0x0A000001, 0x0B000001, 6
LISTENER = Request(1, Kind.LISTENER, TCP, 4, A, 80)


@pytest.fixture
def registry() -> Registry:
    made = Registry(Random(1), host_protocols=())
    made.add_address(4, A)
    return made


def test_commit_arms_everything(registry: Registry) -> None:
    with Plan(registry) as plan:
        one = plan.reserve(LISTENER)
        two = plan.reserve_ephemeral(Request(2, Kind.FLOW, TCP, 4, A, 0, PEER, 9))
        plan.undo(lambda: pytest.fail("undone after commit"))
        assert all(entry.flags == EntryFlag.RESERVED for entry in (one, two))
        armed = plan.commit(software={two.token})
    assert [entry.flags for entry in armed] == [EntryFlag(0), EntryFlag.SOFTWARE]
    assert [registry.get(entry.token) for entry in (one, two)] == armed


@pytest.mark.parametrize("how", ["error", "silence"])
def test_whatever_way_it_ends_without_commit_all_is_undone_backwards(registry: Registry, how: str) -> None:
    steps: list[str] = []
    old = registry.arm(registry.reserve(Request(3, Kind.LISTENER, TCP, 4, A, 81)).token, 3)
    registry.offer(old.token, 3, 1)
    try:
        with Plan(registry) as plan:
            entry = plan.reserve(LISTENER)
            plan.reserve(Request(0, Kind.HOST, TCP, 4, A, 90))
            plan.undo(lambda: steps.append(f"first, {len(registry)} entries"))
            plan.take(old.token, 1)
            plan.undo(lambda: steps.append("second"))
            if how == "error":
                raise OSError("the table of the device is full")
    except OSError:
        assert how == "error"
    assert steps == ["second", "first, 3 entries"]
    assert [(e.token, e.stack, e.flags) for e in registry.entries()] == [(old.token, 3, old.flags)]
    with pytest.raises(ArbiterError):
        registry.get(entry.token)


def test_what_is_reserved_is_taken_for_others_at_once(registry: Registry) -> None:
    with Plan(registry) as plan:
        plan.reserve(LISTENER)
        with pytest.raises(ArbiterError) as caught:
            registry.reserve(Request(2, Kind.LISTENER, TCP, 4, A, 80))
        assert caught.value.errno == errno.EADDRINUSE
    registry.reserve(Request(2, Kind.LISTENER, TCP, 4, A, 80))


def test_a_refused_second_reservation_undoes_the_first(registry: Registry) -> None:
    registry.reserve(Request(0, Kind.HOST, TCP, 4, A, 81))
    before = registry.snapshot()[1]
    with pytest.raises(ArbiterError), Plan(registry) as plan:
        plan.reserve(LISTENER)
        plan.reserve(Request(1, Kind.LISTENER, TCP, 4, A, 81))
    assert registry.snapshot()[1] == before


def test_a_stack_that_ends_meanwhile_cancels_the_plan(registry: Registry) -> None:
    undone: list[Entry] = []
    with Plan(registry) as plan:
        other = plan.reserve(Request(2, Kind.LISTENER, TCP, 4, A, 81))
        plan.reserve(LISTENER)
        plan.undo(lambda: undone.append(other))
        registry.release_stack(1, 0)
        with pytest.raises(ArbiterError) as caught:
            plan.commit()
        assert caught.value.errno == errno.ECANCELED
    assert undone == [other] and len(registry) == 0


def test_a_plan_ends_once(registry: Registry) -> None:
    plan = Plan(registry)
    plan.commit()
    with pytest.raises(ArbiterError) as caught:
        plan.reserve(LISTENER)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(ArbiterError):
        Plan(registry).take(1, 0)
