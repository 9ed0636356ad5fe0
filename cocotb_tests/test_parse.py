# SPDX-License-Identifier: Apache-2.0
"""The parser and the Toeplitz hash alone, judged by models written from the RFCs and by scapy."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.conftest import RunBench
from cocotb_tests.model.parse_model import WINDOW, Parsed, ones_sum, parse
from cocotb_tests.model.rss_model import MICROSOFT_KEY, MICROSOFT_VECTORS, Vector, packed, rss_hash, toeplitz
from cocotb_tests.parse_frames import combinations, cuts, lies, random_frame
from cocotb_tests.parse_scapy import dissect, scapy_frame

PARSE_LATENCY, CSUM_LATENCY = 5, 7
SOURCES = [
    "rtl/tupelo_regs_pkg.sv",
    "rtl/tupelo_pkg.sv",
    "rtl/tupelo_parse_pkg.sv",
    *(f"rtl/tupelo_parse{part}.sv" for part in ("", "_l2", "_l3", "_ext", "_l4")),
    "rtl/tupelo_l4_csum.sv",
]
# parsed_t, its last member first.
LAYOUT = (
    ("l4_csum_bad", 1),
    ("l4_csum_ok", 1),
    ("ip_csum_ok", 1),
    ("tcp_flags", 9),
    ("fragment_offset", 13),
    ("fragment_id", 32),
    ("l3_bytes", 16),
    ("payload_offset", 8),
    ("l4_offset", 8),
    ("l3_offset", 7),
    ("dport", 16),
    ("sport", 16),
    ("dst", 128),
    ("src", 128),
    ("proto", 8),
    ("icmp", 1),
    ("udp", 1),
    ("tcp", 1),
    ("malformed", 1),
    ("more", 1),
    ("later", 1),
    ("fragment", 1),
    ("options", 1),
    ("ipv6", 1),
    ("ip", 1),
    ("vlans", 2),
    ("src_mac", 48),
    ("dst_mac", 48),
)
FLAGS = ("ip", "ipv6", "malformed", "tcp", "udp", "icmp", "sport", "dport", "vlans", "dst_mac", "src_mac")
IF_IP = ("proto", "src", "dst", "l3_offset", "l3_bytes", "fragment", "later", "more", "ip_csum_ok")


def unpack(word: int) -> dict[str, int]:
    """Return the members of a parsed_t."""
    got = {}
    for name, width in LAYOUT:
        got[name] = word & ((1 << width) - 1)
        word >>= width
    assert word == 0
    return got


def wanted(found: Parsed) -> dict[str, int]:
    """Return the members that the model holds the device to."""
    names = list(FLAGS)
    if found.ip:
        names += IF_IP
        names += [] if found.malformed else ["options"]
    if found.fragment:
        names += ["fragment_id", "fragment_offset"]
    if found.tcp or found.udp:
        names += ["payload_offset"]
    if found.tcp or found.udp or found.icmp or (found.later and not found.malformed):
        names += ["l4_offset"]
    if found.tcp:
        names += ["tcp_flags"]
    want = {}
    for name in names:
        value = getattr(found, name)
        if isinstance(value, bytes):
            value = int.from_bytes(value, "little" if name.endswith("mac") else "big")
        want[name] = int(value)
    return want


def judge(frame: bytes, word: int, *, goes_on: bool = False) -> None:
    """Fail with the members that differ."""
    got, want = unpack(word), wanted(parse(frame, goes_on=goes_on))
    assert got["l4_csum_ok"] == got["l4_csum_bad"] == 0
    wrong = {name: (got[name], value) for name, value in want.items() if got[name] != value}
    assert not wrong, f"(device, model) {wrong} for {len(frame)} bytes {frame[:140].hex()}"


def window_of(frame: bytes, rng: random.Random) -> int:
    """Return the window; what lies behind the frame is anything."""
    return int.from_bytes((frame[:WINDOW] + rng.randbytes(WINDOW))[:WINDOW], "little")


async def start(dut: Any) -> None:
    dut.s_valid.value = 0
    dut.rst.value = 1
    Clock(dut.clk, 4, unit="ns").start()
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def feed(
    dut: Any, frames: Iterable[bytes], rng: random.Random, *, busy: float = 1.0, goes_on: bool = False
) -> int:
    """Send frames, check the place in time and the content of every answer; return their number."""
    put = {name: writer(getattr(dut, name)) for name in INPUTS}
    get = {name: reader(getattr(dut, name)) for name in OUTPUTS}
    source: Iterator[bytes | None] = itertools.chain(frames, itertools.repeat(None, CSUM_LATENCY + 1))
    line: list[tuple[bytes, int] | None] = [None] * (CSUM_LATENCY + 1)  # what went in how many cycles ago
    count = verdicts = 0
    waiting = next(source)
    while True:
        idle = waiting is not None and rng.random() > busy
        frame = None if idle else waiting
        put["s_valid"](int(frame is not None))
        note = rng.getrandbits(14)
        if frame is not None:
            count += 1
            put["s_window"](window_of(frame, rng))
            put["s_bytes"](len(frame))
            put["s_sum"](ones_sum(frame))
            put["s_note"](note)
        await RisingEdge(dut.clk)
        # Outputs as they were before this edge: what went in with the edge before is one stage in.
        for latency, valid in ((PARSE_LATENCY, "m_valid"), (CSUM_LATENCY, "m_csum_valid")):
            assert get[valid]() == int(line[latency - 1] is not None), f"{valid} at frame {count}"
        if (inside := line[PARSE_LATENCY - 1]) is not None:
            judge(inside[0], get["m_parsed"](), goes_on=goes_on)
            assert get["m_note"]() == inside[1]
        if (inside := line[CSUM_LATENCY - 1]) is not None:
            said = {(0, 0): "", (1, 0): "ok", (0, 1): "bad"}[get["m_csum_ok"](), get["m_csum_bad"]()]
            assert said == parse(inside[0], goes_on=goes_on).csum, f"checksum {said!r} for {inside[0].hex()}"
            verdicts += bool(said)
        line = [None if frame is None else (frame, note), *line[:-1]]
        if not idle:
            try:
                waiting = next(source)
            except StopIteration:
                break
    dut._log.info("%d frames, %d checksums judged", count, verdicts)
    return count


INPUTS = ("s_valid", "s_window", "s_bytes", "s_sum", "s_note")
OUTPUTS = ("m_valid", "m_parsed", "m_note", "m_csum_valid", "m_csum_ok", "m_csum_bad")
RUN = {"timeout_time": 20, "timeout_unit": "ms"}


async def receive(dut: Any, frames: Callable[[random.Random], Iterable[bytes]], busy: float = 1.0) -> int:
    rng = random.Random(cocotb.RANDOM_SEED)
    dut.s_open.value, dut.s_sum_valid.value = 0, 1
    await start(dut)
    return await feed(dut, frames(rng), rng, busy=busy)


@cocotb.test(**RUN)
async def parse_combinations(dut: Any) -> None:
    """Every number of tags, options and rows of extension headers, one frame a cycle."""
    assert await receive(dut, combinations) > 2500


@cocotb.test(**RUN)
async def parse_cuts_and_lies(dut: Any) -> None:
    """Frames cut at every byte; every length and version field with every value that matters."""
    assert await receive(dut, lambda rng: itertools.chain(cuts(rng), lies(rng))) > 3000


@cocotb.test(**RUN)
async def parse_scapy_frames(dut: Any) -> None:
    """What scapy makes is parsed, and its checksums are right."""
    await receive(dut, lambda rng: (bytes(scapy_frame(rng)) for _ in range(1500)))


@cocotb.test(**RUN)
@cocotb.parametrize(busy=[1.0, 0.5])
async def parse_random_frames(dut: Any, busy: float) -> None:
    """Random frames, right and wrong, with and without gaps."""
    seen: Counter[str] = Counter()

    def frames(rng: random.Random) -> Iterator[bytes]:
        for _ in range(10_000):
            frame = random_frame(rng)
            found = parse(frame)
            seen.update(name for name in (*FLAGS, *IF_IP, "options") if getattr(found, name) is True)
            seen[f"csum {found.csum}"] += 1
            seen[f"vlans {found.vlans}"] += 1
            yield frame

    await receive(dut, frames, busy)
    assert min(seen.values()) > 100, f"something was hardly tested: {seen}"
    dut._log.info("%s", seen)


@cocotb.test(**RUN)
async def parse_frame_that_goes_on(dut: Any) -> None:
    """With s_open nothing is checked against the frame's end, only against the packet's."""
    rng = random.Random(cocotb.RANDOM_SEED)
    dut.s_open.value, dut.s_sum_valid.value = 1, 0
    await start(dut)

    def begun() -> Iterator[bytes]:
        for frame in itertools.chain(combinations(rng), lies(rng), (random_frame(rng) for _ in range(3000))):
            yield (frame + rng.randbytes(WINDOW))[: max(WINDOW, min(len(frame), 700))]

    await feed(dut, begun(), rng, busy=0.8, goes_on=True)


@cocotb.test(**RUN)
async def parse_makes_no_flag_of_rest(dut: Any) -> None:
    """A reset forgets the frames inside; the next one is right."""
    rng = random.Random(cocotb.RANDOM_SEED)
    dut.s_open.value, dut.s_sum_valid.value = 0, 1
    await start(dut)
    for cycles in range(1, CSUM_LATENCY + 1):
        dut.s_valid.value = 1
        await ClockCycles(dut.clk, cycles)
        dut.s_valid.value, dut.rst.value = 0, 1
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        for _ in range(CSUM_LATENCY + 1):
            await RisingEdge(dut.clk)
            assert not int(dut.m_valid.value), "a frame came out of a reset"
        await feed(dut, [random_frame(rng) for _ in range(5)], rng)


@cocotb.test(**RUN)
async def toeplitz_is_the_definition(dut: Any) -> None:
    """Against the bit loop, at any width; the hash holds until the next word."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bits, out_bits, key_bits = len(dut.s_data), len(dut.m_hash), len(dut.key_i)
    await start(dut)
    special = [0, (1 << bits) - 1, *(1 << n for n in range(bits))]
    for data in [*special, *(rng.getrandbits(bits) for _ in range(600))]:
        key = rng.getrandbits(key_bits)
        dut.s_data.value, dut.key_i.value, dut.s_valid.value = data, key, 1
        await RisingEdge(dut.clk)
        dut.s_valid.value, dut.s_data.value = 0, rng.getrandbits(bits)
        for held in range(2):
            await RisingEdge(dut.clk)
            assert int(dut.m_valid.value) == (held == 0)
            assert int(dut.m_hash.value) == toeplitz(data, bits, key, key_bits, out_bits)


@cocotb.test(**RUN)
async def toeplitz_microsoft(dut: Any) -> None:
    """The published vectors, the shorter inputs at the top of the word."""
    await start(dut)
    bits = len(dut.s_data)
    dut.key_i.value = int.from_bytes(MICROSOFT_KEY, "big") >> 1
    for data, expected in itertools.chain.from_iterable(map(vector_inputs, MICROSOFT_VECTORS)):
        dut.s_data.value = int.from_bytes(data, "big") << (bits - 8 * len(data))
        dut.s_valid.value = 1
        await ClockCycles(dut.clk, 2)
        assert int(dut.m_hash.value) == expected


def vector_inputs(vector: Vector) -> list[tuple[bytes, int]]:
    addresses = packed(vector.src) + packed(vector.dst)
    ports = vector.sport.to_bytes(2, "big") + vector.dport.to_bytes(2, "big")
    return [(addresses, vector.ip_hash), (addresses + ports, vector.tcp_hash)]


# ---- without a simulator


@pytest.mark.parametrize("vector", MICROSOFT_VECTORS, ids=lambda vector: vector.src)
def test_model_gives_the_published_hashes(vector: Vector) -> None:
    for data, expected in vector_inputs(vector):
        assert rss_hash(data, MICROSOFT_KEY) == expected


def test_model_agrees_with_scapy(seed: int) -> None:
    """Well-formed frames: what scapy's dissection says, and the checksums that scapy made."""
    rng = random.Random(seed)
    for _ in range(1200):
        octets = bytes(scapy_frame(rng))
        found = parse(octets)
        assert found.ip and not found.malformed
        if found.l3_offset + found.l3_bytes != len(octets):
            continue
        said = dissect(octets)
        inside = found.tcp or found.udp or found.icmp  # else the header is beyond the window
        checked = said if inside else {name: said[name] for name in ("vlans", "src_mac", "ipv6", "l3_bytes")}
        assert {name: getattr(found, name) for name in checked} == checked
        assert found.csum == ("ok" if found.tcp or found.udp else "")
        if found.csum:
            place = rng.randrange(found.l4_offset, len(octets))
            wrong = bytes([*octets[:place], octets[place] ^ 0x10, *octets[place + 1 :]])
            assert parse(wrong).csum != "ok", "the model let a wrong checksum pass"


def test_judge_sees_every_bit(seed: int) -> None:
    """A checker that cannot fail is none: any bit of a member that is judged, turned around, is found."""
    rng = random.Random(seed)
    for _ in range(300):
        frame = random_frame(rng)
        want = wanted(parse(frame))
        word = place = 0
        for name, width in LAYOUT:
            word |= want.get(name, 0) << place
            place += width
        judge(frame, word)
        place = 0
        for name, width in LAYOUT:
            if name in want:
                with pytest.raises(AssertionError):
                    judge(frame, word ^ 1 << place + rng.randrange(width))
            place += width


@pytest.mark.sim
def test_parse(run_bench: RunBench) -> None:
    cases = [name for name in globals() if name.startswith("parse_")]
    run_bench("tupelo_parse", cases, sources=SOURCES, NOTE_W=14)


@pytest.mark.sim
@pytest.mark.parametrize(("in_w", "out_w"), [(1, 1), (288, 32), (297, 64)])
def test_toeplitz(run_bench: RunBench, in_w: int, out_w: int) -> None:
    cases = ["toeplitz_is_the_definition"] + ["toeplitz_microsoft"] * (in_w == 288)
    run_bench("tupelo_toeplitz", cases, sources=["rtl/tupelo_toeplitz.sv"], IN_W=in_w, OUT_W=out_w)
