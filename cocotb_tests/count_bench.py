# SPDX-License-Identifier: Apache-2.0
"""A whole NIC whose every counter is read before and after something happens to it."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import cocotb
from cocotb.triggers import Timer

from cocotb_tests.agents.axi_memory import READ, WRITE
from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.raw_device import BASE_FEATURES, RawDevice
from driver.bus import DmaRegion
from driver.registers import FEATURES_OFFERED, STAT, STAT_QUEUE, VENDOR, QueueStat, Reg, Stat
from driver.stats import queue_name
from driver.steering import Found, Steering
from sim.memory import HostMemory
from sim.pins import CLOCK_NS, DEFAULT_MAC, PinsHarness
from sim.stats_sim import LOCAL, REMOTE, REMOTE_MAC, UDP, frame

RX, TX, RX1, TX1 = range(4)  # virtqueues of pairs 0 and 1
SLOTS = 16
NOWHERE = 0x1234_5678_9A00  # no region is there
LATENCY_CYCLES = 30
QUIET_CYCLES = 300
PATIENCE_CYCLES = 60_000
FLOW = (LOCAL, 7000), (REMOTE, 7001)  # of the tests that need one: (our end, the other)


class CountBench:
    """Pins harness and raw device of one test; rings are served by hand."""

    def __init__(self, dut: Any, salt: object = "") -> None:
        seed = f"{cocotb.RANDOM_SEED} {salt}"
        self.rng = random.Random(f"count {seed}")
        host = HostMemory(placement=random.Random(f"placement {seed}"))
        self.harness = PinsHarness(dut, seed, memory=host)  # type: ignore[arg-type]
        self.harness.memory.knobs.latency_cycles = LATENCY_CYCLES
        self.device = RawDevice(self.harness)
        self.dut = dut
        self.header = bytes(HEADER_BYTES)  # before each frame to send
        self._number = 0

    async def start(
        self, queues: Sequence[int] = (RX, TX, RX1, TX1), features: int = BASE_FEATURES, **options: Any
    ) -> None:
        """Reset the pins and bring these queues up with SLOTS slots each."""
        await self.harness.start()
        await self.up(queues, features, **options)

    async def up(self, queues: Sequence[int], features: int = BASE_FEATURES, **options: Any) -> None:
        """Bring the device up; it may have been up before."""
        await self.device.start(dict.fromkeys(queues, SLOTS), features=features, **options)

    async def offer_all(self, without: int = 0) -> None:
        """Have the device offer every feature that it has, but these bits."""
        enable, mask = VENDOR.FEATURE_ENABLE, FEATURES_OFFERED & ~without
        await self.harness.write(enable.lo.offset_bytes, mask & 0xFFFF_FFFF)
        await self.harness.write(enable.hi.offset_bytes, mask >> 32)

    async def cycles(self, count: int) -> None:
        """Let time pass."""
        await Timer(count * CLOCK_NS, "ns")

    async def settle(self) -> None:
        """Wait until neither wire nor memory has moved for a while."""
        loop, quiet = self.harness.loop, 0
        limit = loop.cycle + PATIENCE_CYCLES
        while quiet < QUIET_CYCLES:
            await self.cycles(50)
            quiet = quiet + 50 if self.harness.idle else 0
            assert loop.cycle < limit, "the NIC is never quiet"

    # Frames ---------------------------------------------------------------------------------------------

    def plain(self, size: int = 60) -> bytes:
        """A frame of `size` octets, unlike all before, of a protocol that nobody has: for the host."""
        self._number += 1
        head = DEFAULT_MAC + b"\x02" + self._number.to_bytes(5, "big") + b"\x88\xb5"
        return (head + self.rng.randbytes(max(0, size - len(head))))[:size]

    @staticmethod
    def inwards(
        proto: int = UDP, ends: tuple[tuple[str, int], tuple[str, int]] = FLOW, size: int = 40
    ) -> bytes:
        """A frame from the other end of `ends` to ours."""
        return frame(proto, (REMOTE_MAC, DEFAULT_MAC), ends[::-1], size)

    @staticmethod
    def outwards(
        proto: int = UDP, ends: tuple[tuple[str, int], tuple[str, int]] = FLOW, size: int = 40
    ) -> bytes:
        """A frame from our end of `ends` to the other."""
        return frame(proto, (DEFAULT_MAC, REMOTE_MAC), ends, size)

    async def steering(self) -> Steering:
        """The tables, empty and on, with LOCAL as our address."""
        steering = await Steering.attach(self.harness, state=Found.EMPTY)
        await steering.locals.set([LOCAL])
        await steering.enable()
        return steering

    # Rings ----------------------------------------------------------------------------------------------

    def memory_with(self, octets: bytes) -> DmaRegion:
        """Memory of the device's that holds these octets."""
        region = self.harness.dma_alloc(len(octets), 64)
        memoryview(region.view)[: len(octets)] = octets
        return region

    async def chain(self, queue: int, *entries: tuple[int, int, int]) -> None:
        """Offer one chain of (address, length, flags), legal or not, and ring the doorbell."""
        self.device.queues[queue].offer_raw(entries)
        await self.device.kick(queue)

    async def send(self, queue: int, *frames: bytes) -> None:
        """Offer these frames, each in one buffer, and wait until nothing moves."""
        for octets in frames:
            region = self.memory_with(self.header + octets)
            self.device.queues[queue].offer([(region.iova, region.size_bytes)], device_writes=False)
        await self.device.kick(queue)
        await self.settle()

    async def buffers(self, queue: int, count: int, size: int = 2048) -> list[DmaRegion]:
        """Offer buffers and wait until the device has fetched them."""
        regions = [self.harness.dma_alloc(size, 64) for _ in range(count)]
        for region in regions:
            self.device.queues[queue].offer([(region.iova, size)], device_writes=True)
        await self.device.kick(queue)
        await self.settle()
        return regions

    async def arrive(self, *frames: bytes, bad: bool = False) -> None:
        """Frames come in from the wire; wait until nothing moves."""
        self.harness.wire.send(frames, bad=bad)
        await self.settle()

    # Counters -------------------------------------------------------------------------------------------

    async def counters(self) -> dict[str, int]:
        """All counters, low halves; and of each queue `<name>_reason`, why it stopped."""
        read, queues = self.harness.read, range(self.harness.monitor.queues)
        seen = {stat.name.lower(): await self._low(getattr(STAT, stat.name)) for stat in Stat}
        seen["bad_doorbell_count"] = await read(VENDOR.BAD_DOORBELL_COUNT.offset_bytes)
        for queue in queues:
            name = queue_name(queue)
            for stat in QueueStat:
                reg = getattr(STAT_QUEUE, stat.name).at(queue)
                seen[f"{name}_{stat.name.lower()}"] = await self._low(reg)
            stopped = await self.device.stopped(queue)
            assert stopped.stopped == bool(stopped.reason)
            seen[f"{name}_reason"] = int(stopped.reason)
        return seen

    async def _low(self, reg: Reg) -> int:
        return await self.harness.read(reg.lo.offset_bytes)

    def refused(self) -> dict[str, int]:
        """The error counters that memory's own record asks for."""
        bad, beat = self.harness.memory.bad_accesses, self.harness.data_w // 8
        beats = sum(access.size_bytes // beat for access in bad if access.kind == READ)  # each has a response
        return {"dma_read_errors": beats, "dma_write_errors": sum(access.kind == WRITE for access in bad)}


Case = Callable[[CountBench], Awaitable[dict[str, int]]]


class Cases(dict[str, Case]):
    """Cases by their functions' names."""

    def add(self, function: Case) -> Case:
        """Decorator: note a case."""
        self[function.__name__] = function
        return function


OnOff = Callable[[CountBench, bool], Awaitable[None]]


class OnOffCases(dict[str, OnOff]):
    """Cases that are run with something off and on, by their functions' names."""

    def add(self, function: OnOff) -> OnOff:
        """Decorator: note a case."""
        self[function.__name__] = function
        return function
