# SPDX-License-Identifier: Apache-2.0
"""What the scoreboard knows of one enabled queue."""

from collections import deque
from dataclasses import dataclass, field

from cocotb_tests.bar_watch import QueueSetup
from cocotb_tests.packed_walk import Chain, RingWalk
from cocotb_tests.received import Assembly

BLOCK_BYTES = 256  # grain of the index of buffers


def blocks_of(addr: int, length: int) -> range:
    """Numbers of the blocks that these octets touch."""
    return range(addr // BLOCK_BYTES, (addr + length - 1) // BLOCK_BYTES + 1)


@dataclass(slots=True)
class QueueScore:
    """A ring, the buffers offered in it, and what is owed for them."""

    number: int
    setup: QueueSetup
    walk: RingWalk
    blocks: dict[int, list[tuple[int, int, Chain]]] = field(default_factory=dict)
    to_wire: deque[bytes] = field(default_factory=deque)  # frames offered, in order, not on the wire yet
    assembly: Assembly = field(default_factory=Assembly)  # of a frame that takes several chains
    ahead: dict[int, bytes] = field(default_factory=dict)  # used descriptors by slot, the first is awaited
    faulted: bool = False  # an access got an error response: the device must stop this queue
    used: int = 0
    resetting: bool = False

    @property
    def transmits(self) -> bool:
        """Odd queues are transmitq (VIRTIO 1.2 section 5.1.2)."""
        return bool(self.number & 1)

    @property
    def stuck(self) -> bool:
        """Whether the device may leave it as it is."""
        return self.faulted or bool(self.walk.broken) or self.resetting

    def in_elements(self, addr: int, end: int, beat_bytes: int) -> bool:
        """Whether each beat of a read holds an octet of an offered element."""
        for beat in range(addr, end, beat_bytes):
            elements = self.blocks.get(beat // BLOCK_BYTES, ())
            if not any(low < beat + beat_bytes and beat < high for low, high, _ in elements):
                return False
        return True

    def covers(self, low: int, high: int) -> bool:
        """Whether every octet of a write lies in offered elements (they may touch each other)."""
        while low < high:
            elements = self.blocks.get(low // BLOCK_BYTES, ())
            ends = [stop for start, stop, _ in elements if start <= low < stop]
            if not ends:
                return False
            low = max(ends)
        return True
