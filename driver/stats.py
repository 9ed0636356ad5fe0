# SPDX-License-Identifier: Apache-2.0
"""The device's counters under one flat set of names, as `ethtool -S` shows them.

Global ones have their register's name (`tx_frames`, `rx_drop_no_buffer`), those of a virtqueue its
direction and pair before it (`rx0_frames`, `tx3_kicks`).
"""

from collections.abc import Iterable, Iterator, Mapping

from driver.bus import Bus
from driver.registers import STAT, STAT_QUEUE, VENDOR, QueueStat, Reg, Stat


def queue_name(index: int) -> str:
    """`rx<p>` or `tx<p>`: the virtqueue's direction and pair (VIRTIO 1.2 section 5.1.2)."""
    return f"{'tx' if index & 1 else 'rx'}{index // 2}"


class Statistics(Mapping[str, int]):
    """One sweep over the counters: name -> value."""

    def __init__(self, values: Mapping[str, int], now_ns: int) -> None:
        self._values = dict(values)
        self.now_ns = now_ns  # bus time at the end of the sweep

    def __getitem__(self, name: str) -> int:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self._values.items() if value)
        return f"Statistics({shown})"

    def total(self, stat: Stat) -> int:
        """A global counter by its typed name."""
        return self._values[stat.name.lower()]

    def queue(self, index: int, stat: QueueStat) -> int:
        """A counter of virtqueue `index`."""
        return self._values[f"{queue_name(index)}_{stat.name.lower()}"]

    def since(self, older: "Statistics") -> "Statistics":
        """What was counted after `older`; 64-bit counters may have wrapped."""
        values = {name: value - older.get(name, 0) & 0xFFFF_FFFF_FFFF_FFFF for name, value in self.items()}
        return Statistics(values, self.now_ns)

    def rx_drops(self) -> dict[str, int]:
        """Frames that entered and were not delivered, by reason; only reasons that happened."""
        return {name: value for name, value in self.items() if name.startswith("rx_drop_") and value}

    def tx_drops(self) -> dict[str, int]:
        """Frames given to the device and not sent, by reason; only reasons that happened."""
        return {name: value for name, value in self.items() if name.startswith("tx_drop_") and value}


class StatSnapshot:
    """`async with StatSnapshot(bus): ...` - reads inside give the counters of the moment of entry."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def __aenter__(self) -> None:
        await self._bus.write(VENDOR.STAT_SNAPSHOT.offset_bytes, VENDOR.STAT_SNAPSHOT_HOLD.put(1))

    async def __aexit__(self, *failure: object) -> None:
        await self._bus.write(VENDOR.STAT_SNAPSHOT.offset_bytes, VENDOR.STAT_SNAPSHOT_HOLD.put(0))


async def read_statistics(bus: Bus, queues: Iterable[int], *, snapshot: bool = False) -> Statistics:
    """Sweep the global counters and those of these virtqueues; two BAR reads each.

    snapshot: all values are of one moment; otherwise counters run on between the reads.
    """
    if snapshot:
        async with StatSnapshot(bus):
            return await read_statistics(bus, queues)
    values: dict[str, int] = {}
    for stat in Stat:
        values[stat.name.lower()] = await _read_counter(bus, getattr(STAT, stat.name))
    for index in queues:
        for queue_stat in QueueStat:
            reg = getattr(STAT_QUEUE, queue_stat.name).at(index)
            values[f"{queue_name(index)}_{queue_stat.name.lower()}"] = await _read_counter(bus, reg)
    return Statistics(values, bus.now_ns())


async def _read_counter(bus: Bus, reg: Reg) -> int:
    low = await bus.read(reg.lo.offset_bytes)  # latches the high half
    return low | await bus.read(reg.hi.offset_bytes) << 32
