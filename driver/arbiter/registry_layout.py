# SPDX-License-Identifier: Apache-2.0
"""Bytes of the cached registry: docs/host-info.md, "Cached registry". Both sides take them from here.

Header, one word a bucket, then the slots. A bucket is a port of TCP or of UDP, or another IP protocol. A slot
is a locked record (locked.py) that holds one entry, and a word of links. Entries with the same stack, kind,
local address, zone and CLASS_FLAGS form a class: no conflict rule tells them apart. A bucket leads to its
classes, a class to its entries, so that a decision about a port looks at one entry a class, however many
connections there are.
"""

from collections.abc import Sequence
from errno import EINVAL
from struct import Struct
from struct import error as struct_error

from .entries import Entry, EntryFlag, Kind
from .locked import PageError

MAGIC = int.from_bytes(b"TupeloRG", "little")
VERSION = 1
HEADER_BYTES = 128
# Words of the header.
W_MAGIC, W_VERSION, W_CAPACITY, W_SIZE_BYTES, W_GENERATION, W_PRESENT, W_MISSING, W_OPEN = range(8)

TCP, UDP = 6, 17
PORTS = 1 << 16
BUCKETS = 2 * PORTS + 256
BUCKETS_AT = HEADER_BYTES
SLOTS_AT = BUCKETS_AT + 8 * BUCKETS
# The word of a bucket: version << 32 | first class. The version is odd while the bucket changes.
NEXT_VERSION, VERSION_MASK, LOW32 = 1 << 32, 0xFFFF_FFFF_0000_0000, 0xFFFF_FFFF

# token, generation, local, remote, flow id, stack, zone, ports, flags, kind, proto, family, present
BODY = Struct("<QQ16s16sIIIHHHBBBBxx")
SLOT_BYTES = 8 + BODY.size + 8  # lock word, entry, links: next class << 32 | next of the same class
MAX_CAPACITY = 1 << 24
# In words, for slots that are counted from 1, so that 0 says "none" in links, buckets and zeroed memory.
FIRST_BUCKET = BUCKETS_AT // 8
SLOT_WORDS = SLOT_BYTES // 8
FIRST_LOCK = SLOTS_AT // 8 - SLOT_WORDS
FIRST_LINKS = FIRST_LOCK + SLOT_WORDS - 1
FIRST_BODY = SLOTS_AT - SLOT_BYTES + 8  # this one in bytes
HAS_ENTRY, HAS_LOCAL, HAS_REMOTE = 1, 2, 4
NOTHING = bytes(16)
FREE = bytes(BODY.size)

# What conflict rules may look at; the other flags do not part entries into classes.
CLASS_FLAGS = int(EntryFlag.REUSE | EntryFlag.DUAL | EntryFlag.UNBOUND | EntryFlag.LINGERING)

ALL_FLAGS = sum(EntryFlag)
KINDS: Sequence[Kind] = tuple(Kind)
FLAG_CLASS: Sequence[int] = tuple(value & CLASS_FLAGS for value in range(ALL_FLAGS + 1))  # by flags
FLAGS: Sequence[EntryFlag] = tuple(EntryFlag(value) for value in range(ALL_FLAGS + 1))


def size_bytes(capacity: int) -> int:
    """Bytes of a region for `capacity` entries."""
    return SLOTS_AT + capacity * SLOT_BYTES


def bucket_of(proto: int, port: int) -> int:
    """Which bucket holds the entries of a local port; other protocols than TCP and UDP have one each."""
    if proto == TCP:
        return port
    return PORTS + port if proto == UDP else 2 * PORTS + proto


def encode(entry: Entry) -> bytes:
    """An entry as the body of a slot; PageError for what no entry can hold."""
    try:
        return _pack(entry)
    except (struct_error, OverflowError) as error:
        raise PageError(EINVAL, f"not an entry, {error}: {entry!r}") from error


def _pack(entry: Entry) -> bytes:
    local, remote, present = entry.local, entry.remote, HAS_ENTRY
    if local is None:
        local_bytes = NOTHING
    else:
        local_bytes = local.to_bytes(16, "little")
        present |= HAS_LOCAL
    if remote is None:
        remote_bytes = NOTHING
    else:
        remote_bytes = remote.to_bytes(16, "little")
        present |= HAS_REMOTE
    return BODY.pack(
        entry.token,
        entry.generation,
        local_bytes,
        remote_bytes,
        entry.flow_id,
        entry.stack,
        entry.zone,
        entry.local_port,
        entry.remote_port,
        entry.flags,
        entry.kind,
        entry.proto,
        entry.family,
        present,
    )


def decode(body: bytes) -> Entry | None:
    """Inverse of encode; None for a free slot; ValueError for bytes that are no entry."""
    (token, generation, local, remote, flow_id, stack, zone, local_port, remote_port, flags, kind, proto,
     family, present) = BODY.unpack(body)  # fmt: skip
    if not present & HAS_ENTRY:
        return None
    if kind >= len(KINDS) or family not in (4, 6):
        raise ValueError(f"not an entry: {kind=} {family=}")
    return Entry(
        token,
        stack,
        KINDS[kind],
        proto,
        family,
        int.from_bytes(local, "little") if present & HAS_LOCAL else None,
        local_port,
        int.from_bytes(remote, "little") if present & HAS_REMOTE else None,
        remote_port,
        FLAGS[flags & ALL_FLAGS],  # a later version may have more
        flow_id,
        generation,
        zone,
    )
