# SPDX-License-Identifier: Apache-2.0
"""Flip-flops and memories wake up with anything in them: nothing but what reset sets may be relied on."""

import pytest

from cocotb_tests.nic_tests import NARROW, PORTS, TOP
from sim.build import build, run

RANDOM_START = ("--x-initial", "unique", "--x-assign", "unique")


@pytest.mark.sim
@pytest.mark.parametrize("power_up", [1, 2, 3])
def test_traffic_and_resets_after_a_random_power_up(power_up: int, seed: int) -> None:
    built = build(TOP, params=NARROW.parameters, public=PORTS, verilator_args=RANDOM_START)
    chosen = {"COCOTB_TEST_FILTER": r"\.(hundred_resets_in_traffic|chains_of_up_to_16_elements)(/|$)"}
    modules = ["cocotb_tests.test_reset", "cocotb_tests.test_rings"]
    start = ("+verilator+rand+reset+2", f"+verilator+seed+{power_up}")
    print(f"SEED={seed} power-up {power_up}")
    run(built, modules, seed=seed, extra_env=chosen, plusargs=start)
