# SPDX-License-Identifier: Apache-2.0
"""The build runner: what is cached, what is rebuilt, what a user reads when it goes wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from sim import build_objects
from sim.build import Build, BuildError, SimulationFailed, build, run
from sim.build_flags import ROOT
from sim.build_sources import port_names, rtl_sources
from sim.build_waves import write_save_file

TOP = "hdl_counter"
SOURCE = "sim/tests/hdl_counter.sv"
BENCH = "sim.tests.counter_bench"


def counter(step: int = 1, **options: bool) -> Build:
    return build(TOP, sources=[SOURCE], params={"STEP": step}, **options)  # type: ignore[arg-type]


def test_ports_are_found_in_the_source() -> None:
    names = port_names(TOP, [ROOT / SOURCE])
    assert names == ["clk", "rst", "unused_i", "enable_i", "count_o"]
    with pytest.raises(BuildError, match="no_such_module"):
        port_names("no_such_module", [ROOT / SOURCE])


def test_the_file_list_has_packages_first_and_everything_once() -> None:
    files = rtl_sources()
    assert files and all(path.is_file() for path in files)
    assert len(set(files)) == len(files)
    packages = [k for k, path in enumerate(files) if path.name.endswith("_pkg.sv")]
    assert packages == list(range(len(packages)))


@pytest.mark.sim
def test_a_build_is_reused_until_something_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = counter()
    again = counter()
    assert again.executable == first.executable and again.seconds == 0.0
    other = counter(step=3)
    assert other.executable != first.executable
    run(other, BENCH, testcase="counts", extra_env={"WANTED_STEP": "3"})
    run(first, BENCH, testcase="counts")
    changed = tmp_path / "hdl_counter.sv"
    changed.write_text((ROOT / SOURCE).read_text().replace("'(STEP)", "'(2 * STEP)"))
    third = build(TOP, sources=[changed], params={"STEP": 1})
    assert third.executable != first.executable
    run(third, BENCH, testcase="counts", extra_env={"WANTED_STEP": "2"})


@pytest.mark.sim
def test_two_processes_that_build_the_same_do_not_clash(tmp_path: Path) -> None:
    program = (
        "from sim.tests.test_build import *\n"
        "from sim.build import build\n"
        "print(build(TOP, sources=[SOURCE], params={'STEP': 5}).executable)\n"
    )
    command = [sys.executable, "-c", program]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]


@pytest.mark.sim
def test_a_failing_test_and_a_failing_check_say_so() -> None:
    with pytest.raises(SimulationFailed, match="nothing is larger than itself"):
        run(counter(), BENCH, testcase="is_wrong", seed=3)
    with pytest.raises(SimulationFailed, match="the counter is at 99"):
        run(counter(), BENCH, testcase="runs_into_a_check")
    run(counter(checks=False), BENCH, testcase="runs_into_a_check")


def test_a_source_error_is_shown_in_the_compilers_words(tmp_path: Path) -> None:
    broken = tmp_path / "hdl_counter.sv"
    broken.write_text((ROOT / SOURCE).read_text().replace("count_o + ", "no_such_signal + "))
    with pytest.raises(BuildError, match="no_such_signal") as caught:
        build(TOP, sources=[broken])
    assert len(str(caught.value).splitlines()) < 20
    with pytest.raises(BuildError, match="no such source file"):
        build(TOP, sources=[tmp_path / "missing.sv"])


def test_a_cpp_error_is_shown_in_the_compilers_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.cpp"
    broken.write_text("int f() { return no_such_name; }\n")
    with pytest.raises(BuildError, match="no_such_name"):
        build_objects.compile_all([broken])


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"missing: g\+\+, make, ar.*apt-get install g\+\+ make"):
        counter()


@pytest.mark.sim
def test_waves_make_a_trace_and_a_save_file(tmp_path: Path) -> None:
    traced = counter(waves=True)
    assert traced.executable != counter().executable
    results = run(traced, BENCH, testcase="counts")
    dump = results.with_name("dump.fst")
    assert dump.stat().st_size > 100
    saved = results.with_name("dump.gtkw").read_text()
    assert "hdl_counter.count_o[15:0]" in saved and "hdl_counter.clk\n" in saved and str(dump) in saved


def test_a_save_file_needs_no_build(tmp_path: Path) -> None:
    path = write_save_file(tmp_path, tmp_path, "top", ["clk", "s_valid", "s_data"])
    assert path.read_text().count("-s\n") == 1
