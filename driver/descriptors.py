# SPDX-License-Identifier: Apache-2.0
"""What lies in shared memory, byte by byte: descriptors, event suppression, virtio_net_hdr. No I/O.

Sources: VIRTIO 1.2 sections 2.8.13 (pvirtq_desc), 2.8.14 (pvirtq_event_suppress), 5.1.6 (virtio_net_hdr).
All fields are little-endian.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar

import numpy as np

from driver.errors import UsageError
from driver.ring import RingPos, decode_off_wrap, encode_off_wrap


class CodecError(UsageError):
    """A field or a raw structure breaks the layout."""


class DescFlag(IntFlag):
    """Descriptor flags, VIRTIO 1.2 section 2.8.13."""

    NEXT = 1 << 0  # the chain goes on in the next slot
    WRITE = 1 << 1  # the device writes this buffer; in a used descriptor: it has written
    INDIRECT = 1 << 2  # the buffer is a table of descriptors
    AVAIL = 1 << 7
    USED = 1 << 15


# Plain ints of the same, since IntFlag arithmetic costs microseconds and numpy wants ints.
NEXT = int(DescFlag.NEXT)
WRITE = int(DescFlag.WRITE)
INDIRECT = int(DescFlag.INDIRECT)
OWNER_MASK = int(DescFlag.AVAIL | DescFlag.USED)
AVAIL_FLAGS = (int(DescFlag.USED), int(DescFlag.AVAIL))  # [wrap]: AVAIL = wrap, USED = not wrap
USED_FLAGS = (0, OWNER_MASK)  # [wrap]: AVAIL = USED = wrap

DESC_BYTES = 16
EVENT_BYTES = 4
DESC_DTYPE = np.dtype([("addr", "<u8"), ("len", "<u4"), ("id", "<u2"), ("flags", "<u2")])


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One slot of a descriptor ring, 16 bytes."""

    addr: int  # iova of the buffer
    len_bytes: int
    buffer_id: int
    flags: int  # DescFlag bits

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<QIHH")

    def __post_init__(self) -> None:
        fits = 0 <= self.addr < 1 << 64 and 0 <= self.len_bytes < 1 << 32
        if not (fits and 0 <= self.buffer_id < 1 << 16 and 0 <= self.flags < 1 << 16):
            raise CodecError(f"out of range: {self!r}")

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.addr, self.len_bytes, self.buffer_id, self.flags)

    @classmethod
    def decode(cls, raw: bytes) -> "Descriptor":
        """Inverse of encode; CodecError unless `raw` is 16 bytes."""
        if len(raw) != cls.LAYOUT.size:
            raise CodecError(f"not a descriptor, {len(raw)} bytes: {raw.hex()}")
        return cls(*cls.LAYOUT.unpack(raw))


NOWHERE = RingPos(0, 0)  # the position field while it means nothing


class EventMode(IntEnum):
    """RING_EVENT_FLAGS_*, VIRTIO 1.2 section 2.8.14."""

    ENABLE = 0
    DISABLE = 1
    DESC = 2  # only with VIRTIO_F_EVENT_IDX


@dataclass(frozen=True, slots=True)
class EventSuppression:
    """When the other side wants to be told, 4 bytes."""

    mode: EventMode
    pos: RingPos = NOWHERE  # of the slot that triggers; meaningful in mode DESC

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<HH")

    def __post_init__(self) -> None:
        if not (0 <= self.pos.slot < 1 << 15 and self.pos.wrap in (0, 1)):
            raise CodecError(f"out of range: {self.pos}")

    def encode(self) -> bytes:
        return self.LAYOUT.pack(encode_off_wrap(self.pos), self.mode)

    @classmethod
    def decode(cls, raw: bytes) -> "EventSuppression":
        """Inverse of encode; CodecError on wrong size or a reserved mode. Reserved bits are ignored."""
        if len(raw) != cls.LAYOUT.size:
            raise CodecError(f"not an event suppression structure: {raw.hex()}")
        off_wrap, flags = cls.LAYOUT.unpack(raw)
        if flags & 3 == 3:
            raise CodecError(f"reserved event mode 3: {raw.hex()}")
        return cls(EventMode(flags & 3), decode_off_wrap(off_wrap))


@dataclass(frozen=True, slots=True)
class NetHeader:
    """virtio_net_hdr before every frame, 12 bytes (num_buffers is always there with VERSION_1)."""

    flags: int = 0
    gso_type: int = 0
    hdr_len_bytes: int = 0
    gso_size_bytes: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    num_buffers: int = 0  # 0 when transmitting; 1 when received without MRG_RXBUF

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBHHHHH")

    def __post_init__(self) -> None:
        try:
            self.encode()
        except struct.error as error:
            raise CodecError(f"out of range: {self!r}") from error

    def encode(self) -> bytes:
        return self.LAYOUT.pack(
            self.flags,
            self.gso_type,
            self.hdr_len_bytes,
            self.gso_size_bytes,
            self.csum_start,
            self.csum_offset,
            self.num_buffers,
        )

    @classmethod
    def decode(cls, raw: bytes) -> "NetHeader":
        """Inverse of encode; CodecError unless `raw` is 12 bytes."""
        if len(raw) != cls.LAYOUT.size:
            raise CodecError(f"not a virtio_net_hdr, {len(raw)} bytes: {raw.hex()}")
        return cls(*cls.LAYOUT.unpack(raw))


NET_HEADER_BYTES = NetHeader.LAYOUT.size
