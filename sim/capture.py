# SPDX-License-Identifier: Apache-2.0
"""Captures of Ethernet frames: pcap and pcapng in, nanosecond pcap out.

The formats' codecs are dpkt's (pcap) and python-pcapng's; this module adds what they leave to the caller: a
cut-off file, a frame that was shortened when it was captured, or another link type is an error that names the
place.
Sources: the pcap and pcapng drafts of the IETF's opsawg.
"""

import heapq
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

FRAME_MIN_BYTES = 14
FRAME_MAX_BYTES = 9728
LINKTYPE_ETHERNET = 1
PCAPNG_MAGIC = bytes.fromhex("0a0d0d0a")
RECORD_MAX_BYTES = 1 << 26  # more than any real capture's record: the length field is damaged
HOLD_NS = 100_000
HEADER = struct.Struct("<IHHiIII")  # magic, version 2.4, zone, accuracy, snap length, link type
RECORD = struct.Struct("<IIII")  # seconds, nanoseconds, bytes here, bytes on the wire
NANOSECOND_MAGIC = 0xA1B23C4D
COMPRESSED = {
    bytes.fromhex("1f8b"): "gzip",
    bytes.fromhex("28b5"): "zstd",
    b"BZ": "bzip2",
    bytes.fromhex("fd37"): "xz",
}
LINK_NAMES = {
    0: "BSD loopback",
    101: "raw IP",
    105: "IEEE 802.11",
    113: "Linux cooked",
    127: "802.11 radiotap",
}
LINK_NAMES |= {228: "raw IPv4", 229: "raw IPv6", 276: "Linux cooked v2"}


class CaptureError(ValueError):
    """A file cannot be used as a capture of Ethernet frames; the text is one line for the user."""


def read_frames(path: Path, allow_snapped: bool = False) -> Iterator[bytes]:
    """Yield the frames of a pcap or pcapng file in order, one at a time (a file may be larger than memory).

    allow_snapped: take a frame that was cut when it was captured as it is, instead of refusing it.
    Raises CaptureError.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            frames = _pcapng(file, path) if magic == PCAPNG_MAGIC else _pcap(file, path, magic)
            for number, (data, wire_bytes) in enumerate(frames, 1):
                _check_frame(path, number, len(data), wire_bytes, allow_snapped)
                yield data
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror or error}") from None


def _check_frame(path: Path, number: int, have_bytes: int, wire_bytes: int, allow_snapped: bool) -> None:
    if have_bytes < wire_bytes and not allow_snapped:
        raise CaptureError(
            f"{path}: frame {number} was cut when it was captured ({have_bytes:,} of {wire_bytes:,} bytes); "
            "capture with a larger snap length, or take what is there with --allow-snapped"
        )
    if not FRAME_MIN_BYTES <= have_bytes <= FRAME_MAX_BYTES:
        limits = f"{FRAME_MIN_BYTES} to {FRAME_MAX_BYTES:,}"
        raise CaptureError(f"{path}: frame {number} has {have_bytes:,} bytes; the NIC takes {limits}")


def _link_error(path: Path, link: int, which: str = "the capture") -> CaptureError:
    name = LINK_NAMES.get(link, "unknown here")
    return CaptureError(f"{path}: {which} is of link type {link} ({name}), not Ethernet (1)")


def _pcap(file: BinaryIO, path: Path, magic: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield (captured bytes, length on the wire) of a pcap file of either byte order and resolution."""
    import dpkt  # here: it loads all its protocols, which a run that only writes need not wait for

    record_type = dpkt.pcap.MAGIC_TO_PKT_HDR.get(int.from_bytes(magic, "big")) if len(magic) == 4 else None
    if record_type is None:
        raise _not_a_capture(path, magic)
    little = issubclass(record_type, dpkt.pcap.LEPktHdr | dpkt.pcap.LEPktModHdr)
    header_type = dpkt.pcap.LEFileHdr if little else dpkt.pcap.FileHdr
    raw = file.read(header_type.__hdr_len__)
    if len(raw) < header_type.__hdr_len__:
        raise CaptureError(f"{path}: the file is truncated in its own header ({len(raw)} bytes)")
    link_field = header_type(raw).linktype
    if link_field & 0xFFFF != LINKTYPE_ETHERNET:
        raise _link_error(path, link_field & 0xFFFF)
    if link_field >> 26 & 1 and link_field >> 28:  # bit f: the length of the frame check sequence is given
        raise CaptureError(
            f"{path}: its frames end with a frame check sequence; the NIC takes frames without it"
        )
    number = 0
    while raw := file.read(record_type.__hdr_len__):
        number += 1
        if len(raw) < record_type.__hdr_len__:
            raise CaptureError(f"{path}: the file is truncated in the header of frame {number}")
        record = record_type(raw)
        if record.caplen > RECORD_MAX_BYTES:
            raise CaptureError(f"{path}: frame {number} claims {record.caplen:,} bytes: the file is damaged")
        data = file.read(record.caplen)
        if len(data) < record.caplen:
            raise CaptureError(
                f"{path}: the file is truncated in frame {number} ({len(data):,} of {record.caplen:,} bytes)"
            )
        yield data, record.len


def _not_a_capture(path: Path, magic: bytes) -> CaptureError:
    if not magic:
        return CaptureError(f"{path}: the file is empty")
    if packer := COMPRESSED.get(magic[:2]):
        return CaptureError(f"{path}: the file is compressed ({packer}); unpack it first")
    return CaptureError(f"{path}: not a pcap or pcapng capture (it starts with {magic.hex(' ')})")


def _pcapng(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield (captured bytes, length on the wire) of the packets of all sections and interfaces."""
    import pcapng  # only where a file is read, as above

    size_bytes = os.fstat(file.fileno()).st_size
    scanner = iter(pcapng.FileScanner(file))
    number, end = 0, 0
    while True:
        try:
            block = next(scanner, None)
            found = None if block is None else _packet(block)
        except pcapng.exceptions.TruncatedFile:
            raise CaptureError(f"{path}: the file is truncated after frame {number}") from None
        # A damaged block surfaces as whatever its bytes break first: a length, an index, an enumeration.
        except (pcapng.exceptions.PcapngException, ValueError, KeyError, IndexError, RuntimeError) as error:
            text = str(error).strip("'\"") or type(error).__name__
            raise CaptureError(f"{path}: damaged after frame {number}: {text}") from None
        except (TypeError, AttributeError, ArithmeticError, MemoryError) as error:
            raise CaptureError(f"{path}: damaged after frame {number} ({type(error).__name__})") from None
        if block is None:
            # The scanner takes any empty read for the end, also one in the middle of a block.
            if end != size_bytes:
                raise CaptureError(f"{path}: the file is truncated after frame {number}")
            return
        end = file.tell()
        if found is not None:
            number += 1
            data, wire_bytes, link = found
            if link != LINKTYPE_ETHERNET:
                raise _link_error(path, link, f"the interface of frame {number}")
            yield data, wire_bytes


def _packet(block: Any) -> tuple[bytes, int, int] | None:
    """Return (captured bytes, length on the wire, link type) of a block that holds a packet, else None."""
    from pcapng import blocks

    if not isinstance(block, blocks.EnhancedPacket | blocks.SimplePacket | blocks.ObsoletePacket):
        return None
    link = int(block.interface.link_type)
    return bytes(block.packet_data), int(block.packet_len), link


class PcapWriter:
    """Nanosecond pcap of whole Ethernet frames, written as they come; a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._file.write(HEADER.pack(NANOSECOND_MAGIC, 2, 4, 0, 0, 1 << 18, LINKTYPE_ETHERNET))
        self._held: list[tuple[int, int, bytes]] = []  # a heap: time, order of arrival, frame
        self._held_count = 0
        self.frames = 0

    def write(self, time_ns: int, frame: bytes) -> None:
        """Add one frame; time_ns counts from the start of the simulation."""
        seconds, rest_ns = divmod(time_ns, 1_000_000_000)
        size = len(frame)
        self._file.write(RECORD.pack(seconds, rest_ns, size, size) + frame)
        self.frames += 1

    def write_unsorted(self, time_ns: int, frame: bytes) -> None:
        """Add a frame up to HOLD_NS older than one before it; the file is in order of time."""
        self._held_count += 1
        heapq.heappush(self._held, (time_ns, self._held_count, frame))
        while self._held[0][0] < time_ns - HOLD_NS:
            oldest_ns, _, oldest = heapq.heappop(self._held)
            self.write(oldest_ns, oldest)

    def close(self) -> None:
        """Write what is held, and close the file."""
        while self._held:
            time_ns, _, frame = heapq.heappop(self._held)
            self.write(time_ns, frame)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
