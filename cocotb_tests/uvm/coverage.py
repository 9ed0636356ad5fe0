# SPDX-License-Identifier: Apache-2.0
"""What a run has drawn and reached: counts by group and bin, and the bins that a long run must reach."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from cocotb_tests.agents.axi_memory import MemoryKnobs
from cocotb_tests.agents.axis import WireKnobs
from cocotb_tests.model.parse_model import Parsed, parse
from cocotb_tests.packed_walk import Chain
from cocotb_tests.received import HEADER
from cocotb_tests.uvm.predictor import Arrival, Sending

TSO4, TSO6 = 1, 4  # gso_type, VIRTIO 1.2 section 5.1.6
LONG_BYTES = 1024

GOALS: dict[str, tuple[str, ...]] = {
    "frame in": (
        *("tcp4", "udp4", "tcp6", "udp6", "icmp", "not ip", "tagged", "fragment", "malformed"),
        *("foreign mac", "group mac", "bad checksum"),
    ),
    "length in": ("beat - 1", "beat", "beat + 1", "long", "minimum"),
    "length out": ("beat - 1", "beat", "beat + 1", "long", "minimum"),
    "steering": ("flow", "listener", "any", "rss", "host", "drop", "several possible"),
    "chain": ("1 part", "2 parts", "3 parts", "table"),
    "asked": ("nothing", "checksum", "tso4", "tso6"),
    "verdict": ("sent", "segmented", "tx_drop_short", "tx_drop_guard_owner", "tx_drop_guard_tuple"),
    "drop": (
        *("rx_drop_bad", "rx_drop_short", "rx_drop_no_buffer", "rx_drop_filter", "rx_drop_queue_error"),
        *("tx_drop_short", "tx_drop_queue_error", "tx_drop_guard_mac", "tx_drop_guard_proto"),
        *("tx_drop_guard_owner", "tx_drop_guard_tuple"),
    ),
    "reset": ("rx busy", "rx stopped", "tx busy", "tx idle", "tx stopped", "device"),
    "stop": (
        *("rx DESC_READ", "rx DATA_WRITE", "rx USED_WRITE", "rx EVENT_READ"),
        *("tx DESC_READ", "tx DATA_READ", "tx USED_WRITE"),
    ),
    "pressure": (
        *("memory stalls", "few reads", "few writes", "interleaved", "slow memory"),
        *("wire stalls", "pauses in frames", "interrupts stall", "ring full", "no buffers"),
    ),
    "setting": (
        *("share", "class", "rate", "moderation", "rss", "windows on", "windows off"),
        *("guard on", "guard off", "insert", "delete", "redirect"),
    ),
}


class Uncovered(AssertionError):
    """Bins stayed empty; the text lists them."""


class Coverage:
    """Counts; a bin that is no goal may be hit, too."""

    def __init__(self, goals: Mapping[str, Iterable[str]] = GOALS) -> None:
        self.goals = {group: tuple(bins) for group, bins in goals.items()}
        self.counts: dict[str, Counter[str]] = {group: Counter() for group in self.goals}

    def hit(self, group: str, what: str, times: int = 1) -> None:
        """Count; KeyError for a group that does not exist."""
        self.counts[group][what] += times

    def waive(self, group: str, *bins: str) -> None:
        """Goals that this build or this test cannot reach."""
        self.goals[group] = tuple(name for name in self.goals[group] if name not in bins)

    def empty(self) -> list[str]:
        """Goals that were not reached."""
        return [f"{g}: {b}" for g, bins in self.goals.items() for b in bins if not self.counts[g][b]]

    def check(self) -> None:
        """Raise Uncovered if a goal was not reached."""
        if empty := self.empty():
            raise Uncovered(f"never reached: {', '.join(empty)}")

    def table(self) -> str:
        """One line a group; a goal that was not reached shows 0."""
        lines = []
        for group, counts in self.counts.items():
            bins = {name: counts[name] for name in self.goals[group]} | dict(sorted(counts.items()))
            lines.append(f"{group:>12} | " + ", ".join(f"{name} {count}" for name, count in bins.items()))
        return "\n".join(lines)

    def write(self, path: Path, **about: object) -> None:
        """Write counts, goals that were missed, and what the run was, as JSON."""
        counts = {group: dict(counts) for group, counts in self.counts.items()}
        path.write_text(json.dumps(about | {"empty": self.empty(), "counts": counts}, indent=2) + "\n")


def length_bin(size: int, beat_bytes: int) -> str:
    """Where a frame's length lies with respect to the bus and to the shortest frame."""
    if size <= 15:
        return "minimum"
    edges = {beat_bytes - 1: "beat - 1", 0: "beat", 1: "beat + 1"}
    return edges.get(size % beat_bytes, "long" if size >= LONG_BYTES else "between")


def frame_bins(found: Parsed, mac: bytes) -> list[str]:
    """What kind of frame it is; several may hold."""
    bins = [
        name
        for name, holds in (
            ("tagged", bool(found.vlans)),
            ("fragment", found.fragment),
            ("malformed", found.malformed),
            ("icmp", found.icmp),
            ("not ip", not found.ip),
            ("bad checksum", found.csum == "bad"),
            ("group mac", bool(found.dst_mac[0] & 1)),
            ("foreign mac", found.dst_mac != mac and not found.dst_mac[0] & 1),
        )
        if holds
    ]
    for name, holds in (("tcp", found.tcp), ("udp", found.udp)):
        if holds:
            bins.append(name + ("6" if found.ipv6 else "4"))
    return bins


class NicCoverage(Coverage):
    """Collects from the judge, the ring monitor and the agents' knobs."""

    def __init__(self, mac: bytes, beat_bytes: int) -> None:
        super().__init__()
        self.mac, self.beat = mac, beat_bytes

    def arrival(self, arrival: Arrival) -> None:
        """A received frame of known fate."""
        for name in frame_bins(parse(arrival.octets), self.mac):
            self.hit("frame in", name)
        self.hit("length in", length_bin(len(arrival.octets), self.beat))
        for outcome in arrival.outcomes:
            for name in outcome.counted & set(GOALS["steering"]):
                self.hit("steering", name)
            if outcome.drop:
                self.hit("steering", "drop")
        if len(arrival.outcomes) > 1:
            self.hit("steering", "several possible")

    def chain(self, chain: Chain, header_bytes: int) -> None:
        """A chain offered for sending."""
        parts = len(chain.elements)
        self.hit("chain", "table" if chain.table else f"{parts} part{'s' if parts > 1 else ''}")
        data = chain.data or b""
        if len(data) < HEADER.size:
            return
        flags, kind, *_ = HEADER.unpack_from(data)
        names = {TSO4: "tso4", TSO6: "tso6", 0: "checksum" if flags & 1 else "nothing"}
        self.hit("asked", names.get(kind & 0x7F, "other"))
        self.hit("length out", length_bin(len(data) - header_bytes, self.beat))

    def fate(self, sending: Sending) -> None:
        """What may become of a chain."""
        for fate in sending.fates:
            self.hit("verdict", fate.drop or ("segmented" if len(fate.frames) > 1 else "sent"))

    def memory(self, knobs: MemoryKnobs) -> None:
        """How host memory behaves at an access."""
        for name, holds in (
            ("memory stalls", knobs.stall > 0),
            ("few reads", knobs.max_reads < 10),
            ("few writes", knobs.max_writes < 10),
            ("interleaved", knobs.interleave > 0),
            ("slow memory", knobs.latency_cycles >= 250),
        ):
            if holds:
                self.hit("pressure", name)

    def wire(self, knobs: WireKnobs) -> None:
        """How the wire behaves at a frame."""
        if knobs.stall:
            self.hit("pressure", "wire stalls")
        if knobs.gap:
            self.hit("pressure", "pauses in frames")

    def statistics(self, stats: Mapping[str, int]) -> None:
        """The device's counters at the end: which reasons for a drop there were."""
        for name, count in stats.items():
            if "_drop_" in name and count:
                self.hit("drop", name, count)
