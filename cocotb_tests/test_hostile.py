# SPDX-License-Identifier: Apache-2.0
"""Rings that no decent driver would offer, and memory that answers with errors.

Each time the queue must stop with its reason, the configuration interrupt must come, the other queues must
go on, and a queue reset must bring the queue back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cocotb
import pytest
from cocotb.triggers import gather

from cocotb_tests.agents.axi_memory import WRITE as AXI_WRITE
from cocotb_tests.audit import nic_test
from cocotb_tests.bar_watch import NOTIFY
from cocotb_tests.conftest import RunBench
from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.nic_tests import LONG, SHORT, TOP, Shape
from cocotb_tests.packed_walk import INDIRECT, NEXT, WRITE
from cocotb_tests.raw_device import CONFIG_VECTOR, Stopped
from cocotb_tests.raw_ring import Events, RawQueue
from cocotb_tests.rig import Rig
from cocotb_tests.traffic import feed, frame_of, receiver, sender
from driver.bus import DmaRegion
from driver.registers import VENDOR, DeviceStatus, Feature, StopReason

RX, TX = 0, 1
SLOTS = 8
NOWHERE = 0x1234_5678_9AC0  # no region is there
TIMEOUT = {"timeout_time": 40, "timeout_unit": "ms"}
R = StopReason


@dataclass(frozen=True)
class Hostile:
    """One kind of bad offer: entries (addr, length, flags) and the reasons that fit."""

    name: str
    queue: int
    entries: Callable[[int], list[tuple[int, int, int]]]  # of the address of good memory, 4 KiB of it
    reasons: tuple[StopReason, ...]
    at_slot: int = 0  # slot at fault, counted from the chain's first
    addr: Callable[[int], int] | None = None  # address at fault if it is not the descriptor's

    def __str__(self) -> str:
        return self.name


def good(queue: int) -> int:
    """Flags that fit the ring."""
    return 0 if queue & 1 else WRITE


def entry(queue: int, addr: int, size: int = 100, extra: int = 0) -> tuple[int, int, int]:
    """One element with fitting direction."""
    return addr, size, good(queue) | extra


def bad_offers() -> list[Hostile]:
    """The same list for both directions."""
    cases = []
    for q, way in ((TX, "tx"), (RX, "rx")):
        other = WRITE ^ good(q)
        cases += [
            Hostile(f"{way}_length_zero", q, lambda a, q=q: [entry(q, a, 0)], (R.DESC_LENGTH,)),
            Hostile(
                f"{way}_length_zero_inside_chain",
                q,
                lambda a, q=q: [entry(q, a, 64, NEXT), entry(q, a, 0, NEXT), entry(q, a, 64)],
                (R.DESC_LENGTH,),
                1,
            ),
            Hostile(f"{way}_wrong_direction", q, lambda a, o=other: [(a, 100, o)], (R.DESC_FLAGS,)),
            Hostile(
                f"{way}_wrong_direction_inside_chain",
                q,
                lambda a, q=q, o=other: [entry(q, a, 100, NEXT), (a + 512, 100, o)],
                (R.DESC_FLAGS,),
                1,
            ),
            Hostile(f"{way}_indirect", q, lambda a, q=q: [entry(q, a, 64, INDIRECT)], (R.DESC_FLAGS,)),
            Hostile(
                f"{way}_chain_of_next_all_around_the_ring",
                q,
                lambda a, q=q: [entry(q, a + 64 * n, 64, NEXT) for n in range(SLOTS)],
                (R.CHAIN_LONG, R.CHAIN_BROKEN),
                SLOTS - 1,
            ),
            Hostile(
                f"{way}_chain_ends_in_a_slot_that_is_not_offered",
                q,
                lambda a, q=q: [entry(q, a, 64, NEXT), entry(q, a + 64, 64, NEXT)],
                (R.CHAIN_BROKEN,),
                2,
            ),
            Hostile(
                f"{way}_address_outside_memory",
                q,
                lambda a, q=q: [entry(q, NOWHERE)],
                (R.DATA_READ if q == TX else R.DATA_WRITE,),
                0,
                lambda a: NOWHERE,
            ),
            Hostile(
                f"{way}_second_element_outside_memory",
                q,
                lambda a, q=q: [entry(q, a, 40, NEXT), entry(q, NOWHERE, 2000)],
                (R.DATA_READ if q == TX else R.DATA_WRITE,),
                0,
                lambda a: NOWHERE,
            ),
            Hostile(
                f"{way}_address_at_the_end_of_everything",
                q,
                lambda a, q=q: [entry(q, (1 << 64) - 50, 100)],
                (R.DATA_READ if q == TX else R.DATA_WRITE, R.DESC_LENGTH),
                0,
                lambda a: (1 << 64) - 50,
            ),
        ]
    return cases


async def innocent_traffic(rig: Rig, hostile: int, count: int = 24) -> None:
    """Traffic on every other queue; it must pass as if nothing had happened."""
    jobs = []
    for queue, raw in rig.device.queues.items():
        if queue == hostile:
            continue
        frames = [
            frame_of(rig.rng, queue, n + 1000 * rig.cycle, rig.rng.randint(14, 300)) for n in range(count)
        ]
        pump = rig.pumps.get(queue)
        if pump is None or pump.queue is not raw:
            make = sender if queue & 1 else receiver
            pump = rig.pumps[queue] = make(rig, queue, HEADER_BYTES + 300, cells=8)
        if queue & 1:
            jobs.append(pump.run(frames))
        elif queue == RX:
            jobs += [pump.run(count), feed(rig, pump, frames)]
    await gather(*jobs)


def sizes(rig: Rig) -> dict[int, int]:
    """Both queues of pair 0, and all other transmit queues."""
    return {q: SLOTS for q in range(rig.queues) if q & 1 or q == RX}


async def expect_stop(rig: Rig, queue: int, reasons: tuple[StopReason, ...], limit: int = 8000) -> Stopped:
    """Wait for the configuration interrupt and return the vendor window's account."""
    fired = await rig.harness.wait_irq([CONFIG_VECTOR], limit * 4)
    told = await rig.device.stopped(queue)
    assert fired == {CONFIG_VECTOR}, f"no configuration interrupt; queue {queue}: {told}"
    assert told.stopped and told.reason in reasons, f"queue {queue}: {told}, expected {reasons}"
    bitmap = await rig.harness.read(VENDOR.VQ_STOPPED.at(queue // 32).offset_bytes)
    assert bitmap == 1 << queue % 32
    return told


async def recover(rig: Rig, queue: int) -> None:
    """Reset the queue, set it up again, and pass traffic on all queues."""
    await rig.device.reset_queue(queue)
    assert not (await rig.device.stopped(queue)).stopped
    await rig.device.add_queue(queue, SLOTS)
    await innocent_traffic(rig, -1, 6)


async def provoke(rig: Rig, case: Hostile, region: DmaRegion) -> None:
    """Offer the bad chain; a receive queue also needs a frame that runs into it."""
    raw = rig.device.queues[case.queue]
    raw.offer_raw(case.entries(region.iova))
    await rig.device.kick(case.queue)
    if case.queue == RX:
        await rig.cycles(600)
        rig.wire.send([frame_of(rig.rng, RX, rig.cycle, 300)])


@nic_test(**TIMEOUT)
async def bad_offers_stop_their_queue_only(dut: Any) -> None:
    """Each bad offer, with traffic on the other queues before, during and after."""
    rig = Rig(dut, poison=False)
    rig.knobs.latency_cycles, rig.knobs.jitter_cycles = 40, 40
    await rig.start()
    await rig.device.start(sizes(rig))
    for case in bad_offers():
        cocotb.log.info("offer: %s", case)
        if rig.device.queues[case.queue].outstanding:  # good buffers would come first
            await rig.device.reset_queue(case.queue)
            await rig.device.add_queue(case.queue, SLOTS)
        region = rig.harness.dma_alloc(4096, 64)
        traffic = cocotb.start_soon(innocent_traffic(rig, case.queue))
        await rig.cycles(rig.rng.randrange(300))
        raw = rig.device.queues[case.queue]
        slot = raw.next_avail.slot
        await provoke(rig, case, region)
        told = await expect_stop(rig, case.queue, case.reasons)
        await traffic
        if case.addr is not None:
            wanted, beat = case.addr(region.iova), rig.harness.data_w // 8
            assert wanted - beat < told.addr < wanted + 2000, f"{case}: {told}"
        elif len(case.reasons) == 1:
            assert told.addr == raw.desc.iova + 16 * ((slot + case.at_slot) % SLOTS), f"{case}: {told}"
        # Writes are posted: a used descriptor may follow data that could not be written (as on PCI Express).
        assert told.reason is R.DATA_WRITE or not raw.reap(), f"{case}: used"
        rig.check()
        await recover(rig, case.queue)
        rig.harness.dma_free(region)
    await rig.finish(statistics=False)


FLAWS = ("ring_unaligned", "driver_unaligned", "device_unaligned", "size_zero", "size_large")
AREAS = {
    "ring": ("desc", (R.DESC_READ,)),
    "driver_events": ("driver", (R.EVENT_READ,)),
    "device_events": ("device", (R.EVENT_WRITE,)),
}


@nic_test(**TIMEOUT)
@cocotb.parametrize(area=[cocotb.Param(area, area) for area in AREAS], queue=[RX, TX])
async def area_outside_memory_stops_the_queue(dut: Any, area: str, queue: int) -> None:
    """Ring base or event structures where no memory is."""
    rig = Rig(dut, salt=(area, queue))
    rig.knobs.latency_cycles = 40
    await rig.start()
    field, reasons = AREAS[area]
    await rig.device.negotiate()
    for number in sizes(rig):
        where = {field: NOWHERE} if number == queue else {}
        await rig.device.add_queue(number, SLOTS, **where)
    await rig.device.go()
    traffic = cocotb.start_soon(innocent_traffic(rig, queue))
    await offer_one(rig, queue)
    told = await expect_stop(rig, queue, reasons)
    assert NOWHERE <= told.addr < NOWHERE + 64
    await traffic
    await recover(rig, queue)
    await rig.finish(statistics=False)


async def offer_one(rig: Rig, queue: int) -> RawQueue:
    """Offer one good chain and, for a receive queue, a frame for it."""
    raw = rig.device.queues[queue]
    region = rig.harness.dma_alloc(2048, 64)
    raw.set_interrupts(Events.ENABLE)
    raw.offer([(region.iova, 112 if queue & 1 else 2048)], device_writes=not queue & 1)
    await rig.device.kick(queue)
    if queue == RX:
        await rig.cycles(600)
        rig.wire.send([frame_of(rig.rng, RX, rig.cycle, 100)])
    return raw


ACCESSES = ["descriptor", "event_read", "data", "used", "event_write"]


@nic_test(**TIMEOUT)
@cocotb.parametrize(access=[cocotb.Param(access, access) for access in ACCESSES], queue=[RX, TX])
async def error_response_stops_the_queue(dut: Any, access: str, queue: int) -> None:
    """The first access of one kind gets SLVERR: right reason, right address."""
    rig = Rig(dut, salt=(access, queue))
    rig.knobs.latency_cycles = 40
    await rig.start()
    await rig.device.start(sizes(rig))
    raw, reasons = rig.device.queues[queue], (R.NONE,)
    low, size, writes = {
        "descriptor": (raw.desc.iova, 16 * SLOTS, False),
        "event_read": (raw.driver.iova, 4, False),
        "data": (0, 0, not queue & 1),
        "used": (raw.desc.iova, 16 * SLOTS, True),
        "event_write": (raw.device.iova, 4, True),
    }[access]
    reasons = {
        "descriptor": (R.DESC_READ,),
        "event_read": (R.EVENT_READ,),
        "data": (R.DATA_READ if queue & 1 else R.DATA_WRITE,),
        "used": (R.USED_WRITE,),
        "event_write": (R.EVENT_WRITE,),
    }[access]
    areas = [(r.iova, r.iova + max(64, r.size_bytes)) for r in rig.device.regions[queue]]

    def fault(kind: str, addr: int, length: int, user: int) -> bool:
        if user != queue or (kind == AXI_WRITE) != writes:
            return False
        if access == "data":
            return not any(start < addr + length and addr < end for start, end in areas)
        return addr < low + size and low < addr + length

    rig.harness.memory.fault = fault
    traffic = cocotb.start_soon(innocent_traffic(rig, queue))
    await offer_one(rig, queue)
    told = await expect_stop(rig, queue, reasons)
    rig.harness.memory.fault = None
    bad = rig.harness.memory.bad_accesses
    assert any(b.addr_bus - 64 < told.addr < b.addr_bus + b.size_bytes for b in bad), f"{told} {bad}"
    await traffic
    await recover(rig, queue)
    await rig.finish(statistics=False)


@nic_test(**TIMEOUT)
async def doorbells_for_missing_and_disabled_queues(dut: Any) -> None:
    """They are counted with the last one's number, and change nothing else."""
    rig = Rig(dut)
    await rig.start()
    await rig.device.start({RX: SLOTS, TX: SLOTS})
    reads = rig.harness.monitor.counts.reads
    missing = [rig.queues, rig.queues + 5, 300, 1023]
    disabled = [q for q in range(2, rig.queues)]
    count_reg, last_reg = VENDOR.BAD_DOORBELL_COUNT.offset_bytes, VENDOR.BAD_DOORBELL_LAST.offset_bytes
    before = await rig.harness.read(count_reg)
    for number, queue in enumerate([*missing, *disabled]):
        await rig.harness.write(NOTIFY + 4 * queue, queue & 0xFFFF)
        await rig.cycles(40)
        assert await rig.harness.read(count_reg) == before + number + 1, f"doorbell {queue}"
        last = await rig.harness.read(last_reg)
        assert VENDOR.BAD_DOORBELL_LAST_VALUE.get(last) == queue & 0xFFFF
    assert rig.harness.monitor.counts.reads == reads, "a bad doorbell made the device read"
    await innocent_traffic(rig, -1)
    assert not await rig.harness.wait_irq([CONFIG_VECTOR], 0)
    await rig.finish()


@nic_test(**TIMEOUT)
async def without_ring_reset_an_error_needs_a_device_reset(dut: Any) -> None:
    """DEVICE_NEEDS_RESET shows, with the configuration interrupt, and a device reset clears it."""
    rig = Rig(dut)
    await rig.start()
    await rig.device.start(sizes(rig), without=[Feature.RING_RESET])
    traffic = cocotb.start_soon(innocent_traffic(rig, TX))
    rig.device.queues[TX].offer_raw([(NOWHERE, 100, WRITE)])
    await rig.device.kick(TX)
    await expect_stop(rig, TX, (R.DESC_FLAGS,))
    assert await rig.device.status() & DeviceStatus.DEVICE_NEEDS_RESET
    await traffic
    await rig.device.start(sizes(rig))
    assert not await rig.device.status() & DeviceStatus.DEVICE_NEEDS_RESET
    await innocent_traffic(rig, -1)
    await rig.finish(statistics=False)


@nic_test(**TIMEOUT)
@cocotb.parametrize(flaw=[cocotb.Param(flaw, flaw) for flaw in FLAWS])
async def bad_configuration_stops_the_queue(dut: Any, flaw: str) -> None:
    """Addresses that are not aligned (VIRTIO 1.2 section 2.8.10.1) and sizes that do not exist."""
    rig = Rig(dut, salt=flaw)
    await rig.start()
    await rig.device.negotiate()
    for number in sizes(rig):
        if number != TX:
            await rig.device.add_queue(number, SLOTS)
    region = rig.harness.dma_alloc(256, 64)
    areas = {"desc": region.iova, "driver": region.iova + 128, "device": region.iova + 192}
    slots = {"size_zero": 0, "size_large": 0x8001}.get(flaw, SLOTS)
    name = {"ring_unaligned": "desc", "driver_unaligned": "driver", "device_unaligned": "device"}.get(flaw)
    if name is not None:
        areas[name] += 8 if name == "desc" else 2
    await rig.device.enable_flawed(TX, slots, **areas)
    await rig.device.go()
    await rig.device.kick(TX)
    traffic = cocotb.start_soon(innocent_traffic(rig, TX))
    await expect_stop(rig, TX, (R.RING_CONFIG,))
    await traffic
    await rig.finish(statistics=False)


CASES = [
    "bad_offers_stop_their_queue_only",
    "area_outside_memory_stops_the_queue",
    "error_response_stops_the_queue",
    "doorbells_for_missing_and_disabled_queues",
    "without_ring_reset_an_error_needs_a_device_reset",
    "bad_configuration_stops_the_queue",
]


@pytest.mark.sim
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_hostile(run_bench: RunBench, shape: Shape, case: str) -> None:
    run_bench(TOP, case, **shape.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("shape", LONG, ids=str)
def test_hostile_on_other_shapes(run_bench: RunBench, shape: Shape) -> None:
    run_bench(TOP, CASES, **shape.parameters)
