# SPDX-License-Identifier: Apache-2.0
"""Run an async function of a program in the fast harness: build, start the simulator, hand back its result.

    result = run_fast("sim.demo_sim:main", {"seed": 1, "bytes": 4096})

The simulator is a process of its own with Python inside; the function is named by its import path and called
there as `await function(harness, **arguments)`. Arguments and result are JSON, its output comes to this
terminal.
"""

import importlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sim.build import Build, build_root
from sim.build_runner import TupeloVerilator
from sim.build_waves import write_save_file
from sim.fast_build import TOP, build_fast

JOB_VARIABLE = "TUPELO_FAST_JOB"
ENTRY_MODULE = "sim.fast_entry"
STOP_PATIENCE_S = 3.0
INTERRUPTED = 130  # exit status of a program that SIGINT ended
QUIET = {"COCOTB_LOG_LEVEL": "WARNING", "GPI_LOG_LEVEL": "WARNING", "COCOTB_REDUCED_LOG_FMT": "1"}


@dataclass(frozen=True, slots=True)
class FastResult:
    """How a run ended. exit_code 0: the function returned, and `value` is what it returned."""

    exit_code: int
    value: Any
    folder: Path  # of the run's files: results, trace
    message: str = ""  # why there is no value


def run_fast(
    function: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    params: Mapping[str, object] | None = None,
    seed: int = 1,
    waves: bool | None = None,
    built: Build | None = None,
    folder: Path | None = None,
    extra_env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> FastResult:
    """Run `package.module:function` in a fast harness.

    `config` of the function, or of its module, is the harness's FastConfig; without one it is the default.

    params: of tupelo_nic. built: a simulator that is already there. folder: working folder of the run.
    log: file for all output of the simulator; None: this terminal. Raises BuildError; Ctrl-C ends the
    simulator and gives exit_code 130.
    """
    simulator = build_fast(params, waves=waves) if built is None else built
    where = (folder or build_root() / "runs" / TOP / function.replace(":", ".")).resolve()
    where.mkdir(parents=True, exist_ok=True)
    value_file = where / "value.json"
    value_file.unlink(missing_ok=True)
    job = {"function": function, "arguments": dict(arguments or {}), "value": str(value_file)}
    (where / "fast_job.json").write_text(json.dumps(job))
    env = {**QUIET, **(extra_env or {}), JOB_VARIABLE: str(where / "fast_job.json")}
    runner = TupeloVerilator(waves=simulator.waves)
    results = where / "results.xml"
    command, full_env = runner.test_command(
        simulator.top, simulator.directory, [ENTRY_MODULE], where, results, seed, env
    )
    if log is None:
        code = _run(command, full_env, where, None)
    else:
        with open(log, "w") as out:
            code = _run(command, full_env, where, out)
    if simulator.waves:
        write_save_file(where, simulator.directory, simulator.top, simulator.signals)
    return _result(code, where, value_file)


def _result(code: int, where: Path, value_file: Path) -> FastResult:
    if code == INTERRUPTED:
        return FastResult(INTERRUPTED, None, where, "interrupted")
    if not value_file.is_file():
        return FastResult(code or 1, None, where, f"the simulator died (exit status {code}); see its output")
    answer = json.loads(value_file.read_text())
    if "error" in answer:
        return FastResult(code or 1, None, where, answer["error"])
    return FastResult(0, answer["value"], where)


def _run(command: list[str], env: Mapping[str, str], where: Path, out: IO[str] | None) -> int:
    """Run the simulator in a process group of its own, so that Ctrl-C comes to it through us, once."""
    process = subprocess.Popen(command, cwd=where, env=env, stdout=out, stderr=out, process_group=0)
    try:
        return process.wait()
    except KeyboardInterrupt:
        _stop(process)
        return INTERRUPTED
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the simulator to end (its function may clean up), then insist."""
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        try:
            process.wait(STOP_PATIENCE_S)
            return
        except subprocess.TimeoutExpired:
            continue


def load_function(name: str) -> tuple[Any, Any]:
    """Return the function of `package.module:function`, and its or its module's `config`, or None."""
    module_name, _, function_name = name.partition(":")
    module = importlib.import_module(module_name)
    function = getattr(module, function_name)
    return function, getattr(function, "config", getattr(module, "config", None))


def current_job() -> dict[str, Any]:
    """Return what this process, a simulator, was started to do."""
    job: dict[str, Any] = json.loads(Path(os.environ[JOB_VARIABLE]).read_text())
    return job
