# SPDX-License-Identifier: Apache-2.0
"""Which queue a frame may come from while tables and RSS change: the reference models, with a past.

A change is a new version of what the models say, from the moment before its first register write; it is
settled when the device has done it. A frame may be decided by any version from the one that was settled when
it was offered to the last that had begun when it, or a later frame, came out: frames are decided in order.
No code of driver/ is in here.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from cocotb_tests.model import classify_model as classify
from cocotb_tests.model.classify_model import Outcome, Rss
from cocotb_tests.model.steer_model import Answer, Info, Key, Listener, SteerModel, Table, Tuple

SERIAL_BYTES = 8
DROPPED = -1  # instead of a queue pair


class JudgeError(AssertionError):
    """A frame was lost, changed, made up, or came out of a queue that no version gave it."""


@dataclass
class PastTable(Table[Key]):
    """A table that still knows what it held: find() answers as of version `at`."""

    at: int = 0
    past: dict[Key, list[tuple[int, Info | None]]] = field(default_factory=dict)

    def note(self, version: int, key: Key, info: Info | None) -> None:
        self.past.setdefault(key, []).append((version, info))

    def find(self, key: Key) -> Info | None:
        for version, info in reversed(self.past.get(key, ())):
            if version <= self.at:
                return info
        return None


@dataclass
class History:
    """Everything that decides about a received frame, at every version."""

    mac: bytes
    pairs: int
    begun: int = 0
    settled: int = 0
    flows: PastTable[Tuple] = field(default_factory=PastTable)
    listeners: PastTable[Listener] = field(default_factory=PastTable)
    rss: list[Rss] = field(default_factory=lambda: [Rss()])
    rss_since: list[int] = field(default_factory=lambda: [0])
    model: SteerModel = field(default_factory=SteerModel)

    def __post_init__(self) -> None:
        self.model = SteerModel(True, self.flows, self.listeners)

    def flow(self, key: Tuple, info: Info | None) -> None:
        """A change of a flow begins; None: it goes."""
        self.begun += 1
        self.flows.note(self.begun, key, info)

    def listener(self, key: Listener, info: Info | None) -> None:
        self.begun += 1
        self.listeners.note(self.begun, key, info)

    def spreading(self, *steps: Rss) -> None:
        """A change of RSS begins, with these states one after the other."""
        for step in steps:
            self.begun += 1
            self.rss.append(step)
            self.rss_since.append(self.begun)

    def settle(self) -> None:
        """The device has done all that has begun."""
        self.settled = self.begun

    def allowed(self, frame: bytes, first: int, last: int) -> dict[int, Outcome]:
        """Pairs (or DROPPED) that versions first..last give a frame, each with the earliest one's outcome."""
        asked = classify.question(frame, self.mac)
        ways: dict[tuple[Answer | None, int], None] = {}
        for version in range(first, last + 1):
            ways.setdefault((self._answer(asked, version), bisect_right(self.rss_since, version) - 1))
        found: dict[int, Outcome] = {}
        for answer, number in ways:
            said = None
            if answer is not None:
                said = classify.Answer(answer.match, answer.target, answer.pair, bool(answer.local_ok))
            outcome = classify.classify(frame, self.mac, self.pairs, self.rss[number], said)
            found.setdefault(DROPPED if outcome.drop else outcome.pair, outcome)
        return found

    def _answer(self, asked: classify.Question | None, version: int) -> Answer | None:
        if asked is None:
            return None
        self.flows.at = self.listeners.at = version
        local, remote = int.from_bytes(asked.local, "big"), int.from_bytes(asked.remote, "big")
        ports = asked.local_port, asked.remote_port
        return self.model.lookup(Tuple(int(asked.ipv6), asked.proto, local, remote, *ports))


@dataclass
class _Sent:
    frame: bytes
    first: int  # version settled when it was offered
    pairs: Sequence[int] = ()  # where it may come out; empty: not decided yet
    pair: int | None = None  # where it came out


@dataclass
class Judge:
    """Holds what comes out of the queues against what went into the wire."""

    history: History
    sent: list[_Sent] = field(default_factory=list)  # by serial number
    open: int = 0  # serial numbers from here on are not decided
    arrived: int = 0
    free: int = 0  # frames that could have gone two ways
    malformed: int = 0
    fragments: int = 0
    counted: dict[str, int] = field(default_factory=dict)  # what the models count for all others
    last: dict[int, int] = field(default_factory=dict)  # serial number seen last, by pair

    def offer(self, frames: Sequence[bytes]) -> None:
        """These go into the wire now; the last bytes of each are its serial number."""
        for frame in frames:
            if int.from_bytes(frame[-SERIAL_BYTES:], "big") != len(self.sent):
                raise JudgeError(f"frame {len(self.sent)} carries another serial number")
            self.sent.append(_Sent(frame, self.history.settled))

    def take(self, arrivals: Sequence[tuple[int, bytes]]) -> None:
        """These came out, (pair, frame), in the order of each pair, since the last call."""
        serials = [self._serial(pair, frame) for pair, frame in arrivals]
        self._decide(max(serials, default=-1) + 1)
        for serial, (pair, _) in zip(serials, arrivals, strict=True):
            entry = self.sent[serial]
            if entry.pair is not None:
                raise JudgeError(f"frame {serial} came twice, from pairs {entry.pair} and {pair}")
            if pair not in entry.pairs:
                raise JudgeError(f"frame {serial} came from pair {pair}, not {self._said(serial)}")
            if serial < self.last.get(pair, -1):
                raise JudgeError(f"frame {serial} came behind {self.last[pair]} in pair {pair}")
            entry.pair = pair
            self.last[pair] = serial
            self.arrived += 1

    def finish(self) -> int:
        """All that will come has come; return how many frames a filter dropped."""
        self._decide(len(self.sent))
        for serial, entry in enumerate(self.sent):
            if entry.pair is None and DROPPED not in entry.pairs:
                raise JudgeError(f"frame {serial} was lost, it belongs to {self._said(serial)}")
        return len(self.sent) - self.arrived

    def _serial(self, pair: int, frame: bytes) -> int:
        serial = int.from_bytes(frame[-SERIAL_BYTES:], "big")
        if serial >= len(self.sent) or self.sent[serial].frame != frame:
            raise JudgeError(f"pair {pair}: a frame that was not sent: {frame[:80].hex()}")
        return serial

    def _decide(self, end: int) -> None:
        """The device has decided about all frames before `end`."""
        for serial in range(self.open, end):
            entry = self.sent[serial]
            found = self.history.allowed(entry.frame, entry.first, self.history.begun)
            entry.pairs = tuple(found)
            names = next(iter(found.values())).counted
            self.malformed += "malformed" in names
            self.fragments += "fragment" in names
            if len(found) > 1:
                self.free += 1
            else:
                for name in names:
                    self.counted[name] = self.counted.get(name, 0) + 1
        self.open = max(self.open, end)

    def _said(self, serial: int) -> str:
        entry = self.sent[serial]
        names = ["the filter" if pair == DROPPED else f"pair {pair}" for pair in entry.pairs]
        versions = f"versions from {entry.first} on, now {self.history.begun}"
        return f"{' or '.join(names)} ({versions}): {entry.frame[:80].hex()}"
