# SPDX-License-Identifier: Apache-2.0
"""A case for each reason to drop a frame or to count it as faulty; test_drop_reasons runs them.

A case has its reason's name, provokes that reason alone on a whole NIC, and returns the counters that must
have moved, and by how much, from what it sent and what it found in rings and memory.
"""

from cocotb_tests.bar_watch import DEVICE_STATUS
from cocotb_tests.count_bench import FLOW, NOWHERE, RX, RX1, SLOTS, TX, TX1, Cases, CountBench
from cocotb_tests.frame_rules import HEADER_BYTES, MAX_FRAME, MIN_FRAME
from driver.registers import StopReason
from driver.steering import TO_DROP, FlowKey, to_queue
from driver.windows import Guard
from sim.stats_sim import LOCAL, UDP

R = StopReason
CASES = Cases()
case = CASES.add


# Received frames ------------------------------------------------------------------------------------------


@case
async def rx_drop_bad(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.buffers(RX, 8)
    await bench.arrive(bench.plain(), bench.plain(13), bench.plain(MAX_FRAME), bad=True)
    return {"rx_drop_bad": 3}


@case
async def rx_drop_short(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.buffers(RX, 8)
    await bench.arrive(bench.plain(MIN_FRAME - 1), bench.plain(1), bench.plain(MIN_FRAME))
    return {"rx_drop_short": 2}


@case
async def rx_drop_long(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.buffers(RX, 8, 10_000)
    await bench.arrive(bench.plain(MAX_FRAME), bench.plain(MAX_FRAME + 1), bench.plain(11_000))
    return {"rx_drop_long": 2}


@case
async def rx_drop_overflow(bench: CountBench) -> dict[str, int]:
    """Memory that takes no writes; the ring then shows how many frames were kept."""
    await bench.start((TX,))
    await bench.device.add_queue(RX, 64)
    count, size = 8, 9000  # the buffer holds 32 KiB; three leave less room than a fourth needs
    await bench.buffers(RX, count, HEADER_BYTES + size)
    knobs = bench.harness.memory.knobs
    knobs.max_writes = 0
    bench.harness.wire.send([bench.plain(size) for _ in range(count)])
    while not bench.harness.wire.source.idle:
        await bench.cycles(50)
    knobs.max_writes = 256
    await bench.settle()
    kept = len(bench.device.queues[RX].reap())
    assert 0 < kept < count
    return {"rx_drop_overflow": count - kept}


@case
async def rx_drop_no_buffer(bench: CountBench) -> dict[str, int]:
    """Two for pair 0, whose ring is empty, three for pair 1, which is not enabled."""
    await bench.start((RX, TX))
    steering = await bench.steering()
    await steering.flows.insert(FlowKey.of(UDP, *FLOW[0], *FLOW[1]), to_queue(1))
    await bench.arrive(bench.plain(), bench.inwards(), bench.inwards(), bench.plain(), bench.inwards())
    return {"rx_drop_no_buffer": 5, "rx0_drops": 2, "rx1_drops": 3}


@case
async def rx_drop_too_small(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.buffers(RX, 2, HEADER_BYTES + 100)
    await bench.arrive(bench.plain(101), bench.plain(5000), bench.plain(100))
    return {"rx_drop_too_small": 2, "rx0_drops": 2}


@case
async def rx_drop_queue_error(bench: CountBench) -> dict[str, int]:
    """The queue of pair 1 stopped; frames for it are dropped, those for pair 0 delivered."""
    await bench.start()
    steering = await bench.steering()
    await steering.flows.insert(FlowKey.of(UDP, *FLOW[0], *FLOW[1]), to_queue(1))
    await bench.buffers(RX, 4)
    await bench.chain(RX1, (NOWHERE, 100, 0))
    await bench.settle()
    await bench.arrive(bench.inwards(), bench.plain(), bench.inwards())
    assert len(bench.device.queues[RX].reap()) == 1
    return {"rx_drop_queue_error": 2, "rx1_drops": 2, "rx1_reason": R.DESC_FLAGS}


@case
async def rx_drop_reset(bench: CountBench) -> dict[str, int]:
    """A device reset while frames wait for memory, and while one is half received."""
    await bench.start()
    await bench.buffers(RX, SLOTS)
    knobs, wire = bench.harness.memory.knobs, bench.harness.wire
    knobs.max_writes = 0
    bench.harness.wire.send([bench.plain(1000) for _ in range(9)])
    await bench.cycles(400)
    await bench.harness.write(DEVICE_STATUS, 0, 1)
    knobs.max_writes = 256
    ring = bench.device.queues[RX]
    await bench.device.reset()
    inside = 9 - len(ring.reap())
    wire.knobs.gap = 0.5
    await bench.up((RX, TX))
    wire.send([bench.plain(9000)])
    await bench.cycles(60)
    assert not wire.source.idle
    await bench.device.reset()
    wire.knobs.gap = 0.0
    await bench.settle()
    return {"rx_drop_reset": inside + 1}


@case
async def rx_drop_filter(bench: CountBench) -> dict[str, int]:
    await bench.start()
    steering = await bench.steering()
    await steering.flows.insert(FlowKey.of(UDP, *FLOW[0], *FLOW[1]), TO_DROP)
    await bench.buffers(RX, 4)
    await bench.arrive(bench.inwards(), bench.inwards(), bench.plain())
    return {"rx_drop_filter": 2, "rx0_drops": 2}


@case
async def rx_malformed(bench: CountBench) -> dict[str, int]:
    """An IPv4 length that is shorter than the header, and one beyond the frame: delivered, and counted."""
    await bench.start()
    await bench.buffers(RX, 4)
    good = bench.inwards()
    lies = [good[:16] + length.to_bytes(2, "big") + good[18:] for length in (19, len(good))]
    await bench.arrive(*lies)
    assert len(bench.device.queues[RX].reap()) == 2
    return {"rx_malformed": 2}


@case
async def rx_fragments(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.buffers(RX, 4)
    good = bench.inwards()
    await bench.arrive(*(good[:20] + word + good[22:] for word in (b"\x20\x00", b"\x00\x04")))
    return {"rx_fragments": 2}


@case
async def rx_csum_bad(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.buffers(RX, 4)
    good = bench.inwards()
    await bench.arrive(good[:-1] + bytes([good[-1] ^ 1]), good)
    return {"rx_csum_bad": 1}


# Frames to send -------------------------------------------------------------------------------------------


@case
async def tx_drop_short(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.send(TX, bench.plain(MIN_FRAME - 1), bench.plain(MIN_FRAME))
    await bench.send(TX1, b"", bench.plain(1))
    return {"tx_drop_short": 3, "tx0_drops": 1, "tx1_drops": 2}


@case
async def tx_drop_long(bench: CountBench) -> dict[str, int]:
    await bench.start()
    await bench.send(TX, bench.plain(MAX_FRAME), bench.plain(MAX_FRAME + 1))
    await bench.send(TX1, bench.plain(20_000), bench.plain(66_000))
    return {"tx_drop_long": 3, "tx0_drops": 1, "tx1_drops": 2}


@case
async def tx_drop_header(bench: CountBench) -> dict[str, int]:
    """Checksum and segmentation asked for, and not negotiated."""
    await bench.start()
    bench.header = bytes([1]) + bytes(HEADER_BYTES - 1)
    await bench.send(TX, bench.plain(), bench.plain(300))
    bench.header = bytes([0, 1]) + bytes(HEADER_BYTES - 2)
    await bench.send(TX1, bench.plain())
    return {"tx_drop_header": 3, "tx0_drops": 2, "tx1_drops": 1}


@case
async def tx_drop_queue_error(bench: CountBench) -> dict[str, int]:
    """The second of three chains is not in memory: the first leaves, the queue is over then."""
    await bench.start()
    region = bench.memory_with(bench.header + bench.plain(52))
    for address in (region.iova, NOWHERE, region.iova):
        bench.device.queues[TX1].offer([(address, 64)], device_writes=False)
    reads: list[int] = []
    bench.harness.memory.on_read.append(lambda addr, size, queue, resp: reads.append(addr))
    await bench.device.kick(TX1)
    await bench.settle()
    assert len(bench.harness.wire.take()) == 1
    # Chains that were begun when the error came are over, too; one that was not is none.
    lost = reads.count(NOWHERE) + reads.count(region.iova) - 1
    return {"tx_drop_queue_error": lost, "tx1_drops": lost, "tx1_reason": R.DATA_READ, **bench.refused()}


@case
async def tx_drop_reset(bench: CountBench) -> dict[str, int]:
    """A device reset while the data of three chains is being read."""
    await bench.start()
    bench.harness.memory.knobs.latency_cycles = 600
    regions = [bench.memory_with(bench.header + bench.plain(52)) for _ in range(3)]
    asked: list[int] = []
    bench.harness.memory.on_read.append(lambda addr, size, queue, resp: asked.append(addr))
    for region in regions:
        bench.device.queues[TX].offer([(region.iova, 64)], device_writes=False)
    await bench.device.kick(TX)
    while not {region.iova for region in regions} <= set(asked):
        await bench.cycles(10)
    await bench.device.reset()
    await bench.settle()
    assert not bench.harness.wire.take()
    return {"tx_drop_reset": 3}


async def guarded(bench: CountBench) -> None:
    """Pair 1 is guarded and owns FLOW; pair 2 owns another flow."""
    await bench.start()
    steering = await bench.steering()
    await steering.flows.insert(FlowKey.of(UDP, *FLOW[0], *FLOW[1]), to_queue(1))
    await steering.flows.insert(FlowKey.of(UDP, LOCAL, 9, *FLOW[1]), to_queue(2))
    await Guard(bench.harness).guard(1)


async def dropped_by_guard(bench: CountBench, name: str, *forged: bytes) -> dict[str, int]:
    """Send them between two of pair 1's own on pair 1, and on pair 0, which has no guard."""
    await guarded(bench)
    own = bench.outwards()
    await bench.send(TX1, own, *forged, own)
    assert bench.harness.wire.take() == [own, own]
    await bench.send(TX, *forged)
    assert bench.harness.wire.take() == list(forged)
    return {name: len(forged), "tx1_drops": len(forged)}


@case
async def tx_drop_guard_mac(bench: CountBench) -> dict[str, int]:
    own = bench.outwards()
    return await dropped_by_guard(bench, "tx_drop_guard_mac", own[:6] + bytes([own[6] ^ 2]) + own[7:])


@case
async def tx_drop_guard_proto(bench: CountBench) -> dict[str, int]:
    own = bench.outwards()
    arp = own[:12] + b"\x08\x06" + bytes(46)
    tagged = own[:12] + b"\x81\x00\x00\x05" + own[12:]
    icmp = own[:23] + b"\x01" + own[24:]
    return await dropped_by_guard(bench, "tx_drop_guard_proto", arp, tagged, icmp)


@case
async def tx_drop_guard_fragment(bench: CountBench) -> dict[str, int]:
    """A later fragment with none before it, and a first one without its UDP header."""
    own = bench.outwards()
    later = own[:20] + b"\x00\x04" + own[22:]
    tiny = own[:16] + (24).to_bytes(2, "big") + own[18:20] + b"\x20\x00" + own[22:38] + bytes(22)
    return await dropped_by_guard(bench, "tx_drop_guard_fragment", later, tiny)


@case
async def tx_drop_guard_owner(bench: CountBench) -> dict[str, int]:
    others = bench.outwards(ends=((LOCAL, 9), FLOW[1]))
    return await dropped_by_guard(bench, "tx_drop_guard_owner", others, others)


@case
async def tx_drop_guard_tuple(bench: CountBench) -> dict[str, int]:
    return await dropped_by_guard(bench, "tx_drop_guard_tuple", bench.outwards(ends=((LOCAL, 10), FLOW[1])))
