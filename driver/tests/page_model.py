# SPDX-License-Identifier: Apache-2.0
"""For tests of pages in shared memory: programs of writer and reader processes, memory that is watched."""

import mmap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from driver.arbiter.entries import TCP, Entry, EntryFlag, Kind
from driver.arbiter.locked import NotConsistent
from driver.arbiter.registry_layout import FIRST_BODY, SLOT_BYTES
from driver.arbiter.registry_page import RegistryPage
from driver.arbiter.registry_view import RegistryView

PORTS = tuple(range(80, 96))
TOKENS = 50
LINGERING, NO_FLAGS = EntryFlag.LINGERING, EntryFlag(0)  # looked up once: readers compare millions
ANCHOR = 1  # port of the tokens 1 and 2, one of which is always there


def entry_of(token: int, revision: int, port: int = 0) -> Entry:
    """An entry all of whose fields follow from token and revision, so that a torn one gives itself away."""
    big = revision * 0x9E37_79B9_7F4A_7C15 + token & (1 << 64) - 1
    return Entry(
        token=token,
        stack=big >> 40 & 3,
        kind=Kind.FLOW,
        proto=TCP,
        family=6,
        local=big << 64 | big ^ 0xFFFF,
        local_port=port or PORTS[token % len(PORTS)],
        remote=big * 3,
        remote_port=big & 0xFFFF,
        flags=LINGERING if big & 64 else NO_FLAGS,
        flow_id=big >> 32,
        generation=revision,
    )


def is_whole(entry: Entry) -> bool:
    return entry == entry_of(entry.token, entry.generation, entry.local_port)


def map_file(path: Path, write: bool) -> memoryview:
    with path.open("r+b" if write else "rb") as file:
        access = mmap.ACCESS_WRITE if write else mmap.ACCESS_READ
        return memoryview(mmap.mmap(file.fileno(), 0, access=access))


class UnlockedPage(RegistryPage):
    """A writer that forgot the lock: bodies change in two steps under a lock word that says nothing."""

    def _write(self, slot: int, body: bytes) -> None:
        at, half = FIRST_BODY + slot * SLOT_BYTES, len(body) // 2
        self._bytes[at : at + half] = body[:half]
        self._bytes[at + half : at + len(body)] = body[half:]
        super()._write(slot, body)


class TrustingView(RegistryView):
    """A reader that believes every body."""

    def _attempt(self, slot: int) -> bytes | None:
        at = FIRST_BODY + slot * SLOT_BYTES
        return bytes(self._bytes[at : at + SLOT_BYTES - 16])


def write_until(path: Path, kind: type[RegistryPage], stop: Any, ready: Any, result: Any) -> None:
    """Process: change entries as fast as it goes; send how many changes there were."""
    page = kind(map_file(path, write=True))
    revision = 1
    page.put(entry_of(1, revision, ANCHOR))
    ready.set()
    while not stop.is_set():
        for token in range(3, TOKENS):
            revision += 1
            page.put(entry_of(token, revision))
            if revision % 5 == 0:
                page.remove(token, revision)
        for comes, goes in ((2, 1), (1, 2)):
            revision += 2
            page.put(entry_of(comes, revision - 1, ANCHOR))
            page.remove(goes, revision)
    result.put(("writer", revision))


def read_many(path: Path, kind: type[RegistryView], wanted: int, ready: Any, result: Any) -> None:
    """Process: read at least `wanted` entries, by port and all at once; send how many, how many of them were
    torn, how often the anchor was missing, and reports."""
    ready.wait()
    view = kind(map_file(path, write=False))
    seen = torn = lost = reports = 0
    last = 0
    while seen < wanted:
        for port in (*PORTS, ANCHOR, None):
            try:
                found = view.snapshot() if port is None else view.entries_at(TCP, port)
            except NotConsistent:
                reports += 1
                continue
            seen += len(found.entries)
            torn += sum(not is_whole(entry) for entry in found.entries)
            lost += port == ANCHOR and not found.entries
            torn += found.generation < last
            last = found.generation
    result.put(("reader", seen, torn, lost, reports, view.retries))


class Watched:
    """A memoryview that calls `hook` before each access of one kind."""

    def __init__(self, view: Any, hook: Callable[[], None], stores: bool) -> None:
        self.view, self.hook, self.stores = view, hook, stores

    def __getitem__(self, key: Any) -> Any:
        if not self.stores:
            self.hook()
        return self.view[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.stores:
            self.hook()
        self.view[key] = value


def plain(token: int, port: int, stack: int = 1, **more: Any) -> Entry:
    """An entry of a small world, where classes and buckets are often shared."""
    entry = Entry(token, stack, Kind.FLOW, TCP, 4, 0x0A000001, port, 0x0A000002, 5000, EntryFlag(0), 7, 1)
    return replace(entry, **more)
