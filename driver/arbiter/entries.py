# SPDX-License-Identifier: Apache-2.0
"""What the registry holds and what it is asked for. Values only, no rules; docs/arbiter.md."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address

from driver.errors import ArbiterError as ArbiterError
from driver.errors import StaleRequest as StaleRequest
from driver.tuples import Proto, proto_name

HOST_STACK = 0
TCP, UDP, ESP, AH = int(Proto.TCP), int(Proto.UDP), 50, 51
PORT_PROTOS = frozenset((TCP, UDP))


class Kind(IntEnum):
    """Who stands behind an entry, and what it takes."""

    HOST = 0  # a socket of the host stack, also its packet filter and NAT
    LISTENER = 1  # of a user-space stack: local port, with or without local address
    FLOW = 2  # of a user-space stack: connected, both addresses and both ports
    PROTOCOL = 3  # a raw IP protocol


class EntryFlag(IntFlag):
    """State of an entry; REUSE and DUAL are asked for, the registry sets the others."""

    REUSE = 1  # a listener may start beside it, if that has REUSE too
    HALF_CLOSED = 2  # not in the list of active ports; relaxes no conflict
    WITHDRAWN = 4  # in no list of ports; relaxes no conflict
    LINGERING = 8  # closed, the tuple is kept for TIME_WAIT
    RESERVED = 16  # taken before use: not armed yet, or pre-reserved for a hand-over
    DUAL = 32  # IPv6 wildcard that takes IPv4 as well
    UNBOUND = 64  # reserved, but its interface or its local address is away
    SOFTWARE = 128  # without a place in hardware: forwarded in software
    ESTABLISHED = 256  # TCP flow that got as far as ESTABLISHED: lingers when released


NO_FLAGS = EntryFlag(0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One reservation as it was at `generation`; the registry replaces it with every change."""

    token: int  # 64 bits, never used again
    stack: int  # HOST_STACK or 1..
    kind: Kind
    proto: int  # IP protocol number
    family: int  # 4 or 6
    local: int | None  # address as a number; None is any address
    local_port: int  # 0 for a PROTOCOL
    remote: int | None
    remote_port: int
    flags: EntryFlag
    flow_id: int  # 32 bits, unique; 0 is none
    generation: int  # of the registry, when this entry changed last
    zone: int = 0  # interface index, if the local or the remote address is link-local IPv6

    def __str__(self) -> str:
        return f"{self.kind.name.lower()} of stack {self.stack}, {tuple_text(self)}"


@dataclass(frozen=True, slots=True)
class Request:
    """A wish for an entry. What makes no sense is refused by the registry with EINVAL, not here."""

    stack: int
    kind: Kind
    proto: int
    family: int = 4
    local: int | None = None
    local_port: int = 0  # 0 only for a PROTOCOL and with reserve_ephemeral
    remote: int | None = None
    remote_port: int = 0
    flags: EntryFlag = NO_FLAGS  # REUSE and DUAL may be asked for
    zone: int = 0
    generation: int | None = None  # of the registry, which the requester decided on; None: it did not look
    flow_id: int = 0  # HOST only: the host's own id of the flow; other kinds are given one
    reopen: bool = False  # a FLOW may replace a lingering one of the same tuple (RFC 1122 4.2.2.13, RFC 6191)
    rights: frozenset[str] = frozenset()  # names of the rights to restricted ports that the requester has

    def __str__(self) -> str:
        return f"{self.kind.name.lower()} of stack {self.stack}, {tuple_text(self)}"


def address_text(family: int, address: int | None, zone: int) -> str:
    """`10.0.0.1`, `fe80::1%2`, or `*`."""
    if address is None:
        return "*"
    try:
        if family == 4:
            return str(IPv4Address(address))
        text = str(IPv6Address(address))
    except ValueError:
        return f"?{address:#x}"
    return f"{text}%{zone}" if zone and is_link_local(family, address) else text


def tuple_text(what: Entry | Request) -> str:
    """`tcp 10.0.0.1:80`, `tcp [fe80::1%2]:80 <- [fe80::9%2]:99`, `protocol 47`."""
    local = address_text(what.family, what.local, what.zone)
    if what.kind is Kind.PROTOCOL:
        return f"protocol {what.proto} at {local}"
    place = _end(what.family, local, what.local_port)
    if what.family == 6 and what.local is None:
        place = f"[::]:{what.local_port}"
    if what.remote is None:
        return f"{proto_name(what.proto)} {place}"
    there = _end(what.family, address_text(what.family, what.remote, what.zone), what.remote_port)
    return f"{proto_name(what.proto)} {place} <- {there}"


def _end(family: int, text: str, port: int) -> str:
    return f"[{text}]:{port}" if family == 6 else f"{text}:{port}"


def is_link_local(family: int, address: int | None) -> bool:
    """fe80::/10 (RFC 4291 section 2.5.6); 169.254/16 needs no zone."""
    return family == 6 and address is not None and address >> 118 == 0x3FA


def is_multicast(family: int, address: int) -> bool:
    """224/4 or ff00::/8."""
    return address >> 28 == 0xE if family == 4 else address >> 120 == 0xFF
