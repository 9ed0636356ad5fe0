# SPDX-License-Identifier: Apache-2.0
"""An attacker never slows another pair's goodput by more than the scheduler's share, whatever its style.

The goodput is measured at the pins: first without the attacker, then beside it, at several weights.
"""

from typing import Any

import cocotb
import pytest

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.nic_tests import TOP, WIDE
from cocotb_tests.uvm.attack_rig import EVIL, GOOD
from cocotb_tests.uvm.attack_share import SECOND, Goodput, ShareRig, Unfair, judge_share
from cocotb_tests.uvm.attack_styles import RECEIVING, STYLES

TIMEOUT = {"timeout_time": 20, "timeout_unit": "ms"}
WINDOW_CYCLES = 12_000
LATENCY_CYCLES = 60
EVEN = ({GOOD: 32, EVIL: 32},)
WEIGHTS = (*EVEN, {GOOD: 96, EVIL: 32}, {GOOD: 32, EVIL: 96})
BAD = "small"  # the worst that a receiver can do: a byte a buffer
QUICK = ("segments", "forged", "mixture", "runts", "chips_astride")


@nic_test(**TIMEOUT)
async def victims_keep_their_share(dut: Any) -> None:
    """Plusargs: style, long (three weights), two (a second victim)."""
    style = STYLES[str(cocotb.plusargs["style"])]
    victims = (GOOD, SECOND) if cocotb.plusargs.get("two") else (GOOD,)
    rig = ShareRig(dut, style.name, victims)
    rig.knobs.latency_cycles = LATENCY_CYCLES
    await rig.begin_victims()
    alone = await rig.measure(WINDOW_CYCLES)
    await rig.attack(style)
    unfair = []
    for weights in WEIGHTS if cocotb.plusargs.get("long") else EVEN:
        weights |= {SECOND: 64} if SECOND in victims else {}
        await rig.weigh(weights)
        beside = await rig.measure(WINDOW_CYCLES)
        cocotb.log.info(
            "%s, weights %s: alone %s; beside the attacker %s", style.name, weights, alone, beside
        )
        try:
            judge_share(alone, beside, weights, victims)
        except Unfair as told:
            unfair.append(f"{style.name}, weights {weights}: {told}")
    stats = await rig.device.statistics()
    assert not style.counter or stats[style.counter], f"no attack to speak of: {style.counter} is 0"
    assert not style.falls or rig.stops["WINDOW"] > 10, "the queue did not stop"
    if unfair:
        raise Unfair("; ".join(unfair))


@nic_test(**TIMEOUT)
async def victim_receives_what_is_its(dut: Any) -> None:
    """Half of the frames are the attacker's, whose buffers are bad: the victim gets all of its own.

    Plusarg: buffers.
    """
    buffers = str(cocotb.plusargs["buffers"])
    rig = ShareRig(dut, buffers, (GOOD,))
    rig.knobs.latency_cycles = LATENCY_CYCLES
    await rig.begin_victims(gap_cycles=40)
    await rig.lie_in_wait(RECEIVING[buffers])
    beside = await rig.measure(2 * WINDOW_CYCLES)
    stats = await rig.device.statistics()
    drops = {name: count for name, count in stats.items() if name.startswith("rx_drop") and count}
    cocotb.log.info("%s: %s; drops %s", buffers, beside, drops)
    fed = 1000 / (2 * 40)
    if beside.delivered[GOOD] < 0.98 * fed:
        raise Unfair(f"{beside.delivered[GOOD]:.2f} of {fed:.2f} frames in 1,000 cycles were delivered")


@pytest.mark.sim
@pytest.mark.parametrize("style", QUICK)
def test_shares(run_bench: RunBench, style: str) -> None:
    run_bench(TOP, "victims_keep_their_share", plusargs=[f"+style={style}"], **WIDE.parameters)


@pytest.mark.sim
def test_shares_of_two(run_bench: RunBench) -> None:
    run_bench(TOP, "victims_keep_their_share", plusargs=["+style=honest", "+two"], **WIDE.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("two", [False, True], ids=["one", "two"])
@pytest.mark.parametrize("style", STYLES)
def test_all_shares(run_bench: RunBench, style: str, two: bool) -> None:
    plusargs = [f"+style={style}", "+long", *(["+two"] if two else [])]
    run_bench(TOP, "victims_keep_their_share", plusargs=plusargs, **WIDE.parameters)


@pytest.mark.sim
@pytest.mark.parametrize(
    "buffers", [BAD, *(pytest.param(b, marks=pytest.mark.slow) for b in RECEIVING if b != BAD)]
)
def test_bad_receivers(run_bench: RunBench, buffers: str) -> None:
    run_bench(TOP, "victim_receives_what_is_its", plusargs=[f"+buffers={buffers}"], **WIDE.parameters)


# The judge can fail -------------------------------------------------------------------------------------

ALONE = Goodput(1000, {GOOD: 24.0, SECOND: 24.0, EVIL: 0.0}, {GOOD: 40.0, SECOND: 40.0})
THREE = {GOOD: 32, SECOND: 32, EVIL: 64}


@pytest.mark.parametrize(
    ("sent", "delivered", "fair"),
    [
        ((12.0, 12.0), (40.0, 40.0), True),
        ((11.8, 20.0), (39.5, 40.0), True),
        ((11.7, 20.0), (40.0, 40.0), False),
        ((20.0, 11.7), (40.0, 40.0), False),
        ((12.0, 12.0), (40.0, 39.0), False),
        ((0.0, 0.0), (0.0, 0.0), False),
    ],
)
def test_share_judge(sent: tuple[float, float], delivered: tuple[float, float], fair: bool) -> None:
    pairs = (GOOD, SECOND)
    beside = Goodput(1000, dict(zip(pairs, sent, strict=True)), dict(zip(pairs, delivered, strict=True)))
    if fair:
        judge_share(ALONE, beside, THREE, pairs)
    else:
        with pytest.raises(Unfair):
            judge_share(ALONE, beside, THREE, pairs)
