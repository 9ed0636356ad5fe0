# SPDX-License-Identifier: Apache-2.0
"""Captures: what other tools wrote is read, what we write others read, and each kind of bad file is named."""

import random
import struct
from pathlib import Path

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, RawPcapReader, wrpcap

from sim.capture import CaptureError, PcapWriter, read_frames

FRAMES = [bytes(random.Random(size).randbytes(size)) for size in (14, 60, 1514, 9728)]


def pcap_bytes(
    frames: list[bytes], order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1, cut: int = 0
) -> bytes:
    """A pcap file by the book; `cut` bytes of each frame are missing as if the snap length were short."""
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    for frame in frames:
        kept = frame[: len(frame) - cut]
        out += struct.pack(order + "IIII", 1, 2, len(kept), len(frame)) + kept
    return out


def pcapng_block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def pcapng_bytes(frames: list[bytes], order: str = "<", link: int = 1, simple: bool = False) -> bytes:
    out = pcapng_block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    out += pcapng_block(1, struct.pack(order + "HHI", link, 0, 0), order)
    for frame in frames:
        if simple:
            out += pcapng_block(3, struct.pack(order + "I", len(frame)) + frame, order)
        else:
            head = struct.pack(order + "IIIII", 0, 0, 5, len(frame), len(frame))
            out += pcapng_block(6, head + frame, order)
    return out


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.pcap"


def error_of(path: Path, allow_snapped: bool = False) -> str:
    with pytest.raises(CaptureError) as caught:
        list(read_frames(path, allow_snapped))
    text = str(caught.value)
    assert "\n" not in text and text.startswith(str(path))
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_pcap_of_both_byte_orders_and_resolutions_is_read(file: Path, order: str, magic: int) -> None:
    file.write_bytes(pcap_bytes(FRAMES, order, magic))
    assert list(read_frames(file)) == FRAMES


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("simple", [False, True])
def test_pcapng_of_both_byte_orders_and_packet_blocks_is_read(file: Path, order: str, simple: bool) -> None:
    file.write_bytes(pcapng_bytes(FRAMES, order, simple=simple))
    assert list(read_frames(file)) == FRAMES


def test_two_sections_and_unknown_blocks_are_read_through(file: Path) -> None:
    unknown = pcapng_block(0x0BAD, b"x" * 7)
    file.write_bytes(pcapng_bytes(FRAMES[:2]) + unknown + pcapng_bytes(FRAMES[2:], ">"))
    assert list(read_frames(file)) == FRAMES


def test_scapys_pcap_and_pcapng_are_read(file: Path) -> None:
    packets = [Ether(f) for f in FRAMES]
    wrpcap(str(file), packets)
    assert list(read_frames(file)) == FRAMES
    with PcapNgWriter(str(file)) as writer:
        writer.write(packets)
    assert list(read_frames(file)) == FRAMES


def test_scapy_reads_what_is_written_to_the_nanosecond(file: Path) -> None:
    with PcapWriter(file) as writer:
        for i, frame in enumerate(FRAMES):
            writer.write(1_999_999_999 + i, frame)
    with RawPcapReader(str(file)) as reader:
        got = [(data, meta.sec * 10**9 + meta.usec) for data, meta in reader]
    assert got == [(frame, 1_999_999_999 + i) for i, frame in enumerate(FRAMES)]
    assert list(read_frames(file)) == FRAMES


def test_frames_that_come_a_little_late_are_written_in_order_of_time(file: Path) -> None:
    times = [5_000, 9_000, 3_000, 9_000, 300_000, 290_000, 500_000]
    with PcapWriter(file) as writer:
        for number, time_ns in enumerate(times):
            writer.write_unsorted(time_ns, bytes([number]) * 60)
    order = [frame[0] for frame in read_frames(file)]
    assert order == [2, 0, 1, 3, 5, 4, 6]
    assert writer.frames == 7


def test_an_empty_capture_has_no_frames(file: Path) -> None:
    file.write_bytes(pcap_bytes([]))
    assert list(read_frames(file)) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the file is empty"),
        (b"hi", "not a pcap or pcapng capture (it starts with 68 69)"),
        (b"#!/bin/sh\n", "not a pcap or pcapng capture (it starts with 23 21 2f 62)"),
        (bytes.fromhex("1f8b0800"), "the file is compressed (gzip); unpack it first"),
        (pcap_bytes(FRAMES)[:20], "the file is truncated in its own header (20 bytes)"),
        (pcap_bytes(FRAMES[:2])[:-3], "the file is truncated in frame 2 (57 of 60 bytes)"),
        (pcap_bytes(FRAMES[:2])[:-68], "the file is truncated in the header of frame 2"),
        (pcap_bytes([], link=101), "the capture is of link type 101 (raw IP), not Ethernet (1)"),
        (pcap_bytes([], link=999), "the capture is of link type 999 (unknown here), not Ethernet (1)"),
        (pcap_bytes([bytes(13)]), "frame 1 has 13 bytes; the NIC takes 14 to 9,728"),
        (pcap_bytes([bytes(60), bytes(9729)]), "frame 2 has 9,729 bytes; the NIC takes 14 to 9,728"),
        (pcapng_bytes(FRAMES)[:-2], "the file is truncated after frame 3"),
        (
            pcapng_bytes(FRAMES, link=113),
            "the interface of frame 1 is of link type 113 (Linux cooked), not Ethernet (1)",
        ),
    ],
)
def test_a_bad_file_is_named_in_one_line(file: Path, content: bytes, text: str) -> None:
    file.write_bytes(content)
    assert error_of(file) == text


def test_a_missing_file_is_named(file: Path) -> None:
    assert error_of(file) == "No such file or directory"


def test_a_damaged_record_length_is_not_read_as_memory(file: Path) -> None:
    file.write_bytes(pcap_bytes([]) + struct.pack("<IIII", 0, 0, 0xFFFFFFFF, 60))
    assert "claims 4,294,967,295 bytes" in error_of(file)


def test_a_snapped_frame_is_refused_unless_allowed(file: Path) -> None:
    file.write_bytes(pcap_bytes([FRAMES[1]], cut=20))
    assert error_of(file).startswith("frame 1 was cut when it was captured (40 of 60 bytes)")
    assert list(read_frames(file, allow_snapped=True)) == [FRAMES[1][:40]]


@pytest.mark.parametrize(
    "whole", [pcap_bytes(FRAMES[:3]), pcapng_bytes(FRAMES[:3]), pcapng_bytes(FRAMES[:3], ">")]
)
def test_every_cut_is_noticed(file: Path, whole: bytes) -> None:
    """A file cut at any byte is an error or ends exactly at a frame; frames that are given are right."""
    step = 7  # coprime to every block's alignment, so that all phases are met
    for size in [*range(1, 180), *range(180, len(whole), step)]:
        file.write_bytes(whole[:size])
        got: list[bytes] = []
        try:
            got.extend(read_frames(file))
        except CaptureError:
            continue
        file.write_bytes(whole)
        assert got == FRAMES[: len(got)] and len(got) < 3


def test_damage_gives_frames_or_an_error_and_nothing_else(file: Path) -> None:
    for seed in range(300):
        rng = random.Random(seed)
        whole = bytearray(rng.choice([pcap_bytes(FRAMES[:2]), pcapng_bytes(FRAMES[:2], rng.choice("<>"))]))
        for _ in range(rng.choice([1, 3, 20])):
            whole[rng.randrange(min(len(whole), rng.choice([60, 400])))] = rng.randrange(256)
        file.write_bytes(whole)
        try:
            list(read_frames(file, allow_snapped=True))
        except CaptureError as error:
            assert "\n" not in str(error), seed
