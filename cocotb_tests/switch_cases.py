# SPDX-License-Identifier: Apache-2.0
"""A case for each switch of the registers, run with it off and on: what it makes of a whole NIC's traffic.

test_features runs them; a case has its field's name.
"""

from cocotb_tests.bar_watch import QUEUE_ENABLE, QUEUE_SELECT
from cocotb_tests.count_bench import FLOW, RX, RX1, TX, TX1, CountBench, OnOffCases
from cocotb_tests.raw_ring import Events
from driver.moderation import Moderation, set_moderation
from driver.registers import ISR, STEER, VENDOR, StopReason
from driver.rss import RssConfig, set_rss, spread
from driver.scheduling import TxShare, set_tx_share
from driver.stats import StatSnapshot
from driver.steering import TO_DROP, FlowKey, ListenerKey, to_queue
from driver.windows import Guard, Window
from sim.stats_sim import LOCAL, UDP

CASES = OnOffCases()
case = CASES.add
KEY = FlowKey.of(UDP, *FLOW[0], *FLOW[1])


# Queues and interrupts ------------------------------------------------------------------------------------


@case
async def queue_enable_enable(bench: CountBench, on: bool) -> None:
    """QUEUE_ENABLE_ENABLE, VIRTIO 1.2 section 4.1.4.3: writing 1 enables; 0 does nothing at all."""
    await bench.harness.start()
    await bench.device.negotiate()
    raw = await bench.device.add_queue(TX, 16) if on else None
    if raw is None:
        await bench.harness.write(QUEUE_SELECT, TX, 2)
        await bench.harness.write(QUEUE_ENABLE, 0, 2)
    await bench.device.go()
    if raw is not None:
        await bench.harness.write(QUEUE_SELECT, TX, 2)
        await bench.harness.write(QUEUE_ENABLE, 0, 2)
        await bench.send(TX, bench.plain())
    else:
        await bench.device.kick(TX)
        await bench.settle()
    assert len(bench.harness.wire.take()) == on
    assert (await bench.counters())["bad_doorbell_count"] == (not on)


async def interrupted(bench: CountBench, queue: int = TX) -> bool:
    """Send a frame that asks for an interrupt; whether one came."""
    bench.device.queues[queue].set_interrupts(Events.ENABLE)
    await bench.send(queue, bench.plain())
    bench.device.queues[queue].reap()
    return bool(await bench.harness.wait_irq([bench.device.vector(queue)], 0))


@case
async def control_mask(bench: CountBench, on: bool) -> None:
    """CONTROL_MASK of an MSI-X vector: its message waits until it is cleared; others are sent."""
    await bench.start()
    await bench.device.mask(TX, on)
    assert await interrupted(bench) is not on
    assert await interrupted(bench, TX1)
    await bench.device.mask(TX, False)
    assert bool(await bench.harness.wait_irq([bench.device.vector(TX)], 400)) is on


async def msix_control(bench: CountBench, value: int) -> None:
    await bench.harness.write(VENDOR.MSIX_CONTROL.offset_bytes, value)


@case
async def msix_control_function_mask(bench: CountBench, on: bool) -> None:
    """MSIX_CONTROL_FUNCTION_MASK: messages of all vectors wait."""
    await bench.start()
    enable = VENDOR.MSIX_CONTROL_ENABLE.put(1)
    await msix_control(bench, enable | VENDOR.MSIX_CONTROL_FUNCTION_MASK.put(int(on)))
    assert await interrupted(bench) is not on
    assert await interrupted(bench, TX1) is not on
    await msix_control(bench, enable)
    late = await bench.harness.wait_irq([bench.device.vector(TX)], 400)
    late |= await bench.harness.wait_irq([bench.device.vector(TX1)], 400)
    assert len(late) == 2 * on


@case
async def msix_control_enable(bench: CountBench, on: bool) -> None:
    """MSIX_CONTROL_ENABLE: a message, or a bit in the ISR status (VIRTIO 1.2 section 4.1.4.5)."""
    await bench.start()
    await msix_control(bench, VENDOR.MSIX_CONTROL_ENABLE.put(int(on)))
    await bench.harness.read(ISR.offset_bytes, 1)
    assert await interrupted(bench) is on
    assert await bench.harness.read(ISR.offset_bytes, 1) == (not on)


@case
async def count(bench: CountBench, on: bool) -> None:
    """COUNT and TIME of moderation: one interrupt for four used descriptors, or four."""
    await bench.start()
    if on:
        await set_moderation(bench.harness, TX, Moderation(4, 1_000_000))
    came = [await interrupted(bench) for _ in range(4)]
    assert came == ([False, False, False, True] if on else [True] * 4)
    assert (await bench.counters())["irq_moderated"] == 3 * on


@case
async def stat_snapshot_hold(bench: CountBench, on: bool) -> None:
    """STAT_SNAPSHOT_HOLD: counters read what they were, and go on behind that."""
    await bench.start()
    await bench.send(TX, bench.plain())
    if on:
        async with StatSnapshot(bench.harness):
            await bench.send(TX, bench.plain())
            assert (await bench.counters())["tx_frames"] == 1
    else:
        await bench.send(TX, bench.plain())
    assert (await bench.counters())["tx_frames"] == 2


# Steering -------------------------------------------------------------------------------------------------


async def pair_of(bench: CountBench, frame: bytes) -> int:
    """The pair that a frame is delivered to."""
    await bench.arrive(frame)
    (pair,) = [queue // 2 for queue in (RX, RX1) if bench.device.queues[queue].reap()]
    return pair


async def fed(bench: CountBench) -> None:
    """The device is up, with buffers for both pairs."""
    await bench.start()
    for queue in (RX, RX1):
        await bench.buffers(queue, 4)


@case
async def control_tables_enable(bench: CountBench, on: bool) -> None:
    """CONTROL_TABLES_ENABLE: a flow entry decides, or the host has all."""
    await fed(bench)
    steering = await bench.steering()
    await steering.flows.insert(KEY, to_queue(1))
    await steering.enable(on)
    assert await pair_of(bench, bench.inwards()) == on
    await bench.harness.write(STEER.CONTROL.offset_bytes, STEER.CONTROL_TABLES_ENABLE.put(0))
    assert await pair_of(bench, bench.inwards()) == 0


@case
async def entry_valid(bench: CountBench, on: bool) -> None:
    """ENTRY_VALID: an entry of the flow table, then one of the listeners, is there or was deleted."""
    await fed(bench)
    steering = await bench.steering()
    flow = await steering.flows.insert(KEY, to_queue(1))
    if not on:
        await steering.flows.delete(flow)
    assert await pair_of(bench, bench.inwards()) == on
    listener = await steering.listeners.insert(ListenerKey.of(UDP, LOCAL, 53), to_queue(1))
    if not on:
        await steering.listeners.delete(listener)
    assert await pair_of(bench, bench.inwards(ends=((LOCAL, 53), FLOW[1]))) == on
    counters = await bench.counters()
    assert [counters[f"rx_steer_{way}"] for way in ("flow", "listener", "host")] == [on, on, 2 * (not on)]


@case
async def local_control_valid(bench: CountBench, on: bool) -> None:
    """LOCAL_CONTROL_VALID: a listener on any address takes frames for addresses that are ours."""
    await fed(bench)
    steering = await bench.steering()
    await steering.listeners.insert(ListenerKey.of(UDP, None, 53), to_queue(1))
    if not on:
        await steering.locals.remove(LOCAL)
    assert await pair_of(bench, bench.inwards(ends=((LOCAL, 53), FLOW[1]))) == on


@case
async def control_rss_enable(bench: CountBench, on: bool) -> None:
    """CONTROL_RSS_ENABLE: the hash picks the pair, or the host has all."""
    await fed(bench)
    await set_rss(bench.harness, RssConfig(spread([1]), enable=on))
    assert await pair_of(bench, bench.inwards()) == on
    assert (await bench.counters())["rx_steer_rss"] == on


# Isolation ------------------------------------------------------------------------------------------------


@case
async def pair_control_guard(bench: CountBench, on: bool) -> None:
    """PAIR_CONTROL_GUARD: a frame of nobody's flow is dropped, or leaves."""
    await bench.start()
    steering = await bench.steering()
    await steering.flows.insert(KEY, TO_DROP)
    await Guard(bench.harness).guard(1, on)
    frame = bench.outwards(ends=((LOCAL, 9), FLOW[1]))
    await bench.send(TX1, frame)
    assert bench.harness.wire.take() == ([] if on else [frame])
    assert (await bench.counters())["tx_drop_guard_tuple"] == on


async def behind_windows(bench: CountBench, *areas: tuple[bool, bool], on: bool) -> bool:
    """Pair 1 sends from a buffer with these (read, write) rights in a window; whether it goes on."""
    await bench.start((RX, TX, TX1))
    region = bench.memory_with(bench.header + bench.plain(200))
    windows = [Window.of(area) for area in bench.device.regions[TX1]]
    windows += [Window.of(region, read=read, write=write) for read, write in areas]
    await Guard(bench.harness).set_windows(1, windows, on=on)
    await bench.chain(TX1, (region.iova, region.size_bytes, 0))
    await bench.settle()
    told = await bench.device.stopped(TX1)
    assert told.reason == (StopReason.WINDOW if told.stopped else StopReason.NONE)
    assert not told.stopped or told.addr == region.iova
    assert len(bench.harness.wire.take()) == (not told.stopped)
    return not told.stopped


@case
async def pair_control_windows(bench: CountBench, on: bool) -> None:
    """PAIR_CONTROL_WINDOWS: a buffer outside all windows stops the queue, or is as good as any."""
    assert await behind_windows(bench, on=on) is not on


@case
async def win_rights_read(bench: CountBench, on: bool) -> None:
    """WIN_RIGHTS_READ: the NIC may fetch a frame from the window, or stops the queue."""
    assert await behind_windows(bench, (on, True), on=True) is on


@case
async def win_rights_write(bench: CountBench, on: bool) -> None:
    """WIN_RIGHTS_WRITE: a receive buffer may lie in the window, or stops the queue."""
    await bench.start((RX, TX, RX1))
    region = bench.harness.dma_alloc(2048, 64)
    windows = [Window.of(area) for area in bench.device.regions[RX1]]
    windows.append(Window.of(region, write=on))
    await Guard(bench.harness).set_windows(1, windows)
    steering = await bench.steering()
    await steering.flows.insert(KEY, to_queue(1))
    raw = bench.device.queues[RX1]
    raw.offer([(region.iova, region.size_bytes)], device_writes=True)
    await bench.device.kick(RX1)
    await bench.settle()
    assert (await bench.device.stopped(RX1)).reason == (StopReason.NONE if on else StopReason.WINDOW)
    await bench.arrive(bench.inwards())
    assert len(raw.reap()) == on


# Scheduling -----------------------------------------------------------------------------------------------


async def backlog(bench: CountBench, share: TxShare) -> list[int]:
    """Fill the rings of pairs 0 and 1 while nothing can be read; the pair of each frame as they leave."""
    await bench.start()
    await set_tx_share(bench.harness, 1, share)
    bench.harness.memory.knobs.max_reads = 0
    for queue in (TX, TX1):
        for _ in range(12):
            region = bench.memory_with(bench.header + bytes([2, queue]) + bench.plain(1400))
            bench.device.queues[queue].offer([(region.iova, region.size_bytes)], device_writes=False)
        await bench.device.kick(queue)
    await bench.cycles(200)
    bench.harness.memory.knobs.max_reads = 256
    await bench.settle()
    return [frame[1] // 2 for frame in bench.harness.wire.take()]


@case
async def class_high(bench: CountBench, on: bool) -> None:
    """CLASS_HIGH: pair 1's frames go before pair 0's, or in turn with them."""
    order = await backlog(bench, TxShare(high=on))
    assert len(order) == 24
    last = len(order) - order[::-1].index(1)  # of pair 1
    assert (last <= 16) is on, order  # a few of pair 0 may have been begun


@case
async def rate(bench: CountBench, on: bool) -> None:
    """RATE: beyond its burst a queue gets what its bucket does; without a limit, all at once."""
    burst, a_second = 3000, 100_000_000 if on else 0
    await bench.start()
    await set_tx_share(bench.harness, 1, TxShare(rate_bytes_per_s=a_second, burst_bytes=burst))
    times: list[int] = []
    bench.harness.wire.sink.on_frame.append(lambda frame: times.append(bench.harness.now_ns()))
    for _ in range(5):
        region = bench.memory_with(bench.header + bench.plain(1488))
        bench.device.queues[TX1].offer([(region.iova, region.size_bytes)], device_writes=False)
    await bench.device.kick(TX1)
    while len(times) < 5:
        await bench.cycles(50)
    span_ns = times[-1] - times[0]
    wanted_ns = 2 * 1500 * 10  # the last two beyond the burst, at 10 ns a byte
    assert (0.5 * wanted_ns <= span_ns <= 1.6 * wanted_ns) if on else span_ns < 0.1 * wanted_ns, times
