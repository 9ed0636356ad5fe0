# SPDX-License-Identifier: Apache-2.0
"""Receive steering alone: the look-up's questions, the RSS registers and hashes, and every frame's queue."""

import os
import random
from collections import Counter, deque
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.conftest import RunBench
from cocotb_tests.model.classify_model import Answer, Outcome, Question, Rss, classify, question
from cocotb_tests.model.parse_model import ones_sum
from cocotb_tests.model.rss_model import MICROSOFT_KEY, MICROSOFT_VECTORS, packed
from cocotb_tests.parse_frames import Recipe, make, random_frame
from cocotb_tests.test_parse import SOURCES as PARSE_SOURCES
from cocotb_tests.test_parse import window_of

SOURCES = [
    *PARSE_SOURCES[:2],
    "rtl/tupelo_axil_pkg.sv",
    *PARSE_SOURCES[2:],
    *(f"rtl/tupelo_{name}.sv" for name in ("toeplitz", "rss", "rx_classify")),
]
MAC = bytes.fromhex("025476981032")
RSS_BASE, CONTROL, HASH_TYPES, KEY, TABLE = 0x9400, 0x00, 0x04, 0x10, 0x80
STATS = ("csum_bad", "csum_ok", "host", "rss", "any", "listener", "flow", "fragment", "malformed")
PARSE_CYCLES = 5
RUN = {"timeout_time": 20, "timeout_unit": "ms"}


class Bench:
    """Registers, frames, and a table that answers from a rule after the right number of cycles."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.latency = int(os.environ["LOOKUP_LATENCY"])
        self.pairs = int(os.environ["QUEUES"]) // 2
        self.put = {name: writer(getattr(dut, name)) for name in INPUTS}
        self.get = {name: reader(getattr(dut, name)) for name in OUTPUTS}
        self.answers: dict[Question, Answer] = {}
        self.seen: Counter[str] = Counter()
        self.table = bytes(128)

    async def start(self) -> None:
        for name in INPUTS:
            self.put[name](0)
        self.dut.mac_i.value = int.from_bytes(MAC, "little")
        self.dut.rst.value = 1
        Clock(self.dut.clk, 4, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def write(self, offset: int, data: int, strobes: int = 15) -> None:
        address = RSS_BASE + offset
        self.put["bus_i"](((1 << 18 | address) << 32 | data) << 23 | strobes << 19)
        await RisingEdge(self.dut.clk)
        self.put["bus_i"](0)

    async def read(self, offset: int) -> int:
        self.put["bus_i"](1 << 18 | (RSS_BASE + offset))
        await RisingEdge(self.dut.clk)
        self.put["bus_i"](0)
        await RisingEdge(self.dut.clk)
        return self.get["rd_data_o"]()

    async def set_rss(self, rss: Rss) -> None:
        for n in range(0, 40, 4):
            await self.write(KEY + n, int.from_bytes(rss.key[n : n + 4], "little"))
        for n in range(0, 128, 4):
            if rss.table[n : n + 4] != self.table[n : n + 4]:  # what was never written is 0
                await self.write(TABLE + n, int.from_bytes(rss.table[n : n + 4], "little"))
        self.table = rss.table
        await self.write(HASH_TYPES, rss.types)
        await self.write(CONTROL, int(rss.enable))
        await ClockCycles(self.dut.clk, 2)

    def answer(self, asked: Question) -> Answer:
        """Return the same answer to the same question."""
        if asked not in self.answers:
            rng = self.rng
            match, target = rng.choice((0, 0, 1, 2, 3, 3)), rng.choice((0, 0, 0, 1, 2))
            self.answers[asked] = Answer(match, target, rng.randrange(64), rng.random() < 0.5)
        return self.answers[asked]

    async def run(self, frames: list[bytes], rss: Rss, busy: float) -> None:
        """Send frames and judge the place in time and the content of all that comes out."""
        total = PARSE_CYCLES + self.latency + 1
        line: deque[bytes | None] = deque([None] * total, total)  # what went in how many cycles ago
        replies: deque[Question | None] = deque([None] * self.latency, self.latency)
        left = deque(frames)
        for _ in range(10 * len(frames) + total):
            if not left and not any(line):
                return
            frame = left.popleft() if left and self.rng.random() < busy else None
            self.put["s_valid"](int(frame is not None))
            if frame is not None:
                self.put["s_window"](window_of(frame, self.rng))
                self.put["s_bytes"](len(frame))
                self.put["s_sum"](ones_sum(frame))
            await RisingEdge(self.dut.clk)
            out = line[total - 1]
            assert self.get["m_valid"]() == int(out is not None)
            if out is not None:
                self.judge(out, rss)
            else:
                assert self.get["stat_o"]() == 0, "a count without a frame"
            line.appendleft(frame)
            replies.appendleft(self.asked(line[PARSE_CYCLES]))
            self.reply(replies[self.latency - 1])
        raise AssertionError("frames got lost")

    def asked(self, frame: bytes | None) -> Question | None:
        """Check what the device asks about a frame in this cycle."""
        want = None if frame is None else question(frame, MAC)
        assert self.get["lk_valid"]() == int(want is not None), frame and frame.hex()
        if want is not None:
            assert unpack_question(self.get["lk_tuple"]()) == want
        return want

    def reply(self, asked: Question | None) -> None:
        self.put["lk_result_valid_i"](int(asked is not None))
        answer = self.rng.getrandbits(43)
        if asked is not None:
            known = self.answer(asked)
            answer = (known.match << 2 | known.target) << 6 | known.pair
            answer = (answer << 32 | self.rng.getrandbits(32)) << 1 | known.local_ok
        self.put["lk_result_i"](answer)

    def judge(self, frame: bytes, rss: Rss) -> None:
        asked = question(frame, MAC)
        want = classify(frame, MAC, self.pairs, rss, self.answer(asked) if asked else None)
        octets, got = unpack_outcome(self.get["m_frame"]())
        stats = self.get["stat_o"]()
        got.counted = {name for n, name in enumerate(STATS) if stats >> n & 1}
        assert octets == len(frame)
        assert got == want, f"device {got}, model {want}, frame {frame.hex()}"
        self.seen.update(want.counted)
        self.seen[f"report {want.report}"] += 1
        self.seen["drop"] += want.drop


INPUTS = ("s_valid", "s_window", "s_bytes", "s_sum", "bus_i", "lk_result_valid_i", "lk_result_i")
OUTPUTS = ("rd_data_o", "lk_valid", "lk_tuple", "m_valid", "m_frame", "stat_o")


def unpack_question(word: int) -> Question:
    ports, addresses = word & 0xFFFFFFFF, word >> 32 & ((1 << 256) - 1)
    ipv6, proto = bool(word >> 296), word >> 288 & 0xFF
    size = 16 if ipv6 else 4
    local, remote = (value.to_bytes(size, "big") for value in divmod(addresses, 1 << 128))
    return Question(ipv6, proto, local, remote, ports >> 16, ports & 0xFFFF)


def unpack_outcome(word: int) -> tuple[int, Outcome]:
    vq = word >> 42 & 0x7F
    assert vq % 2 == 0, "not a receive queue"
    flags = {"drop": bool(word >> 41 & 1), "csum_ok": bool(word >> 40 & 1)}
    return word >> 49, Outcome(vq // 2, hash=word >> 8 & 0xFFFFFFFF, report=word & 0xFF, **flags)


def received(rng: random.Random) -> bytes:
    """Return a random frame to this interface, a group or somebody else, some with a group's IP address."""
    frame = bytearray(random_frame(rng))
    kind = rng.random()
    if kind < 0.85:
        frame[:6] = MAC if kind < 0.7 else b"\xff" * 6 if kind < 0.75 else b"\x01" + rng.randbytes(5)
    else:
        frame[:6] = bytes([rng.randrange(128) * 2]) + rng.randbytes(5)
        if rng.random() < 0.5:  # one bit off
            frame[:6] = (int.from_bytes(MAC, "big") ^ 1 << rng.randrange(40)).to_bytes(6, "big")
    if rng.random() < 0.2 and len(frame) >= 60:
        if frame[12:14] == b"\x08\x00":
            frame[30:34] = rng.choice(
                (b"\xff" * 4, b"\xff\xff\xff\xfe", b"\xe0\0\0\1", b"\xdf\0\0\1", b"\xf0\0\0\1")
            )
        elif frame[12:14] == b"\x86\xdd":
            frame[38] = rng.choice((0xFF, 0xFE))
    return bytes(frame)


@cocotb.test(**RUN)
async def classify_random_frames(dut: Any) -> None:
    """Random registers, random frames, with and without gaps."""
    bench = Bench(dut)
    await bench.start()
    rng = bench.rng
    for turn in range(16):
        types = 63 if turn % 2 else rng.getrandbits(6)
        table = bytes(rng.randrange(bench.pairs + 1) for _ in range(128)) if turn % 4 else rng.randbytes(128)
        if turn < 3:  # most of it not yet written
            table = b"".join(table[n : n + 4] if rng.random() < 0.2 else bytes(4) for n in range(0, 128, 4))
        rss = Rss(turn % 3 != 0, types, rng.randbytes(40), table)
        await bench.set_rss(rss)
        await bench.run([received(rng) for _ in range(500)], rss, rng.choice((1.0, 1.0, 0.5)))
    dut._log.info("%s", bench.seen)
    for name in (*STATS, "drop", *(f"report {n}" for n in range(7))):
        assert bench.seen[name] >= 20, f"{name} was hardly tested"


@cocotb.test(**RUN)
async def classify_microsoft_vectors(dut: Any) -> None:
    """The published vectors as frames; a type that is off falls back to the addresses, or to nothing."""
    bench = Bench(dut)
    await bench.start()
    for types in (0b000001, 0b001001, 0b011011, 0b101101, 0b111111, 0b110110, 0):
        rss = Rss(False, types, MICROSOFT_KEY)
        await bench.set_rss(rss)
        for vector in MICROSOFT_VECTORS:
            src, dst = packed(vector.src), packed(vector.dst)
            ports = vector.sport.to_bytes(2, "big") + vector.dport.to_bytes(2, "big")
            for proto, bit in ((6, 1), (17, 2)):
                shape = {"src": src, "dst": dst, "ports": ports, "proto": proto, "macs": MAC + bytes(6)}
                six = len(src) == 16
                frame = make(Recipe(ether_type=0x86DD if six else 0x0800, **shape))
                base = 3 if six else 0
                want = (0, 0)
                if types >> base & 1:
                    want = (vector.ip_hash, base + 1)
                if types >> (base + bit) & 1:
                    want = (vector.tcp_hash, base + bit + 1)
                outcome = classify(frame, MAC, bench.pairs, rss, None)
                assert (outcome.hash, outcome.report) == want
                await bench.run([frame], rss, 1.0)


@cocotb.test(**RUN)
async def classify_registers(dut: Any) -> None:
    """Reset values, byte strobes, bits that are not there, and that other blocks' addresses answer 0."""
    bench = Bench(dut)
    await bench.start()
    words = {offset: 0 for offset in range(0, 0x100, 4)}
    masks = {CONTROL: 1, HASH_TYPES: 63}
    masks |= {KEY + n: 0xFFFFFFFF for n in range(0, 40, 4)} | {
        TABLE + n: 0xFFFFFFFF for n in range(0, 128, 4)
    }
    for offset in words:
        assert await bench.read(offset) == 0, f"reset value at {offset:#x}"
    for _ in range(600):
        offset, data, strobes = (
            bench.rng.randrange(64) * 4,
            bench.rng.getrandbits(32),
            bench.rng.getrandbits(4),
        )
        await bench.write(offset, data, strobes)
        lanes = sum(0xFF << 8 * n for n in range(4) if strobes >> n & 1)
        words[offset] = (words[offset] & ~lanes | data & lanes) & masks.get(offset, 0)
        offset = bench.rng.choice((offset, bench.rng.randrange(64) * 4))
        assert await bench.read(offset) == words[offset], f"{offset:#x}"
        assert await bench.read(offset - 0x400) == await bench.read(offset + 0x400) == 0
        await bench.write(bench.rng.choice((-0x400, 0x400, 0x100)) + offset, bench.rng.getrandbits(32))
    for offset, word in words.items():
        assert await bench.read(offset) == word


@pytest.mark.sim
@pytest.mark.parametrize(("queues", "latency"), [(2, 2), (16, 5), (128, 8)])
def test_classify(run_bench: RunBench, queues: int, latency: int) -> None:
    cases = [name for name in globals() if name.startswith("classify_")]
    params = {"QUEUES": queues, "LOOKUP_LATENCY": latency}
    env = {name: str(value) for name, value in params.items()}
    run_bench("tupelo_rx_classify", cases, sources=SOURCES, env=env, **params)
