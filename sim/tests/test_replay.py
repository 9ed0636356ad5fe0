# SPDX-License-Identifier: Apache-2.0
"""The loops of a replay against a fake NIC and wire that may lose, change or double frames."""

import random
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from driver.nic import TupeloNic
from sim import replay_sim
from sim.compare import Comparison
from sim.tests.stepping import finish
from sim.wire import Wire

Fault = Callable[[int, bytes], list[bytes]]


class FakeLink:
    """Stands for NIC and wire: what goes in on one side comes out on the other, after the fault."""

    def __init__(self, fault: Fault, ring: int = 8) -> None:
        self.fault = fault
        self.ring = ring
        self.count = 0
        self.most_under_way = 0
        self.out: list[bytes] = []
        self.bus = self
        self.time_ns = 0

    def now_ns(self) -> int:
        self.time_ns += 10
        return self.time_ns

    def _carry(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.count += 1
            self.out += self.fault(self.count, frame)
        self.most_under_way = max(self.most_under_way, sum(map(len, self.out)))

    def take(self) -> list[bytes]:
        out, self.out = self.out, []
        return out

    def recv(self, pair: int) -> list[bytes]:
        return self.take()

    async def wait_rx(self, timeout_ns: int) -> bool:
        return bool(self.out)

    async def wait(self, timeout_ns: int) -> bool:
        return bool(self.out)

    async def wait_tx_space(self, timeout_ns: int) -> bool:
        return not self.out


class FakeWireSide(FakeLink):
    def send(self, frames: list[bytes], bad: bool = False) -> int:
        self._carry(frames)
        return len(frames)


class FakeNicSide(FakeLink):
    async def send(self, frames: Sequence[bytes]) -> int:
        taken = frames[: self.ring]
        self._carry(taken)
        return len(taken)


def replayed(direction: str, frames: list[bytes], fault: Fault) -> tuple[Comparison, FakeLink, list[bytes]]:
    kept: list[bytes] = []
    link: FakeLink = FakeWireSide(fault) if direction == "rx" else FakeNicSide(fault)
    way = replay_sim.into_the_wire if direction == "rx" else replay_sim.out_of_the_wire
    nic, wire = cast(TupeloNic, link), cast(Wire, link)
    seen = finish(way(nic, wire, frames, lambda time_ns, frame: kept.append(frame), lambda seen: None))
    return seen, link, kept


def some_frames(seed: int, count: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(rng.choice([14, 60, 590, 1514, 9728])) for _ in range(count)]


@pytest.mark.parametrize("direction", ["rx", "tx"])
def test_every_frame_is_accounted_for_and_kept(direction: str) -> None:
    frames = some_frames(1, 500)
    seen, link, kept = replayed(direction, frames, lambda n, f: [f])
    assert seen.ok and seen.equal == 500
    assert kept == frames
    assert link.most_under_way <= replay_sim.IN_FLIGHT_BYTES + 9728


@pytest.mark.parametrize("direction", ["rx", "tx"])
@pytest.mark.parametrize(
    ("fault", "counts"),
    [
        (lambda n, f: [] if n in (3, 77, 500) else [f], {"lost": 3, "equal": 497}),
        (lambda n, f: [], {"lost": 500, "equal": 0}),
        (lambda n, f: [f[:-1]] if n == 40 else [f], {"changed": 1, "equal": 499}),
        (lambda n, f: [f, f] if n == 200 else [f], {"extra": 1, "equal": 500}),
        (lambda n, f: [f, f] if n == 500 else [f], {"extra": 1, "equal": 500}),
    ],
)
def test_each_fault_fails_the_replay_and_is_counted(
    direction: str, fault: Fault, counts: dict[str, Any]
) -> None:
    seen, _, _ = replayed(direction, some_frames(2, 500), fault)
    assert not seen.ok
    assert {name: getattr(seen, name) for name in counts} == counts


def test_no_frames_are_fine() -> None:
    assert replayed("rx", [], lambda n, f: [f])[0].ok
