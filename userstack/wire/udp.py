# SPDX-License-Identifier: Apache-2.0
"""UDP datagrams (RFC 768)."""

import struct
from dataclasses import dataclass
from typing import ClassVar

from ..drops import Drop
from . import checksum
from .errors import WireError
from .ipv4 import UDP

HEADER_BYTES = 8


@dataclass(frozen=True, slots=True)
class UdpDatagram:
    """Ports and payload; the checksum needs the IP addresses and is always sent."""

    src_port: int
    dst_port: int
    payload: bytes

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!HHHH")

    def encode(self, src: int, dst: int) -> bytes:
        size = HEADER_BYTES + len(self.payload)
        raw = self.LAYOUT.pack(self.src_port, self.dst_port, size, 0) + self.payload
        value = checksum.transport_checksum(checksum.pseudo_sum(src, dst, UDP, size), raw) or 0xFFFF
        return raw[:6] + value.to_bytes(2, "big") + raw[8:]

    @classmethod
    def decode(cls, raw: bytes, src: int, dst: int) -> "UdpDatagram":
        """WireError on a bad length or checksum; checksum 0 means that the sender computed none."""
        if len(raw) < HEADER_BYTES:
            raise WireError(Drop.UDP_SHORT, f"{len(raw)} bytes")
        src_port, dst_port, size, value = cls.LAYOUT.unpack_from(raw)
        if not HEADER_BYTES <= size <= len(raw):
            raise WireError(Drop.UDP_SHORT, f"length field {size}, {len(raw)} bytes")
        raw = raw[:size]
        if value and not checksum.transport_valid(checksum.pseudo_sum(src, dst, UDP, size), raw):
            raise WireError(Drop.UDP_CHECKSUM)
        return cls(src_port, dst_port, raw[HEADER_BYTES:])
