# SPDX-License-Identifier: Apache-2.0
"""Start simulators for the commands: the fast harness, the pins harness, and the bare C++ main."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cocotb_tests.nic_tests import PORTS
from cocotb_tests.nic_tests import TOP as PINS_TOP
from sim.build import Build, SimulationFailed, build, run
from sim.build_objects import tail
from sim.fast_build import build_fast
from sim.fast_run import run_fast
from sim.job import Values, watch

LOG_LINES_SHOWN = 15
PINS_VARIABLE = "TUPELO_PINS_JOB"
Arguments = Mapping[str, Any]
OnProgress = Callable[[Values], None]


def build_pins() -> Build:
    """The NIC alone, its ports public, without its own checks: for the pins harness at its fastest."""
    return build(PINS_TOP, public=PORTS, checks=False)


def in_fast(
    function: str, arguments: Arguments, folder: Path, on_progress: OnProgress, seed: int = 1
) -> dict[str, Any]:
    """Run `module:function` in the fast harness with `arguments` and a `progress` file; return its value.

    folder: for the run's files, run.log among them. Raises BuildError, SimulationFailed.
    """
    simulator = build_fast()
    folder.mkdir(parents=True, exist_ok=True)
    progress, log = folder.resolve() / "progress.json", folder / "run.log"
    everything = {**arguments, "progress": str(progress)}

    def work() -> dict[str, Any]:
        ended = run_fast(function, everything, seed=seed, built=simulator, folder=folder, log=log)
        if ended.exit_code != 0:
            end = tail(log, LOG_LINES_SHOWN)
            raise SimulationFailed(f"{ended.message}\n--- end of {log}\n{end}" if end else ended.message)
        value: dict[str, Any] = ended.value
        return value

    return watch(progress, work, on_progress)


def in_pins(module: str, arguments: Arguments, folder: Path, on_progress: OnProgress) -> dict[str, Any]:
    """As in_fast, on the pins: run the cocotb tests of `module`, which finds its arguments in a file."""
    simulator = build_pins()
    folder.mkdir(parents=True, exist_ok=True)
    progress, job, value = (folder.resolve() / f"{name}.json" for name in ("progress", "job", "value"))
    value.unlink(missing_ok=True)
    job.write_text(
        json.dumps({**arguments, "progress": str(progress), "value": str(value)}), encoding="utf-8"
    )
    env = {PINS_VARIABLE: str(job)}

    def work() -> dict[str, Any]:
        run(simulator, module, seed=1, extra_env=env, log=folder / "run.log", results=folder / "results.xml")
        found: dict[str, Any] = json.loads(value.read_text(encoding="utf-8"))
        return found

    return watch(progress, work, on_progress)
