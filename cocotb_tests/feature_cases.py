# SPDX-License-Identifier: Apache-2.0
"""A case for each feature bit, run without and with it: what a driver sees of the difference on a whole NIC.

test_features runs them. A case brings the device up with the bit off or on and asserts; sections are those of
VIRTIO 1.2.
"""

import struct

from scapy.layers.inet import TCP as TcpLayer
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from cocotb_tests.bar_watch import NOTIFY, QUEUE_ENABLE, QUEUE_RESET, QUEUE_SELECT
from cocotb_tests.count_bench import NOWHERE, RX, RX1, SLOTS, TX, CountBench, OnOffCases
from cocotb_tests.driver_bench import LOCAL6, OUR_MAC, THEIR_MAC
from cocotb_tests.frame_rules import HASH_HEADER_BYTES, HEADER_BYTES
from cocotb_tests.packed_walk import INDIRECT, WRITE
from cocotb_tests.raw_device import BASE_FEATURES, CONFIG_VECTOR, DeviceHung
from cocotb_tests.raw_ring import Events
from cocotb_tests.received import DATA_VALID, HASH, HEADER
from driver.offload import request_checksum, request_tso
from driver.registers import COMMON, NET, VENDOR, DeviceStatus, Feature, StopReason
from driver.rss import RssConfig, set_rss, spread
from sim.pins import DEFAULT_MAC, DEFAULT_MTU
from sim.stats_sim import LOCAL, REMOTE, TCP

CASES = OnOffCases()
case = CASES.add
CSUM = 1 << Feature.NET_CSUM
TCP_FLOW = (LOCAL, 7000), (REMOTE, 7001)


async def begin(bench: CountBench, feature: Feature, on: bool, needs: int = 0) -> None:
    """Bring the device up with the feature on or off; all others as a plain driver has them."""
    bit = 1 << feature
    await bench.harness.start()
    await bench.offer_all()
    await bench.up((RX, TX, RX1), (BASE_FEATURES | needs) & ~bit | (bit if on else 0))
    accepted = await bench.harness.read(VENDOR.FEATURES_ACCEPTED.lo.offset_bytes)
    accepted |= await bench.harness.read(VENDOR.FEATURES_ACCEPTED.hi.offset_bytes) << 32
    assert bool(accepted & bit) == on


async def passes(bench: CountBench, size: int = 60) -> None:
    """A frame goes out and another comes in."""
    out, back = bench.plain(size), bench.plain(size)
    await bench.send(TX, out)
    assert bench.harness.wire.take() == [out]
    (region, *_) = await bench.buffers(RX, 1, size + HASH_HEADER_BYTES)
    await bench.arrive(back)
    (used,) = bench.device.queues[RX].reap()
    assert bytes(region.view[used.length - size : used.length]) == back


async def drops(bench: CountBench, counter: str) -> int:
    """A counter's value."""
    return (await bench.counters())[counter]


@case
async def net_csum(bench: CountBench, on: bool) -> None:
    """NET_CSUM, section 5.1.6.2: NEEDS_CSUM is served, or the frame is dropped."""
    await begin(bench, Feature.NET_CSUM, on)
    whole = bench.outwards(TCP, TCP_FLOW, 300)
    frame, offload = request_checksum(whole[:50] + bytes(2) + whole[52:])
    bench.header = offload.header().encode()
    await bench.send(TX, frame)
    assert bench.harness.wire.take() == ([whole] if on else [])
    assert await drops(bench, "tx_drop_header") == (not on)


@case
async def net_guest_csum(bench: CountBench, on: bool) -> None:
    """NET_GUEST_CSUM, section 5.1.6.4: DATA_VALID for a right checksum, or no flag at all."""
    await begin(bench, Feature.NET_GUEST_CSUM, on)
    regions = await bench.buffers(RX, 2)
    good = bench.inwards()
    await bench.arrive(good, good[:-1] + bytes([good[-1] ^ 1]))
    assert [region.view[0] for region in regions] == [DATA_VALID if on else 0, 0]


async def not_offered(bench: CountBench, feature: Feature) -> None:
    """With the bit masked it is not shown, and a driver that takes it all the same is refused (2.2.2)."""
    await bench.offer_all(without=1 << feature)
    await bench.harness.write(COMMON.DEVICE_FEATURE_SELECT.offset_bytes, feature // 32)
    shown = await bench.harness.read(COMMON.DEVICE_FEATURE.offset_bytes)
    assert not shown >> feature % 32 & 1
    try:
        await bench.up((RX, TX), BASE_FEATURES | 1 << feature)
    except DeviceHung:
        return
    raise AssertionError(f"{feature.name} was accepted and not offered")


@case
async def net_mtu(bench: CountBench, on: bool) -> None:
    """NET_MTU, section 5.1.4.1: frames of the MTU pass; the field is the driver's to read only if offered."""
    await begin(bench, Feature.NET_MTU, on)
    if on:
        assert await bench.harness.read(NET.MTU.offset_bytes, 2) == DEFAULT_MTU
    await passes(bench, DEFAULT_MTU + 14)
    if not on:
        await not_offered(bench, Feature.NET_MTU)


@case
async def net_mac(bench: CountBench, on: bool) -> None:
    """NET_MAC, section 5.1.5: the device's address, or one of the driver's own, which reaches it as well."""
    await begin(bench, Feature.NET_MAC, on)
    if on:
        told = [await bench.harness.read(NET.MAC.at(n).offset_bytes, 1) for n in range(6)]
        assert bytes(told) == DEFAULT_MAC
    await bench.buffers(RX, 2)
    own = bytes.fromhex("02deadbeef01")
    await bench.arrive(own + bench.plain()[6:], bench.plain())
    assert len(bench.device.queues[RX].reap()) == 2
    if not on:
        await not_offered(bench, Feature.NET_MAC)


async def segmented(bench: CountBench, whole: bytes, on: bool, *, ecn: bool = False) -> None:
    """A TSO request becomes three segments, or is dropped for its header."""
    frame, offload = request_tso(whole, 1000, ecn=ecn)
    bench.header = offload.header().encode()
    await bench.send(TX, frame)
    payload = 2500
    heads = len(whole) - payload
    sizes = [len(segment) - heads for segment in bench.harness.wire.take()]
    assert sizes == ([1000, 1000, 500] if on else [])
    assert await drops(bench, "tx_drop_header") == (not on)


def tcp6(bench: CountBench) -> bytes:
    """A TCP segment of 2,500 bytes over IPv6."""
    head = Ether(src=OUR_MAC, dst=THEIR_MAC) / IPv6(src=LOCAL6, dst="2001:db8::2")
    return bytes(head / TcpLayer(sport=80, dport=5000) / Raw(bench.rng.randbytes(2500)))


@case
async def net_host_tso4(bench: CountBench, on: bool) -> None:
    """NET_HOST_TSO4, section 5.1.6.2; with NET_HOST_TSO6 alone IPv4 is not cut."""
    await begin(bench, Feature.NET_HOST_TSO4, on, CSUM | 1 << Feature.NET_HOST_TSO6)
    await segmented(bench, bench.outwards(TCP, TCP_FLOW, 2500), on)


@case
async def net_host_tso6(bench: CountBench, on: bool) -> None:
    """NET_HOST_TSO6, section 5.1.6.2; with NET_HOST_TSO4 alone IPv6 is not cut."""
    await begin(bench, Feature.NET_HOST_TSO6, on, CSUM | 1 << Feature.NET_HOST_TSO4)
    await segmented(bench, tcp6(bench), on)


@case
async def net_host_ecn(bench: CountBench, on: bool) -> None:
    """NET_HOST_ECN, section 5.1.6.2: GSO_ECN is served, or the frame is dropped."""
    await begin(bench, Feature.NET_HOST_ECN, on, CSUM | 1 << Feature.NET_HOST_TSO4)
    await segmented(bench, bench.outwards(TCP, TCP_FLOW, 2500), on, ecn=True)


@case
async def net_mrg_rxbuf(bench: CountBench, on: bool) -> None:
    """NET_MRG_RXBUF, section 5.1.6.4: two buffers and num_buffers 2, or the frame is too large for one."""
    await begin(bench, Feature.NET_MRG_RXBUF, on)
    first, second, _ = await bench.buffers(RX, 3, 100)
    frame = bench.plain(188)
    await bench.arrive(frame)
    used = [entry.length for entry in bench.device.queues[RX].reap()]
    assert used == ([100, 100] if on else [])
    if on:
        *_, buffers = HEADER.unpack_from(bytes(first.view))
        assert buffers == 2
        assert bytes(first.view[HEADER_BYTES:]) + bytes(second.view) == frame
    assert await drops(bench, "rx_drop_too_small") == (not on)


@case
async def net_status(bench: CountBench, on: bool) -> None:
    """NET_STATUS, section 5.1.4: a change of the link shows and interrupts; without it nobody may look."""
    await begin(bench, Feature.NET_STATUS, on)
    if not on:
        await passes(bench)
        await not_offered(bench, Feature.NET_STATUS)
        return
    assert await bench.harness.read(NET.STATUS.offset_bytes, 2) == 1
    bench.dut.link_up_i.value = 0
    assert await bench.harness.wait_irq([CONFIG_VECTOR], 4000) == {CONFIG_VECTOR}
    assert await bench.harness.read(NET.STATUS.offset_bytes, 2) == 0


@case
async def ring_indirect_desc(bench: CountBench, on: bool) -> None:
    """RING_INDIRECT_DESC, section 2.8.7: a table of two buffers, or the queue stops."""
    await begin(bench, Feature.RING_INDIRECT_DESC, on)
    frame = bench.plain(200)
    parts = [bench.memory_with(bench.header + frame[:70]), bench.memory_with(frame[70:])]
    entries = [struct.pack("<QIHH", part.iova, part.size_bytes, 0, 0) for part in parts]
    table = bench.memory_with(b"".join(entries))
    await bench.chain(TX, (table.iova, table.size_bytes, INDIRECT))
    await bench.settle()
    assert bench.harness.wire.take() == ([frame] if on else [])
    told = await bench.device.stopped(TX)
    assert told.reason == (StopReason.NONE if on else StopReason.DESC_FLAGS)


@case
async def ring_event_idx(bench: CountBench, on: bool) -> None:
    """RING_EVENT_IDX, section 2.8.10: both sides wait for a position in the ring, or for anything."""
    await begin(bench, Feature.RING_EVENT_IDX, on)
    raw, vector = bench.device.queues[TX], bench.device.vector(TX)
    raw.set_interrupts(Events.DESC if on else Events.ENABLE, 2)
    asked = []
    for _ in range(3):
        await bench.send(TX, bench.plain())
        raw.reap()
        asked.append(bool(await bench.harness.wait_irq([vector], 0)))
    assert asked == ([False, False, True] if on else [True, True, True])
    off_wrap, flags = raw.device_events()
    assert (off_wrap, flags) == ((0x8003, Events.DESC) if on else (off_wrap, Events.ENABLE))
    raw.set_interrupts(Events.DISABLE)
    await bench.send(TX, bench.plain())
    assert not await bench.harness.wait_irq([vector], 0)


async def required(bench: CountBench, feature: Feature, on: bool) -> None:
    """Without the feature FEATURES_OK does not stay set."""
    await bench.harness.start()
    features = BASE_FEATURES if on else BASE_FEATURES & ~(1 << feature)
    try:
        await bench.up((RX, TX), features)
    except DeviceHung:
        assert not on, f"{feature.name} was refused"
        assert not await bench.device.status() & DeviceStatus.FEATURES_OK
        return
    assert on, f"the device works without {feature.name}"
    await passes(bench)


@case
async def version_1(bench: CountBench, on: bool) -> None:
    """VERSION_1, section 6.1: this is no legacy device."""
    await required(bench, Feature.VERSION_1, on)


@case
async def ring_packed(bench: CountBench, on: bool) -> None:
    """RING_PACKED, section 2.8: it has no split rings."""
    await required(bench, Feature.RING_PACKED, on)


@case
async def access_platform(bench: CountBench, on: bool) -> None:
    """ACCESS_PLATFORM, section 6: addresses are those of the bus either way."""
    await begin(bench, Feature.ACCESS_PLATFORM, on)
    await passes(bench)


@case
async def order_platform(bench: CountBench, on: bool) -> None:
    """ORDER_PLATFORM, section 6: accesses are ordered as the bus orders them either way."""
    await begin(bench, Feature.ORDER_PLATFORM, on)
    await passes(bench)


@case
async def notification_data(bench: CountBench, on: bool) -> None:
    """NOTIFICATION_DATA, section 4.1.5.2: a doorbell carries the next place or not; both are heard."""
    await begin(bench, Feature.NOTIFICATION_DATA, on)
    raw = bench.device.queues[TX]
    for _ in range(SLOTS + 3):  # beyond the wrap
        frame = bench.plain()
        region = bench.memory_with(bench.header + frame)
        raw.offer([(region.iova, region.size_bytes)], device_writes=False)
        place = raw.next_avail.slot | raw.next_avail.wrap << 15 if on else 0
        await bench.harness.write(NOTIFY + 4 * TX, place << 16 | TX)
        await bench.settle()
        raw.reap()
        assert bench.harness.wire.take() == [frame]
    counters = await bench.counters()
    assert (counters["tx0_kicks"], counters["bad_doorbell_count"]) == (SLOTS + 3, 0)
    wrong = TX << 16 | RX if on else RX  # the place is no queue
    await bench.harness.write(NOTIFY + 4 * TX, wrong)
    assert await drops(bench, "bad_doorbell_count") == 1


@case
async def ring_reset(bench: CountBench, on: bool) -> None:
    """RING_RESET, section 2.6.1: a stopped queue can be reset alone, or the device needs a reset."""
    await begin(bench, Feature.RING_RESET, on)
    await bench.chain(TX, (NOWHERE, 64, WRITE))
    await bench.settle()
    assert bool(await bench.device.status() & DeviceStatus.DEVICE_NEEDS_RESET) is not on
    await bench.harness.write(QUEUE_SELECT, TX, 2)
    await bench.harness.write(QUEUE_RESET, 1, 2)
    await bench.settle()
    enabled = await bench.harness.read(QUEUE_ENABLE, 2)
    assert await bench.harness.read(QUEUE_RESET, 2) == 0 and bool(enabled) is not on
    assert (await bench.device.stopped(TX)).stopped is not on


@case
async def net_hash_report(bench: CountBench, on: bool) -> None:
    """NET_HASH_REPORT, section 5.1.6.4: headers of 20 bytes with hash and type, both ways, or of 12."""
    await begin(bench, Feature.NET_HASH_REPORT, on)
    await set_rss(bench.harness, RssConfig(spread([0])))
    size = HASH_HEADER_BYTES if on else HEADER_BYTES
    (region,) = await bench.buffers(RX, 1)
    frame = bench.inwards()
    await bench.arrive(frame)
    (used,) = bench.device.queues[RX].reap()
    assert used.length == size + len(frame)
    assert bytes(region.view[size : used.length]) == frame
    if on:
        value, report, _ = HASH.unpack_from(bytes(region.view), HEADER_BYTES)
        assert value and report == 3  # UDPv4
    bench.header = bytes(size)
    out = bench.plain(99)
    await bench.send(TX, out)
    assert bench.harness.wire.take() == [out]
