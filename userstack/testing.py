# SPDX-License-Identifier: Apache-2.0
"""Two hosts on a wire in memory, with delay, loss, duplication, reordering and corruption from one RNG."""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

from .config import Rng
from .errors import StackError
from .runtime import Host


class Dice(Rng, Protocol):
    """`random.Random` fits."""

    def random(self) -> float: ...

    def randrange(self, stop: int, /) -> int: ...


class Stuck(StackError):
    """The time limit passed, or nothing is left that could ever happen; says what programs wait for."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """What the wire does to frames; probabilities 0..1, each frame on its own."""

    delay_ns: int = 10_000
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0  # delayed by up to reorder_ns more
    reorder_ns: int = 100_000
    corrupt: float = 0.0  # one bit flipped, anywhere
    rate_bits_per_s: int | None = None  # serialization; None is infinitely fast


class Link:
    """Carries frames between two hosts and their clocks forward. `capture` gets (now_ns, frame) of all
    sent."""

    def __init__(self, left: Host, right: Host, rng: Dice, impairment: Impairment | None = None) -> None:
        self.hosts = (left, right)
        self.impairment = impairment or Impairment()
        self.now_ns = max(left.now_ns, right.now_ns)
        self.capture: list[tuple[int, bytes]] | None = None
        self.filter: Callable[[int, bytes], bool] | None = None  # (sender 0 or 1, frame) -> let it pass
        self.carried = self.lost = 0
        self._rng = rng
        self._flight: list[tuple[int, int, int, bytes]] = []  # arrival, tie-breaker, receiver, frame
        self._count = 0
        self._free_ns = [0, 0]

    def run(self, until: Callable[[], bool] | None = None, limit_ns: int = 3600 * 10**9) -> None:
        """Step until `until()` holds (default: no program is left on either host); Stuck after `limit_ns`
        more."""
        done = until or (lambda: all(host.idle for host in self.hosts))
        end_ns = self.now_ns + limit_ns
        while not done():
            if not self.step(end_ns):
                waits = [line for host in self.hosts for line in host.describe_waits()]
                raise Stuck(f"at {self.now_ns} ns: {waits}")

    def step(self, end_ns: int) -> bool:
        """Jump to the next event not after `end_ns` and handle all that happens then; False if there is
        none."""
        times = [host.next_deadline_ns() for host in self.hosts]
        times.append(self._flight[0][0] if self._flight else None)
        due_ns = min((time_ns for time_ns in times if time_ns is not None), default=None)
        if due_ns is None or due_ns > end_ns:
            return False
        self.now_ns = max(self.now_ns, due_ns)
        arrived: tuple[list[bytes], list[bytes]] = ([], [])
        while self._flight and self._flight[0][0] <= self.now_ns:
            _, _, receiver, frame = heappop(self._flight)
            arrived[receiver].append(frame)
        for side, host in enumerate(self.hosts):
            host.on_frames(arrived[side], self.now_ns)
            for frame in host.take_frames():
                self._send(side, frame)
        return True

    def run_for(self, duration_ns: int) -> None:
        """Let the time pass, whatever happens in it."""
        end_ns = self.now_ns + duration_ns
        while self.step(end_ns):
            pass
        self.now_ns = end_ns
        for host in self.hosts:
            host.run(end_ns)

    def _send(self, side: int, frame: bytes) -> None:
        rng, how = self._rng, self.impairment
        if self.capture is not None:
            self.capture.append((self.now_ns, frame))
        self.carried += 1
        if (self.filter is not None and not self.filter(side, frame)) or (
            how.loss and rng.random() < how.loss
        ):
            self.lost += 1
            return
        if how.corrupt and rng.random() < how.corrupt:
            bit = rng.randrange(len(frame) * 8)
            frame = bytes(octet ^ (1 << bit % 8 if at == bit // 8 else 0) for at, octet in enumerate(frame))
        copies = 2 if how.duplicate and rng.random() < how.duplicate else 1
        sent_ns = self.now_ns
        if how.rate_bits_per_s is not None:  # 24 bytes: preamble, FCS, gap
            start_ns = max(sent_ns, self._free_ns[side])
            sent_ns = self._free_ns[side] = start_ns + (len(frame) + 24) * 8 * 10**9 // how.rate_bits_per_s
        for _ in range(copies):
            extra_ns = rng.randrange(how.reorder_ns) if how.reorder and rng.random() < how.reorder else 0
            self._count += 1
            heappush(self._flight, (sent_ns + how.delay_ns + extra_ns, self._count, 1 - side, frame))
