# SPDX-License-Identifier: Apache-2.0
"""A behavioural Tupelo behind a Bus, for driver tests: registers, rings, MSI-X, a wire, and bad manners.

It shares only the register constants with the driver. Its coroutines never suspend: `run` steps one to
its end, and `wait_irq` steps the device until an interrupt is due.
"""

import random
from collections import deque
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from driver import registers as R
from driver.bus import DmaRegion
from driver.tests.model_blocks import Blocks
from driver.tests.model_frames import check_tx_header, complete_checksum, spread
from driver.tests.model_queue import DISABLE, ENABLE, Buffer, BusError, DeviceQueue

T = TypeVar("T")
STEP_NS = 100
NEEDED = (1 << R.Feature.VERSION_1) | (1 << R.Feature.RING_PACKED)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("the model's bus never suspends")


class Hang(AssertionError):
    """The driver waits for ever: a wake-up was lost."""


@dataclass
class Manners:
    """How the model behaves; the default is well."""

    delay_steps: int = 0  # steps between taking a buffer and using it
    shuffle: bool = False  # use buffers out of order
    reset_polls: int = 2  # reads of a non-zero status before a reset is done; -1: never
    refuse_features: bool = False
    vectors: int | None = None  # fewer vectors than the table has
    config_changes: int = 0  # so many times the configuration changes while it is read
    doorbell_mode: int = ENABLE  # how it asks for doorbells: ENABLE or DESC
    spoil: str = ""  # one of the tricks in _use
    header: bytes = bytes(10) + b"\x01\x00"  # of received frames; 20 bytes with HASH_REPORT
    part_by_part: bool = False  # buffers of one received frame are used in steps of their own
    extra_buffers: int = 0  # a lie in num_buffers
    short_part: bool = False  # a buffer in the middle of a frame is not filled


@dataclass
class QueueRegs:
    """Common configuration of one queue."""

    size: int
    vector: int = R.NO_VECTOR
    areas: dict[int, int] = field(default_factory=dict)
    enabled: bool = False
    resetting: int = 0
    reason: int = 0
    ring: DeviceQueue | None = None


class ModelBus:
    """The Bus and the device on it. `wire_in` holds frames to receive, `wire_out` those sent."""

    def __init__(self, pairs: int = 2, size_max: int = 1024, seed: int = 1) -> None:
        self.pairs, self.size_max = pairs, size_max
        self.manners = Manners()
        self.offered = R.FEATURES_DEFAULT
        self.log: list[tuple[str, int, int, int]] = []  # r or w, offset, width, value
        self.wire_in: deque[bytes] = deque()
        self.wire_out: list[bytes] = []
        self.requests: list[bytes] = []  # headers of the frames sent
        self.blocks = Blocks()
        self.counters: dict[int, int] = {}  # global counters by index, for tests of statistics
        self.snapshots: list[int] = []
        self.no_buffer = 0
        self.doorbells = 0
        self.rng = random.Random(seed)
        self.regions: list[DmaRegion] = []
        self.msix_control = 0
        self.table = {(v, k): 0 for v in range(2 * pairs + 1) for k in range(4)}
        self._now = 0
        self._iova = 0x1_0000_0000
        self._fired: set[int] = set()
        self._plain = {R.NET.MTU.offset_bytes: 1500, R.NET.STATUS.offset_bytes: 1}
        self.generation = 0
        self._device_reset()

    def _device_reset(self) -> None:
        self.status = 0
        self.resetting = 0
        self.select = {"device": 0, "driver": 0, "queue": 0, "vendor": 0}
        self.accepted = 0
        self.config_vector = R.NO_VECTOR
        self.queues = [QueueRegs(self.size_max) for _ in range(2 * self.pairs)]
        self._working: deque[tuple[int, Buffer, int]] = deque()  # queue, buffer, steps to go
        self._parts: deque[tuple[Buffer, int]] = deque()  # filled, not yet used

    # Bus ----------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        return self._now

    def dma_alloc(self, size_bytes: int, align_bytes: int = 64) -> DmaRegion:
        self._iova = -(-self._iova // align_bytes) * align_bytes
        region = DmaRegion(self._iova, np.zeros(size_bytes, np.uint8))
        self._iova += size_bytes + 4096
        self.regions.append(region)
        return region

    def dma_free(self, region: DmaRegion) -> None:
        self.regions.remove(region)

    def memory(self, iova: int, size: int) -> memoryview:
        for region in self.regions:
            if region.iova <= iova and iova + size <= region.iova + region.size_bytes:
                return region.view[iova - region.iova : iova - region.iova + size].data
        raise BusError(f"{size} bytes at {iova:#x}")

    async def read(self, offset_bytes: int, width_bytes: int = 4) -> int:
        assert offset_bytes % width_bytes == 0
        self.step()
        value = self._read(offset_bytes)
        assert 0 <= value < 1 << 8 * width_bytes, (hex(offset_bytes), width_bytes, value)
        self.log.append(("r", offset_bytes, width_bytes, value))
        return value

    async def write(self, offset_bytes: int, value: int, width_bytes: int = 4) -> None:
        assert offset_bytes % width_bytes == 0 and 0 <= value < 1 << 8 * width_bytes
        self.log.append(("w", offset_bytes, width_bytes, value))
        self._write(offset_bytes, value)
        self.step()

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        deadline = self._now + (10_000_000 if timeout_ns is None else timeout_ns)
        while not self._fired & set(vectors):
            if self._now >= deadline:
                if timeout_ns is None:
                    raise Hang(f"no interrupt on {sorted(vectors)} for 10 ms")
                break
            self.step()
        fired = frozenset(self._fired & set(vectors))
        self._fired -= fired
        return fired

    # Registers ----------------------------------------------------------------------------------------

    def _read(self, at: int) -> int:
        c = R.COMMON
        if (value := self.blocks.read(at)) is not None:
            return value
        index = self.select["queue"]
        queue = self.queues[index] if index < len(self.queues) else QueueRegs(0)
        if at == c.DEVICE_STATUS.offset_bytes:
            if self.resetting > 0:
                self.resetting -= 1
                if self.resetting == 0:
                    self._device_reset()
            return self.status
        if at == c.QUEUE_RESET.offset_bytes:
            if queue.resetting > 0:
                queue.resetting -= 1
                if queue.resetting == 0:
                    self.queues[index] = QueueRegs(self.size_max)
                    return 0
            return int(queue.resetting > 0)
        if at == c.CONFIG_GENERATION.offset_bytes:
            return self.generation & 0xFF
        if R.NET.MAC.offset_bytes <= at < R.NET.MAC.offset_bytes + 6:
            if at == R.NET.MAC.offset_bytes + 3 and self.manners.config_changes:
                self.manners.config_changes -= 1
                self.generation += 1
            return 2 if at == R.NET.MAC.offset_bytes else self.generation & 0xFF
        return self._constants(index, queue).get(at, 0)

    def _constants(self, index: int, queue: QueueRegs) -> dict[int, int]:
        """Offset -> value of the registers whose reading changes nothing."""
        c, v = R.COMMON, R.VENDOR
        words = [0] * 4
        for k, one in enumerate(self.queues):
            words[k // 32] |= bool(one.reason) << k % 32
        shown = self.queues[self.select["vendor"]]
        return {
            c.DEVICE_FEATURE.offset_bytes: self.offered >> 32 * self.select["device"] & 0xFFFF_FFFF,
            c.NUM_QUEUES.offset_bytes: len(self.queues),
            c.CONFIG_MSIX_VECTOR.offset_bytes: self.config_vector,
            c.QUEUE_SIZE.offset_bytes: queue.size,
            c.QUEUE_MSIX_VECTOR.offset_bytes: queue.vector,
            c.QUEUE_ENABLE.offset_bytes: int(queue.enabled),
            c.QUEUE_NOTIFY_OFF.offset_bytes: index,
            R.NET.MAX_VIRTQUEUE_PAIRS.offset_bytes: self.pairs,
            v.MAGIC.offset_bytes: R.MAGIC,
            v.VERSION.offset_bytes: 1 << 16,
            v.QUEUE_PAIRS.offset_bytes: self.pairs,
            v.QUEUE_SIZE_MAX.offset_bytes: self.size_max,
            v.VECTORS.offset_bytes: 2 * self.pairs + 1,
            v.MAX_FRAME.offset_bytes: 9728,
            v.DESC_CACHE.offset_bytes: 64,
            v.FEATURE_ENABLE.lo.offset_bytes: self.offered & 0xFFFF_FFFF,
            v.FEATURE_ENABLE.hi.offset_bytes: self.offered >> 32,
            v.VQ_REASON.offset_bytes: shown.reason,
            v.VQ_POS.offset_bytes: 5 if shown.reason else 0,
            v.VQ_ERR_ADDR.lo.offset_bytes: 0x1234 if shown.reason else 0,
            R.STAT.TX_FRAMES.lo.offset_bytes: len(self.wire_out),
            R.STAT.RX_DROP_NO_BUFFER.lo.offset_bytes: self.no_buffer,
            R.STAT_QUEUE.KICKS.at(1).lo.offset_bytes: self.doorbells,
            R.STAT.TX_BYTES.hi.offset_bytes: 3,
            **{v.VQ_STOPPED.at(k).offset_bytes: words[k] for k in range(4)},
            **self._plain,
            **{0x10000 + 8 * number: value for number, value in self.counters.items()},
        }

    def _write(self, at: int, value: int) -> None:
        c = R.COMMON
        if self.blocks.write(at, value):
            return
        queue = self.queues[self.select["queue"]] if self.select["queue"] < len(self.queues) else QueueRegs(0)
        if at == c.DEVICE_STATUS.offset_bytes:
            self._write_status(value)
        elif at == c.DEVICE_FEATURE_SELECT.offset_bytes:
            self.select["device"] = value
        elif at == c.DRIVER_FEATURE_SELECT.offset_bytes:
            self.select["driver"] = value
        elif at == c.DRIVER_FEATURE.offset_bytes:
            low = 32 * self.select["driver"]
            self.accepted = self.accepted & ~(0xFFFF_FFFF << low) | value << low
        elif at == c.QUEUE_SELECT.offset_bytes:
            self.select["queue"] = value
        elif at == R.VENDOR.VQ_SELECT.offset_bytes:
            self.select["vendor"] = value
        elif at == c.CONFIG_MSIX_VECTOR.offset_bytes:
            self.config_vector = self._vector(value)
        elif at == c.QUEUE_MSIX_VECTOR.offset_bytes:
            queue.vector = self._vector(value)
        elif at == c.QUEUE_SIZE.offset_bytes:
            queue.size = value
        elif c.QUEUE_DESC.offset_bytes <= at < c.QUEUE_DEVICE.offset_bytes + 8:
            queue.areas[at - c.QUEUE_DESC.offset_bytes] = value
        elif at == c.QUEUE_ENABLE.offset_bytes:
            assert value == 1, "the driver must not write 0 to queue_enable"
            self._enable(queue)
        elif at == c.QUEUE_RESET.offset_bytes:
            queue.resetting, queue.ring = 2, None
            index = self.select["queue"]
            self._working = deque(work for work in self._working if work[0] != index)
        elif R.NOTIFY.offset_bytes <= at < R.MSIX_TABLE.ADDR_LO.offset_bytes:
            self._doorbell((at - R.NOTIFY.offset_bytes) // 4, value)
        elif R.MSIX_TABLE.ADDR_LO.offset_bytes <= at < R.MSIX_PBA.offset_bytes:
            self.table[divmod((at - R.MSIX_TABLE.ADDR_LO.offset_bytes) // 4, 4)] = value
        elif at == R.VENDOR.MSIX_CONTROL.offset_bytes:
            self.msix_control = value
        elif at in (R.VENDOR.FEATURE_ENABLE.lo.offset_bytes, R.VENDOR.FEATURE_ENABLE.hi.offset_bytes):
            high = at != R.VENDOR.FEATURE_ENABLE.lo.offset_bytes
            kept = self.offered & 0xFFFF_FFFF if high else self.offered >> 32 << 32
            self.offered = kept | (value << 32 if high else value)
        elif at == R.VENDOR.STAT_SNAPSHOT.offset_bytes:
            self.snapshots.append(value)
        else:
            raise AssertionError(f"write to {at:#x}")

    def _vector(self, value: int) -> int:
        limit = 2 * self.pairs + 1 if self.manners.vectors is None else self.manners.vectors
        return value if value < limit else R.NO_VECTOR

    def _write_status(self, value: int) -> None:
        status = R.DeviceStatus
        if value == 0:
            self.resetting = self.manners.reset_polls
            if self.resetting == 0 or self.status == 0:
                self._device_reset()
            return
        assert value & self.status & ~status.DEVICE_NEEDS_RESET == self.status & ~status.DEVICE_NEEDS_RESET
        sound = not self.accepted & ~self.offered and self.accepted & NEEDED == NEEDED
        if value & status.FEATURES_OK and (self.manners.refuse_features or not sound):
            value &= ~status.FEATURES_OK
        self.status |= value

    def _enable(self, queue: QueueRegs) -> None:
        desc, driver, device = (queue.areas[k] | queue.areas[k + 4] << 32 for k in (0, 8, 16))
        assert desc % 16 == driver % 4 == device % 4 == 0
        event_idx = bool(self.accepted >> R.Feature.RING_EVENT_IDX & 1)
        queue.ring = DeviceQueue(self.memory, queue.size, desc, driver, device, event_idx)
        queue.ring.indirect = self.has(R.Feature.RING_INDIRECT_DESC)
        queue.enabled = True
        assert not any(self.memory(desc, 16 * queue.size)), "the descriptor ring starts zeroed (2.8.13)"
        queue.ring.ask(self._doorbell_mode(queue.ring))

    def _doorbell_mode(self, ring: DeviceQueue) -> int:
        return self.manners.doorbell_mode if ring.event_idx else ENABLE

    def has(self, feature: R.Feature) -> bool:
        return bool(self.accepted >> feature & 1)

    def _doorbell(self, index: int, value: int) -> None:
        assert self.status & R.DeviceStatus.DRIVER_OK, "doorbell before DRIVER_OK"
        assert value & 0xFFFF == index, "the doorbell's value is the queue's index"
        self.doorbells += 1
        ring = self.queues[index].ring
        if ring is not None:
            if self.has(R.Feature.NOTIFICATION_DATA):
                assert value >> 16 == ring.next_to_fill(), "the doorbell tells where the driver writes next"
            else:
                assert value == index
            ring.awake = True
            ring.ask(DISABLE)

    # The device at work -------------------------------------------------------------------------------

    def step(self) -> None:
        """A slice of device time: take from rings that were rung, finish what is old enough."""
        self._now += STEP_NS
        if (
            self.status & (R.DeviceStatus.DRIVER_OK | R.DeviceStatus.DEVICE_NEEDS_RESET)
            != R.DeviceStatus.DRIVER_OK
        ):
            return
        for index, queue in enumerate(self.queues):
            if queue.ring is None or queue.reason:
                continue
            if queue.ring.awake:
                self._take(index, queue.ring)
        while self.wire_in and (ring := self.queues[0].ring) and ring.taken and not self.queues[0].reason:
            merge = self.has(R.Feature.NET_MRG_RXBUF)
            free = [buffer for buffer in ring.taken if not any(buffer is one for one, _ in self._parts)]
            parts = spread(self.manners.header, self.wire_in[0], free, merge, self.manners)
            if not parts:
                break
            self.wire_in.popleft()
            for buffer, data in parts:
                ring.scatter(buffer, data)
                self._parts.append((buffer, len(data)))
            while self._parts and not self.manners.part_by_part:
                self._use(0, *self._parts.popleft())
        if self._parts:
            self._use(0, *self._parts.popleft())
        if self.manners.shuffle:
            self.rng.shuffle(self._working)
        for _ in range(len(self._working)):
            index, buffer, steps = self._working.popleft()
            if steps > 0:
                self._working.append((index, buffer, steps - 1))
            else:
                self._use(index, buffer, 0)

    def _take(self, index: int, ring: DeviceQueue) -> None:
        while True:
            while buffer := ring.take():
                if index & 1:
                    raw = ring.gather(buffer)
                    size = 20 if self.has(R.Feature.NET_HASH_REPORT) else 12
                    header, frame = raw[:size], raw[size:]
                    check_tx_header(header, len(frame), self.accepted)
                    self.requests.append(header)
                    self.wire_out.append(complete_checksum(header, frame))
                    self._working.append((index, buffer, self.manners.delay_steps))
            ring.ask(self._doorbell_mode(ring))
            if not ring.available():  # looked again after asking, so no doorbell is lost
                ring.awake = False
                return
            ring.ask(DISABLE)

    def _use(self, index: int, buffer: Buffer, length: int) -> None:
        queue = self.queues[index]
        ring = queue.ring
        assert ring is not None
        if self.manners.spoil == "id":
            buffer.buffer_id = queue.size + 7
        elif self.manners.spoil == "length":
            length = buffer.writable_bytes + 1
        if ring.use(buffer, length):
            self.interrupt(queue.vector)

    def interrupt(self, vector: int) -> None:
        """Send a message as the MSI-X table tells."""
        if vector == R.NO_VECTOR or not R.VENDOR.MSIX_CONTROL_ENABLE.get(self.msix_control):
            return
        addr_lo, addr_hi, data, control = (self.table[vector, k] for k in range(4))
        if not control & 1 and not R.VENDOR.MSIX_CONTROL_FUNCTION_MASK.get(self.msix_control):
            assert (addr_lo, addr_hi) == (0xFEE0_0000, 0)
            self._fired.add(data)

    def stop_queue(self, index: int, reason: R.StopReason) -> None:
        """Stop a queue with an error, as the device would at a broken ring."""
        self.queues[index].reason = reason
        if not self.accepted >> R.Feature.RING_RESET & 1:
            self.status |= R.DeviceStatus.DEVICE_NEEDS_RESET
        self.interrupt(self.config_vector)
