# SPDX-License-Identifier: Apache-2.0
"""Each fault put into the registry is noticed by the random lives, so their agreement means something."""

import inspect
import re
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import pytest

from driver.arbiter import changes, conflicts, ephemeral, handover, linger, records, registry, store
from driver.tests.arbiter import lives

LIVES, STEPS = 60, 400

# name: (module, function or class.method, text in its source, what stands there instead)
MUTANTS: dict[str, tuple[ModuleType, str, str, str]] = {
    "host ignores wildcard listeners": (conflicts, "_host_here", "(here, anywhere)", "(here,)"),
    "host ignores flows": (conflicts, "_host_here", "not here.flows", "True"),
    "host connection never beside flows": (
        conflicts,
        "_host_here",
        "wish.remote is not None and",
        "False and",
    ),
    "dual host bind ignores IPv4": (conflicts, "_host_anywhere", "state.users4)", "False)"),
    "dual listener does not count for IPv4": (
        records,
        "Records._count",
        "if dual and self._count_place",
        "if False and self._count_place",
    ),
    "dual listener counts in one family": (
        records,
        "Records._count",
        "entry.family == 4 or dual",
        "entry.family == 4",
    ),
    "flow ignores wildcard host": (conflicts, "_flow", "(anywhere, here)", "(here,)"),
    "flow under another's listener": (
        conflicts,
        "_flow",
        "records.entries[token].stack != wish.stack",
        "False",
    ),
    "second flow without a listener": (conflicts, "_flow", "here is not None and here.flows", "False"),
    "wildcard listener decides first": (conflicts, "_flow", "(anywhere, here)", "(here, anywhere)"),
    "duplicates pass": (conflicts, "_duplicate", "token is None", "True"),
    "reopen of a live flow": (conflicts, "_duplicate", "int(entry.flags) & LINGERING", "True"),
    "no reopen": (conflicts, "_duplicate", "wish.reopen", "False"),
    "listener beside the host": (conflicts, "_listener", "if state.hosts:", "if False:"),
    "listener ignores IPv6 users": (conflicts, "_listener", "or state.users6", "or False"),
    "reuse of what is not shared": (conflicts, "_listener", "if state.rigid:", "if False:"),
    "reuse of the same address": (conflicts, "_listener", "and place.listener", "and False"),
    "dual reuse ignores IPv4": (conflicts, "_listener", "if int(wish.flags) & DUAL:", "if False:"),
    "two owners of a protocol": (conflicts, "_protocol", "first.stack != wish.stack", "False"),
    "the same protocol entry twice": (conflicts, "_protocol", "if token is None:", "if True:"),
    "zones do not matter": (
        records,
        "local_zone",
        "what.zone if",
        "0 and what.zone if",
    ),
    "flows do not inherit REUSE": (registry, "Registry.reserve", "int(listener.flags) & REUSE", "0"),
    "reopened entry stays": (registry, "Registry.reserve", "self._forget(self.get(token))", "pass"),
    "accepted flows need the right to the port": (
        registry,
        "Registry.reserve",
        "if listener is None and",
        "if",
    ),
    "restricted ports for all": (registry, "Registry.reserve", "if right is not None:", "if False:"),
    "every refusal is news": (registry, "Registry._refusal", "found.since <= wish.generation", "False"),
    "no refusal is news": (registry, "Registry._refusal", "found.since <= wish.generation", "True"),
    "UDP lingers": (registry, "Registry._release", "entry.proto != TCP", "False"),
    "unarmed flows linger": (registry, "Registry._release", "or flags & RESERVED", ""),
    "lingering flows stay offered": (
        registry,
        "Registry._release",
        "self._withdraw_offer(entry.token)",
        "pass",
    ),
    "linger of twice the time": (linger, "linger_ns", "2 * msl_ns", "4 * msl_ns"),
    "linger ends one too late": (linger, "Lingers.due", "<= now_ns", "< now_ns"),
    "release of another's entry": (store, "Store.owned", "entry.stack != stack", "False"),
    "refused address change is done": (
        registry,
        "Registry.rebind",
        "if found is not None:",
        "if False:",
    ),
    "rebind forgets to release the old": (
        store,
        "Store.move",
        "self.records.remove(entry, generation)",
        "pass",
    ),
    "taken without an offer": (handover, "Handover.take", "self._offers.get(token) != stack", "False"),
    "taken at another port": (handover, "Handover.take", "local_port not in (0, entry.local_port)", "False"),
    "cancel of a taken entry loses it": (handover, "Handover._return", "former is None", "True"),
    "detached entries look bound": (handover, "Handover._away", "not self.attached or", ""),
    "lost address is not noticed": (
        handover,
        "Handover._away",
        "place not in self._addresses",
        "False",
    ),
    "port of the host's given out": (conflicts, "vacant", "not state.hosts and", ""),
    "restricted port given out": (
        ephemeral,
        "PortPolicy.pick",
        "and place not in self._restricted",
        "",
    ),
    "last port of the circle not tried": (
        ephemeral,
        "PortPolicy.pick",
        "start + len(ports)",
        "start + len(ports) - 1",
    ),
    "flow id not given back": (store, "Store.drop", "self.flow_ids.free(entry.flow_id)", "pass"),
    "software counter only rises": (store, "Store._count_software", "else -1", "else 0"),
    "changes one late": (
        changes,
        "ChangeLog.since",
        "range(generation, self.generation)",
        "range(generation + 1, self.generation)",
    ),
    "log forgets that it wrapped": (changes, "ChangeLog.since", "count > len(self._ring)", "False"),
    "a port's news forgotten on release": (
        records,
        "Records._count_place",
        "matters = place.flows == (step > 0)",
        "matters = step < 0",
    ),
}


def mutant(function: FunctionType, old: str, new: str) -> Callable[..., Any]:
    """The same function with a piece of its source exchanged."""
    source = textwrap.dedent(inspect.getsource(function))
    pattern = r"\s+".join(re.escape(word) for word in old.split())
    assert len(re.findall(pattern, source)) == 1, f"{old!r} is not once in {function.__qualname__}"
    space: dict[str, Any] = {}
    exec(re.sub(pattern, lambda _: new, source), function.__globals__, space)
    made: Callable[..., Any] = space[function.__name__]
    return made


def everything() -> None:
    for seed in range(LIVES):
        lives.run(seed, STEPS).finish()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_fault_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, path, old, new = MUTANTS[name]
    owner: Any = module
    *classes, last = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    original = getattr(owner, last)
    changed = mutant(original, old, new)
    users = [owner] if classes else [m for m in MODULES if getattr(m, last, None) is original]
    for user in users:
        monkeypatch.setattr(user, last, changed)
    with pytest.raises((AssertionError, KeyError)):
        everything()


def test_without_a_fault_nothing_is_noticed() -> None:
    everything()


MODULES = (changes, conflicts, ephemeral, handover, linger, records, registry, store)
