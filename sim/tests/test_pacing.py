# SPDX-License-Identifier: Apache-2.0
"""How simulated time and wall time go together while programs are there."""

import random
from typing import Any

import pytest

from sim.pacing import PATIENCE_NS, SLICE_NS, Hold, Pacing, Run

MS = 1_000_000
QUIET: dict[str, Any] = {"quiet": True, "at_work": False, "wanted_ns": None, "kept_ns": None}


def test_while_something_moves_time_goes_on_in_slices() -> None:
    pacing = Pacing()
    for at_work in (True, False):
        assert pacing.next(5, 0, quiet=False, at_work=at_work, wanted_ns=None, kept_ns=None) == Run(SLICE_NS)
        assert pacing.next(5, 0, quiet=False, at_work=at_work, wanted_ns=9, kept_ns=7) == Run(2)
        assert pacing.next(5, 0, quiet=False, at_work=at_work, wanted_ns=MS, kept_ns=None) == Run(SLICE_NS)


def test_with_nothing_to_wait_for_time_stands_still() -> None:
    """For hours of wall time, whether a program is awake or not."""
    pacing = Pacing()
    for wall_ns in (0, 1, 3_600_000 * MS):
        assert pacing.next(5, wall_ns, **QUIET) == Hold(None)
        assert pacing.next(5, wall_ns, **{**QUIET, "at_work": True}) == Hold(None)


def test_all_asleep_jumps_to_the_first_deadline() -> None:
    pacing = Pacing()
    assert pacing.next(5, 0, quiet=True, at_work=False, wanted_ns=60_000 * MS, kept_ns=None) == Run(
        60_000 * MS - 5
    )
    assert pacing.next(5, 0, quiet=True, at_work=False, wanted_ns=60_000 * MS, kept_ns=9) == Run(4)
    assert pacing.next(5, 0, quiet=True, at_work=False, wanted_ns=5, kept_ns=None) == Run(1)


def test_nobody_waits_for_the_arbiters_own_timers() -> None:
    """They come at the pace of the wall clock: an hour of nothing does not end in no time at all."""
    pacing = Pacing()
    assert pacing.next(0, 0, **{**QUIET, "kept_ns": 7 * MS}) == Hold(PATIENCE_NS + 7 * MS)
    assert pacing.next(0, 5 * MS, **{**QUIET, "kept_ns": 7 * MS}) == Hold(PATIENCE_NS + 2 * MS)
    assert pacing.next(0, PATIENCE_NS + 7 * MS, **{**QUIET, "kept_ns": 7 * MS}) == Run(7 * MS)


def test_a_program_that_computes_has_patience_and_then_the_pace_of_the_wall() -> None:
    pacing, awake = Pacing(), {**QUIET, "at_work": True, "wanted_ns": 50 * MS}
    assert pacing.next(0, 100, **awake) == Hold(PATIENCE_NS + 50 * MS)
    # Wall time that goes by while something moves does not count, simulated time does.
    assert pacing.next(0, 100 + 10 * MS, **{**awake, "quiet": False}) == Run(SLICE_NS)
    assert pacing.next(SLICE_NS, 9_000 * MS, **awake) == Hold(PATIENCE_NS + 40 * MS - SLICE_NS)
    # It goes to sleep: no need to wait.
    assert pacing.next(SLICE_NS, 9_001 * MS, **{**awake, "at_work": False}) == Run(50 * MS - SLICE_NS)
    # And the next deadline has its own patience.
    assert pacing.next(50 * MS, 9_001 * MS, **{**awake, "wanted_ns": 60 * MS}) == Hold(PATIENCE_NS + 10 * MS)


@pytest.mark.parametrize("seed", range(5))
def test_nobody_can_stop_time(seed: int) -> None:
    """A program that is awake for ever and acts as often as it likes delays a deadline by wall time that is
    bounded: that of the deadline, and the patience, beside what the simulation itself takes.
    """
    rng = random.Random(seed)
    pacing, now_ns, wall_ns, held_ns = Pacing(), 0, 0, 0
    deadline_ns = 200 * MS
    while now_ns < deadline_ns:
        quiet = rng.random() < 0.9
        step = pacing.next(now_ns, wall_ns, quiet=quiet, at_work=True, wanted_ns=deadline_ns, kept_ns=None)
        if isinstance(step, Run):
            now_ns += step.for_ns
            wall_ns += rng.randint(1, MS)
        else:
            assert quiet and step.wall_ns is not None
            slept_ns = rng.randint(1, min(step.wall_ns, 3 * MS))  # the program acts before it is over
            wall_ns, held_ns = wall_ns + slept_ns, held_ns + slept_ns
        assert held_ns <= deadline_ns + PATIENCE_NS
    assert now_ns == deadline_ns
