# SPDX-License-Identifier: Apache-2.0
"""Which entries exclude each other: the conflict matrix of docs/arbiter.md, "Who excludes whom"."""

from errno import EADDRINUSE, EEXIST
from typing import NamedTuple

from .entries import Entry, EntryFlag, Kind, Request
from .records import DUAL, REUSE, Place, PortState, Records, flow_key, local_zone, protocol_key

HOST, LISTENER, FLOW, PROTOCOL = Kind.HOST, Kind.LISTENER, Kind.FLOW, Kind.PROTOCOL
LINGERING = int(EntryFlag.LINGERING)


class Conflict(NamedTuple):
    """Why a request is refused."""

    errno: int
    text: str
    since: int  # generation; a requester who has seen this one or a later one knew


def conflict(records: Records, wish: Entry | Request) -> Conflict | None:
    """The rule that refuses a wish, or None. The wish is not among the records."""
    if wish.kind is PROTOCOL:
        return _protocol(records, wish)
    state = records.ports.get(wish.proto << 16 | wish.local_port)
    if state is None:
        return None
    if wish.kind is LISTENER:
        return _listener(records, wish, state)
    if wish.local is None:
        return _host_anywhere(wish, state)
    zone = local_zone(wish)
    here = records.place(wish.proto, wish.family, wish.local, zone, wish.local_port)
    anywhere = records.place(wish.proto, wish.family, None, 0, wish.local_port)
    if wish.kind is FLOW:
        return _flow(records, wish, state, here, anywhere)
    return _host_here(records, wish, state, here, anywhere)


def vacant(records: Records, wish: Request, port: int) -> bool:
    """Whether nobody is at a port whom the wish would meet: stricter than the rules, for a free choice."""
    state = records.ports.get(wish.proto << 16 | port)
    if state is None:
        return True
    if wish.kind is LISTENER:
        return False
    if wish.local is None:
        users = state.users6 if wish.family == 6 else state.users4
        return not state.hosts and not users and not (int(wish.flags) & DUAL and state.users4)
    return (
        records.place(wish.proto, wish.family, wish.local, local_zone(wish), port) is None
        and records.place(wish.proto, wish.family, None, 0, port) is None
    )


def other_listener(records: Records, wish: Entry) -> Conflict | None:
    """For a listener that becomes the host's: only other listeners are in its way, its flows go on."""
    state = records.ports.get(wish.proto << 16 | wish.local_port)
    if state is None:
        return None
    families = (6, 4) if int(wish.flags) & DUAL else (wish.family,)
    for (proto, family, address, zone), namespace in records.namespaces.items():
        met = wish.local is None or address is None or (address, zone) == (wish.local, local_zone(wish))
        if proto == wish.proto and family in families and met:
            place = namespace.get(wish.local_port)
            if place is not None and place.listener:
                return _in_use(state, str(records.entries[place.listener]))
    return None


def _in_use(state: PortState, who: str) -> Conflict:
    return Conflict(EADDRINUSE, f"in use by {who}", state.changed)


def _host_anywhere(wish: Entry | Request, state: PortState) -> Conflict | None:
    users = state.users6 if wish.family == 6 else state.users4
    if users or (int(wish.flags) & DUAL and state.users4):
        return _in_use(state, "a user-space stack at an address that this takes in")
    return None


def _host_here(
    records: Records, wish: Entry | Request, state: PortState, here: Place | None, anywhere: Place | None
) -> Conflict | None:
    for place in (here, anywhere):
        if place is not None and place.listener:
            return _in_use(state, str(records.entries[place.listener]))
    if here is None or not here.flows:
        return None
    # Flows that stayed when their listener's port was handed to the host: the host's new connections differ.
    if wish.remote is not None and (here.hosts or (anywhere is not None and anywhere.hosts)):
        return _duplicate(records, wish)
    return _in_use(state, "a flow of a user-space stack")


def _flow(
    records: Records, wish: Entry | Request, state: PortState, here: Place | None, anywhere: Place | None
) -> Conflict | None:
    token = 0
    for place in (anywhere, here):  # the more specific listener decides
        if place is not None:
            if place.hosts:
                return _in_use(state, "the host stack")
            token = place.listener or token
    if token:
        if records.entries[token].stack != wish.stack:
            return _in_use(state, str(records.entries[token]))
    elif here is not None and here.flows:
        return _in_use(state, "a flow, and there is no listener that takes several")
    return _duplicate(records, wish)


def _duplicate(records: Records, wish: Entry | Request) -> Conflict | None:
    token = records.flows.get(flow_key(wish))
    if token is None:
        return None
    entry = records.entries[token]
    if isinstance(wish, Request) and wish.reopen and int(entry.flags) & LINGERING:
        return None
    return Conflict(EEXIST, f"the same tuple exists: {entry}", entry.generation)


def _listener(records: Records, wish: Entry | Request, state: PortState) -> Conflict | None:
    if state.hosts:
        return _in_use(state, "the host stack")
    if not int(wish.flags) & REUSE:
        if state.users4 or state.users6:
            return _in_use(state, "a user-space stack; a listener without REUSE needs the port everywhere")
        return None
    if state.rigid:
        return _in_use(state, "an entry without REUSE")
    places = [(wish.family, wish.local, local_zone(wish))]
    if int(wish.flags) & DUAL:
        places.append((4, None, 0))
    for family, local, zone in places:
        place = records.place(wish.proto, family, local, zone, wish.local_port)
        if place is not None and place.listener:
            return _in_use(state, str(records.entries[place.listener]))
    return None


def _protocol(records: Records, wish: Entry | Request) -> Conflict | None:
    held = records.protocols.get(wish.proto)
    if held is None:
        return None
    first = records.entries[next(iter(held.values()))]
    if first.stack != wish.stack:
        return Conflict(EEXIST, f"taken by {first}", first.generation)
    token = held.get(protocol_key(wish))
    if token is None:
        return None
    return Conflict(EEXIST, f"the same exists: {records.entries[token]}", records.entries[token].generation)
