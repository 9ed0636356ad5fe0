# SPDX-License-Identifier: Apache-2.0
"""A virtio device over its PCI structures: the initialisation of VIRTIO 1.2 section 3.1.1, step by step.

The order of calls is reset, negotiate, then set_up_queue for each queue, then go. Nothing here knows of
frames. Every wait on the device has a bound.
"""

from collections.abc import Callable
from dataclasses import dataclass

from driver.bus import Bus
from driver.errors import DeviceNeedsReset, DeviceTimeout, InitError, UsageError
from driver.msix import CONFIG_VECTOR, Msix
from driver.registers import (
    COMMON,
    MAGIC,
    NET,
    NO_VECTOR,
    NOTIFY,
    VENDOR,
    DeviceStatus,
    Feature,
    NetStatus,
    Reg,
    StopReason,
)

RESET_BOUND_NS = 1_000_000  # a drain takes some memory latencies; 1 ms is far beyond any
POLLS_MAX = 100_000  # for a bus whose clock stands still while it is read
VERSION_MAJOR = 1  # of the vendor block; another one is another register map
CONFIG_TRIES = 16
FEATURES_REQUIRED = (Feature.VERSION_1, Feature.RING_PACKED)


def feature_mask(features: "tuple[Feature, ...] | frozenset[Feature]") -> int:
    """The 64-bit mask of these feature numbers."""
    return sum(1 << feature for feature in set(features))


@dataclass(frozen=True, slots=True)
class Identity:
    """What the vendor block says of this build."""

    version: tuple[int, int]
    queue_pairs: int
    data_bits: int
    queue_size_max: int
    rd_slots: int
    desc_cache_slots: int  # also the longest chain
    vectors: int
    frame_bytes_max: int


@dataclass(frozen=True, slots=True)
class NetConfig:
    """struct virtio_net_config as far as the negotiated features fill it (section 5.1.4)."""

    mac: bytes | None
    link_up: bool  # True if the device cannot tell
    mtu: int | None
    max_pairs: int


@dataclass(frozen=True, slots=True)
class QueueError:
    """Why the device stopped a virtqueue."""

    index: int
    reason: StopReason
    addr: int  # bus address of the access at fault
    position: int  # ring slot of the descriptor at fault

    def __str__(self) -> str:
        return f"virtqueue {self.index}: {self.reason.name} at slot {self.position}, address {self.addr:#x}"


class VirtioDevice:
    """Common configuration, device configuration and vendor block of one Tupelo device."""

    def __init__(self, bus: Bus, reset_bound_ns: int = RESET_BOUND_NS) -> None:
        self.bus = bus
        self.features = 0  # accepted
        self._reset_bound_ns = reset_bound_ns
        self._status = 0  # what was written so far

    # Registers ----------------------------------------------------------------------------------------

    async def read(self, reg: Reg) -> int:
        """Read a register; a 64-bit one as low half, then high half."""
        if reg.width_bytes == 8:
            low = await self.bus.read(reg.lo.offset_bytes)
            return low | await self.bus.read(reg.hi.offset_bytes) << 32
        return await self.bus.read(reg.offset_bytes, reg.width_bytes)

    async def write(self, reg: Reg, value: int) -> None:
        """Write a register; a 64-bit one as low half, then high half (section 4.1.3.1)."""
        if reg.width_bytes == 8:
            await self.bus.write(reg.lo.offset_bytes, value & 0xFFFF_FFFF)
            await self.bus.write(reg.hi.offset_bytes, value >> 32)
        else:
            await self.bus.write(reg.offset_bytes, value, reg.width_bytes)

    async def _wait(self, reg: Reg, done: Callable[[int], bool], step: str) -> None:
        deadline_ns = self.bus.now_ns() + self._reset_bound_ns
        for _ in range(POLLS_MAX):
            if done(await self.read(reg)):
                return
            if self.bus.now_ns() > deadline_ns:
                break
        raise DeviceTimeout(step, self._reset_bound_ns)

    # Initialisation -----------------------------------------------------------------------------------

    async def identify(self) -> Identity:
        """Read the vendor block; InitError if this is not a Tupelo whose register map is known."""
        magic = await self.read(VENDOR.MAGIC)
        if magic != MAGIC:
            raise InitError(f"no Tupelo here: magic {magic:#010x}, not {MAGIC:#010x}")
        version = await self.read(VENDOR.VERSION)
        major = VENDOR.VERSION_MAJOR.get(version)
        if major != VERSION_MAJOR:
            raise InitError(f"register map version {major}, this driver knows {VERSION_MAJOR}")
        return Identity(
            version=(major, VENDOR.VERSION_MINOR.get(version)),
            queue_pairs=await self.read(VENDOR.QUEUE_PAIRS),
            data_bits=await self.read(VENDOR.DATA_W),
            queue_size_max=await self.read(VENDOR.QUEUE_SIZE_MAX),
            rd_slots=await self.read(VENDOR.RD_SLOTS),
            desc_cache_slots=await self.read(VENDOR.DESC_CACHE),
            vectors=await self.read(VENDOR.VECTORS),
            frame_bytes_max=await self.read(VENDOR.MAX_FRAME),
        )

    async def reset(self) -> None:
        """Step 1: write 0 and wait until it reads 0 (sections 3.1.1, 4.1.4.3.2). DeviceTimeout if never."""
        self._status = 0
        self.features = 0
        await self.write(COMMON.DEVICE_STATUS, 0)
        await self._wait(COMMON.DEVICE_STATUS, lambda status: status == 0, "device reset")

    async def negotiate(self, wanted: int, required: int = 0) -> int:
        """Steps 2 to 6: agree on the offered part of `wanted`; return it.

        InitError, with FAILED set, if a bit of `required` is not offered or the device refuses the set.
        """
        await self._add_status(DeviceStatus.ACKNOWLEDGE)  # step 2
        await self._add_status(DeviceStatus.DRIVER)  # step 3
        offered = await self.read_features()  # step 4
        accepted = offered & (wanted | required)
        if missing := required & ~offered:
            await self.fail()
            raise InitError(f"the device does not offer feature {_names(missing)}")
        for half in (0, 1):
            await self.write(COMMON.DRIVER_FEATURE_SELECT, half)
            await self.write(COMMON.DRIVER_FEATURE, accepted >> 32 * half & 0xFFFF_FFFF)
        await self._add_status(DeviceStatus.FEATURES_OK)  # step 5
        if not await self.status() & DeviceStatus.FEATURES_OK:  # step 6
            await self.fail()
            raise InitError(f"the device refuses the features {_names(accepted)}")
        self.features = accepted
        return accepted

    async def offer(self, feature: Feature) -> None:
        """Make the device offer a feature that its privileged side must switch on, before negotiate."""
        mask = await self.read(VENDOR.FEATURE_ENABLE)
        if not mask >> feature & 1:
            await self.write(VENDOR.FEATURE_ENABLE, mask | 1 << feature)

    async def read_features(self) -> int:
        """All feature bits that the device offers, through both 32-bit windows."""
        offered = 0
        for half in (0, 1):
            await self.write(COMMON.DEVICE_FEATURE_SELECT, half)
            offered |= await self.read(COMMON.DEVICE_FEATURE) << 32 * half
        return offered

    async def queue_size_max(self, index: int) -> int:
        """Step 7: the largest ring of this virtqueue; InitError if there is none (section 4.1.5.1.3)."""
        await self.write(COMMON.QUEUE_SELECT, index)
        size = await self.read(COMMON.QUEUE_SIZE)
        if size == 0:
            raise InitError(f"virtqueue {index} does not exist")
        return size

    async def set_up_queue(self, index: int, size: int, areas: tuple[int, int, int], vector: int) -> int:
        """Step 7: configure and enable a virtqueue (section 4.1.5.1.3); return its doorbell's BAR offset.

        `areas` are the bus addresses of descriptor ring, driver and device event structure.
        """
        limit = await self.queue_size_max(index)
        if not 1 <= size <= limit:
            raise UsageError(f"virtqueue {index}: {size} slots, the device takes 1..{limit}")
        await self.write(COMMON.QUEUE_SIZE, size)
        for reg, iova in zip(
            (COMMON.QUEUE_DESC, COMMON.QUEUE_DRIVER, COMMON.QUEUE_DEVICE), areas, strict=True
        ):
            await self.write(reg, iova)
        await self._assign_vector(COMMON.QUEUE_MSIX_VECTOR, vector, f"virtqueue {index}")
        notify_off = await self.read(COMMON.QUEUE_NOTIFY_OFF)
        await self.write(COMMON.QUEUE_ENABLE, 1)
        return NOTIFY.at(notify_off).offset_bytes

    async def enable_msix(self, count: int, vectors: list[int]) -> Msix:
        """Step 7: program the MSI-X table and give the configuration change its vector."""
        msix = Msix(self.bus, count)
        await msix.enable(vectors)
        await self._assign_vector(COMMON.CONFIG_MSIX_VECTOR, CONFIG_VECTOR, "configuration change")
        return msix

    async def _assign_vector(self, reg: Reg, vector: int, what: str) -> None:
        """Write a vector and read it back: a device short of vectors says NO_VECTOR (4.1.5.1.2.2)."""
        await self.write(reg, vector)
        got = await self.read(reg)
        if got != vector:
            shown = "no vector" if got == NO_VECTOR else str(got)
            raise InitError(f"{what}: asked for MSI-X vector {vector}, the device took {shown}")

    async def go(self) -> None:
        """Step 8: DRIVER_OK; the device is live."""
        await self._add_status(DeviceStatus.DRIVER_OK)

    async def fail(self) -> None:
        """Tell the device that the driver gave up (section 2.1); only a reset helps after this."""
        if not self._status & DeviceStatus.FAILED:
            await self._add_status(DeviceStatus.FAILED)

    async def _add_status(self, bit: DeviceStatus) -> None:
        self._status |= bit  # bits are only ever added (section 2.1.1)
        await self.write(COMMON.DEVICE_STATUS, self._status)

    # While it runs ------------------------------------------------------------------------------------

    def has(self, feature: Feature) -> bool:
        """Whether a feature was negotiated."""
        return bool(self.features >> feature & 1)

    async def status(self) -> DeviceStatus:
        return DeviceStatus(await self.read(COMMON.DEVICE_STATUS))

    async def check_alive(self) -> None:
        """DeviceNeedsReset, with the queues that stopped, if the device says so (section 2.1.1)."""
        if await self.status() & DeviceStatus.DEVICE_NEEDS_RESET:
            count = await self.read(COMMON.NUM_QUEUES)
            why = "; ".join(str(error) for error in await self.queue_errors(count))
            raise DeviceNeedsReset(f"the device needs a reset: {why or 'no queue reports an error'}")

    async def net_config(self) -> NetConfig:
        """Read the device configuration until its generation holds still (section 2.5.1)."""
        for _ in range(CONFIG_TRIES):
            before = await self.read(COMMON.CONFIG_GENERATION)
            mac = (
                bytes([await self.read(NET.MAC.at(k)) for k in range(6)])
                if self.has(Feature.NET_MAC)
                else None
            )
            up = not self.has(Feature.NET_STATUS) or bool(await self.read(NET.STATUS) & NetStatus.LINK_UP)
            mtu = await self.read(NET.MTU) if self.has(Feature.NET_MTU) else None
            pairs = await self.read(NET.MAX_VIRTQUEUE_PAIRS)
            if await self.read(COMMON.CONFIG_GENERATION) == before:
                return NetConfig(mac, up, mtu, pairs)
        raise InitError(f"the device configuration changed {CONFIG_TRIES} times while it was read")

    async def reset_queue(self, index: int) -> None:
        """Stop one virtqueue and wait until the device is off its memory (sections 2.6.1, 4.1.4.3.2)."""
        if not self.has(Feature.RING_RESET):
            raise UsageError(f"virtqueue {index}: queue reset was not negotiated (RING_RESET)")
        await self.write(COMMON.QUEUE_SELECT, index)
        await self.write(COMMON.QUEUE_RESET, 1)
        await self._wait(COMMON.QUEUE_RESET, lambda value: value == 0, f"reset of virtqueue {index}")
        await self._wait(COMMON.QUEUE_ENABLE, lambda value: value == 0, f"disabling of virtqueue {index}")

    async def queue_errors(self, queues: int) -> list[QueueError]:
        """The virtqueues below `queues` that the device stopped, with its reasons."""
        errors = []
        for first in range(0, queues, 32):
            stopped = await self.read(VENDOR.VQ_STOPPED.at(first // 32))
            for index in (first + bit for bit in range(32) if stopped >> bit & 1):
                await self.write(VENDOR.VQ_SELECT, index)
                reason = VENDOR.VQ_REASON_VALUE.get(await self.read(VENDOR.VQ_REASON))
                addr = await self.read(VENDOR.VQ_ERR_ADDR)
                position = await self.read(VENDOR.VQ_POS)
                errors.append(QueueError(index, StopReason(reason), addr, position))
        return errors


def _names(mask: int) -> str:
    known = {int(feature): feature.name for feature in Feature}
    return ", ".join(known.get(bit, f"bit {bit}") for bit in range(64) if mask >> bit & 1) or "none"
