# SPDX-License-Identifier: Apache-2.0
"""A program's end of a channel to a simulator in another process. Plain select and poll, no event loop.

    link = connect(os.environ["TUPELO_SOCKET"])
    granted = link.ask(msg.Listen(link.cookie(), TCP, 80))
    while link.wait():
        for event in link.events(): ...
        for frame in link.recv(): ...
        link.send([frame])

Times are simulated nanoseconds unless something else is said. docs/channels.md.
"""

import mmap
import os
import select
import socket
import time
from collections import deque
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from driver.arbiter import messages as msg
from driver.arbiter.host_view import HostView
from driver.arbiter.registry_view import RegistryView
from driver.bus import DmaRegion
from driver.channel import Channel
from sim.control_ground import Clock
from sim.control_messages import (
    PACKET_BYTES,
    RIGHTS,
    VERSION,
    Hello,
    NotAMessage,
    ToServer,
    Wait,
    Welcome,
    decode_to_program,
    encode,
)
from sim.shared_memory import map_read_only

DESCRIPTORS_MAX = 16
T = TypeVar("T")


class ChannelClosed(ConnectionError):
    """The simulator's process is gone, or has thrown this program out; says why if that is known."""


class ChannelRefused(ChannelClosed):
    """The simulator's process does not want this program; errno says why."""


class ChannelTimeout(TimeoutError):
    """The simulator's process did not answer within a wall time."""


class SocketPort:
    """The ChannelPort over the descriptors of a Welcome; which of two interrupts came is not told."""

    def __init__(self, link: "Link", doorbells: Sequence[int], bells: Sequence[int]) -> None:
        self._link = link
        self._bells = dict(zip(doorbells, bells, strict=True))
        self.now_ns = link.clock.now_ns

    async def ring(self, doorbell_bytes: int, value: int, width_bytes: int) -> None:
        """Ring; a bell that rings already rings."""
        try:
            os.write(self._bells[doorbell_bytes], b"\0")
        except BlockingIOError:
            pass
        except BrokenPipeError as error:
            raise self._link.closed() from error

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        """As Bus.wait_irq; returns also when an event has come."""
        return frozenset(vectors) if self._link.sleep(timeout_ns) else frozenset()


class Link:
    """One program's connection: requests and events, and the channel for frames. Made by `connect`."""

    def __init__(self, sock: socket.socket, welcome: Welcome, rights: Sequence[int]) -> None:
        """Take over a socket, bells and wakes; the other descriptors may be closed afterwards."""
        names = (*RIGHTS, *welcome.pages)
        if welcome.version != VERSION or len(rights) != len(names):
            raise ChannelClosed(f"not understood: {welcome}, with {len(rights)} descriptors")
        fds = dict(zip(names, rights, strict=True))
        self.stack, self.mac = welcome.stack, welcome.mac
        self._sock, self._wakes_fd = sock, fds["wakes"]
        self._bell_fds = (fds["rx_doorbell"], fds["tx_doorbell"])
        self._events: deque[msg.Event] = deque()
        self._answers: dict[int, msg.Event | None] = {}  # cookies that `ask` waits for
        self._taken = 0  # wakes
        self._cookie = 0
        self._ended = False  # the other side has closed the socket, and all it said is read
        self._why = "the simulator's process has closed the connection"
        self.clock = Clock(fds["clock"])
        self.registry = RegistryView(map_read_only(fds["registry"])) if "registry" in fds else None
        self.host = HostView(map_read_only(fds["host"])) if "host" in fds else None
        memory = mmap.mmap(fds["arena"], welcome.shape.arena_bytes)
        self.arena = DmaRegion(welcome.iova, np.frombuffer(memory, dtype=np.uint8))
        self.port = SocketPort(self, welcome.shape.doorbells, self._bell_fds)
        self.channel = Channel(welcome.shape, self.arena, self.port)
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        self._poll.register(self._wakes_fd, select.POLLIN)
        step(self.channel.start())

    # Requests and events ------------------------------------------------------------------------------

    def cookie(self) -> int:
        """A cookie that this link has not given out before."""
        self._cookie += 1
        return self._cookie

    def request(self, request: msg.Request) -> None:
        """Say something to the arbiter; the answer comes as an event with the same cookie."""
        self._say(request)

    def ask(self, request: msg.Request, timeout_s: float | None = 30.0) -> msg.Event:
        """Say something and wait for its answer, up to a wall time; other events stay for `events`."""
        self._answers[request.cookie] = None
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            self._say(request)
            while (answer := self._answers[request.cookie]) is None:
                left_ms = None if deadline_s is None else (deadline_s - time.monotonic()) * 1000
                if left_ms is not None and left_ms <= 0:
                    raise ChannelTimeout(f"no answer to {request} within {timeout_s} s")
                readable = select.poll()
                readable.register(self._sock, select.POLLIN)
                if readable.poll(left_ms):
                    self._read()
                if self._ended and self._answers[request.cookie] is None:
                    raise ChannelClosed(self._why)
            return answer
        finally:
            del self._answers[request.cookie]

    def events(self) -> list[msg.Event]:
        """All events since the last call; ChannelClosed once there are none and never will be."""
        self._read()
        found = list(self._events)
        self._events.clear()
        if self._ended and not found:
            raise ChannelClosed(self._why)
        return found

    # Frames -------------------------------------------------------------------------------------------

    def send(self, frames: Sequence[bytes]) -> int:
        """See Channel.send."""
        return step(self.channel.send(frames))

    def recv(self, limit: int | None = None) -> list[bytes]:
        """See Channel.recv."""
        return self.channel.recv(limit)

    def wait(self, timeout_ns: int | None = None, *, tx_slots: int = 0) -> bool:
        """Wait for a frame, an event, or (tx_slots > 0) free transmit slots; False on a timeout."""
        return step(self.channel.wait(timeout_ns, tx_slots=tx_slots, or_when=lambda: bool(self._events)))

    def now_ns(self) -> int:
        """Simulated time."""
        return self.clock.now_ns()

    def sleep(self, timeout_ns: int | None) -> bool:
        """Sleep until this program is woken; False on a timeout. For the port."""
        if self._take_wakes() or timeout_ns == 0:
            return True
        deadline_ns = None if timeout_ns is None else self.clock.now_ns() + timeout_ns
        self._say(Wait(0, self._taken, deadline_ns))
        while True:
            self._poll.poll()
            self._read()
            if self._ended:
                raise ChannelClosed(self._why)
            if self._take_wakes():
                return deadline_ns is None or self.clock.now_ns() < deadline_ns

    def fileno(self) -> int:
        """The control socket, for a poll of one's own: readable when there are events."""
        return self._sock.fileno()

    def close(self) -> None:
        """Hang up: the simulator's side treats the stack as dead. Say Detach before to leave in order."""
        if self._sock.fileno() >= 0:
            self._sock.close()
            for fd in (*self._bell_fds, self._wakes_fd):
                os.close(fd)

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def closed(self) -> ChannelClosed:
        """The error for an end that has been closed, with what the other side said last."""
        self._read()
        return ChannelClosed(self._why)

    def _take_wakes(self) -> int:
        try:
            count = len(os.read(self._wakes_fd, 1 << 16))
        except BlockingIOError:
            return 0
        if not count:
            raise self.closed()
        self._taken += count
        return count

    def _say(self, message: ToServer) -> None:
        try:
            self._sock.send(encode(message))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self.closed() from error

    def _read(self) -> None:
        while not self._ended:
            try:
                raw = self._sock.recv(PACKET_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # what came before is still to be read
            if not raw:
                self._ended = True
                return
            event = _understood(raw)
            if isinstance(event, Welcome):
                raise ChannelClosed(f"a second welcome: {event}")
            if event.cookie in self._answers and self._answers[event.cookie] is None:
                self._answers[event.cookie] = event
            else:
                if isinstance(event, msg.Refused) and not event.cookie:
                    self._why = event.text
                self._events.append(event)


def connect(
    path: str | Path,
    *,
    rx_slots: int = 256,
    tx_slots: int = 256,
    buffer_bytes: int = 2048,
    timeout_s: float = 30.0,
) -> Link:
    """Open a channel; returns when its queue pair runs and all receive buffers are posted.

    timeout_s: wall time. ChannelRefused, ChannelTimeout, and the OSErrors of connecting a socket.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    rights: list[int] = []
    try:
        sock.settimeout(timeout_s)
        sock.connect(os.fspath(path))
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have been refused already
            sock.send(encode(Hello(0, VERSION, rx_slots, tx_slots, buffer_bytes)))
        try:
            raw, rights, _, _ = socket.recv_fds(sock, PACKET_BYTES, DESCRIPTORS_MAX)
        except ConnectionResetError:  # and what was said before that is still there
            raw, rights, _, _ = socket.recv_fds(sock, PACKET_BYTES, DESCRIPTORS_MAX)
        if not raw:
            raise ChannelClosed("the simulator's process has closed the connection")
        welcome = _understood(raw)
        if isinstance(welcome, msg.Refused):
            raise ChannelRefused(welcome.errno, welcome.text)
        if not isinstance(welcome, Welcome):
            raise ChannelClosed(f"not a welcome: {welcome}")
        sock.settimeout(None)
        link = Link(sock, welcome, rights)
    except TimeoutError as error:
        _close(sock, rights)
        raise ChannelTimeout(f"{path}: no answer within {timeout_s} s") from error
    except BaseException:
        _close(sock, rights)
        raise
    for fd in (rights[0], *rights[4:]):  # what is mapped needs no descriptor
        os.close(fd)
    return link


def _close(sock: socket.socket, rights: Sequence[int]) -> None:
    sock.close()
    for fd in rights:
        os.close(fd)


def _understood(raw: bytes) -> msg.Event | Welcome:
    try:
        return decode_to_program(raw)
    except NotAMessage as error:
        raise ChannelClosed(f"the simulator's process is not understood: {error}") from error


def step(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of a Channel over a SocketPort, which blocks and never suspends."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("the coroutine waits for something else than a SocketPort")
