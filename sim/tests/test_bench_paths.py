# SPDX-License-Identifier: Apache-2.0
"""The bench of each direction on the real NIC: figures repeat, and a lost frame or a dry ring gives none."""

from dataclasses import asdict
from pathlib import Path

import pytest

from sim import bench_paths
from sim.bench_sides import Case
from sim.fast import FastHarness
from sim.fast_run import FastResult, run_fast

pytestmark = pytest.mark.sim
config = bench_paths.config  # of the programs below
# Two beats of header and frame, a quarter of one for a descriptor; less 1 %, as frames are counted at polls.
BUS_CYCLES = 2.25 * 0.99


def measure(tmp_path: Path, *cases: Case, latency_rounds: int = 0) -> FastResult:
    arguments = {"cases": [asdict(case) for case in cases], "latency_rounds": latency_rounds}
    return run_fast("sim.bench_paths:paths", arguments, folder=tmp_path, log=tmp_path / "run.log")


async def slow_driver(harness: FastHarness) -> float:
    """A driver that comes by too seldom to keep a ring filled."""
    bench_paths.POLL_CYCLES = 2000
    return await bench_paths.path(harness, Case("slow", 60, 1, 0, 2000, 4000), lambda done: None)


async def stray_frame(harness: FastHarness) -> float:
    """A frame that the device drops, among frames that all arrive: only the counters tell of it."""

    def stray(done: int) -> None:
        if not strays and done > 1500:
            strays.append(harness.wire.send([bytes(60)], bad=True))

    strays: list[int] = []
    return await bench_paths.path(harness, Case("stray", 60, 0, 1, 1000, 2000, window=400), stray)


def test_each_direction_gives_a_figure_that_the_bus_allows(tmp_path: Path) -> None:
    result = measure(
        tmp_path,
        Case("tx", 60, 2, 0, 1000, 2000),
        Case("rx", 60, 0, 1, 1000, 2000),
        Case("rx_again", 60, 0, 1, 1000, 2000, window=400),
        Case("both", 1514, 2, 1, 100, 300),
        latency_rounds=3,
    )
    assert result.exit_code == 0, result.message
    seen = result.value
    assert BUS_CYCLES <= seen["tx"] < 8 and BUS_CYCLES <= seen["rx"] < 8
    assert seen["rx_again"] == pytest.approx(seen["rx"], rel=0.01)  # the window is not what limits
    assert 24 <= seen["both"] < 40
    assert 500 < seen["doorbell_to_wire"] < 600 and 500 < seen["wire_to_irq"] < 600


def test_each_way_of_steering_and_segmentation_gives_a_figure(tmp_path: Path) -> None:
    result = measure(
        tmp_path,
        Case("rss", 60, 0, 3, 1000, 2000),
        Case("flows", 60, 0, 3, 1000, 2000, flows=500),
        Case("host", 60, 0, 1, 1000, 2000),  # what the two before set up is gone
        Case("cut", 1514, 1, 0, 450, 900, tso=True),
    )
    assert result.exit_code == 0, result.message
    assert all(BUS_CYCLES <= result.value[name] < 8 for name in ("rss", "flows", "host"))
    assert 24 * 0.99 <= result.value["cut"] < 40


def test_a_dropped_frame_gives_an_error_and_no_figure(tmp_path: Path) -> None:
    result = measure(tmp_path, Case("flood", 60, 0, 1, 1000, 8000, window=4000))
    assert result.exit_code == 1 and result.value is None
    assert "LoopError" in result.message and "lost" in result.message


def test_a_ring_that_runs_dry_gives_an_error_and_no_figure(tmp_path: Path) -> None:
    result = run_fast(f"{__name__}:slow_driver", folder=tmp_path, log=tmp_path / "run.log")
    assert result.exit_code == 1 and "a ring ran down to" in result.message, result.message


def test_a_drop_that_only_the_device_counts_gives_an_error_and_no_figure(tmp_path: Path) -> None:
    result = run_fast(f"{__name__}:stray_frame", folder=tmp_path, log=tmp_path / "run.log")
    assert result.exit_code == 1 and "'rx_drop_bad': 1" in result.message, result.message
