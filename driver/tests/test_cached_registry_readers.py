# SPDX-License-Identifier: Apache-2.0
"""The cached registry between processes at full speed, and pages full of nonsense."""

import multiprocessing
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driver.arbiter.entries import TCP, Kind, Request
from driver.arbiter.locked import NotConsistent, PageError
from driver.arbiter.registry_layout import (
    FIRST_BUCKET,
    FIRST_LINKS,
    SLOT_WORDS,
    SLOTS_AT,
    bucket_of,
    size_bytes,
)
from driver.arbiter.registry_page import RegistryPage
from driver.arbiter.registry_view import RegistryView
from driver.errors import ArbiterError
from driver.tests import page_model
from driver.tests.page_model import TrustingView, UnlockedPage, plain

u32 = st.integers(0, (1 << 32) - 1)


def pair(capacity: int = 64) -> tuple[RegistryPage, RegistryView]:
    memory = memoryview(bytearray(size_bytes(capacity)))
    page = RegistryPage(memory)
    return page, RegistryView(memory.toreadonly())


# Processes.


def run_processes(
    tmp_path: Path, writer: type[RegistryPage], reader: type[RegistryView], readers: int, wanted: int
) -> tuple[int, int, int, int]:
    """(entries read, torn, times the anchor was missing, changes) of a writer and readers at full speed."""
    path = tmp_path / "page"
    path.write_bytes(bytes(size_bytes(64)))
    spawn = multiprocessing.get_context("spawn")
    stop, ready, result = spawn.Event(), spawn.Event(), spawn.Queue()
    first = spawn.Process(target=page_model.write_until, args=(path, writer, stop, ready, result))
    others = [
        spawn.Process(target=page_model.read_many, args=(path, reader, wanted, ready, result))
        for _ in range(readers)
    ]
    for process in (first, *others):
        process.start()
    try:
        got = [result.get(timeout=240) for _ in others]
        stop.set()
        changes = result.get(timeout=60)[1]
    finally:
        stop.set()
        for process in (first, *others):
            process.join(10)
            if process.is_alive():
                process.kill()
    print(got, changes)
    seen, torn, lost = (sum(line[place] for line in got) for place in (1, 2, 3))
    return seen, torn, lost, changes


def test_a_million_reads_against_a_writer_at_full_speed_and_no_torn_entry(tmp_path: Path) -> None:
    seen, torn, lost, changes = run_processes(tmp_path, RegistryPage, RegistryView, 3, 340_000)
    assert seen >= 1_000_000 and changes > 1000
    assert (torn, lost) == (0, 0)


def test_the_crc_alone_keeps_torn_entries_out(tmp_path: Path) -> None:
    """As where stores become visible in any order: the sequence tells nothing."""
    _, torn, _, changes = run_processes(tmp_path, UnlockedPage, RegistryView, 1, 100_000)
    assert torn == 0 and changes > 1000


def test_the_judge_of_these_tests_sees_tearing_without_locks(tmp_path: Path) -> None:
    _, torn, _, _ = run_processes(tmp_path, UnlockedPage, TrustingView, 1, 100_000)
    assert torn > 0


# Memory that is not ours, or no longer.


def every_call(view: RegistryView) -> None:
    for call in (
        view.snapshot,
        lambda: view.holders(TCP, 80),
        lambda: view.entries_at(TCP, 80),
        lambda: view.would_conflict(Request(1, Kind.LISTENER, TCP, local_port=80)),
    ):
        try:
            call()
        except ArbiterError as error:
            assert error.errno
    assert view.generation() >= 0 and view.missing >= 0 and view.present >= 0


@settings(max_examples=150, deadline=None)
@given(seed=u32, where=st.sampled_from(("header", "slots", "buckets", "all")), count=st.integers(1, 64))
def test_a_corrupted_page_gives_errors_and_no_more(seed: int, where: str, count: int) -> None:
    memory, rng = bytearray(size_bytes(32)), random.Random(seed)
    page = RegistryPage(memoryview(memory))
    for token in range(1, 30):
        page.put(plain(token, 80, token % 3, generation=token))
    end = len(memory)
    spans = {"header": (0, 64), "slots": (SLOTS_AT, end), "buckets": (8 * 80, 8 * 120), "all": (0, end)}
    low, high = spans[where]
    view = RegistryView(memoryview(memory).toreadonly())
    for _ in range(count):
        memory[rng.randrange(low, high)] = rng.getrandbits(8)
    every_call(view)
    try:
        every_call(RegistryView(memoryview(memory).toreadonly()))
    except PageError as error:
        assert error.errno


@given(st.binary(max_size=4096))
def test_arbitrary_bytes_are_no_page(raw: bytes) -> None:
    with pytest.raises(PageError):
        RegistryView(memoryview(raw))
    with pytest.raises(PageError):
        RegistryView(memoryview(raw + bytes(size_bytes(4) & ~7)))


def test_links_in_a_circle_are_left() -> None:
    memory = memoryview(bytearray(size_bytes(16)))
    page, view = RegistryPage(memory), RegistryView(memory)
    page.put(plain(1, 80))
    page.put(plain(2, 80, local=1))
    words = memory.cast("Q")
    slots = page._slot_of
    words[FIRST_LINKS + slots[1] * SLOT_WORDS] = slots[2] << 32
    words[FIRST_LINKS + slots[2] * SLOT_WORDS] = slots[1] << 32
    with pytest.raises(NotConsistent):
        view.holders(TCP, 80)
    words[FIRST_BUCKET + bucket_of(TCP, 80)] |= 1 << 32  # the writer died in the middle of a change
    with pytest.raises(NotConsistent):
        view.holders(TCP, 80)


def test_readers_cannot_write_and_pages_refuse_read_only_memory() -> None:
    memory = memoryview(bytearray(size_bytes(4)))
    page, view = RegistryPage(memory), RegistryView(memory.toreadonly())
    with pytest.raises(TypeError):
        view._words[0] = 1
    with pytest.raises(PageError):
        RegistryPage(memory.toreadonly())
    with pytest.raises(PageError):
        RegistryPage(memory[:64])
    for proto, port in ((256, 0), (6, 65536), (-1, 0), (6, -1)):
        with pytest.raises(PageError):
            view.holders(proto, port)
    assert view.open
    page.close()
    assert not view.open


def test_what_is_no_entry_changes_nothing() -> None:
    page, view = pair(4)
    page.put(plain(1, 80))
    bad: Any
    for bad in (plain(2, 80, local=-1), plain(1, 80, remote_port=1 << 16), plain(3, 80, stack=1 << 32)):
        with pytest.raises(PageError):
            page.put(bad)
    assert view.snapshot().entries == (plain(1, 80),)
    for token in (2, 3, 4):
        page.put(plain(token, 80, stack=token))
    with pytest.raises(PageError):
        page.put(plain(5, 80, stack=-1))  # it would have to wait
    assert len(view.holders(TCP, 80).entries) == 4 and page.missing == 0
