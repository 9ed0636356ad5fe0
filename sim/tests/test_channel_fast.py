# SPDX-License-Identifier: Apache-2.0
"""Stacks in processes of their own on the RTL: traffic, time, death in mid-traffic."""

from pathlib import Path
from typing import Any

import pytest

from sim.bench_channels import measure
from sim.fast_run import run_fast


def run(tmp_path: Path, program: str, **arguments: Any) -> dict[str, Any]:
    name = program if ":" in program else f"sim.tests.channel_program:{program}"
    result = run_fast(name, {"folder": str(tmp_path), **arguments}, folder=tmp_path, log=tmp_path / "run.log")
    assert result.exit_code == 0, result.message + (tmp_path / "run.log").read_text()
    seen: dict[str, Any] = result.value
    return seen


@pytest.mark.sim
def test_a_program_talks_through_the_nic(tmp_path: Path) -> None:
    seen = run(tmp_path, "alone")
    assert seen == {"status": 0, "said": ["256", "True", "Done"], "left": 0, "differences": []}


@pytest.mark.sim
@pytest.mark.parametrize("victim", ["flood", "vandal"])
@pytest.mark.parametrize("times", [2, pytest.param(100, marks=pytest.mark.slow)])
def test_programs_are_killed_in_mid_traffic(tmp_path: Path, victim: str, times: int) -> None:
    """Nothing of them is left, the NIC touches no memory that is gone, another program loses nothing; also
    if they write random bytes into all that they can write.
    """
    seen = run(tmp_path, "killed", victim=victim, times=times)
    assert seen == {
        "status": 0, "said": ["256", "True", "Done"], "killed": times, "left": 0, "differences": []
    }  # fmt: skip


@pytest.mark.sim
def test_a_flow_is_set_up_in_both_ways(tmp_path: Path) -> None:
    """The measuring programs work; what they measure is `tupelo bench`'s business."""
    seen = run(tmp_path, f"{measure.__module__}:{measure.__name__}", count=5)
    assert set(seen) == {"flow_setup_in_process_us", "flow_setup_across_us"} and min(seen.values()) > 0
