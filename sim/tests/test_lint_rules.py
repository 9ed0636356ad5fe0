# SPDX-License-Identifier: Apache-2.0
"""Each rule of the lint finds what it is for, and the tree itself is clean."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sim import lint, lint_rules
from sim.build_flags import ROOT

LICENCE = f"# {lint_rules.SPDX}\n"


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_source_file_without_licence_line_is_found(tmp_path: Path) -> None:
    write(tmp_path, "a.py", LICENCE)
    write(tmp_path, "b.sv", "module b; endmodule\n")
    write(tmp_path, "empty.py", "")
    write(tmp_path, "notes.txt", "free\n")
    assert lint_rules.spdx(tmp_path) == [f"b.sv: no `{lint_rules.SPDX}` in its first five lines"]


def test_a_large_file_is_found(tmp_path: Path) -> None:
    write(tmp_path, "a.bin", "x" * 1_000_001)
    write(tmp_path, "b.bin", "x" * 1_000_000)
    assert lint_rules.size(tmp_path) == ["a.bin: 1,000,001 bytes, more than 1,000,000"]


@pytest.mark.parametrize("folder", ["home", "root", "Users", "opt"])
def test_a_path_of_one_machine_is_found(tmp_path: Path, folder: str) -> None:
    write(tmp_path, "a.md", f"see\nthe file /{folder}/x/y.txt\n")
    assert lint_rules.machine_paths(tmp_path) == [f"a.md:2: absolute path of a machine: /{folder}/x..."]


def test_relative_and_variable_paths_are_fine(tmp_path: Path) -> None:
    write(tmp_path, "a.sh", "x=build/root/y; $HOME/home/z ./opt/tool /usr/bin/env ${A}/home/b\n")
    assert lint_rules.machine_paths(tmp_path) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    write(tmp_path, "docs/a.md", "[b](b.md) [c](../c.md#part) [web](https://example.org/x) [part](#here)\n")
    write(tmp_path, "c.md", "")
    assert lint_rules.docs(tmp_path) == ["docs/a.md:1: link to b.md, which does not exist"]


PLAN = "| id | requirement | test | coverpoint |\n|---|---|---|---|\n"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("| A-1 | r | `t/test_x.py::test_one` | c |", ""),
        ("| A-1 | r | `t/test_x.py` | c |", ""),
        ("| A-1 | r | `t/test_x.py::test_inner` | c |", ""),
        (
            "| A-1 | r | `t/test_x.py::test_two` | c |",
            "A-1 names t/test_x.py::test_two, which does not exist",
        ),
        ("| A-1 | r | `t/test_y.py::test_one` | c |", "A-1 names t/test_y.py, which does not exist"),
        ("| A-1 | r | to do | c |", "A-1 names no test; write `path/test_x.py::test_name`"),
        (
            "| A-1 | r | `t/test_x.py` |",
            "a row is `id | requirement | test | coverpoint` with an id like RING-1",
        ),
        (
            "| one | r | `t/test_x.py` | c |",
            "a row is `id | requirement | test | coverpoint` with an id like RING-1",
        ),
    ],
)
def test_the_test_plan_is_checked_row_by_row(tmp_path: Path, row: str, problem: str) -> None:
    write(tmp_path, "t/test_x.py", "def test_one(): pass\nclass A:\n    async def test_inner(self): pass\n")
    write(tmp_path, "docs/testplan.md", PLAN + row + "\n")
    assert lint_rules.docs(tmp_path) == ([f"docs/testplan.md:3: {problem}"] if problem else [])


def test_an_id_of_the_test_plan_that_is_there_twice_is_found(tmp_path: Path) -> None:
    write(tmp_path, "t/test_x.py", "")
    write(tmp_path, "docs/testplan.md", PLAN + "| A-1 | r | `t/test_x.py` | c |\n" * 2)
    assert lint_rules.docs(tmp_path) == ["docs/testplan.md:4: id A-1 is there twice"]


@pytest.mark.parametrize(
    "rule",
    [lint_rules.spdx, lint_rules.size, lint_rules.machine_paths, lint_rules.docs],
    ids=lambda r: r.__name__,
)
def test_this_tree_keeps_the_rule(rule: Callable[[Path], list[str]]) -> None:
    assert rule(ROOT) == []


def test_a_failed_step_is_printed_with_its_problem_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    steps = {"good": lambda: "", "bad": lambda: "a.py: wrong"}
    assert lint.run_steps(steps, 1) == 1
    out = capsys.readouterr().out
    assert "lint good" in out and "OK" in out
    assert "lint bad" in out and "FAILED" in out and "    a.py: wrong" in out
