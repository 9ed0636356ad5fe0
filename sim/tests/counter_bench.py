# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of hdl_counter, for test_build.py."""

import os
import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles


async def _start(dut: Any) -> None:
    Clock(dut.clk, 4, "ns").start()
    dut.rst.value = 1
    dut.enable_i.value = 0
    dut.unused_i.value = 0
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    dut.enable_i.value = 1


@cocotb.test(timeout_time=10, timeout_unit="us")
async def counts(dut: Any) -> None:
    await _start(dut)
    await ClockCycles(dut.clk, 11)
    assert dut.count_o.value == 10 * int(os.environ.get("WANTED_STEP", "1"))


@cocotb.test(timeout_time=10, timeout_unit="us")
async def is_wrong(dut: Any) -> None:
    assert random.Random(cocotb.RANDOM_SEED).random() > 2, "nothing is larger than itself"


@cocotb.test(timeout_time=10, timeout_unit="us")
async def runs_into_a_check(dut: Any) -> None:
    await _start(dut)
    await ClockCycles(dut.clk, 200)
