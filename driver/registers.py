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
    RSS_MAX_KEY_SIZE: Final[Reg] = Reg(0x02011, 1)
    RSS_MAX_INDIRECTION_TABLE_LENGTH: Final[Reg] = Reg(0x02012, 2)
    SUPPORTED_HASH_TYPES: Final[Reg] = Reg(0x02014, 4)


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
    FEATURE_ENABLE: Final[Reg] = Reg(0x080E0, 8)
    STAT_SNAPSHOT: Final[Reg] = Reg(0x080E8, 4)
    STAT_SNAPSHOT_HOLD: Final = Field(0, 1)


class STEER:
    """Steering tables."""

    CONTROL: Final[Reg] = Reg(0x09000, 4)
    CONTROL_TABLES_ENABLE: Final = Field(0, 1)
    FLOW_CAPACITY: Final[Reg] = Reg(0x09004, 4)
    LISTENER_CAPACITY: Final[Reg] = Reg(0x09008, 4)
    LOCAL_SELECT: Final[Reg] = Reg(0x0900C, 4)
    LOCAL_SELECT_INDEX: Final = Field(0, 3)
    LOCAL_ADDR: Final[RegArray] = RegArray(0x09010, 4, 4, 4)
    LOCAL_CONTROL: Final[Reg] = Reg(0x09020, 4)
    LOCAL_CONTROL_VALID: Final = Field(0, 1)
    LOCAL_CONTROL_IPV6: Final = Field(1, 1)
    COMMAND: Final[Reg] = Reg(0x09028, 4)
    COMMAND_OP: Final = Field(0, 4)
    COMMAND_INDEX: Final = Field(16, 16)
    STATUS: Final[Reg] = Reg(0x0902C, 4)
    STATUS_BUSY: Final = Field(0, 1)
    STATUS_BAD: Final = Field(1, 1)
    KEY_LOCAL: Final[RegArray] = RegArray(0x09030, 4, 4, 4)
    KEY_REMOTE: Final[RegArray] = RegArray(0x09040, 4, 4, 4)
    KEY_PORTS: Final[Reg] = Reg(0x09050, 4)
    KEY_PORTS_REMOTE: Final = Field(0, 16)
    KEY_PORTS_LOCAL: Final = Field(16, 16)
    KEY_PROTO: Final[Reg] = Reg(0x09054, 4)
    KEY_PROTO_PROTO: Final = Field(0, 8)
    KEY_PROTO_IPV6: Final = Field(8, 1)
    KEY_PROTO_ANY: Final = Field(9, 1)
    ENTRY: Final[Reg] = Reg(0x09058, 4)
    ENTRY_VALID: Final = Field(0, 1)
    ENTRY_TARGET: Final = Field(1, 2)
    ENTRY_PAIR: Final = Field(8, 6)
    ENTRY_ID: Final[Reg] = Reg(0x0905C, 4)
    ENTRY_ID_ID: Final = Field(0, 16)
    ENTRY_ID_GENERATION: Final = Field(16, 16)
    HITS: Final[Reg] = Reg(0x09060, 8)
    TABLE_KEY: Final[RegArray] = RegArray(0x09080, 4, 4, 12)


class RSS:
    """Receive side scaling (VIRTIO 1.2 5.1.6.4)."""

    CONTROL: Final[Reg] = Reg(0x09400, 4)
    CONTROL_RSS_ENABLE: Final = Field(0, 1)
    HASH_TYPES: Final[Reg] = Reg(0x09404, 4)
    KEY: Final[RegArray] = RegArray(0x09410, 4, 4, 10)
    TABLE: Final[RegArray] = RegArray(0x09480, 4, 4, 32)


class GUARD:
    """Guard and windows."""

    SELECT: Final[Reg] = Reg(0x09800, 4)
    SELECT_PAIR: Final = Field(0, 8)
    SELECT_RANGE: Final = Field(8, 2)
    PAIR_CONTROL: Final[Reg] = Reg(0x09804, 4)
    PAIR_CONTROL_GUARD: Final = Field(0, 1)
    PAIR_CONTROL_WINDOWS: Final = Field(1, 1)
    WIN_BASE: Final[Reg] = Reg(0x09808, 8)
    WIN_LAST: Final[Reg] = Reg(0x09810, 8)
    WIN_RIGHTS: Final[Reg] = Reg(0x09818, 4)
    WIN_RIGHTS_READ: Final = Field(0, 1)
    WIN_RIGHTS_WRITE: Final = Field(1, 1)
    STATUS: Final[Reg] = Reg(0x0981C, 4)
    STATUS_REFUSED: Final = Field(0, 1)


class SCHED:
    """Transmit scheduler."""

    SELECT: Final[Reg] = Reg(0x09C00, 4)
    SELECT_PAIR: Final = Field(0, 8)
    WEIGHT: Final[Reg] = Reg(0x09C04, 4)
    WEIGHT_WEIGHT: Final = Field(0, 16)
    CLASS: Final[Reg] = Reg(0x09C08, 4)
    CLASS_HIGH: Final = Field(0, 1)
    RATE: Final[Reg] = Reg(0x09C0C, 4)
    BURST: Final[Reg] = Reg(0x09C10, 4)
    READ_COST: Final[Reg] = Reg(0x09C14, 4)
    READ_COST_BYTES: Final = Field(0, 8)


class MODERATION:
    """Interrupt moderation."""

    SELECT: Final[Reg] = Reg(0x0A000, 4)
    SELECT_QUEUE: Final = Field(0, 8)
    COUNT: Final[Reg] = Reg(0x0A004, 4)
    COUNT_COUNT: Final = Field(0, 16)
    TIME: Final[Reg] = Reg(0x0A008, 4)
    TIME_TIME: Final = Field(0, 16)


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
    RX_MALFORMED: Final[Reg] = Reg(0x100B0, 8)
    RX_FRAGMENTS: Final[Reg] = Reg(0x100B8, 8)
    RX_STEER_FLOW: Final[Reg] = Reg(0x100C0, 8)
    RX_STEER_LISTENER: Final[Reg] = Reg(0x100C8, 8)
    RX_STEER_ANY: Final[Reg] = Reg(0x100D0, 8)
    RX_STEER_RSS: Final[Reg] = Reg(0x100D8, 8)
    RX_STEER_HOST: Final[Reg] = Reg(0x100E0, 8)
    RX_DROP_FILTER: Final[Reg] = Reg(0x100E8, 8)
    RX_CSUM_OK: Final[Reg] = Reg(0x100F0, 8)
    RX_CSUM_BAD: Final[Reg] = Reg(0x100F8, 8)
    TX_DROP_GUARD_MAC: Final[Reg] = Reg(0x10100, 8)
    TX_DROP_GUARD_PROTO: Final[Reg] = Reg(0x10108, 8)
    TX_DROP_GUARD_FRAGMENT: Final[Reg] = Reg(0x10110, 8)
    TX_DROP_GUARD_OWNER: Final[Reg] = Reg(0x10118, 8)
    TX_DROP_GUARD_TUPLE: Final[Reg] = Reg(0x10120, 8)
    TX_CSUM_FRAMES: Final[Reg] = Reg(0x10128, 8)
    TX_TSO_FRAMES: Final[Reg] = Reg(0x10130, 8)
    TX_TSO_SEGMENTS: Final[Reg] = Reg(0x10138, 8)
    RX_BUFFERS: Final[Reg] = Reg(0x10140, 8)
    INDIRECT_TABLES: Final[Reg] = Reg(0x10148, 8)
    TX_CHAINS: Final[Reg] = Reg(0x10150, 8)
    IRQ_MODERATED: Final[Reg] = Reg(0x10158, 8)


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
NOTIFY_NEXT_OFF: Final = Field(16, 15)
NOTIFY_NEXT_WRAP: Final = Field(31, 1)

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

    NET_CSUM = 0
    NET_GUEST_CSUM = 1
    NET_MTU = 3
    NET_MAC = 5
    NET_HOST_TSO4 = 11
    NET_HOST_TSO6 = 12
    NET_HOST_ECN = 13
    NET_MRG_RXBUF = 15
    NET_STATUS = 16
    RING_INDIRECT_DESC = 28
    RING_EVENT_IDX = 29
    VERSION_1 = 32
    ACCESS_PLATFORM = 33
    RING_PACKED = 34
    ORDER_PLATFORM = 36
    NOTIFICATION_DATA = 38
    RING_RESET = 40
    NET_HASH_REPORT = 57


class HashType(IntFlag):
    """Bits of rss.hash_types."""

    IPV4 = 0x01
    TCPV4 = 0x02
    UDPV4 = 0x04
    IPV6 = 0x08
    TCPV6 = 0x10
    UDPV6 = 0x20


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
    WINDOW = 12
    INDIRECT = 13


class SteerOp(IntEnum):
    """Values of steer_op."""

    NONE = 0
    FLOW_WRITE = 1
    FLOW_CLEAR = 2
    FLOW_READ = 3
    LISTENER_WRITE = 4
    LISTENER_CLEAR = 5
    LISTENER_READ = 6
    FLOW_HITS_READ = 7
    FLOW_HITS_CLEAR = 8
    LISTENER_HITS_READ = 9
    LISTENER_HITS_CLEAR = 10


class SteerTarget(IntEnum):
    """Values of steer_target."""

    QUEUE = 0
    HOST = 1
    DROP = 2


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
    RX_MALFORMED = 22
    RX_FRAGMENTS = 23
    RX_STEER_FLOW = 24
    RX_STEER_LISTENER = 25
    RX_STEER_ANY = 26
    RX_STEER_RSS = 27
    RX_STEER_HOST = 28
    RX_DROP_FILTER = 29
    RX_CSUM_OK = 30
    RX_CSUM_BAD = 31
    TX_DROP_GUARD_MAC = 32
    TX_DROP_GUARD_PROTO = 33
    TX_DROP_GUARD_FRAGMENT = 34
    TX_DROP_GUARD_OWNER = 35
    TX_DROP_GUARD_TUPLE = 36
    TX_CSUM_FRAMES = 37
    TX_TSO_FRAMES = 38
    TX_TSO_SEGMENTS = 39
    RX_BUFFERS = 40
    INDIRECT_TABLES = 41
    TX_CHAINS = 42
    IRQ_MODERATED = 43


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


FEATURES_OFFERED: Final = 0x020001573001B82B  # all of Feature
FEATURES_DEFAULT: Final = 0x000001573001B82B  # those that VENDOR.FEATURE_ENABLE leaves on
MAGIC: Final = 0x4C505554  # value of VENDOR.MAGIC
NO_VECTOR: Final = 0xFFFF  # value of a vector register that stands for none
