# SPDX-License-Identifier: Apache-2.0
"""Interfaces, addresses, routes and neighbours of a namespace: set up, snapshot, changes, resolution."""

import errno
from dataclasses import dataclass

from sim.linux import rtnetlink
from sim.linux.errors import LinuxError
from sim.linux.namespace import Namespace
from sim.linux.netlink import Flag
from sim.linux.nlsocket import NetlinkEvents, NetlinkSocket
from sim.linux.rtnetlink import (
    GET,
    NUD_USABLE,
    REMOVE,
    Address,
    Item,
    Kind,
    Link,
    Neighbour,
    Nud,
    Route,
)


@dataclass(frozen=True, slots=True)
class Change:
    """An item is there, new or different, or was removed."""

    item: Item
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """A neighbour's address was asked for; mac is None if nobody answered."""

    ifindex: int
    family: int
    address: int
    mac: bytes | None


class NetworkState:
    """What the kernel has, kept from dumps and notifications; turns both into changes. No I/O."""

    def __init__(self) -> None:
        self.items: dict[tuple[object, ...], Item] = {}

    def apply(self, removed: bool, item: Item) -> list[Change]:
        """Take in one notification; a repetition is no change."""
        if removed:
            known = self.items.pop(item.key, None)
            return [] if known is None else [Change(known, removed=True)]
        known = self.items.get(item.key)
        self.items[item.key] = item
        return [] if known == item else [Change(item)]

    def replace(self, items: list[Item]) -> list[Change]:
        """Take in a whole dump."""
        current = {item.key for item in items}
        changes = [Change(item, removed=True) for key, item in self.items.items() if key not in current]
        for change in changes:
            del self.items[change.item.key]
        for item in items:
            changes += self.apply(False, item)
        return changes

    def links(self) -> list[Link]:
        return [i for i in self.items.values() if isinstance(i, Link)]

    def addresses(self) -> list[Address]:
        return [i for i in self.items.values() if isinstance(i, Address)]

    def routes(self) -> list[Route]:
        return [i for i in self.items.values() if isinstance(i, Route)]

    def neighbours(self) -> list[Neighbour]:
        return [i for i in self.items.values() if isinstance(i, Neighbour)]


def _takes_along(change: Change) -> bool:
    """Whether the kernel may have removed more without a word: a link that goes down, or an address that
    goes, takes its IPv4 routes along, and of those no notification comes."""
    if isinstance(change.item, Link):
        return change.removed or not change.item.running
    return isinstance(change.item, Address) and change.removed


class Interfaces:
    """rtnetlink of one namespace. `state` is as of the last snapshot or take_changes."""

    def __init__(self, namespace: Namespace) -> None:
        self._netlink = NetlinkSocket(namespace, rtnetlink.NETLINK_ROUTE)
        self._events = NetlinkEvents(namespace, rtnetlink.NETLINK_ROUTE, rtnetlink.GROUPS)
        self._asked: set[tuple[int, int, int]] = set()
        self._label = namespace.label
        self.state = NetworkState()
        self.snapshot()

    def fileno(self) -> int:
        """Readable when take_changes has something."""
        return self._events.fileno()

    # Reading ------------------------------------------------------------------------------------------

    def snapshot(self) -> list[Change]:
        """Read everything anew; what differs from before."""
        return self.state.replace([item for kind in Kind for item in self._dump(kind)])

    def _dump(self, kind: Kind) -> list[Item]:
        body = rtnetlink.dump_request(kind)
        answers = self._netlink.request(kind + GET, Flag.DUMP, body, f"dump of {kind.name.lower()}s")
        return [found[1] for m in answers if (found := rtnetlink.decode(m)) is not None]

    def take_changes(self) -> tuple[list[Change], list[Resolved]]:
        """What has changed since the last call, and the outcome of resolutions that ended meanwhile."""
        messages, lost = self._events.take()
        told = [item for m in messages if (item := rtnetlink.decode(m)) is not None]
        changes = [change for removed, item in told for change in self.state.apply(removed, item)]
        if lost or any(_takes_along(change) for change in changes):
            changes += self.snapshot()
        if lost:
            told = [(False, item) for item in self.state.neighbours()]
        # Not from the changes: an entry that failed again is no change, but an answer.
        return changes, [r for removed, item in told if (r := self._resolved(removed, item)) is not None]

    def link(self, name: str) -> Link:
        """The link of that name now; LinuxError ENODEV."""
        for item in self._dump(Kind.LINK):
            if isinstance(item, Link) and item.name == name:
                return item
        raise LinuxError(errno.ENODEV, f"{self._label}: interface {name!r}")

    # Neighbours ---------------------------------------------------------------------------------------

    def resolve(self, ifindex: int, family: int, address: int) -> Resolved | None:
        """Have the kernel find a neighbour's MAC. Known: at once; else None, and take_changes tells.

        The kernel asks three times, a second apart by default, before it gives up.
        """
        known = self.state.items.get(("neighbour", ifindex, family, address))
        usable = isinstance(known, Neighbour) and known.state & NUD_USABLE and known.mac
        body = rtnetlink.neighbour_request(Neighbour(ifindex, family, address, b"", Nud(0)), use=True)
        self._netlink.request(Kind.NEIGHBOUR, Flag.CREATE | Flag.ACK, body, f"resolution of {address:x}")
        if usable and isinstance(known, Neighbour):
            return Resolved(ifindex, family, address, known.mac)
        self._asked.add((ifindex, family, address))
        return None

    def _resolved(self, removed: bool, item: Item) -> Resolved | None:
        if not isinstance(item, Neighbour):
            return None
        where = (item.ifindex, item.family, item.address)
        ended = removed or item.state & (NUD_USABLE | Nud.FAILED)
        if where not in self._asked or not ended:
            return None
        self._asked.discard(where)
        good = not removed and item.state & NUD_USABLE
        return Resolved(*where, item.mac if good else None)

    # Writing ------------------------------------------------------------------------------------------

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        mtu_bytes: int | None = None,
        mac: bytes | None = None,
    ) -> None:
        """Change a link; LinuxError if the kernel refuses, e.g. an MTU out of range."""
        body = rtnetlink.set_link(index, up=up, mtu_bytes=mtu_bytes, mac=mac)
        self._netlink.request(Kind.LINK, Flag.ACK, body, f"change of link {index}")

    def add(self, item: Address | Route | Neighbour) -> None:
        """Add an address, a unicast route or a neighbour entry; LinuxError EEXIST if it is there."""
        flags = Flag.ACK | Flag.CREATE | Flag.EXCLUSIVE
        self._netlink.request(self._kind(item), flags, self._body(item), f"new {item}")

    def remove(self, item: Address | Route | Neighbour) -> None:
        """Undo add; LinuxError if it is not there."""
        self._netlink.request(self._kind(item) + REMOVE, Flag.ACK, self._body(item), f"removal of {item}")

    @staticmethod
    def _kind(item: Address | Route | Neighbour) -> Kind:
        return (
            Kind.ADDRESS
            if isinstance(item, Address)
            else Kind.ROUTE
            if isinstance(item, Route)
            else Kind.NEIGHBOUR
        )

    @staticmethod
    def _body(item: Address | Route | Neighbour) -> bytes:
        if isinstance(item, Address):
            return rtnetlink.address_request(item)
        if isinstance(item, Route):
            return rtnetlink.route_request(item)
        return rtnetlink.neighbour_request(item)

    def close(self) -> None:
        self._netlink.close()
        self._events.close()
