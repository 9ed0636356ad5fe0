# SPDX-License-Identifier: Apache-2.0
"""Build a simulator for any top module once, and run cocotb tests on it.

    nic = build("tupelo_skid", params={"DATA_W": 64})
    run(nic, "cocotb_tests.test_skid", seed=7)

A built simulator is kept under build/sim/ by a digest of its sources, flags and tools. Python can touch only
the top's ports, or the signals in `public`: making every signal public costs a factor of ten in speed.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sim import build_flags as flags
from sim import build_objects as objects
from sim.build_flags import ROOT, BuildError, build_root
from sim.build_runner import TupeloVerilator, check_results
from sim.build_sources import port_names, rtl_sources
from sim.build_waves import write_save_file

__all__ = ["Build", "BuildError", "SimulationFailed", "build", "build_root", "rtl_sources", "run"]

STAMP = "build.json"
PathOrName = Path | str


class SimulationFailed(AssertionError):
    """A test failed or the simulator died; the text holds the failures and the end of the log."""


@dataclass(frozen=True, slots=True)
class Build:
    """One built simulator."""

    top: str
    directory: Path
    executable: Path
    waves: bool
    seconds: float  # 0.0 when it came from the cache
    signals: tuple[str, ...]  # what a viewer shows first


def waves_wanted() -> bool:
    """Return whether the environment asks for traces (WAVES=1)."""
    return os.environ.get("WAVES", "0") not in ("", "0")


def build(
    top: str,
    *,
    sources: Sequence[PathOrName] | None = None,
    params: Mapping[str, object] | None = None,
    public: Sequence[str] | None = None,
    view: Sequence[str] | None = None,
    defines: Mapping[str, object] | None = None,
    includes: Sequence[PathOrName] = (),
    cpp: Sequence[PathOrName] = (),
    timing: bool = False,
    waves: bool | None = None,
    checks: bool = True,
    main: PathOrName | None = None,
    verilator_args: Sequence[str] = (),
) -> Build:
    """Return a simulator for module `top`, from the cache if nothing changed.

    sources: SystemVerilog files, packages first; None means all of rtl/. Relative names start at the root.
    public: names of signals of `top` that Python may touch; None means its ports.
    view: names of signals of `top` that a viewer shows first; None means the public ones.
    cpp: C++ files (DPI functions) to link; compiled once per content.
    timing: the design makes its own delays (a clock in SystemVerilog).
    waves: record an FST trace; None means: as WAVES says. checks: define TUPELO_CHECKS and keep assertions.
    main: a C++ file with main() instead of cocotb's, for a simulator with no Python in it.
    Raises BuildError with the compiler's first messages.
    """
    flags.check_tools()
    waves = waves_wanted() if waves is None else waves
    files = [_path(name) for name in (rtl_sources() if sources is None else sources)]
    for path in files:
        if not path.is_file():
            raise BuildError(f"no such source file: {path}")
    signals = tuple(port_names(top, files) if public is None else public)
    all_defines = {**({"TUPELO_CHECKS": 1} if checks else {}), **(defines or {})}
    runner = TupeloVerilator(
        extra_args=[*flags.VERILATE_FLAGS, *_switches(timing, waves, checks), *verilator_args],
        include_dirs=[str(_path(name)) for name in includes],
        macros={name: str(value) for name, value in all_defines.items()},
        generics={name: str(value) for name, value in (params or {}).items()},
        waves=waves,
        main=None if main is None else _path(main),
    )
    cpp_files = [_path(name) for name in cpp]
    headers = [h for d in [*includes, *{f.parent for f in cpp_files}] for h in sorted(_path(d).glob("*.*h"))]
    key = flags.digest(
        [top, runner.fingerprint(), flags.tool_versions(), *signals, *flags.MAKE_VARIABLES, *flags.CXX_FLAGS],
        [*files, *cpp_files, *headers, *([runner.main] if runner.main else [])],
    )
    directory = build_root() / "sim" / f"{top}-{key}"
    shown = signals if view is None else tuple(view)
    wanted = Build(top, directory, directory / top, waves, 0.0, shown)
    with _locked(directory):
        if (directory / STAMP).is_file() and wanted.executable.is_file():
            return wanted
        return _build_now(wanted, signals, runner, files, cpp_files)


def run(
    build: Build,
    test_module: str | Sequence[str],
    *,
    testcase: str | Sequence[str] | None = None,
    seed: int | None = None,
    extra_env: Mapping[str, str] | None = None,
    results: Path | None = None,
    plusargs: Sequence[str] = (),
    log: Path | None = None,
) -> Path:
    """Run cocotb tests on a built simulator; return the results file (JUnit XML).

    The files of a run go to a folder of its own, build/runs/<build>/<test>, so runs of one build may overlap.
    log: file for the simulator's output; None means: shown, or under pytest a file in the run's folder.
    Raises SimulationFailed.
    """
    modules = [test_module] if isinstance(test_module, str) else list(test_module)
    folder = _run_folder(build, modules, testcase)
    results_file = folder / "results.xml" if results is None else results.resolve()
    if log is None and "PYTEST_CURRENT_TEST" in os.environ:
        log = folder / "run.log"
    runner = TupeloVerilator(waves=build.waves)
    env = dict(extra_env or {})
    problem = runner.run_tests(
        build.top, build.directory, modules, folder, results_file, log, testcase, seed, env, plusargs
    )
    if build.waves:
        write_save_file(folder, build.directory, build.top, build.signals)
    failures = check_results(results_file, problem)
    if failures:
        tail = "" if log is None else f"\n--- end of {log}\n" + objects.tail(log, 60)
        raise SimulationFailed("\n".join(failures) + tail)
    return results_file


def _build_now(
    wanted: Build, public: Sequence[str], runner: TupeloVerilator, files: list[Path], cpp: list[Path]
) -> Build:
    start = time.monotonic()
    shutil.rmtree(wanted.directory, ignore_errors=True)
    wanted.directory.mkdir(parents=True)
    control = wanted.directory / "public.vlt"
    lines = [f'public_flat_rw -module "{wanted.top}" -var "{name}"\n' for name in public]
    control.write_text("`verilator_config\n" + "".join(lines))
    runner.link_with = [*objects.compile_all(cpp), objects.runtime_library(wanted.waves)]
    runner.libraries = objects.trace_libraries() if wanted.waves else []
    runner.build_simulator(wanted.top, wanted.directory, [control, *files])
    for pattern in ("*.o", "*.gch", "*.a", "*.d"):  # a hundred megabytes that nobody needs again
        for path in wanted.directory.glob(pattern):
            path.unlink()
    seconds = time.monotonic() - start
    info = {"top": wanted.top, "seconds": round(seconds, 1), "sources": [str(f) for f in files]}
    (wanted.directory / STAMP).write_text(json.dumps(info, indent=1))
    return replace(wanted, seconds=seconds)


def _switches(timing: bool, waves: bool, checks: bool) -> list[str]:
    return [
        "--timing" if timing else "--no-timing",
        *(["--trace-fst", "--trace-structs"] if waves else []),
        *(["--assert"] if checks else ["--no-assert"]),
    ]


def _run_folder(build: Build, modules: list[str], testcase: str | Sequence[str] | None) -> Path:
    name = "+".join(modules)
    if testcase is not None:
        name += "-" + (testcase if isinstance(testcase, str) else "+".join(testcase))
    current = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit("::", maxsplit=1)[-1].split(" ")[0]
    safe = "".join(c if c.isalnum() or c in "._+-" else "_" for c in f"{current}-{name}" if c)
    folder = build_root() / "runs" / build.directory.name / safe.strip("-")[:120]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _path(name: PathOrName) -> Path:
    path = Path(name)
    return path if path.is_absolute() else ROOT / path


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep other processes away from one cache entry; the lock goes with its holder."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_name(directory.name + ".lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
