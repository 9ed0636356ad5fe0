# SPDX-License-Identifier: Apache-2.0
"""MSI-X as PCIe 6.0 section 7.7.2 has it: the vector table, its masks, and VIRTIO's use of vectors.

Vector 0 announces configuration changes, vector 1 + q used buffers of virtqueue q.
"""

from collections.abc import Iterable

from driver.bus import Bus
from driver.errors import UsageError
from driver.registers import MSIX_PBA, MSIX_TABLE, VENDOR

ADDRESS_BASE = 0xFEE0_0000  # where a message goes; its data is the vector number
CONFIG_VECTOR = 0
PBA_WORD_BITS = 32


def queue_vector(index: int) -> int:
    """The vector of virtqueue `index`."""
    return 1 + index


class Msix:
    """The MSI-X table of one device with `count` vectors."""

    def __init__(self, bus: Bus, count: int) -> None:
        self.count = count
        self._bus = bus

    async def enable(self, vectors: Iterable[int]) -> None:
        """Write the table entries of these vectors, unmask them, and switch MSI-X on.

        The function mask stays set until the last entry is written, so no message leaves with half of one.
        """
        wanted = sorted(set(vectors))
        if wanted and not 0 <= wanted[0] <= wanted[-1] < self.count:
            raise UsageError(f"MSI-X: vectors {wanted[0]}..{wanted[-1]}, but the device has {self.count}")
        enabled = VENDOR.MSIX_CONTROL_ENABLE.put(1)
        await self._control(enabled | VENDOR.MSIX_CONTROL_FUNCTION_MASK.put(1))
        for vector in wanted:
            await self._bus.write(MSIX_TABLE.ADDR_LO.at(vector).offset_bytes, ADDRESS_BASE)
            await self._bus.write(MSIX_TABLE.ADDR_HI.at(vector).offset_bytes, 0)
            await self._bus.write(MSIX_TABLE.DATA.at(vector).offset_bytes, vector)
            await self.set_mask(vector, masked=False)
        await self._control(enabled)

    async def disable(self) -> None:
        """Switch MSI-X off: no message leaves any more."""
        await self._control(0)

    async def set_mask(self, vector: int, *, masked: bool) -> None:
        """Mask one vector (its message then waits as a pending bit) or let it through."""
        control = MSIX_TABLE.CONTROL.at(vector).offset_bytes
        await self._bus.write(control, MSIX_TABLE.CONTROL_MASK.put(int(masked)))

    async def pending(self, vector: int) -> bool:
        """Whether a message of this vector waits behind a mask."""
        word = await self._bus.read(MSIX_PBA.at(vector // PBA_WORD_BITS).offset_bytes)
        return bool(word >> vector % PBA_WORD_BITS & 1)

    async def _control(self, value: int) -> None:
        await self._bus.write(VENDOR.MSIX_CONTROL.offset_bytes, value)
