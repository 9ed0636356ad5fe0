# SPDX-License-Identifier: Apache-2.0
"""The cached registry behind the real one: the same entries, and the same answers before anybody asks."""

import random
from errno import EADDRINUSE, EEXIST, ESTALE

import pytest

from driver.arbiter.entries import TCP, UDP, EntryFlag, Kind, Request
from driver.arbiter.registry import Registry
from driver.arbiter.registry_layout import size_bytes
from driver.arbiter.registry_page import RegistryPage
from driver.arbiter.registry_view import RegistryView
from driver.errors import ArbiterError, StaleRequest

A, B, A6 = 0x0A000001, 0x0A000002, 0xFD00 << 112 | 1
SECOND = 1_000_000_000


def make(seed: int) -> tuple[Registry, RegistryPage, RegistryView]:
    registry = Registry(random.Random(seed), log_size=64)
    for family, address in ((4, A), (4, B), (6, A6)):
        registry.add_address(family, address)
    memory = memoryview(bytearray(size_bytes(600)))
    page = RegistryPage(memory)
    page.follow(registry)
    return registry, page, RegistryView(memory.toreadonly())


def wish(rng: random.Random) -> Request:
    """A request of any kind; remote ends hardly ever meet, as the copy says nothing about equal ones."""
    kind = rng.choice((Kind.HOST, Kind.LISTENER, Kind.FLOW, Kind.FLOW))
    family = rng.choice((4, 4, 6))
    local = rng.choice((A, B) if family == 4 else (A6,))
    flags = rng.choice((EntryFlag(0), EntryFlag.REUSE))
    connected = kind is Kind.FLOW or (kind is Kind.HOST and rng.random() < 0.3)
    if not connected and rng.random() < 0.4:
        local = None  # type: ignore[assignment]
        if family == 6 and rng.random() < 0.5:
            flags |= EntryFlag.DUAL
    return Request(
        0 if kind is Kind.HOST else rng.randrange(1, 4),
        kind,
        rng.choice((TCP, UDP)),
        family,
        local,
        rng.randrange(5000, 5004),
        rng.getrandbits(31) | 1 if connected else None,
        rng.randrange(1, 65536) if connected else 0,
        flags,
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_copy_holds_the_same_entries_and_answers_as_the_registry_does(seed: int) -> None:
    print(f"{seed=}")
    rng = random.Random(seed)
    registry, page, view = make(seed)
    refused = agreed = 0
    for step in range(1500):
        now_ns = step * SECOND
        entries = list(registry.entries())
        action = rng.random()
        if action < 0.7 or not entries:
            request = wish(rng)
            advice = view.would_conflict(request)
            assert advice.complete and advice.generation == registry.generation
            try:
                registry.reserve(request)
            except ArbiterError as error:
                if error.errno in (EADDRINUSE, EEXIST):
                    assert advice.refusal is not None and advice.refusal.errno == error.errno, str(error)
                    refused += 1
            else:
                assert advice.refusal is None, advice.refusal
                agreed += 1
        else:
            entry = rng.choice(entries)
            try:
                if action < 0.8:
                    registry.arm(entry.token, entry.stack)
                elif action < 0.85:
                    registry.establish(entry.token, entry.stack)
                elif action < 0.98:
                    registry.release(entry.token, entry.stack, now_ns)
                elif action < 0.99:
                    registry.release_stack(rng.randrange(1, 4), now_ns)
                else:
                    registry.remove_address(4, B)
                    registry.add_address(4, B)
            except ArbiterError:
                pass  # not in the state for it
        registry.on_timer(now_ns)
        page.follow(registry)
        assert view.generation() == registry.generation
        if step % 50 == 0:
            seen = view.snapshot()
            assert seen.exact and seen.complete
            assert set(seen.entries) == set(registry.entries())
    assert refused > 100 < agreed


def test_a_request_carries_the_generation_that_it_was_decided_on() -> None:
    registry, page, view = make(1)
    page.follow(registry)
    mine = Request(1, Kind.LISTENER, TCP, 4, A, 80)
    advice = view.would_conflict(mine)
    assert advice.refusal is None
    registry.reserve(Request(2, Kind.LISTENER, TCP, 4, A, 80))  # somebody else was faster
    with pytest.raises(StaleRequest) as caught:
        registry.reserve(Request(1, Kind.LISTENER, TCP, 4, A, 80, generation=advice.generation))
    assert caught.value.errno == ESTALE and caught.value.news
    page.follow(registry)
    assert view.would_conflict(mine).refusal is not None
