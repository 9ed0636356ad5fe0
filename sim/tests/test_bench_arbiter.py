# SPDX-License-Identifier: Apache-2.0
"""What the arbiter's figures are measured on: a registry as full and as mixed as they say."""

from collections import Counter

import pytest

from driver.arbiter.entries import EntryFlag, Kind
from sim import bench_arbiter


def test_the_registry_that_is_measured_is_mixed_and_armed() -> None:
    registry, _ = bench_arbiter.populated(2_000)
    assert len(registry) == 2_000
    kinds = Counter((entry.kind, entry.family, entry.proto) for entry in registry.entries())
    assert all(kinds[Kind.FLOW, family, 6] > 100 and kinds[Kind.FLOW, family, 17] > 100 for family in (4, 6))
    assert kinds[Kind.HOST, 4, 6] > 50 and kinds[Kind.LISTENER, 6, 6] == 4
    assert not any(entry.flags & EntryFlag.RESERVED for entry in registry.entries())


def test_every_timed_step_is_a_new_entry_that_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    original = bench_arbiter.populated
    made = original(2_000)
    monkeypatch.setattr(bench_arbiter, "populated", lambda present: made)
    assert bench_arbiter.reservations_per_s(2_000, timed=100, rounds=2) > 0
    registry, _ = made
    assert len(registry) == 2_000
    # Made, armed and gone: three changes each, 100 entries a round; the lot before took one or two each.
    assert registry.generation - original(2_000)[0].generation == 3 * 100 * 2


def test_memory_grows_with_the_entries() -> None:
    small, large = bench_arbiter.registry_mb(1_000), bench_arbiter.registry_mb(4_000)
    assert 2 * small < large < 8 * small
    assert 100 < large * 1e6 / 4_000 < 2_000  # bytes an entry
