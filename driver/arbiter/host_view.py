# SPDX-License-Identifier: Apache-2.0
"""A stack's side of the host information pages. Read access to the memory is enough."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import EAGAIN, EINVAL, ENODEV
from struct import error as struct_error
from types import MappingProxyType
from typing import Generic, TypeVar

from .entries import ArbiterError
from .host_layout import (
    BODY_BYTES,
    HEADER_WORDS,
    MAGIC,
    MAX_BODY_BYTES,
    MAX_RECORDS,
    S_OFFSET,
    S_SHAPE,
    S_USED,
    S_VERSION,
    SECTION_WORDS,
    SECTIONS_AT,
    VERSION,
    W_GENERATION,
    W_MAGIC,
    W_OPEN,
    W_SECTIONS,
    W_SIZE_BYTES,
    W_VERSION,
    Section,
)
from .host_records import FlowAdvice, Interface, Neighbour, Route
from .locked import ATTEMPTS, LOCK_BYTES, LockedReader, NotConsistent, PageError, fence, words_of
from .parameters import DEFAULTS, PARAMETERS, ports_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A value, and the version of its section: changed_since(section, version) tells when to read again."""

    value: T
    version: int


class HostView:
    """Reads a page that a HostPage writes, in this process or another.

    Raises nothing but ArbiterError, whatever the bytes are, and never waits: NotConsistent says that each of
    a bounded number of attempts met a change under way or nonsense (keep the old value, try again later);
    ENODEV that the page has no such section.
    """

    def __init__(self, memory: memoryview) -> None:
        """PageError if this is no page of ours, or of a layout that this code does not know."""
        if memory.nbytes < SECTIONS_AT:
            raise PageError(EINVAL, f"{memory.nbytes} bytes are no page of host information")
        words = self._words = words_of(memory)
        if words[W_MAGIC] != MAGIC or words[W_VERSION] != VERSION or words[W_SIZE_BYTES] > memory.nbytes:
            raise PageError(
                EINVAL,
                f"not a page of version {VERSION} in {memory.nbytes} bytes: magic {words[W_MAGIC]:#x}, "
                f"version {words[W_VERSION]}, {words[W_SIZE_BYTES]} bytes",
            )
        self._last: Reading[Mapping[str, int]] | None = None
        known = min(words[W_SECTIONS], len(Section))
        tables = {section: self._find(memory, section) for section in Section if section < known}
        self._tables = {section: table for section, table in tables.items() if table is not None}

    def _find(self, memory: memoryview, section: Section) -> LockedReader | None:
        at = HEADER_WORDS + section * SECTION_WORDS
        offset, shape = self._words[at + S_OFFSET], self._words[at + S_SHAPE]
        body_bytes, capacity = shape >> 32, shape & 0xFFFF_FFFF
        if not capacity:
            return None
        end = offset + capacity * (LOCK_BYTES + body_bytes)
        # Parameters may be fewer or more than this code knows; of other records no part may be missing.
        least = 8 if section is Section.PARAMETERS else BODY_BYTES[section]
        sizes = least <= body_bytes <= MAX_BODY_BYTES and capacity <= MAX_RECORDS
        if not sizes or offset % 8 or body_bytes % 8 or offset < SECTIONS_AT or end > memory.nbytes:
            raise PageError(EINVAL, f"section {section.name}: {capacity} x {body_bytes} bytes at {offset}")
        return LockedReader(memory, offset, body_bytes, capacity)

    # What has changed.

    def generation(self) -> int:
        """Moves on with every change of any section: the one number to compare for each batch of frames."""
        return int(self._words[W_GENERATION])

    @property
    def open(self) -> bool:
        """False once the kernel side has gone: nobody renews this page."""
        return bool(self._words[W_OPEN])

    @property
    def sections(self) -> frozenset[Section]:
        return frozenset(self._tables)

    def version(self, section: Section) -> int:
        """Of the section's last change; odd while one is under way. 0: never written."""
        return int(self._words[HEADER_WORDS + section * SECTION_WORDS + S_VERSION])

    def changed_since(self, section: Section, version: int) -> bool:
        """Whether a Reading of that version is out of date."""
        return self.version(section) != version

    # What it is now.

    def parameters(self) -> Reading[Mapping[str, int]]:
        """All parameters by name; one that the writer does not know yet has its default."""
        reading = self._read(Section.PARAMETERS, _values)
        values = {**DEFAULTS, **(reading.value[0] if reading.value else {})}
        return Reading(MappingProxyType(values), reading.version)

    def read_parameters(self) -> Mapping[str, int] | None:
        """parameters().value for a stack that follows them, the same object while they are the same; None if
        they cannot be read now."""
        last = self._last
        if last is None or self.changed_since(Section.PARAMETERS, last.version):
            try:
                last = self._last = self.parameters()
            except NotConsistent:
                return None
        return last.value

    def reserved_ports(self) -> Reading[frozenset[int]]:
        """Ports that are never ephemeral."""
        reading = self._read(Section.RESERVED_PORTS, ports_of)
        return Reading(reading.value[0] if reading.value else frozenset(), reading.version)

    def interfaces(self) -> Reading[tuple[Interface, ...]]:
        return self._read(Section.INTERFACES, Interface.decode)

    def routes(self) -> Reading[tuple[Route, ...]]:
        """In the order in which the host gave them."""
        return self._read(Section.ROUTES, Route.decode)

    def neighbours(self) -> Reading[tuple[Neighbour, ...]]:
        return self._read(Section.NEIGHBOURS, Neighbour.decode)

    def flow(self, slot: int, token: int) -> FlowAdvice | None:
        """Advice about the flow of that registry entry; None once the slot is no longer its own."""
        table = self._table(Section.ADVISORY)
        if not 0 <= slot < table.capacity:
            raise ArbiterError(EINVAL, f"no advisory slot {slot} of {table.capacity}")
        body = table.read(slot)
        advice = FlowAdvice.decode(body) if body else None
        return advice if advice is not None and advice.token == token else None

    def flows(self) -> Reading[tuple[FlowAdvice, ...]]:
        """Advice about all flows, as of one moment."""
        return self._read(Section.ADVISORY, FlowAdvice.decode)

    def _table(self, section: Section) -> LockedReader:
        table = self._tables.get(section)
        if table is None:
            raise ArbiterError(ENODEV, f"this page has no section {section.name}")
        return table

    def _read(self, section: Section, decode: Callable[[bytes], T | None]) -> Reading[tuple[T, ...]]:
        """All records of a section that are not empty, as of one moment."""
        table, words = self._table(section), self._words
        at = HEADER_WORDS + section * SECTION_WORDS
        for _ in range(ATTEMPTS):
            version = words[at + S_VERSION]
            if version & 1:
                continue
            fence()
            bodies = _attempt_all(table, min(words[at + S_USED], table.capacity))
            fence()
            if bodies is None or words[at + S_VERSION] != version:
                continue
            try:
                found = [decode(body) for body in bodies if body]
            except (ValueError, struct_error) as error:
                raise NotConsistent(EAGAIN, f"section {section.name}: {error}") from error
            return Reading(tuple(record for record in found if record is not None), version)
        raise NotConsistent(EAGAIN, f"section {section.name}: changed under each of {ATTEMPTS} attempts")


def _attempt_all(table: LockedReader, count: int) -> list[bytes] | None:
    bodies = []
    for place in range(count):
        body = table.attempt(place)
        if body is None:
            return None
        bodies.append(body)
    return bodies


def _values(body: bytes) -> dict[str, int]:
    values = memoryview(body).cast("Q")
    return {parameter.name: values[place] for place, parameter in enumerate(PARAMETERS[: len(values)])}
