# SPDX-License-Identifier: Apache-2.0
"""Links, addresses, routes and neighbours as rtnetlink(7) tells and takes them. Bytes only, no I/O."""

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from sim.linux.errors import NetlinkError
from sim.linux.inet_diag import AF_INET, AF_INET6
from sim.linux.netlink import Message, attribute, attributes

NETLINK_ROUTE = 0
GROUPS = (1, 3, 5, 7, 9, 11)  # links, neighbours, IPv4 addresses and routes, IPv6 addresses and routes
IFF_UP, IFF_RUNNING = 0x1, 0x40
TABLE_MAIN = 254
_LINK = struct.Struct("=BxHiII")  # family, device type, index, flags, mask of flags
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix, flags, scope, interface
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, prefix, source prefix, TOS, table, origin, scope, type, flags
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, interface, state, flags, type
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_STATS64 = 1, 3, 4, 23
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _IFA_F_NODAD, _IFA_F_TENTATIVE = 1, 2, 8, 0x02, 0x40
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_TABLE = 1, 4, 5, 6, 7, 15
_NDA_DST, _NDA_LLADDR, _NTF_USE = 1, 2, 1
_RTN_UNICAST, _ORIGIN_BOOT = 1, 3


class Kind(IntEnum):
    """Message types; a removal is the addition's plus 1, a dump request its plus 2."""

    LINK = 16
    ADDRESS = 20
    ROUTE = 24
    NEIGHBOUR = 28


REMOVE, GET = 1, 2


class Nud(IntFlag):
    """State of a neighbour entry, linux/neighbour.h."""

    INCOMPLETE = 0x01
    REACHABLE = 0x02
    STALE = 0x04
    DELAY = 0x08
    PROBE = 0x10
    FAILED = 0x20
    NOARP = 0x40
    PERMANENT = 0x80


NUD_USABLE = Nud.REACHABLE | Nud.STALE | Nud.DELAY | Nud.PROBE | Nud.NOARP | Nud.PERMANENT


@dataclass(frozen=True, slots=True)
class Link:
    """An interface. Counters are as of the message and do not count in comparisons."""

    index: int
    name: str
    up: bool  # wanted up
    running: bool  # and has carrier
    mtu_bytes: int
    mac: bytes
    rx_dropped: int = field(default=0, compare=False)
    tx_dropped: int = field(default=0, compare=False)  # e.g. the TAP's queue was full

    @property
    def key(self) -> tuple[object, ...]:
        return ("link", self.index)


@dataclass(frozen=True, slots=True)
class Address:
    """An address of an interface; tentative: IPv6 duplicate detection has not ended."""

    ifindex: int
    family: int  # 4 or 6
    address: int
    prefix: int
    tentative: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        return ("address", self.ifindex, self.family, self.address, self.prefix)


@dataclass(frozen=True, slots=True)
class Route:
    """A route; address and prefix 0: the default route. kind 1: unicast, 2: local, 3: broadcast."""

    family: int
    address: int
    prefix: int
    gateway: int | None
    ifindex: int
    source: int | None
    metric: int
    table: int
    kind: int

    @property
    def key(self) -> tuple[object, ...]:
        where = (self.family, self.address, self.prefix, self.metric, self.table, self.kind)
        return ("route", *where, self.gateway, self.ifindex)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry of the ARP or neighbour discovery table; mac is empty while it is not known."""

    ifindex: int
    family: int
    address: int
    mac: bytes
    state: Nud

    @property
    def key(self) -> tuple[object, ...]:
        return ("neighbour", self.ifindex, self.family, self.address)


Item = Link | Address | Route | Neighbour


def family_of(af: int) -> int:
    """4 or 6; NetlinkError for any other."""
    if af not in (AF_INET, AF_INET6):
        raise NetlinkError(f"address family {af}")
    return 4 if af == AF_INET else 6


def _af(family: int) -> int:
    return AF_INET if family == 4 else AF_INET6


def _raw(family: int, address: int) -> bytes:
    return address.to_bytes(4 if family == 4 else 16, "big")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


def _number(raw: bytes | None) -> int:
    return int.from_bytes(raw or b"", sys.byteorder)


def _ip(raw: bytes | None) -> int | None:
    return None if raw is None else int.from_bytes(raw, "big")


# Messages to items ------------------------------------------------------------------------------------


def decode(message: Message) -> tuple[bool, Item] | None:
    """(removed, what) of an answer or notification; None for what is not of interest here."""
    kind, removed = message.kind & ~3, bool(message.kind & REMOVE)
    decoder = _DECODERS.get(kind)
    try:
        item = None if decoder is None else decoder(message.body)
    except struct.error as error:
        raise NetlinkError(f"a message of type {message.kind}, {len(message.body)} bytes") from error
    return None if item is None else (removed, item)


def _link(body: bytes) -> Link | None:
    family, _, index, flags, _ = _LINK.unpack_from(body)
    if family != 0:
        return None  # a bridge's or IPv6's own view of the link
    known = attributes(body, _LINK.size)
    stats = known.get(_IFLA_STATS64, b"")
    dropped = struct.unpack_from("=2Q", stats, 48) if len(stats) >= 64 else (0, 0)
    return Link(
        index,
        known.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        bool(flags & IFF_UP),
        bool(flags & IFF_RUNNING),
        _number(known.get(_IFLA_MTU)),
        known.get(_IFLA_ADDRESS, b""),
        *dropped,
    )


def _address(body: bytes) -> Address | None:
    af, prefix, flags, _, ifindex = _ADDRESS.unpack_from(body)
    known = attributes(body, _ADDRESS.size)
    address = _ip(known.get(_IFA_LOCAL, known.get(_IFA_ADDRESS)))
    flags |= _number(known.get(_IFA_FLAGS))
    if af not in (AF_INET, AF_INET6) or address is None:
        return None
    return Address(ifindex, family_of(af), address, prefix, bool(flags & _IFA_F_TENTATIVE))


def _route(body: bytes) -> Route | None:
    af, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(body)
    if af not in (AF_INET, AF_INET6):
        return None
    known = attributes(body, _ROUTE.size)
    return Route(
        family_of(af),
        _ip(known.get(_RTA_DST)) or 0,
        prefix,
        _ip(known.get(_RTA_GATEWAY)),
        _number(known.get(_RTA_OIF)),
        _ip(known.get(_RTA_PREFSRC)),
        _number(known.get(_RTA_PRIORITY)),
        _number(known.get(_RTA_TABLE)) or table,
        kind,
    )


def _neighbour(body: bytes) -> Neighbour | None:
    af, ifindex, state, _, _ = _NEIGHBOUR.unpack_from(body)
    known = attributes(body, _NEIGHBOUR.size)
    address = _ip(known.get(_NDA_DST))
    if af not in (AF_INET, AF_INET6) or address is None:
        return None
    return Neighbour(ifindex, family_of(af), address, known.get(_NDA_LLADDR, b""), Nud(state))


_DECODERS: dict[int, Callable[[bytes], Item | None]] = {
    Kind.LINK: _link,
    Kind.ADDRESS: _address,
    Kind.ROUTE: _route,
    Kind.NEIGHBOUR: _neighbour,
}


# Requests ---------------------------------------------------------------------------------------------


def dump_request(kind: Kind) -> bytes:
    """Body of a request for all items of a kind, of both families."""
    return {Kind.LINK: _LINK, Kind.ADDRESS: _ADDRESS, Kind.ROUTE: _ROUTE, Kind.NEIGHBOUR: _NEIGHBOUR}[
        kind
    ].pack(*([0] * (5 if kind != Kind.ROUTE else 9)))


def set_link(
    index: int, *, up: bool | None = None, mtu_bytes: int | None = None, mac: bytes | None = None
) -> bytes:
    """Body of a request that changes a link."""
    body = _LINK.pack(0, 0, index, IFF_UP if up else 0, 0 if up is None else IFF_UP)
    if mtu_bytes is not None:
        body += attribute(_IFLA_MTU, _u32(mtu_bytes))
    if mac is not None:
        body += attribute(_IFLA_ADDRESS, mac)
    return body


def address_request(item: Address) -> bytes:
    """Body of a request that adds or removes an address; no duplicate detection delays an IPv6 one."""
    raw = _raw(item.family, item.address)
    body = _ADDRESS.pack(_af(item.family), item.prefix, 0, 0, item.ifindex)
    return (
        body
        + attribute(_IFA_LOCAL, raw)
        + attribute(_IFA_ADDRESS, raw)
        + attribute(_IFA_FLAGS, _u32(_IFA_F_NODAD))
    )


def route_request(item: Route) -> bytes:
    """Body of a request that adds or removes a unicast route of the main table."""
    body = _ROUTE.pack(
        _af(item.family), item.prefix, 0, 0, TABLE_MAIN, _ORIGIN_BOOT, 0, _RTN_UNICAST, 0
    ) + attribute(_RTA_OIF, _u32(item.ifindex))
    if item.prefix:
        body += attribute(_RTA_DST, _raw(item.family, item.address))
    if item.gateway is not None:
        body += attribute(_RTA_GATEWAY, _raw(item.family, item.gateway))
    if item.metric:
        body += attribute(_RTA_PRIORITY, _u32(item.metric))
    return body


def neighbour_request(item: Neighbour, use: bool = False) -> bytes:
    """Body of a request that writes a neighbour entry; use: have the kernel resolve it as for a frame."""
    body = _NEIGHBOUR.pack(_af(item.family), item.ifindex, int(item.state), _NTF_USE if use else 0, 0)
    body += attribute(_NDA_DST, _raw(item.family, item.address))
    return body + attribute(_NDA_LLADDR, item.mac) if item.mac else body
