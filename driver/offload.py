# SPDX-License-Identifier: Apache-2.0
"""What a frame asks of the device, and what the device says of one. VIRTIO 1.2 sections 5.1.6.2 and 5.1.6.4.

`request_checksum` and `request_tso` read a frame's headers, fill in the pseudo-header sum that the device
goes on from, and give the request to send with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np
import numpy.typing as npt

from driver.descriptors import NET_HEADER_BYTES, NetHeader
from driver.errors import UsageError

HASH_HEADER_BYTES = 20  # struct virtio_net_hdr_v1_hash
GSO_FRAME_BYTES_MAX = 65_550
FRAME_HEADER_BYTES_MAX = 128  # of a frame that is to be segmented
TCP, UDP = 6, 17
CSUM_OFFSETS = {TCP: 16, UDP: 6}
VLAN_TYPES = (b"\x81\x00", b"\x88\xa8")
IPV6_EXTENSIONS = (0, 43, 60)  # hop-by-hop, routing, destination options: RFC 8200 section 4


class HdrFlag(IntFlag):
    """Flags of virtio_net_hdr."""

    NEEDS_CSUM = 1
    DATA_VALID = 2


class Gso(IntEnum):
    """gso_type of virtio_net_hdr, as far as the device segments."""

    NONE = 0
    TCPV4 = 1
    TCPV6 = 4


GSO_ECN = 0x80


@dataclass(frozen=True, slots=True)
class TxOffload:
    """One frame's request: sum from `csum_start` to the end into `csum_start + csum_offset`; perhaps segment.

    The field that the sum goes to holds the pseudo-header sum before.
    """

    csum_start: int
    csum_offset: int
    gso: Gso = Gso.NONE
    gso_size_bytes: int = 0  # payload of each segment
    header_bytes: int = 0  # all headers of a frame that is segmented; a hint
    ecn: bool = False  # a segmented TCP frame has CWR set: only the first segment keeps it

    def __post_init__(self) -> None:
        for value in (self.csum_start, self.csum_offset, self.gso_size_bytes, self.header_bytes):
            if not 0 <= value < 1 << 16:
                raise UsageError(f"out of range: {self!r}")
        if (self.gso is Gso.NONE) != (self.gso_size_bytes == 0) or (self.ecn and self.gso is Gso.NONE):
            raise UsageError(f"segmentation without type or size: {self!r}")

    def header(self) -> NetHeader:
        """The virtio_net_hdr that says it."""
        return NetHeader(
            flags=int(HdrFlag.NEEDS_CSUM),
            gso_type=int(self.gso) | (GSO_ECN if self.ecn else 0),
            hdr_len_bytes=self.header_bytes,
            gso_size_bytes=self.gso_size_bytes,
            csum_start=self.csum_start,
            csum_offset=self.csum_offset,
        )


# Frames to requests -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layers:
    """Where the headers of a frame lie."""

    l3: int
    l4: int
    proto: int
    ipv6: bool
    addresses: bytes


def request_checksum(frame: bytes) -> tuple[bytes, TxOffload]:
    """Leave a frame's TCP or UDP checksum to the device: the frame with the partial sum, and the request.

    VLAN tags, IPv4 options and IPv6 extension headers are walked; UsageError for anything else.
    """
    layers = _layers(frame)
    offset = CSUM_OFFSETS[layers.proto]
    return _with_partial(frame, layers, offset), TxOffload(layers.l4, offset)


def request_tso(frame: bytes, mss_bytes: int, *, ecn: bool = False) -> tuple[bytes, TxOffload]:
    """Leave it to the device to cut a TCP frame into segments of `mss_bytes` payload and to sum each.

    ecn: the frame has CWR set, which is meant for the first segment alone (needs HOST_ECN).
    """
    layers = _layers(frame)
    if layers.proto != TCP:
        raise UsageError("only TCP is segmented")
    if len(frame) > GSO_FRAME_BYTES_MAX:
        raise UsageError(f"a frame of {len(frame)} bytes, at most {GSO_FRAME_BYTES_MAX}")
    headers = layers.l4 + 4 * (frame[layers.l4 + 12] >> 4)
    if headers > FRAME_HEADER_BYTES_MAX:
        raise UsageError(f"headers of {headers} bytes, at most {FRAME_HEADER_BYTES_MAX}")
    gso = Gso.TCPV6 if layers.ipv6 else Gso.TCPV4
    raw = _with_partial(frame, layers, CSUM_OFFSETS[TCP])
    return raw, TxOffload(layers.l4, CSUM_OFFSETS[TCP], gso, mss_bytes, headers, ecn)


def partial_checksum(addresses: bytes, proto: int, length_bytes: int) -> int:
    """Ones'-complement sum of the pseudo header, folded, not inverted; RFC 9293 section 3.1, RFC 8200 8.1."""
    total = sum(int.from_bytes(addresses[at : at + 2], "big") for at in range(0, len(addresses), 2))
    total += proto + length_bytes
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _with_partial(frame: bytes, layers: _Layers, offset: int) -> bytes:
    at = layers.l4 + offset
    value = partial_checksum(layers.addresses, layers.proto, _l4_end(frame, layers) - layers.l4)
    return frame[:at] + value.to_bytes(2, "big") + frame[at + 2 :]


def _l4_end(frame: bytes, layers: _Layers) -> int:
    """Where the IP packet ends; padding behind it would be summed too, so there must be none."""
    at = layers.l3
    if layers.ipv6:
        end = at + 40 + int.from_bytes(frame[at + 4 : at + 6], "big")
    else:
        end = at + int.from_bytes(frame[at + 2 : at + 4], "big")
    if end != len(frame):
        raise UsageError(f"an IP packet that ends at byte {end} in a frame of {len(frame)}")
    return end


def _layers(frame: bytes) -> _Layers:
    at = 12
    while frame[at : at + 2] in VLAN_TYPES:
        at += 4
    kind, l3 = frame[at : at + 2], at + 2
    if kind == b"\x08\x00":
        layers = _layers4(frame, l3)
    elif kind == b"\x86\xdd":
        layers = _layers6(frame, l3)
    else:
        raise UsageError(f"not an IP frame: EtherType {kind.hex()}")
    if layers.proto not in CSUM_OFFSETS:
        raise UsageError(f"neither TCP nor UDP: protocol {layers.proto}")
    if len(frame) < layers.l4 + (20 if layers.proto == TCP else 8):
        raise UsageError(f"a frame of {len(frame)} bytes ends inside its headers")
    return layers


def _layers4(frame: bytes, l3: int) -> _Layers:
    if len(frame) < l3 + 20 or frame[l3] >> 4 != 4:
        raise UsageError("not a whole IPv4 header")
    if int.from_bytes(frame[l3 + 6 : l3 + 8], "big") & 0x3FFF:
        raise UsageError("a fragment has no checksum of its own")
    return _Layers(l3, l3 + 4 * (frame[l3] & 15), frame[l3 + 9], False, frame[l3 + 12 : l3 + 20])


def _layers6(frame: bytes, l3: int) -> _Layers:
    if len(frame) < l3 + 40 or frame[l3] >> 4 != 6:
        raise UsageError("not a whole IPv6 header")
    proto, at = frame[l3 + 6], l3 + 40
    while proto in IPV6_EXTENSIONS and at + 8 <= len(frame):
        proto, at = frame[at], at + 8 * (frame[at + 1] + 1)
    return _Layers(l3, at, proto, True, frame[l3 + 8 : l3 + 40])


# Received frames --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RxMeta:
    """What the device says of one received frame."""

    data_valid: bool  # its checksum has been verified
    needs_csum: bool  # it has a partial checksum (a frame that never left this host)
    csum_start: int  # meaningful with needs_csum
    csum_offset: int
    hash: int  # meaningful unless hash_report is 0
    hash_report: int  # driver.rss.HashReport
    num_buffers: int


HEADER_DTYPE = np.dtype(
    [
        ("flags", "u1"), ("gso_type", "u1"), ("hdr_len", "<u2"), ("gso_size", "<u2"), ("csum_start", "<u2"),
        ("csum_offset", "<u2"), ("num_buffers", "<u2"), ("hash", "<u4"), ("hash_report", "<u2"),
        ("pad", "<u2"),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class RxBatch:
    """Received frames with their headers, in order; iterate for (frame, RxMeta)."""

    frames: list[bytes]
    headers: npt.NDArray[np.void]  # HEADER_DTYPE[n]; hash and report 0 without HASH_REPORT

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def data_valid(self) -> npt.NDArray[np.bool_]:
        """bool[n]: the device has verified the checksum."""
        valid: npt.NDArray[np.bool_] = (self.headers["flags"] & int(HdrFlag.DATA_VALID)) != 0
        return valid

    @property
    def hash(self) -> npt.NDArray[np.uint32]:
        """uint32[n]."""
        return self.headers["hash"].astype(np.uint32)

    @property
    def report(self) -> npt.NDArray[np.uint16]:
        """uint16[n], driver.rss.HashReport."""
        return self.headers["hash_report"].astype(np.uint16)

    @property
    def num_buffers(self) -> npt.NDArray[np.uint16]:
        """uint16[n]."""
        return self.headers["num_buffers"].astype(np.uint16)

    def meta(self, k: int) -> RxMeta:
        """What is said of frame k."""
        header = self.headers[k]
        flags = int(header["flags"])
        return RxMeta(
            bool(flags & HdrFlag.DATA_VALID),
            bool(flags & HdrFlag.NEEDS_CSUM),
            int(header["csum_start"]),
            int(header["csum_offset"]),
            int(header["hash"]),
            int(header["hash_report"]),
            int(header["num_buffers"]),
        )

    def __iter__(self) -> Iterator[tuple[bytes, RxMeta]]:
        return ((frame, self.meta(k)) for k, frame in enumerate(self.frames))


def header_bytes(hash_report: bool) -> int:
    """Bytes before each frame."""
    return HASH_HEADER_BYTES if hash_report else NET_HEADER_BYTES


def decode_headers(raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    """HEADER_DTYPE[n] from uint8[n, 12 or 20]; what is missing reads 0."""
    whole = np.zeros((len(raw), HEADER_DTYPE.itemsize), np.uint8)
    whole[:, : raw.shape[1]] = raw
    return whole.view(HEADER_DTYPE).reshape(-1)


def encode_requests(offloads: Sequence[TxOffload | None], width_bytes: int) -> npt.NDArray[np.uint8]:
    """uint8[n, width_bytes] of headers; zeros where nothing is asked for."""
    rows: dict[TxOffload | None, bytes] = {None: bytes(width_bytes)}
    for offload in offloads:
        if offload is not None and offload not in rows:
            rows[offload] = offload.header().encode().ljust(width_bytes, b"\0")
    joined = b"".join([rows[offload] for offload in offloads])
    return np.frombuffer(joined, np.uint8).reshape(len(offloads), width_bytes)
