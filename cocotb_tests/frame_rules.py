# SPDX-License-Identifier: Apache-2.0
"""What the device may do with a frame, by its bytes alone (VIRTIO 1.2 section 5.1.6)."""

import struct
from collections.abc import Sequence

HEADER_BYTES = 12  # struct virtio_net_hdr with num_buffers
HASH_HEADER_BYTES = 20  # ... with VIRTIO_NET_F_HASH_REPORT
MIN_FRAME, MAX_FRAME = 14, 9728  # octets, without FCS
RX_HEADER = bytes(10) + struct.pack("<H", 1)  # of a received frame: nothing offloaded, one buffer


def drop_reason(data: bytes, header_bytes: int = HEADER_BYTES) -> str:
    """Return the counter of a transmit chain that must not go to the wire, or an empty text."""
    length = len(data) - header_bytes
    if length < MIN_FRAME:
        return "tx_drop_short"
    if length > MAX_FRAME:
        return "tx_drop_long"
    flags, gso_type = data[0], data[1]
    return "tx_drop_header" if flags or gso_type else ""


def difference(expected: Sequence[bytes], frame: bytes) -> str:
    """Return where a frame parts from the first of those expected, for messages."""
    if not expected:
        return "nothing is waiting"
    first = expected[0]
    at = next(
        (i for i, (a, b) in enumerate(zip(first, frame, strict=False)) if a != b), min(len(first), len(frame))
    )
    return (
        f"first in line has {len(first)} octets and differs from octet {at}: "
        f"{first[at : at + 16].hex()} became {frame[at : at + 16].hex()}"
    )
