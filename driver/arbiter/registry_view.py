# SPDX-License-Identifier: Apache-2.0
"""A stack's side of the cached registry: what it may believe before it asks the arbiter.

Only the registry decides. A stack that decides from this copy sends the generation it decided on with its
request, and is refused with the news if that was too old. The generation is read before the entries, so that
a change in between makes the request stale, never falsely fresh.
"""

from dataclasses import dataclass
from errno import EAGAIN, EINVAL
from zlib import crc32

from .conflicts import Conflict, conflict
from .entries import Entry, Kind, Request
from .locked import ATTEMPTS, FENCED, NotConsistent, PageError, fence, words_of
from .records import Records
from .registry_layout import (
    BODY,
    FIRST_BODY,
    FIRST_BUCKET,
    FIRST_LINKS,
    FIRST_LOCK,
    LOW32,
    MAGIC,
    MAX_CAPACITY,
    SLOT_BYTES,
    SLOT_WORDS,
    VERSION,
    W_CAPACITY,
    W_GENERATION,
    W_MAGIC,
    W_MISSING,
    W_OPEN,
    W_PRESENT,
    W_SIZE_BYTES,
    W_VERSION,
    bucket_of,
    decode,
    size_bytes,
)

BROKEN_ATTEMPTS = 8  # links that lead astray while nothing changes, so often: the page is corrupt


@dataclass(frozen=True, slots=True)
class Holders:
    """What the registry had on one port.

    entries: of holders() one for each owner, kind, address and set of flags; of entries_at() all.
    generation: send it with a request that was decided from this.
    complete: False if the page has no room for the whole registry: absence then means nothing, ask.
    """

    entries: tuple[Entry, ...]
    generation: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether the registry would refuse a request, as far as this copy tells. Send the generation with it."""

    refusal: Conflict | None
    generation: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All entries, each whole. `exact` if no change came between the first and the last: then they are the
    registry at `generation`; else each is from that generation or a later one."""

    entries: tuple[Entry, ...]
    generation: int
    exact: bool
    complete: bool


class RegistryView:
    """Reads a region that a RegistryPage writes, in this process or another; read access is enough.

    Never blocks and never raises anything but PageError, whatever the bytes are. NotConsistent says that
    ATTEMPTS tries met a change under way each time; ask the arbiter, or try again later.
    """

    def __init__(self, memory: memoryview) -> None:
        """PageError if this is no page of ours, or of a layout that this code does not know."""
        if memory.nbytes < size_bytes(1):
            raise PageError(EINVAL, f"{memory.nbytes} bytes are no cached registry")
        words = self._words = words_of(memory)
        if words[W_MAGIC] != MAGIC or words[W_VERSION] != SLOT_BYTES << 32 | VERSION:
            raise PageError(
                EINVAL,
                f"not a cached registry of version {VERSION}: {words[W_MAGIC]:#x}, {words[W_VERSION]:#x}",
            )
        self.capacity: int = words[W_CAPACITY]
        size = size_bytes(self.capacity)
        if not 0 < self.capacity <= MAX_CAPACITY or words[W_SIZE_BYTES] != size or size > memory.nbytes:
            raise PageError(EINVAL, f"{memory.nbytes} bytes cannot hold {self.capacity} slots")
        self._bytes = memory.cast("B")
        self.retries = 0  # attempts that met a change under way

    def generation(self) -> int:
        """Of the registry's last change that is published."""
        return int(self._words[W_GENERATION])

    @property
    def open(self) -> bool:
        """False once the arbiter has gone: nobody renews this page."""
        return bool(self._words[W_OPEN])

    @property
    def present(self) -> int:
        """Entries in the page."""
        return int(self._words[W_PRESENT])

    @property
    def missing(self) -> int:
        """Entries of the registry that have no room in the page; 0 = complete."""
        return int(self._words[W_MISSING])

    def holders(self, proto: int, port: int) -> Holders:
        """Who has a local port (0 for protocols without), each with one entry for all that are alike."""
        return self._collect(proto, port, every=False)

    def entries_at(self, proto: int, port: int) -> Holders:
        """All entries of a local port: as many as it has connections."""
        return self._collect(proto, port, every=True)

    def lookup(self, proto: int, family: int, local: int | None, port: int) -> Holders:
        """As holders(), those alone that have exactly this local address (None: the wildcard)."""
        found = self.holders(proto, port)
        same = tuple(e for e in found.entries if e.family == family and e.local == local)
        return Holders(same, found.generation, found.complete)

    def would_conflict(self, wish: Request) -> Advice:
        """Apply the registry's own rules (conflicts.py) to what this copy tells.

        Nothing is said about another entry with the very same remote end: that may be one of a hundred
        thousand. The registry refuses it.
        """
        found = self._collect(wish.proto, wish.local_port, every=wish.kind is Kind.PROTOCOL)
        records = Records()
        for entry in found.entries:
            records.add(entry)
        return Advice(conflict(records, wish), found.generation, found.complete)

    def snapshot(self) -> Snapshot:
        """All entries; a moment's work for each, so of a busy registry hardly ever exact."""
        generation = self.generation()
        if FENCED:
            fence()
        complete = self._words[W_MISSING] == 0
        entries = []
        for slot in range(1, self.capacity + 1):
            if self._words[FIRST_LOCK + slot * SLOT_WORDS]:
                entry = self._read(slot)
                if entry is not None:
                    entries.append(entry)
        if FENCED:
            fence()
        exact = self.generation() == generation and self._words[W_PRESENT] == len(entries)
        return Snapshot(tuple(entries), generation, exact, complete)

    def _collect(self, proto: int, port: int, every: bool) -> Holders:
        if not (0 <= proto <= 255 and 0 <= port <= 0xFFFF):
            raise PageError(EINVAL, f"no such port: {proto=} {port=}")
        words, bucket, broken = self._words, bucket_of(proto, port), 0
        word_at = FIRST_BUCKET + bucket
        for _ in range(ATTEMPTS):
            generation = int(words[W_GENERATION])
            if FENCED:
                fence()
            complete, word = words[W_MISSING] == 0, words[word_at]
            if FENCED:
                fence()
            if not word >> 32 & 1:
                entries = self._walk(word & LOW32, bucket, every)
                if FENCED:
                    fence()
                if words[word_at] == word:
                    if entries is not None:
                        here = tuple(entry for entry in entries if entry.local_port == port)
                        return Holders(here, generation, complete)
                    broken += 1
                    if broken == BROKEN_ATTEMPTS:
                        break
            self.retries += 1
        raise NotConsistent(EAGAIN, f"{proto=} {port=}: no attempt found all entries whole and in place")

    def _walk(self, head: int, bucket: int, every: bool) -> list[Entry] | None:
        """Entries from the first class on; None if the links lead to what does not belong here."""
        entries: list[Entry] = []
        pending = [head]
        while pending:
            slot = pending.pop()
            if not slot:
                continue
            if slot > self.capacity or len(entries) == self.capacity:  # out of the page, or in circles
                return None
            body = self._attempt(slot)
            try:
                entry = None if body is None else decode(body)
            except ValueError:
                return None
            if entry is None or bucket_of(entry.proto, entry.local_port) != bucket:
                return None
            entries.append(entry)
            links = self._words[FIRST_LINKS + slot * SLOT_WORDS]
            pending.append(links >> 32)
            if every:
                pending.append(links & LOW32)
        return entries

    def _attempt(self, slot: int) -> bytes | None:
        """LockedReader.attempt for a slot that has been written: its body, None if it changes right now."""
        words, lock_at = self._words, FIRST_LOCK + slot * SLOT_WORDS
        lock, body_at = words[lock_at], FIRST_BODY + slot * SLOT_BYTES
        if FENCED:
            fence()
        body = bytes(self._bytes[body_at : body_at + BODY.size])
        if FENCED:
            fence()
        if lock >> 32 & 1 or words[lock_at] != lock or crc32(body, lock >> 32) != lock & LOW32:
            return None
        return body

    def _read(self, slot: int) -> Entry | None:
        """The entry of a slot that has been written, None if the slot is free."""
        for _ in range(ATTEMPTS):
            body = self._attempt(slot)
            if body is not None:
                try:
                    return decode(body)
                except ValueError as error:
                    raise NotConsistent(EAGAIN, f"slot {slot}: {error}") from error
            self.retries += 1
        raise NotConsistent(EAGAIN, f"slot {slot}: changed under each of {ATTEMPTS} attempts")
