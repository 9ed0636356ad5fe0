# SPDX-License-Identifier: Apache-2.0
"""Placeholder sockets: they hold ports of user-space stacks in the host's kernel, and keep it silent there.

Binding is the arbiter between kernel sockets and us: it is atomic, and whoever binds first has the port. A
placeholder has no reuse flag while it holds a port, since any would let in a kernel socket with the same
flag. It drops all that reaches it by a socket filter. A TCP placeholder listens, so that segments of any kind
find it and are dropped before the kernel could answer with a RST; a UDP one keeps the kernel from answering
with port unreachable. That needs no firewall rule, and holds from the moment that hold() returns.
"""

import contextlib
import ctypes
import errno
import ipaddress
import resource
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from sim.linux.errors import LinuxError
from sim.linux.inet_diag import TCP, UDP, KernelSocket
from sim.linux.namespace import Namespace

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
SO_COOKIE = 57
_DROP_ALL = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))  # classic BPF: return 0
_FILTER = struct.pack("@HP", 1, ctypes.addressof(_DROP_ALL))  # struct sock_fprog
# Owner of placeholders. Nobody else's: sockets share a port by SO_REUSEPORT only with sockets of their owner.
OWNER_UID = 0x7475_7065
MARK = 0x7475_7065  # of placeholders, for rules that are to know them
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Place:
    """What is held. local None: every address; dual: an IPv6 wildcard that holds IPv4 as well.

    proto other than TCP and UDP: a whole IP protocol, port 0.
    """

    proto: int
    family: int
    local: int | None
    port: int
    dual: bool = False
    zone: int = 0

    def __str__(self) -> str:
        name = {TCP: "TCP", UDP: "UDP"}.get(self.proto, f"protocol {self.proto}")
        where = "*" if self.local is None else str(_address(self.family, self.local))
        return f"{name} IPv{self.family} {where} port {self.port}"


def _address(family: int, value: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv4Address(value) if family == 4 else ipaddress.IPv6Address(value)


@dataclass(slots=True)
class _Held:
    socket: socket.socket
    cookie: int
    uses: int = 1


class Placeholders:
    """All placeholders of one namespace. The same place may be held several times and is then counted."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._held: dict[tuple[int, int], dict[Place, _Held]] = {}  # by protocol and port
        self.cookies: set[int] = set()  # of the placeholders: they are no sockets of the host's programs

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def hold(self, place: Place) -> None:
        """Take a place in the kernel, or one use more of it; LinuxError, with nothing taken, if it cannot be.

        EADDRINUSE: a socket of the kernel's programs has it. EADDRNOTAVAIL: not an address of the host.
        EMFILE: out of descriptors.
        """
        if not 0 < place.port < 1 << 16 and place.proto in (TCP, UDP):
            raise LinuxError(errno.EINVAL, f"{place}: a port to hold is 1 to 65535")
        places = self._held.get((place.proto, place.port), {})
        if place in places:
            places[place].uses += 1
            return
        others = [held.socket for held in places.values()]
        try:
            made = self._namespace.run(lambda: self._make(place, others))
        except OSError as error:
            raise LinuxError(error.errno or errno.EIO, f"host kernel: {place}") from error
        cookie = int.from_bytes(made.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), sys.byteorder)
        self.cookies.add(cookie)
        self._held.setdefault((place.proto, place.port), {})[place] = _Held(made, cookie)

    def release(self, place: Place) -> None:
        """Give up one use; after the last one the kernel's programs may bind there. LinuxError ENOENT."""
        places = self._held.get((place.proto, place.port), {})
        held = places.get(place)
        if held is None:
            raise LinuxError(errno.ENOENT, f"{place} is not held")
        held.uses -= 1
        if held.uses == 0:
            held.socket.close()
            self.cookies.discard(held.cookie)
            del places[place]
            if not places:
                del self._held[place.proto, place.port]

    def overlapping(self, one: KernelSocket) -> list[Place]:
        """The held places that a socket of another owner overlaps."""
        held = self._held.get((one.tuple.proto, one.tuple.local_port), {})
        return [place for place in held if overlap(place, one)]

    def close(self) -> None:
        """Release all."""
        for places in self._held.values():
            for held in places.values():
                held.socket.close()
        self._held.clear()
        self.cookies.clear()

    def _make(self, place: Place, others: list[socket.socket]) -> socket.socket:
        """A bound socket. `others` are ours at the same port; only with them may the new one overlap."""
        family = socket.AF_INET if place.family == 4 else socket.AF_INET6
        kinds = {TCP: socket.SOCK_STREAM, UDP: socket.SOCK_DGRAM}
        kind = kinds.get(place.proto, socket.SOCK_RAW)
        with contextlib.ExitStack() as undo:
            # The owner is the file system user at this moment, which is the calling thread's alone.
            before = _libc.setfsuid(OWNER_UID)
            try:
                made = socket.socket(family, kind, 0 if place.proto in kinds else place.proto)
            finally:
                _libc.setfsuid(before)
            undo.callback(made.close)
            made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, _FILTER)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
            if place.family == 6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not place.dual)
            shared = [made, *others] if others else []
            _share(shared, True)
            try:
                made.bind(_sockaddr(place))
                if place.proto == TCP:
                    made.listen(0)
            finally:
                _share(shared, False)
            undo.pop_all()
            return made


def overlap(place: Place, one: KernelSocket) -> bool:
    """Whether a socket at the place's port would take frames that are the place's (bind(2), ipv6(7))."""
    if place.family == one.tuple.family:
        alike = place.zone == one.tuple.zone and place.local == one.tuple.local
        return place.local is None or one.tuple.local is None or alike
    both = place.dual if place.family == 6 else one.dual
    return both and (place.local is None or one.tuple.local is None)


def _share(sockets: list[socket.socket], on: bool) -> None:
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, on)


def _sockaddr(place: Place) -> tuple[str, int] | tuple[str, int, int, int]:
    address = str(_address(place.family, place.local or 0))
    return (address, place.port) if place.family == 4 else (address, place.port, 0, place.zone)


def reserve_ranges(namespace: Namespace, ranges: list[tuple[int, int]]) -> None:
    """Keep the kernel from choosing ports of these ranges (first, last) for its own programs' connections.

    A program that names such a port still gets it if no placeholder has it: this only avoids clashes.
    Replaces what was reserved before (ip_local_reserved_ports, for IPv4 and IPv6).
    """
    namespace.sysctl("ipv4.ip_local_reserved_ports", ",".join(f"{a}-{b}" for a, b in ranges) + "\n")


def ephemeral_range(namespace: Namespace) -> tuple[int, int]:
    """First and last port that the kernel chooses from."""
    first, last = namespace.sysctl("ipv4.ip_local_port_range").split()
    return int(first), int(last)


def descriptors_left() -> int:
    """How many placeholders this process may still hold, about: one descriptor each (RLIMIT_NOFILE)."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit - len(list(Path("/proc/self/fd").iterdir()))
