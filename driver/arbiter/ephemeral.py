# SPDX-License-Identifier: Apache-2.0
"""Which port a requester gets who named none, and which ports not everybody may name."""

from collections.abc import Callable
from dataclasses import dataclass
from errno import EADDRNOTAVAIL, EINVAL
from typing import Protocol

from .entries import PORT_PROTOS, UDP, ArbiterError, Request
from .records import NamespaceKey, local_zone

PORT_MAX = 65_535
UDP_FLOOR = 4_096  # ports that must remain at an address for UDP, so that a resolver can still pick at random
REMEMBERED = 1_024  # addresses whose last sequential port is kept


class Randomness(Protocol):
    """Where random bits come from; random.Random and SystemRandom have it."""

    def getrandbits(self, k: int, /) -> int: ...


def below(rng: Randomness, bound: int) -> int:
    """A uniform number of 0..bound-1."""
    bits = (bound - 1).bit_length()
    while bits:
        if (value := rng.getrandbits(bits)) < bound:
            return value
    return 0


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports first..last, searched upwards; downwards if first > last. EINVAL for port 0 and beyond 65535."""

    first: int = 49_152  # RFC 6335 section 6: dynamic ports
    last: int = PORT_MAX

    def __post_init__(self) -> None:
        if not (1 <= self.first <= PORT_MAX and 1 <= self.last <= PORT_MAX):
            raise ArbiterError(EINVAL, f"ephemeral ports {self.first}..{self.last}: not within 1..{PORT_MAX}")

    def __len__(self) -> int:
        return abs(self.last - self.first) + 1

    def at(self, index: int) -> int:
        """Port number `index` in the order of the search, which goes round."""
        index %= len(self)
        return self.first + index if self.first <= self.last else self.first - index

    def index(self, port: int) -> int | None:
        """Inverse of at; None for a port outside."""
        index = port - self.first if self.first <= self.last else self.first - port
        return index if 0 <= index < len(self) else None


class PortPolicy:
    """The host's settings for ports; all may change at any time, for later requests."""

    def __init__(
        self, ephemeral: PortRange | None = None, randomize: bool = True, udp_floor: int = UDP_FLOOR
    ) -> None:
        self.ephemeral = ephemeral or PortRange()
        self.randomize = randomize
        self.udp_floor = udp_floor
        self._never: set[tuple[int, int]] = set()  # (proto, port)
        self._restricted: dict[tuple[int, int], str] = {}
        self._last: dict[NamespaceKey, int] = {}

    def set_range(self, first: int, last: int) -> None:
        """The ephemeral range; EINVAL if it holds port 0 or ends beyond 65535."""
        self.ephemeral = PortRange(first, last)

    def reserve(self, proto: int, port: int, on: bool = True) -> None:
        """Never give this port out as ephemeral; whoever names it may have it."""
        _check(proto, port)
        if on:
            self._never.add((proto, port))
        else:
            self._never.discard((proto, port))

    def restrict(self, proto: int, port: int, right: str | None) -> None:
        """Only requesters with this right may name the port, and it is never ephemeral; None lifts it."""
        _check(proto, port)
        if right is None:
            self._restricted.pop((proto, port), None)
        else:
            self._restricted[proto, port] = right

    def missing_right(self, proto: int, port: int, rights: frozenset[str]) -> str | None:
        """The right that a requester lacks for a port."""
        right = self._restricted.get((proto, port))
        return None if right is None or right in rights else right

    def too_few_left(self, proto: int, used: int) -> bool:
        """Whether so many ports are used at an address that the rest is kept."""
        return proto == UDP and PORT_MAX - used < self.udp_floor

    def pick(
        self, wish: Request, ports: PortRange | None, free: Callable[[int], bool], rng: Randomness
    ) -> int:
        """The first port that is free, allowed and not reserved, once round the range; EADDRNOTAVAIL if none.

        The search starts anywhere, or behind the port that this address and protocol got last.
        """
        ports = ports or self.ephemeral
        key = (wish.proto, wish.family, wish.local, local_zone(wish))
        if self.randomize:
            start = below(rng, len(ports))
        else:
            last = ports.index(self._last.get(key, 0))
            start = 0 if last is None else last + 1
        for index in range(start, start + len(ports)):
            port = ports.at(index)
            place = (wish.proto, port)
            if place not in self._never and place not in self._restricted and free(port):
                if len(self._last) >= REMEMBERED:
                    self._last.clear()
                self._last[key] = port
                return port
        raise ArbiterError(
            EADDRNOTAVAIL, f"{wish}: none of the {len(ports)} ports {ports.first}..{ports.last} is free"
        )


def _check(proto: int, port: int) -> None:
    if proto not in PORT_PROTOS or not 1 <= port <= PORT_MAX:
        raise ArbiterError(EINVAL, f"protocol {proto}, port {port}: not a port of TCP or UDP")
