# SPDX-License-Identifier: Apache-2.0
"""A mirror of the kernel's socket tables, fed by dumps, look-ups and destroy notifications. No I/O.

Sockets are known by their cookie: a notification may come when the tuple is already wiped. The kernel does
not tell of new sockets, so they are found by dumps and by look-ups of a tuple that matters. A TCP socket may
be destroyed while its tuple lives on in TIME_WAIT, under the same cookie; of the end of that nothing is told,
and the next dump shows it.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from enum import Enum

from sim.linux.inet_diag import TCP, KernelSocket, State


class Happened(Enum):
    """What became of a socket."""

    APPEARED = "appeared"
    CHANGED = "changed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class SocketEvent:
    """A socket of the host's programs; for CHANGED as it is now, for GONE as it was last."""

    what: Happened
    socket: KernelSocket


def holds_port(found: KernelSocket) -> bool:
    """Whether a socket has a port at all: one that is not bound yet is nobody's concern."""
    return found.tuple.local_port != 0


class Mirror:
    """The sockets of the host's programs by cookie; `ours` (placeholders) are left out."""

    def __init__(self, ours: Container[int] = frozenset()) -> None:
        self.sockets: dict[int, KernelSocket] = {}
        self._ours = ours

    def dump(self, proto: int, socket_family: int, found: Iterable[KernelSocket]) -> list[SocketEvent]:
        """Take in all sockets of a protocol and family. No notification may be taken in while one is read."""
        events, present = [], set()
        for one in found:
            present.add(one.cookie)
            events += self.found(one)
        for cookie, one in list(self.sockets.items()):
            same = one.tuple.proto == proto and one.socket_family == socket_family
            if same and cookie not in present:
                events.append(self._drop(cookie))
        return events

    def found(self, one: KernelSocket) -> list[SocketEvent]:
        """Take in one socket that a dump or a look-up has shown."""
        if one.cookie in self._ours or not holds_port(one):
            return []
        known = self.sockets.get(one.cookie)
        self.sockets[one.cookie] = one
        if known == one:
            return []
        return [SocketEvent(Happened.APPEARED if known is None else Happened.CHANGED, one)]

    def known(self, cookie: int) -> KernelSocket | None:
        """A socket as last seen: a destroyed one is to be looked up by it, see `settle`."""
        return self.sockets.get(cookie)

    def settle(self, known: KernelSocket, now: KernelSocket | None) -> list[SocketEvent]:
        """The answer to a destroyed socket's look-up by tuple and cookie: TIME_WAIT, or nothing."""
        if now is not None and now.cookie == known.cookie and now.state is State.TIME_WAIT:
            return self.found(now)
        return [self._drop(known.cookie)] if known.cookie in self.sockets else []

    def at_port(self, proto: int, port: int) -> list[KernelSocket]:
        """Known sockets at a port, of any address and family."""
        return [s for s in self.sockets.values() if s.tuple.proto == proto and s.tuple.local_port == port]

    def _drop(self, cookie: int) -> SocketEvent:
        return SocketEvent(Happened.GONE, self.sockets.pop(cookie))


def may_linger(one: KernelSocket) -> bool:
    """Whether a destroyed socket's tuple may live on: only a TCP connection's does."""
    return one.tuple.proto == TCP and one.tuple.remote_port != 0
