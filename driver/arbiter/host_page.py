# SPDX-License-Identifier: Apache-2.0
"""The kernel's side of the host information pages: it alone writes them."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from errno import EINVAL, ENODEV, ENOENT, ENOSPC
from struct import Struct

from .entries import ArbiterError
from .host_layout import (
    BODY_BYTES,
    HEADER_WORDS,
    MAGIC,
    S_OFFSET,
    S_SHAPE,
    S_USED,
    S_VERSION,
    SECTION_WORDS,
    VERSION,
    W_GENERATION,
    W_MAGIC,
    W_OPEN,
    W_SECTIONS,
    W_SIZE_BYTES,
    W_VERSION,
    Section,
    Shape,
)
from .host_records import AdviceFlag, FlowAdvice, Interface, Neighbour, Route
from .locked import LockedWriter, PageError, fence, words_of
from .parameters import DEFAULTS, PARAMETERS, bitmap_of, checked, ports_of

VALUES = Struct(f"<{len(PARAMETERS)}Q")


class HostPage:
    """Writes one page. Every call that changes something moves the section's version and the generation on;
    one that changes nothing leaves both alone. Errors: ArbiterError, and then nothing was changed.

    memory: writable, of shape.size_bytes or more; what was in it before is lost.
    """

    def __init__(self, memory: memoryview, shape: Shape) -> None:
        if memory.readonly or memory.nbytes < shape.size_bytes:
            raise PageError(EINVAL, f"needs {shape.size_bytes:,} writable bytes, has {memory.nbytes:,}")
        words = self._words = words_of(memory)
        words[W_MAGIC] = 0  # a reader that comes too early finds no page
        memory.cast("B")[8 : shape.size_bytes] = bytes(shape.size_bytes - 8)
        self._tables: dict[Section, LockedWriter] = {}
        self._bodies: dict[Section, list[bytes]] = {}  # what the page holds
        for section in Section:
            capacity, offset, body = (
                shape.capacity(section),
                shape.offset_bytes(section),
                BODY_BYTES[section],
            )
            if not capacity:
                continue
            at = HEADER_WORDS + section * SECTION_WORDS
            words[at + S_OFFSET], words[at + S_SHAPE] = offset, body << 32 | capacity
            self._tables[section] = LockedWriter(memory, offset, body, capacity)
            self._bodies[section] = [bytes(body)] * capacity
        self._values: Mapping[str, int] = DEFAULTS
        self._advice: dict[int, FlowAdvice] = {}  # slot -> what it says
        self._advice_free = array("I", range(shape.advisory - 1, -1, -1))
        self._places: dict[tuple[int, int, int], int] = {}  # neighbour -> record
        self._places_free = array("I", range(shape.neighbours - 1, -1, -1))
        words[W_VERSION], words[W_SIZE_BYTES] = VERSION, shape.size_bytes
        words[W_SECTIONS], words[W_OPEN] = len(Section), 1
        if Section.PARAMETERS in self._tables:
            self._put(Section.PARAMETERS, {0: VALUES.pack(*DEFAULTS.values())})
        words[W_MAGIC] = MAGIC

    @property
    def generation(self) -> int:
        return int(self._words[W_GENERATION])

    def close(self) -> None:
        """Tell readers that nobody renews this page any more."""
        self._words[W_OPEN] = 0

    # System control parameters.

    @property
    def parameters(self) -> Mapping[str, int]:
        return self._values

    def set_parameters(self, changes: Mapping[str, int]) -> None:
        """Change some, all at once; ENOENT for an unknown name, EINVAL for a value that does not fit."""
        values = checked(changes, self._values)
        self._put(Section.PARAMETERS, {0: VALUES.pack(*values.values())})
        self._values = values

    def set_reserved_ports(self, ports: Iterable[int]) -> None:
        """Ports that are never ephemeral; EINVAL."""
        self._put(Section.RESERVED_PORTS, {0: bitmap_of(ports)})

    @property
    def reserved_ports(self) -> frozenset[int]:
        return ports_of(self._bodies[Section.RESERVED_PORTS][0])

    # Interfaces, routes, neighbours.

    def set_interface(self, place: int, interface: Interface | None) -> None:
        """Describe an interface, or say with None that it is gone."""
        body = bytes(Interface.BODY_BYTES) if interface is None else interface.encode()
        self._put(Section.INTERFACES, {place: body})

    def set_routes(self, routes: Sequence[Route]) -> None:
        """Replace all routes; ENOSPC if they are more than the page has room for."""
        table = self._table(Section.ROUTES)
        if len(routes) > table.capacity:
            raise ArbiterError(ENOSPC, f"{len(routes)} routes, room for {table.capacity}")
        empty = [bytes(table.body_bytes)] * (table.capacity - len(routes))
        self._put(Section.ROUTES, dict(enumerate([route.encode() for route in routes] + empty)))

    def set_neighbour(self, neighbour: Neighbour) -> None:
        """Add a neighbour or change it; ENOSPC if the page is full."""
        self._table(Section.NEIGHBOURS)
        key = (neighbour.interface, neighbour.family, neighbour.address)
        place = self._places.get(key)
        if place is None:
            if not self._places_free:
                raise ArbiterError(ENOSPC, f"no room for a neighbour beside {len(self._places)}")
            place = self._places[key] = self._places_free.pop()
        self._put(Section.NEIGHBOURS, {place: neighbour.encode()})

    def drop_neighbour(self, interface: int, family: int, address: int) -> None:
        """Forget a neighbour; one that is not there is no error."""
        place = self._places.pop((interface, family, address), None)
        if place is not None:
            self._put(Section.NEIGHBOURS, {place: bytes(Neighbour.BODY_BYTES)})
            self._places_free.append(place)

    # Flow advisory.

    def open_flow(self, token: int, flow_id: int) -> int:
        """Give a flow a slot, whose number goes to the stack; ENOSPC if all are taken."""
        self._table(Section.ADVISORY)
        if not self._advice_free:
            raise ArbiterError(ENOSPC, f"no advisory slot for flow {flow_id:#x}, {len(self._advice)} taken")
        advice = FlowAdvice(token, flow_id)
        slot = self._advice_free[-1]
        self._put(Section.ADVISORY, {slot: advice.encode()})
        self._advice_free.pop()
        self._advice[slot] = advice
        return slot

    def suspend_flow(self, slot: int, token: int, suspended: bool) -> None:
        """Tell a flow to stop sending, or to go on; ENOENT if the slot is another's by now."""
        flags = AdviceFlag.VALID | (AdviceFlag.SUSPENDED if suspended else 0)
        self._advise(slot, replace(self._of(slot, token), flags=flags))

    def count_flow(self, slot: int, token: int, packets: int, ce: int = 0) -> None:
        """Add packets, and those of them that experienced congestion; ENOENT as above."""
        old = self._of(slot, token)
        self._advise(slot, replace(old, packet_count=old.packet_count + packets, ce_count=old.ce_count + ce))

    def close_flow(self, slot: int, token: int) -> None:
        """Take the slot back; ENOENT if it is another's by now."""
        self._of(slot, token)
        self._put(Section.ADVISORY, {slot: bytes(FlowAdvice.BODY_BYTES)})
        del self._advice[slot]
        self._advice_free.append(slot)

    def _of(self, slot: int, token: int) -> FlowAdvice:
        advice = self._advice.get(slot)
        if advice is None or advice.token != token:
            raise ArbiterError(ENOENT, f"advisory slot {slot} is not that of entry {token}")
        return advice

    def _advise(self, slot: int, advice: FlowAdvice) -> None:
        self._put(Section.ADVISORY, {slot: advice.encode()})
        self._advice[slot] = advice

    def _table(self, section: Section) -> LockedWriter:
        table = self._tables.get(section)
        if table is None:
            raise ArbiterError(ENODEV, f"this page has no section {section.name}")
        return table

    def _put(self, section: Section, records: Mapping[int, bytes]) -> None:
        """Write those records that differ from what is there, as one change of the section."""
        table, bodies = self._table(section), self._bodies[section]
        for place, body in records.items():
            if not 0 <= place < table.capacity or len(body) != table.body_bytes:
                raise ArbiterError(EINVAL, f"{section.name} has no record {place} of {len(body)} bytes")
        changed = {place: body for place, body in records.items() if bodies[place] != body}
        if not changed:
            return
        with self._changing(section):
            for place, body in changed.items():
                table.write(place, body)
                bodies[place] = body
            used_at = HEADER_WORDS + section * SECTION_WORDS + S_USED
            self._words[used_at] = max(self._words[used_at], max(changed) + 1)

    @contextmanager
    def _changing(self, section: Section) -> Iterator[None]:
        words, at = self._words, HEADER_WORDS + section * SECTION_WORDS + S_VERSION
        words[at] = words[at] + 1
        fence()
        yield
        fence()
        words[at] = words[at] + 1
        fence()
        words[W_GENERATION] = words[W_GENERATION] + 1
