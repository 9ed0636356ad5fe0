# SPDX-License-Identifier: Apache-2.0
"""TCP segments (RFC 9293 section 3.1) and their options (section 3.2, RFC 7323, RFC 2018)."""

import struct
from typing import NamedTuple

from ..drops import Drop
from . import checksum
from .errors import EncodeError, WireError
from .ipv4 import TCP

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
HEADER_BYTES = 20
MAX_OPTION_BYTES = 40
LAYOUT = struct.Struct("!HHIIHHHH")
TS_LAYOUT = struct.Struct("!HBBII")
TS_PREFIX = (0x0101, 8, 10)  # two NOPs align the timestamps option (RFC 7323 appendix A)
TS_PREFIX_RAW = b"\x01\x01\x08\x0a"
OPT_END, OPT_NOP, OPT_MSS, OPT_SHIFT, OPT_SACK_OK, OPT_SACK, OPT_TIMESTAMPS = 0, 1, 2, 3, 4, 5, 8
_SIZES = {OPT_MSS: 4, OPT_SHIFT: 3, OPT_SACK_OK: 2, OPT_TIMESTAMPS: 10}


class Options(NamedTuple):
    """Options that mean something here; None or False where absent. Unknown kinds are skipped."""

    mss: int | None = None
    shift: int | None = None  # window scale, 0..14
    sack_permitted: bool = False
    timestamps: tuple[int, int] | None = None  # TSval, TSecr

    def encode(self) -> bytes:
        """Raw options padded to a multiple of 4 bytes."""
        raw = b""
        if self.mss is not None:
            raw += struct.pack("!BBH", OPT_MSS, 4, self.mss)
        if self.sack_permitted:
            raw += bytes((OPT_NOP, OPT_NOP, OPT_SACK_OK, 2))
        if self.timestamps is not None:
            raw += TS_LAYOUT.pack(*TS_PREFIX, *self.timestamps)
        if self.shift is not None:
            raw += bytes((OPT_NOP, OPT_SHIFT, 3, self.shift))
        return raw

    @classmethod
    def decode(cls, raw: bytes) -> "Options":
        """WireError on an option whose length is impossible."""
        if len(raw) == 12 and raw[:4] == TS_PREFIX_RAW:  # the common case in an established connection
            return cls(timestamps=(int.from_bytes(raw[4:8], "big"), int.from_bytes(raw[8:], "big")))
        found: dict[int, bytes] = {}
        at = 0
        while at < len(raw) and raw[at] != OPT_END:
            if raw[at] == OPT_NOP:
                at += 1
                continue
            size = raw[at + 1] if at + 1 < len(raw) else 0
            if not 2 <= size <= len(raw) - at or _SIZES.get(raw[at], size) != size:
                raise WireError(Drop.TCP_OPTIONS, f"kind {raw[at]} length {size}")
            found.setdefault(raw[at], raw[at + 2 : at + size])
            at += size
        mss, shift, stamps = found.get(OPT_MSS), found.get(OPT_SHIFT), found.get(OPT_TIMESTAMPS)
        return cls(
            mss=int.from_bytes(mss, "big") if mss else None,
            shift=min(shift[0], 14) if shift else None,  # RFC 7323 section 2.3
            sack_permitted=OPT_SACK_OK in found,
            timestamps=(int.from_bytes(stamps[:4], "big"), int.from_bytes(stamps[4:], "big"))
            if stamps
            else None,
        )


NO_OPTIONS = Options()


class Segment(NamedTuple):
    """One segment. A named tuple, because one is made for every frame on the hot path."""

    src_port: int
    dst_port: int
    seq: int
    ack: int
    flags: int
    window: int  # as on the wire, unscaled
    payload: bytes = b""
    options: Options = NO_OPTIONS
    urgent: int = 0

    @property
    def length(self) -> int:
        """SEG.LEN: payload plus one each for SYN and FIN."""
        return len(self.payload) + (self.flags >> 1 & 1) + (self.flags & 1)

    def encode(self, src: int, dst: int) -> bytes:
        """Bytes with checksum; EncodeError if a field is out of range."""
        options = self.options.encode()
        size = HEADER_BYTES + len(options) + len(self.payload)
        offset_flags = (HEADER_BYTES + len(options)) // 4 << 12 | self.flags
        ports = (self.src_port, self.dst_port, self.seq, self.ack)
        try:
            head = LAYOUT.pack(*ports, offset_flags, self.window, 0, self.urgent)
        except struct.error as error:
            raise EncodeError(str(error)) from None
        raw = head + options + self.payload
        value = checksum.transport_checksum(checksum.pseudo_sum(src, dst, TCP, size), raw)
        return raw[:16] + value.to_bytes(2, "big") + raw[18:]

    @classmethod
    def decode(cls, raw: bytes, src: int, dst: int) -> "Segment":
        """WireError on a bad length, checksum or option list."""
        if len(raw) < HEADER_BYTES:
            raise WireError(Drop.TCP_SHORT, f"{len(raw)} bytes")
        src_port, dst_port, seq, ack, offset_flags, window, _, urgent = LAYOUT.unpack_from(raw)
        head = (offset_flags >> 12) * 4
        if not HEADER_BYTES <= head <= len(raw):
            raise WireError(Drop.TCP_SHORT, f"header {head} of {len(raw)} bytes")
        if not checksum.transport_valid(checksum.pseudo_sum(src, dst, TCP, len(raw)), raw):
            raise WireError(Drop.TCP_CHECKSUM)
        options = Options.decode(raw[HEADER_BYTES:head]) if head > HEADER_BYTES else NO_OPTIONS
        return cls(src_port, dst_port, seq, ack, offset_flags & 0xFF, window, raw[head:], options, urgent)
