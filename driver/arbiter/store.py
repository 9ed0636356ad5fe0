# SPDX-License-Identifier: Apache-2.0
"""Entries that change: every change is one generation, one record in the log, and keeps the counts right."""

from dataclasses import replace
from errno import ENOENT, EPERM
from typing import Any

from .changes import ChangeLog
from .entries import ArbiterError, Entry, EntryFlag, Kind, Request
from .ephemeral import Randomness
from .identifiers import Domain, FlowIds
from .records import Records

FLAGS = tuple(EntryFlag(value) for value in range(2 * max(EntryFlag)))  # quicker than EntryFlag(value)
SOFTWARE = int(EntryFlag.SOFTWARE)
HOST, PROTOCOL = Kind.HOST, Kind.PROTOCOL


class Store:
    """Records, log and flow ids together. Asks no rules."""

    def __init__(self, rng: Randomness, log_size: int) -> None:
        self.records = Records()
        self.log = ChangeLog(log_size)
        self.flow_ids = FlowIds(rng)
        self.software_now = 0
        self.software_total = 0
        self._tokens = 0

    def get(self, token: int) -> Entry:
        """ENOENT for a token that is none, or no more."""
        entry = self.records.entries.get(token)
        if entry is None:
            raise ArbiterError(ENOENT, f"token {token}: no such reservation")
        return entry

    def owned(self, token: int, stack: int) -> Entry:
        """The same, and EPERM if it is another stack's."""
        entry = self.get(token)
        if entry.stack != stack:
            raise ArbiterError(EPERM, f"{entry}: not a reservation of stack {stack}")
        return entry

    def identify(self, wish: Request) -> int:
        """The flow id for what a request asks for: the host brings its own or none; errors of FlowIds."""
        if wish.flow_id:
            self.flow_ids.claim(wish.flow_id)
        elif wish.stack:
            return self.flow_ids.allocate(Domain.SWITCH)
        return wish.flow_id

    def insert(self, wish: Request, port: int, flags: int, flow_id: int) -> Entry:
        """Make the entry that a request asks for, at a local port."""
        self._tokens += 1
        entry = Entry(
            self._tokens,
            wish.stack,
            wish.kind,
            wish.proto,
            wish.family,
            wish.local,
            port,
            wish.remote,
            wish.remote_port,
            FLAGS[flags],
            flow_id,
            self.log.generation + 1,
            wish.zone,
        )
        self.records.add(entry)
        self.log.add(entry)
        return entry

    def reflag(self, entry: Entry, flags: int) -> Entry:
        """Other flags; the same entry if they are what it has. REUSE and DUAL never change this way."""
        before = int(entry.flags)
        if flags == before:
            return entry
        self._count_software(before, flags)
        changed = Entry(
            entry.token,
            entry.stack,
            entry.kind,
            entry.proto,
            entry.family,
            entry.local,
            entry.local_port,
            entry.remote,
            entry.remote_port,
            FLAGS[flags],
            entry.flow_id,
            self.log.generation + 1,
            entry.zone,
        )
        self.records.entries[entry.token] = changed
        self.log.add(changed)
        return changed

    def move(self, entry: Entry, **changes: Any) -> Entry:
        """Other owner, kind or address, under the same token, in one change."""
        generation = self.log.generation + 1
        changed = replace(entry, generation=generation, **changes)
        self._count_software(int(entry.flags), int(changed.flags))
        self.records.remove(entry, generation)
        self.records.add(changed)
        self.log.add(changed)
        return changed

    def drop(self, entry: Entry) -> None:
        """The end of an entry and of its flow id."""
        self._count_software(int(entry.flags), 0)
        self.records.remove(entry, self.log.generation + 1)
        self.log.add(entry.token)
        if entry.flow_id:
            self.flow_ids.free(entry.flow_id)

    def _count_software(self, before: int, after: int) -> None:
        if (before ^ after) & SOFTWARE:
            self.software_now += 1 if after & SOFTWARE else -1
            self.software_total += after & SOFTWARE > 0
