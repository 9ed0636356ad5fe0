# SPDX-License-Identifier: Apache-2.0
"""What wire and rings showed of a NIC's frames, and whether its counters say the same.

The counts come from the pins: frames that entered and left, used descriptors as they were written to host
memory. Nothing here is read from the device but the counters that are judged.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cocotb_tests.agents.bar import BarAccess
from cocotb_tests.bar_watch import BarWatch, QueueSetup
from cocotb_tests.frame_rules import MAX_FRAME, MIN_FRAME
from cocotb_tests.packed_walk import DESC
from cocotb_tests.received import Features
from driver.conservation import TX_DROPS, violations
from driver.registers import QueueStat, Stat
from driver.stats import Statistics, queue_name

HOST_TSO4, HOST_TSO6 = 11, 12  # VIRTIO 1.2 section 5.1.3
USED_HALF = 0xFF00  # strobes of len, id and flags in a 16-byte slot
# Counters of a queue that the equations need.
QUEUE_STATS = (
    *(QueueStat.FRAMES, QueueStat.BYTES, QueueStat.DROPS),
    *(QueueStat.USED_DESCRIPTORS, QueueStat.DESC_FETCHES),
)


@dataclass(slots=True)
class Ledger:
    """Feed it what the pins show; `problems` compares."""

    seen: Counter[str] = field(default_factory=Counter)  # what global counters must say, by their names
    used: Counter[int] = field(default_factory=Counter)  # used descriptors in each ring
    received_bytes: int = 0  # sum of the lengths of used receive descriptors
    headers: set[int] = field(default_factory=set)  # sizes of the headers that are in them
    resets: int = 0  # device resets while DRIVER_OK was set
    segments: bool = False  # the driver has asked for segmentation once
    _features: Features = field(default_factory=Features)
    _rings: dict[int, tuple[int, int]] = field(default_factory=dict)  # queue -> first byte, end
    _bar: BarWatch = field(init=False)

    def __post_init__(self) -> None:
        self._bar = BarWatch(self._enable, lambda queue, done: None, self._reset, lambda queue: None)

    # Events ---------------------------------------------------------------------------------------------

    def on_bar(self, access: BarAccess) -> None:
        """A BAR access took place."""
        self._bar.access(access)
        self._features.access(access)
        self.segments |= HOST_TSO4 in self._features or HOST_TSO6 in self._features

    def on_wire_in(self, frame: bytes, bad: bool) -> None:
        """A whole frame entered the NIC."""
        self.seen["rx_wire_frames"] += 1
        if bad:
            self.seen["rx_drop_bad"] += 1
        elif len(frame) > MAX_FRAME:
            self.seen["rx_drop_long"] += 1
        elif len(frame) < MIN_FRAME:
            self.seen["rx_drop_short"] += 1

    def on_wire_out(self, frame: bytes) -> None:
        """A whole frame left the NIC."""
        self.seen["tx_frames"] += 1
        self.seen["tx_bytes"] += len(frame)

    def on_write(self, addr: int, data: bytes, strobes: int, queue: int, resp: int) -> None:
        """A write of the device became visible, or was refused."""
        low, end = self._rings.get(queue, (0, 0))
        if not (addr < end and low < addr + len(data)):
            return
        for offset in range(0, len(data), DESC.size):
            if strobes >> offset & USED_HALF == USED_HALF and low <= addr + offset < end:
                self.used[queue] += 1
                if not queue & 1:
                    self.received_bytes += DESC.unpack_from(data, offset)[1]
                    self.headers.add(self._features.header_bytes)

    def _enable(self, queue: int, setup: QueueSetup) -> None:
        self._rings[queue] = (setup.desc, setup.desc + DESC.size * setup.size_slots)

    def _reset(self, done: bool) -> None:
        if not done and self._bar.driver_ok:
            self.resets += 1

    # Verdict --------------------------------------------------------------------------------------------

    def problems(self, stats: Statistics, queues: int) -> list[str]:
        """Where the counters and the pins differ, and which equations of driver.conservation do not hold.

        stats: all global counters and QUEUE_STATS of all `queues` virtqueues, since the hard reset.
        """
        found = [str(violation) for violation in violations(stats)]
        pairs = [*self._on_the_wire(stats), *self._in_the_rings(stats, range(queues))]
        if not self.segments:  # then a device reset tears no chain apart
            left = stats.total(Stat.TX_FRAMES) + sum(map(stats.total, TX_DROPS))
            reset = stats.total(Stat.TX_DROP_RESET)
            pairs.append(("tx_frames + tx_drop_*, tx_chains", left - reset, stats.total(Stat.TX_CHAINS)))
        return found + [f"{name}: {left} is not {right}" for name, left, right in pairs if left != right]

    def _on_the_wire(self, stats: Statistics) -> Iterator[tuple[str, int, int]]:
        for name in ("rx_wire_frames", "tx_frames", "tx_bytes"):
            yield f"{name}, the wire", stats[name], self.seen[name]
        for name in ("rx_drop_bad", "rx_drop_short", "rx_drop_long"):
            # A frame that comes in during a device reset is dropped by it, whatever else is wrong with it.
            if not self.resets or stats[name] > self.seen[name]:
                yield f"{name}, the wire", stats[name], self.seen[name]

    def _in_the_rings(self, stats: Statistics, queues: Iterable[int]) -> Iterator[tuple[str, int, int]]:
        used = [0, 0]  # receive, transmit
        for queue in queues:
            used[queue & 1] += self.used[queue]
            told = stats.queue(queue, QueueStat.USED_DESCRIPTORS)
            yield f"{queue_name(queue)}_used_descriptors, the ring", told, self.used[queue]
        received = stats.total(Stat.RX_BUFFERS)
        ended = stats.total(Stat.TX_CHAINS) - stats.total(Stat.TX_DROP_QUEUE_ERROR)
        # A device reset forgets used descriptors that have not been written yet.
        if not self.resets or received < used[0]:
            yield "rx_buffers, used descriptors in receive rings", received, used[0]
        if len(self.headers) == 1:
            size = stats.total(Stat.RX_BYTES) + min(self.headers) * stats.total(Stat.RX_FRAMES)
            if not self.resets or size < self.received_bytes:
                yield "rx_bytes and headers of rx_frames, lengths in receive rings", size, self.received_bytes
        if not self.resets or ended < used[1]:
            yield "tx_chains - tx_drop_queue_error, used descriptors in transmit rings", ended, used[1]
