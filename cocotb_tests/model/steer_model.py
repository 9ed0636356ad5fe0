# SPDX-License-Identifier: Apache-2.0
"""What the steering tables must answer: dictionaries from keys to entries, nothing about hashes or time."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, NamedTuple, TypeVar

NONE, FLOW, LISTENER, ANY = range(4)
QUEUE, HOST, DROP = range(3)


class Tuple(NamedTuple):
    """tuple_t; addresses as numbers."""

    ipv6: int
    proto: int
    local: int
    remote: int
    local_port: int
    remote_port: int

    def packed(self) -> int:
        word = (self.ipv6 << 8 | self.proto) << 128 | self.local
        return (word << 128 | self.remote) << 32 | self.local_port << 16 | self.remote_port


class Listener(NamedTuple):
    """A listener's key; local None: any address."""

    ipv6: int
    proto: int
    local: int | None
    local_port: int

    def packed(self) -> int:
        word = (int(self.local is None) << 1 | self.ipv6) << 8 | self.proto
        return (word << 128 | (self.local or 0)) << 16 | self.local_port


class Info(NamedTuple):
    """What an entry says."""

    target: int
    pair: int
    id: int
    generation: int


class Answer(NamedTuple):
    """lookup_t."""

    match: int
    target: int = 0
    pair: int = 0
    id: int = 0
    generation: int = 0
    local_ok: int = 0

    @classmethod
    def unpack(cls, word: int) -> "Answer":
        return cls(
            word >> 41 & 3, word >> 39 & 3, word >> 33 & 63, word >> 17 & 0xFFFF, word >> 1 & 0xFFFF, word & 1
        )


Key = TypeVar("Key", Tuple, Listener)


@dataclass
class Table(Generic[Key]):
    """Slots and what they hold. A key may be in two of them while it moves; the lower one counts."""

    slots: dict[int, tuple[Key, Info]] = field(default_factory=dict)
    places: dict[Key, set[int]] = field(default_factory=dict)

    def write(self, slot: int, key: Key, info: Info) -> None:
        self.clear(slot)
        self.slots[slot] = key, info
        self.places.setdefault(key, set()).add(slot)

    def clear(self, slot: int) -> None:
        if slot in self.slots:
            key, _ = self.slots.pop(slot)
            self.places[key].remove(slot)
            if not self.places[key]:
                del self.places[key]

    def find(self, key: Key) -> Info | None:
        places = self.places.get(key)
        return self.slots[min(places)][1] if places else None


@dataclass
class SteerModel:
    """Flow table, listener table, local addresses and the switch."""

    enabled: bool = False
    flows: Table[Tuple] = field(default_factory=Table)
    listeners: Table[Listener] = field(default_factory=Table)
    local: dict[int, tuple[int, int]] = field(default_factory=dict)  # entry -> (ipv6, address)

    def lookup(self, asked: Tuple) -> Answer:
        """Return the answer to a tuple: exact, own address, any address if it is ours or a group's."""
        own = int((asked.ipv6, asked.local) in self.local.values())
        if not self.enabled:
            return Answer(NONE, local_ok=own)
        exact = self.flows.find(asked)
        if exact:
            return Answer(FLOW, *exact, own)
        here = self.listeners.find(Listener(asked.ipv6, asked.proto, asked.local, asked.local_port))
        if here:
            return Answer(LISTENER, *here, own)
        anywhere = self.listeners.find(Listener(asked.ipv6, asked.proto, None, asked.local_port))
        if anywhere and (own or to_group(asked)):
            return Answer(ANY, *anywhere, own)
        return Answer(NONE, local_ok=own)


def to_group(asked: Tuple) -> bool:
    """Is the local address a multicast address or the limited broadcast address?"""
    if asked.ipv6:
        return IPv6Address(asked.local).is_multicast
    address = IPv4Address(asked.local & 0xFFFF_FFFF)
    return address.is_multicast or address == IPv4Address("255.255.255.255")
