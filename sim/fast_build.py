# SPDX-License-Identifier: Apache-2.0
"""Build the simulator of the fast harness, with cocotb or with a plain C++ main."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driver import registers
from driver.registers import Reg, RegArray
from sim.build import Build, BuildError, build, build_root, rtl_sources

TOP = "tupelo_fast_top"
MODELS = tuple(
    f"sim/cpp/{name}.cpp" for name in ("memory_model", "wire_model", "fast_model", "fast_dpi", "fast_api")
)
PUBLIC = ("event_o", "kick_i")  # all that Python touches; each public signal costs speed
SHOWN = {  # what a waveform viewer shows first
    "": "clk rst arvalid arready araddr arid arlen aruser rvalid rready rid rresp rlast rdata",
    "w": "valid ready last strb data",
    "aw": "valid ready addr id len user",
    "b": "valid ready id resp",
    "axil_": "awaddr awvalid awready wdata wstrb wvalid wready bvalid araddr arvalid arready rdata rvalid",
    "tx_": "tvalid tready tlast tkeep tdata",
    "rx_": "tvalid tready tlast tuser tkeep tdata",
    "msix_": "valid ready addr data",
}
VIEW = tuple(prefix + name for prefix, names in SHOWN.items() for name in names.split())
BARE_MAIN = "sim/cpp/bare_main.cpp"


def build_fast(
    params: Mapping[str, object] | None = None, *, waves: bool | None = None, checks: bool = False
) -> Build:
    """Return the simulator of tupelo_nic in the fast harness. params: of tupelo_fast_top, as of tupelo_nic.

    checks: keep the RTL's own checks; they cost speed, so programs and benches leave them out.
    """
    return build(
        TOP,
        sources=[*rtl_sources(), "sim/hdl/tupelo_fast_top.sv"],
        params=params,
        public=PUBLIC,
        view=VIEW,
        cpp=MODELS,
        timing=True,
        waves=waves,
        checks=checks,
    )


def build_bare(params: Mapping[str, object] | None = None) -> Build:
    """Return the same RTL and models driven by a C++ main: no Python, no VPI."""
    return build(
        TOP,
        sources=[*rtl_sources(), "sim/hdl/tupelo_fast_top.sv"],
        params=params,
        public=PUBLIC,
        includes=[constants_header().parent],
        cpp=MODELS,
        timing=True,
        waves=False,
        checks=False,
        main=BARE_MAIN,
    )


def run_bare(frames: int, frame_bytes: int = 60, warm_up: int = 2000, queues: int = 4) -> dict[str, float]:
    """Loop frames (transmit rings, wire, receive ring of pair 0) in the C++ main, as `tupelo bench` does.

    Returns frames, cycles, wall seconds, cycles_per_s, frames_per_s, cycles_per_frame of the measured part.
    Raises BuildError when the loop lost a frame: the figures would mean nothing.
    """
    built = build_bare()
    options = [str(value) for value in (frames, frame_bytes, warm_up, queues)]
    done = subprocess.run([str(built.executable), *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"the bare loop failed: {done.stderr.strip() or done.stdout.strip()}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def constants_header() -> Path:
    """Write driver/registers.py as a C++ header and return its path; untouched when nothing changed."""
    lines = ["// Generated from driver/registers.py.", "#pragma once", "#include <cstdint>", ""]
    lines.append("namespace tupelo::reg {")
    for name, value in vars(registers).items():
        if isinstance(value, (Reg, RegArray)):
            lines += _constants(name, value)
        elif isinstance(value, type) and value.__module__ == registers.__name__ and name.isupper():
            for field, register in vars(value).items():
                lines += _constants(f"{name}_{field}", register)
    text = "\n".join([*lines, "}  // namespace tupelo::reg", ""])
    path = build_root() / "sim" / "include" / "tupelo_registers.h"
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


def _constants(name: str, value: Any) -> list[str]:
    if isinstance(value, Reg):
        return [f"constexpr uint32_t {name} = {value.offset_bytes:#x};"]
    if isinstance(value, RegArray):
        return [
            f"constexpr uint32_t {name} = {value.offset_bytes:#x};",
            f"constexpr uint32_t {name}_STRIDE = {value.stride_bytes:#x};",
        ]
    return []
