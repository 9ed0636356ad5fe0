# SPDX-License-Identifier: Apache-2.0
"""Bytes of a page of host information: header, directory of sections, sections of locked records.

Both sides take the layout from here; docs/host-info.md, "Host information". A section is a table of records
of one size. Its version is odd while it changes. The record size stands in the directory: a later version may
append to a record, and a reader takes as much of it as it knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from .host_records import FlowAdvice, Interface, Neighbour, Route
from .locked import LOCK_BYTES
from .parameters import PARAMETERS, PORTS

MAGIC = int.from_bytes(b"TupeloHI", "little")
VERSION = 1  # of the layout; a new one only where old readers would be wrong
HEADER_WORDS = 8
W_MAGIC, W_VERSION, W_SIZE_BYTES, W_GENERATION, W_SECTIONS, W_OPEN = range(6)
# Words of a section in the directory: offset_bytes, body_bytes << 32 | capacity, version, records in use.
S_OFFSET, S_SHAPE, S_VERSION, S_USED = range(4)
SECTION_WORDS = 4
MAX_SECTIONS = 16
SECTIONS_AT = 8 * (HEADER_WORDS + MAX_SECTIONS * SECTION_WORDS)
MAX_BODY_BYTES, MAX_RECORDS = 1 << 20, 1 << 20
ADVISORY_SLOTS = 512


class Section(IntEnum):
    """Place in the directory; append only."""

    PARAMETERS = 0  # one record: the values of parameters.PARAMETERS in their order, 8 bytes each
    RESERVED_PORTS = 1  # one record: a bit a port
    INTERFACES = 2
    ADVISORY = 3
    ROUTES = 4
    NEIGHBOURS = 5


BODY_BYTES: Mapping[Section, int] = {
    Section.PARAMETERS: 8 * len(PARAMETERS),
    Section.RESERVED_PORTS: PORTS // 8,
    Section.INTERFACES: Interface.BODY_BYTES,
    Section.ADVISORY: FlowAdvice.BODY_BYTES,
    Section.ROUTES: Route.BODY_BYTES,
    Section.NEIGHBOURS: Neighbour.BODY_BYTES,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How many records each section of a page has; a section with none is not there."""

    parameters: int = 1
    reserved_ports: int = 1
    interfaces: int = 4
    advisory: int = 0
    routes: int = 128
    neighbours: int = 512

    def capacity(self, section: Section) -> int:
        return int(getattr(self, section.name.lower()))

    def offset_bytes(self, section: Section) -> int:
        """Where a section begins; each on a cache line of its own."""
        at = SECTIONS_AT
        for earlier in Section:
            if earlier is section:
                break
            at += -(-self.capacity(earlier) * (LOCK_BYTES + BODY_BYTES[earlier]) // 64) * 64
        return at

    @property
    def size_bytes(self) -> int:
        last = max(Section)
        return self.offset_bytes(last) + self.capacity(last) * (LOCK_BYTES + BODY_BYTES[last])


HOST_SHAPE = Shape()  # one page for all stacks
STACK_SHAPE = Shape(0, 0, 0, ADVISORY_SLOTS, 0, 0)  # one page a stack: the advice about its own flows
