# SPDX-License-Identifier: Apache-2.0
"""The arbiter's side of the cached registry: every change of the registry goes into shared memory at once."""

from array import array
from collections.abc import Sequence
from errno import EINVAL
from typing import Protocol
from zlib import crc32

from .entries import Entry
from .locked import FENCED, PageError, fence, words_of
from .registry_layout import (
    FIRST_BODY,
    FIRST_BUCKET,
    FIRST_LINKS,
    FIRST_LOCK,
    FLAG_CLASS,
    FREE,
    LOW32,
    MAGIC,
    MAX_CAPACITY,
    NEXT_VERSION,
    SLOT_BYTES,
    SLOT_WORDS,
    SLOTS_AT,
    VERSION,
    VERSION_MASK,
    W_CAPACITY,
    W_GENERATION,
    W_MAGIC,
    W_MISSING,
    W_OPEN,
    W_PRESENT,
    W_SIZE_BYTES,
    W_VERSION,
    bucket_of,
    encode,
    size_bytes,
)

ClassKey = tuple[int, int, int, int, int, int | None, int, int]


class Source(Protocol):
    """What the page needs of a registry (registry.Registry)."""

    def changes_since(self, generation: int) -> "Sequence[tuple[int, Entry | int]] | None": ...

    def snapshot(self) -> tuple[int, list[Entry]]: ...


class RegistryPage:
    """Writes the region; the only writer. A change costs a few stores, whatever the number of entries.

    memory: writable, of size_bytes(capacity) or more; what was in it before is lost. Entries beyond the
    capacity wait outside and move in when a slot comes free; meanwhile readers are told that they do not
    see everything.
    """

    def __init__(self, memory: memoryview, generation: int = 0) -> None:
        capacity = min((memory.nbytes - SLOTS_AT) // SLOT_BYTES, MAX_CAPACITY)
        if memory.readonly or capacity < 1:
            raise PageError(EINVAL, f"needs writable memory of at least {size_bytes(1):,} bytes")
        words = self._words = words_of(memory)
        self._bytes = memory.cast("B")
        words[W_MAGIC] = 0  # a reader that comes too early finds no page
        self._bytes[8 : size_bytes(capacity)] = bytes(size_bytes(capacity) - 8)
        self.capacity = capacity
        self._slot_of: dict[int, int] = {}  # token -> slot
        self._entries: list[Entry | None] = [None] * (capacity + 1)
        self._free = array("I", range(capacity, 0, -1))
        self._waiting: dict[int, Entry] = {}  # token -> entry that found no slot, oldest first
        self._class_head: dict[ClassKey, int] = {}
        zeros = bytes(4 * (capacity + 1))
        # Links of the slots: within a class, and of the heads of the classes of a bucket.
        self._same, self._before = array("I", zeros), array("I", zeros)
        self._class, self._class_before = array("I", zeros), array("I", zeros)
        words[W_VERSION] = SLOT_BYTES << 32 | VERSION
        words[W_CAPACITY], words[W_SIZE_BYTES] = capacity, size_bytes(capacity)
        words[W_GENERATION], words[W_OPEN] = generation, 1
        words[W_MAGIC] = MAGIC

    @property
    def missing(self) -> int:
        """Entries of the registry that found no room."""
        return len(self._waiting)

    @property
    def generation(self) -> int:
        """Of the last change that is published."""
        return int(self._words[W_GENERATION])

    def put(self, entry: Entry) -> None:
        """Publish an entry that is new or has changed; the registry's generation becomes the entry's."""
        self._put(entry)
        self.set_generation(entry.generation)

    def remove(self, token: int, generation: int) -> None:
        """Take an entry out; one that is not there is no error, as its publication may not have come."""
        self._remove(token)
        self.set_generation(generation)

    def set_generation(self, generation: int) -> None:
        """Say that the page is as the registry was then: the last store of every change."""
        if FENCED:
            fence()
        self._words[W_GENERATION] = generation

    def follow(self, source: "Source") -> int:
        """Publish all that the registry changed since the page was renewed; how many changes.

        Of changes of one entry in a row (reserved, then armed) the last is enough.
        """
        changes = source.changes_since(self.generation)
        if changes is None:
            return self._resync(source)
        last = len(changes) - 1
        for place, (generation, what) in enumerate(changes):
            if place < last and _token(changes[place + 1][1]) == _token(what):
                continue
            if isinstance(what, Entry):
                self.put(what)
            else:
                self.remove(what, generation)
        return len(changes)

    def _resync(self, source: "Source") -> int:
        """The log does not reach back far enough: compare everything. The generation moves at the end only,
        as in between the page is like the registry at no time."""
        generation, entries = source.snapshot()
        now = {entry.token: entry for entry in entries}
        before = {entry.token: entry for entry in self._entries if entry is not None} | self._waiting
        gone = [token for token in before if token not in now]
        changed = [entry for token, entry in now.items() if before.get(token) != entry]
        for token in gone:
            self._remove(token)
        for entry in changed:
            self._put(entry)
        self.set_generation(generation)
        return len(gone) + len(changed)

    def close(self) -> None:
        """Tell readers that nobody renews this page any more."""
        self._words[W_OPEN] = 0

    def _put(self, entry: Entry) -> None:
        slot = self._slot_of.get(entry.token)
        if slot is not None:
            self._change(slot, entry)
        elif self._free and entry.token not in self._waiting:
            self._insert(entry)
        else:
            encode(entry)  # refuse now what could not be written later
            self._waiting[entry.token] = entry
            self._words[W_MISSING] = len(self._waiting)

    def _remove(self, token: int) -> None:
        slot = self._slot_of.pop(token, None)
        if slot is not None:
            self._delete(slot)
            if self._waiting:
                self._insert(self._waiting.pop(next(iter(self._waiting))))
                self._words[W_MISSING] = len(self._waiting)
        elif self._waiting.pop(token, None) is not None:
            self._words[W_MISSING] = len(self._waiting)

    def _insert(self, entry: Entry) -> None:
        body = encode(entry)  # before anything changes: it raises for what is no entry
        slot = self._free.pop()
        self._slot_of[entry.token] = slot
        bucket_at, changing = self._begin(entry)
        self._write(slot, body)
        head = self._link(slot, entry, changing & LOW32)
        self._entries[slot] = entry
        self._words[W_PRESENT] = len(self._slot_of)
        self._end(bucket_at, changing, head)

    def _delete(self, slot: int) -> None:
        entry = self._held(slot)
        bucket_at, changing = self._begin(entry)
        head = self._unlink(slot, entry, changing & LOW32)
        self._write(slot, FREE)
        self._entries[slot] = None
        self._free.append(slot)
        self._words[W_PRESENT] = len(self._slot_of)
        self._end(bucket_at, changing, head)

    def _change(self, slot: int, entry: Entry) -> None:
        old, body = self._held(slot), encode(entry)
        if bucket_of(old.proto, old.local_port) != bucket_of(entry.proto, entry.local_port):
            del self._slot_of[entry.token]
            self._delete(slot)
            self._insert(entry)
            return
        bucket_at, changing = self._begin(entry)
        head = changing & LOW32
        if class_of(old) != class_of(entry):
            head = self._unlink(slot, old, head)
            self._write(slot, body)
            head = self._link(slot, entry, head)
        else:
            self._write(slot, body)
        self._entries[slot] = entry
        self._end(bucket_at, changing, head)

    def _held(self, slot: int) -> Entry:
        entry = self._entries[slot]
        if entry is None:
            raise PageError(EINVAL, f"slot {slot} holds no entry")
        return entry

    def _begin(self, entry: Entry) -> tuple[int, int]:
        """Make the version in the bucket's word odd; (where the word is, its value)."""
        bucket_at = FIRST_BUCKET + bucket_of(entry.proto, entry.local_port)
        changing = self._words[bucket_at] + NEXT_VERSION
        self._words[bucket_at] = changing
        if FENCED:
            fence()
        return bucket_at, changing

    def _end(self, bucket_at: int, changing: int, head: int) -> None:
        if FENCED:
            fence()
        self._words[bucket_at] = changing + NEXT_VERSION & VERSION_MASK | head

    def _write(self, slot: int, body: bytes) -> None:
        """LockedWriter.write, here without a call of its own: this is most of the cost of a change."""
        words, lock_at = self._words, FIRST_LOCK + slot * SLOT_WORDS
        begin = (words[lock_at] >> 32 | 1) & LOW32
        end = begin + 1 & LOW32
        words[lock_at] = begin << 32
        if FENCED:
            fence()
        body_at = FIRST_BODY + slot * SLOT_BYTES
        self._bytes[body_at : body_at + len(body)] = body
        if FENCED:
            fence()
        words[lock_at] = end << 32 | crc32(body, end)

    def _link(self, slot: int, entry: Entry, first: int) -> int:
        """Add a slot to its class, second in it, or first with a new class; the bucket's new first class."""
        key = class_of(entry)
        head = self._class_head.get(key)
        self._before[slot] = head or 0
        if head is None:
            self._class_head[key] = slot
            self._same[slot], self._class[slot], self._class_before[slot] = 0, first, 0
            self._class_before[first] = slot
            first = slot
        else:
            second = self._same[head]
            self._same[slot], self._class[slot] = second, 0
            self._before[second] = slot
            self._same[head] = slot
            self._publish_links(head)
        self._publish_links(slot)
        return first

    def _unlink(self, slot: int, entry: Entry, first: int) -> int:
        """Take a slot out of its class; the bucket's new first class. Slot 0 takes what nobody reads."""
        before, after = self._before[slot], self._same[slot]
        if before:
            self._same[before] = after
            self._before[after] = before
            self._publish_links(before)
            return first
        next_class, class_before = self._class[slot], self._class_before[slot]
        if after:
            self._class_head[class_of(entry)] = instead = after
            self._before[after] = 0
            self._class[after], self._class_before[after] = next_class, class_before
            self._publish_links(after)
            self._class_before[next_class] = after
        else:
            del self._class_head[class_of(entry)]
            instead = next_class
            self._class_before[next_class] = class_before
        if not class_before:
            return instead
        self._class[class_before] = instead
        self._publish_links(class_before)
        return first

    def _publish_links(self, slot: int) -> None:
        self._words[FIRST_LINKS + slot * SLOT_WORDS] = self._class[slot] << 32 | self._same[slot]


def _token(what: Entry | int) -> int:
    return what.token if isinstance(what, Entry) else what


def class_of(entry: Entry) -> ClassKey:
    """What conflict rules see of an entry."""
    return (
        entry.proto,
        entry.local_port,
        entry.stack,
        entry.kind,
        entry.family,
        entry.local,
        entry.zone,
        FLAG_CLASS[entry.flags],
    )
