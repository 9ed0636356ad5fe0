# SPDX-License-Identifier: Apache-2.0
"""A registry and the model beside it: every step is done to both, and they must say the same."""

import errno
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from random import Random
from typing import Any

from driver.arbiter.entries import Entry, StaleRequest
from driver.arbiter.ephemeral import PortPolicy, PortRange
from driver.arbiter.registry import Registry
from driver.tests.arbiter.model import FLOW, HOST, LISTENER, PROTOCOL, Item, Model, cover, free_for, refuses
from driver.tests.arbiter.wishes import (
    ANY,
    PLACES,
    PORTS,
    RAW,
    REMOTES,
    STEPS,
    TCP,
    UDP,
    Chooser,
    Dice,
    attempt,
    one,
    random_item,
    request,
    same,
    touches,
)

CROWDS = (4, 8, 24)  # entries beyond which lives release more: few show one rule, many show them together
HISTORY = 12  # states kept for stale requests


class Lives:
    """One registry's life. Each public method is one step."""

    def __init__(self, seed: int, log_size: int = 6) -> None:
        self.policy = PortPolicy(PortRange(1, 3), udp_floor=0)
        self.registry = Registry(Random(seed), policy=self.policy, host_protocols=RAW[1:], log_size=log_size)
        self.model = Model()
        self.model.items.append(Item(0, PROTOCOL, RAW[1], 6, None, 0, 0, flags=frozenset({"DUAL"}), token=1))
        self.now = 0
        self.tokens = [1]  # also of entries that are gone
        self.followed = {entry.token: entry for entry in self.registry.entries()}
        self.at = self.registry.generation
        self.history: list[tuple[int, list[Item]]] = []
        self.outcomes: dict[str, int] = {}  # so that a run can show that it met everything
        for place in PLACES[:4]:
            self.registry.add_address(place[0], place[1] or 0, place[2])
            self.model.addresses.add(place)

    # Steps

    def token(self, choose: Chooser, like: Callable[[Item], bool] | None = None) -> tuple[int, int]:
        """A token, mostly of an entry that exists and is as asked for, and a stack, mostly its owner."""
        items = self.model.items
        if like is not None and choose.below(8):
            items = [item for item in items if like(item)] or items
        if not items or choose.below(20) == 0:
            return one(choose, self.tokens), choose.below(4)
        item = items[choose.below(len(items))]
        return item.token, item.stack if choose.below(15) else choose.below(4)

    def reserve(self, choose: Chooser) -> None:
        item = random_item(choose)
        reopen = item.kind == FLOW and item.proto == TCP and choose.below(2) == 0
        rights = frozenset({"low"}) if choose.below(2) else frozenset[str]()
        wish = request(item, reopen=reopen, rights=rights)
        self.done(
            "reserve", self.model.reserve(item, reopen, bool(rights)), lambda: self.registry.reserve(wish)
        )
        self.adopt(item)

    def reserve_again(self, choose: Chooser) -> None:
        """Ask for the tuple of an entry that exists, or one close to it."""
        if not self.model.items:
            return
        closed = [item for item in self.model.items if "LINGERING" in item.flags]
        items = closed if closed and choose.below(2) else self.model.items
        item = copy(one(choose, items))
        item.flags &= {"REUSE", "DUAL"}
        item.token = 0
        if item.kind not in (HOST, PROTOCOL):
            item.stack = choose.below(3) + 1 if choose.below(4) == 0 else item.stack
        reopen = item.kind == FLOW and item.proto == TCP and choose.below(2) == 0
        wish = request(item, reopen=reopen)
        self.done("again", self.model.reserve(item, reopen), lambda: self.registry.reserve(wish))
        self.adopt(item)

    def beside(self, choose: Chooser) -> None:
        """At the port of a listener or of the host: a connection, another listener, or the host."""
        there = [item for item in self.model.items if item.kind in (LISTENER, HOST)]
        if not there:
            return
        first = one(choose, there)
        item = random_item(choose)
        if item.kind == PROTOCOL:
            return
        item.proto, item.port = first.proto, first.port
        flows = [
            e for e in self.model.items if e.kind == FLOW and (e.proto, e.port) == (item.proto, item.port)
        ]
        if item.kind == FLOW and first.kind == LISTENER:
            item.stack = first.stack
            if first.local is not None and choose.below(2):
                item.family, item.local, item.zone = first.family, first.local, first.zone
                item.remote = REMOTES[first.family]
        elif item.kind == LISTENER and first.local is not None and choose.below(2):
            item.family, item.local, item.zone, item.flags = first.family, None, 0, frozenset({"REUSE"})
        elif item.kind == LISTENER:
            item.flags |= first.flags & {"REUSE"}
        elif item.kind == HOST and flows and choose.below(2):
            item = replace(one(choose, flows), kind=HOST, stack=0, flags=frozenset(), token=0)
            item.remote_port += choose.below(2)
        reopen = item.kind == FLOW and item.proto == TCP and choose.below(2) == 0
        wish = request(item, reopen=reopen)
        self.done("beside", self.model.reserve(item, reopen), lambda: self.registry.reserve(wish))
        self.adopt(item)

    def close_and_reopen(self, choose: Chooser) -> None:
        """A connection under a listener ends; while it lingers the peer comes again."""
        live = [
            e for e in self.model.items if e.kind == FLOW and e.proto == TCP and "LINGERING" not in e.flags
        ]
        under = [e for e in live if (by := cover(self.model.items, e)) and by.stack == e.stack]
        if not under:
            return
        old = one(choose, under)
        token, stack, now = old.token, old.stack, self.now
        if "RESERVED" in old.flags:
            self.done("arm", self.model.arm(token, stack, False), lambda: self.registry.arm(token, stack))
        self.done(
            "ESTABLISHED",
            self.model.mark(token, stack, "ESTABLISHED"),
            lambda: self.registry.establish(token, stack),
        )
        if choose.below(2):
            self.done(
                "offer", self.model.offer(token, stack, 0), lambda: self.registry.offer(token, stack, 0)
            )
        ends = self.model.release(token, stack, now, True)
        self.done("release", ends, lambda: self.registry.release(token, stack, now))
        if choose.below(2):
            self.take(choose, token, 0)  # an offer ends with the release
        item = replace(old, flags=frozenset(), token=0, until=0)
        reopen = choose.below(4) > 0
        wish = request(item, reopen=reopen)
        self.done("again", self.model.reserve(item, reopen), lambda: self.registry.reserve(wish))
        self.adopt(item)

    def reserve_stale(self, choose: Chooser) -> None:
        """A request with an old generation: served if possible now; else refused with the news if it was
        possible then, and without only if it was not."""
        if not self.history:
            return
        generation, items = self.history[choose.below(len(self.history))]
        item = random_item(choose)
        before = refuses(items, item)
        wish = request(item, generation, rights=frozenset({"low"}))
        expected = self.model.reserve(item, right=True)
        error, result = attempt(lambda: self.registry.reserve(wish))
        self.note("stale", error)
        if isinstance(result, StaleRequest):
            assert expected == result.refusal.errno and generation < self.registry.generation
            assert result.news == self.registry.changes_since(generation)
            touched = [change for change in result.news or [] if touches(change.what, item)]
            assert touched or result.news is None
        else:
            assert error == expected
            if error in (errno.EADDRINUSE, errno.EEXIST):
                assert before, f"{wish} was possible at {generation}, refused without the news: {result}"
        self.adopt(item)
        self.check()

    def ephemeral(self, choose: Chooser) -> None:
        item = random_item(choose)
        if item.kind == PROTOCOL:
            return
        self.policy.randomize = choose.below(2) == 0
        error = self.model.admits(item)
        candidates = []
        for port in PORTS:
            item.port = port
            if free_for(self.model.items, item) and (item.proto, port) not in self.model.restricted:
                candidates.append(port)
        if not error and not candidates:
            error = errno.EADDRNOTAVAIL
        item.port = 0
        wish = request(item)
        entry = self.done("ephemeral", error, lambda: self.registry.reserve_ephemeral(wish), check=False)
        if isinstance(entry, Entry):
            assert entry.local_port in candidates
            item.port = entry.local_port
            assert refuses(self.model.items, item) == 0
            self.model.add(item)
            self.adopt(item)
        self.check()

    def arm(self, choose: Chooser) -> None:
        token, stack = self.token(choose, lambda item: "RESERVED" in item.flags)
        software = choose.below(4) == 0
        self.done(
            "arm", self.model.arm(token, stack, software), lambda: self.registry.arm(token, stack, software)
        )

    def cancel(self, choose: Chooser) -> None:
        token, stack = self.token(choose, lambda item: "RESERVED" in item.flags)
        self.done("cancel", self.model.cancel(token, stack), lambda: self.registry.cancel(token, stack))

    def set_software(self, choose: Chooser) -> None:
        token, _ = self.token(choose)
        on = choose.below(2) == 0
        self.done(
            "software", self.model.set_software(token, on), lambda: self.registry.set_software(token, on)
        )

    def mark(self, choose: Chooser) -> None:
        token, stack = self.token(choose, lambda item: item.kind == FLOW)
        names = ["ESTABLISHED", "ESTABLISHED", "HALF_CLOSED", "WITHDRAWN"]
        flag = one(choose, names)
        calls = {
            "ESTABLISHED": self.registry.establish,
            "HALF_CLOSED": self.registry.half_close,
            "WITHDRAWN": self.registry.withdraw,
        }
        self.done(flag, self.model.mark(token, stack, flag), lambda: calls[flag](token, stack))

    def rebind(self, choose: Chooser) -> None:
        token, stack = self.token(choose, lambda item: item.kind == HOST)
        family, local, zone = one(choose, [*PLACES, *ANY])
        to = Item(0, HOST, 0, family, local, zone, 0)
        if local is not None and choose.below(2):
            to.remote, to.remote_port = REMOTES[family] + choose.below(2), 1000
        new: dict[str, Any] = {
            "family": family,
            "local": local,
            "zone": zone,
            "remote": to.remote,
            "remote_port": to.remote_port,
        }
        self.done(
            "rebind",
            self.model.rebind(token, stack, to),
            lambda: self.registry.rebind(token, stack, **new),
        )

    def release(self, choose: Chooser) -> None:
        token, stack = self.token(choose)
        linger = choose.below(5) > 0
        self.done(
            "release",
            self.model.release(token, stack, self.now, linger),
            lambda: self.registry.release(token, stack, self.now, linger),
        )

    def release_stack(self, choose: Chooser) -> None:
        stack, whatever = choose.below(4), choose.below(2) == 0
        expected = self.model.release_stack(stack, self.now, whatever)
        always = (lambda entry: True) if whatever else None
        self.done("end", expected, lambda: self.registry.release_stack(stack, self.now, always))

    def hand_over(self, choose: Chooser) -> None:
        token, stack = self.token(choose, lambda item: item.kind == LISTENER)
        to = choose.below(4) * choose.below(2)
        self.done("offer", self.model.offer(token, stack, to), lambda: self.registry.offer(token, stack, to))
        if choose.below(4):
            self.take(choose, token, to)

    def take(self, choose: Chooser, token: int = 0, to: int = 0) -> None:
        token = token or self.token(choose)[0]
        to = to if choose.below(10) else choose.below(4)
        port = choose.below(4) if choose.below(4) == 0 else 0
        self.done("take", self.model.take(token, to, port), lambda: self.registry.take(token, to, port))

    def pass_time(self, choose: Chooser) -> None:
        self.now += choose.below(20) * 1_000_000_000
        over = self.registry.on_timer(self.now)
        assert {entry.token for entry in over} == self.model.on_timer(self.now)
        self.note("timer over" if over else "timer", 0)
        self.check()

    def interface(self, choose: Chooser) -> None:
        what = choose.below(6) if self.model.attached else 1
        place = one(choose, PLACES)
        address = place[0], place[1] or 0, place[2]
        before = {item.token for item in self.model.items if self.model.away(item)}
        if what == 0:
            was, self.model.attached = self.model.attached, False
            changed = self.done("detach", 0 if was else errno.ENXIO, self.registry.detach, check=False)
        elif what <= 2:
            was, self.model.attached = self.model.attached, True
            changed = self.done("attach", errno.EINVAL if was else 0, self.registry.attach, check=False)
        elif what == 3:
            there = place in self.model.addresses
            self.model.addresses.discard(place)
            error = 0 if there else errno.EADDRNOTAVAIL
            changed = self.done("remove", error, lambda: self.registry.remove_address(*address), check=False)
        else:
            self.model.addresses.add(place)
            changed = self.done("add", 0, lambda: self.registry.add_address(*address), check=False)
        if isinstance(changed, list):
            after = {item.token for item in self.model.items if self.model.away(item)}
            assert {entry.token for entry in changed} == before ^ after
        self.check()

    def restrict(self, choose: Chooser) -> None:
        proto, port = one(choose, [TCP, UDP]), one(choose, PORTS)
        on = choose.below(2) == 0
        self.policy.restrict(proto, port, "low" if on else None)
        (self.model.restricted.add if on else self.model.restricted.discard)((proto, port))

    # Comparing

    def note(self, what: str, error: int) -> None:
        name = f"{what} {errno.errorcode.get(error, 'ok')}"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1

    def done(self, what: str, expected: int, call: Callable[[], object], check: bool = True) -> object:
        error, result = attempt(call)
        self.note(what, error)
        assert error == expected, (
            f"{what}: {errno.errorcode.get(error)}, not {errno.errorcode.get(expected)}: {result}"
        )
        self.last = result
        if check and what not in ("reserve", "again", "beside"):
            self.check()
        return result

    def adopt(self, item: Item) -> None:
        """The entry that was made is the model's newest item, if one was made."""
        if item in self.model.items and not item.token:
            item.token = self.registry._store._tokens
            assert item.token > max(self.tokens)
            self.tokens.append(item.token)
        self.check()

    def check(self) -> None:
        registry, model = self.registry, self.model
        held = {entry.token: entry for entry in registry.entries()}
        assert held.keys() == {item.token for item in model.items}
        for item in model.items:
            entry = held[item.token]
            assert same(entry, item, model.flags(item)), f"{entry!r}\n{item}"
        assert registry.software_now == sum("SOFTWARE" in item.flags for item in model.items)
        assert registry.next_deadline_ns() == model.deadline()
        if registry.generation != self.at:
            self.follow(held)
            now = registry.generation, [copy(item) for item in model.items]
            self.history = [*self.history, now][-HISTORY:]

    def follow(self, held: dict[int, Entry]) -> None:
        """Whoever applies the changes has what the registry has."""
        changes = self.registry.changes_since(self.at)
        if changes is None:
            self.followed = {entry.token: entry for entry in self.registry.snapshot()[1]}
        else:
            for number, change in enumerate(changes, self.at + 1):
                assert change.generation == number
                if isinstance(change.what, int):
                    del self.followed[change.what]
                else:
                    assert change.what.generation == number
                    self.followed[change.what.token] = change.what
        self.at = self.registry.generation
        assert self.followed == held
        ids = [entry.flow_id for entry in held.values() if entry.flow_id]
        assert len(set(ids)) == len(ids)

    def finish(self) -> None:
        """Everything goes; nothing is left behind in any index."""
        for stack in (1, 2, 3):
            self.registry.release_stack(stack, self.now)
        self.registry.on_timer(self.now + 1_000_000_000_000)
        for entry in list(self.registry.entries()):
            self.registry.release(entry.token, entry.stack, self.now)
        records = self.registry._store.records
        left = (records.entries, records.stacks, records.namespaces, records.ports, records.flows)
        assert not any(left) and not records.protocols and not len(self.registry.flow_ids)
        assert not self.registry._former and not self.registry._offers and not len(self.registry._lingers)
        assert self.registry.software_now == 0


def run(seed: int, steps: int) -> Lives:
    """A random life of so many steps; the same for the same seed."""
    lives, dice = Lives(seed), Dice(seed)
    names = [name for name, weight in STEPS for _ in range(weight)]
    for number in range(steps):
        name = names[dice.below(len(names))]
        if len(lives.model.items) > CROWDS[seed % len(CROWDS)] and dice.below(2):
            name = "release"
        try:
            getattr(lives, name)(dice)
        except Exception as error:
            raise AssertionError(f"seed {seed}, step {number}, {name}: {error}") from error
    return lives
