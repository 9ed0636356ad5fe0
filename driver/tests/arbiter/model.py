# SPDX-License-Identifier: Apache-2.0
"""The registry as a list: every rule looks at all pairs of entries. Shares no code with driver/arbiter.

Methods return 0 or an errno and change the list as the rules of docs/arbiter.md say.
"""

import errno
from dataclasses import dataclass, field, replace

HOST, LISTENER, FLOW, PROTOCOL = "HOST", "LISTENER", "FLOW", "PROTOCOL"
TCP = 6
SECOND = 1_000_000_000
Space = tuple[int, int | None, int]  # family, address, zone


@dataclass
class Item:
    """An entry of the model."""

    stack: int
    kind: str
    proto: int
    family: int
    local: int | None
    zone: int
    port: int
    remote: int | None = None
    remote_port: int = 0
    flags: frozenset[str] = frozenset()
    token: int = 0
    until: int = 0  # end of its linger

    def link_local(self) -> bool:
        return self.family == 6 and self.local is not None and f"{self.local:032x}"[:3] in ("fe8", "fe9")

    def spaces(self) -> list[Space]:
        """Which local addresses it takes; a DUAL one also any of IPv4."""
        own = [(self.family, self.local, self.zone if self.link_local() else 0)]
        return own + ([(4, None, 0)] if "DUAL" in self.flags else [])

    def same_tuple(self, other: "Item") -> bool:
        return (self.proto, self.family, self.local, self.zone, self.port, self.remote, self.remote_port) == (
            other.proto,
            other.family,
            other.local,
            other.zone,
            other.port,
            other.remote,
            other.remote_port,
        )


def meet(a: Item, b: Item) -> bool:
    """Whether a frame to some local address could be for both."""
    return any(
        s[0] == t[0] and (s[1] is None or t[1] is None or s[1:] == t[1:])
        for s in a.spaces()
        for t in b.spaces()
    )


def refuses(items: list[Item], want: Item, reopen: bool = False) -> int:
    """The errno that the entries there are a reason for, 0 for none."""
    if want.kind == PROTOCOL:
        for e in items:
            if e.kind == PROTOCOL and e.proto == want.proto:
                if e.stack != want.stack:
                    return errno.EEXIST
                if (e.family, e.local, e.remote, e.zone) == (
                    want.family,
                    want.local,
                    want.remote,
                    want.zone,
                ):
                    return errno.EEXIST
        return 0
    there = [e for e in items if e.kind != PROTOCOL and (e.proto, e.port) == (want.proto, want.port)]
    twin = [e for e in there if e.kind == FLOW and e.same_tuple(want)]
    duplicate = errno.EEXIST if twin and not (reopen and "LINGERING" in twin[0].flags) else 0
    if want.kind == HOST:
        ours = any(e.kind == HOST and meet(e, want) for e in there)
        for e in there:
            if e.kind == LISTENER and meet(e, want):
                return errno.EADDRINUSE
            if e.kind == FLOW and meet(e, want) and (want.remote is None or not ours):
                return errno.EADDRINUSE
        return duplicate
    if want.kind == FLOW:
        if any(e.kind == HOST and meet(e, want) for e in there):
            return errno.EADDRINUSE
        listener = cover(there, want)
        if listener is None:
            if any(e.kind == FLOW and meet(e, want) for e in there):
                return errno.EADDRINUSE
        elif listener.stack != want.stack:
            return errno.EADDRINUSE
        return duplicate
    for e in there:
        if e.kind == HOST or "REUSE" not in e.flags or "REUSE" not in want.flags:
            return errno.EADDRINUSE
        if e.kind == LISTENER and set(e.spaces()) & set(want.spaces()):
            return errno.EADDRINUSE
    return 0


def cover(items: list[Item], flow: Item) -> Item | None:
    """The listener that new connections at a flow's address come to."""
    met = [
        e
        for e in items
        if e.kind == LISTENER and (e.proto, e.port) == (flow.proto, flow.port) and meet(e, flow)
    ]
    exact = [e for e in met if e.local == flow.local]
    return next(iter(exact or met), None)


def free_for(items: list[Item], want: Item) -> bool:
    """Whether a port may be given out as ephemeral: nobody is met there, of whatever kind."""
    there = [e for e in items if e.kind != PROTOCOL and (e.proto, e.port) == (want.proto, want.port)]
    if want.kind == LISTENER:
        return not there
    if want.local is None and any(e.kind == HOST for e in there):
        return False
    return not any(meet(e, want) for e in there)


@dataclass
class Model:
    """All that the registry knows, kept in the plainest way."""

    items: list[Item] = field(default_factory=list)
    addresses: set[Space] = field(default_factory=set)
    attached: bool = True
    restricted: set[tuple[int, int]] = field(default_factory=set)
    offers: dict[int, int] = field(default_factory=dict)
    former: dict[int, Item] = field(default_factory=dict)
    linger: int = 30 * SECOND

    def get(self, token: int) -> Item | None:
        return next((e for e in self.items if e.token == token), None)

    def owned(self, token: int, stack: int) -> tuple[int, Item]:
        item = self.get(token)
        if item is None:
            return errno.ENOENT, NOBODY
        return (0 if item.stack == stack else errno.EPERM), item

    def away(self, item: Item) -> bool:
        if item.stack == 0:
            return False
        here = item.local is None or item.spaces()[0] in self.addresses
        return not (self.attached and here)

    def flags(self, item: Item) -> frozenset[str]:
        """Its flags; UNBOUND follows from the interface."""
        return item.flags | {"UNBOUND"} if self.away(item) else item.flags

    def admits(self, want: Item) -> int:
        if want.stack and not self.attached:
            return errno.ENXIO
        return errno.EADDRNOTAVAIL if self.away(want) else 0

    def reserve(self, want: Item, reopen: bool = False, right: bool = False) -> int:
        error = self.admits(want) or refuses(self.items, want, reopen)
        if error:
            return error
        listener = cover(self.items, want) if want.kind == FLOW else None
        named = want.kind in (LISTENER, FLOW) and listener is None
        if named and not right and (want.proto, want.port) in self.restricted:
            return errno.EADDRINUSE
        if listener is not None and "REUSE" in listener.flags:
            want.flags |= {"REUSE"}
        if reopen:
            for e in [e for e in self.items if e.kind == FLOW and e.same_tuple(want)]:
                self.drop(e)
        self.add(want)
        return 0

    def add(self, item: Item) -> None:
        if item.stack:
            item.flags |= {"RESERVED"}
        self.items.append(item)

    def drop(self, item: Item) -> None:
        self.items.remove(item)
        self.offers.pop(item.token, None)
        self.former.pop(item.token, None)

    def arm(self, token: int, stack: int, software: bool) -> int:
        error, item = self.owned(token, stack)
        if error or "RESERVED" not in item.flags:
            return error or errno.EINVAL
        item.flags = item.flags - {"RESERVED", "SOFTWARE"} | ({"SOFTWARE"} if software else set())
        self.former.pop(token, None)
        return 0

    def cancel(self, token: int, stack: int) -> int:
        error, item = self.owned(token, stack)
        if error or "RESERVED" not in item.flags:
            return error or errno.EINVAL
        if not self.give_back(item):
            self.drop(item)
        return 0

    def give_back(self, item: Item) -> bool:
        former = self.former.pop(item.token, None)
        if former is None:
            return False
        item.stack, item.kind, item.flags = former.stack, former.kind, former.flags
        return True

    def set_software(self, token: int, on: bool) -> int:
        item = self.get(token)
        if item is None:
            return errno.ENOENT
        if item.stack == 0 or item.flags & {"RESERVED", "LINGERING"}:
            return errno.EINVAL
        item.flags = item.flags | {"SOFTWARE"} if on else item.flags - {"SOFTWARE"}
        return 0

    def mark(self, token: int, stack: int, flag: str) -> int:
        error, item = self.owned(token, stack)
        if error:
            return error
        allowed = {
            "ESTABLISHED": item.kind == FLOW and item.proto == TCP,
            "HALF_CLOSED": item.kind == FLOW,
            "WITHDRAWN": True,
        }
        if not allowed[flag] or "LINGERING" in item.flags:
            return errno.EINVAL
        item.flags |= {flag}
        return 0

    def rebind(self, token: int, stack: int, to: Item) -> int:
        error, item = self.owned(token, stack)
        if error or item.kind != HOST:
            return error or errno.EINVAL
        dual = item.flags & {"DUAL"} if to.family == 6 and to.local is None else frozenset[str]()
        new = replace(to, proto=item.proto, port=item.port, flags=dual)
        if error := refuses(self.items, new):
            return error
        item.family, item.local, item.zone = to.family, to.local, to.zone
        item.remote, item.remote_port = to.remote, to.remote_port
        item.flags = item.flags - {"DUAL"} | dual
        return 0

    def release(self, token: int, stack: int, now: int, linger: bool) -> int:
        error, item = self.owned(token, stack)
        if error:
            return error
        if linger and "LINGERING" in item.flags:
            return errno.EALREADY
        self.end(item, now, linger and "ESTABLISHED" in item.flags)
        return 0

    def end(self, item: Item, now: int, linger: bool) -> None:
        if linger and item.kind == FLOW and item.proto == TCP and "RESERVED" not in item.flags:
            item.flags = item.flags - {"SOFTWARE"} | {"LINGERING"}
            item.until = now + self.linger
            self.offers.pop(item.token, None)
        else:
            self.drop(item)

    def release_stack(self, stack: int, now: int, all_linger: bool) -> int:
        if stack == 0:
            return errno.EINVAL
        for token, to in list(self.offers.items()):
            owner = self.get(token)
            if to == stack or (owner is not None and owner.stack == stack):
                del self.offers[token]
        for token in [t for t, former in self.former.items() if former.stack == stack]:
            del self.former[token]
        for item in [e for e in self.items if e.stack == stack and "LINGERING" not in e.flags]:
            if not ("RESERVED" in item.flags and self.give_back(item)):
                self.end(item, now, all_linger or "ESTABLISHED" in item.flags)
        return 0

    def on_timer(self, now: int) -> set[int]:
        over = [e for e in self.items if "LINGERING" in e.flags and e.until <= now]
        for item in over:
            self.drop(item)
        return {item.token for item in over}

    def deadline(self) -> int | None:
        return min((e.until for e in self.items if "LINGERING" in e.flags), default=None)

    def offer(self, token: int, stack: int, to: int) -> int:
        error, item = self.owned(token, stack)
        if error:
            return error
        if to == stack or "LINGERING" in item.flags or token in self.former:
            return errno.EINVAL
        self.offers[token] = to
        return 0

    def take(self, token: int, stack: int, port: int) -> int:
        item = self.get(token)
        if item is None:
            return errno.ENOENT
        if self.offers.get(token) != stack:
            return errno.EPERM
        if port not in (0, item.port):
            return errno.EINVAL
        kind = item.kind
        if kind != PROTOCOL:
            kind = HOST if stack == 0 else LISTENER if item.remote is None else FLOW
        kept = {"DUAL", "REUSE", "ESTABLISHED"} if stack else {"DUAL"}
        new = replace(item, stack=stack, kind=kind, flags=item.flags & kept)
        if error := self.hinders(item, new):
            return error
        del self.offers[token]
        if stack:
            self.former[token] = replace(item)
            new.flags |= {"RESERVED"}
        item.stack, item.kind, item.flags = new.stack, new.kind, new.flags
        return 0

    def hinders(self, old: Item, new: Item) -> int:
        others = [e for e in self.items if e is not old]
        if old.kind == PROTOCOL and any(e.kind == PROTOCOL and e.proto == old.proto for e in others):
            return errno.EEXIST
        if old.stack and new.stack:
            return 0
        if error := self.admits(new):
            return error
        if old.kind == PROTOCOL:
            return 0
        if old.kind == LISTENER:
            met = [e for e in others if (e.proto, e.port) == (new.proto, new.port) and meet(e, new)]
            return errno.EADDRINUSE if any(e.kind == LISTENER for e in met) else 0
        return refuses(others, new)


NOBODY = Item(-1, "", -1, 4, None, 0, 0)
