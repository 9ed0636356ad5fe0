# SPDX-License-Identifier: Apache-2.0
"""The driver's offloads over the whole NIC on the pins: requests out, results in. scapy judges the frames."""

from typing import Any

import cocotb
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.driver_bench import TIMEOUT, WAIT_NS, Bench, packet_of, summed, zeroed
from cocotb_tests.nic_tests import NARROW, TOP, WIDE
from driver.offload import request_checksum, request_tso
from driver.rss import RssConfig, RssHash, set_rss, spread
from driver.steering import FlowKey


def check_segments(packet: Any, mss: int, segments: list[bytes]) -> None:
    """Put the segments together again: payload, sequence, flags, IDs and every checksum."""
    whole: Any = Ether(bytes(packet))
    payload, at = bytes(whole[TCP].payload), 0
    for number, raw in enumerate(segments):
        assert summed(raw) == raw, "a checksum or length of a segment is wrong"
        part: Any = Ether(raw)
        data = bytes(part[TCP].payload)
        last = number == len(segments) - 1
        assert len(data) == mss or last
        assert data == payload[at : at + len(data)]
        assert part[TCP].seq == (whole[TCP].seq + at) & 0xFFFF_FFFF
        wanted = (
            set(str(whole[TCP].flags)) - (set() if last else set("FP")) - (set() if number == 0 else set("C"))
        )
        assert set(str(part[TCP].flags)) == wanted
        if IP in part:
            assert part[IP].id == (whole[IP].id + number) & 0xFFFF
        at += len(data)
    assert at == len(payload)


@nic_test(**TIMEOUT)
@cocotb.parametrize(wild=[False, True])
async def driver_leaves_checksums_and_segments_to_the_device(dut: Any, wild: bool) -> None:
    """Plain frames, checksum requests and TSO mixed on every pair, through indirect tables."""
    bench = Bench(dut, wild)
    rng = bench.rng
    await bench.start(
        wild, tx_csum=True, tso4=True, tso6=True, tso_ecn=True, indirect_over=3, notification_data=True,
        tx_ring_slots=64, rx_ring_slots=16,
    )  # fmt: skip
    for number in range(24):
        pair = number % bench.pairs
        if number % 3 == 2:
            mss = rng.choice((1448, 1460, rng.randint(1, 300) + 100))
            packet = packet_of(
                rng, rng.choice((1, mss, mss + 1, rng.randint(1, 12_000))), outwards=True, tcp=True
            )
            frame, offload = request_tso(zeroed(packet), mss, ecn="C" in str(packet[TCP].flags))
            assert await bench.nic.send_offload([frame], [offload], pair) == 1
            payload = len(packet[Raw].load)
            check_segments(packet, mss, await bench.out(-(-payload // mss)))
        elif number % 3 == 1:
            packet = packet_of(rng, rng.randint(0, 4000), outwards=True)
            frame, offload = request_checksum(zeroed(packet))
            assert await bench.nic.send_offload([frame], [offload], pair) == 1
            assert await bench.out(1) == [bytes(packet)]
        else:
            plain = rng.randbytes(rng.randint(14, 9728))
            assert await bench.nic.send_all([plain], pair, WAIT_NS) == 1
            assert await bench.out(1) == [plain]
    stats = await bench.finish()
    assert stats["tx_tso_frames"] == 8 and stats["tx_csum_frames"] >= 8 and stats["indirect_tables"] > 0


@nic_test(**TIMEOUT)
@cocotb.parametrize(wild=[False, True])
async def driver_puts_merged_buffers_together(dut: Any, wild: bool) -> None:
    """Frames of all sizes into buffers of 256 bytes, with the device's word on their checksums."""
    bench = Bench(dut, wild)
    rng = bench.rng
    await bench.start(wild, mergeable=True, rx_csum=True, buffer_bytes=256, rx_ring_slots=256)
    for _ in range(8):
        frames = []
        for _ in range(4):
            raw = bytes(packet_of(rng, rng.choice((0, 190, 1400, rng.randint(0, 9000))), outwards=False))
            bad = rng.random() < 0.4
            frames.append((raw[:-1] + bytes([raw[-1] ^ 1]) if bad else raw, not bad))
        if wild:
            frames.append((rng.randbytes(14), False))
        bench.harness.wire.send([frame for frame, _ in frames])
        got = await bench.arrivals(len(frames))
        assert [frame for _, frame, _ in got] == [frame for frame, _ in frames]
        for (_, frame, meta), (_, good) in zip(got, frames, strict=True):
            assert meta.data_valid == good and not meta.needs_csum
            assert meta.num_buffers == -(-(12 + len(frame)) // 256)
    stats = await bench.finish()
    assert stats["rx_buffers"] > stats["rx_frames"]


@nic_test(**TIMEOUT)
async def driver_spreads_by_the_published_hash_and_reads_it(dut: Any) -> None:
    """RSS over all pairs with HASH_REPORT: the driver's prediction of hash and pair, and 20-byte headers."""
    bench = Bench(dut)
    rng = bench.rng
    await bench.start(False, hash_report=True, tx_csum=True, rx_ring_slots=64)
    config = RssConfig(spread(range(bench.pairs)))
    await set_rss(bench.harness, config)
    predict = RssHash(config)
    packets = [packet_of(rng, rng.randint(0, 200), outwards=False) for _ in range(40)]
    for start in range(0, 40, 8):
        batch = {bytes(packet): packet for packet in packets[start : start + 8]}
        bench.harness.wire.send(list(batch))
        for pair, frame, meta in await bench.arrivals(len(batch)):
            key = FlowKey.of(6, *ends(batch[frame]))
            wanted = predict.hash(key.remote, key.local, (key.remote_port, key.local_port))
            assert (meta.hash, pair) == (wanted, predict.pair(wanted))
            six, tcp = IPv6 in batch[frame], TCP in batch[frame]
            assert meta.hash_report == {(0, 1): 2, (0, 0): 3, (1, 1): 5, (1, 0): 6}[six, tcp]
    frame, offload = request_checksum(zeroed(packets[0]))
    assert await bench.nic.send_offload([frame], [offload]) == 1
    assert await bench.out(1) == [bytes(packets[0])]
    stats = await bench.finish()
    assert stats["rx_steer_rss"] == 40


def ends(packet: Any) -> tuple[str, int, str, int]:
    """Local address and port, remote address and port of a received packet."""
    ip, l4 = packet[IPv6 if IPv6 in packet else IP], packet[TCP if TCP in packet else UDP]
    return ip.dst, l4.dport, ip.src, l4.sport


CASES = [
    "driver_leaves_checksums_and_segments_to_the_device",
    "driver_puts_merged_buffers_together",
    "driver_spreads_by_the_published_hash_and_reads_it",
]


@pytest.mark.sim
@pytest.mark.parametrize("shape", (WIDE, NARROW), ids=str)
def test_driver_offloads(run_bench: RunBench, shape: Any) -> None:
    run_bench(TOP, CASES, **shape.parameters)
