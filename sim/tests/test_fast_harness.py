# SPDX-License-Identifier: Apache-2.0
"""The fast harness around the real NIC, and run_fast around the harness."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.build_flags import ROOT
from sim.fast_build import build_bare, build_fast, run_bare
from sim.fast_config import ConfigError, FastConfig, MemoryConfig, WireConfig
from sim.fast_run import INTERRUPTED, FastResult, run_fast

PROGRAMS = "sim.tests.fast_programs"
pytestmark = pytest.mark.sim


def program(name: str, tmp_path: Path, seed: int = 1, **arguments: Any) -> FastResult:
    return run_fast(f"{PROGRAMS}:{name}", arguments, seed=seed, folder=tmp_path, log=tmp_path / "run.log")


def value(name: str, tmp_path: Path, seed: int = 1, **arguments: Any) -> Any:
    result = program(name, tmp_path, seed, **arguments)
    assert result.exit_code == 0, result.message + (tmp_path / "run.log").read_text()
    return result.value


def test_the_bar_in_every_width(tmp_path: Path) -> None:
    assert value("registers", tmp_path) == {
        "magic": True,
        "parts": "TUPL",
        "halves": True,
        "scratch": ["0xbbccaa44", "0xbbcc"],
        "refused": 5,
    }


def test_frames_that_do_not_add_up_fail_the_run(tmp_path: Path) -> None:
    result = program("miscounted", tmp_path)
    assert result.exit_code != 0 and result.value is None
    assert "frames do not add up: rx_wire_frames is 3, the wire had 4" in result.message


def test_an_idle_clock_stands_still_and_time_is_right(tmp_path: Path) -> None:
    seen = value("clock", tmp_path)
    assert 1_000_000_000 <= seen["slept_ns"] <= 1_000_000_100
    assert seen["slept_cycles"] < 5000
    assert seen["asked_after_ns"] == pytest.approx(10_001_000, abs=10)
    assert seen["answer_ns"] < 100
    assert 50_000_000 <= seen["woken_after_ns"] <= 50_000_100
    assert 40_000 <= seen["timeout_ns"] <= 40_100 and seen["fired"] == []


def test_the_clock_goes_on_while_the_nic_holds_something_back(tmp_path: Path) -> None:
    """250,000 cycles without a word on any bus, where 1,024 stop the clock: active_o keeps it running."""
    wait_ns = 1_000_000
    seen = value("held_back", tmp_path, wait_ns=wait_ns)
    assert wait_ns <= seen["interrupt_ns"] <= wait_ns + 10_000
    assert 0.8 * wait_ns <= seen["last_frame_ns"] <= 1.6 * wait_ns


@pytest.mark.parametrize("name", ["loop", "stressed_loop"])
def test_a_loop_returns_every_frame_and_repeats_to_the_cycle(name: str, tmp_path: Path) -> None:
    first = value(name, tmp_path, seed=5, count=600, frame_seed=1)
    assert first["same"] and first["counted"] == [600, 600] and not any(first["drops"].values())
    assert first["regions"] == 0 and first["faults"] == 0
    assert value(name, tmp_path, seed=5, count=600, frame_seed=1)["cycles"] == first["cycles"]
    if name == "stressed_loop":
        assert value(name, tmp_path, seed=6, count=600, frame_seed=1)["cycles"] != first["cycles"]


@pytest.mark.parametrize("data_w", [128, 256])
def test_narrow_data_paths(data_w: int, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    arguments = {"count": 300, "frame_seed": 2}
    result = run_fast(
        f"{PROGRAMS}:stressed_loop", arguments, params={"DATA_W": data_w}, folder=tmp_path, log=log
    )
    assert result.exit_code == 0 and result.value["same"], result.message + log.read_text()


def test_python_at_the_end_of_the_wire(tmp_path: Path) -> None:
    seen = value("wire", tmp_path, count=500)
    assert seen == {"out": True, "times": True, "silent": False, "back": True, "bad": 1}


def test_a_program_gives_its_value_and_its_output(tmp_path: Path) -> None:
    assert value("sum_up", tmp_path, values=[1, 2, 3]) == 6
    assert (tmp_path / "run.log").read_text() == "adding\n"


def test_a_failing_program_says_why(tmp_path: Path) -> None:
    result = program("fail", tmp_path)
    assert result.exit_code == 1 and result.value is None
    assert result.message == "RuntimeError: this program fails"
    assert program("no_such_program", tmp_path).exit_code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind(number: signal.Signals, tmp_path: Path) -> None:
    build_fast()
    pid_file, log = tmp_path / "pid", tmp_path / "run.log"
    code = (
        # A process that a shell put into the background ignores SIGINT, and so would what it starts.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; from sim.fast_run import run_fast; import sys\n"
        f"sys.exit(run_fast('{PROGRAMS}:busy', {{'pid_file': '{pid_file}'}}, folder=Path('{tmp_path}'),"
        f" log=Path('{log}')).exit_code)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    _wait(lambda: pid_file.is_file() and pid_file.read_text() != "")
    simulator = int(pid_file.read_text())
    parent.send_signal(number)
    status = parent.wait(20)
    assert status == (INTERRUPTED if number == signal.SIGINT else -signal.SIGKILL)
    _wait(lambda: not _alive(simulator))


def test_the_bare_main_loops_the_same_frames(tmp_path: Path) -> None:
    build_bare()
    figures = run_bare(2000, warm_up=500)
    assert figures["frames"] == 2000 and 2.25 <= figures["cycles_per_frame"] < 8
    assert run_bare(500, frame_bytes=1514, warm_up=100, queues=2)["cycles_per_frame"] < 40


def test_settings_out_of_range_are_refused() -> None:
    for config in (
        FastConfig(memory=MemoryConfig(read_latency_cycles=1)),
        FastConfig(memory=MemoryConfig(write_jitter_cycles=9000)),
        FastConfig(memory=MemoryConfig(stall_r=1.0)),
        FastConfig(wire=WireConfig(queue_frames=0)),
    ):
        with pytest.raises(ConfigError):
            config.struct(1)


def _wait(holds: Callable[[], bool], limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
