# SPDX-License-Identifier: Apache-2.0
"""Routes and neighbours as the host has them: the way from here to an address; no I/O.

The host adapter (sim) fills it and asks for what is missing: `take_wanted` names the next hops that stacks
wait for.
"""

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from driver.arbiter.addresses import family_of
from driver.errors import ArbiterError


@dataclass(frozen=True, slots=True)
class Route:
    """What is under `prefix`/`bits` goes out from address `source`, by `gateway` or (None) directly."""

    prefix: bytes
    bits: int
    source: bytes
    gateway: bytes | None = None
    zone: int = 0
    here: bool = True  # through this interface; False: through another one

    def matches(self, remote: bytes, zone: int) -> bool:
        """Whether an address is under the prefix, and on the link where that says anything."""
        if len(remote) != len(self.prefix) or (zone and self.zone and zone != self.zone):
            return False
        shift = 8 * len(remote) - self.bits
        return int.from_bytes(remote, "big") >> shift == int.from_bytes(self.prefix, "big") >> shift


@dataclass(frozen=True, slots=True)
class Way:
    """How a remote address is reached."""

    source: bytes
    hop: bytes  # gateway, or the address itself


class Routes:
    """Longest prefix first, then the order in which they were set."""

    def __init__(self) -> None:
        self.generation = 0  # +1 with every change of routes or neighbours
        self._routes: list[Route] = []
        self._macs: dict[bytes, bytes] = {}
        self._wanted: dict[bytes, None] = {}

    def set(self, routes: Iterable[Route]) -> None:
        """Take the host's table as it is now."""
        self._routes = sorted(routes, key=lambda route: -route.bits)
        self.generation += 1

    def find(self, remote: bytes, zone: int = 0) -> Way | None:
        """The way to an address through this interface, or None."""
        for route in self._routes:
            if route.matches(remote, zone):
                return Way(route.source, route.gateway or remote) if route.here else None
        return None

    def lookup(self, remote: bytes, zone: int = 0) -> Way:
        """As find. EINVAL for what is no address, EADDRNOTAVAIL for one that no peer has, EHOSTUNREACH
        without a way."""
        family_of(remote)
        if _is_group(remote) or not any(remote):
            raise ArbiterError(errno.EADDRNOTAVAIL, f"{remote.hex('.')} is no peer's address")
        way = self.find(remote, zone)
        if way is None:
            raise ArbiterError(errno.EHOSTUNREACH, f"no route to {remote.hex('.')} through this interface")
        return way

    def mac(self, hop: bytes) -> bytes | None:
        """The MAC of a next hop, if it is known."""
        return self._macs.get(hop)

    def set_mac(self, hop: bytes, mac: bytes | None) -> bool:
        """A neighbour is resolved (again) or (None) lost; False if nothing changed."""
        self._wanted.pop(hop, None)
        if self._macs.get(hop) == mac:
            return False
        self.generation += 1
        if mac is None:
            del self._macs[hop]
        else:
            self._macs[hop] = mac
        return True

    def want(self, hop: bytes) -> None:
        """Somebody needs the MAC of this next hop."""
        if hop not in self._macs:
            self._wanted[hop] = None

    def take_wanted(self) -> list[bytes]:
        """Next hops to be resolved, asked for since the last call."""
        wanted = list(self._wanted)
        self._wanted.clear()
        return wanted


def _is_group(address: bytes) -> bool:
    """Multicast of either family, or IPv4's limited broadcast."""
    return address[0] == 0xFF if len(address) == 16 else address[0] >> 4 == 14 or address == b"\xff" * 4
