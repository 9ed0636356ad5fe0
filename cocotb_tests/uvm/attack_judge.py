# SPDX-License-Identifier: Apache-2.0
"""Judges of an attack, fed with what the pins showed: accesses to host memory, and frames that left.

Neither knows what the attacker tried. The windows are those that the privileged side set, the tables those
that it wrote.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from cocotb_tests.agents.host_view import strobe_runs
from cocotb_tests.model.guard_model import FRAGMENT, GuardModel, Request, asked
from cocotb_tests.model.parse_model import WINDOW, Parsed, number, parse
from cocotb_tests.model.steer_model import NONE, QUEUE, SteerModel


class Escaped(AssertionError):
    """The attacker reached something that is not its own; the text lists what."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes low..last, and what may be done there."""

    low: int
    last: int
    read: bool
    write: bool

    def holds(self, low: int, last: int) -> bool:
        return self.low <= low and last <= self.last


@dataclass(slots=True)
class WindowJudge:
    """No access with these queues' numbers may lie outside the ranges.

    A read takes whole beats of the bus: each must hold a byte that may be read. A write is
    judged by its strobes.
    """

    queues: Collection[int]
    beat_bytes: int
    ranges: list[Range] = field(default_factory=list)
    escapes: list[str] = field(default_factory=list)
    reads: int = 0
    writes: int = 0

    def on_read(self, addr: int, size: int, queue: int, resp: int) -> None:
        """A read was asked for."""
        if queue not in self.queues:
            return
        self.reads += 1
        beat = self.beat_bytes
        for start in range(addr, addr + size, beat):
            if not any(r.read and r.low < start + beat and start <= r.last for r in self.ranges):
                self._escape(f"queue {queue}: read of {start:#x}, in a burst of {size} from {addr:#x}")
                return

    def on_write(self, addr: int, data: bytes, strobes: int, queue: int, resp: int) -> None:
        """A write becomes visible."""
        if queue not in self.queues:
            return
        self.writes += 1
        for start, end in strobe_runs(strobes):
            low, last = addr + start, addr + end - 1
            if not any(r.write and r.holds(low, last) for r in self.ranges):
                self._escape(f"queue {queue}: write of {low:#x}..{last:#x}: {data[start:end][:16].hex()}")

    def _escape(self, text: str) -> None:
        if len(self.escapes) < 20:
            self.escapes.append(text)

    def check(self) -> None:
        if self.escapes:
            raise Escaped("\n".join(self.escapes))


@dataclass(slots=True)
class WireJudge:
    """A frame on the wire is the next of the innocent, or one that the attacker may send."""

    mac: bytes
    tables: SteerModel
    pair: int
    escapes: list[str] = field(default_factory=list)
    own: int = 0  # frames of the attacker that left
    fragments: int = 0

    def on_attacker_frame(self, frame: bytes) -> None:
        """A frame that is nobody else's left the NIC."""
        self.own += 1
        guard = GuardModel(self.mac, self.tables.lookup)
        counter, rule, found = guard.judge(self.pair, True, frame, Request())
        if counter == FRAGMENT and found.later and self.owns_address(found):
            # Its predecessor may have left long ago, or never: here the address decides.
            self.fragments += 1
        elif counter and len(self.escapes) < 20:
            self.escapes.append(f"{rule}: {len(frame)} octets {frame[:64].hex()}")

    def owns_address(self, found: Parsed) -> bool:
        """Whether the attacker may send this protocol from this address to anybody or to this peer."""
        tables, source = self.tables, number(found.src)
        family = int(found.ipv6)
        for flow, info in tables.flows.slots.values():
            ends = (flow.ipv6, flow.proto, flow.local, flow.remote)
            wanted = (family, found.proto, source, number(found.dst))
            if (info.target, info.pair) == (QUEUE, self.pair) and ends == wanted:
                return True
        ours = (family, source) in tables.local.values()
        for listener, info in tables.listeners.slots.values():
            same = (listener.ipv6, listener.proto) == (family, found.proto)
            here = listener.local == source or (listener.local is None and ours)
            if (info.target, info.pair) == (QUEUE, self.pair) and same and here:
                return True
        return False

    def check(self) -> None:
        if self.escapes:
            raise Escaped("\n".join(self.escapes))


def owner(frame: bytes, tables: SteerModel) -> int | None:
    """Queue pair that may send a frame, by the tables; None: nobody's."""
    found = parse(frame[:WINDOW], goes_on=len(frame) > WINDOW)
    if not (found.tcp or found.udp):
        return None
    answer = tables.lookup(asked(found))
    return answer.pair if answer.match != NONE and answer.target == QUEUE else None


def unchanged(before: bytes, after: bytes, base: int, ranges: Iterable[Range]) -> list[str]:
    """Return the places outside the writable ranges where memory from `base` on has changed."""
    allowed = bytearray(len(before))
    for r in ranges:
        if r.write:
            low, last = max(r.low, base), min(r.last, base + len(before) - 1)
            if low <= last:
                allowed[low - base : last - base + 1] = b"\1" * (last - low + 1)
    places = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b and not allowed[n]]
    return [f"{base + n:#x}: {before[n]:#04x} became {after[n]:#04x}" for n in places[:20]]
