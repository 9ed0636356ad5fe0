# SPDX-License-Identifier: Apache-2.0
"""Conservation: no frame comes from nowhere or gets lost uncounted, on either side of the NIC.

The equations hold when nothing is in flight, for all counters since the hard reset or for the difference
of two quiet moments, read as a snapshot. Where a device reset has dropped something, two of them are bounds:
frames may have been thrown out before they were steered, and the first segments of a chain may have left.
Chains that a device reset ends (tx_drop_reset) are not in tx_chains.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from driver.registers import QueueStat, Stat
from driver.stats import Statistics

DOOR = (Stat.RX_DROP_BAD, Stat.RX_DROP_SHORT, Stat.RX_DROP_LONG, Stat.RX_DROP_OVERFLOW)
STEERED = (
    Stat.RX_STEER_FLOW,
    Stat.RX_STEER_LISTENER,
    Stat.RX_STEER_ANY,
    Stat.RX_STEER_RSS,
    Stat.RX_STEER_HOST,
)
RX_DROPS = tuple(stat for stat in Stat if stat.name.startswith("RX_DROP_"))
TX_DROPS = tuple(stat for stat in Stat if stat.name.startswith("TX_DROP_"))


@dataclass(frozen=True, slots=True)
class Violation:
    """An equation that does not hold."""

    equation: str  # in names of counters
    left: int
    right: int

    def __str__(self) -> str:
        return f"{self.equation}: {self.left:,} is not {self.right:,}"


def violations(stats: Statistics, *, all_queues: bool = True) -> list[Violation]:
    """The equations that do not hold; empty is well.

    all_queues: `stats` has every virtqueue that was ever used, so the sums over queues are checked too.
    """
    equations = [*_device(stats)]
    if all_queues:
        equations += _queues(stats)
    return [Violation(*equation) for equation in equations if equation[1] != equation[2]]


def _device(stats: Statistics) -> Iterator[tuple[str, int, int]]:
    entered = stats.total(Stat.RX_WIRE_FRAMES)
    yield (
        "rx_wire_frames = rx_frames + rx_drop_*",
        entered,
        stats.total(Stat.RX_FRAMES) + _sum(stats, RX_DROPS),
    )
    admitted, steered = entered - _sum(stats, DOOR), _sum(stats, STEERED)
    if not 0 <= admitted - steered <= stats.total(Stat.RX_DROP_RESET):
        yield (
            "rx_wire_frames - rx_drop_bad - short - long - overflow = rx_steer_*",
            admitted,
            steered,
        )
    # A chain that is cut into segments is one chain and many frames.
    plain = stats.total(Stat.TX_FRAMES) - stats.total(Stat.TX_TSO_SEGMENTS)
    sent = plain + stats.total(Stat.TX_TSO_FRAMES)
    ended = sent + _sum(stats, TX_DROPS) - stats.total(Stat.TX_DROP_RESET)
    if not (stats.total(Stat.TX_DROP_RESET) and stats.total(Stat.TX_CHAINS) <= ended):
        yield (
            "tx_chains = tx_frames - tx_tso_segments + tx_tso_frames + tx_drop_* - tx_drop_reset",
            stats.total(Stat.TX_CHAINS),
            ended,
        )


def _queues(stats: Statistics) -> Iterator[tuple[str, int, int]]:
    for side, frames, size in (
        ("rx", Stat.RX_FRAMES, Stat.RX_BYTES),
        ("tx", Stat.TX_FRAMES, Stat.TX_BYTES),
    ):
        for total, kind in ((frames, QueueStat.FRAMES), (size, QueueStat.BYTES)):
            name = kind.name.lower()
            yield f"{side}_{name} = all {side}<n>_{name}", stats.total(total), _over(stats, side, kind)
    yield (
        "tx_drop_* - tx_drop_reset = all tx<n>_drops",
        _sum(stats, TX_DROPS) - stats.total(Stat.TX_DROP_RESET),
        _over(stats, "tx", QueueStat.DROPS),
    )
    behind_the_door = _sum(stats, RX_DROPS) - _sum(stats, DOOR) - stats.total(Stat.RX_DROP_RESET)
    yield (
        "rx_drop_* - bad - short - long - overflow - reset = all rx<n>_drops",
        behind_the_door,
        _over(stats, "rx", QueueStat.DROPS),
    )
    fetches = _over(stats, "rx", QueueStat.DESC_FETCHES) + _over(stats, "tx", QueueStat.DESC_FETCHES)
    yield "desc_fetches = all <n>_desc_fetches", stats.total(Stat.DESC_FETCHES), fetches


def _sum(stats: Statistics, which: tuple[Stat, ...]) -> int:
    return sum(stats.total(stat) for stat in which)


def _over(stats: Statistics, side: str, kind: QueueStat) -> int:
    """The sum of a counter over all queues of one side."""
    tail = f"_{kind.name.lower()}"
    return sum(
        value
        for name, value in stats.items()
        if name.startswith(side) and name.endswith(tail) and name[2 : -len(tail)].isdigit()
    )
