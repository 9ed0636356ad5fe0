# SPDX-License-Identifier: Apache-2.0
"""Bounds of the bench, its files and table, and what the measured loop refuses to call a figure."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sim import bench, bench_arbiter, cli

GOOD = {
    "loop60_frames_per_s": 15_000.0,
    "loop1514_frames_per_s": 2_500.0,
    "pins_loop60_frames_per_s": 100.0,
    "loop60_cycles_per_frame": 8.0,
    "fast_vs_bare": 0.6,
    "demo_mb_per_s": 1.0,
    "tx60_cycles_per_frame": 3.0,
    "tx60_1q_cycles_per_frame": 4.0,
    "rx60_cycles_per_frame": 3.0,
    "rx60_1q_cycles_per_frame": 4.0,
    "duplex60_cycles_per_frame": 5.0,
    "tx1514_bytes_per_cycle": 60.0,
    "rx1514_bytes_per_cycle": 60.0,
    "tso64k_bytes_per_cycle": 58.0,
    "steering_16k_to_1": 1.0,
    "doorbell_to_wire_cycles": 540.0,
    "wire_to_irq_cycles": 540.0,
    "fairness_worst_percent": 2.0,
    "arbiter_reservations_per_s": 50_000.0,
    "arbiter_registry_mb": 100.0,
    "flow_setup_in_process_us": 1_000.0,
    "flow_setup_across_us": 2_500.0,
}


def test_figures_at_their_bounds_reach_them() -> None:
    assert bench.missed(GOOD) == []


@pytest.mark.parametrize("name", GOOD)
def test_a_figure_beyond_its_bound_or_not_there_is_missed(name: str) -> None:
    worse = GOOD[name] * (1.02 if bench.BOUNDS[name].at_most else 0.98)
    assert bench.missed({**GOOD, name: worse}) == [name]
    assert bench.missed({k: v for k, v in GOOD.items() if k != name}) == [name]


def test_a_bound_of_a_later_version_is_shown_and_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    later = bench.Bound(3, at_most=True, later=True)
    monkeypatch.setattr(bench, "BOUNDS", {"now": bench.Bound(1), "later": later})
    assert bench.missed({"now": 1.0, "later": 4.0}) == []
    assert bench.missed({"now": 0.5}) == ["now"]
    assert [bench.verdict(later, value) for value in (3.0, 4.0)] == ["yes", "not yet"]
    assert bench.verdict(bench.Bound(1), 0.5) == "NO" and bench.verdict(None, 1.0) == ""


CYCLES = {
    **{name: 3.0 if path["frame_bytes"] == 60 else 24.5 for name, path in bench.PATHS.items()},
    "doorbell_to_wire": 518,
    "wire_to_irq": 521,
}


def test_cycles_become_the_figures_that_the_bounds_name() -> None:
    figures = bench._path_figures(CYCLES)
    assert figures["duplex60_cycles_per_frame"] == 3.0 and figures["wire_to_irq_cycles"] == 521
    assert figures["tx1514_bytes_per_cycle"] == pytest.approx(61.8, abs=0.01)
    assert figures["steering_16k_to_1"] == 1.0 and len(figures) == len(CYCLES) + 1
    assert set(figures) - set(bench.BOUNDS) == {f"steering_{n}_cycles_per_frame" for n in ("1", "16k")}


def test_a_bound_on_a_ratio_holds_to_both_sides() -> None:
    bound = bench.BOUNDS["steering_16k_to_1"]
    assert [bound.holds(value) for value in (0.98, 0.995, 1.005, 1.02)] == [False, True, True, False]
    assert str(bound) == "1 within 0.01"


def measured(harness: str, frames: dict[int, int], quick: bool) -> dict[str, Any]:
    one = {"frames_per_s": 20_000.0, "cycles_per_frame": 5.0, "cycles_per_s": 200_000.0}
    return {str(size): one for size in frames}


@pytest.mark.parametrize(("demo_rate", "status"), [(1.5, 0), (0.5, 1)])
def test_the_command_writes_flat_figures_and_ends_by_the_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_rate: float, status: int
) -> None:
    monkeypatch.setattr(bench, "build_fast", lambda: None)
    monkeypatch.setattr(bench, "build_pins", lambda: None)
    monkeypatch.setattr(bench, "build_bare", lambda: None)
    monkeypatch.setattr(bench, "_loops", measured)
    monkeypatch.setattr(bench, "_paths", lambda quick: CYCLES)
    monkeypatch.setattr(bench, "run_bare", lambda frames, size: {"cycles_per_s": 250_000.0})
    arbiter = {"arbiter_reservations_per_s": 60_000.0, "arbiter_registry_mb": 70.0}
    monkeypatch.setattr(bench_arbiter, "figures", lambda quick: arbiter)
    monkeypatch.setattr(bench, "_fairness", lambda quick: {"fairness_worst_percent": 0.5})
    setup = {"flow_setup_in_process_us": 250.0, "flow_setup_across_us": 900.0}
    monkeypatch.setattr(bench, "_flow_setup", lambda quick: setup)
    monkeypatch.setattr(bench, "_demo", lambda quick: {"demo_mb_per_s": demo_rate})
    out = tmp_path / "b" / "bench.json"
    result = CliRunner().invoke(cli.main, ["bench", "--out", str(out)])
    assert result.exit_code == status, result.output
    figures = json.loads(out.read_text())
    assert all(isinstance(value, float | int) for value in figures.values())
    assert figures["fast_vs_bare"] == 0.8 and figures["pins_loop1514_cycles_per_frame"] == 5.0
    assert set(bench.BOUNDS) <= set(figures)
    assert "at most 8" in result.output
    without = CliRunner().invoke(cli.main, ["bench", "--out", str(out), "--no-bounds", "--json"])
    assert without.exit_code == 0
    assert json.loads(without.stdout[without.stdout.index("{") :]) == figures
