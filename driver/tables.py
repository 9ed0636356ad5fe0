# SPDX-License-Identifier: Apache-2.0
"""One look-up table of the device: insert, redirect, delete, count, rebuild. driver.steering has both.

An entry that moves is written to its new slot before the old one is cleared, so a frame of an established
flow finds it at any moment; a slot is written in one cycle, so a redirect is atomic. `Handle`s name entries:
a handle of a deleted entry is refused, also when its id is in use again.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from driver.cuckoo import WAYS, Placement
from driver.errors import EntryExists, StaleHandle, TableFull, TableMismatch, UsageError
from driver.registers import SteerOp, SteerTarget
from driver.steer_port import Slot, SteerPort
from driver.toeplitz import Toeplitz
from driver.tuples import FlowKey, ListenerKey, proto_name

GENERATIONS = 1 << 16
PAIRS_MAX = 64


@dataclass(frozen=True, slots=True)
class Action:
    """What an entry does with a frame."""

    target: SteerTarget
    pair: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.pair < PAIRS_MAX:
            raise UsageError(f"queue pair {self.pair} is not in 0..{PAIRS_MAX - 1}")

    def __str__(self) -> str:
        return f"queue {self.pair}" if self.target is SteerTarget.QUEUE else self.target.name.lower()


TO_HOST = Action(SteerTarget.HOST)
TO_DROP = Action(SteerTarget.DROP)


def to_queue(pair: int) -> Action:
    """Frames go to this queue pair."""
    return Action(SteerTarget.QUEUE, pair)


Key = TypeVar("Key", FlowKey, ListenerKey)


@dataclass(frozen=True, slots=True)
class Handle(Generic[Key]):
    """Names one entry from its insertion to its deletion."""

    key: Key
    id: int
    generation: int


@dataclass(frozen=True, slots=True)
class Entry(Generic[Key]):
    """One entry as it stands."""

    key: Key
    action: Action
    id: int
    generation: int
    slot: int

    @property
    def handle(self) -> Handle[Key]:
        return Handle(self.key, self.id, self.generation)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found: entries kept, and slots cleared because nothing sound lay there."""

    entries: int
    cleared: int


class Table(Generic[Key]):
    """One look-up table of the device and the driver's picture of it; FlowTable and ListenerTable."""

    name: str
    _key_type: type[Key]
    _ops: tuple[SteerOp, SteerOp, SteerOp, SteerOp, SteerOp]  # write, clear, read, hits read, hits clear

    def __init__(self, port: SteerPort, capacity: int, hasher: Toeplitz, *, verify: bool = False) -> None:
        self.capacity = capacity
        self.verify = verify  # read every written slot back
        self.moves = 0  # entries moved to make room, so far
        self.damaged = False  # a change was interrupted half-way: rebuild first
        self._port = port
        self._hash = hasher
        self._forget(0)

    def _forget(self, generation: int) -> None:
        self._placement = Placement(self.capacity)
        self._entries: dict[Key, Entry[Key]] = {}
        self._keys: dict[int, Key] = {}  # by id
        self._generation = [generation] * self.capacity  # of the next use of an id
        self._free_ids = deque(range(self.capacity))  # the longest unused one first

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry[Key]]:
        """All entries, oldest first."""
        return iter(list(self._entries.values()))

    # Looking ------------------------------------------------------------------------------------------

    def lookup(self, key: Key) -> Entry[Key] | None:
        """The entry for exactly this key."""
        return self._entries.get(key)

    def get(self, handle: Handle[Key]) -> Entry[Key]:
        """The entry that a handle names; StaleHandle if it has been deleted."""
        entry = self._entries.get(handle.key)
        if entry is None or (entry.id, entry.generation) != (handle.id, handle.generation):
            raise StaleHandle(
                f"{self.name} {handle.key}: id {handle.id} generation {handle.generation} is gone"
            )
        return entry

    def by_id(self, entry_id: int) -> Entry[Key] | None:
        """The entry with this id."""
        key = self._keys.get(entry_id)
        return None if key is None else self._entries[key]

    def hash(self, key: Key) -> int:
        """The 64-bit hash that places a key."""
        return self._hash.hash(key.packed())

    def use_hash(self, hasher: Toeplitz) -> None:
        """Place entries by another hash; the table must be empty."""
        if self._entries:
            raise UsageError(f"{self.name}: {len(self)} entries were placed by the hash in use")
        self._hash = hasher

    # Changing -----------------------------------------------------------------------------------------

    async def insert(self, key: Key, action: Action) -> Handle[Key]:
        """Add an entry with its hit counter at 0. EntryExists, or TableFull if there is truly no room."""
        with self._change("insert"):
            if key in self._entries:
                raise EntryExists(f"{self.name} {key}: there is an entry already")
            choices = self._placement.choices(self.hash(key))
            plan = self._placement.plan(choices) if self._free_ids else None
            if plan is None:
                raise TableFull(f"{self.name} {key}: no room, {len(self)} of {self.capacity} slots in use")
            with self._writing():
                for move in plan.moves:
                    await self._move(move.entry, move.source, move.target)
                    self._placement.move(move)
                entry_id = self._free_ids[0]
                await self._port.command(self._ops[4], entry_id)
                entry = Entry(key, action, entry_id, self._generation[entry_id], plan.slot)
                await self._write(entry)
                self._adopt(entry, choices)
            return entry.handle

    async def redirect(self, handle: Handle[Key], action: Action) -> None:
        """Change where an entry's frames go, from one frame to the next; counter and handle stay."""
        with self._change("redirect"):
            entry = replace(self.get(handle), action=action)
            with self._writing():
                await self._write(entry)
                self._entries[entry.key] = entry

    async def delete(self, handle: Handle[Key]) -> None:
        """Remove an entry; its handle is stale from now on."""
        with self._change("delete"):
            entry = self.get(handle)
            with self._writing():
                await self._clear(entry.slot)
                self._placement.remove(entry.id, entry.slot)
                del self._entries[entry.key], self._keys[entry.id]
                self._generation[entry.id] = (entry.generation + 1) % GENERATIONS
                self._free_ids.append(entry.id)

    async def delete_all(self) -> None:
        """Remove every entry."""
        for entry in self:
            await self.delete(entry.handle)

    async def _move(self, entry_id: int, source: int, target: int) -> None:
        """New slot first, then clear the old one: no moment without the entry."""
        entry = replace(self._entries[self._keys[entry_id]], slot=target)
        await self._write(entry)
        await self._clear(source)
        self._entries[entry.key] = entry
        self.moves += 1

    def _adopt(self, entry: Entry[Key], choices: tuple[int, int]) -> None:
        self._placement.put(entry.id, entry.slot, choices)
        self._entries[entry.key] = entry
        self._keys[entry.id] = entry.key
        if self._free_ids and self._free_ids[0] == entry.id:
            self._free_ids.popleft()
        else:
            self._free_ids.remove(entry.id)

    async def _write(self, entry: Entry[Key]) -> None:
        wanted = Slot(
            entry.key.fields(), int(entry.action.target), entry.action.pair, entry.id, entry.generation
        )
        await self._port.write_slot(self._ops[0], entry.slot, wanted)
        if self.verify:
            found = await self._port.read_slot(self._ops[2], entry.slot)
            if found != wanted:
                raise TableMismatch(f"{self.name} slot {entry.slot}: wrote {wanted}, read {found}")

    async def _clear(self, slot: int) -> None:
        await self._port.command(self._ops[1], slot)
        if self.verify and (found := await self._port.read_slot(self._ops[2], slot)) is not None:
            raise TableMismatch(f"{self.name} slot {slot}: cleared, but it holds {found}")

    @contextmanager
    def _change(self, what: str) -> Iterator[None]:
        if self.damaged:
            raise UsageError(f"{self.name} {what}: an earlier change was cut short; rebuild first")
        with self._port.alone(f"{self.name} {what}"):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What leaves this block early (an error, a cancelled task) leaves device and picture apart."""
        self.damaged = True
        yield
        self.damaged = False

    # Hardware to picture ------------------------------------------------------------------------------

    async def rebuild(self) -> Rebuilt:
        """Read every slot and take over what lies there, as after a new attach; three accesses a free slot.

        Slots that hold no sound entry are cleared: one cut short while it moved (it is in two slots), or in a
        bucket where no look-up finds it. Generations go on above all that are seen.
        """
        with self._port.alone(f"{self.name} rebuild"):
            self.damaged = True
            found = []
            for slot in range(self.capacity):
                content = await self._port.read_slot(self._ops[2], slot)
                if content is not None:
                    found.append((slot, content))
            self._forget((1 + max((content.generation for _, content in found), default=-1)) % GENERATIONS)
            cleared = 0
            for slot, content in found:
                if not self._take_over(slot, content):
                    await self._port.command(self._ops[1], slot)
                    cleared += 1
            self.damaged = False
        return Rebuilt(len(self), cleared)

    def _take_over(self, slot: int, content: Slot) -> bool:
        """Add what was found in a slot to the picture; False if it cannot belong there."""
        try:
            key: Key = self._key_type.from_fields(content.key)
            action = Action(SteerTarget(content.target), content.pair)
        except ValueError:
            return False
        choices = self._placement.choices(self.hash(key))
        number = content.entry_id
        sound = slot - slot % WAYS in choices and key not in self._entries
        if not sound or number >= self.capacity or number in self._keys:
            return False
        self._adopt(Entry(key, action, number, content.generation, slot), choices)
        return True

    async def clear_all_slots(self) -> None:
        """Clear every slot of the device, whatever it holds; cheaper than a rebuild."""
        with self._port.alone(f"{self.name} clear"):
            self.damaged = True
            for slot in range(self.capacity):
                await self._port.command(self._ops[1], slot)
            self._forget((1 + max(self._generation)) % GENERATIONS)
            self.damaged = False

    # Counters -----------------------------------------------------------------------------------------

    async def hits(self, handle: Handle[Key]) -> int:
        """Frames that matched since the insertion or the last clear_hits."""
        with self._port.alone(f"{self.name} hits"):
            return await self._port.read_hits(self._ops[3], self.get(handle).id)

    async def clear_hits(self, handle: Handle[Key]) -> None:
        """Set the hit counter to 0."""
        with self._port.alone(f"{self.name} clear hits"):
            await self._port.command(self._ops[4], self.get(handle).id)

    async def dump(self) -> list[dict[str, str | int | None]]:
        """All entries with their hits, by id, as plain values fit for JSON (see steering.dump_lines)."""
        shown = []
        for entry in sorted(self, key=lambda entry: entry.id):
            shown.append(_as_dict(self.name, entry, await self.hits(entry.handle)))
        return shown


def _as_dict(table: str, entry: Entry[Key], hits: int) -> dict[str, str | int | None]:
    key = entry.key
    ipv6 = key.local.version == 6 if isinstance(key, FlowKey) else key.ipv6
    return {
        "table": table,
        "proto": proto_name(key.proto),
        "family": 6 if ipv6 else 4,
        "local": None if key.local is None else str(key.local),
        "local_port": key.local_port,
        "remote": str(key.remote) if isinstance(key, FlowKey) else None,
        "remote_port": key.remote_port if isinstance(key, FlowKey) else None,
        "target": entry.action.target.name,
        "pair": entry.action.pair if entry.action.target is SteerTarget.QUEUE else None,
        "id": entry.id,
        "generation": entry.generation,
        "hits": hits,
        "slot": entry.slot,
    }


class FlowTable(Table[FlowKey]):
    """Exact 5-tuples."""

    name = "flow"
    _key_type = FlowKey
    _ops = (
        SteerOp.FLOW_WRITE,
        SteerOp.FLOW_CLEAR,
        SteerOp.FLOW_READ,
        SteerOp.FLOW_HITS_READ,
        SteerOp.FLOW_HITS_CLEAR,
    )


class ListenerTable(Table[ListenerKey]):
    """Protocol and local port, on one address or on any."""

    name = "listener"
    _key_type = ListenerKey
    _ops = (
        SteerOp.LISTENER_WRITE,
        SteerOp.LISTENER_CLEAR,
        SteerOp.LISTENER_READ,
        SteerOp.LISTENER_HITS_READ,
        SteerOp.LISTENER_HITS_CLEAR,
    )
