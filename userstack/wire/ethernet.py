# SPDX-License-Identifier: Apache-2.0
"""Ethernet II frames with an optional 802.1Q tag, without FCS."""

import struct
from dataclasses import dataclass
from typing import ClassVar

from ..drops import Drop
from .errors import EncodeError, WireError

TYPE_IPV4 = 0x0800
TYPE_ARP = 0x0806
TYPE_VLAN = 0x8100
MIN_FRAME_BYTES = 60  # 64 with the FCS, IEEE 802.3 section 4.2.3.3
HEADER_BYTES = 14


@dataclass(frozen=True, slots=True)
class EthernetFrame:
    """One frame; the payload keeps any padding, as only the layer above knows its length."""

    dst: bytes  # 6 bytes
    src: bytes  # 6 bytes
    ethertype: int  # of the payload, behind the tag if there is one
    payload: bytes
    vlan_tci: int | None = None  # 802.1Q tag control: PCP 3, DEI 1, VID 12 bits

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!6s6sH")
    TAG: ClassVar[struct.Struct] = struct.Struct("!HH")

    def __post_init__(self) -> None:
        if len(self.dst) != 6 or len(self.src) != 6 or not 0x600 <= self.ethertype <= 0xFFFF:
            raise EncodeError(f"{self.dst.hex()} {self.src.hex()} {self.ethertype:#x}")

    def encode(self) -> bytes:
        """Bytes on the wire without FCS, padded with zeros to 60."""
        if self.vlan_tci is None:
            head = self.LAYOUT.pack(self.dst, self.src, self.ethertype)
        else:
            head = self.LAYOUT.pack(self.dst, self.src, TYPE_VLAN) + self.TAG.pack(
                self.vlan_tci, self.ethertype
            )
        return (head + self.payload).ljust(MIN_FRAME_BYTES, b"\x00")

    @classmethod
    def decode(cls, raw: bytes) -> "EthernetFrame":
        """WireError on a short frame or on an 802.3 length field where a type belongs."""
        if len(raw) < HEADER_BYTES:
            raise WireError(Drop.ETH_SHORT, f"{len(raw)} bytes")
        dst, src, ethertype = cls.LAYOUT.unpack_from(raw)
        start, tci = HEADER_BYTES, None
        if ethertype == TYPE_VLAN:
            if len(raw) < HEADER_BYTES + 4:
                raise WireError(Drop.ETH_SHORT, "VLAN tag cut off")
            tci, ethertype = cls.TAG.unpack_from(raw, HEADER_BYTES)
            start += 4
        if ethertype < 0x600:
            raise WireError(Drop.ETH_TYPE, f"length field {ethertype}")
        return cls(dst, src, ethertype, raw[start:], tci)
