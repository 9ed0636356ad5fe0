# SPDX-License-Identifier: Apache-2.0
"""What a user-space stack and the arbiter say to each other: requests, answers, events. Values only.

Every request has a cookie of the stack's choice (64 bits), and everything that comes of it carries that
cookie: first Granted, Done or Refused, later the events of the thing that was granted. Addresses are their 4
or 16 bytes. The same objects travel inside one process and, encoded by sim, between two; so nothing here is
trusted.
"""

from typing import Annotated

import msgspec

U64 = Annotated[int, msgspec.Meta(ge=0)]  # msgspec takes no bound of 2^64; msgpack has no larger number
Cookie = U64
Token = U64
Generation = U64
Port = Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
Protocol = Annotated[int, msgspec.Meta(ge=0, lt=1 << 8)]
Zone = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
Address = Annotated[bytes, msgspec.Meta(min_length=4, max_length=16)]
FrameBytes = Annotated[bytes, msgspec.Meta(min_length=14, max_length=1 << 16)]


class Message(
    msgspec.Struct, frozen=True, tag=True, tag_field="what", array_like=True, forbid_unknown_fields=True
):
    """Base of all that is said."""

    cookie: Cookie


# ---- requests


class Listen(Message, frozen=True, tag="listen"):
    """Take a local port, on one address or (None) on all of a family; dual: IPv6 and IPv4."""

    proto: Protocol
    port: Port  # 0: the arbiter picks one of the ephemeral range
    local: Address | None = None
    ipv6: bool = False  # the family, where local is None
    dual: bool = False
    reuse: bool = False
    zone: Zone = 0
    generation: Generation | None = None  # of the cached registry that was looked at before


class Connect(Message, frozen=True, tag="connect"):
    """Take a 5-tuple towards a peer; without local address or port the arbiter picks them."""

    proto: Protocol
    remote: Address
    remote_port: Port
    local: Address | None = None
    local_port: Port = 0
    zone: Zone = 0
    reopen: bool = False  # a lingering tuple of one's own may be taken again (RFC 6191)
    generation: Generation | None = None


class Accept(Message, frozen=True, tag="accept"):
    """Take the 5-tuple of a connection that came in at a listener of one's own."""

    listener: Token
    local: Address
    remote: Address
    remote_port: Port
    reopen: bool = False


class TakeProtocol(Message, frozen=True, tag="protocol"):
    """Take a raw IP protocol; its frames come by the control channel, the NIC does not know it."""

    proto: Protocol
    ipv6: bool = False


class Mark(Message, frozen=True, tag="mark"):
    """Tell how far a connection is: `established`, `half_closed` or `withdrawn`."""

    token: Token
    state: str


class Close(Message, frozen=True, tag="close"):
    """Give an entry back. linger: a connection that was established keeps its tuple for 2 MSL."""

    token: Token
    linger: bool = True


class Offer(Message, frozen=True, tag="offer"):
    """Let another stack take an entry of one's own."""

    token: Token
    to: Zone


class Take(Message, frozen=True, tag="take"):
    """Take what another stack has offered; its frames come here from one frame to the next."""

    token: Token
    port: Port = 0  # 0, or the port that the entry has


class Resolve(Message, frozen=True, tag="resolve"):
    """Find the way to an address: source address, next hop and its MAC (ARP, RFC 826; ND, RFC 4861)."""

    remote: Address
    zone: Zone = 0


class LeaseIds(Message, frozen=True, tag="lease_ids"):
    """Get a range of IPv4 identifications for 2 MSL (RFC 6864)."""


class Send(Message, frozen=True, tag="send"):
    """Send a frame of an entry that has no place in the NIC; it is checked as the NIC's flow guard does."""

    token: Token
    frame: FrameBytes


class Detach(Message, frozen=True, tag="detach"):
    """Give everything back and go."""


Request = (
    Listen
    | Connect
    | Accept
    | TakeProtocol
    | Mark
    | Close
    | Offer
    | Take
    | Resolve
    | LeaseIds
    | Send
    | Detach
)

# ---- answers and events


class Granted(Message, frozen=True, tag="granted"):
    """An entry is reserved and its frames come: from the NIC, or (software) by the control channel."""

    token: Token
    local: Address | None
    local_port: Port
    remote: Address | None
    remote_port: Port
    flow_id: Zone
    generation: Generation
    software: bool = False
    isn_offset: Zone = 0  # RFC 6528: to be added to the clock; the same whichever stack has the tuple
    ts_offset: Zone = 0  # RFC 7323 section 5.4, the same
    key: bytes = b""  # of a listener: derives both for each connection


class Done(Message, frozen=True, tag="done"):
    """It is done."""


class Refused(Message, frozen=True, tag="refused"):
    """It is not done, and nothing has changed; errno as of the host."""

    errno: int
    text: str
    generation: Generation | None = None  # of the registry, where the request was decided on an older one


class Resolved(Message, frozen=True, tag="resolved"):
    """The way to an address; told again when it changes, with mac None when it is lost."""

    remote: Address
    local: Address
    hop: Address
    mac: bytes | None
    generation: Generation


class Ids(Message, frozen=True, tag="ids"):
    """IPv4 identifications first..first+count-1 are this stack's until `expires_ns`."""

    first: int
    count: int
    expires_ns: int


class Gone(Message, frozen=True, tag="gone"):
    """An entry is not this stack's any more: another one has taken it, or the host took it back."""

    token: Token
    why: str


class Away(Message, frozen=True, tag="away"):
    """The address or the interface of an entry is away: it stays reserved, but no frame comes or goes."""

    token: Token
    why: str


class Back(Message, frozen=True, tag="back"):
    """An entry whose address or interface was away works again."""

    token: Token


class Path(Message, frozen=True, tag="path"):
    """From now on an entry's frames come and go by the control channel (software), or by the queue again."""

    token: Token
    software: bool


class Deliver(Message, frozen=True, tag="deliver"):
    """A frame for an entry of this stack that did not come through its queue."""

    frame: FrameBytes


class IcmpError(Message, frozen=True, tag="icmp_error"):
    """An ICMP error about a flow of this stack. Anybody may send one: check `sequence` (RFC 5927)."""

    token: Token
    type: int
    code: int
    next_hop_mtu: int  # 0 where there is none
    sequence: int  # of the TCP segment that it is about


class Interface(Message, frozen=True, tag="interface"):
    """The interface changed: `attached`, `detached`, `up`, `down`, `address`, `mtu`, `mac`, `offloads`;
    cookie 0.

    The values are in the host information pages, at `generation` or later.
    """

    change: str
    generation: Generation


Event = (
    Granted | Done | Refused | Resolved | Ids | Gone | Away | Back | Path | Deliver | IcmpError | Interface
)
