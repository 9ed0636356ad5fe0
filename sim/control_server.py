# SPDX-License-Identifier: Apache-2.0
"""The control socket: a Unix-domain SOCK_SEQPACKET server that the simulation's loop looks at. No threads.

Nothing here ever waits for a program: every read and write is non-blocking, so what a program does or leaves
undone costs others a bounded time a look. What is said is sim.control_core's business.
"""

import errno
import os
import select
import socket
import struct
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from driver.arbiter.clients import Credentials
from sim.control_core import ControlCore, Session, Stage
from sim.control_ground import ChannelGround
from sim.control_messages import PACKET_BYTES

BACKLOG = 16
EVENTS_PER_POLL = 256
BELL_BYTES = 1 << 16  # more than a pipe holds: one read empties it
UCRED = struct.Struct("3i")  # unix(7): pid, uid, gid


def peer_of(sock: socket.socket) -> Credentials:
    """Who connected, as the kernel says it."""
    pid, uid, gid = UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    return Credentials(uid, gid, pid)


def own_user_or_root(credentials: Credentials) -> bool:
    """Who may come in unless something else is said."""
    return credentials.uid in (0, os.getuid())


@dataclass(eq=False, slots=True)
class _Link:
    """A session and its socket."""

    session: Session
    sock: socket.socket
    bells: dict[int, int]  # descriptor -> which of the two
    seated: int = 0  # the stack whose bells these are
    blocked: bool = False  # waits for room in the socket


class ControlServer:
    """Listens at `path`, which must not exist; `close` takes it away."""

    def __init__(
        self,
        path: Path,
        core: ControlCore,
        ground: ChannelGround,
        allowed: Callable[[Credentials], bool] = own_user_or_root,
        wall_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.core, self.path = core, path
        self._ground, self._allowed, self._wall_ns = ground, allowed, wall_ns
        self._links: dict[int, _Link] = {}  # by descriptor of the socket
        self._bells: dict[int, _Link] = {}  # by descriptor of the bell
        self._rung: dict[tuple[int, int], None] = {}  # (stack, 0 receive | 1 transmit)
        self._epoll = select.epoll()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            self._listener.bind(os.fspath(path))
            path.chmod(0o600)
            self._listener.listen(BACKLOG)
        except OSError:
            self._listener.close()
            self._epoll.close()
            raise
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)  # for when there is no other
        self._epoll.register(self._listener, select.EPOLLIN)

    def poll(self, now_ns: int, timeout_ns: int | None = 0) -> None:
        """Take what programs have said and tell them what is to be told; wait for it up to timeout_ns of wall
        time (None: until something comes). now_ns: simulated time.
        """
        self.flush(now_ns)
        timeout_s = None if timeout_ns is None else max(0, timeout_ns) / 1e9
        for fd, mask in self._epoll.poll(timeout_s, EVENTS_PER_POLL):
            if fd in self._bells:
                self._ring(fd)
            elif fd in self._links:
                self._read(self._links[fd], now_ns)
            elif fd == self._listener.fileno() and mask & select.EPOLLIN:
                self._accept()
        self.core.on_timer(self._wall_ns(), now_ns)
        self.flush(now_ns)

    def take_bells(self) -> list[tuple[int, int]]:
        """(stack, 0 receive | 1 transmit) of the bells that were rung since the last call, each once."""
        rung, self._rung = self._rung, {}
        return list(rung)

    def watch(self, fd: int) -> None:
        """Let a waiting `poll` return when this descriptor becomes readable, too."""
        self._epoll.register(fd, select.EPOLLIN)

    def close(self) -> None:
        """End: all connections are closed, the socket's name is gone."""
        for link in list(self._links.values()):
            self._drop(link)
        self._epoll.close()
        self._listener.close()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        self.path.unlink(missing_ok=True)

    # In -----------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(self.core.limits.accepts_per_poll):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._turn_away()
                return
            sock.setblocking(False)
            credentials = peer_of(sock)
            session = self.core.connect(credentials, self._allowed(credentials), self._wall_ns())
            self._links[sock.fileno()] = _Link(session, sock, {})
            self._epoll.register(sock, select.EPOLLIN)

    def _turn_away(self) -> None:
        """No descriptor is left for a connection: one that is kept for this closes it, else it would wait."""
        self.core.counts["no descriptor"] += 1
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        with suppress(OSError):
            self._listener.accept()[0].close()
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _read(self, link: _Link, now_ns: int) -> None:
        for _ in range(self.core.limits.packets_per_poll):
            if link.session.stage is Stage.OVER:
                return
            try:
                # No room for descriptors: the kernel closes what the program sends along.
                raw, _, flags, _ = link.sock.recvmsg(PACKET_BYTES, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                raw, flags = b"", 0
            if flags & socket.MSG_CTRUNC:
                self.core.end(link.session, errno.EBADMSG, "descriptors are not taken here", now_ns)
            elif flags & socket.MSG_TRUNC:
                self.core.end(link.session, errno.EMSGSIZE, f"more than {PACKET_BYTES} bytes", now_ns)
            elif not raw:
                self.core.hung_up(link.session, now_ns)
            else:
                self.core.receive(link.session, raw, now_ns)

    def _ring(self, fd: int) -> None:
        link = self._bells[fd]
        try:
            rung = os.read(fd, BELL_BYTES)
        except BlockingIOError:
            return
        if rung:
            self._rung[link.seated, link.bells[fd]] = None
        else:  # the program has closed its end
            self._epoll.unregister(fd)
            del self._bells[fd]

    # Out ----------------------------------------------------------------------------------------------

    def flush(self, now_ns: int) -> None:
        """Send what is queued, as far as sockets have room; wake who is to be woken; close what is over."""
        for link in list(self._links.values()):
            session = link.session
            if session.out:
                self._send(link, now_ns)
            if session.wake:
                self._wake(link)
            if session.stage is Stage.OVER:
                self._drop(link)

    def _send(self, link: _Link, now_ns: int) -> None:
        session = link.session
        while session.out:
            raw = session.out[0]
            try:
                if raw is session.welcome:
                    self._welcome(link, raw)
                else:
                    link.sock.send(raw, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._watch(link, True)
                return
            except OSError:
                self.core.hung_up(session, now_ns)
                return
            self.core.sent(session)
        self._watch(link, False)

    def _welcome(self, link: _Link, raw: bytes) -> None:
        """Send the packet with the descriptors; from then on its bells are listened to."""
        stack = link.session.stack
        seat, rights = self._ground.seat(stack), self._ground.open_rights(stack)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", rights))]
        try:
            link.sock.sendmsg([raw], ancillary, socket.MSG_DONTWAIT)
        finally:
            for fd in rights[len(seat.theirs) :]:
                os.close(fd)
        seat.handed_over()
        link.seated = stack
        for which, fd in enumerate(seat.bells):
            link.bells[fd] = which
            self._bells[fd] = link
            self._epoll.register(fd, select.EPOLLIN)

    def _wake(self, link: _Link) -> None:
        if link.session.stage is not Stage.JOINED or not link.seated:
            return  # it has no descriptor yet
        counted = False
        with suppress(BlockingIOError, BrokenPipeError):  # a full pipe wakes, too
            counted = os.write(self._ground.seat(link.seated).wakes, b"\0") == 1
        self.core.woken(link.session, counted=counted)

    def _watch(self, link: _Link, blocked: bool) -> None:
        if link.blocked != blocked:
            link.blocked = blocked
            self._epoll.modify(link.sock, select.EPOLLIN | (select.EPOLLOUT if blocked else 0))

    def _drop(self, link: _Link) -> None:
        del self._links[link.sock.fileno()]
        for fd in link.bells:
            if self._bells.pop(fd, None) is not None:
                self._epoll.unregister(fd)
        self._epoll.unregister(link.sock)
        link.sock.close()
        if link.session.stack:
            self._ground.hang_up(link.session.stack)
