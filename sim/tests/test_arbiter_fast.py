# SPDX-License-Identifier: Apache-2.0
"""The arbiter and the NIC's RTL together: sharing, hand-over, death in mid-traffic, random lives; SEED=n
repeats.
"""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sim.fast_run import run_fast

SEED = int(os.environ.get("SEED") or 1)


def run(tmp_path: Path, program: str, **arguments: int) -> dict[str, Any]:
    print(f"SEED={SEED} {program} {arguments}")
    name = f"sim.tests.arbiter_program:{program}"
    result = run_fast(name, arguments, seed=SEED, folder=tmp_path, log=tmp_path / "run.log")
    assert result.exit_code == 0, result.message
    seen: dict[str, Any] = result.value
    return seen


@pytest.mark.sim
def test_two_stacks_and_the_host_share_an_address(tmp_path: Path) -> None:
    seen = run(tmp_path, "sharing")
    assert seen == {
        "stolen": errno.EADDRINUSE,
        "received": {"one": 2, "two": 1, "host": 1},
        "sent": [22, 80, 81],  # 81 of the first and 22 of the second stay inside
        "after": {"one": 0, "two": 1},
        "differences": [],
    }


@pytest.mark.sim
def test_a_stack_dies_under_load(tmp_path: Path) -> None:
    seen = run(tmp_path, "killed")
    assert seen == {
        "freed": True,
        "two": 400,
        "probes": 1,
        "resets": [["R", 4711]],
        "bad_messages": 0,
        "taken": "Granted",
        "differences": [],
    }


@pytest.mark.sim
@pytest.mark.parametrize("steps", [1_500, pytest.param(1_000_000, marks=pytest.mark.slow, id="million")])
def test_random_lives(tmp_path: Path, steps: int) -> None:
    seen = run(tmp_path, "lives", steps=steps, seed=SEED, every=100 if steps < 10_000 else 2_000)
    assert seen["problems"] == []
    assert seen["wrong"] == 0 and seen["frames"] > 100
    assert set(seen["done"]) >= {
        "attach",
        "vanish",
        "suspend",
        "resume",
        "Listen",
        "Connect",
        "Take",
        "Offer",
    }
