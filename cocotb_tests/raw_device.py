# SPDX-License-Identifier: Apache-2.0
"""Bring the device up by hand (VIRTIO 1.2 section 3.1.1) for tests that do not use driver/."""

from collections.abc import Iterable
from dataclasses import dataclass

from cocotb_tests.bar_watch import (
    DEVICE_STATUS,
    NOTIFY,
    QUEUE_DESC,
    QUEUE_DEVICE,
    QUEUE_DRIVER,
    QUEUE_ENABLE,
    QUEUE_RESET,
    QUEUE_SELECT,
    QUEUE_SIZE,
    QUEUE_VECTOR,
)
from cocotb_tests.raw_ring import RawQueue
from driver.bus import Bus, DmaRegion
from driver.registers import (
    MSIX_TABLE,
    VENDOR,
    DeviceStatus,
    Feature,
    QueueStat,
    Stat,
    StopReason,
    VqState,
)

FEATURE_SELECT, FEATURE = 0x08, 0x0C  # the driver's
# What a driver without offloads takes; a test of an offload adds its bits.
BASE_FEATURES = sum(
    1 << feature
    for feature in (
        Feature.NET_MTU,
        Feature.NET_MAC,
        Feature.NET_STATUS,
        Feature.RING_EVENT_IDX,
        Feature.VERSION_1,
        Feature.ACCESS_PLATFORM,
        Feature.RING_PACKED,
        Feature.ORDER_PLATFORM,
        Feature.RING_RESET,
    )
)
CONFIG_VECTOR_REG, NUM_QUEUES = 0x10, 0x12
STATISTICS, QUEUE_STATISTICS = 0x10000, 64  # BAR offset; index of the first per-queue counter
MSIX_ADDRESS = 0xFEE0_0000
CONFIG_VECTOR = 0
RESET_POLLS = 10_000  # a queue reset waits until its frames in flight have gone out, however slow the wire


class DeviceHung(AssertionError):
    """A reset did not complete."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The vendor window's account of one queue."""

    stopped: bool
    reason: StopReason
    addr: int
    position: int


class RawDevice:
    """One device on a Bus. Queue q interrupts with vector q + 1; vector 0 is the configuration's."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.queues: dict[int, RawQueue] = {}
        self.regions: dict[int, list[DmaRegion]] = {}

    @staticmethod
    def vector(queue: int) -> int:
        """MSI-X vector of a queue."""
        return queue + 1

    async def reset(self) -> None:
        """Write 0 to device_status and wait until it reads 0; memory of the rings is given back then."""
        await self.bus.write(DEVICE_STATUS, 0, 1)
        for _ in range(RESET_POLLS):
            if await self.bus.read(DEVICE_STATUS, 1) == 0:
                break
        else:
            raise DeviceHung(f"device_status is not 0 after {RESET_POLLS} reads")
        for queue in list(self.queues):
            self._drop(queue)

    def _drop(self, queue: int) -> None:
        del self.queues[queue]
        for region in self.regions.pop(queue):
            self.bus.dma_free(region)

    async def start(
        self,
        sizes: dict[int, int],
        *,
        features: int = BASE_FEATURES,
        without: Iterable[Feature] = (),
    ) -> None:
        """Reset, negotiate, set up queues {number: slots}, DRIVER_OK."""
        await self.negotiate(features, without)
        for queue, slots in sizes.items():
            await self.add_queue(queue, slots)
        await self.go()

    async def negotiate(self, features: int = BASE_FEATURES, without: Iterable[Feature] = ()) -> None:
        """Steps 1 to 6, and the MSI-X table."""
        bus = self.bus
        for feature in without:
            features &= ~(1 << feature)
        await self.reset()
        await bus.write(DEVICE_STATUS, DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER, 1)
        for half in (0, 1):
            await bus.write(FEATURE_SELECT, half)
            await bus.write(FEATURE, features >> 32 * half & 0xFFFFFFFF)
        status = DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER | DeviceStatus.FEATURES_OK
        await bus.write(DEVICE_STATUS, status, 1)
        if not await bus.read(DEVICE_STATUS, 1) & DeviceStatus.FEATURES_OK:
            raise DeviceHung(f"features {features:#x} refused")
        await bus.write(VENDOR.MSIX_CONTROL.offset_bytes, VENDOR.MSIX_CONTROL_ENABLE.put(1))
        for vector in range(await bus.read(NUM_QUEUES, 2) + 1):
            await bus.write(MSIX_TABLE.ADDR_LO.at(vector).offset_bytes, MSIX_ADDRESS)
            await bus.write(MSIX_TABLE.ADDR_HI.at(vector).offset_bytes, 0)
            await bus.write(MSIX_TABLE.DATA.at(vector).offset_bytes, vector)
            await bus.write(MSIX_TABLE.CONTROL.at(vector).offset_bytes, 0)
        await bus.write(CONFIG_VECTOR_REG, CONFIG_VECTOR, 2)

    async def add_queue(
        self,
        queue: int,
        slots: int,
        *,
        desc: int | None = None,
        driver: int | None = None,
        device: int | None = None,
    ) -> RawQueue:
        """Set up and enable one queue; an address overrides where the device is told that an area is."""
        regions = [self.bus.dma_alloc(size, 64) for size in (16 * slots, 4, 4)]
        raw = RawQueue(queue, slots, *regions)
        self.queues[queue], self.regions[queue] = raw, regions
        told = (desc, driver, device)
        areas = [region.iova if addr is None else addr for addr, region in zip(told, regions, strict=True)]
        await self.enable_flawed(queue, slots, *areas)
        return raw

    async def enable_flawed(self, queue: int, slots: int, desc: int, driver: int, device: int) -> None:
        """Write the queue's registers and enable it, whatever the values."""
        bus = self.bus
        await bus.write(QUEUE_SELECT, queue, 2)
        await bus.write(QUEUE_SIZE, slots, 2)
        for offset, addr in ((QUEUE_DESC, desc), (QUEUE_DRIVER, driver), (QUEUE_DEVICE, device)):
            await bus.write(offset, addr & 0xFFFFFFFF)
            await bus.write(offset + 4, addr >> 32)
        await bus.write(QUEUE_VECTOR, self.vector(queue), 2)
        await bus.write(QUEUE_ENABLE, 1, 2)

    async def go(self) -> None:
        """DRIVER_OK."""
        await self.bus.write(
            DEVICE_STATUS,
            DeviceStatus.ACKNOWLEDGE
            | DeviceStatus.DRIVER
            | DeviceStatus.FEATURES_OK
            | DeviceStatus.DRIVER_OK,
            1,
        )

    async def reset_queue(self, queue: int) -> None:
        """Reset one queue and wait for it (VIRTIO_F_RING_RESET)."""
        bus = self.bus
        await bus.write(QUEUE_SELECT, queue, 2)
        await bus.write(QUEUE_RESET, 1, 2)
        for _ in range(RESET_POLLS):
            await bus.write(QUEUE_SELECT, queue, 2)  # another coroutine may have selected its own meanwhile
            if await bus.read(QUEUE_RESET, 2) == 0:
                break
        else:
            raise DeviceHung(f"queue_reset of queue {queue} is not 0 after {RESET_POLLS} reads")
        if await bus.read(QUEUE_ENABLE, 2):
            raise DeviceHung(f"queue {queue} is still enabled after its reset")
        self._drop(queue)

    async def mask(self, queue: int, masked: bool) -> None:
        """Set or clear the mask bit of a queue's vector."""
        reg = MSIX_TABLE.CONTROL.at(self.vector(queue))
        await self.bus.write(reg.offset_bytes, MSIX_TABLE.CONTROL_MASK.put(int(masked)))

    async def kick(self, queue: int) -> None:
        """Ring a doorbell."""
        await self.bus.write(NOTIFY + 4 * queue, queue)

    async def stopped(self, queue: int) -> Stopped:
        """Ask the vendor window about one queue."""
        bus = self.bus
        await bus.write(VENDOR.VQ_SELECT.offset_bytes, queue)
        state = await bus.read(VENDOR.VQ_STATE.offset_bytes)
        reason = VENDOR.VQ_REASON_VALUE.get(await bus.read(VENDOR.VQ_REASON.offset_bytes))
        addr = await bus.read(VENDOR.VQ_ERR_ADDR.lo.offset_bytes)
        addr |= await bus.read(VENDOR.VQ_ERR_ADDR.hi.offset_bytes) << 32
        position = await bus.read(VENDOR.VQ_POS.offset_bytes)
        return Stopped(bool(state & VqState.STOPPED), StopReason(reason), addr, position)

    async def status(self) -> DeviceStatus:
        """device_status."""
        return DeviceStatus(await self.bus.read(DEVICE_STATUS, 1))

    async def statistics(self) -> dict[str, int]:
        """All global counters by lower-case name."""
        return {stat.name.lower(): await self._counter(stat) for stat in Stat}

    async def queue_statistics(self, queue: int) -> dict[str, int]:
        """One queue's counters by lower-case name."""
        first = QUEUE_STATISTICS + 8 * queue
        return {stat.name.lower(): await self._counter(first + stat) for stat in QueueStat}

    async def _counter(self, index: int) -> int:
        low = await self.bus.read(STATISTICS + 8 * index)  # latches the high half
        return low | await self.bus.read(STATISTICS + 8 * index + 4) << 32
