# SPDX-License-Identifier: Apache-2.0
"""Register map of the BAR; docs/registers.md has the same as tables.

Generated from rtl/regs/tupelo.rdl by `python -m sim.regs generate`; do not edit.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final


@dataclass(frozen=True, slots=True)
class Reg:
    """One register: BAR offset and natural width (1, 2, 4 or 8 bytes; 8 is accessed as lo, then hi)."""

    offset_bytes: int
    width_bytes: int

    @property
    def lo(self) -> "Reg":
        """Low half of a 64-bit register."""
        return Reg(self.offset_bytes, 4)

    @property
    def hi(self) -> "Reg":
        """High half of a 64-bit register."""
        return Reg(self.offset_bytes + 4, 4)


@dataclass(frozen=True, slots=True)
class RegArray:
    """Equal registers, stride_bytes apart; count is the largest that any build has."""

    offset_bytes: int
    width_bytes: int
    stride_bytes: int
    count: int

    def at(self, index: int) -> Reg:
        """Register number index; IndexError outside 0..count-1."""
        if not 0 <= index < self.count:
            raise IndexError(f"register index {index} is not in 0..{self.count - 1}")
        return Reg(self.offset_bytes + index * self.stride_bytes, self.width_bytes)


@dataclass(frozen=True, slots=True)
class Field:
    """Bits lsb .. lsb + width_bits - 1 of a register."""

    lsb: int
    width_bits: int

    def get(self, value: int) -> int:
        """Field of a register value."""
        return value >> self.lsb & (1 << self.width_bits) - 1

    def put(self, field: int) -> int:
        """Register value with this field set and all else 0; ValueError if it does not fit."""
        if not 0 <= field < 1 << self.width_bits:
            raise ValueError(f"{field} does not fit {self.width_bits} bits")
        return field << self.lsb


class COMMON:
    """Virtio common configuration (VIRTIO 1.2 4.1.4.3)."""

    DEVICE_FEATURE_SELECT: Final[Reg] = Reg(0x00000, 4)
    DEVICE_FEATURE: Final[Reg] = Reg(0x00004, 4)
    DRIVER_FEATURE_SELECT: Final[Reg] = Reg(0x00008, 4)
    DRIVER_FEATURE: Final[Reg] = Reg(0x0000C, 4)
    CONFIG_MSIX_VECTOR: Final[Reg] = Reg(0x00010, 2)
    NUM_QUEUES: Final[Reg] = Reg(0x00012, 2)
    DEVICE_STATUS: Final[Reg] = Reg(0x00014, 1)
    CONFIG_GENERATION: Final[Reg] = Reg(0x00015, 1)
    QUEUE_SELECT: Final[Reg] = Reg(0x00016, 2)
    QUEUE_SIZE: Final[Reg] = Reg(0x00018, 2)
    QUEUE_MSIX_VECTOR: Final[Reg] = Reg(0x0001A, 2)
    QUEUE_ENABLE: Final[Reg] = Reg(0x0001C, 2)
    QUEUE_ENABLE_ENABLE: Final = Field(0, 1)
    QUEUE_NOTIFY_OFF: Final[Reg] = Reg(0x0001E, 2)
    QUEUE_DESC: Final[Reg] = Reg(0x00020, 8)
    QUEUE_DRIVER: Final[Reg] = Reg(0x00028, 8)
    QUEUE_DEVICE: Final[Reg] = Reg(0x00030, 8)
    QUEUE_NOTIFY_DATA: Final[Reg] = Reg(0x00038, 2)
    QUEUE_RESET: Final[Reg] = Reg(0x0003A, 2)
    QUEUE_RESET_RESET: Final = Field(0, 1)


class NET:
    """Network device configuration (VIRTIO 1.2 5.1.4)."""

    MAC: Final[RegArray] = RegArray(0x02000, 1, 1, 6)
    STATUS: Final[Reg] = Reg(0x02006, 2)
    MAX_VIRTQUEUE_PAIRS: Final[Reg] = Reg(0x02008, 2)
    MTU: Final[Reg] = Reg(0x0200A, 2)


class MSIX_TABLE:
    """MSI-X table (PCIe 6.0 7.7.2.5)."""

    ADDR_LO: Final[RegArray] = RegArray(0x04000, 4, 16, 129)
    ADDR_HI: Final[RegArray] = RegArray(0x04004, 4, 16, 129)
    DATA: Final[RegArray] = RegArray(0x04008, 4, 16, 129)
    CONTROL: Final[RegArray] = RegArray(0x0400C, 4, 16, 129)
    CONTROL_MASK: Final = Field(0, 1)


class VENDOR:
    """Vendor block."""

    MAGIC: Final[Reg] = Reg(0x08000, 4)
    VERSION: Final[Reg] = Reg(0x08004, 4)
    VERSION_MINOR: Final = Field(0, 16)
    VERSION_MAJOR: Final = Field(16, 16)
    QUEUE_PAIRS: Final[Reg] = Reg(0x08008, 4)
    DATA_W: Final[Reg] = Reg(0x0800C, 4)
    QUEUE_SIZE_MAX: Final[Reg] = Reg(0x08010, 4)
    RD_SLOTS: Final[Reg] = Reg(0x08014, 4)
    DESC_CACHE: Final[Reg] = Reg(0x08018, 4)
    VECTORS: Final[Reg] = Reg(0x0801C, 4)
    MAX_FRAME: Final[Reg] = Reg(0x08020, 4)
    MSIX_CONTROL: Final[Reg] = Reg(0x08030, 4)
    MSIX_CONTROL_TABLE_SIZE: Final = Field(0, 11)
    MSIX_CONTROL_FUNCTION_MASK: Final = Field(14, 1)
    MSIX_CONTROL_ENABLE: Final = Field(15, 1)
    VQ_SELECT: Final[Reg] = Reg(0x08040, 4)
    VQ_SELECT_VALUE: Final = Field(0, 16)
    VQ_STATE: Final[Reg] = Reg(0x08044, 4)
    VQ_REASON: Final[Reg] = Reg(0x08048, 4)
    VQ_REASON_VALUE: Final = Field(0, 8)
    VQ_POS: Final[Reg] = Reg(0x0804C, 4)
    VQ_ERR_ADDR: Final[Reg] = Reg(0x08050, 8)
    BAD_DOORBELL_COUNT: Final[Reg] = Reg(0x08060, 4)
    BAD_DOORBELL_LAST: Final[Reg] = Reg(0x08064, 4)
    BAD_DOORBELL_LAST_VALUE: Final = Field(0, 16)
    BAD_DOORBELL_LAST_QUEUE: Final = Field(16, 16)
    FEATURES_OFFERED: Final[Reg] = Reg(0x08070, 8)
    FEATURES_ACCEPTED: Final[Reg] = Reg(0x08078, 8)
    VQ_STOPPED: Final[RegArray] = RegArray(0x08080, 4, 4, 4)


class STAT:
    """Global statistics."""

    TX_FRAMES: Final[Reg] = Reg(0x10000, 8)
    TX_BYTES: Final[Reg] = Reg(0x10008, 8)
    RX_FRAMES: Final[Reg] = Reg(0x10010, 8)
    RX_BYTES: Final[Reg] = Reg(0x10018, 8)
    RX_WIRE_FRAMES: Final[Reg] = Reg(0x10020, 8)
    RX_DROP_BAD: Final[Reg] = Reg(0x10028, 8)
    RX_DROP_SHORT: Final[Reg] = Reg(0x10030, 8)
    RX_DROP_LONG: Final[Reg] = Reg(0x10038, 8)
    RX_DROP_OVERFLOW: Final[Reg] = Reg(0x10040, 8)
    RX_DROP_NO_BUFFER: Final[Reg] = Reg(0x10048, 8)
    RX_DROP_TOO_SMALL: Final[Reg] = Reg(0x10050, 8)
    RX_DROP_QUEUE_ERROR: Final[Reg] = Reg(0x10058, 8)
    TX_DROP_SHORT: Final[Reg] = Reg(0x10060, 8)
    TX_DROP_LONG: Final[Reg] = Reg(0x10068, 8)
    TX_DROP_HEADER: Final[Reg] = Reg(0x10070, 8)
    TX_DROP_QUEUE_ERROR: Final[Reg] = Reg(0x10078, 8)
    MSIX_SENT: Final[Reg] = Reg(0x10080, 8)
    DESC_FETCHES: Final[Reg] = Reg(0x10088, 8)
    DMA_READ_ERRORS: Final[Reg] = Reg(0x10090, 8)
    DMA_WRITE_ERRORS: Final[Reg] = Reg(0x10098, 8)
    RX_DROP_RESET: Final[Reg] = Reg(0x100A0, 8)
    TX_DROP_RESET: Final[Reg] = Reg(0x100A8, 8)


class STAT_QUEUE:
    """Virtqueue statistics."""

    FRAMES: Final[RegArray] = RegArray(0x10200, 8, 64, 128)
    BYTES: Final[RegArray] = RegArray(0x10208, 8, 64, 128)
    USED_DESCRIPTORS: Final[RegArray] = RegArray(0x10210, 8, 64, 128)
    INTERRUPTS: Final[RegArray] = RegArray(0x10218, 8, 64, 128)
    KICKS: Final[RegArray] = RegArray(0x10220, 8, 64, 128)
    DROPS: Final[RegArray] = RegArray(0x10228, 8, 64, 128)
    EVENT_READS: Final[RegArray] = RegArray(0x10230, 8, 64, 128)
    DESC_FETCHES: Final[RegArray] = RegArray(0x10238, 8, 64, 128)


# ISR status (VIRTIO 1.2 4.1.4.5).
ISR: Final[Reg] = Reg(0x01000, 1)

# Notification area (VIRTIO 1.2 4.1.4.4).
NOTIFY: Final[RegArray] = RegArray(0x03000, 4, 4, 128)
NOTIFY_QUEUE: Final = Field(0, 16)

# MSI-X pending bits (PCIe 6.0 7.7.2.10).
MSIX_PBA: Final[RegArray] = RegArray(0x05000, 4, 4, 6)


class DeviceStatus(IntFlag):
    """Bits of common.device_status."""

    ACKNOWLEDGE = 0x01
    DRIVER = 0x02
    DRIVER_OK = 0x04
    FEATURES_OK = 0x08
    DEVICE_NEEDS_RESET = 0x40
    FAILED = 0x80


class Isr(IntFlag):
    """Bits of isr.isr."""

    QUEUE = 0x01
    CONFIG = 0x02


class NetStatus(IntFlag):
    """Bits of net.status."""

    LINK_UP = 0x01
    ANNOUNCE = 0x02


class VqState(IntFlag):
    """Bits of vendor.vq_state."""

    ENABLED = 0x01
    RESETTING = 0x02
    STOPPED = 0x04


class Feature(IntEnum):
    """Feature bit numbers (VIRTIO 1.2 5.1.3 and 6)."""

    NET_MTU = 3
    NET_MAC = 5
    NET_STATUS = 16
    RING_EVENT_IDX = 29
    VERSION_1 = 32
    ACCESS_PLATFORM = 33
    RING_PACKED = 34
    ORDER_PLATFORM = 36
    RING_RESET = 40


class StopReason(IntEnum):
    """Values of stop_reason."""

    NONE = 0
    RING_CONFIG = 1
    DESC_READ = 2
    EVENT_READ = 3
    DATA_READ = 4
    DATA_WRITE = 5
    USED_WRITE = 6
    EVENT_WRITE = 7
    DESC_LENGTH = 8
    DESC_FLAGS = 9
    CHAIN_BROKEN = 10
    CHAIN_LONG = 11


class Stat(IntEnum):
    """Index of a global counter."""

    TX_FRAMES = 0
    TX_BYTES = 1
    RX_FRAMES = 2
    RX_BYTES = 3
    RX_WIRE_FRAMES = 4
    RX_DROP_BAD = 5
    RX_DROP_SHORT = 6
    RX_DROP_LONG = 7
    RX_DROP_OVERFLOW = 8
    RX_DROP_NO_BUFFER = 9
    RX_DROP_TOO_SMALL = 10
    RX_DROP_QUEUE_ERROR = 11
    TX_DROP_SHORT = 12
    TX_DROP_LONG = 13
    TX_DROP_HEADER = 14
    TX_DROP_QUEUE_ERROR = 15
    MSIX_SENT = 16
    DESC_FETCHES = 17
    DMA_READ_ERRORS = 18
    DMA_WRITE_ERRORS = 19
    RX_DROP_RESET = 20
    TX_DROP_RESET = 21


class QueueStat(IntEnum):
    """Index of a counter within its queue."""

    FRAMES = 0
    BYTES = 1
    USED_DESCRIPTORS = 2
    INTERRUPTS = 3
    KICKS = 4
    DROPS = 5
    EVENT_READS = 6
    DESC_FETCHES = 7


FEATURES_OFFERED: Final = 0x0000011720010028  # all of Feature
MAGIC: Final = 0x4C505554  # value of VENDOR.MAGIC
NO_VECTOR: Final = 0xFFFF  # value of a vector register that stands for none
