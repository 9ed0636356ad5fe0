# SPDX-License-Identifier: Apache-2.0
"""ARP for IPv4 over Ethernet (RFC 826)."""

import struct
from dataclasses import dataclass
from typing import ClassVar

from ..drops import Drop
from .errors import EncodeError, WireError

REQUEST = 1
REPLY = 2


@dataclass(frozen=True, slots=True)
class ArpPacket:
    """Request or reply; addresses named as in RFC 826: sender (sha, spa) and target (tha, tpa)."""

    operation: int  # REQUEST or REPLY
    sender_mac: bytes
    sender_ip: int
    target_mac: bytes
    target_ip: int

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!HHBBH6sI6sI")
    PREFIX: ClassVar[tuple[int, int, int, int]] = (1, 0x0800, 6, 4)  # Ethernet, IPv4, their sizes

    def __post_init__(self) -> None:
        if len(self.sender_mac) != 6 or len(self.target_mac) != 6 or self.operation not in (REQUEST, REPLY):
            raise EncodeError(repr(self))

    def encode(self) -> bytes:
        return self.LAYOUT.pack(
            *self.PREFIX, self.operation, self.sender_mac, self.sender_ip, self.target_mac, self.target_ip
        )

    @classmethod
    def decode(cls, raw: bytes) -> "ArpPacket":
        """WireError unless 28 bytes of Ethernet/IPv4 ARP; padding behind them is ignored."""
        if len(raw) < cls.LAYOUT.size:
            raise WireError(Drop.ARP_MALFORMED, f"{len(raw)} bytes")
        *prefix, operation, sha, spa, tha, tpa = cls.LAYOUT.unpack_from(raw)
        if tuple(prefix) != cls.PREFIX or operation not in (REQUEST, REPLY):
            raise WireError(Drop.ARP_MALFORMED, f"{prefix} operation {operation}")
        return cls(operation, sha, spa, tha, tpa)
