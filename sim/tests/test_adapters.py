# SPDX-License-Identifier: Apache-2.0
"""The pump and the wire's carrier, on fakes whose waits move a fake clock and never suspend."""

from collections.abc import Sequence
from itertools import pairwise

from sim.adapters import WireCarrier, pump
from sim.fast_wire import TimedFrame
from sim.tests.stepping import finish


class EchoHost:
    """Answers each frame with itself reversed, and ticks every 100 ns three times."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.ticks: list[int] = []
        self.seen: list[tuple[int, bytes]] = []

    def on_frames(self, frames: list[bytes], now_ns: int) -> None:
        self.seen += [(now_ns, f) for f in frames]
        self.out += [f[::-1] for f in frames]

    def run(self, now_ns: int) -> None:
        self.ticks.append(now_ns)

    def take_frames(self) -> list[bytes]:
        out, self.out = self.out, []
        return out

    def next_deadline_ns(self) -> int | None:
        return 100 * (len(self.ticks) + 1) if len(self.ticks) < 3 else None


class FakeCarrier:
    """Frames arrive at set times; takes at most `room` frames at a time."""

    def __init__(self, arrivals: dict[int, list[bytes]], room: int = 100) -> None:
        self.arrivals = arrivals
        self.room = room
        self.now = 0
        self.sent: list[bytes] = []
        self.blocked_waits = 0

    def now_ns(self) -> int:
        return self.now

    def recv(self) -> list[bytes]:
        due = [t for t in self.arrivals if t <= self.now]
        return [f for t in due for f in self.arrivals.pop(t)]

    async def send(self, frames: Sequence[bytes]) -> int:
        self.sent += frames[: self.room]
        return min(self.room, len(frames))

    async def wait(self, blocked: bool, timeout_ns: int | None) -> None:
        self.blocked_waits += blocked
        if blocked:
            return
        ends = list(self.arrivals) + ([] if timeout_ns is None else [self.now + timeout_ns])
        assert ends, "it would wait for ever"
        self.now = min(ends)


def test_frames_and_timers_reach_the_host_at_their_times() -> None:
    host, carrier = EchoHost(), FakeCarrier({50: [b"ab"], 250: [b"cd", b"ef"]})
    finish(pump(host, carrier, lambda: len(host.ticks) == 3))
    assert host.ticks == [100, 200, 300]
    assert host.seen == [(50, b"ab"), (250, b"cd"), (250, b"ef")]
    assert carrier.sent == [b"ba", b"dc", b"fe"]


def test_what_a_full_ring_refuses_is_sent_later_in_order() -> None:
    frames = [bytes([i, 0]) for i in range(10)]
    host, carrier = EchoHost(), FakeCarrier({50: frames}, room=3)
    finish(pump(host, carrier, lambda: len(host.ticks) == 3))
    assert carrier.sent == [f[::-1] for f in frames]
    assert carrier.blocked_waits == 3


def test_a_slice_bounds_every_wait() -> None:
    host, carrier = EchoHost(), FakeCarrier({})
    asked: list[int] = []

    def done() -> bool:
        asked.append(carrier.now)
        return carrier.now >= 1000

    finish(pump(host, carrier, done, slice_ns=70))
    assert max(b - a for a, b in pairwise(asked)) == 70


class FakeWire:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, frames: Sequence[bytes], bad: bool = False) -> int:
        self.sent += frames
        return len(frames)

    def take_timed(self) -> list[TimedFrame]:
        return [TimedFrame(b"x", 7), TimedFrame(b"y", 9)]

    async def wait(self, timeout_ns: int | None = None, frames: int = 1, max_age_ns: int = 0) -> bool:
        return True


def test_the_tap_sees_both_directions_with_their_times() -> None:
    seen: list[tuple[int, bytes]] = []
    wire = FakeWire()
    carrier = WireCarrier(wire, lambda: 12, lambda time_ns, frame: seen.append((time_ns, frame)))
    assert carrier.recv() == [b"x", b"y"]
    assert finish(carrier.send([b"z"])) == 1
    assert wire.sent == [b"z"]
    assert seen == [(7, b"x"), (9, b"y"), (12, b"z")]
