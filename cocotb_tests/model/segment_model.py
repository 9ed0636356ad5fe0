# SPDX-License-Identifier: Apache-2.0
"""What a virtio-net device sends for one transmitted frame: checksum, segments, or nothing.

Sources: RFC 1071 (sum), RFC 791 and 8200 (IP), RFC 9293 (TCP), VIRTIO 1.2 section 5.1.6.2 (offload requests).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

LONGEST = 9728  # bytes of a frame that is not segmented
DROP_SHORT, DROP_LONG, DROP_HEADER = 12, 13, 14  # indices of the counters
FIN, PSH, CWR = 0x01, 0x08, 0x80


@dataclass(frozen=True, slots=True)
class Request:
    """A gathered frame and what is asked for it; `error` is a counter's index if the gather gives it up."""

    frame: bytes
    vq: int = 1
    drop: int | None = None
    error: int | None = None
    csum: bool = False
    csum_start: int = 0
    csum_offset: int = 0
    tso: bool = False
    ipv6: bool = False
    gso_size: int = 0
    l3: int = 0
    l4: int = 0
    payload: int = 0

    @property
    def verdict(self) -> int:
        """The fields as tx_verdict_t packs them, first field on top."""
        fields = (
            (self.vq, 7),
            (self.drop is not None, 1),
            (self.drop or 0, 6),
            (self.csum, 1),
            (self.csum_start, 16),
            (self.csum_offset, 16),
            (self.tso, 1),
            (self.ipv6, 1),
            (self.gso_size, 16),
            (self.l3, 7),
            (self.l4, 8),
            (self.payload, 8),
        )
        word = 0
        for value, bits in fields:
            word = word << bits | int(value)
        return word


@dataclass(frozen=True, slots=True)
class Fate:
    """What is told of a chain; fields as in tx_fate_t."""

    vq: int
    sent: bool
    drop_stat: int
    frames: int
    octets: int
    repeated: int  # octets that are not those of the chain: the headers of segments behind the first
    csum: bool
    tso: bool

    @classmethod
    def decode(cls, word: int) -> "Fate":
        """Take tx_fate_t apart."""
        values = []
        for bits in (1, 1, 24, 24, 16, 6, 1, 7):
            values.append(word & ((1 << bits) - 1))
            word >>= bits
        tso, csum, repeated, octets, frames, stat, sent, vq = values
        return cls(vq, bool(sent), stat, frames, octets, repeated, bool(csum), bool(tso))


def ones_sum(data: bytes) -> int:
    """Ones' complement sum of big-endian words, an odd byte padded on the right (RFC 1071)."""
    padded = data + b"\0" if len(data) % 2 else data
    total = int(np.frombuffer(padded, dtype=">u2").sum(dtype=np.uint64))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def with_checksum(frame: bytes, start: int, offset: int) -> bytes:
    """Return the frame with the sum from `start` on, the field as it stands, complemented into the field."""
    value = ~ones_sum(frame[start:]) & 0xFFFF or 0xFFFF
    at = start + offset
    return frame[:at] + value.to_bytes(2, "big") + frame[at + 2 :]


def segments(request: Request) -> Iterator[bytes]:
    """Yield the frames that a frame to be segmented becomes; one if there is no payload."""
    data = request.frame[request.payload :]
    for number, begin in enumerate(range(0, max(len(data), 1), request.gso_size)):
        piece = data[begin : begin + request.gso_size]
        yield _segment(request, number, begin, piece, begin + request.gso_size >= len(data))


def _segment(request: Request, number: int, begin: int, piece: bytes, last: bool) -> bytes:
    frame = request.frame
    l3, l4 = request.l3, request.l4
    ip, tcp = bytearray(frame[l3:l4]), bytearray(frame[l4 : request.payload])
    (sequence,) = struct.unpack_from(">I", tcp, 4)
    struct.pack_into(">I", tcp, 4, (sequence + begin) & 0xFFFFFFFF)
    if not last:
        tcp[13] &= ~(FIN | PSH)
    if number:
        tcp[13] &= ~CWR
    tcp_bytes = len(tcp) + len(piece)
    if request.ipv6:
        struct.pack_into(">H", ip, 4, len(ip) - 40 + tcp_bytes)
        pseudo = bytes(ip[8:40]) + struct.pack(">IxxxB", tcp_bytes, 6)
    else:
        (identification,) = struct.unpack_from(">H", ip, 4)
        struct.pack_into(">HH", ip, 2, len(ip) + tcp_bytes, (identification + number) & 0xFFFF)
        ip[10:12] = b"\0\0"
        struct.pack_into(">H", ip, 10, ~ones_sum(bytes(ip)) & 0xFFFF)
        pseudo = bytes(ip[12:20]) + struct.pack(">BBH", 0, 6, tcp_bytes)
    tcp[16:18] = b"\0\0"
    struct.pack_into(">H", tcp, 16, ~ones_sum(pseudo + bytes(tcp) + piece) & 0xFFFF)
    return frame[:l3] + bytes(ip) + bytes(tcp) + piece


def outcome(request: Request) -> tuple[list[bytes], Fate]:
    """Return the frames and the fate; of a frame given up while it was cut, those that may have left."""
    frames, reason = _frames(request)
    sent = reason is None
    octets = sum(map(len, frames))
    repeated = octets - len(request.frame) if sent else 0
    return frames, Fate(
        request.vq, sent, reason or 0, len(frames), octets, repeated, request.csum, request.tso
    )


def _frames(request: Request) -> tuple[list[bytes], int | None]:
    size = len(request.frame)
    if request.error is not None:
        early = request.tso and request.drop is None and size > request.payload
        return (list(segments(request))[:-1] if early else []), request.error
    if request.drop is not None:
        return [], request.drop
    if not request.tso and size > LONGEST:
        return [], DROP_LONG
    if size == 0:
        return [], DROP_SHORT
    if request.tso:
        return ([], DROP_HEADER) if size < request.payload else (list(segments(request)), None)
    if not request.csum:
        return [request.frame], None
    if request.csum_start + request.csum_offset + 2 > size:
        return [], DROP_HEADER
    return [with_checksum(request.frame, request.csum_start, request.csum_offset)], None


def cut_short(request: Request, frames: list[bytes], left: int) -> Fate:
    """Return the fate of a chain that was dropped when the first `left` of its frames had been handed on."""
    octets = sum(map(len, frames[:left]))
    own = request.payload + left * request.gso_size if left else 0
    return replace(outcome(request)[1], frames=left, octets=octets, repeated=octets - own)
