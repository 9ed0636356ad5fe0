# SPDX-License-Identifier: Apache-2.0
"""IPv4 headers (RFC 791): options are checked and kept on receive, never sent."""

import struct
from dataclasses import dataclass
from typing import ClassVar

from ..drops import Drop
from . import checksum
from .errors import EncodeError, WireError

ICMP = 1
TCP = 6
UDP = 17
HEADER_BYTES = 20
DEFAULT_TTL = 64  # RFC 1122 section 3.2.1.7 asks for a configurable value; 64 is the assigned number
DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
OPTION_END, OPTION_NOP, OPTION_LSRR, OPTION_SSRR = 0, 1, 131, 137


@dataclass(frozen=True, slots=True)
class Ipv4Header:
    """A header without its checksum, which is computed by encode and checked by decode."""

    src: int
    dst: int
    protocol: int
    payload_bytes: int
    ident: int = 0
    ttl: int = DEFAULT_TTL
    tos: int = 0
    fragment: int = 0  # DONT_FRAGMENT, MORE_FRAGMENTS and the offset in units of 8 bytes
    options: bytes = b""  # raw, a multiple of 4 bytes

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("!BBHHHBBHII")

    def __post_init__(self) -> None:
        total = HEADER_BYTES + len(self.options) + self.payload_bytes
        if len(self.options) % 4 or len(self.options) > 40 or not self.payload_bytes >= 0 or total > 0xFFFF:
            raise EncodeError(f"{len(self.options)} option bytes, {self.payload_bytes} payload bytes")

    @property
    def is_fragment(self) -> bool:
        return self.fragment & (0xFFFF ^ DONT_FRAGMENT) != 0

    def encode(self) -> bytes:
        header_bytes = HEADER_BYTES + len(self.options)
        fields = (
            self.tos,
            header_bytes + self.payload_bytes,
            self.ident,
            self.fragment,
            self.ttl,
            self.protocol,
        )
        first = 0x40 | header_bytes // 4
        raw = self.LAYOUT.pack(first, *fields, 0, self.src, self.dst) + self.options
        return raw[:10] + checksum.checksum(raw).to_bytes(2, "big") + raw[12:]

    @classmethod
    def decode(cls, raw: bytes) -> "tuple[Ipv4Header, bytes]":
        """Header and payload (Ethernet padding cut off); WireError by the checks of RFC 1122 section
        3.2.1."""
        if len(raw) < HEADER_BYTES:
            raise WireError(Drop.IP_SHORT, f"{len(raw)} bytes")
        first, tos, total, ident, fragment, ttl, protocol, _, src, dst = cls.LAYOUT.unpack_from(raw)
        header_bytes = (first & 15) * 4
        if first >> 4 != 4:
            raise WireError(Drop.IP_VERSION, str(first >> 4))
        if header_bytes < HEADER_BYTES or total < header_bytes:
            raise WireError(Drop.IP_HEADER, f"header {header_bytes}, total {total} bytes")
        if total > len(raw):
            raise WireError(Drop.IP_SHORT, f"{len(raw)} of {total} bytes")
        if not checksum.is_valid(raw[:header_bytes]):
            raise WireError(Drop.IP_CHECKSUM)
        options = raw[HEADER_BYTES:header_bytes]
        if options:
            _check_options(options)
        size = total - header_bytes
        return cls(src, dst, protocol, size, ident, ttl, tos, fragment, options), raw[header_bytes:total]


def _check_options(options: bytes) -> None:
    """Walk the list (RFC 791 section 3.1); a source route that is not used up would ask us to forward."""
    at = 0
    while at < len(options) and options[at] != OPTION_END:
        if options[at] == OPTION_NOP:
            at += 1
            continue
        if at + 1 >= len(options) or not 2 <= options[at + 1] <= len(options) - at:
            raise WireError(Drop.IP_SOURCE_ROUTE, f"malformed option {options[at]}")
        kind, size = options[at], options[at + 1]
        if kind in (OPTION_LSRR, OPTION_SSRR) and (size < 3 or options[at + 2] <= size):
            raise WireError(Drop.IP_SOURCE_ROUTE, f"option {kind}")
        at += size
