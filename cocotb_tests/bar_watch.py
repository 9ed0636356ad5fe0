# SPDX-License-Identifier: Apache-2.0
"""What the driver told the device, decoded from the BAR accesses on the pins (VIRTIO 1.2 section 4.1.4.3).

The offsets are typed in here from the specification on purpose: a wrong generated constant shall not fool
both the driver and its judge.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from cocotb_tests.agents.bar import BarAccess

DEVICE_STATUS, QUEUE_SELECT = 0x14, 0x16
QUEUE_SIZE, QUEUE_VECTOR, QUEUE_ENABLE = 0x18, 0x1A, 0x1C
QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE = 0x20, 0x28, 0x30
QUEUE_RESET = 0x3A
COMMON_END = 0x3C
NOTIFY = 0x3000
NOTIFY_END = 0x4000
STATUS_DRIVER_OK = 4


@dataclass(frozen=True, slots=True)
class QueueSetup:
    """One queue as it was when the driver enabled it; addresses are iovas."""

    size_slots: int
    desc: int
    driver: int
    device: int


@dataclass(slots=True)
class BarWatch:
    """Follow BAR accesses; calls back when a queue starts, and when a queue or the device is reset."""

    on_enable: Callable[[int, QueueSetup], None]
    on_queue_reset: Callable[[int, bool], None]  # queue, done: asked for (False) or complete (True)
    on_reset: Callable[[bool], None]  # done: asked for (False) or complete (True)
    on_doorbell: Callable[[int], None]
    driver_ok: bool = False
    _common: bytearray = field(default_factory=lambda: bytearray(COMMON_END))
    _queues: dict[int, bytearray] = field(default_factory=dict)  # the queue_* fields of each
    _resetting: set[int] = field(default_factory=set)
    _reset: bool = False

    def access(self, access: BarAccess) -> None:
        """Take one access, in the order of the pins."""
        offset = access.offset_bytes
        if offset < COMMON_END:
            (self._write if access.write else self._read)(offset, access.data, access.strobes)
        elif access.write and NOTIFY <= offset < NOTIFY_END:
            self.on_doorbell((offset - NOTIFY) // 4)

    @property
    def selected(self) -> int:
        """The queue that queue_* fields belong to now."""
        return self._u16(self._common, QUEUE_SELECT)

    def _fields(self) -> bytearray:
        return self._queues.setdefault(self.selected, bytearray(COMMON_END))

    @staticmethod
    def _u16(data: bytearray, offset: int) -> int:
        return int.from_bytes(data[offset : offset + 2], "little")

    @staticmethod
    def _u64(data: bytearray, offset: int) -> int:
        return int.from_bytes(data[offset : offset + 8], "little")

    def _write(self, offset: int, data: int, strobes: int) -> None:
        octets = data.to_bytes(4, "little")
        written = {offset + lane for lane in range(4) if strobes >> lane & 1}
        # queue_select shares its dword with device_status: it is stored before the fields that it selects
        for position in written:
            if position < QUEUE_SIZE:
                self._common[position] = octets[position - offset]
        for position in written:
            if position >= QUEUE_SIZE:
                self._fields()[position] = octets[position - offset]
        if DEVICE_STATUS in written:
            self._write_status(self._common[DEVICE_STATUS])
        if QUEUE_ENABLE in written and self._u16(self._fields(), QUEUE_ENABLE) == 1:
            self._enable()
        if QUEUE_RESET in written and self._u16(self._fields(), QUEUE_RESET) == 1:
            self._resetting.add(self.selected)
            self.on_queue_reset(self.selected, False)

    def _write_status(self, status: int) -> None:
        if status == 0:
            self._reset = True
            self.on_reset(False)
        elif not self._reset:
            self.driver_ok = bool(status & STATUS_DRIVER_OK)

    def _enable(self) -> None:
        data = self._fields()
        size = self._u16(data, QUEUE_SIZE)
        addresses = (self._u64(data, where) for where in (QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE))
        self.on_enable(self.selected, QueueSetup(size, *addresses))

    def _read(self, offset: int, data: int, strobes: int) -> None:
        octets = data.to_bytes(4, "little")
        if offset == DEVICE_STATUS and self._reset and octets[0] == 0:
            self._reset = self.driver_ok = False
            self._queues.clear()
            self._resetting.clear()
            self.on_reset(True)
        elif offset == QUEUE_SIZE:  # what the device offers before the driver writes a size
            self._fields()[QUEUE_SIZE : QUEUE_SIZE + 2] = octets[:2]
        elif offset == QUEUE_RESET & ~3 and self.selected in self._resetting and octets[2:] == b"\0\0":
            self._resetting.discard(self.selected)
            self._queues.pop(self.selected, None)
            self.on_queue_reset(self.selected, True)
