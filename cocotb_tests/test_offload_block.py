# SPDX-License-Identifier: Apache-2.0
"""The transmit offloads alone: tupelo_tx_offload against segment_model, and segment_model against scapy."""

import random
from dataclasses import replace
from typing import Any

import cocotb
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.layers.l2 import Ether
from scapy.utils import checksum

from cocotb_tests.conftest import RunBench
from cocotb_tests.model.segment_model import Request, ones_sum, outcome, segments, with_checksum
from cocotb_tests.offload_bench import OffloadBench
from cocotb_tests.offload_traffic import (
    csum_request,
    random_request,
    small_size,
    tcp_headers,
    tso_frame,
    tso_request,
)

TIMEOUT = {"timeout_time": 20, "timeout_unit": "ms"}
MOST = 1500  # frames of a run
TOP = "tupelo_tx_offload"
PARTS = (
    *("regs_pkg", "pkg", "tx_pkg", "fifo", "frame_fifo", "stream_check", "tx_buffer", "tx_plan"),
    *("tx_header", "csum_sum", "tx_segment", "tx_egress", "tx_offload"),
)
SOURCES = [f"rtl/tupelo_{part}.sv" for part in PARTS]


def frames_of(rng: random.Random, beat: int, count: int, large: float = 0.01) -> list[Request]:
    return [random_request(rng, beat, large) for _ in range(count)]


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(source=[0.0, 0.4], check=[0.0, 0.5], sink=[0.0, 0.3])
async def frames_leave_as_the_model_says(dut: Any, source: float, check: float, sink: float) -> None:
    """Any mix of frames under any mix of stalls: every byte on the wire, every fate, in order."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {source} {check} {sink}")
    beat = len(dut.g_data) // 8
    bench = OffloadBench(dut, rng, frames_of(rng, beat, MOST * beat // 128 + 100), source, check, sink)
    await bench.start()
    await bench.drain()
    sent = [fate for fate in bench.fates if fate.sent]
    assert sum(fate.tso for fate in sent) > 50 and sum(fate.csum for fate in sent) > 50
    assert len(bench.fates) - len(sent) > 20, "too few were dropped: this tested nothing"


@cocotb.test(**TIMEOUT)
async def largest_frames(dut: Any) -> None:
    """Frames of up to 64 KiB and headers, segmented, too long, given up in the middle; gso_size 1."""
    rng = random.Random(cocotb.RANDOM_SEED)
    requests = [random_request(rng, len(dut.g_data) // 8, large=0.6) for _ in range(30)]
    requests += [tso_request(rng, 65535 - 40, 1448, plain=True), tso_request(rng, 3000, 1)]
    requests += [tso_request(rng, 4 * 9600, 9600, plain=True), tso_request(rng, 65535 - 40, 9600, plain=True)]
    bench = OffloadBench(dut, rng, requests, sink=0.02)
    await bench.start()
    await bench.drain()


@cocotb.test(**TIMEOUT)
async def a_chain_given_up_spoils_no_other(dut: Any) -> None:
    """A read error at any distance behind the headers leaves no trace in the next segmented frame."""
    rng = random.Random(cocotb.RANDOM_SEED)
    beat = len(dut.g_data) // 8
    bench = OffloadBench(dut, rng, ())
    await bench.start()
    for beats in range(30):
        bad = tso_request(rng, beats * beat + rng.randint(1, beat), 9000, plain=True)
        good = [tso_request(rng, rng.randint(0, 200), 60) for _ in range(2)]
        bench.to_send.extend((replace(bad, error=15), *good))
        await bench.drain()
    assert sum(fate.sent for fate in bench.fates) == 60


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(stall=[0.0, 0.3])
async def device_reset_forgets_what_is_not_whole(dut: Any, stall: float) -> None:
    """dev_rst at any moment: frames handed on leave, nothing else, and the next frame begins cleanly."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {stall}")
    beat = len(dut.g_data) // 8
    bench = OffloadBench(dut, rng, (), stall, stall, stall)
    await bench.start()
    for _ in range(120):
        bench.to_send.clear()
        bench.to_send.extend(frames_of(rng, beat, rng.randint(0, 20), 0.05))
        for _ in range(rng.choice((rng.randint(0, 30), rng.randint(0, 300)))):
            await bench.step()
        await bench.reset_device()
    assert bench.forgotten > 50 and len(bench.fates) > 50 and len(bench.wire) > 50
    bench.to_send.extend(frames_of(rng, beat, 20, 0.0))
    await bench.drain()


@cocotb.test(**TIMEOUT)
async def small_frames_pass_one_a_cycle(dut: Any) -> None:
    """60 bytes, checksum or not: as many cycles as beats, and at most two at 512 bits."""
    rng = random.Random(cocotb.RANDOM_SEED)
    beats = -(-60 // (len(dut.g_data) // 8))
    plain = [Request(rng.randbytes(60), 1) for _ in range(150)]
    summed = [Request(rng.randbytes(60), 1, csum=True, csum_start=34, csum_offset=6) for _ in range(150)]
    bench = OffloadBench(dut, rng, plain + summed)
    await bench.start()
    await bench.drain()
    cycles = bench.last_cycle - bench.first_cycles[0] + 1
    assert cycles <= 300 * beats, f"{cycles} cycles for 300 frames of {beats} beats"


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(size=[1514, 9728])
async def large_frames_pass_without_a_gap(dut: Any, size: int) -> None:
    """As many cycles as beats, from frame to frame, the time to fill the buffers apart."""
    rng = random.Random(cocotb.RANDOM_SEED)
    beats = -(-size // (len(dut.g_data) // 8))
    requests = [
        Request(rng.randbytes(size), 1, csum=bool(n % 2), csum_start=34, csum_offset=16) for n in range(30)
    ]
    bench = OffloadBench(dut, rng, requests)
    await bench.start()
    await bench.drain()
    cycles = bench.last_cycle - bench.first_cycles[0] + 1
    assert cycles <= 30 * beats, f"{cycles} cycles for 30 frames of {beats} beats"


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(ipv6=[False, True], options=[0, 12], gso=[1428, 1440, 1448, 1460])
async def segments_leave_without_a_gap(dut: Any, ipv6: bool, options: int, gso: int) -> None:
    """64 KiB cut into segments: at least 60 of 64 bytes a cycle, twelve cycles a chain apart."""
    rng = random.Random(cocotb.RANDOM_SEED)
    beat = len(dut.g_data) // 8
    chains = []
    for _ in range(3):
        headers, l3, l4 = tcp_headers(rng, ipv6, tcp_extra=options)
        chains.append(tso_frame(rng, headers, l3, l4, ipv6, 65535 - 120, gso))
    bench = OffloadBench(dut, rng, chains)
    await bench.start()
    await bench.drain()
    octets = sum(fate.octets for fate in bench.fates)
    cycles = bench.last_cycle - bench.first_cycles[0] + 1
    rate = octets / cycles
    dut._log.info("gso %d ipv6 %d options %d: %.2f bytes a cycle", gso, ipv6, options, rate)
    beats = sum(-(-len(frame) // beat) for frame in bench.wire)
    bubbles = len(bench.wire) if len(chains[0].frame) and chains[0].payload < beat else 0
    assert cycles <= beats + bubbles + 2 * (128 // beat + 10), f"{cycles} cycles for {beats} beats"
    if bench.beat == 64:
        assert rate >= 60, f"{rate} bytes a cycle"


@cocotb.test(**TIMEOUT)
async def first_beat_six_cycles_after_the_verdict(dut: Any) -> None:
    """A lone frame of 60 bytes: one beat needs six cycles from verdict to wire, further beats one each."""
    rng = random.Random(cocotb.RANDOM_SEED)
    beats = -(-60 // (len(dut.g_data) // 8))
    bench = OffloadBench(dut, rng, ())
    await bench.start()
    for number in range(10):
        bench.to_send.append(Request(rng.randbytes(60), 1, csum=True, csum_start=34, csum_offset=6))
        await bench.drain()
        delay = bench.first_cycles[number] - max(bench.verdict_cycles[number], bench.end_cycles[number] + 1)
        assert delay == 5 + beats + 1, f"{delay} cycles"


@pytest.mark.sim
@pytest.mark.parametrize("data_w", [128, 256, 512])
def test_offload(run_bench: RunBench, data_w: int) -> None:
    run_bench(TOP, sources=SOURCES, DATA_W=data_w)


def scapy_checksums_hold(frame: bytes) -> None:
    """Scapy, asked to make both checksums anew, finds what is there."""
    ether = Ether(frame)
    if ether.haslayer(IP):
        ip = ether[IP]
        header = bytes(ip)[: 4 * ip.ihl]
        assert checksum(header) == 0
        assert ip.len == len(bytes(ip))
        pseudo = bytes.fromhex("".join(f"{int(x):02x}" for x in (ip.src + "." + ip.dst).split(".")))
        tcp = bytes(ip)[4 * ip.ihl :]
        pseudo += b"\0\6" + len(tcp).to_bytes(2, "big")
        assert checksum(pseudo + tcp) == 0
    else:
        ip = ether[IPv6]
        assert ip.plen == len(bytes(ip)) - 40
        tcp = bytes(ether[TCP])
        bare = tcp[:16] + b"\0\0" + tcp[18:]
        assert (
            in6_chksum(6, ether[TCP].underlayer, bare) % 0xFFFF == int.from_bytes(tcp[16:18], "big") % 0xFFFF
        )


def test_segments_hold_before_scapy_and_make_up_the_payload(seed: int) -> None:
    """Of 1,500 random frames: checksums and lengths by scapy, sequence numbers and data by reassembly."""
    rng = random.Random(seed)
    for _ in range(1500):
        gso = rng.choice((1, rng.randint(1, 100), rng.randint(500, 1500)))
        request = tso_request(rng, rng.choice((0, gso, 2 * gso, rng.randint(0, 4 * gso))), gso)
        stream = bytearray()
        pieces = list(segments(request))
        (first,) = {int.from_bytes(request.frame[request.l4 + 4 : request.l4 + 8], "big")}
        for number, frame in enumerate(pieces):
            scapy_checksums_hold(frame)
            at = (int.from_bytes(frame[request.l4 + 4 : request.l4 + 8], "big") - first) % 2**32
            assert at == len(stream), "a hole or an overlap"
            stream += frame[request.payload :]
            flags, asked = frame[request.l4 + 13], request.frame[request.l4 + 13]
            last = number + 1 == len(pieces)
            assert flags == asked & (0xFF if last else 0xF6) & (0x7F if number else 0xFF)
            if not request.ipv6:
                step = Ether(frame)[IP].id - Ether(request.frame)[IP].id
                assert step % 2**16 == number % 2**16
        assert bytes(stream) == request.frame[request.payload :]


def test_checksum_of_a_request_verifies(seed: int) -> None:
    """Whatever starts at csum_start sums up to all ones, with a field of 0 never written."""
    rng = random.Random(seed)
    for _ in range(2000):
        request = csum_request(rng, small_size(rng))
        start, at = request.csum_start, request.csum_start + request.csum_offset
        frame = with_checksum(request.frame, start, request.csum_offset)
        assert frame[at : at + 2] != b"\0\0"
        blank = request.frame[:at] + b"\0\0" + request.frame[at + 2 :]
        was = ones_sum(request.frame[start:])
        value = int.from_bytes(frame[at : at + 2], "big")
        assert (value + was) % 0xFFFF == 0
        assert blank[:at] == frame[:at] and blank[at + 2 :] == frame[at + 2 :]


def test_reasons_of_the_model() -> None:
    """Each way of being dropped, once, by hand."""
    good = Request(bytes(60))
    assert outcome(good)[1].sent
    assert outcome(Request(bytes(60), csum=True, csum_start=40, csum_offset=18))[1].sent
    assert outcome(Request(bytes(60), csum=True, csum_start=40, csum_offset=19))[1].drop_stat == 14
    assert outcome(Request(bytes(9729)))[1].drop_stat == 13
    assert outcome(Request(bytes(60), drop=33, error=15))[1].drop_stat == 15
    assert outcome(Request(bytes(60), drop=33))[1].drop_stat == 33
