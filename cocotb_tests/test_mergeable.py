# SPDX-License-Identifier: Apache-2.0
"""Mergeable receive buffers, the header of received frames, and queues that do not hold each other up."""

import struct
from typing import Any

import cocotb
import pytest

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.frame_rules import HASH_HEADER_BYTES, HEADER_BYTES
from cocotb_tests.nic_tests import LONG, SHORT, TOP, WIDE, Shape
from cocotb_tests.raw_device import BASE_FEATURES
from cocotb_tests.raw_ring import Events
from cocotb_tests.received import DATA_VALID, GUEST_CSUM, HASH, HASH_REPORT, HEADER, MRG_RXBUF
from cocotb_tests.rig import Rig
from cocotb_tests.traffic import Layout, Receiver, frame_of, receiver
from driver.registers import RSS, VENDOR

RX, TX, RX1 = 0, 1, 2
MERGEABLE = BASE_FEATURES | 1 << MRG_RXBUF
TIMEOUT = {"timeout_time": 6, "timeout_unit": "ms"}
TCP4 = 2  # hash type bit 1 and report value, VIRTIO 1.2 section 5.1.6.4.3 and 5.1.6.4.4
PORT_TABLE = RSS.TABLE.at(0).offset_bytes
QUIET_CYCLES = 2500


def layout(parts: int) -> Layout:
    return Layout(parts=lambda rng: rng.randint(1, parts))


async def ready(
    rig: Rig, slots: int, size: int, *, parts: int = 1, features: int = MERGEABLE, more: int = 0
) -> Receiver:
    """Bring pair 0 up, its receive ring full of buffers of `size` bytes that the device has fetched."""
    rig.knobs.latency_cycles = 30
    await rig.start()
    await rig.harness.write(VENDOR.FEATURE_ENABLE.lo.offset_bytes, 0xFFFFFFFF)
    await rig.harness.write(VENDOR.FEATURE_ENABLE.hi.offset_bytes, 0xFFFFFFFF)
    await rig.device.start({RX: slots, TX: 8} | ({RX1: more} if more else {}), features=features)
    rx = receiver(rig, RX, size, layout=layout(parts), mode=Events.DISABLE, spread=parts)
    await rx.refill()
    await rig.cycles(500)
    return rx


async def deliver(rig: Rig, rx: Receiver, frames: list[bytes]) -> None:
    """Send them together, wait until all are delivered, give the buffers back."""
    target = rig.board.counts["delivered"] + len(frames)
    rig.wire.send(frames)
    await rig.until(lambda: rig.board.counts["delivered"] >= target, 20_000)
    rx.reap()
    await rx.refill()
    await rig.cycles(500)


async def settle(rig: Rig) -> None:
    await rig.until(lambda: rig.wire.source.idle)
    await rig.cycles(QUIET_CYCLES)


def random_frame(rig: Rig, number: int, size: int, queue: int = RX) -> bytes:
    """Not IP, for the host."""
    return (
        b"\x02"
        + frame_of(rig.rng, queue, number, size)[:11]
        + b"\x88\xb5"
        + rig.rng.randbytes(size)[: size - 14]
    )


def tcp_frame(mac: int, number: int, *, good: bool = True) -> bytes:
    """An Ethernet frame of IPv4 and TCP for this NIC, 60 octets with 6 of payload."""
    addresses = bytes((10, 0, 0, 1, 10, 0, 0, 2))
    payload = number.to_bytes(6, "big")
    tcp = struct.pack(">HHIIHHHH", 1000 + number % 5000, 80, 1, 2, 0x5010, 512, 0, 0) + payload
    tcp = tcp[:16] + struct.pack(">H", checksum(addresses + struct.pack(">HH", 6, len(tcp)) + tcp)) + tcp[18:]
    if not good:
        tcp = tcp[:-1] + bytes([tcp[-1] ^ 1])
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), number & 0xFFFF, 0, 64, 6, 0) + addresses
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return mac.to_bytes(6, "little") + bytes.fromhex("020000000099 0800") + ip + tcp


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def header_in_first_buffer(rig: Rig, elements: list[tuple[int, int]], size: int) -> bytes:
    octets = b""
    for addr, length in elements:
        octets += rig.harness.memory.view.read(addr, length) or b""
    return octets[:size]


@nic_test(**TIMEOUT)
@cocotb.parametrize(("size", [1, 13, 64, 150, 300, 2048]), ("parts", [1, 3]), ("hashed", [0, 1]))
async def frames_take_as_many_buffers_as_they_need(dut: Any, size: int, parts: int, hashed: int) -> None:
    """Lengths around each number of buffers; the scoreboard looks at ids, lengths and num_buffers."""
    rig = Rig(dut, salt=(size, parts, hashed))
    header = HASH_HEADER_BYTES if hashed else HEADER_BYTES
    rx = await ready(rig, 256, size, parts=min(parts, size), features=MERGEABLE | hashed << HASH_REPORT)
    most = min(
        9728, (25 if parts == 1 else 12) * size
    )  # so that the smallest cache of a shape holds the chains
    edges = {n * size - header + d for n in (1, 2, 3, 5, 11, 24) for d in (-1, 0, 1)}
    sizes = [s for s in edges if 14 <= s <= most] or [14, 15]
    sizes += [rig.rng.randint(14, max(14, most)) for _ in range(6)]
    number = 0
    for length in sizes:
        room = len(rx.cells.free) == 0 or rx.queue.outstanding * size > length + header
        assert room
        await deliver(rig, rx, [random_frame(rig, number, length)])
        number += 1
    burst = [random_frame(rig, number + n, rig.rng.randint(14, max(14, min(most, 60)))) for n in range(3)]
    await deliver(rig, rx, burst if size > 1 else burst[:1])
    stats = await rig.finish(drained=False)
    assert stats["rx_buffers"] == rig.board.queues[RX].used


@nic_test(**TIMEOUT)
async def not_enough_buffers_drop_the_frame_and_use_none(dut: Any) -> None:
    """Three buffers of 100, frames of four: dropped; of three: delivered; with new buffers all goes on."""
    rig = Rig(dut)
    rx = await ready(rig, 3, 100)
    await rig.cycles(2000)
    rig.wire.send([random_frame(rig, 0, 300), random_frame(rig, 1, 301), random_frame(rig, 2, 88)])
    await settle(rig)
    assert rx.reap() == 1
    rig.wire.send([random_frame(rig, 3, 189), random_frame(rig, 4, 188), random_frame(rig, 5, 60)])
    await settle(rig)
    assert rx.reap() == 2
    await rx.refill()
    await rig.cycles(500)
    await deliver(rig, rx, [random_frame(rig, 6, 288)])
    stats = await rig.finish(drained=False)
    assert (stats["rx_frames"], stats["rx_drop_no_buffer"], stats["rx_buffers"]) == (3, 4, 6)


@nic_test(**TIMEOUT)
async def a_frame_that_no_cache_can_hold_is_too_small(dut: Any) -> None:
    """More buffers than the device looks at: the frame is dropped with that reason, later ones are not."""
    rig = Rig(dut)
    rx = await ready(rig, 512, 16)
    await rig.cycles(2000)
    rig.wire.send([random_frame(rig, 0, 9000)])
    await settle(rig)
    await deliver(rig, rx, [random_frame(rig, 1, 600)])  # fits the smallest cache of a shape
    stats = await rig.finish(drained=False)
    assert (stats["rx_frames"], stats["rx_drop_too_small"]) == (1, 1)


@nic_test(**TIMEOUT)
@cocotb.parametrize(("hashed", [0, 1]), ("csum", [0, 1]), ("size", [16, 2048]))
async def header_says_what_is_known(dut: Any, hashed: int, csum: int, size: int) -> None:
    """DATA_VALID only for a right checksum and only if negotiated; hash and its report if negotiated."""
    rig = Rig(dut, salt=(hashed, csum, size))
    features = MERGEABLE | hashed << HASH_REPORT | csum << GUEST_CSUM
    rx = await ready(rig, 64, size, features=features)
    await rig.harness.write(RSS.HASH_TYPES.offset_bytes, 0x3F)
    for word in range(10):
        await rig.harness.write(RSS.KEY.at(word).offset_bytes, rig.rng.getrandbits(32))
    mac = int(dut.mac_addr_i.value)
    length = HASH_HEADER_BYTES if hashed else HEADER_BYTES
    for number, good in enumerate((True, False, True)):
        rig.board.queues[RX].walk.walk()
        chains = list(rig.board.queues[RX].walk.offered)[:2]
        elements = [(addr, n) for chain in chains for addr, n, _ in chain.elements]
        await deliver_keeping(rig, rx, [tcp_frame(mac, number, good=good)])
        octets = header_in_first_buffer(rig, elements, length)
        flags, *_, buffers = HEADER.unpack_from(octets)
        assert flags == (DATA_VALID if csum and good else 0), octets.hex()
        assert buffers == -(-(60 + length) // size)
        if hashed:
            value, report, padding = HASH.unpack_from(octets, HEADER_BYTES)
            assert value and report == TCP4 and not padding, octets.hex()
    stats = await rig.finish(drained=False)
    assert (stats["rx_csum_ok"], stats["rx_csum_bad"]) == (2, 1)


async def deliver_keeping(rig: Rig, rx: Receiver, frames: list[bytes]) -> None:
    """As `deliver`, but the buffers are not given back."""
    target = rig.board.counts["delivered"] + len(frames)
    rig.wire.send(frames)
    await rig.until(lambda: rig.board.counts["delivered"] >= target, 20_000)
    rx.reap()


@nic_test(**TIMEOUT)
@cocotb.parametrize(mergeable=[0, 1])
async def a_queue_without_buffers_holds_up_nobody(dut: Any, mergeable: int) -> None:
    """Pair 1 has no buffers and rings its doorbell all the time; pair 0 gets every frame."""
    rig = Rig(dut, salt=mergeable)
    rx = await ready(rig, 256, 300, features=BASE_FEATURES | mergeable << MRG_RXBUF, more=64)
    other = receiver(rig, RX1, 300, layout=layout(1), mode=Events.DISABLE)
    await rig.harness.write(RSS.HASH_TYPES.offset_bytes, 0x3F)
    for word in range(32):
        await rig.harness.write(PORT_TABLE + 4 * word, 0x01010101)
    await rig.harness.write(RSS.CONTROL.offset_bytes, 1)
    rig.board.queue_of = lambda frame: RX1 if frame[12:14] == b"\x08\x00" else RX
    mac, number = int(dut.mac_addr_i.value), 0
    for _ in range(4):
        start = rig.board.counts["delivered"]
        frames = []
        for n in range(24):
            frames += [tcp_frame(mac, number + n), random_frame(rig, number + n, 60)]
        number += 24
        rig.wire.send(frames)
        while rig.board.counts["delivered"] < start + 24:
            await rig.device.kick(RX1)
            rig.check()
            await rig.cycles(5)
        await settle(rig)
        rx.reap()
        await rx.refill()
    stats = await rig.device.queue_statistics(RX1)
    assert stats["drops"] == 4 * 24
    await other.refill()
    await rig.cycles(500)
    rig.wire.send([tcp_frame(mac, number + n) for n in range(8)])
    await settle(rig)
    assert other.reap() == 8
    total = await rig.finish(drained=False)
    assert (total["rx_drop_no_buffer"], total["rx_drop_overflow"]) == (96, 0)


CASES = [
    "frames_take_as_many_buffers_as_they_need",
    "not_enough_buffers_drop_the_frame_and_use_none",
    "a_frame_that_no_cache_can_hold_is_too_small",
    "header_says_what_is_known",
]
PAIRS_CASE = "a_queue_without_buffers_holds_up_nobody"


@pytest.mark.sim
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_mergeable(run_bench: RunBench, shape: Shape, case: str) -> None:
    run_bench(TOP, case, **shape.parameters)


@pytest.mark.sim
def test_queues_apart(run_bench: RunBench) -> None:
    run_bench(TOP, PAIRS_CASE, **WIDE.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("shape", LONG, ids=str)
def test_mergeable_of_other_shapes(run_bench: RunBench, shape: Shape) -> None:
    # With 16 descriptors cached a frame can count on one only: see tupelo_rx_split.
    cases = CASES if shape.desc_cache >= 64 else CASES[-1:]
    run_bench(TOP, [*cases, PAIRS_CASE] if shape.queue_pairs > 1 else cases, **shape.parameters)
