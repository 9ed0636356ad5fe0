# SPDX-License-Identifier: Apache-2.0
"""Host information pages: what the kernel side writes is what stacks read, whole, and versions tell of it."""

from errno import EINVAL, ENODEV, ENOENT, ENOSPC
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from driver.arbiter import host_view
from driver.arbiter.host_layout import (
    HEADER_WORDS,
    HOST_SHAPE,
    STACK_SHAPE,
    Section,
    Shape,
)
from driver.arbiter.host_page import HostPage
from driver.arbiter.host_records import (
    MAX_ADDRESSES,
    Address,
    AdviceFlag,
    FlowAdvice,
    Interface,
    InterfaceFlag,
    Neighbour,
    Offload,
    Reach,
    Route,
)
from driver.arbiter.host_view import HostView
from driver.arbiter.locked import NotConsistent, PageError
from driver.arbiter.parameters import DEFAULTS, PARAMETERS
from driver.errors import ArbiterError
from driver.tests.page_model import Watched

ALL = Shape(1, 1, 2, 4, 6, 6)
u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
family = st.sampled_from((4, 6))


@st.composite
def address(draw: st.DrawFn) -> tuple[int, int, int]:
    kind = draw(family)
    width = 32 if kind == 4 else 128
    return kind, draw(st.integers(0, (1 << width) - 1)), draw(st.integers(0, width))


names = st.text("abcdefgh0123456789.", min_size=1, max_size=16)
interfaces = st.builds(
    Interface,
    u32,
    names,
    st.binary(min_size=6, max_size=6),
    u32,
    u32,
    st.integers(0, 7).map(InterfaceFlag),
    st.integers(0, 127).map(Offload),
    u16,
    st.lists(address().map(lambda a: Address(*a)), max_size=MAX_ADDRESSES).map(tuple),
)
advices = st.builds(FlowAdvice, u64, u32, st.sampled_from((AdviceFlag.VALID, AdviceFlag(3))), u64, u64)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    kind, destination, prefix = draw(address())
    other = st.none() | st.integers(0, (1 << (32 if kind == 4 else 128)) - 1)
    numbers = draw(st.tuples(u32, other, other, u32, u32, st.booleans()))
    return Route(kind, destination, prefix, *numbers)


neighbours = st.builds(
    lambda a, *rest: Neighbour(a[0], a[1], *rest),
    address(),
    u32,
    st.binary(min_size=6, max_size=6),
    st.sampled_from(tuple(Reach)[1:]),
)


def pair(shape: Shape = ALL) -> tuple[HostPage, HostView]:
    memory = memoryview(bytearray(shape.size_bytes))
    page = HostPage(memory, shape)
    return page, HostView(memory.toreadonly())


@given(st.one_of(interfaces, advices, routes(), neighbours), st.binary(max_size=40))
def test_every_record_survives_encoding_also_when_later_versions_append(record: Any, more: bytes) -> None:
    body = record.encode()
    assert len(body) == record.BODY_BYTES and len(body) % 8 == 0
    assert record.decode(body + more) == record
    assert record.decode(bytes(record.BODY_BYTES)) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Address(4, 1 << 32, 24),
        lambda: Address(5, 1, 24),
        lambda: Address(4, 1, 33),
        lambda: Interface(1, "", bytes(6), 1500, 0, InterfaceFlag(0), Offload(0), 1, ()),
        lambda: Interface(1, "a" * 17, bytes(6), 1500, 0, InterfaceFlag(0), Offload(0), 1, ()),
        lambda: Interface(1, "a", bytes(5), 1500, 0, InterfaceFlag(0), Offload(0), 1, ()),
        lambda: Route(6, 1 << 128, 0, 1),
        lambda: Neighbour(4, 1, 1, bytes(7), Reach.STALE),
        lambda: Neighbour(4, 1, 1, bytes(6), Reach.NONE),
    ],
)
def test_illegal_records_cannot_be_made(make: Any) -> None:
    with pytest.raises(ValueError):
        make()


def test_bytes_of_an_advice_are_as_documented() -> None:
    raw = FlowAdvice(0x0102, 0x0A0B, AdviceFlag(3), 5, 7).encode()
    assert raw.hex(" ", 8) == "0201000000000000 0500000000000000 0700000000000000 0b0a000003000000"


def test_header_and_first_section_are_where_the_page_says() -> None:
    memory = bytearray(HOST_SHAPE.size_bytes)
    HostPage(memoryview(memory), HOST_SHAPE)
    assert memory[:8] == b"TupeloHI" and int.from_bytes(memory[8:16], "little") == 1
    at = 8 * HEADER_WORDS
    offset = int.from_bytes(memory[at : at + 8], "little")
    first = PARAMETERS[0]
    assert int.from_bytes(memory[offset + 8 : offset + 16], "little") == first.default
    assert offset % 64 == 0 and first.name == "tcp_recv_buffer_min_bytes"


def test_an_untouched_page_says_the_defaults() -> None:
    _, view = pair()
    assert dict(view.parameters().value) == DEFAULTS
    assert view.reserved_ports().value == frozenset()
    assert [*view.interfaces().value, *view.routes().value, *view.neighbours().value] == []
    assert view.open and view.sections == frozenset(Section)


def test_each_section_has_its_own_version_and_all_have_one_generation() -> None:
    page, view = pair()
    seen = {section: view.version(section) for section in Section}
    generation = view.generation()
    changes: list[tuple[Section, Any]] = [
        (Section.PARAMETERS, lambda: page.set_parameters({"tcp_sack": 1})),
        (Section.RESERVED_PORTS, lambda: page.set_reserved_ports([80, 65535])),
        (Section.ROUTES, lambda: page.set_routes([Route(4, 0, 0, 1)])),
        (Section.NEIGHBOURS, lambda: page.set_neighbour(Neighbour(4, 1, 1, bytes(6), Reach.STALE))),
        (Section.ADVISORY, lambda: page.open_flow(77, 5)),
    ]
    for section, change in changes:
        change()
        assert {s for s in Section if view.changed_since(s, seen[s])} == {section}
        assert view.generation() == generation + 1
        seen[section], generation = view.version(section), generation + 1
        assert seen[section] % 2 == 0
    page.set_parameters({"tcp_sack": 1})
    page.set_reserved_ports([65535, 80])
    page.set_routes([Route(4, 0, 0, 1)])
    page.set_neighbour(Neighbour(4, 1, 1, bytes(6), Reach.STALE))
    assert view.generation() == generation, "nothing changed"
    assert view.parameters().version == seen[Section.PARAMETERS]


def test_the_same_parameters_are_the_same_object() -> None:
    page, view = pair()
    first = view.read_parameters()
    page.set_routes([Route(4, 0, 0, 1)])
    assert view.read_parameters() is first is not None
    page.set_parameters({"tcp_ecn": 2})
    second = view.read_parameters()
    assert second is not first and second is not None and second["tcp_ecn"] == 2
    with pytest.raises(TypeError):
        second["tcp_ecn"] = 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("call", "errno"),
    [
        (lambda page: page.set_parameters({"nonsense": 1}), ENOENT),
        (lambda page: page.set_parameters({"tcp_sack": 2}), EINVAL),
        (lambda page: page.set_parameters({"tcp_sack": 1, "port_first": 0}), EINVAL),
        (lambda page: page.set_parameters({"port_first": 65535, "port_last": 60000}), EINVAL),
        (lambda page: page.set_parameters({"tcp_min_rto_ns": 61 * 10**9}), EINVAL),
        (lambda page: page.set_reserved_ports([65536]), EINVAL),
        (lambda page: page.set_reserved_ports([-1]), EINVAL),
        (lambda page: page.set_interface(2, None), EINVAL),
        (lambda page: page.set_interface(-1, None), EINVAL),
        (lambda page: page.set_routes([Route(4, 0, 0, 1)] * 7), ENOSPC),
        (lambda page: page.suspend_flow(0, 1, True), ENOENT),
        (lambda page: page.count_flow(9, 1, 1), ENOENT),
        (lambda page: page.close_flow(0, 1), ENOENT),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(call: Any, errno: int) -> None:
    page, view = pair()
    with pytest.raises(ArbiterError) as caught:
        call(page)
    assert caught.value.errno == errno
    assert (view.generation(), dict(view.parameters().value)) == (1, DEFAULTS)


def test_full_sections_refuse_one_more_and_take_it_when_one_has_gone() -> None:
    page, view = pair()
    slots = [page.open_flow(token, token) for token in range(4)]
    for number in range(6):
        page.set_neighbour(Neighbour(4, number, 1, bytes(6), Reach.REACHABLE))
    for call in (
        lambda: page.open_flow(9, 9),
        lambda: page.set_neighbour(Neighbour(4, 9, 1, bytes(6), Reach.STALE)),
    ):
        with pytest.raises(ArbiterError) as caught:
            call()
        assert caught.value.errno == ENOSPC
    page.close_flow(slots[2], 2)
    page.drop_neighbour(1, 4, 3)
    assert page.open_flow(9, 9) == slots[2]
    page.set_neighbour(Neighbour(4, 9, 1, bytes(6), Reach.STALE))
    assert {advice.token for advice in view.flows().value} == {0, 1, 3, 9}
    assert {neighbour.address for neighbour in view.neighbours().value} == {0, 1, 2, 4, 5, 9}


def test_an_advice_is_for_the_flow_that_it_was_given_to() -> None:
    page, view = pair(STACK_SHAPE)
    slot = page.open_flow(1000, 5)
    page.count_flow(slot, 1000, packets=10, ce=2)
    page.suspend_flow(slot, 1000, True)
    advice = view.flow(slot, 1000)
    assert advice is not None and advice.suspended
    assert (advice.packet_count, advice.ce_count, advice.flow_id) == (10, 2, 5)
    page.close_flow(slot, 1000)
    assert view.flow(slot, 1000) is None
    assert page.open_flow(1001, 6) == slot
    assert view.flow(slot, 1000) is None
    again = view.flow(slot, 1001)
    assert again is not None and not again.suspended and again.packet_count == 0
    assert len([page.open_flow(2000 + n, n) for n in range(511)]) == 511, "512 in all"
    for number in (-1, 512):
        with pytest.raises(ArbiterError):
            view.flow(number, 1)


def test_a_section_that_a_page_does_not_have_is_no_device() -> None:
    page, view = pair(STACK_SHAPE)
    calls: list[Any] = [
        view.parameters,
        view.routes,
        lambda: page.set_routes([]),
        lambda: page.set_parameters({}),
    ]
    for call in calls:
        with pytest.raises(ArbiterError) as caught:
            call()
        assert caught.value.errno == ENODEV
    assert view.sections == {Section.ADVISORY}


class Life(RuleBasedStateMachine):
    """A page against plain values."""

    def __init__(self) -> None:
        super().__init__()
        self.page, self.view = pair()
        self.values: dict[str, int] = dict(DEFAULTS)
        self.ports: frozenset[int] = frozenset()
        self.interfaces: dict[int, Interface] = {}
        self.routes: list[Route] = []
        self.neighbours: dict[tuple[int, int, int], Neighbour] = {}

    @rule(place=st.integers(0, len(PARAMETERS) - 1), pick=st.sampled_from(("minimum", "maximum", "default")))
    def parameter(self, place: int, pick: str) -> None:
        changes = {PARAMETERS[place].name: getattr(PARAMETERS[place], pick)}
        try:
            self.page.set_parameters(changes)
        except ArbiterError as error:
            assert error.errno == EINVAL
        else:
            self.values.update(changes)

    @rule(ports=st.frozensets(u16, max_size=5))
    def reserve(self, ports: frozenset[int]) -> None:
        self.page.set_reserved_ports(ports)
        self.ports = ports

    @rule(place=st.integers(0, 1), interface=st.none() | interfaces)
    def interface(self, place: int, interface: Interface | None) -> None:
        self.page.set_interface(place, interface)
        self.interfaces.pop(place, None)
        if interface is not None:
            self.interfaces[place] = interface

    @rule(new=st.lists(routes(), max_size=6))
    def route(self, new: list[Route]) -> None:
        self.page.set_routes(new)
        self.routes = new

    @rule(neighbour=neighbours)
    def neighbour(self, neighbour: Neighbour) -> None:
        key = (neighbour.interface, neighbour.family, neighbour.address)
        if key in self.neighbours or len(self.neighbours) < 6:
            self.page.set_neighbour(neighbour)
            self.neighbours[key] = neighbour

    @rule(pick=st.integers(0, 9))
    def forget(self, pick: int) -> None:
        key = next(iter(list(self.neighbours)[pick : pick + 1]), (9, 4, 9))
        self.neighbours.pop(key, None)
        self.page.drop_neighbour(*key)

    @invariant()
    def stacks_read_the_same(self) -> None:
        assert dict(self.view.parameters().value) == self.values
        assert self.view.reserved_ports().value == self.ports
        assert self.view.interfaces().value == tuple(self.interfaces[p] for p in sorted(self.interfaces))
        assert list(self.view.routes().value) == self.routes
        assert set(self.view.neighbours().value) == set(self.neighbours.values())


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_between_any_two_stores_a_reader_sees_before_or_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_view, "ATTEMPTS", 2)
    page, view = pair()
    sizes = ("tcp_recv_buffer_bytes", "tcp_send_buffer_bytes")
    looks: list[str] = []
    states: list[tuple[int, int]] = [(1 << 18, 1 << 18)] * 2
    tables: list[tuple[int, ...]] = [(), ()]

    def look() -> None:
        try:
            values = view.parameters().value
            seen = tuple(route.destination for route in view.routes().value)
        except NotConsistent:
            looks.append("busy")
            return
        assert tuple(values[name] for name in sizes) in states
        assert seen in tables
        looks.append("whole")

    page._words = Watched(page._words, look, stores=True)  # type: ignore[assignment]
    for table in page._tables.values():
        table._words = Watched(table._words, look, stores=True)  # type: ignore[assignment]
        table._bytes = Watched(table._bytes, look, stores=True)  # type: ignore[assignment]
    for size in range(5000, 5100):
        states = [states[1], (size, 2 * size)]
        page.set_parameters(dict(zip(sizes, states[1], strict=True)))
        tables = [tables[1], tuple(range(size, size + size % 7))]
        page.set_routes([Route(4, number, 32, 1) for number in tables[1]])
    assert looks.count("busy") > 300 < looks.count("whole")


def test_readers_cannot_write_and_pages_refuse_read_only_memory() -> None:
    memory = memoryview(bytearray(ALL.size_bytes))
    page, view = HostPage(memory, ALL), HostView(memory.toreadonly())
    with pytest.raises(TypeError):
        view._words[0] = 1
    for bad in (memory.toreadonly(), memory[:-64]):
        with pytest.raises(PageError):
            HostPage(bad, ALL)
    page.close()
    assert not view.open
