# SPDX-License-Identifier: Apache-2.0
"""What a stack asks of the kernel that it shares an interface with, and what it is told: values, a protocol.

The stack calls a `Kernel`; no call returns an answer. Answers and news come later as events, through
`Stack.on_events`. Addresses are IPv4 addresses as numbers, None is any. What the kernel says is believed.
"""

from dataclasses import dataclass
from typing import Protocol

from .endpoint import Endpoint


class Kernel(Protocol):
    """The owner of the interface's addresses and ports (`sim.shared_stack.ArbiterKernel` over the arbiter).

    Requests with a cookie are answered by one Granted or Refused with that cookie. `close` must not overtake
    frames: it takes effect when all that was sent for the entry before has left.
    """

    def listen(self, cookie: int, proto: int, local: int | None, port: int) -> None:
        """Take a local port, any free one for 0."""
        ...

    def connect(
        self, cookie: int, proto: int, local: int | None, local_port: int, remote: int, remote_port: int
    ) -> None:
        """Take a connection's tuple; without local address or with port 0 the kernel picks."""
        ...

    def accept(self, cookie: int, listener: int, local: int, remote: int, remote_port: int) -> None:
        """Take the tuple of a connection that came in at a listener (its token)."""
        ...

    def mark(self, token: int, state: str) -> None:
        """Tell how far a connection is: `established`, `half_closed` or `withdrawn`. No answer."""
        ...

    def close(self, token: int, linger: bool) -> None:
        """Give an entry back; linger: the kernel keeps its tuple for 2 MSL. No answer."""
        ...

    def resolve(self, cookie: int, remote: int) -> None:
        """Find the way to an address: answered by Resolved, now and whenever it changes, or by Refused."""
        ...

    def send_software(self, token: int, frame: bytes) -> None:
        """Send a frame of an entry that has no place in the NIC."""
        ...


@dataclass(frozen=True, slots=True)
class Granted:
    """An entry is this stack's, and its frames come."""

    cookie: int
    token: int
    local: int | None
    local_port: int
    software: bool = False  # frames are sent by send_software
    isn_offset: int = 0  # of a TCP connection
    ts_offset: int = 0
    key: bytes = b""  # of a TCP listener: both offsets of its connections come from it


@dataclass(frozen=True, slots=True)
class Refused:
    """A request is not granted; nothing has changed."""

    cookie: int
    errno: int
    text: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The way to an address: our source address, the MAC of the next hop (None: lost)."""

    remote: int
    local: int
    mac: bytes | None


@dataclass(frozen=True, slots=True)
class Gone:
    """An entry is another stack's now."""

    token: int
    why: str


@dataclass(frozen=True, slots=True)
class Away:
    """The address or the interface of an entry is away."""

    token: int
    why: str


@dataclass(frozen=True, slots=True)
class Back:
    """It works again."""

    token: int


@dataclass(frozen=True, slots=True)
class PathChanged:
    """From now on an entry's frames go by send_software, or by the device again."""

    token: int
    software: bool


@dataclass(frozen=True, slots=True)
class Deliver:
    """A frame that did not come by the device."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class IcmpError:
    """An ICMP error about a connection. Anybody may have sent it: TCP checks the sequence number."""

    token: int
    kind: int  # the ICMP type
    code: int
    next_hop_mtu: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Interface:
    """The interface changed: its MAC address, its MTU in bytes; None is unchanged."""

    mac: bytes | None = None
    mtu_bytes: int | None = None


Answer = Granted | Refused
Event = Answer | Resolved | Gone | Away | Back | PathChanged | Deliver | IcmpError | Interface


class Holder(Protocol):
    """A layer that holds entries and learns what becomes of them."""

    def on_gone(self, held: "Held", why: str) -> None: ...

    def on_away(self, held: "Held", why: str) -> None: ...

    def on_back(self, held: "Held") -> None: ...

    def on_icmp_error(self, held: "Held", error: IcmpError) -> None: ...


@dataclass(slots=True, eq=False)
class Held:
    """One entry of the registry that this stack has. Frames of its connections look here how they leave."""

    holder: Holder
    owner: Endpoint
    token: int
    local: int | None
    local_port: int
    software: bool
    isn_offset: int
    ts_offset: int
    key: bytes
    away: bool = False  # nothing can be sent
    marked: int = 0  # the last mark that the kernel was told, see tcp.shared
