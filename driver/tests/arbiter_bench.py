# SPDX-License-Identifier: Apache-2.0
"""An arbiter with a hardware of dicts: what the tests of it have in common."""

import random
from collections import defaultdict
from dataclasses import dataclass, field

from driver.arbiter import messages as msg
from driver.arbiter.arbiter import Arbiter, Job
from driver.arbiter.clients import Client, Clients, ClosePair, Credentials, OpenPair, Quota
from driver.arbiter.mirror import Change, Key, Mirror
from driver.arbiter.registry import Registry
from driver.arbiter.routes import Route, Routes
from driver.tables import Action
from driver.tuples import FlowKey
from driver.windows import Window

HERE, HERE_TOO, PEER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), bytes((10, 0, 0, 9))
HERE6, PEER6 = bytes([0x20, 1, 0xD, 0xB8, *[0] * 11, 1]), bytes([0x20, 1, 0xD, 0xB8, *[0] * 11, 9])
ROUTES = [
    Route(bytes((10, 0, 0, 0)), 24, HERE),
    Route(HERE6, 64, HERE6),
    Route(bytes(4), 0, HERE, bytes((10, 0, 0, 254))),
]
TCP, UDP = 6, 17


class Broken(AssertionError):
    """The arbiter asked the hardware for what cannot be."""


@dataclass(slots=True)
class Hardware:
    """Two tables of limited size and the queue pairs, strict about what may be asked."""

    flows: int
    listeners: int
    tables: dict[Key, Action] = field(default_factory=dict)
    open: dict[int, OpenPair] = field(default_factory=dict)  # by pair

    def do(self, job: Job) -> bool:
        """Run one job; False if the table is full."""
        if isinstance(job, OpenPair):
            if job.pair in self.open:
                raise Broken(f"pair {job.pair} is open already")
            if stale := [str(key) for key, action in self.tables.items() if action.pair == job.pair != 0]:
                raise Broken(f"pair {job.pair} is opened while entries of another owner lead to it: {stale}")
            self.open[job.pair] = job
        elif isinstance(job, ClosePair):
            if self.open.pop(job.pair).stack != job.stack:
                raise Broken(f"pair {job.pair} is another stack's")
        else:
            return self._change(job)
        return True

    def _change(self, change: Change) -> bool:
        if change.action is None:
            if change.key not in self.tables:
                raise Broken(f"{change.key} is taken out and was not there")
            del self.tables[change.key]
            return True
        if self.tables.get(change.key) == change.action:
            raise Broken(f"{change} is so already")
        flow = isinstance(change.key, FlowKey)
        used = sum(isinstance(key, FlowKey) is flow for key in self.tables)
        if change.key not in self.tables and used >= (self.flows if flow else self.listeners):
            return False
        self.tables[change.key] = change.action
        return True


class Bench:
    """An arbiter, its hardware, and what the stacks have been told."""

    def __init__(self, seed: int, *, pairs: int = 4, flows: int = 1000, listeners: int = 100) -> None:
        self.rng = random.Random(seed)
        self.registry = Registry(self.rng)
        self.routes = Routes()
        self.routes.set(ROUTES)
        self.arbiter = Arbiter(self.registry, Mirror(), Clients(pairs), self.routes)
        for address in (HERE, HERE_TOO, HERE6):
            self.arbiter.add_address(address)
        self.hardware = Hardware(flows, listeners)
        self.told: defaultdict[int, list[msg.Event]] = defaultdict(list)
        self.now_ns = 0

    def attach(self, **quota: int) -> Client:
        """A stack whose pair is open."""
        number = self.rng.getrandbits(20)
        window = Window(number << 24, (number << 24) + 4095)
        client = self.arbiter.attach(Credentials(1000, 1000, number), [window], quota=Quota(**quota))
        self.work()
        return client

    def work(self, limit: int | None = None) -> None:
        """Do all jobs, or at most `limit`; take the events."""
        done = 0
        while done != limit and (job := self.arbiter.next_job()) is not None:
            self.arbiter.job_done(job, self.hardware.do(job))
            done += 1
        for stack, event in self.arbiter.take_events():
            self.told[stack].append(event)

    def ask(self, client: Client, request: msg.Request) -> msg.Event:
        """One request and its answer."""
        self.arbiter.request(client.stack, request, self.now_ns)
        self.work()
        return [event for event in self.told[client.stack] if event.cookie == request.cookie][-1]

    def granted(self, client: Client, request: msg.Request) -> msg.Granted:
        """As ask, for what must be granted."""
        answer = self.ask(client, request)
        assert isinstance(answer, msg.Granted), answer
        return answer

    def refused(self, client: Client, request: msg.Request) -> int:
        """As ask, for what must be refused; the errno."""
        answer = self.ask(client, request)
        assert isinstance(answer, msg.Refused), answer
        return answer.errno

    def pass_time(self, ns: int) -> None:
        """Let time go by."""
        self.now_ns += ns
        self.arbiter.on_timer(self.now_ns)
        self.work()

    def check(self) -> None:
        """Nothing under way: registry, mirror and hardware agree."""
        assert self.arbiter.next_job() is None
        assert self.arbiter.mirror.actual() == self.hardware.tables
        assert self.arbiter.differences() == []
