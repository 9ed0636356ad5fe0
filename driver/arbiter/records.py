# SPDX-License-Identifier: Apache-2.0
"""The entries and the indexes over them: each conflict rule is a few dictionary look-ups, never a scan."""

from collections.abc import Iterator
from contextlib import contextmanager

from .entries import Entry, EntryFlag, Kind, Request, is_link_local

NamespaceKey = tuple[int, int, int | None, int]  # proto, family, local address, its zone
REUSE, DUAL = int(EntryFlag.REUSE), int(EntryFlag.DUAL)
HOST, LISTENER, FLOW, PROTOCOL = Kind.HOST, Kind.LISTENER, Kind.FLOW, Kind.PROTOCOL


class Place:
    """Who is at one (proto, family, address, port)."""

    __slots__ = ("flows", "hosts", "listener")

    def __init__(self) -> None:
        self.hosts = 0
        self.flows = 0
        self.listener = 0  # token; 0 is none


class PortState:
    """Who is at one (proto, port), over all addresses. A DUAL listener counts in both families."""

    __slots__ = ("changed", "hosts", "rigid", "users4", "users6")

    def __init__(self) -> None:
        self.hosts = 0
        self.users4 = 0  # LISTENERs and FLOWs
        self.users6 = 0
        self.rigid = 0  # LISTENERs and FLOWs without REUSE
        self.changed = 0  # generation at which an outcome of a rule may have changed last


def local_zone(what: Entry | Request) -> int:
    """The zone as far as it belongs to the local address: fe80::1 on two links are two addresses."""
    return what.zone if what.zone and is_link_local(what.family, what.local) else 0


def flow_key(what: Entry | Request) -> int:
    """A 5-tuple with its zone as one number: smaller than a tuple of numbers, and as quick to hash."""
    return pack_flow(
        what.proto,
        what.family,
        what.local or 0,
        what.local_port,
        what.remote or 0,
        what.remote_port,
        what.zone,
    )


def pack_flow(
    proto: int, family: int, local: int, local_port: int, remote: int, remote_port: int, zone: int
) -> int:
    """See flow_key."""
    tail = (local_port << 16 | remote_port) << 8 | proto
    if family == 4:
        return (local << 32 | remote) << 41 | tail << 1
    return (((zone << 128 | local) << 128 | remote) << 40 | tail) << 1 | 1


class Records:
    """Every entry by token, stack, place, port and tuple. Knows no rules; the caller has asked them."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.stacks: dict[int, set[int]] = {}
        self.namespaces: dict[NamespaceKey, dict[int, Place]] = {}
        self.ports: dict[int, PortState] = {}  # proto << 16 | port
        self.flows: dict[int, int] = {}  # flow_key -> token
        self.protocols: dict[int, dict[tuple[int, int | None, int | None, int], int]] = {}

    def place(self, proto: int, family: int, local: int | None, zone: int, port: int) -> Place | None:
        """Who is exactly there."""
        namespace = self.namespaces.get((proto, family, local, zone))
        return None if namespace is None else namespace.get(port)

    def ports_used(self, what: Entry | Request) -> int:
        """How many ports are taken at exactly this local address."""
        namespace = self.namespaces.get((what.proto, what.family, what.local, local_zone(what)))
        return 0 if namespace is None else len(namespace)

    def add(self, entry: Entry) -> None:
        """Take in a new entry; entry.generation is the one that it makes."""
        self.entries[entry.token] = entry
        owned = self.stacks.get(entry.stack)
        if owned is None:
            owned = self.stacks[entry.stack] = set()
        owned.add(entry.token)
        if entry.kind is PROTOCOL:
            self.protocols.setdefault(entry.proto, {})[protocol_key(entry)] = entry.token
        else:
            self._count(entry, 1, entry.generation)

    def remove(self, entry: Entry, generation: int) -> None:
        """Take out an entry that is there, as `generation` is made."""
        del self.entries[entry.token]
        owned = self.stacks[entry.stack]
        owned.discard(entry.token)
        if not owned:
            del self.stacks[entry.stack]
        if entry.kind is PROTOCOL:
            held = self.protocols[entry.proto]
            del held[protocol_key(entry)]
            if not held:
                del self.protocols[entry.proto]
        else:
            self._count(entry, -1, generation)

    @contextmanager
    def without(self, entry: Entry) -> Iterator[None]:
        """Ask rules as if an entry were not there; afterwards all is as before."""
        key = entry.proto << 16 | entry.local_port
        changed = self.ports[key].changed
        self._count(entry, -1, changed)
        try:
            yield
        finally:
            self._count(entry, 1, changed)
            self.ports[key].changed = changed

    def _count(self, entry: Entry, step: int, generation: int) -> None:
        """Enter an entry in the indexes (step 1) or take it out (-1)."""
        port, kind, flags = entry.local_port, entry.kind, int(entry.flags)
        state = self.ports.get(entry.proto << 16 | port)
        if state is None:
            state = self.ports[entry.proto << 16 | port] = PortState()
        dual = flags & DUAL
        if kind is HOST:
            state.hosts += step
        else:
            if entry.family == 4 or dual:
                state.users4 += step
            if entry.family == 6:
                state.users6 += step
            if not flags & REUSE:
                state.rigid += step
                if state.rigid == (step > 0):  # the first came or the last went
                    state.changed = generation
            if kind is FLOW:
                if step > 0:
                    self.flows[flow_key(entry)] = entry.token
                else:
                    del self.flows[flow_key(entry)]
        if self._count_place((entry.proto, entry.family, entry.local, local_zone(entry)), entry, step):
            state.changed = generation
        if dual and self._count_place((entry.proto, 4, None, 0), entry, step):
            state.changed = generation
        if not state.hosts and not state.users4 and not state.users6:
            del self.ports[entry.proto << 16 | port]

    def _count_place(self, key: NamespaceKey, entry: Entry, step: int) -> bool:
        """The same for one place; whether a rule can tell the difference."""
        namespace = self.namespaces.get(key)
        if namespace is None:
            namespace = self.namespaces[key] = {}
        place = namespace.get(entry.local_port)
        if place is None:
            place = namespace[entry.local_port] = Place()
        if entry.kind is HOST:
            place.hosts += step
            matters = place.hosts == (step > 0)
        elif entry.kind is FLOW:
            place.flows += step
            matters = place.flows == (step > 0)
        else:
            place.listener = entry.token if step > 0 else 0
            matters = True
        if step < 0 and not place.hosts and not place.flows and not place.listener:
            del namespace[entry.local_port]
            if not namespace:
                del self.namespaces[key]
        return matters

    def listener_for(self, proto: int, family: int, local: int | None, zone: int, port: int) -> Entry | None:
        """The LISTENER that takes what comes to an address: its own, else that of the wildcard."""
        for address, in_zone in ((local, zone), (None, 0)):
            place = self.place(proto, family, address, in_zone, port)
            if place is not None and place.listener:
                return self.entries[place.listener]
        return None

    def of_stack(self, stack: int) -> Iterator[Entry]:
        """Entries of a stack, oldest first."""
        return (self.entries[token] for token in sorted(self.stacks.get(stack, ())))


def protocol_key(what: Entry | Request) -> tuple[int, int | None, int | None, int]:
    """What tells two entries of one raw protocol apart."""
    return what.family, what.local, what.remote, what.zone
