# SPDX-License-Identifier: Apache-2.0
"""Between hosts without I/O and what carries frames: pumps in simulated time, a tap that records the wire.

Nothing here decides anything about a protocol: frames go where they belong, deadlines become timers.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from driver.nic import TupeloNic
from sim.fast_wire import TimedFrame

WIRE_BATCH_FRAMES = 16  # frames from the NIC are taken in batches of so many, or after this time
WIRE_AGE_NS = 2_000
# Wait for so much room before sending on, so that a full ring does not wake for each frame.
TX_ROOM_SLOTS = 32


class HostPort(Protocol):
    """What a pump needs of a stack with programs on it (userstack.runtime.Host)."""

    def on_frames(self, frames: list[bytes], now_ns: int) -> None: ...

    def run(self, now_ns: int) -> None: ...

    def take_frames(self) -> list[bytes]: ...

    def next_deadline_ns(self) -> int | None: ...


class Carrier(Protocol):
    """Something that moves frames: a NIC behind its driver, or the end of a wire."""

    def now_ns(self) -> int: ...

    def recv(self) -> list[bytes]:
        """What has arrived, without waiting."""
        ...

    async def send(self, frames: Sequence[bytes]) -> int:
        """Send from the first on; return how many were taken."""
        ...

    async def wait(self, blocked: bool, timeout_ns: int | None) -> None:
        """Wait for a frame, for room if `blocked`, or for the time."""
        ...


class TimedWire(Protocol):
    """The wire of the fast harness, as much of it as is used here."""

    def send(self, frames: Sequence[bytes], bad: bool = False) -> int: ...

    def take_timed(self) -> list[TimedFrame]: ...

    async def wait(self, timeout_ns: int | None = None, frames: int = 1, max_age_ns: int = 0) -> bool: ...


class NicCarrier:
    """Queue pair `pair` of a started NIC."""

    def __init__(self, nic: TupeloNic, pair: int = 0) -> None:
        self._nic = nic
        self._pair = pair

    def now_ns(self) -> int:
        return self._nic.bus.now_ns()

    def recv(self) -> list[bytes]:
        return self._nic.recv(self._pair)

    async def send(self, frames: Sequence[bytes]) -> int:
        return await self._nic.send(frames, self._pair)

    async def wait(self, blocked: bool, timeout_ns: int | None) -> None:
        room = {self._pair: min(TX_ROOM_SLOTS, self._nic.tx[self._pair].queue.size)} if blocked else None
        await self._nic.wait(rx=(self._pair,), tx=room, timeout_ns=timeout_ns)


class WireCarrier:
    """The far end of the wire; `tap(time_ns, frame)` sees every frame in both directions."""

    def __init__(
        self, wire: TimedWire, now_ns: Callable[[], int], tap: Callable[[int, bytes], None] | None = None
    ) -> None:
        self._wire = wire
        self._tap = tap or (lambda time_ns, frame: None)
        self.now_ns = now_ns

    def recv(self) -> list[bytes]:
        timed = self._wire.take_timed()
        for frame in timed:
            self._tap(frame.time_ns, frame.raw)
        return [frame.raw for frame in timed]

    async def send(self, frames: Sequence[bytes]) -> int:
        now_ns = self.now_ns()
        for frame in frames:
            self._tap(now_ns, frame)
        return self._wire.send(frames)

    async def wait(self, blocked: bool, timeout_ns: int | None) -> None:
        await self._wire.wait(timeout_ns, WIRE_BATCH_FRAMES, WIRE_AGE_NS)


async def pump(
    host: HostPort, carrier: Carrier, done: Callable[[], bool], slice_ns: int | None = None
) -> None:
    """Move frames between a host and its carrier until `done()`, asked after each step.

    slice_ns: wake at least so often, for a `done` that something else makes true.
    """
    backlog: list[bytes] = []
    while True:
        now_ns = carrier.now_ns()
        if frames := carrier.recv():
            host.on_frames(frames, now_ns)
        elif (deadline_ns := host.next_deadline_ns()) is not None and deadline_ns <= now_ns:
            host.run(now_ns)
        backlog += host.take_frames()
        if backlog:
            del backlog[: await carrier.send(backlog)]
        if done():
            return
        await carrier.wait(bool(backlog), _timeout_ns(host, carrier, slice_ns))


def _timeout_ns(host: HostPort, carrier: Carrier, slice_ns: int | None) -> int | None:
    deadline_ns = host.next_deadline_ns()
    waits = [] if slice_ns is None else [slice_ns]
    if deadline_ns is not None:
        waits.append(max(0, deadline_ns - carrier.now_ns()))
    return min(waits, default=None)
