# SPDX-License-Identifier: Apache-2.0
"""`tupelo bench` outside the simulator: run every measurement, hold each against its bound, keep them all."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sim import bench_arbiter, demo
from sim.build import SimulationFailed
from sim.build_flags import build_root
from sim.fast_build import build_bare, build_fast, run_bare
from sim.job import Values
from sim.launch import build_pins, in_fast, in_pins
from sim.report import bar, number, print_table, step

Figures = dict[str, float]
SIZES = (60, 1514)
FAST_FRAMES = {60: 400_000, 1514: 60_000}
PINS_FRAMES = {60: 10_000, 1514: 2_000}
# Frames under way at a time. The memory of the pins harness takes less than a full wire brings: with more,
# the frame FIFO of 512 beats would drop, as it should.
WINDOWS = {"fast": {60: 1024, 1514: 1024}, "pins": {60: 400, 1514: 20}}
WARM_UP_FRAMES = {"fast": 4_000, "pins": 1_000}
# Each direction alone, in cycles: name -> what differs from a plain bench_sides.Case
PATHS: Mapping[str, Mapping[str, Any]] = {
    "tx60": {"frame_bytes": 60, "tx_queues": 4},
    "tx60_1q": {"frame_bytes": 60, "tx_queues": 1},
    "rx60": {"frame_bytes": 60, "rx_queues": 4},
    "rx60_1q": {"frame_bytes": 60, "rx_queues": 1},
    "duplex60": {"frame_bytes": 60, "tx_queues": 4, "rx_queues": 1},
    "tx1514": {"frame_bytes": 1514, "tx_queues": 4},
    "rx1514": {"frame_bytes": 1514, "rx_queues": 1},
    "tso64k": {"frame_bytes": 1514, "tx_queues": 1, "tso": True},
    "steering_1": {"frame_bytes": 60, "rx_queues": 1, "flows": 1},
    "steering_16k": {"frame_bytes": 60, "rx_queues": 1, "flows": 16_384},
}
PATH_FRAMES = {60: 40_000, 1514: 8_000}
PATH_WARM_UP = {60: 4_000, 1514: 1_000}
LATENCY_ROUNDS = 16
# Shares of eight transmit queues: what differs from a plain bench_fairness.FairCase
FAIRNESS: tuple[Mapping[str, Any], ...] = (
    {"name": "equal"},
    {"name": "rising", "weights": (1, 1, 2, 2, 4, 4, 8, 8)},
    # Of 60-byte frames, a turn is twice what a cache holds. A jumbo frame is 1 % of the last queue's.
    {"name": "falling", "weights": (256, 256, 128, 128, 64, 64, 32, 32), "bytes_each": 3_000_000},
)
FAIRNESS_LENGTH = {"bytes_each": 2_000_000, "tso_bytes": 14_480}
FAIRNESS_QUICK = {
    "bytes_each": 1_000_000,
    "tso_bytes": 5_792,
}  # shorter chains: they are what a share is made of
RATIO_ROUNDS = 5  # fast harness and bare main by turns; the median of each
DEMO_BYTES = 4 << 20
FLOW_SETUPS = 200  # connections
QUICK = 10


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must reach."""

    limit: float
    at_most: bool = False
    within: float = 0  # if not 0: at most so far from the limit, either way
    later: bool = False  # asked for, but not of this version: shown, and no failure

    def holds(self, value: float) -> bool:
        if self.within:
            return abs(value - self.limit) <= self.within
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        if self.within:
            return f"{number(self.limit)} within {number(self.within)}"
        return f"{'at most' if self.at_most else 'at least'} {number(self.limit)}"


BOUNDS: Mapping[str, Bound] = {
    "loop60_frames_per_s": Bound(15_000),
    "loop1514_frames_per_s": Bound(2_500),
    "pins_loop60_frames_per_s": Bound(100),
    "loop60_cycles_per_frame": Bound(8, at_most=True),
    "fast_vs_bare": Bound(0.6),
    "demo_mb_per_s": Bound(1),
    "tx60_cycles_per_frame": Bound(3, at_most=True),
    "tx60_1q_cycles_per_frame": Bound(4, at_most=True),
    "rx60_cycles_per_frame": Bound(3, at_most=True),
    "rx60_1q_cycles_per_frame": Bound(4, at_most=True),
    "duplex60_cycles_per_frame": Bound(5, at_most=True),
    "tx1514_bytes_per_cycle": Bound(60),
    "rx1514_bytes_per_cycle": Bound(60),
    "tso64k_bytes_per_cycle": Bound(58),
    "fairness_worst_percent": Bound(2, at_most=True),
    "steering_16k_to_1": Bound(1, within=0.01),  # cycles a frame over 16,384 flows and over one
    "doorbell_to_wire_cycles": Bound(540, at_most=True),  # two memory round trips of 250 and 40
    "wire_to_irq_cycles": Bound(540, at_most=True),
    "arbiter_reservations_per_s": Bound(50_000),
    "arbiter_registry_mb": Bound(100, at_most=True),
    "flow_setup_in_process_us": Bound(1_000, at_most=True),
    "flow_setup_across_us": Bound(2_500, at_most=True),
}


def _loops(harness: str, frames: Mapping[int, int], quick: bool) -> dict[str, Any]:
    """One simulator run with a loop of each size; return its figures by size."""
    divide = QUICK if quick else 1
    warm_up = WARM_UP_FRAMES[harness] // divide
    sizes = [[size, count // divide, WINDOWS[harness][size]] for size, count in frames.items()]
    arguments = {"sizes": sizes, "warm_up": warm_up}
    folder = build_root() / "bench" / harness
    total = sum(count + warm_up for _, count, _ in sizes)
    with bar(f"bench {harness}", total) as shown:

        def show(values: Values) -> None:
            shown.update(values["frames"], total, f"{values['frames']:,} frames")

        if harness == "fast":
            return in_fast("sim.bench_sim:loops", arguments, folder, show)
        return in_pins("sim.bench_pins", arguments, folder, show)


def _loop_figures(prefix: str, result: Mapping[str, Any]) -> Figures:
    figures: Figures = {}
    for size in SIZES:
        figures[f"{prefix}loop{size}_frames_per_s"] = result[str(size)]["frames_per_s"]
        figures[f"{prefix}loop{size}_cycles_per_frame"] = result[str(size)]["cycles_per_frame"]
    return figures


def _ratio(quick: bool) -> Figures:
    """Cycles a second with and without Python, by turns so that both meet the same machine."""
    rounds = 1 if quick else RATIO_ROUNDS
    frames = {60: FAST_FRAMES[60]}
    fast: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        fast.append(_loops("fast", frames, quick)["60"]["cycles_per_s"])
        bare.append(run_bare(frames[60] // (QUICK if quick else 1), 60)["cycles_per_s"])
    return {
        "fast_cycles_per_s": median(fast),
        "bare_cycles_per_s": median(bare),
        "fast_vs_bare": median(fast) / median(bare),
    }


def _paths(quick: bool) -> dict[str, float]:
    """One simulator run over PATHS and the latencies: cycles by name."""
    divide = QUICK if quick else 1
    cases: list[dict[str, Any]] = [
        {
            **special,
            "name": name,
            "flows": -(-special.get("flows", 0) // divide),
            "warm_up": PATH_WARM_UP[special["frame_bytes"]],
            "count": PATH_FRAMES[special["frame_bytes"]] // divide,
        }
        for name, special in PATHS.items()
    ]
    total = sum(case["count"] + case["warm_up"] for case in cases)
    arguments = {"cases": cases, "latency_rounds": LATENCY_ROUNDS}
    with bar("bench paths", total) as shown:

        def show(values: Values) -> None:
            shown.update(values["frames"], total, f"{values['frames']:,} frames")

        return in_fast("sim.bench_paths:paths", arguments, build_root() / "bench" / "paths", show)


def _path_figures(cycles: Mapping[str, float]) -> Figures:
    figures: Figures = {}
    for name, special in PATHS.items():
        if (size := special["frame_bytes"]) == 60:
            figures[f"{name}_cycles_per_frame"] = cycles[name]
        else:
            figures[f"{name}_bytes_per_cycle"] = size / cycles[name]
    figures["steering_16k_to_1"] = cycles["steering_16k"] / cycles["steering_1"]
    return figures | {f"{name}_cycles": cycles[name] for name in ("doorbell_to_wire", "wire_to_irq")}


def _fairness(quick: bool) -> Figures:
    """One simulator run over FAIRNESS: the largest deviation of a queue from its share in any of them."""
    length = FAIRNESS_QUICK if quick else FAIRNESS_LENGTH
    cases = [{**length, **case} for case in FAIRNESS]
    total = sum(case["bytes_each"] for case in cases)
    with bar("bench fairness", total) as shown:

        def show(values: Values) -> None:
            shown.update(values["frames"], total, f"{values['frames']:,} bytes a queue")

        folder = build_root() / "bench" / "fairness"
        shares = in_fast("sim.bench_fairness:fairness", {"cases": cases}, folder, show)
    return {"fairness_worst_percent": max(share["worst_percent"] for share in shares.values())}


def _demo(quick: bool) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        summary = demo.run_demo(Path(folder), DEMO_BYTES // (QUICK if quick else 1), 1)
    if not summary["ok"]:
        raise SimulationFailed(f"the demo failed: {summary['error'] or 'wrong SHA-256'}")
    return {"demo_mb_per_s": summary["mb_per_s"]}


def _flow_setup(quick: bool) -> Figures:
    with tempfile.TemporaryDirectory() as folder:  # a socket's name must be short
        arguments = {"folder": folder, "count": FLOW_SETUPS // (QUICK if quick else 1)}
        return in_fast("sim.bench_channels:measure", arguments, Path(folder), lambda values: None)


def run_bench(out: Path, quick: bool) -> Figures:
    """Measure all; write the figures to `out` (flat: name -> number) and return them."""
    with step("building the simulators (kept in build/sim)"):
        build_fast()
        build_pins()
        build_bare()
    parts: list[Callable[[], Figures]] = [
        lambda: _loop_figures("", _loops("fast", FAST_FRAMES, quick)),
        lambda: _loop_figures("pins_", _loops("pins", PINS_FRAMES, quick)),
        lambda: _path_figures(_paths(quick)),
        lambda: _fairness(quick),
        lambda: _ratio(quick),
        lambda: _demo(quick),
        lambda: bench_arbiter.figures(quick),
        lambda: _flow_setup(quick),
    ]
    figures: Figures = {}
    for part in parts:
        figures |= part()
    figures = {name: round(value, 4) for name, value in figures.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def missed(figures: Figures) -> list[str]:
    """Names of the bounds of this version that these figures do not reach; a figure not there is missed."""
    return [
        name
        for name, bound in BOUNDS.items()
        if not bound.later and (name not in figures or not bound.holds(figures[name]))
    ]


def verdict(bound: Bound | None, value: float) -> str:
    """The last column of the table."""
    if bound is None:
        return ""
    return "yes" if bound.holds(value) else "not yet" if bound.later else "NO"


def print_figures(figures: Figures) -> None:
    """The table: figure, value, bound, whether it is reached."""
    rows = []
    for name, value in figures.items():
        bound = BOUNDS.get(name)
        rows.append((name, number(value), "" if bound is None else str(bound), verdict(bound, value)))
    print_table("bench", rows, ("figure", "measured", "bound", "reached"))
