# SPDX-License-Identifier: Apache-2.0
"""Progress of a run crosses between two processes' sides through a file."""

from pathlib import Path

import pytest

from sim.job import PERIOD_S, Progress, Values, watch


def test_at_most_ten_reports_a_second_get_through(tmp_path: Path) -> None:
    tell = Progress(tmp_path / "p.json")
    for n in range(1000):
        tell(n=n)
    assert (tmp_path / "p.json").read_text() == '{"n": 0}'


def test_without_a_file_nothing_is_reported() -> None:
    Progress(None)(n=1)


def test_the_last_report_reaches_the_caller_and_so_does_the_result(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    seen: list[Values] = []

    def work() -> int:
        Progress(file)(n=1)
        return 42

    assert watch(file, work, seen.append) == 42
    assert seen[-1] == {"n": 1}


def test_reports_of_an_earlier_run_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text('{"n": 7}')
    seen: list[Values] = []
    watch(file, lambda: None, seen.append)
    assert seen == []


def test_what_the_run_raises_reaches_the_caller(tmp_path: Path) -> None:
    def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        watch(tmp_path / "p.json", work, lambda values: None)
    assert PERIOD_S <= 0.2
