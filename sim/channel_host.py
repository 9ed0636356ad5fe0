# SPDX-License-Identifier: Apache-2.0
"""Programs in other processes on the fast harness: the control socket, the arbiter's rig and the pacing."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from driver.arbiter import messages as msg
from driver.msix import queue_vector
from sim.arbiter_rig import ArbiterRig
from sim.control_core import ControlCore, Limits
from sim.control_ground import ChannelGround
from sim.control_server import ControlServer
from sim.pacing import Hold, Pacing
from sim.shared_memory import SharedMemory


class ChannelHost:
    """Serves programs at `path` while `run` runs; frames at pair 0 go to the rig."""

    def __init__(
        self,
        rig: ArbiterRig,
        path: Path,
        *,
        limits: Limits | None = None,
        pages: Mapping[str, SharedMemory] | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        """pages: registry and host page, which somebody else renews, for programs to read."""
        self.rig, self._pacing = rig, pacing or Pacing()
        harness = rig.harness
        self.ground = ChannelGround(rig.arbiter, harness.memory, rig.pairs, rig.shape(), rig.mac, pages)
        self.core = ControlCore(rig.arbiter, self.ground, limits)
        self.server = ControlServer(path, self.core, self.ground)
        rig.tell_others, rig.free_others = self._tell, self._free

    async def run(self, until: Callable[[], bool]) -> None:
        """Serve until a condition holds; it is looked at when something happens (ControlServer.watch)."""
        harness, server = self.rig.harness, self.server
        server.poll(harness.now_ns())
        while not until():
            await self._work()
            now_ns = harness.now_ns()
            step = self._pacing.next(
                now_ns,
                time.monotonic_ns(),
                quiet=harness.quiet,
                at_work=self.core.at_work,
                wanted_ns=_first(self.core.next_deadline_ns(), harness.next_deadline_ns()),
                kept_ns=_first(self.rig.arbiter.next_deadline_ns(), self.rig.switch.next_deadline_ns()),
            )
            if isinstance(step, Hold):
                self.ground.clock.set(now_ns)
                server.poll(now_ns, self._at_most(step.wall_ns))
                continue
            await self._interrupts(step.for_ns)
            self.ground.clock.set(harness.now_ns())
            server.poll(harness.now_ns())

    async def close(self) -> None:
        """End all sessions, let the NIC drain their queues, and free what they had."""
        self.server.close()
        for session in self.core:
            self.core.hung_up(session, self.rig.harness.now_ns())
        await self.rig.work()
        self.ground.close()

    async def _work(self) -> None:
        """What has been asked, rung and received."""
        rig, now_ns = self.rig, self.rig.harness.now_ns()
        for stack, which in self.server.take_bells():
            offset = (rig.pairs.doorbells(stack) or (0, 0))[which]
            if offset:  # else its pair is not open (any more)
                queue = 2 * rig.pairs.shape(stack).pair + which
                await rig.harness.write(offset, queue, 2)  # VIRTIO 1.2 section 4.1.5.2
        for timed in (rig.arbiter, rig.switch):
            deadline_ns = timed.next_deadline_ns()
            if deadline_ns is not None and deadline_ns <= now_ns:
                timed.on_timer(now_ns)
        await rig.work()
        await rig.move_host_frames()
        await self._interrupts(0)
        self.server.flush(rig.harness.now_ns())  # answers do not wait for the next slice

    async def _interrupts(self, timeout_ns: int) -> None:
        """Wait so long for interrupts of programs' queues; who had one is woken."""
        vectors = self._vectors()
        fired = await self.rig.harness.wait_irq(vectors, timeout_ns)
        for vector in fired & vectors.keys():
            self.core.interrupt(vectors[vector])

    def _vectors(self) -> dict[int, int]:
        """MSI-X vector -> stack, of all programs that have a pair."""
        found = {}
        for session in self.core:
            client = self.rig.arbiter.clients.find(session.stack)
            if client is not None and client.pair is not None:
                for queue in (2 * client.pair, 2 * client.pair + 1):
                    found[queue_vector(queue)] = session.stack
        return found

    def _at_most(self, wall_ns: int | None) -> int | None:
        """A wall time to wait, or less if the control socket has a timer."""
        timer_ns = self.core.next_wall_ns()
        return wall_ns if timer_ns is None else _first(wall_ns, max(0, timer_ns - time.monotonic_ns()))

    def _tell(self, stack: int, event: msg.Event) -> None:
        self.core.tell(stack, event, self.rig.harness.now_ns())

    def _free(self, stack: int) -> None:
        self.ground.release(stack)
        self.core.released(stack, self.rig.harness.now_ns())


def _first(*times_ns: int | None) -> int | None:
    return min((at for at in times_ns if at is not None), default=None)
