# SPDX-License-Identifier: Apache-2.0
"""ICMP messages (RFC 792)."""

import struct
from dataclasses import dataclass
from typing import ClassVar

from ..drops import Drop
from . import checksum
from .errors import WireError

ECHO_REPLY, UNREACHABLE, SOURCE_QUENCH, REDIRECT, ECHO_REQUEST = 0, 3, 4, 5, 8
TIME_EXCEEDED, PARAMETER_PROBLEM = 11, 12
ERROR_TYPES = frozenset((UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM))
NET_UNREACHABLE, HOST_UNREACHABLE, PROTOCOL_UNREACHABLE, PORT_UNREACHABLE, FRAGMENTATION_NEEDED = range(5)


@dataclass(frozen=True, slots=True)
class IcmpMessage:
    """Type, code, the second header word (echo: identifier and sequence) and the rest."""

    kind: int
    code: int
    word: int  # 32 bits behind the checksum
    payload: bytes

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!BBHI")

    def encode(self) -> bytes:
        raw = self.LAYOUT.pack(self.kind, self.code, 0, self.word) + self.payload
        return raw[:2] + checksum.checksum(raw).to_bytes(2, "big") + raw[4:]

    @classmethod
    def decode(cls, raw: bytes) -> "IcmpMessage":
        """WireError below 8 bytes or on a wrong checksum."""
        if len(raw) < cls.LAYOUT.size:
            raise WireError(Drop.ICMP_SHORT, f"{len(raw)} bytes")
        if not checksum.is_valid(raw):
            raise WireError(Drop.ICMP_CHECKSUM)
        kind, code, _, word = cls.LAYOUT.unpack_from(raw)
        return cls(kind, code, word, raw[8:])
