# SPDX-License-Identifier: Apache-2.0
"""Each reason to drop a frame, count an error or stop a queue, provoked alone on a whole NIC.

Of all counters of reasons (cocotb_tests.reasons) those move that the case says, by as much, and no other.
"""

from pathlib import Path
from typing import Any

import cocotb
import pytest

from cocotb_tests import drop_cases, stop_cases
from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.count_bench import CountBench
from cocotb_tests.nic_tests import TOP, WIDE
from cocotb_tests.reasons import COUNTERS, STOPS, is_reason
from driver.registers import StopReason
from sim.lint_rules import plan_gaps

TIMEOUT = {"timeout_time": 2, "timeout_unit": "ms"}
ROOT = Path(__file__).resolve().parents[1]
CASES = drop_cases.CASES | stop_cases.CASES


@nic_test(**TIMEOUT)
@cocotb.parametrize(name=[cocotb.Param(name, name) for name in CASES])
async def each_reason_is_counted_alone(dut: Any, name: str) -> None:
    """All counters start at 0, so what they read at the end is what the case did."""
    bench = CountBench(dut, name)
    wanted = {key: int(value) for key, value in (await CASES[name](bench)).items() if value}
    await bench.settle()
    seen = {key: value for key, value in (await bench.counters()).items() if is_reason(key) and value}
    cocotb.log.info("%s: %s", name, seen)
    assert seen == wanted
    provoked = name in wanted or getattr(StopReason, name.upper(), None) in wanted.values()
    assert provoked, f"the case provokes {wanted}, but no {name}"
    bench.harness.check()


@pytest.mark.sim
def test_each_reason_is_counted_alone(run_bench: RunBench) -> None:
    run_bench(TOP, "each_reason_is_counted_alone", **WIDE.parameters)


def test_each_reason_has_a_case() -> None:
    assert {name.lower() for name in (*COUNTERS, *STOPS)} == CASES.keys()


def test_each_reason_has_its_row_and_test() -> None:
    assert plan_gaps(ROOT, "DROP", (*COUNTERS, *STOPS)) == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("| DROP-1 | `rx_drop_bad`: bad | `a.py::one` | |", ""),
        ("| RING-1 | `rx_drop_bad`: bad | `a.py::one` | |", "no row"),
        ("| DROP-1 | `rx_drop_short`: bad | `a.py::one` | |", "no row"),
        ("| DROP-1 | `rx_drop_bad`: bad | `a.py::two` | |", "does not mention"),
        ("| DROP-1 | `rx_drop_bad`: bad | `a.py::three` | |", "does not exist"),
        ("| DROP-1 | `rx_drop_bad`: bad | `b.py::one` | |", "does not exist"),
        ("| DROP-1 | `rx_drop_bad`: bad | somewhere | |", "names no test"),
    ],
)
def test_a_gap_in_the_plan_is_seen(tmp_path: Path, row: str, problem: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "testplan.md").write_text(
        f"| id | requirement | test | coverpoint |\n|---|\n{row}\n"
    )
    (tmp_path / "a.py").write_text("def one():\n    rx_drop_bad\n\n\ndef two():\n    rx_drop_badly\n")
    found = plan_gaps(tmp_path, "DROP", ["rx_drop_bad"])
    assert (problem in found[0] and len(found) == 1) if problem else found == []
