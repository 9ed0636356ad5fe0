# SPDX-License-Identifier: Apache-2.0
"""`tupelo replay` outside the simulator: check the file, start the run, show the result."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import click

from sim.build_flags import build_root
from sim.capture import CaptureError, read_frames
from sim.fast_build import build_fast
from sim.launch import in_fast
from sim.report import bar, duration, print_table, step


def run_replay(file: Path, direction: str, out: Path | None, allow_snapped: bool) -> dict[str, Any]:
    """Replay `file`; return the counts (see sim.replay_sim.run). CaptureError before anything is built."""
    if out is not None and out.resolve() == file.resolve():
        raise CaptureError(f"{out}: is the file to read; --out needs another one")
    if out is not None and not os.access(out.resolve().parent, os.W_OK):
        raise CaptureError(f"{out}: its folder is not there or not writable")
    count = sum(1 for _ in read_frames(file, allow_snapped))
    with step("building the simulator (cached in build/sim)"):
        build_fast()
    arguments = {
        "file": str(file.resolve()),
        "direction": direction,
        "out": None if out is None else str(out.resolve()),
        "allow_snapped": allow_snapped,
    }
    # A folder a run: two replays at once must not read each other's results. It stays if the run fails.
    runs = build_root() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="replay-", dir=runs))
    with bar("replay", count) as shown:
        result = in_fast(
            "sim.replay_sim:main",
            arguments,
            folder,
            lambda values: shown.update(values["frames"], count, f"{values['frames']:,} frames"),
        )
    shutil.rmtree(folder, ignore_errors=True)
    return result


def print_result(result: dict[str, Any]) -> None:
    """A table if something is wrong, then one line."""
    rx = result["direction"] == "rx"
    way = "into the wire, all received by the driver" if rx else "from the driver, all on the wire"
    if result["ok"]:
        click.echo(f"replay: OK, {result['frames']:,} frames {way} byte for byte and in order")
        return
    rows = [(name, f"{result[name]:,}") for name in ("frames", "equal", "changed", "lost", "extra")]
    rows += [(f"dropped: {reason}", f"{count:,}") for reason, count in result["drops"].items()]
    rows.append(("simulated time", duration(result["sim_ns"] / 1e9)))
    print_table("replay", rows)
    for problem in result["problems"]:
        click.echo(f"  {problem}")
    wrong = result["frames"] - result["equal"] + result["extra"]
    click.echo(f"replay: FAILED, {wrong:,} of {result['frames']:,} frames are not accounted for")
