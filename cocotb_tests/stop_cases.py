# SPDX-License-Identifier: Apache-2.0
"""A case for each reason for which a queue stops, and for the counters of errors; as drop_cases."""

from cocotb_tests.agents.axi_memory import WRITE as AXI_WRITE
from cocotb_tests.bar_watch import NOTIFY
from cocotb_tests.count_bench import NOWHERE, RX, SLOTS, TX, TX1, Cases, CountBench
from cocotb_tests.nic_tests import WIDE
from cocotb_tests.packed_walk import INDIRECT, NEXT, WRITE
from cocotb_tests.raw_device import BASE_FEATURES
from cocotb_tests.raw_ring import Events
from driver.registers import Feature, StopReason
from driver.windows import Guard, Window

R = StopReason
CASES = Cases()
case = CASES.add


async def stops(bench: CountBench, queue: int, reason: StopReason) -> dict[str, int]:
    """What a stopped queue shows once all is quiet."""
    await bench.settle()
    return {f"{'tx' if queue & 1 else 'rx'}{queue // 2}_reason": reason, **bench.refused()}


async def misplaced(bench: CountBench, area: str) -> None:
    """One area of TX1 is where no memory is; the doorbell rings."""
    await bench.harness.start()
    await bench.device.negotiate()
    raw = await bench.device.add_queue(TX1, SLOTS, **{area: NOWHERE})
    await bench.device.go()
    raw.set_interrupts(Events.ENABLE)
    await bench.device.kick(TX1)


@case
async def ring_config(bench: CountBench) -> dict[str, int]:
    """RING_CONFIG: a ring at an address that is not a multiple of 16."""
    await bench.harness.start()
    await bench.device.negotiate()
    region = bench.harness.dma_alloc(1024, 64)
    await bench.device.enable_flawed(TX1, SLOTS, region.iova + 8, region.iova + 512, region.iova + 516)
    await bench.device.go()
    await bench.device.kick(TX1)
    return await stops(bench, TX1, R.RING_CONFIG)


@case
async def desc_read(bench: CountBench) -> dict[str, int]:
    await misplaced(bench, "desc")
    return await stops(bench, TX1, R.DESC_READ)


@case
async def event_read(bench: CountBench) -> dict[str, int]:
    await misplaced(bench, "driver")
    await bench.send(TX1, bench.plain())
    return await stops(bench, TX1, R.EVENT_READ)


@case
async def event_write(bench: CountBench) -> dict[str, int]:
    await misplaced(bench, "device")
    return await stops(bench, TX1, R.EVENT_WRITE)


@case
async def data_read(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.chain(TX1, (NOWHERE, 64, 0))
    counted = {"tx_drop_queue_error": 1, "tx1_drops": 1}
    return await stops(bench, TX1, R.DATA_READ) | counted


@case
async def data_write(bench: CountBench) -> dict[str, int]:
    """Writes are posted: the frame counts as delivered, and the queue stops."""
    await bench.start()
    await bench.chain(RX, (NOWHERE, 2048, WRITE))
    await bench.settle()
    await bench.arrive(bench.plain())
    return await stops(bench, RX, R.DATA_WRITE)


@case
async def used_write(bench: CountBench) -> dict[str, int]:
    await bench.start()
    raw = bench.device.queues[TX]
    ends = raw.desc.iova, raw.desc.iova + 16 * SLOTS
    bench.harness.memory.fault = lambda kind, addr, size, queue: (
        kind == AXI_WRITE and addr < ends[1] and ends[0] < addr + size
    )
    await bench.send(TX, bench.plain())
    return await stops(bench, TX, R.USED_WRITE)


@case
async def desc_length(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.chain(TX1, (NOWHERE, 0, 0))
    return await stops(bench, TX1, R.DESC_LENGTH)


@case
async def desc_flags(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.chain(TX1, (NOWHERE, 64, WRITE))
    return await stops(bench, TX1, R.DESC_FLAGS)


@case
async def chain_broken(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.chain(TX1, (NOWHERE, 64, NEXT))
    return await stops(bench, TX1, R.CHAIN_BROKEN)


@case
async def chain_long(bench: CountBench) -> dict[str, int]:
    """More descriptors than the cache holds, in a ring that has room for them."""
    await bench.start((RX, TX))
    cache = WIDE.desc_cache
    await bench.device.add_queue(TX1, 2 * cache)
    await bench.chain(TX1, *[(NOWHERE, 64, NEXT)] * cache, (NOWHERE, 64, 0))
    return await stops(bench, TX1, R.CHAIN_LONG)


@case
async def window(bench: CountBench) -> dict[str, int]:
    """WINDOW: pair 1 may touch its rings and nothing else."""
    await bench.start((RX, TX, TX1))
    areas = [Window.of(region) for region in bench.device.regions[TX1]]
    await Guard(bench.harness).set_windows(1, areas)
    region = bench.memory_with(bench.header + bench.plain())
    await bench.chain(TX1, (region.iova, region.size_bytes, 0))
    return await stops(bench, TX1, R.WINDOW)


@case
async def indirect(bench: CountBench) -> dict[str, int]:
    """INDIRECT: a table whose length is no multiple of 16."""
    await bench.start(features=BASE_FEATURES | 1 << Feature.RING_INDIRECT_DESC)
    await bench.chain(TX1, (NOWHERE, 24, INDIRECT))
    return await stops(bench, TX1, R.INDIRECT)


@case
async def dma_read_errors(bench: CountBench) -> dict[str, int]:
    """One access, one count: a buffer of one beat."""
    await bench.start()
    await bench.chain(TX, (NOWHERE, 64, 0))
    await bench.settle()
    assert len(bench.harness.memory.bad_accesses) == 1
    return {"dma_read_errors": 1, "tx_drop_queue_error": 1, "tx0_drops": 1, "tx0_reason": R.DATA_READ}


@case
async def dma_write_errors(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.chain(RX, (NOWHERE, 64, WRITE))
    await bench.settle()
    await bench.arrive(bench.plain(52))
    assert len(bench.harness.memory.bad_accesses) == 1
    return {"dma_write_errors": 1, "rx0_reason": R.DATA_WRITE}


@case
async def bad_doorbell_count(bench: CountBench) -> dict[str, int]:
    """A queue that is not enabled, one that does not exist, and a value that is not the queue's."""
    await bench.start()
    for doorbell, value in ((5, 5), (900, 900), (TX, TX1)):
        await bench.harness.write(NOTIFY + 4 * doorbell, value)
    await bench.settle()
    return {"bad_doorbell_count": 3}
