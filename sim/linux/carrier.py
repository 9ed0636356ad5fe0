# SPDX-License-Identifier: Apache-2.0
"""A TAP port as carrier of a host without I/O: a user-space stack on a cable to a real kernel."""

import select
import time
from collections.abc import Sequence

from sim.linux.tap import TapPort

NS_PER_MS = 1_000_000
WAIT_MS_MAX = 200  # the longest that a wait keeps the thread, so that it can be asked to end


class TapCarrier:
    """See sim.adapters.Carrier. Its waits block the thread: one pump a thread, and nothing else in it."""

    def __init__(self, port: TapPort) -> None:
        self._port = port
        self._poll = select.poll()

    def now_ns(self) -> int:
        """Wall time since an unknown start."""
        return time.monotonic_ns()

    def recv(self) -> list[bytes]:
        """What the kernel has sent."""
        return self._port.recv()

    async def send(self, frames: Sequence[bytes]) -> int:
        """Send from the first on; return how many were taken."""
        room = self._port.queue_frames - self._port.flush()
        return self._port.send(frames[:room])

    async def wait(self, blocked: bool, timeout_ns: int | None) -> None:
        """Wait for a frame, for room if `blocked` or if frames are still queued, or for the time."""
        wants_room = blocked or self._port.pending > 0
        self._poll.register(self._port, select.POLLIN | (select.POLLOUT if wants_room else 0))
        wait_ms = WAIT_MS_MAX if timeout_ns is None else min(-(-timeout_ns // NS_PER_MS), WAIT_MS_MAX)
        self._poll.poll(wait_ms)
        self._port.flush()
