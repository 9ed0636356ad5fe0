# SPDX-License-Identifier: Apache-2.0
"""The real Linux kernel as the host stack: its sockets as events, its ports held for user-space stacks.

How a new socket is noticed, as no notification tells of it: by a dump every `dump_ns` (more seldom with very
many sockets), by an exact look-up whenever a tuple matters (a frame of an unknown tuple, a request of a
user-space stack), and, what decides, by the placeholder: taking a port fails while any socket has it, whether
we know of that socket or not.
"""

import errno
from dataclasses import dataclass, field

from sim.linux.errors import LinuxError
from sim.linux.firewall import refuse_local
from sim.linux.inet_diag import AF_INET, AF_INET6, TCP, UDP, KernelSocket, Tuple
from sim.linux.mirror import Mirror, SocketEvent, may_linger
from sim.linux.namespace import Namespace
from sim.linux.placeholder import Place, Placeholders
from sim.linux.sock_diag import SockDiag

DUMP_NS = 100_000_000
# The more sockets the rarer: a dump costs about 8 us a socket, which stays below a tenth of a processor.
DUMP_NS_A_SOCKET = 100_000
TABLES = tuple((proto, family) for proto in (TCP, UDP) for family in (AF_INET, AF_INET6))


class PortTaken(LinuxError):
    """EADDRINUSE, with the kernel's sockets that have the port as far as the kernel shows them."""

    def __init__(self, place: Place, owners: list[KernelSocket]) -> None:
        who = ", ".join(f"{s.tuple} {s.state.name} (uid {s.uid})" for s in owners) or "a socket not shown"
        super().__init__(errno.EADDRINUSE, f"host kernel: {place} is held by {who}")
        self.owners = owners


@dataclass(slots=True)
class HostKernelStats:
    """Counts since the start."""

    dumps: int = 0
    lookups: int = 0
    destroyed: int = 0
    notifications_lost: int = 0  # times; each is followed by a dump
    refused: int = 0  # places that the kernel's programs had already


@dataclass(slots=True)
class HostKernel:
    """The host stack's side of the arbiter. All calls return at once; call `events` when `fileno` is
    readable and at `next_deadline_ns`."""

    namespace: Namespace
    dump_ns: int = DUMP_NS
    stats: HostKernelStats = field(default_factory=HostKernelStats)
    mirror: Mirror = field(init=False)
    lacks: str = ""  # what is missing for refusing the host's own programs at held TCP ports at once
    _next_dump_ns: int = 0
    _waiting: list[SocketEvent] = field(default_factory=list)
    _diag: SockDiag = field(init=False)
    _places: Placeholders = field(init=False)

    def __post_init__(self) -> None:
        self.lacks = refuse_local(self.namespace)
        self._diag = SockDiag(self.namespace)
        self._places = Placeholders(self.namespace)
        self.mirror = Mirror(self._places.cookies)

    # Ports of user-space stacks -----------------------------------------------------------------------

    def reserve(self, place: Place) -> None:
        """Hold a place in the kernel: from now on no program of the host can bind it, nor does the kernel
        answer frames to it. PortTaken if one has it; other LinuxErrors as Placeholders.hold."""
        try:
            self._places.hold(place)
        except LinuxError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            self.stats.refused += 1
            raise PortTaken(place, self.find_port(place.proto, place.port)) from error

    def release(self, place: Place) -> None:
        """Undo one reserve; LinuxError ENOENT if the place is not held."""
        self._places.release(place)

    # The kernel's sockets -----------------------------------------------------------------------------

    def lookup(self, key: Tuple) -> KernelSocket | None:
        """The host's socket that a frame from key.remote to key.local reaches; None if there is none.

        An event for a socket that was not known follows from `events`.
        """
        self.stats.lookups += 1
        found = self._diag.lookup(key)
        if found is None or found.cookie in self._places.cookies:
            return None
        self._waiting += self.mirror.found(found)
        return found

    def find_port(self, proto: int, port: int) -> list[KernelSocket]:
        """The host's sockets at a port, asked for now; needs a walk through the kernel's table."""
        self.stats.lookups += 1
        ours = self._places.cookies
        found = []
        for family in (AF_INET, AF_INET6) if proto in (TCP, UDP) else ():
            found += [s for s in self._diag.dump(proto, family, port) if s.cookie not in ours]
        for one in found:
            self._waiting += self.mirror.found(one)
        return found

    def intruders(self) -> list[KernelSocket]:
        """Known sockets of programs that overlap a held place: none, but for holes in the kernel."""
        return [s for s in self.mirror.sockets.values() if self._places.overlapping(s)]

    def fileno(self) -> int:
        """Readable when sockets were destroyed."""
        return self._diag.events.fileno()

    def next_deadline_ns(self) -> int:
        """When `events` is needed for the next dump."""
        return self._next_dump_ns

    def events(self, now_ns: int) -> list[SocketEvent]:
        """What has happened to the host's sockets since the last call; dumps if it is time."""
        events, self._waiting = self._waiting, []
        destroyed, lost = self._diag.take_destroyed()
        self.stats.destroyed += len(destroyed)
        for one in destroyed:
            known = self.mirror.known(one.cookie)
            if known is not None:
                now = self._diag.lookup(known.tuple, known.cookie) if may_linger(known) else None
                events += self.mirror.settle(known, now)
        self.stats.notifications_lost += lost
        if lost or now_ns >= self._next_dump_ns:
            events += self._dump()
            self._next_dump_ns = now_ns + max(self.dump_ns, DUMP_NS_A_SOCKET * len(self.mirror.sockets))
        return events

    def _dump(self) -> list[SocketEvent]:
        events: list[SocketEvent] = []
        for proto, family in TABLES:
            events += self.mirror.dump(proto, family, self._diag.dump(proto, family))
        self.stats.dumps += 1
        return events

    def close(self) -> None:
        """Release all places and stop listening."""
        self._places.close()
        self._diag.close()
