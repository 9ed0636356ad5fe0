# SPDX-License-Identifier: Apache-2.0
"""Shares of eight backlogged transmit queues on the whole NIC, in the fast harness: within 2 % each.

SEED=n of the environment repeats a run to the cycle.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from sim.bench_fairness import QUEUES, FairCase, judge
from sim.fast_run import run_fast

BOUND_PERCENT = 2.0
SHORT = {"bytes_each": 1_000_000, "tso_bytes": 5792}
LONG = {"bytes_each": 8_000_000, "tso_bytes": 65_000}
RISING = [1, 1, 2, 2, 4, 4, 8, 8]
# The queue of 60-byte frames has the most: a turn of it is twice as long as what its cache holds. The one
# with jumbo frames has the least: the run is so long that one of them is little more than 1 % of its share.
FALLING = {"name": "falling", "weights": [256, 256, 128, 128, 64, 64, 32, 32], "bytes_each": 3_000_000}
CASES: list[dict[str, Any]] = [
    {"name": "equal"},
    {"name": "rising", "weights": RISING},
    FALLING,
    {"name": "limited", "weights": [8 * w for w in RISING], "rates": {"1": 1.5, "4": 3.0}},
]
LEAST_BYTES_PER_CYCLE = 45.0  # it is the bus for reads that limits, not the scheduler


def check(tmp_path: Path, length: dict[str, int]) -> None:
    """Measure all cases; each queue of each has its share."""
    seed = int(os.environ.get("SEED") or 1)
    print(f"SEED={seed}")
    cases = [
        {**case, **length, "bytes_each": max(length["bytes_each"], case.get("bytes_each", 0))}
        for case in CASES
    ]
    log = tmp_path / "run.log"
    result = run_fast("sim.bench_fairness:fairness", {"cases": cases}, seed=seed, folder=tmp_path, log=log)
    assert result.exit_code == 0, result.message
    print(result.value)
    for name, shares in result.value.items():
        assert shares["worst_percent"] <= BOUND_PERCENT, f"{name}: {shares}"
        assert shares["bytes_per_cycle"] > LEAST_BYTES_PER_CYCLE, f"{name}: {shares}"


@pytest.mark.sim
def test_each_queue_has_its_share(tmp_path: Path) -> None:
    check(tmp_path, SHORT)


@pytest.mark.sim
@pytest.mark.slow
def test_each_queue_has_its_share_with_chains_of_64_kib(tmp_path: Path) -> None:
    check(tmp_path, LONG)


def test_the_judge_knows_weights_and_rates() -> None:
    even = FairCase("even")
    assert judge(even, [500] * QUEUES, 1000) == [1.0] * QUEUES
    assert judge(even, [600, *[500] * 6, 400], 1000) == pytest.approx([1.2, *[1.0] * 6, 0.8])
    limited = FairCase("limited", RISING, rates={"7": 2.0})
    sent = [100, 100, 200, 200, 400, 400, 800, 2200]
    assert judge(limited, sent, 1000) == pytest.approx([*[1.0] * 7, 1.1])
