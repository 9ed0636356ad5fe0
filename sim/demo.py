# SPDX-License-Identifier: Apache-2.0
"""`tupelo demo` outside the simulator: build, start, show progress, write and print the summary."""

import json
import time
from pathlib import Path
from typing import Any

from sim.fast_build import build_fast
from sim.launch import in_fast
from sim.report import Bar, bar, duration, number, print_table, step


def run_demo(folder: Path, size_bytes: int, seed: int) -> dict[str, Any]:
    """Run the demo; write folder/summary.json and folder/wire.pcap; return the summary."""
    with step("building the simulator (kept in build/sim)"):
        build_fast()
    folder.mkdir(parents=True, exist_ok=True)
    pcap = str((folder / "wire.pcap").resolve())
    arguments = {"seed": seed, "size_bytes": size_bytes, "pcap": pcap}
    begin_s = time.perf_counter()
    with bar("demo", size_bytes) as shown:
        result = in_fast(
            "sim.demo_sim:main",
            arguments,
            folder / "run",
            lambda values: _show(shown, size_bytes, values, time.perf_counter() - begin_s),
            seed,
        )
    wall_s = time.perf_counter() - begin_s
    summary = {
        **result,
        "wall_s": round(wall_s, 3),
        "mb_per_s": round(result["bytes"] / wall_s / 1e6, 3),
        "frames_per_s": round((result["frames_tx"] + result["frames_rx"]) / wall_s, 1),
        "cycles_per_s": round(result["cycles"] / wall_s),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def _show(shown: Bar, size_bytes: int, values: dict[str, Any], wall_s: float) -> None:
    rate = values["cycles"] / wall_s if wall_s else 0.0
    text = f"{values['bytes']:,} bytes, {values['frames']:,} frames, "
    text += f"{duration(values['sim_ns'] / 1e9)} simulated, {rate:,.0f} cycles/s"
    shown.update(values["bytes"], size_bytes, text)


def print_summary(summary: dict[str, Any]) -> None:
    """The table at the end."""
    rows = [
        ("file", f"{summary['bytes']:,} bytes over {summary['protocol'] or 'no connection'}"),
        ("SHA-256", summary["sha256"] if summary["sha256_ok"] else f"{summary['sha256']}, which is WRONG"),
        ("frames sent by the NIC", number(summary["frames_tx"])),
        ("frames received by the NIC", number(summary["frames_rx"])),
        ("bytes at the wire", number(summary["wire_bytes"])),
        ("TCP segments sent again", number(summary["retransmits"])),
        *((f"dropped: {reason}", number(count)) for reason, count in summary["drops"].items()),
        *([] if summary["drops"] else [("frames dropped", "0")]),
        ("clock cycles simulated", number(summary["cycles"])),
        ("simulated time", duration(summary["sim_ns"] / 1e9)),
        ("wall time", duration(summary["wall_s"])),
        ("frames a second of wall time", number(summary["frames_per_s"])),
        ("file, MB a second of wall time", number(summary["mb_per_s"])),
        ("cycles a second of wall time", number(summary["cycles_per_s"])),
        *([("error", summary["error"])] if summary["error"] else []),
    ]
    print_table("demo", rows)
