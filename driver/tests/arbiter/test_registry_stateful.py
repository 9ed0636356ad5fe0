# SPDX-License-Identifier: Apache-2.0
"""Random lives of the registry against a list and rules that look at all pairs (model.py)."""

from collections import Counter
from random import SystemRandom

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from driver.tests.arbiter import lives
from driver.tests.arbiter.lives import Lives
from driver.tests.arbiter.wishes import STEPS

CI_LIVES, CI_STEPS = 20, 500
LONG_LIVES, LONG_STEPS = 260, 4_000

# What a run of some length must have met, so that agreement means something.
MET = {
    "reserve": "ok EADDRINUSE EEXIST EADDRNOTAVAIL ENXIO",
    "again": "ok EADDRINUSE EEXIST",
    "beside": "ok EADDRINUSE EEXIST",
    "stale": "ok ESTALE EADDRINUSE EEXIST",
    "ephemeral": "ok EADDRNOTAVAIL",
    "arm": "ok EINVAL EPERM ENOENT",
    "cancel": "ok EINVAL EPERM ENOENT",
    "software": "ok EINVAL ENOENT",
    "ESTABLISHED": "ok EINVAL EPERM",
    "HALF_CLOSED": "ok EINVAL EPERM",
    "WITHDRAWN": "ok EINVAL EPERM",
    "rebind": "ok EADDRINUSE EINVAL",
    "release": "ok EALREADY EPERM ENOENT",
    "end": "ok EINVAL",
    "offer": "ok EINVAL EPERM ENOENT",
    "take": "ok EPERM EINVAL ENOENT EADDRINUSE EEXIST EADDRNOTAVAIL",
    "timer over": "ok",
    "detach": "ok",
    "attach": "ok EINVAL",
    "remove": "ok EADDRNOTAVAIL",
    "add": "ok",
}


def live(first_seed: int, count: int, steps: int) -> None:
    met: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + count):
        life = lives.run(seed, steps)
        met.update(life.outcomes)
        life.finish()
    missing = {f"{step} {outcome}" for step, outcomes in MET.items() for outcome in outcomes.split()} - set(
        met
    )
    assert not missing, f"seed {first_seed}: never met: {missing}"


def test_short_lives_agree_with_the_model() -> None:
    live(1, CI_LIVES, CI_STEPS)


@pytest.mark.slow
def test_a_million_steps_agree_with_the_model() -> None:
    seed = SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    assert LONG_LIVES * LONG_STEPS >= 1_000_000
    live(seed, LONG_LIVES, LONG_STEPS)


class Drawn:
    """Choices that hypothesis makes, and makes smaller when a life fails."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def below(self, bound: int) -> int:
        return self._data.draw(st.integers(0, bound - 1)) if bound > 1 else 0


class RegistryLives(RuleBasedStateMachine):
    """The same steps, chosen by hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Lives(1)

    @rule(name=st.sampled_from([name for name, weight in STEPS for _ in range(weight)]), data=st.data())
    def step(self, name: str, data: st.DataObject) -> None:
        getattr(self.life, name)(Drawn(data))

    def teardown(self) -> None:
        self.life.finish()


RegistryLives.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestRegistryLives = RegistryLives.TestCase
