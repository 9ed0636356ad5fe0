# SPDX-License-Identifier: Apache-2.0
"""Host information pages of other versions, and pages full of nonsense: an answer or an error, always."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driver.arbiter.host_layout import (
    HEADER_WORDS,
    MAGIC,
    S_OFFSET,
    S_SHAPE,
    S_USED,
    S_VERSION,
    SECTION_WORDS,
    SECTIONS_AT,
    VERSION,
    W_MAGIC,
    W_SECTIONS,
    W_SIZE_BYTES,
    W_VERSION,
    Section,
    Shape,
)
from driver.arbiter.host_page import HostPage
from driver.arbiter.host_records import (
    Interface,
    InterfaceFlag,
    Offload,
    Route,
)
from driver.arbiter.host_view import HostView
from driver.arbiter.locked import LockedWriter, NotConsistent, PageError
from driver.arbiter.parameters import DEFAULTS, PARAMETERS
from driver.errors import ArbiterError

ALL = Shape(1, 1, 2, 4, 6, 6)


def page_by_hand(section: Section, body: bytes, sections: int = 6, version: int = VERSION) -> memoryview:
    """A page with one record, as a program of another version may write it."""
    memory = memoryview(bytearray(SECTIONS_AT + 8 + len(body)))
    words, at = memory.cast("Q"), HEADER_WORDS + section * SECTION_WORDS
    words[W_MAGIC], words[W_VERSION], words[W_SIZE_BYTES] = MAGIC, version, len(memory)
    words[W_SECTIONS] = sections
    words[at + S_OFFSET], words[at + S_SHAPE] = SECTIONS_AT, len(body) << 32 | 1
    words[at + S_VERSION], words[at + S_USED] = 2, 1
    LockedWriter(memory, SECTIONS_AT, len(body), 1).write(0, body)
    return memory


def test_older_and_newer_writers_are_understood() -> None:
    few = b"".join(value.to_bytes(8, "little") for value in (4096, 99_999, 1 << 20))
    values = HostView(page_by_hand(Section.PARAMETERS, few)).parameters().value
    assert dict(values) == {**DEFAULTS, "tcp_recv_buffer_bytes": 99_999, "tcp_recv_buffer_max_bytes": 1 << 20}
    many = b"".join(value.to_bytes(8, "little") for value in range(len(PARAMETERS) + 9))
    values = HostView(page_by_hand(Section.PARAMETERS, many, sections=12)).parameters().value
    assert list(values.values()) == list(range(len(PARAMETERS)))
    route = Route(4, 1, 32, 1)
    assert HostView(page_by_hand(Section.ROUTES, route.encode() + bytes(16))).routes().value == (route,)


def test_a_page_of_another_layout_is_refused() -> None:
    for version, section, body in (
        (VERSION + 1, Section.ROUTES, bytes(64)),
        (VERSION, Section.ROUTES, bytes(56)),  # too short for what version 1 promises
    ):
        with pytest.raises(PageError):
            HostView(page_by_hand(section, body, version=version))


def every_call(view: HostView) -> None:
    calls: list[Any] = [view.parameters, view.reserved_ports, view.interfaces, view.routes, view.neighbours]
    calls += [view.flows, lambda: view.flow(0, 1), view.read_parameters]
    for call in calls:
        try:
            call()
        except ArbiterError as error:
            assert error.errno


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    where=st.sampled_from(("header", "sections", "all")),
    count=st.integers(1, 40),
)
def test_a_corrupted_page_gives_errors_and_no_more(seed: int, where: str, count: int) -> None:
    memory, rng = bytearray(ALL.size_bytes), random.Random(seed)
    page = HostPage(memoryview(memory), ALL)
    page.open_flow(1, 1)
    page.set_routes([Route(4, 1, 32, 1)] * 3)
    page.set_interface(0, Interface(1, "a", bytes(6), 1500, 0, InterfaceFlag(0), Offload(0), 1, ()))
    end = len(memory)
    low, high = {"header": (0, SECTIONS_AT), "sections": (SECTIONS_AT, end), "all": (0, end)}[where]
    view = HostView(memoryview(memory).toreadonly())
    for _ in range(count):
        memory[rng.randrange(low, high)] = rng.getrandbits(8)
    every_call(view)
    try:
        every_call(HostView(memoryview(memory).toreadonly()))
    except PageError as error:
        assert error.errno


@given(st.binary(max_size=4096))
def test_arbitrary_bytes_are_no_page(raw: bytes) -> None:
    for memory in (raw, raw + bytes(SECTIONS_AT - len(raw) % 8)):
        with pytest.raises(PageError):
            HostView(memoryview(memory))


@given(st.binary(min_size=64, max_size=64))
def test_nonsense_under_a_good_lock_is_reported(body: bytes) -> None:
    view = HostView(page_by_hand(Section.ROUTES, body))
    try:
        found = view.routes().value
    except NotConsistent:
        return
    assert all(route.family in (4, 6) for route in found)
