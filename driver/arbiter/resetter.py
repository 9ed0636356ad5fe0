# SPDX-License-Identifier: Apache-2.0
"""Ends the TCP connections of stacks that are gone, so that each peer sees one reset: no silence, and no
storm.

What the dead stack knew of sequence numbers is in memory that nobody trusts, so the peer is asked: a bare ACK
with numbers that do not fit makes it answer with an ACK that carries its own (RFC 9293 section 3.10.7.4, RFC
5961 section 5). The reset takes its sequence number from there (section 3.10.7.1), so the peer accepts it. A
peer that sends something by itself is answered at once.

If the reset is lost and the peer goes on, it gets another one, a second later at the earliest, RESETS_MAX
together. A peer that only receives would not go on: data of the dead stack that was still under way moves its
window past the reset, and it says no more. So it is asked again after a reset; one that took it answers that
with a reset of its own.

A tuple that was closed in order and lingers (TIME-WAIT) is not asked; a FIN that comes again is acknowledged,
as TIME-WAIT does, and anything else is reset.
"""

from dataclasses import dataclass
from typing import Protocol

from driver.arbiter.addresses import octets
from driver.arbiter.entries import Entry
from driver.arbiter.frames import ACK, FIN, RST, SYN, Packet, Segment, segment, tcp_frame

PROBES_MAX = 4
RESETS_MAX = 3
FIRST_NS = 1_000_000_000  # between two probes at first, doubled each time; between two resets


class Randomness(Protocol):
    """random.Random and the like."""

    def getrandbits(self, k: int, /) -> int: ...


@dataclass(slots=True)
class _Flow:
    """One connection whose stack is gone."""

    entry: Entry
    local: bytes
    remote: bytes
    asked: bool  # the peer is to be asked: the stack died
    probes: int = 0
    resets: int = 0
    next_ns: int = 0  # of the next probe
    quiet_ns: int = 0  # no reset before


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame to send: the destination MAC is still to be found, from the remote address."""

    remote: bytes
    local: bytes
    octets: bytes  # with MACs of zeros


class Resetter:
    """All tuples that linger without a stack. `counts` says what was done."""

    def __init__(self, rng: Randomness) -> None:
        self.counts = {"probes": 0, "resets": 0, "fins_acknowledged": 0, "silenced": 0}
        self._rng = rng
        self._flows: dict[int, _Flow] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def start(self, entry: Entry, now_ns: int, *, dead: bool) -> None:
        """Take care of a lingering TCP flow; dead: its stack did not close it."""
        local, remote = octets(entry.family, entry.local), octets(entry.family, entry.remote)
        assert local is not None and remote is not None
        self._flows[entry.token] = _Flow(entry, local, remote, dead, next_ns=now_ns)

    def stop(self, token: int) -> None:
        """The tuple is free, or somebody has it again."""
        self._flows.pop(token, None)

    def next_deadline_ns(self) -> int | None:
        """When on_timer wants to be called; None if nobody is to be asked."""
        return min((flow.next_ns for flow in self._flows.values() if self._asks(flow)), default=None)

    @staticmethod
    def _asks(flow: _Flow) -> bool:
        return flow.asked and flow.resets < RESETS_MAX and flow.probes < PROBES_MAX

    def on_timer(self, now_ns: int) -> list[Answer]:
        """Ask the peers whose time has come."""
        answers = []
        for flow in self._flows.values():
            if self._asks(flow) and flow.next_ns <= now_ns:
                flow.next_ns = now_ns + (FIRST_NS << flow.probes)
                flow.probes += 1
                self.counts["probes"] += 1
                seq, ack = self._rng.getrandbits(32), self._rng.getrandbits(32)
                answers.append(self._answer(flow, seq, ack, ACK))
        return answers

    def on_frame(self, token: int, frame: bytes, packet: Packet, now_ns: int) -> tuple[list[Answer], bool]:
        """A frame of a lingering tuple came: what to send, and whether the rest may be dropped unseen from
        now on.
        """
        flow = self._flows.get(token)
        got = segment(frame, packet)
        if flow is None or got is None or flow.resets == RESETS_MAX:
            return [], False
        if got.flags & RST:  # the peer has ended it; a reset is never answered by one
            return [], self._silence(flow)
        if not flow.asked and got.flags & FIN and got.flags & ACK:
            self.counts["fins_acknowledged"] += 1
            return [self._answer(flow, got.ack, got.next_seq, ACK)], False
        if now_ns < flow.quiet_ns:
            return [], False
        flow.quiet_ns = flow.next_ns = now_ns + FIRST_NS
        self.counts["resets"] += 1
        last = flow.resets == RESETS_MAX - 1
        flow.resets += 1
        return [self._reset(flow, got)], last and self._silence(flow)

    def _silence(self, flow: _Flow) -> bool:
        self.counts["silenced"] += 1
        flow.resets = RESETS_MAX
        return True

    def _reset(self, flow: _Flow, got: Segment) -> Answer:
        """RFC 9293 section 3.10.7.1: what a CLOSED connection answers."""
        if got.flags & ACK and not got.flags & SYN:
            return self._answer(flow, got.ack, 0, RST)
        return self._answer(flow, got.ack if got.flags & ACK else 0, got.next_seq, RST | ACK)

    def _answer(self, flow: _Flow, seq: int, ack: int, flags: int) -> Answer:
        entry = flow.entry
        ends, peer = (flow.local, entry.local_port), (flow.remote, entry.remote_port)
        return Answer(flow.remote, flow.local, tcp_frame((bytes(6), bytes(6)), ends, peer, seq, ack, flags))
