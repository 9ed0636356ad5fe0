# SPDX-License-Identifier: Apache-2.0
"""Received frames as the driver sees them: header and bytes over one or several chains (VIRTIO 1.2 section
5.1.6.4), for the scoreboard.
"""

import struct
from dataclasses import dataclass, field

from cocotb_tests.agents.bar import BarAccess
from cocotb_tests.frame_rules import HASH_HEADER_BYTES, HEADER_BYTES, MIN_FRAME
from cocotb_tests.packed_walk import Chain, ReadMemory

FEATURE_SELECT, FEATURE = 0x08, 0x0C  # of the driver, section 4.1.4.3
GUEST_CSUM, MRG_RXBUF, HASH_REPORT = 1, 15, 57  # section 5.1.3
DATA_VALID = 2  # flags of the header
HEADER = struct.Struct("<BBHHHHH")
HASH = struct.Struct("<IHH")
LAST_REPORT = 9  # VIRTIO_NET_HASH_REPORT_UDPv6_EX


@dataclass(slots=True)
class Features:
    """What the driver asked for, from its BAR accesses."""

    bits: int = 0
    _select: int = 0

    def access(self, access: BarAccess) -> None:
        """Take one access."""
        if access.write and access.offset_bytes == FEATURE_SELECT:
            self._select = access.data
        elif access.write and access.offset_bytes == FEATURE and self._select < 2:
            shift = 32 * self._select
            self.bits = self.bits & ~(0xFFFFFFFF << shift) | access.data << shift

    def __contains__(self, bit: int) -> bool:
        return bool(self.bits >> bit & 1)

    @property
    def header_bytes(self) -> int:
        """Size of the header before each frame."""
        return HASH_HEADER_BYTES if HASH_REPORT in self else HEADER_BYTES


@dataclass(slots=True)
class Assembly:
    """Chains of one queue that belong to one frame."""

    octets: bytearray = field(default_factory=bytearray)
    chains: int = 0

    def add(
        self, read: ReadMemory, features: Features, chain: Chain, length: int
    ) -> tuple[bytes | None, str]:
        """Take a used chain; return (the frame's octets with header, once it is whole; what is wrong)."""
        if not 0 < length <= chain.size_bytes:
            return self._over(None, f"used length {length} of a receive buffer of {chain.size_bytes}")
        left = length
        for addr, size, _ in chain.elements:
            self.octets += read(addr, min(size, left)) or b""
            left -= min(size, left)
        self.chains += 1
        buffers = None
        if len(self.octets) >= HEADER_BYTES:
            buffers = HEADER.unpack_from(self.octets)[-1]
        if buffers is not None and not 1 <= buffers <= (0xFFFF if MRG_RXBUF in features else 1):
            return self._over(None, f"num_buffers is {buffers}")
        if buffers is None or self.chains < buffers:
            if MRG_RXBUF not in features:
                return self._over(None, f"used length {length} is less than a header")
            if length != chain.size_bytes:
                text = f"used length {length} of {chain.size_bytes} in a buffer that is not the frame's last"
                return self._over(None, text)
            return None, ""
        return self._over(bytes(self.octets), "")

    def _over(self, octets: bytes | None, problem: str) -> tuple[bytes | None, str]:
        self.octets, self.chains = bytearray(), 0
        return octets, problem


def header_problem(octets: bytes, features: Features) -> str:
    """Say what is wrong with the header, or nothing; num_buffers has been looked at."""
    size = features.header_bytes
    if len(octets) < size + MIN_FRAME:
        return f"{len(octets)} octets with the header"
    flags, *others, _ = HEADER.unpack_from(octets)
    if flags & ~(DATA_VALID if GUEST_CSUM in features else 0) or any(others):
        return f"header {octets[:size].hex()}, expected no flags and no offsets"
    if HASH_REPORT in features:
        value, report, padding = HASH.unpack_from(octets, HEADER_BYTES)
        if padding or report > LAST_REPORT or (value and not report):
            return f"header {octets[:size].hex()}, a hash that cannot be"
    return ""
