# SPDX-License-Identifier: Apache-2.0
"""Counters: names, snapshots, and the conservation equations, each with a way to break it."""

import pytest

from driver.conservation import RX_DROPS, TX_DROPS, violations
from driver.nic import TupeloNic
from driver.registers import QueueStat, Stat
from driver.stats import Statistics, StatSnapshot, queue_name
from driver.tests.model import ModelBus, run

SOUND = {
    "rx_wire_frames": 100, "rx_drop_bad": 3, "rx_drop_long": 2, "rx_drop_filter": 5, "rx_drop_no_buffer": 10,
    "rx_frames": 80, "rx_bytes": 8000, "rx0_frames": 50, "rx1_frames": 30, "rx0_bytes": 5000,
    "rx1_bytes": 3000, "rx0_drops": 15,
    "rx_steer_flow": 40, "rx_steer_listener": 10, "rx_steer_any": 5, "rx_steer_rss": 30, "rx_steer_host": 10,
    "tx_chains": 49, "tx_drop_guard_tuple": 4, "tx_tso_frames": 2, "tx_tso_segments": 24,
    "tx_frames": 67, "tx_bytes": 9000, "tx0_frames": 67, "tx0_bytes": 9000, "tx1_drops": 4,
    "desc_fetches": 9, "rx1_desc_fetches": 4, "tx0_desc_fetches": 5,
}  # fmt: skip


def stats_of(**changes: int) -> Statistics:
    names = [stat.name.lower() for stat in Stat]
    names += [f"{queue_name(index)}_{stat.name.lower()}" for index in range(4) for stat in QueueStat]
    return Statistics({**dict.fromkeys(names, 0), **SOUND, **changes}, 0)


def test_what_adds_up_has_no_violation() -> None:
    assert violations(stats_of()) == []
    assert violations(Statistics(dict.fromkeys(stats_of(), 0), 0)) == []


@pytest.mark.parametrize(
    ("name", "equation"),
    [
        ("rx_wire_frames", "rx_wire_frames = rx_frames + rx_drop_*"),
        ("rx_drop_filter", "rx_wire_frames = rx_frames + rx_drop_*"),
        ("rx_steer_any", "rx_wire_frames - rx_drop_bad - short - long - overflow = rx_steer_*"),
        ("tx_chains", "tx_chains = tx_frames - tx_tso_segments + tx_tso_frames + tx_drop_* - tx_drop_reset"),
        (
            "tx_tso_segments",
            "tx_chains = tx_frames - tx_tso_segments + tx_tso_frames + tx_drop_* - tx_drop_reset",
        ),
        ("rx1_frames", "rx_frames = all rx<n>_frames"),
        ("tx0_bytes", "tx_bytes = all tx<n>_bytes"),
        ("tx1_drops", "tx_drop_* - tx_drop_reset = all tx<n>_drops"),
        ("rx0_drops", "rx_drop_* - bad - short - long - overflow - reset = all rx<n>_drops"),
        ("rx0_desc_fetches", "desc_fetches = all <n>_desc_fetches"),
    ],
)
def test_each_equation_is_watched(name: str, equation: str) -> None:
    found = violations(stats_of(**{name: SOUND.get(name, 0) + 1}))
    assert equation in {one.equation for one in found}
    assert all(" is not " in str(one) for one in found)


def test_every_drop_reason_is_in_an_equation() -> None:
    assert {stat.name for stat in (*RX_DROPS, *TX_DROPS)} == {
        stat.name for stat in Stat if "_DROP_" in stat.name
    }
    for stat in {*RX_DROPS, *TX_DROPS} - {Stat.TX_DROP_RESET}:  # of those the rings alone know how many
        name = stat.name.lower()
        assert violations(stats_of(**{name: SOUND.get(name, 0) + 1}))


def test_a_device_reset_makes_bounds_of_two_equations() -> None:
    assert not violations(stats_of(rx_wire_frames=102, rx_drop_reset=2))  # not steered yet
    assert not violations(stats_of(rx_wire_frames=102, rx_drop_reset=2, rx_steer_host=12))
    assert violations(stats_of(rx_wire_frames=101, rx_drop_reset=2))
    assert violations(stats_of(rx_wire_frames=102, rx_drop_reset=2, rx_steer_host=13))
    torn = {"tx_frames": 70, "tx0_frames": 70}  # three segments of a chain that was dropped
    assert violations(stats_of(**torn))
    assert not violations(stats_of(**torn, tx_drop_reset=1))
    assert violations(stats_of(tx_frames=66, tx0_frames=66, tx_drop_reset=1))


def test_sums_over_queues_need_all_queues() -> None:
    broken = stats_of(rx1_frames=0)
    assert violations(broken) and not violations(broken, all_queues=False)


def test_a_snapshot_is_taken_before_the_first_read_and_released_after_the_last() -> None:
    bus = ModelBus()
    nic = TupeloNic(bus)
    run(nic.start())
    bus.counters[int(Stat.RX_STEER_FLOW)] = 77
    bus.log.clear()
    stats = run(nic.statistics(snapshot=True))
    assert stats["rx_steer_flow"] == stats.total(Stat.RX_STEER_FLOW) == 77
    assert bus.snapshots == [1, 0]
    assert bus.log[0][0] == bus.log[-1][0] == "w" and all(kind == "r" for kind, *_ in bus.log[1:-1])
    run(nic.statistics())
    assert bus.snapshots == [1, 0]


def test_a_snapshot_is_released_after_an_error() -> None:
    bus = ModelBus()

    async def fail() -> None:
        async with StatSnapshot(bus):
            raise KeyError

    with pytest.raises(KeyError):
        run(fail())
    assert bus.snapshots == [1, 0]
