# SPDX-License-Identifier: Apache-2.0
"""What the driver needs of the machine: a BAR, memory that the device can reach, interrupts and a clock.

A harness implements `Bus`; the driver awaits nothing else. Offsets are bytes into the one BAR, addresses
in descriptors are I/O virtual addresses (`iova`), never offsets into an array.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class DmaRegion:
    """Memory shared with the device; two regions are equal only if they are the same object."""

    iova: int  # I/O virtual address of the first byte
    view: U8Array  # uint8[size], zeroed when allocated; the same bytes that the device sees

    @property
    def size_bytes(self) -> int:
        return int(self.view.size)


class Bus(Protocol):
    """One device on one bus. Methods that wait are coroutines; the rest return at once."""

    async def read(self, offset_bytes: int, width_bytes: int = 4) -> int:
        """Read 1, 2 or 4 naturally aligned bytes of the BAR; completes every earlier write first."""
        ...

    async def write(self, offset_bytes: int, value: int, width_bytes: int = 4) -> None:
        """Write 1, 2 or 4 naturally aligned bytes of the BAR; posted, in order."""
        ...

    def dma_alloc(self, size_bytes: int, align_bytes: int = 64) -> DmaRegion:
        """Give zeroed memory that the device may read and write."""
        ...

    def dma_free(self, region: DmaRegion) -> None:
        """Take a region back; an access by the device after this is an error response."""
        ...

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        """Wait for any of the MSI-X vectors; return (and forget) those that fired since last asked.

        An empty set means that `timeout_ns` of bus time went by; None waits for ever; 0 only asks.
        """
        ...

    def now_ns(self) -> int:
        """Bus time, monotonic."""
        ...
