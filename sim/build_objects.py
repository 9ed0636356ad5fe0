# SPDX-License-Identifier: Apache-2.0
"""Compiled C++ that benches share: Verilator's runtime and the models, compiled once per content."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

from sim import build_flags as flags
from sim.build_flags import ROOT, BuildError, build_root

RUNTIME = (
    "verilated",
    "verilated_dpi",
    "verilated_vpi",
    "verilated_timing",
    "verilated_threads",
    "verilated_random",
)
RUNTIME_WAVES = ("verilated_fst_c",)
MARKS = ("rror:", "%Error", "cannot find", "undefined reference", "multiple definition")
FINISH = ROOT / "sim" / "cpp" / "quiet_finish.cpp"
SHIMS = ROOT / "sim" / "cpp" / "trace"  # stand-ins for compression headers that this machine does not have


def runtime_library(waves: bool) -> Path:
    """Return Verilator's runtime as a static library; it is compiled on first use (about 15 s)."""
    names = RUNTIME + (RUNTIME_WAVES if waves else ())
    root = flags.verilator_root() / "include"
    extra = [f"-I{SHIMS / name}" for name in missing_compression()] if waves else []
    extra += ["-DVL_USER_FINISH"]
    key = flags.digest(["runtime", flags.tool_versions(), *flags.CXX_FLAGS, *names, *extra], [FINISH])
    library = build_root() / "sim" / "objects" / f"libverilated-{key}.a"

    def make() -> None:
        parts = compile_all([*(root / f"{name}.cpp" for name in names), FINISH], extra)
        scratch = library.with_suffix(f".{os.getpid()}.tmp")
        _check(["ar", "-rcs", str(scratch), *map(str, parts)])
        scratch.replace(library)

    _once(library, make)
    return library


def compile_all(sources: Sequence[Path], extra_flags: Sequence[str] = ()) -> list[Path]:
    """Return one object file per C++ source, compiling two at a time what is not there yet."""
    with ThreadPoolExecutor(flags.MAKE_JOBS) as pool:
        return list(pool.map(partial(_compile, extra_flags=extra_flags), sources))


def trace_libraries() -> list[str]:
    """Return linker flags for FST traces.

    Verilator's makefile links lz4 and z; one that is missing (our header stands in) is an empty archive.
    """
    folder = build_root() / "sim" / "objects" / "empty"
    for name, short in (("lz4", "lz4"), ("zlib", "z")):
        archive = folder / f"lib{short}.a"
        if name in missing_compression():
            _once(archive, partial(_check, ["ar", "-rcs", str(archive)]))
    return [f"-L{folder}"]


@cache
def missing_compression() -> tuple[str, ...]:
    """Return which of lz4 and zlib the compiler has no header for."""
    return tuple(name for name in ("lz4", "zlib") if not _has_header(f"{name}.h"))


def tail(log: Path, lines: int) -> str:
    """Return the last lines of a log, or nothing when there is none."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.is_file() else ""


def first_errors(text: str, limit: int = 12) -> str:
    """Return the lines of compiler output that tell what is wrong."""
    lines = text.splitlines()
    wanted = [
        i for i, line in enumerate(lines) if any(m in line for m in MARKS) and not line.startswith("make")
    ]
    shown = sorted({i + d for i in wanted[: limit // 2] for d in (0, 1, 2) if i + d < len(lines)})
    return "\n".join(lines[i] for i in shown) if shown else "\n".join(lines[-limit:])


def _compile(source: Path, extra_flags: Sequence[str]) -> Path:
    include = flags.verilator_root() / "include"
    command = ["g++", *flags.CXX_FLAGS, *extra_flags]
    command += [f"-I{include}", f"-I{include}/vltstd", f"-I{source.parent}"]
    headers = [] if source.parent == include else sorted(source.parent.glob("*.h"))
    key = flags.digest([flags.tool_versions(), *command], [source, *headers])
    target = build_root() / "sim" / "objects" / f"{source.stem}-{key}.o"
    scratch = target.with_suffix(f".{os.getpid()}.tmp")

    def make() -> None:
        _check([*command, "-c", "-o", str(scratch), str(source)])
        scratch.replace(target)

    _once(target, make)
    return target


def _once(target: Path, make: Callable[[], None]) -> None:
    """Call make unless target exists; one process at a time for each target."""
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_name(target.name + ".lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not target.is_file():
            make()


def _check(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{command[0]} failed for {command[-1]}:\n{first_errors(done.stderr)}")


def _has_header(name: str) -> bool:
    source = f"#include <{name}>\n"
    done = subprocess.run(
        ["g++", "-x", "c++", "-E", "-"], input=source, capture_output=True, text=True, check=False
    )
    return done.returncode == 0
