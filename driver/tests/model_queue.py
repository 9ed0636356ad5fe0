# SPDX-License-Identifier: Apache-2.0
"""Device side of a packed virtqueue, slot by slot as VIRTIO 1.2 section 2.8 tells it. For tests only.

Written from the specification and sharing no code with driver/, so that a misreading shows as a failure.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

NEXT, WRITE, INDIRECT, AVAIL, USED = 1, 2, 4, 1 << 7, 1 << 15
ENABLE, DISABLE, DESC = 0, 1, 2

Memory = Callable[[int, int], memoryview]  # (iova, size) -> bytes shared with the driver


class BusError(Exception):
    """An access outside every region."""


@dataclass
class Buffer:
    """A buffer that the device took from the ring."""

    buffer_id: int
    parts: list[tuple[int, int, bool]]  # iova, length, device writes
    slots: int = 0  # of the ring

    @property
    def writable_bytes(self) -> int:
        return sum(length for _, length, writes in self.parts if writes)


@dataclass
class DeviceQueue:
    """What the device knows of one queue."""

    memory: Memory
    size: int
    desc: int
    driver: int
    device: int
    event_idx: bool = False
    avail_slot: int = 0
    avail_wrap: int = 1
    used_slot: int = 0
    used_wrap: int = 1
    taken: list[Buffer] = field(default_factory=list)
    awake: bool = False
    indirect: bool = False  # VIRTIO_F_INDIRECT_DESC is negotiated
    tables: int = 0  # indirect tables read

    # Taking available buffers -------------------------------------------------------------------------

    def read_slot(self, slot: int) -> tuple[int, int, int, int]:
        addr, length, buffer_id, flags = struct.unpack("<QIHH", self.memory(self.desc + 16 * slot, 16))
        return addr, length, buffer_id, flags

    def available(self) -> bool:
        flags = self.read_slot(self.avail_slot)[3]
        return bool(flags & AVAIL) == bool(self.avail_wrap) and bool(flags & USED) != bool(self.avail_wrap)

    def next_to_fill(self) -> int:
        """The first slot from here on that is not available, with its wrap counter in bit 15."""
        slot, wrap = self.avail_slot, self.avail_wrap
        for _ in range(self.size):
            flags = self.read_slot(slot)[3]
            if bool(flags & AVAIL) != bool(wrap) or bool(flags & USED) == bool(wrap):
                break
            slot += 1
            if slot == self.size:
                slot, wrap = 0, wrap ^ 1
        return slot | wrap << 15

    def take(self) -> Buffer | None:
        """Take the next available buffer with all of its chain."""
        if not self.available():
            return None
        parts: list[tuple[int, int, bool]] = []
        slots = 0
        while True:
            assert self.available(), f"chain goes on into slot {self.avail_slot}, which is not available"
            assert len(parts) < self.size, "chain longer than the ring"
            addr, length, buffer_id, flags = self.read_slot(self.avail_slot)
            if flags & INDIRECT:
                assert not slots and not flags & (NEXT | WRITE), "an indirect descriptor stands alone"
                parts = self.read_table(addr, length)
            else:
                parts.append((addr, length, bool(flags & WRITE)))
            slots += 1
            self.avail_slot += 1
            if self.avail_slot == self.size:
                self.avail_slot = 0
                self.avail_wrap ^= 1
            if not flags & NEXT:
                buffer = Buffer(buffer_id, parts, slots)
                self.taken.append(buffer)
                return buffer

    def read_table(self, addr: int, length: int) -> list[tuple[int, int, bool]]:
        """The chain of an indirect table (section 2.8.7): only WRITE means something in its flags."""
        assert self.indirect, "an indirect table without INDIRECT_DESC"
        assert addr % 16 == 0 and length % 16 == 0 and 0 < length <= 16 * 128
        self.tables += 1
        raw = bytes(self.memory(addr, length))
        entries = struct.iter_unpack("<QIHH", raw)
        return [(where, size, bool(flags & WRITE)) for where, size, _, flags in entries]

    # Giving them back ---------------------------------------------------------------------------------

    def write_used(self, buffer_id: int, length: int, wrote: bool) -> None:
        """Write one used descriptor where the next one belongs, without moving on."""
        flags = (AVAIL | USED) if self.used_wrap else 0
        flags |= WRITE if wrote else 0
        at = self.desc + 16 * self.used_slot
        self.memory(at + 8, 6)[:] = struct.pack("<IH", length, buffer_id)
        self.memory(at + 14, 2)[:] = struct.pack("<H", flags)

    def use(self, buffer: Buffer, length: int = 0) -> bool:
        """Give a taken buffer back; return whether that calls for an interrupt."""
        self.taken.remove(buffer)
        self.write_used(buffer.buffer_id, length, buffer.writable_bytes > 0)
        return self.step_used(buffer.slots or len(buffer.parts))

    def step_used(self, slots: int) -> bool:
        """Move on by a buffer's slots; return whether the driver wants an interrupt for it."""
        crossed = []
        for _ in range(slots):
            crossed.append((self.used_slot, self.used_wrap))
            self.used_slot += 1
            if self.used_slot == self.size:
                self.used_slot = 0
                self.used_wrap ^= 1
        off_wrap, flags = struct.unpack("<HH", self.memory(self.driver, 4))
        if flags & 3 == DESC:
            assert self.event_idx, "mode DESC without EVENT_IDX"
            return (off_wrap & 0x7FFF, off_wrap >> 15) in crossed
        return bool(flags & 3 == ENABLE)

    # Asking for doorbells -----------------------------------------------------------------------------

    def ask(self, mode: int) -> None:
        """Write the device event suppression structure: DESC means at the next available slot."""
        off_wrap = self.avail_slot | self.avail_wrap << 15 if mode == DESC else 0
        self.memory(self.device, 4)[:] = struct.pack("<HH", off_wrap, mode)

    # Data ---------------------------------------------------------------------------------------------

    def gather(self, buffer: Buffer) -> bytes:
        assert not buffer.writable_bytes, "device-writable part in a transmit buffer"
        return b"".join(bytes(self.memory(addr, length)) for addr, length, _ in buffer.parts)

    def scatter(self, buffer: Buffer, data: bytes) -> None:
        assert buffer.writable_bytes >= len(data)
        for addr, length, writes in buffer.parts:
            assert writes, "device-readable part in a receive buffer"
            part, data = data[:length], data[length:]
            self.memory(addr, len(part))[:] = part
