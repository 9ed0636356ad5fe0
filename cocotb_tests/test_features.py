# SPDX-License-Identifier: Apache-2.0
"""Each feature bit without and with it, and each switch of the registers off and on, on a whole NIC."""

from pathlib import Path
from typing import Any

import cocotb
import pytest

import driver.registers as registers
from cocotb_tests import feature_cases, switch_cases
from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.count_bench import CountBench
from cocotb_tests.nic_tests import TOP, WIDE
from driver.registers import Feature, Field
from sim.lint_rules import plan_gaps

TIMEOUT = {"timeout_time": 2, "timeout_unit": "ms"}
ROOT = Path(__file__).resolve().parents[1]
FEATURES = feature_cases.CASES
SWITCHES = switch_cases.CASES
# One-bit fields that switch nothing: what a command or a look-up key says, and what the device answers.
NO_SWITCH = {
    *("LOCAL_CONTROL_IPV6", "STATUS_BUSY", "STATUS_BAD", "KEY_PROTO_IPV6", "KEY_PROTO_ANY", "STATUS_REFUSED"),
    "QUEUE_RESET_RESET",  # RING_RESET's
}
NUMBERS = ("RATE", "COUNT")  # registers in which 0 is off: a rate limit, moderation


def switches() -> set[str]:
    """Names of the one-bit fields of the register description, and of NUMBERS."""
    blocks = [block for block in vars(registers).values() if isinstance(block, type)]
    fields = {
        name: field for block in blocks for name, field in vars(block).items() if isinstance(field, Field)
    }
    return {name for name, field in fields.items() if field.width_bits == 1} - NO_SWITCH | set(NUMBERS)


async def run(dut: Any, name: str, on: bool) -> None:
    bench = CountBench(dut, (name, on))
    await (FEATURES | SWITCHES)[name](bench, on)
    bench.harness.check()


@nic_test(**TIMEOUT)
@cocotb.parametrize(name=[cocotb.Param(name, name) for name in FEATURES], on=[False, True])
async def each_feature_off_and_on(dut: Any, name: str, on: bool) -> None:
    await run(dut, name, on)


@nic_test(**TIMEOUT)
@cocotb.parametrize(name=[cocotb.Param(name, name) for name in SWITCHES], on=[False, True])
async def each_switch_off_and_on(dut: Any, name: str, on: bool) -> None:
    await run(dut, name, on)


@pytest.mark.sim
def test_each_feature_off_and_on(run_bench: RunBench) -> None:
    run_bench(TOP, ["each_feature_off_and_on", "each_switch_off_and_on"], **WIDE.parameters)


def test_each_feature_and_switch_has_a_case() -> None:
    assert {feature.name.lower() for feature in Feature} == FEATURES.keys()
    assert {name.lower() for name in switches()} == SWITCHES.keys()


def test_each_feature_and_switch_has_its_row_and_test() -> None:
    assert plan_gaps(ROOT, "FEAT", [feature.name for feature in Feature]) == []
    assert plan_gaps(ROOT, "SWITCH", sorted(switches())) == []
