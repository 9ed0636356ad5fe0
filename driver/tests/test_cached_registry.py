# SPDX-License-Identifier: Apache-2.0
"""The cached registry: readers see whole entries only, and of each port a state that there was."""

import random
from collections.abc import Sequence
from dataclasses import replace
from errno import EADDRINUSE

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from driver.arbiter import registry_view
from driver.arbiter.entries import TCP, UDP, Entry, EntryFlag, Kind, Request
from driver.arbiter.locked import NotConsistent
from driver.arbiter.registry_layout import (
    decode,
    encode,
    size_bytes,
)
from driver.arbiter.registry_page import RegistryPage, class_of
from driver.arbiter.registry_view import RegistryView
from driver.tests.page_model import Watched, plain

u16, u32, u64, u128 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64, 128))
entries = st.builds(
    Entry,
    token=u64,
    stack=u32,
    kind=st.sampled_from(Kind),
    proto=st.integers(0, 255),
    family=st.sampled_from((4, 6)),
    local=st.none() | u128,
    local_port=u16,
    remote=st.none() | u128,
    remote_port=u16,
    flags=st.integers(0, sum(EntryFlag)).map(EntryFlag),
    flow_id=u32,
    generation=u64,
    zone=u32,
)


def pair(capacity: int = 64) -> tuple[RegistryPage, RegistryView]:
    memory = memoryview(bytearray(size_bytes(capacity)))
    page = RegistryPage(memory)
    return page, RegistryView(memory.toreadonly())


@given(entries)
def test_every_entry_survives_the_page(entry: Entry) -> None:
    assert decode(encode(entry)) == entry
    page, view = pair(1)
    page.put(entry)
    assert view.entries_at(entry.proto, entry.local_port).entries == (entry,)
    assert view.generation() == entry.generation


def test_bytes_of_an_entry_are_as_documented() -> None:
    raw = encode(plain(0x0102, 0x1234, 3, flags=EntryFlag.LINGERING, flow_id=0xABCD, generation=0x99, zone=7))
    assert raw.hex(" ", 8) == (
        "0201000000000000 9900000000000000 0100000a00000000 0000000000000000 0200000a00000000 "
        "0000000000000000 cdab000003000000 0700000034128813 0800020604070000"
    )
    raw = raw[:64] + b"\x08\x80" + raw[66:]  # a flag of a later version
    entry = decode(raw)
    assert entry is not None and entry.flags == EntryFlag.LINGERING


def test_holders_are_one_for_each_class_however_many_connections() -> None:
    page, view = pair(300)
    page.put(listener := plain(1, 443, kind=Kind.LISTENER, remote=None, remote_port=0))
    for token in range(2, 200):
        page.put(plain(token, 443, remote_port=token, generation=token))
    page.put(other := plain(200, 443, local=0x0A000009, generation=200))
    found = view.holders(TCP, 443)
    classes = {class_of(entry) for entry in (listener, plain(2, 443), other)}
    assert {class_of(entry) for entry in found.entries} == classes
    assert len(found.entries) == 3 and (found.generation, found.complete) == (200, True)
    assert len(view.entries_at(TCP, 443).entries) == 200
    assert view.lookup(TCP, 4, 0x0A000009, 443).entries == (other,)
    assert view.lookup(TCP, 4, None, 443).entries == ()
    assert view.holders(UDP, 443).entries == ()


def test_decision_from_the_copy_is_the_rule_of_the_registry() -> None:
    page, view = pair()
    page.put(plain(1, 80, kind=Kind.LISTENER, local=None, remote=None, remote_port=0, generation=5))
    wish = Request(stack=0, kind=Kind.HOST, proto=TCP, local=0x0A000001, local_port=80)
    advice = view.would_conflict(wish)
    assert advice.refusal is not None and advice.refusal.errno == EADDRINUSE
    assert (advice.generation, advice.complete) == (5, True)
    assert view.would_conflict(replace(wish, local_port=81)).refusal is None
    assert view.would_conflict(replace(wish, proto=UDP)).refusal is None


def test_what_does_not_fit_is_counted_and_moves_in_later() -> None:
    page, view = pair(2)
    for token in range(1, 5):
        page.put(plain(token, 100 + token, generation=token))
    assert (view.present, view.missing, page.missing) == (2, 2, 2)
    assert view.holders(TCP, 103).complete is False
    page.put(plain(3, 103, flow_id=99, generation=5))
    page.remove(4, 6)
    page.remove(1, 7)
    assert (view.present, view.missing, view.generation()) == (2, 0, 7)
    assert view.holders(TCP, 103).entries == (plain(3, 103, flow_id=99, generation=5),)
    assert view.holders(TCP, 103).complete and view.snapshot().complete


class Source:
    """A registry with a short log."""

    def __init__(self, log: int) -> None:
        self.size, self.generation = log, 0
        self.log: list[tuple[int, Entry | int]] = []
        self.now: dict[int, Entry] = {}

    def change(self, what: Entry | int) -> None:
        self.generation += 1
        if isinstance(what, Entry):
            what = self.now[what.token] = replace(what, generation=self.generation)
        else:
            del self.now[what]
        self.log.append((self.generation, what))

    def changes_since(self, generation: int) -> Sequence[tuple[int, Entry | int]] | None:
        new = [change for change in self.log if change[0] > generation]
        return new if len(new) <= self.size else None

    def snapshot(self) -> tuple[int, list[Entry]]:
        return self.generation, list(self.now.values())


@pytest.mark.parametrize("log", [3, 1000])
def test_page_follows_a_registry_by_its_log_or_by_comparing_all(log: int) -> None:
    rng, source = random.Random(log), Source(log)
    page, view = pair(20)  # too small at times
    for _ in range(200):
        for _ in range(rng.randrange(8)):
            token = rng.randrange(1, 40)
            if token in source.now and rng.random() < 0.5:
                source.change(token)
            else:
                source.change(plain(token, rng.randrange(3), flow_id=rng.getrandbits(32)))
        page.follow(source)
        seen = view.snapshot()
        assert (seen.generation, seen.exact) == (source.generation, True)
        assert set(seen.entries) <= set(source.now.values())
        assert len(seen.entries) + view.missing == len(source.now)
        assert page.follow(source) == 0


def test_of_changes_in_a_row_the_last_is_published() -> None:
    source = Source(100)
    page, view = pair()
    for what in (
        plain(1, 80),
        plain(1, 80, flow_id=8),
        plain(2, 80),
        plain(1, 80, flow_id=9),
        1,
        plain(3, 80),
    ):
        source.change(what)
    generations: list[int] = []
    page.set_generation, plainly = generations.append, page.set_generation  # type: ignore[method-assign,assignment]
    assert page.follow(source) == 6
    assert generations == [2, 3, 5, 6]
    plainly(6)
    assert set(view.snapshot().entries) == set(source.now.values())


def test_while_everything_is_compared_the_generation_stays_behind() -> None:
    source = Source(2)
    page, view = pair(50)
    for token in range(1, 40):
        source.change(plain(token, token % 5))
    page.follow(source)
    for token in range(1, 40, 2):
        source.change(token)
        source.change(plain(token + 100, token % 5))
    numbers: set[int] = set()
    before = view.generation()
    page._words = Watched(page._words, lambda: numbers.add(view.generation()), stores=True)  # type: ignore[assignment]
    assert page.follow(source) == 40
    assert numbers == {before} and view.generation() == source.generation


class Mirror(RuleBasedStateMachine):
    """The page against a dictionary; four ports, few classes, room for eight."""

    def __init__(self) -> None:
        super().__init__()
        self.page, self.view = pair(8)
        self.there: dict[int, Entry] = {}  # in the order in which they came
        self.generation = 0

    @rule(
        token=st.integers(1, 12),
        port=st.integers(1, 4),
        proto=st.sampled_from((TCP, UDP, 47)),
        stack=st.integers(1, 2),
        flags=st.sampled_from((EntryFlag(0), EntryFlag.REUSE, EntryFlag.ESTABLISHED)),
        flow_id=st.integers(0, 3),
    )
    def put(self, token: int, port: int, proto: int, stack: int, flags: EntryFlag, flow_id: int) -> None:
        self.generation += 1
        more = {"proto": proto, "flags": flags, "flow_id": flow_id, "generation": self.generation}
        entry = self.there[token] = plain(token, port, stack, **more)
        self.page.put(entry)

    @rule(token=st.integers(1, 12))
    def remove(self, token: int) -> None:
        self.generation += 1
        self.there.pop(token, None)
        self.page.remove(token, self.generation)

    @invariant()
    def reader_sees_the_same(self) -> None:
        seen = self.view.snapshot()
        visible = set(seen.entries)
        assert visible <= set(self.there.values())
        assert len(visible) == min(8, len(self.there)) == self.view.present == len(seen.entries)
        assert self.view.missing == len(self.there) - len(visible)
        assert (seen.exact, seen.generation) == (True, self.generation)
        for proto in (TCP, UDP, 47):
            for port in range(1, 5):
                here = {e for e in visible if (e.proto, e.local_port) == (proto, port)}
                every = self.view.entries_at(proto, port).entries
                assert set(every) == here and len(every) == len(here)
                classes = [class_of(e) for e in self.view.holders(proto, port).entries]
                assert set(classes) == {class_of(e) for e in here} and len(classes) == len(set(classes))


TestMirror = Mirror.TestCase
TestMirror.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# One store of the writer at a time, with readers in between; one load of a reader at a time.


def random_change(rng: random.Random, page: RegistryPage, there: dict[int, Entry], generation: int) -> None:
    token = rng.randrange(1, 9)
    if token in there and rng.random() < 0.4:
        del there[token]
        page.remove(token, generation)
    else:
        there[token] = plain(token, rng.randrange(1, 3), rng.randrange(1, 3), generation=generation)
        page.put(there[token])


def at_port(there: dict[int, Entry], port: int) -> frozenset[Entry]:
    return frozenset(entry for entry in there.values() if entry.local_port == port)


def test_between_any_two_stores_a_reader_sees_before_or_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_view, "ATTEMPTS", 2)
    rng = random.Random(1)
    page, view = pair(6)
    before: dict[int, Entry] = {}
    after: dict[int, Entry] = {}
    looks: list[str] = []
    generation = 0

    def look() -> None:
        for port in (1, 2):
            try:
                found = view.entries_at(TCP, port)
            except NotConsistent:
                looks.append("busy")
                continue
            if page.missing or view.missing:
                continue  # which of them are in is not told here
            seen, fresh = frozenset(found.entries), found.generation == generation
            assert seen == at_port(after, port) or (seen == at_port(before, port) and not fresh)
            looks.append("whole")

    page._words = Watched(page._words, look, stores=True)  # type: ignore[assignment]
    page._bytes = Watched(page._bytes, look, stores=True)  # type: ignore[assignment]
    for generation in range(1, 400):
        before = dict(after)
        # `after` is filled in by the change before its first store
        random_change(rng, page, after, generation)
    assert looks.count("busy") > 1000 < looks.count("whole")


def test_a_change_at_any_load_of_a_reader_is_seen_or_not_but_never_in_part() -> None:
    rng = random.Random(2)
    page, view = pair(16)
    there: dict[int, Entry] = {}
    states: list[dict[int, Entry]] = [{}]
    countdown = [0]
    generation = 0

    def change() -> None:
        nonlocal generation
        countdown[0] -= 1
        if countdown[0] == 0:
            for _ in range(rng.randrange(1, 4)):
                generation += 1
                random_change(rng, page, there, generation)
                states.append(dict(there))

    view._words = Watched(view._words, change, stores=False)  # type: ignore[assignment]
    view._bytes = Watched(view._bytes, change, stores=False)  # type: ignore[assignment]
    for _ in range(3000):
        del states[:-1]
        countdown[0] = rng.randrange(1, 40)
        port = rng.randrange(1, 3)
        found = view.entries_at(TCP, port)
        assert frozenset(found.entries) in [at_port(state, port) for state in states]
        # Never falsely fresh: what is shown is not older than the generation that goes into the request.
        fresh = [state for state, number in zip(states[::-1], range(generation, -1, -1), strict=False)
                 if number >= found.generation]  # fmt: skip
        assert frozenset(found.entries) in [at_port(state, port) for state in fresh]
    assert view.retries > 100
