# SPDX-License-Identifier: Apache-2.0
"""The comparison at the end of each run on the fast harness, on figures of its own."""

import pytest

from driver.registers import QueueStat, Stat
from driver.stats import Statistics, queue_name
from sim.fast_audit import differences

NAMES = [
    *(stat.name.lower() for stat in Stat),
    *(f"{queue_name(index)}_{stat.name.lower()}" for index in range(2) for stat in QueueStat),
]
SOUND = {
    "rx_wire_frames": 7, "rx_drop_short": 2, "rx_drop_no_buffer": 1, "rx_frames": 4, "rx_bytes": 400,
    "rx_steer_host": 5, "rx0_frames": 4, "rx0_bytes": 400, "rx0_drops": 1,
    "tx_chains": 3, "tx_drop_long": 1, "tx_frames": 2, "tx_bytes": 120, "tx0_frames": 2, "tx0_bytes": 120,
    "tx0_drops": 1,
}  # fmt: skip
WIRE = {"rx_frames": 7, "rx_bytes": 500, "tx_frames": 2, "tx_bytes": 120, "dropped": 0, "underruns": 0}


def told(**changes: int) -> Statistics:
    return Statistics({**dict.fromkeys(NAMES, 0), **SOUND, **changes}, 0)


def test_books_that_balance() -> None:
    assert differences(told(), WIRE) == []


@pytest.mark.parametrize("name", SOUND)
def test_each_counter_is_watched(name: str) -> None:
    for by in (1, -1):
        assert differences(told(**{name: SOUND[name] + by}), WIRE)


@pytest.mark.parametrize("name", ["rx_frames", "tx_frames", "tx_bytes"])
def test_each_count_of_the_wire_is_watched(name: str) -> None:
    assert differences(told(), {**WIRE, name: WIRE[name] + 1})
