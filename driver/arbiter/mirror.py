# SPDX-License-Identifier: Apache-2.0
"""What the NIC's look-up tables shall hold, and how far they are there; docs/arbiter.md.

No I/O: the arbiter says what it wants, a worker (driver.arbiter.worker) takes one change after the other to
the hardware and tells how it went. Changes are written in the order in which they were wanted, so an entry
that is wanted before another one goes is there before the other is gone.

    mirror.arm(entry, to_queue(3), then)     # then(True): in the table; then(False): no room there
    mirror.divert(entry.token, TO_HOST)      # one write, atomic for the frames
    mirror.disarm(entry.token)

Entries of the host stack are mirrored as well, so that no RSS rule takes the host's connections away and each
has its hit counter. Without an entry their frames go to the host all the same: so when a table is full, they
make room.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from driver.arbiter.entries import PORT_PROTOS, Entry, EntryFlag, Kind
from driver.errors import UsageError
from driver.tables import Action
from driver.tuples import Address, FlowKey, ListenerKey

Key = FlowKey | ListenerKey
Done = Callable[[bool], None]
ABSENT_FLAGS = EntryFlag.SOFTWARE | EntryFlag.UNBOUND


@dataclass(frozen=True, slots=True)
class Change:
    """One thing for the worker to do: make `key` do `action`; None: take the entry out."""

    key: Key
    action: Action | None


@dataclass(slots=True)
class _Place:
    """One key: what it shall do, what it does, who wants it and who waits for it."""

    wanted: Action | None = None
    actual: Action | None = None
    users: set[int] = field(default_factory=set)  # tokens; several only for sockets of the host
    host: bool = False  # all of them are the host stack's
    waiting: list[Done] = field(default_factory=list)


def keys_of(entry: Entry) -> tuple[Key, ...]:
    """The keys under which the NIC finds an entry's frames: none for a raw protocol, two for DUAL."""
    if entry.proto not in PORT_PROTOS:
        return ()
    local = _address(entry.family, entry.local)
    if entry.remote is not None:
        remote = _address(entry.family, entry.remote)
        if local is None or remote is None:
            raise UsageError(f"{entry}: a flow without a local address")
        return (FlowKey(entry.proto, local, entry.local_port, remote, entry.remote_port),)
    families = (6, 4) if entry.flags & EntryFlag.DUAL and local is None else (entry.family,)
    return tuple(ListenerKey(entry.proto, local, entry.local_port, family == 6) for family in families)


def _address(family: int, number: int | None) -> Address | None:
    if number is None:
        return None
    return IPv6Address(number) if family == 6 else IPv4Address(number)


class Mirror:
    """The wanted and the actual content of both look-up tables, by key, and the work between them."""

    def __init__(self) -> None:
        self.evictions = 0  # host entries that made room for others
        self.refusals = 0  # entries that found no room
        self._places: dict[Key, _Place] = {}
        self._keys: dict[int, tuple[Key, ...]] = {}  # by token
        self._dirty: dict[Key, int] = {}  # -> number of the first wish that is not written
        self._wishes = 0
        self._busy: Change | None = None

    def __len__(self) -> int:
        """How many tokens have keys here."""
        return len(self._keys)

    @property
    def idle(self) -> bool:
        """Whether the tables hold what they shall hold."""
        return not self._dirty and self._busy is None

    def knows(self, token: int) -> bool:
        """Whether a token is armed here, be it written or not."""
        return token in self._keys

    @property
    def wishes(self) -> int:
        """How many wishes there were so far; see settled."""
        return self._wishes

    def settled(self, wishes: int) -> bool:
        """Whether all of the first so many wishes are written, or overtaken by others that are."""
        return self._busy is None and all(number > wishes for number in self._dirty.values())

    # What is wanted -----------------------------------------------------------------------------------

    def arm(self, entry: Entry, action: Action, then: Done | None = None) -> None:
        """Want an entry's frames to do `action`; then(whether the tables have all of it).

        A token that is armed already changes its action. UsageError if another one has the key.
        """
        keys = self._keys.get(entry.token) or keys_of(entry)
        host = entry.kind is Kind.HOST
        for key in keys:
            place = self._places.get(key)
            if place is not None and place.users - {entry.token} and not (host and place.host):
                raise UsageError(f"{key}: token {min(place.users)} has it, token {entry.token} wants it")
        if not keys:
            if then is not None:
                then(False)
            return
        self._keys[entry.token] = keys
        collect = _Collect(len(keys), then)
        for key in keys:
            place = self._places.setdefault(key, _Place())
            place.users.add(entry.token)
            place.host = host
            self._want(key, place, action, collect)

    def divert(self, token: int, action: Action, then: Done | None = None) -> None:
        """Let the frames of a token do something else from one frame to the next."""
        keys = self._keys.get(token)
        if keys is None:
            raise UsageError(f"token {token} has no place in the tables")
        collect = _Collect(len(keys), then)
        for key in keys:
            self._want(key, self._places[key], action, collect)

    def disarm(self, token: int, then: Done | None = None) -> list[Key]:
        """Take a token's entries out; then(True) when they are gone. Nothing to do is fine, too.

        Return the keys that have to be taken out of the tables for it.
        """
        keys = [key for key in self._keys.pop(token, ()) if self._leave(key, token)]
        there = [key for key in keys if self._places[key].actual is not None]
        collect = _Collect(len(keys), then)
        for key in keys:
            self._want(key, self._places[key], None, collect)
        return there

    def _leave(self, key: Key, token: int) -> bool:
        users = self._places[key].users
        users.discard(token)
        return not users

    def _want(self, key: Key, place: _Place, action: Action | None, then: Done) -> None:
        place.wanted = action
        place.waiting.append(then)
        self._wishes += 1
        self._dirty[key] = self._dirty.pop(key, self._wishes)  # the order is that of the last wish

    # What the worker does -----------------------------------------------------------------------------

    def next(self) -> Change | None:
        """The next change to write; None if there is none. The worker answers with `done` before it asks
        again.
        """
        if self._busy is not None:
            raise UsageError(f"{self._busy}: not answered yet")
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            place = self._places[key]
            if place.wanted != place.actual:
                self._busy = Change(key, place.wanted)
                return self._busy
            self._settle(key, place, True)
        return None

    def done(self, change: Change, ok: bool) -> None:
        """Tell that a change is written, or (ok False) that the table has no room for a new entry."""
        if change is not self._busy:
            raise UsageError(f"{change}: it was not asked for")
        self._busy = None
        place = self._places[change.key]
        if ok:
            place.actual = change.action
            if place.wanted == place.actual:
                self._settle(change.key, place, True)
            return  # otherwise it is dirty again
        if change.key in self._dirty:
            return
        if not place.host and (victim := self._host_key(type(change.key))) is not None:
            self.evictions += 1
            self._places[victim].wanted = None
            self._dirty = {victim: 0, change.key: 0} | self._dirty  # room first
            return
        self.refusals += 1
        place.wanted = place.actual
        self._settle(change.key, place, False)

    def _host_key(self, table: type[Key]) -> Key | None:
        for key, place in self._places.items():
            if place.host and place.actual is not None and place.wanted is not None and type(key) is table:
                return key
        return None

    def _settle(self, key: Key, place: _Place, ok: bool) -> None:
        waiting, place.waiting = place.waiting, []
        if not place.users and place.actual is None:
            del self._places[key]
        for then in waiting:
            then(ok)

    # What there is ------------------------------------------------------------------------------------

    def action(self, token: int) -> Action | None:
        """What the tables do now with a token's frames; None unless all its keys are there alike."""
        actions = {self._places[key].actual for key in self._keys.get(token, ())}
        return actions.pop() if len(actions) == 1 else None

    def actual(self) -> dict[Key, Action]:
        """What the tables hold, as far as the worker has told."""
        return {key: place.actual for key, place in self._places.items() if place.actual is not None}

    def differences(self, entries: Iterable[Entry], action_of: Callable[[Entry], Action]) -> list[str]:
        """Compare with the registry, a line for each thing that is wrong; only while `idle`.

        Every entry of a user-space stack that is armed, bound and not forwarded in software must be in the
        tables with action_of(entry); one of the host may be missing; nothing else may be there.
        """
        if not self.idle:
            return [f"{len(self._dirty) + (self._busy is not None)} changes are not written yet"]
        left, found = self.actual(), list[str]()
        for entry in entries:
            absent = entry.flags & (ABSENT_FLAGS | EntryFlag.RESERVED)
            for key in keys_of(entry):
                action = left.get(key) if entry.kind is Kind.HOST else left.pop(key, None)
                if absent and action is not None:
                    found.append(f"{entry} ({absent!r}): the table has {key} -> {action}")
                elif not absent and action is None and entry.kind is not Kind.HOST:
                    found.append(f"{entry}: not in the table")
                elif action is not None and action != action_of(entry):
                    found.append(f"{entry}: {key} -> {action}, it should be {action_of(entry)}")
        users = {token for token, keys in self._keys.items()}
        for key, action in left.items():
            if not self._places[key].host or not self._places[key].users & users:
                found.append(f"{key} -> {action}: the registry has no such entry")
        return found


class _Collect:
    """Joins the answers of several keys into one: True only if all are."""

    def __init__(self, count: int, then: Done | None) -> None:
        self._left, self._ok, self._then = count, True, then
        if not count and then is not None:
            then(True)

    def __call__(self, ok: bool) -> None:
        self._left -= 1
        self._ok &= ok
        if not self._left and self._then is not None:
            self._then(self._ok)
