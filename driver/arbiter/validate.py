# SPDX-License-Identifier: Apache-2.0
"""What a request must be before anybody looks whether the tuple is free. Requesters are not trusted."""

from errno import EADDRNOTAVAIL, EINVAL, ENOTSUP

from .entries import (
    AH,
    ESP,
    HOST_STACK,
    PORT_PROTOS,
    TCP,
    ArbiterError,
    EntryFlag,
    Kind,
    Request,
    is_link_local,
    is_multicast,
)
from .records import DUAL, REUSE

PORT_MAX = 65_535
STACK_MAX = 0xFFFF_FFFF
V4_MAPPED = 0xFFFF  # bits 32.. of ::ffff:a.b.c.d, RFC 4291 section 2.5.5.2
BROADCAST = 0xFFFF_FFFF
BITS = {4: 32, 6: 128}
HOST, LISTENER, FLOW, PROTOCOL = Kind.HOST, Kind.LISTENER, Kind.FLOW, Kind.PROTOCOL
NO_RAW = PORT_PROTOS | {ESP, AH}


def check(wish: Request, ephemeral: bool = False) -> None:
    """ArbiterError for a request that is none; with `ephemeral` its local port must be 0."""
    kind = wish.kind
    if not 0 <= wish.stack <= STACK_MAX:
        raise _bad(wish, EINVAL, "there is no such stack")
    if (kind is HOST) != (wish.stack == HOST_STACK) and kind is not PROTOCOL:
        raise _bad(wish, EINVAL, "the host stack's entries are HOST or PROTOCOL, and HOST is nobody else's")
    if wish.family not in BITS:
        raise _bad(wish, EINVAL, f"family {wish.family} is neither 4 nor 6")
    _check_flags(wish)
    if kind is PROTOCOL:
        _check_raw(wish, ephemeral)
    else:
        _check_ports(wish, ephemeral)
    if wish.local is not None:
        _check_address(wish, wish.local)
    if wish.remote is not None:
        _check_address(wish, wish.remote)
    scoped = is_link_local(wish.family, wish.local) or is_link_local(wish.family, wish.remote)
    if scoped != (0 < wish.zone <= 0xFFFF_FFFF) or wish.zone < 0:
        raise _bad(wish, EINVAL, "a link-local IPv6 address needs its zone, and nothing else has one")


def _bad(wish: Request, errno: int, why: str) -> ArbiterError:
    return ArbiterError(errno, f"{wish}: {why}")


def _check_flags(wish: Request) -> None:
    flags, kind = int(wish.flags), wish.kind
    if flags:
        if flags & ~(REUSE | DUAL):
            raise _bad(wish, EINVAL, f"{EntryFlag(flags & ~(REUSE | DUAL))!r} is not a requester's to set")
        if flags & REUSE and kind is not LISTENER and kind is not FLOW:
            raise _bad(wish, EINVAL, "REUSE is for user-space listeners and flows")
        if flags & DUAL and (wish.family != 6 or wish.local is not None or kind is FLOW):
            raise _bad(wish, EINVAL, "DUAL is for the IPv6 wildcard address")
    if wish.flow_id and (kind is not HOST or not 0 < wish.flow_id < 1 << 32):
        raise _bad(wish, EINVAL, f"flow id {wish.flow_id:#x}: the host alone brings its own, of 32 bits")
    if wish.reopen and (kind is not FLOW or wish.proto != TCP):
        raise _bad(wish, EINVAL, "only a TCP flow can be reopened")


def _check_raw(wish: Request, ephemeral: bool) -> None:
    if not 0 <= wish.proto <= 255:
        raise _bad(wish, EINVAL, "not an IP protocol")
    if wish.proto in NO_RAW:
        raise _bad(wish, ENOTSUP, "TCP and UDP have ports, ESP and AH are the host's")
    if wish.local_port or wish.remote_port or ephemeral:
        raise _bad(wish, EINVAL, "a raw protocol has no ports")
    if wish.remote is not None and wish.local is None:
        raise _bad(wish, EINVAL, "a remote address without a local one")


def _check_ports(wish: Request, ephemeral: bool) -> None:
    kind = wish.kind
    if wish.proto not in PORT_PROTOS:
        raise _bad(wish, ENOTSUP, "only TCP and UDP have ports")
    if ephemeral:
        if wish.local_port:
            raise _bad(wish, EINVAL, "an ephemeral request names no local port")
    elif not 1 <= wish.local_port <= PORT_MAX:
        raise _bad(wish, EINVAL, f"local port {wish.local_port} is not in 1..{PORT_MAX}")
    if not 0 <= wish.remote_port <= PORT_MAX or (wish.remote is None) != (wish.remote_port == 0):
        raise _bad(wish, EINVAL, "remote address and remote port go together")
    if kind is FLOW:
        if wish.local is None or wish.remote is None:
            raise _bad(wish, EINVAL, "a flow has a local and a remote address")
    elif wish.remote is not None and (kind is LISTENER or wish.local is None):
        raise _bad(wish, EINVAL, "a remote end needs a flow, or a host socket with a local address")


def _check_address(wish: Request, address: int) -> None:
    if not 0 < address < 1 << BITS[wish.family]:
        raise _bad(
            wish, EINVAL, f"address {address:#x}: not one of family {wish.family} (any address is None)"
        )
    if wish.family == 6 and address >> 32 == V4_MAPPED:
        raise _bad(wish, EINVAL, "an IPv4 address is written as IPv4, not as ::ffff:a.b.c.d")
    group = is_multicast(wish.family, address) or (wish.family == 4 and address == BROADCAST)
    if group and wish.stack != HOST_STACK:
        raise _bad(wish, EADDRNOTAVAIL, "group and broadcast addresses are the host's")
