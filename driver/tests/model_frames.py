# SPDX-License-Identifier: Apache-2.0
"""virtio_net_hdr by the book, for the device model: requests obeyed, received frames spread over buffers."""

import struct
from typing import Protocol

from driver import registers as R
from driver.tests.model_queue import Buffer

NEEDS_CSUM = 1
ECN = 0x80


class Lies(Protocol):
    """Of Manners, what concerns received frames."""

    extra_buffers: int
    short_part: bool


def check_tx_header(header: bytes, frame_bytes: int, accepted: int) -> None:
    """Section 5.1.6.2.1: the driver asks only for what was negotiated."""

    def has(feature: R.Feature) -> bool:
        return bool(accepted >> feature & 1)

    flags, gso, _, gso_size, start, offset, buffers = struct.unpack("<BBHHHHH", header[:12])
    assert not any(header[12:]) and buffers == 0
    assert flags in (0, NEEDS_CSUM) and (not flags or has(R.Feature.NET_CSUM))
    assert start + offset + 2 <= frame_bytes
    kind = gso & 0x7F
    assert kind == 0 or flags == NEEDS_CSUM
    assert kind in (0, 1, 4) and (kind != 1 or has(R.Feature.NET_HOST_TSO4))
    assert kind != 4 or has(R.Feature.NET_HOST_TSO6)
    assert not gso & ECN or (kind and has(R.Feature.NET_HOST_ECN))
    assert bool(kind) == bool(gso_size)
    assert kind or frame_bytes <= 9728
    if not flags:
        assert not any(header)


def complete_checksum(header: bytes, frame: bytes) -> bytes:
    """The frame with the checksum that its header asks for; frames to be segmented are left whole."""
    flags, gso, _, _, start, offset, _ = struct.unpack("<BBHHHHH", header[:12])
    if not flags & NEEDS_CSUM or gso:
        return frame
    data = frame[start:] + bytes(len(frame[start:]) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    value = total ^ 0xFFFF or 0xFFFF
    at = start + offset
    return frame[:at] + struct.pack(">H", value) + frame[at + 2 :]


def spread(
    header: bytes, frame: bytes, free: list[Buffer], merge: bool, lies: Lies
) -> list[tuple[Buffer, bytes]]:
    """Which buffer gets which bytes; empty if there are not enough."""
    if not merge:
        return [(free[0], header + frame)] if free else []
    data = header + frame
    parts: list[tuple[Buffer, bytes]] = []
    at = 0
    for buffer in free:
        size = buffer.writable_bytes
        if lies.short_part and len(parts) == 1:
            size -= 1
        parts.append((buffer, data[at : at + size]))
        at += size
        if at >= len(data):
            break
    else:
        return []
    count = struct.pack("<H", (len(parts) + lies.extra_buffers) & 0xFFFF)
    first, raw = parts[0]
    parts[0] = (first, raw[:10] + count + raw[12:])
    return parts
