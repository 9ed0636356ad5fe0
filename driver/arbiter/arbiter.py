# SPDX-License-Identifier: Apache-2.0
"""The arbiter: it alone says who owns a tuple, and what the NIC's tables, windows and queue pairs hold.

No I/O and no clock. In: requests of stacks, what the host stack does, time, and how the worker got on with
its jobs. Out: jobs for the hardware (`next_job`), events for the stacks (`take_events`), arenas that may be
freed (`take_released`). docs/arbiter.md has the rules and where they come from.

A request that takes a tuple goes through two phases: the registry reserves it, then the NIC is armed; if the
NIC's table is full the frames are forwarded in software, and counted. Granted is told only after the second.
"""

import errno
from collections.abc import Iterable

from driver.arbiter import messages as msg
from driver.arbiter.clients import Client, Clients, ClosePair, Credentials, OpenPair, Quota, State
from driver.arbiter.entries import Entry
from driver.arbiter.host_side import HostSide
from driver.arbiter.mirror import Change, Mirror
from driver.arbiter.registry import Registry
from driver.arbiter.requests import Requests
from driver.arbiter.routes import Routes
from driver.errors import ArbiterError
from driver.windows import Window

Job = Change | OpenPair | ClosePair


class Arbiter(Requests, HostSide):
    """One interface: its registry, the mirror of it in the NIC, and the stacks that share it."""

    def __init__(self, registry: Registry, mirror: Mirror, clients: Clients, routes: Routes) -> None:
        super().__init__(registry, mirror, clients, routes)
        self._at_work: Job | None = None
        self._released: list[int] = []

    # Stacks -------------------------------------------------------------------------------------------

    def attach(
        self,
        credentials: Credentials,
        windows: Iterable[Window],
        *,
        quota: Quota | None = None,
        rights: Iterable[str] = (),
    ) -> Client:
        """A new stack with a queue pair of its own, which is ready when the stack is told `attached`.

        EBUSY if no pair is free, ENOMEM if the windows are more than the quota has.
        """
        client = self.clients.add(credentials, quota or Quota(), rights, windows)
        self._open(client)
        return client

    def vanish(self, stack: int, now_ns: int) -> None:
        """A stack is gone without a word: killed, exited, or thrown out for breaking a rule; unknown ones are
        fine.

        Its queue pair is stopped, drained and closed before its memory may be freed (`take_released`).
        Established TCP connections linger and are reset towards their peers; all other tuples are free at
        once.
        """
        client = self.clients.find(stack)
        if client is None or client.state is State.CLOSING:
            return
        self._release_all(client, now_ns, died=True)
        self._close(client)

    def suspend(self, stack: int) -> None:
        """Take a stack's queue pair and memory away, not its tuples: their frames are dropped until `resume`.

        EINVAL unless it is active.
        """
        client = self._in(stack, State.ACTIVE)
        client.state = State.SUSPENDING
        for entry in self.registry.of_stack(stack):
            self._divert(entry)
        assert client.pair is not None
        self._pair_jobs.append(ClosePair(client.pair, stack))

    def resume(self, stack: int, windows: Iterable[Window]) -> None:
        """Give a suspended stack a queue pair again, with rings as new. EBUSY if none is free; it stays
        suspended.
        """
        client = self._in(stack, State.SUSPENDED)
        self.clients.take_pair(client)
        client.windows = tuple(windows)
        self._open(client)

    def _in(self, stack: int, state: State) -> Client:
        client = self.clients.get(stack)
        if client.state is not state:
            now = client.state.name.lower()
            raise ArbiterError(errno.EINVAL, f"{client} is {now}, not {state.name.lower()}")
        return client

    # For the data path --------------------------------------------------------------------------------

    @property
    def shared(self) -> bool:
        """Whether anybody but the host may have a tuple."""
        return len(self.clients) > 0 or bool(self._lingering)

    def silence(self, entry: Entry) -> None:
        """The peer of a lingering tuple has had its answer: the NIC drops the rest."""
        self._silent.add(entry.token)
        self._divert(entry)

    def take_sent(self) -> list[tuple[int, msg.Send]]:
        """Frames that stacks want to send by the control channel, since the last call."""
        sent, self._sent = self._sent, []
        return sent

    def take_left(self) -> list[tuple[Entry, bool]]:
        """TCP flows that began to linger since the last call, and whether their stack died."""
        left, self._left = self._left, []
        return left

    def take_free(self) -> list[int]:
        """Tokens that linger no more since the last call."""
        free, self._free = self._free, []
        return free

    # Time, jobs, events -------------------------------------------------------------------------------

    def next_deadline_ns(self) -> int | None:
        """When on_timer wants to be called; None if nothing is pending."""
        return self.registry.next_deadline_ns()

    def on_timer(self, now_ns: int) -> None:
        """Let go of what has lingered long enough."""
        for entry in self.registry.on_timer(now_ns):
            self._over(entry.token)

    def next_job(self) -> Job | None:
        """The next thing for the hardware; None if there is none. It is to be answered before the next is
        asked for.
        """
        if self._at_work is not None:
            raise ArbiterError(errno.EALREADY, f"{self._at_work}: not answered yet")
        # The second look is for a pair that waited for what next() has found to be written.
        self._at_work = self._pair_job() or self.mirror.next() or self._pair_job()
        return self._at_work

    def _pair_job(self) -> OpenPair | ClosePair | None:
        pair = self._pair_jobs[0] if self._pair_jobs else None
        if isinstance(pair, OpenPair) and not self.mirror.settled(pair.wishes):
            return None
        return self._pair_jobs.popleft() if pair is not None else None

    def job_done(self, job: Job, ok: bool = True) -> None:
        """Tell how a job went. A pair that could not be opened throws its stack out; one is always closed."""
        self._at_work = None
        if isinstance(job, Change):
            self.mirror.done(job, ok)
            if ok and job.action is None:
                self._promote(job.key)
            return
        client = self.clients.get(job.stack)
        if isinstance(job, ClosePair):
            self.clients.give_pair(client)
            self._released.append(job.stack)
            if client.state is State.SUSPENDING:
                client.state = State.SUSPENDED
            else:
                self.clients.remove(client)
        elif client.state is State.OPENING:
            self._opened(client, ok)

    def _opened(self, client: Client, ok: bool) -> None:
        if not ok:
            self.tell(client.stack, msg.Refused(0, errno.EIO, f"pair {client.pair} could not be set up"))
            self._close(client)
            return
        client.state = State.ACTIVE
        assert client.pair is not None
        for entry in self.registry.of_stack(client.stack):
            self._divert(entry)
        self.tell(client.stack, msg.Interface(0, "attached", self.registry.generation))

    def take_events(self) -> list[tuple[int, msg.Event]]:
        """What the stacks are to be told since the last call: (stack, event), in order."""
        events = list(self._events)
        self._events.clear()
        return events

    def take_released(self) -> list[int]:
        """Stacks whose memory the NIC does not touch any more since the last call: it may be freed."""
        released, self._released = self._released, []
        return released

    # Proof --------------------------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """What is wrong between the registry and the NIC's tables, a line each; call it while nothing is
        under way.
        """
        found = [
            f"token {flow}: its frames come through token {listener}, which is not in the NIC"
            for flow, listener in self._cover.items()
            if self.mirror.action(listener) is None
        ]
        own = (entry for entry in self.registry.entries() if entry.token not in self._cover)
        return found + self.mirror.differences(own, self.action_of)
