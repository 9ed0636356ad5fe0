# SPDX-License-Identifier: Apache-2.0
"""Programs in other processes as the arbiter's side sees them: who may come in, what they say and are told.

No sockets and no clock; sim.control_server has those. Nothing that a program says raises out of here: it is
answered, or the program is thrown out, with the reason in `Session.why` and in `counts`.
"""

import errno
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from driver.arbiter import messages as msg
from driver.arbiter.arbiter import Arbiter
from driver.arbiter.clients import Credentials, Quota, State
from driver.errors import ArbiterError
from sim.control_messages import VERSION, Hello, NotAMessage, Wait, Welcome, decode_to_server, encode


@dataclass(frozen=True, slots=True)
class Limits:
    """What programs may have and do at most."""

    sessions: int = 64
    strangers: int = 16  # of these, those that have not said Hello
    hello_patience_ns: int = 2_000_000_000  # wall time for it
    accepts_per_poll: int = 8
    packets_per_poll: int = 32  # of one program; the rest waits in its socket
    queued_events: int = 1024  # that a program has not fetched, beside what its socket holds
    queued_bytes: int = 4 << 20
    slots: int = 1024  # of one ring
    buffer_bytes: int = 16 << 10
    quota: Quota = field(default_factory=Quota)


class Stage(Enum):
    """Where a session stands."""

    STRANGER = auto()  # it has said nothing
    JOINING = auto()  # its queue pair is being set up
    JOINED = auto()
    OVER = auto()  # what is queued may still be sent, then the socket is closed


@dataclass(eq=False, slots=True)
class Session:
    """One connection. `out` holds packets for the program, oldest first."""

    credentials: Credentials
    give_up_ns: int  # wall time: until then it must have said Hello
    stage: Stage = Stage.STRANGER
    stack: int = 0
    why: str = ""
    out: deque[bytes] = field(default_factory=deque)
    out_bytes: int = 0
    welcome: bytes = b""  # this packet of `out` takes the descriptors along
    wake: bool = False  # to be woken
    wakes: int = 0  # how often it has been
    asleep: bool = False
    deadline_ns: int | None = None  # simulated time, while it is asleep
    dropped: int = 0  # frames that it did not fetch in time

    def __str__(self) -> str:
        return f"pid {self.credentials.pid}, stack {self.stack or 'none'}"


class Ground(Protocol):
    """Memory and queue pairs for programs."""

    def join(self, credentials: Credentials, hello: Hello, quota: Quota) -> int:
        """Give a program memory and a pair, ready when its stack is told `attached`; ArbiterError."""
        ...

    def welcome(self, stack: int) -> Welcome:
        """What its program must know, once the pair is ready."""
        ...


class ControlCore:
    """All sessions of one arbiter."""

    def __init__(self, arbiter: Arbiter, ground: Ground, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.counts: Counter[str] = Counter()
        self._arbiter = arbiter
        self._ground = ground
        self._sessions: dict[Session, None] = {}
        self._of: dict[int, Session] = {}  # by stack

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions))

    # Connections --------------------------------------------------------------------------------------

    def connect(self, credentials: Credentials, allowed: bool, wall_ns: int) -> Session:
        """Somebody connected; the session may be over already, with the refusal to be sent."""
        limits, session = self.limits, Session(credentials, wall_ns + self.limits.hello_patience_ns)
        strangers = sum(other.stage is Stage.STRANGER for other in self._sessions)
        if not allowed:
            self.end(session, errno.EPERM, f"uid {credentials.uid} may not use this simulator", 0)
        elif len(self._sessions) >= limits.sessions or strangers >= limits.strangers:
            self.end(session, errno.EBUSY, "too many connections", 0)
        else:
            self._sessions[session] = None
        return session

    def end(self, session: Session, error: int, why: str, now_ns: int) -> None:
        """Throw a program out: it is told why, its stack dies as if it had been killed."""
        if session.stage is Stage.OVER:
            return
        self.counts[errno.errorcode[error]] += 1
        if self._half_full(session):
            session.out.clear()  # it does not listen anyway
            session.out_bytes = 0
        self._append(session, encode(msg.Refused(0, error, why)))
        self._over(session, why, now_ns)

    def hung_up(self, session: Session, now_ns: int) -> None:
        """The program has closed its end, exited, or was killed."""
        if session.stage is not Stage.OVER:
            self.counts["hung up"] += 1
            self._over(session, "hung up", now_ns)

    def _over(self, session: Session, why: str, now_ns: int) -> None:
        session.stage, session.why = Stage.OVER, why
        self._sessions.pop(session, None)
        if self._of.pop(session.stack, None) is not None:
            self._arbiter.vanish(session.stack, now_ns)

    # What programs say --------------------------------------------------------------------------------

    def receive(self, session: Session, raw: bytes, now_ns: int) -> None:
        """One packet of a program."""
        if session.stage is Stage.OVER:
            return
        try:
            message = decode_to_server(raw)
        except NotAMessage as error:
            self.end(session, errno.EBADMSG, f"not a message: {error}", now_ns)
            return
        session.asleep = False  # who speaks does not sleep
        if isinstance(message, Hello):
            self._hello(session, message, now_ns)
        elif session.stage is Stage.STRANGER:
            self.end(session, errno.EPROTO, "the first message must be hello", now_ns)
        elif isinstance(message, Wait):
            if message.wakes == session.wakes and not session.wake:
                session.asleep, session.deadline_ns = True, message.deadline_ns
        else:
            self._request(session, message, now_ns)

    def _hello(self, session: Session, hello: Hello, now_ns: int) -> None:
        limits = self.limits
        if session.stage is not Stage.STRANGER:
            self.end(session, errno.EISCONN, "hello was said before", now_ns)
        elif hello.version != VERSION:
            text = f"version {hello.version} is not spoken here, {VERSION} is"
            self.end(session, errno.EPROTONOSUPPORT, text, now_ns)
        elif max(hello.rx_slots, hello.tx_slots) > limits.slots or hello.buffer_bytes > limits.buffer_bytes:
            text = f"rings have up to {limits.slots} slots, buffers up to {limits.buffer_bytes} bytes"
            self.end(session, errno.EINVAL, text, now_ns)
        else:
            try:
                session.stack = self._ground.join(session.credentials, hello, limits.quota)
            except ArbiterError as error:
                self.end(session, error.errno, str(error), now_ns)
                return
            session.stage = Stage.JOINING
            self._of[session.stack] = session

    def _request(self, session: Session, request: msg.Request, now_ns: int) -> None:
        try:
            self._arbiter.request(session.stack, request, now_ns)
        except ArbiterError as error:  # its stack is gone
            self.end(session, error.errno, str(error), now_ns)

    # What programs are told ---------------------------------------------------------------------------

    def tell(self, stack: int, event: msg.Event, now_ns: int) -> bool:
        """An event for a stack; False if it is no program's in here."""
        session = self._of.get(stack)
        if session is None:
            return False
        if session.stage is Stage.JOINING:
            client = self._arbiter.clients.find(stack)
            if client is not None and client.state is State.ACTIVE and isinstance(event, msg.Interface):
                session.stage = Stage.JOINED
                session.welcome = encode(self._ground.welcome(stack))
                self._push(session, session.welcome, now_ns)
                return True
        if isinstance(event, msg.Deliver) and self._half_full(session):
            session.dropped += 1  # frames may be lost, what is said may not
            self.counts["frames not fetched"] += 1
            return True
        self._push(session, encode(event), now_ns)
        return True

    def _push(self, session: Session, raw: bytes, now_ns: int) -> None:
        limits = self.limits
        if len(session.out) >= limits.queued_events or session.out_bytes + len(raw) > limits.queued_bytes:
            self.end(session, errno.ENOBUFS, "it does not fetch what it is told", now_ns)
            return
        self._append(session, raw)

    def _half_full(self, session: Session) -> bool:
        limits = self.limits
        return 2 * len(session.out) > limits.queued_events or 2 * session.out_bytes > limits.queued_bytes

    def _append(self, session: Session, raw: bytes) -> None:
        session.out.append(raw)
        session.out_bytes += len(raw)
        session.wake = True

    def sent(self, session: Session) -> None:
        """The oldest packet of `out` is with the program."""
        session.out_bytes -= len(session.out.popleft())

    def woken(self, session: Session, *, counted: bool) -> None:
        """It has been woken; counted: it will see one wake more."""
        session.wake = session.asleep = False
        session.wakes += counted

    def released(self, stack: int, now_ns: int) -> None:
        """The NIC has let go of a stack's memory; if the stack is no more, its session is over."""
        session = self._of.get(stack)
        if session is not None and self._arbiter.clients.find(stack) is None:
            self._over(session, "detached", now_ns)

    def interrupt(self, stack: int) -> None:
        """The NIC has interrupted for a queue of this stack."""
        session = self._of.get(stack)
        if session is not None:
            session.wake = True

    # Time ---------------------------------------------------------------------------------------------

    def on_timer(self, wall_ns: int, now_ns: int) -> None:
        """Throw out who does not say Hello (wall time); wake who has slept long enough (simulated time)."""
        for session in self:
            if session.stage is Stage.STRANGER and session.give_up_ns <= wall_ns:
                self.end(session, errno.ETIMEDOUT, "no hello came", now_ns)
            elif session.asleep and session.deadline_ns is not None and session.deadline_ns <= now_ns:
                session.wake = True

    def next_wall_ns(self) -> int | None:
        """Wall time at which on_timer has something to do; None if at none."""
        waits = (one.give_up_ns for one in self._sessions if one.stage is Stage.STRANGER)
        return min(waits, default=None)

    def next_deadline_ns(self) -> int | None:
        """Simulated time at which the first sleeping program wants to be woken; None if none does."""
        found = (one.deadline_ns for one in self._sessions if one.asleep and one.deadline_ns is not None)
        return min(found, default=None)

    @property
    def at_work(self) -> bool:
        """Whether any program that has joined is awake: what it will do next is not known."""
        joined = (Stage.JOINING, Stage.JOINED)
        return any(one.stage in joined and (one.wake or not one.asleep) for one in self._sessions)
