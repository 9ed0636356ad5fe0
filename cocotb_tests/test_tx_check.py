# SPDX-License-Identifier: Apache-2.0
"""The transmit check alone, with tables made of a model: every rule and counter, order, rate, latency."""

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.conftest import RunBench
from cocotb_tests.guard_frames import OWN_MAC, FrameMaker, Sent, steering
from cocotb_tests.model.guard_model import Features, GuardModel, Request
from cocotb_tests.model.parse_model import TCP, UDP
from cocotb_tests.model.steer_model import Answer, SteerModel, Tuple
from cocotb_tests.parse_frames import make

TIMEOUT = {"timeout_time": 20, "timeout_unit": "ms"}
SOURCES = [
    "rtl/tupelo_regs_pkg.sv",
    "rtl/tupelo_pkg.sv",
    "rtl/tupelo_parse_pkg.sv",
    *(f"rtl/tupelo_parse{part}.sv" for part in ("", "_l2", "_l3", "_ext", "_l4")),
    "rtl/tupelo_l4_csum.sv",
    "rtl/tupelo_fifo.sv",
    "rtl/tupelo_tx_guard.sv",
    "rtl/tupelo_tx_check.sv",
]
LOOKUP_LATENCY = 4
AT_ONCE, WITH_LOOKUP = 8, 12  # cycles from the deciding beat to the verdict
OUTSTANDING_MOST = 64
GUARDED = 0b1011  # pair 0 has its bit set and is not guarded all the same
FRAMES = 6000
# Every rule of the model; what random traffic must meet.
RULES = {
    "unguarded", "follows", "own flow", "own listener", "short", "mac", "not ip", "tag", "options", "icmp",
    "malformed", "csum elsewhere", "tiny first", "empty fragment", "odd fragment", "beyond the packet",
    "no train", "other train", "gap or overlap", "nobody's", "any, but not ours", "flow of no queue",
    "flow of another", "listener of no queue", "listener of another", "gso type", "tso without csum",
    "tso of what", "tso family", "tso csum place", "tso size", "tso too small",
}  # fmt: skip
VERDICT = (
    ("payload_offset", 8),
    ("l4_offset", 8),
    ("l3_offset", 7),
    ("gso_size", 16),
    ("ipv6", 1),
    ("tso", 1),
    ("csum_offset", 16),
    ("csum_start", 16),
    ("csum", 1),
    ("drop_stat", 6),
    ("drop", 1),
    ("vq", 7),
)


def unpack_verdict(word: int) -> dict[str, int]:
    got = {}
    for name, width in VERDICT:
        got[name] = word & ((1 << width) - 1)
        word >>= width
    return got


def unpack_tuple(word: int) -> Tuple:
    mask = (1 << 128) - 1
    return Tuple(
        word >> 296,
        word >> 288 & 255,
        word >> 160 & mask,
        word >> 32 & mask,
        word >> 16 & 0xFFFF,
        word & 0xFFFF,
    )


def pack_answer(answer: Answer) -> int:
    word = (answer.match << 2 | answer.target) << 6 | answer.pair
    return ((word << 16 | answer.id) << 16 | answer.generation) << 1 | answer.local_ok


def pack_header(request: Request) -> int:
    word = (request.csum_offset << 16 | request.csum_start) << 16 | request.gso_size
    return ((word << 16 | request.hdr_len) << 8 | request.gso_type) << 8 | request.flags


@dataclass
class Job:
    """One frame on its way in, and when the last beat that counts went."""

    pair: int
    frame: bytes
    request: Request
    decided: int = 0


@dataclass
class CheckBench:
    """The device with stream in, tables at its side, verdicts out."""

    dut: Any
    rng: random.Random
    tables: SteerModel
    features: Features = field(default_factory=Features)
    gap: float = 0.2  # cycles without a beat
    busy: float = 0.2  # cycles in which the tables do not take a look-up
    stall: float = 0.2  # cycles in which nobody takes a verdict
    guarded: int = GUARDED
    todo: deque[Job] = field(default_factory=deque)
    sent: deque[Job] = field(default_factory=deque)
    rules: Counter[str] = field(default_factory=Counter)
    counters: Counter[int] = field(default_factory=Counter)
    latencies: list[int] = field(default_factory=list)
    cycle: int = 0
    outstanding: int = 0

    def __post_init__(self) -> None:
        self.model = GuardModel(OWN_MAC, self.tables.lookup, self.features)
        self.beat = len(self.dut.g_data) // 8

    async def start(self) -> None:
        dut, features = self.dut, self.features
        for name in ("g_valid", "g_first", "g_last", "lk_ready", "lk_result_valid_i", "m_ready"):
            getattr(dut, name).value = 0
        dut.mac_i.value = int.from_bytes(OWN_MAC, "little")
        dut.guard_i.value = self.guarded
        dut.feat_csum_i.value, dut.feat_ecn_i.value = int(features.csum), int(features.ecn)
        dut.feat_tso4_i.value, dut.feat_tso6_i.value = int(features.tso4), int(features.tso6)
        dut.rst.value = 1
        Clock(dut.clk, 4, unit="ns").start()
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0

    async def run(self) -> None:
        """Send what is to do and judge all verdicts."""
        dut = self.dut
        lk_valid, lk_tuple, m_valid, m_verdict = (
            reader(h) for h in (dut.lk_valid, dut.lk_tuple, dut.m_valid, dut.m_verdict)
        )
        names = ("lk_ready", "lk_result_valid_i", "lk_result_i", "m_ready")
        put_ready, put_valid, put_result, put_take = (writer(getattr(dut, name)) for name in names)
        put = {
            name: writer(getattr(dut, f"g_{name}")) for name in ("valid", "data", "bytes", "first", "last")
        }
        put |= {name: writer(getattr(dut, f"g_{name}")) for name in ("hdr", "vq")}
        answers: deque[Answer | None] = deque([None] * (LOOKUP_LATENCY - 1))
        beats = self.beats()
        ready = take = 0
        edge = RisingEdge(dut.clk)
        while self.todo or self.sent or self.outstanding:
            await edge
            self.cycle += 1
            answers.append(self.tables.lookup(unpack_tuple(lk_tuple())) if ready and lk_valid() else None)
            if take and m_valid():
                self.judge(unpack_verdict(m_verdict()))
            answer = answers.popleft()
            put_valid(int(answer is not None))
            if answer is not None:
                put_result(pack_answer(answer))
            ready, take = int(self.rng.random() >= self.busy), int(self.rng.random() >= self.stall)
            put_ready(ready)
            put_take(take)
            for name, value in next(beats).items():
                put[name](value)

    def beats(self) -> Any:
        """Yield what is on the stream, cycle after cycle."""
        rng, none = self.rng, {"valid": 0}
        while True:
            while not self.todo or self.outstanding >= OUTSTANDING_MOST or rng.random() < self.gap:
                yield none
            job = self.todo.popleft()
            self.sent.append(job)
            self.outstanding += 1
            for at in range(0, len(job.frame), self.beat):
                part = job.frame[at : at + self.beat]
                if at < 128:
                    job.decided = self.cycle
                first = {"hdr": pack_header(job.request), "vq": 2 * job.pair + 1}
                other = {"hdr": rng.getrandbits(80), "vq": rng.randrange(8)}
                yield {
                    "valid": 1,
                    "data": int.from_bytes(part, "little"),
                    "bytes": len(part),
                    "first": int(at == 0),
                    "last": int(at + self.beat >= len(job.frame)),
                    **(other if at else first),
                }
                while rng.random() < self.gap:
                    yield none

    def judge(self, got: dict[str, int]) -> None:
        job = self.sent.popleft()
        self.outstanding -= 1
        guarded = bool(job.pair and self.guarded >> job.pair & 1)
        counter, rule, found = self.model.judge(job.pair, guarded, job.frame, job.request)
        self.rules[rule] += 1
        self.counters[counter] += 1
        self.latencies.append(self.cycle - job.decided - 1)
        request = job.request
        wanted = {
            "vq": 2 * job.pair + 1,
            "drop": int(counter != 0),
            "drop_stat": counter,
            "csum": 0,
            "tso": 0,
        }
        if not counter and request.gso_type:
            wanted |= {"tso": 1, "ipv6": int(found.ipv6), "gso_size": request.gso_size}
            wanted |= {name: getattr(found, name) for name in ("l3_offset", "l4_offset", "payload_offset")}
        elif not counter and request.flags & 1:
            wanted |= {"csum": 1, "csum_start": request.csum_start, "csum_offset": request.csum_offset}
        shown = {name: got[name] for name in wanted}
        assert shown == wanted, f"{rule}: {shown}, not {wanted}\n{found}\n{request}\n{job.frame[:128].hex()}"


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(stalls=[0.0, 0.3])
async def random_frames(dut: Any, stalls: float) -> None:
    """Honest and other frames of all pairs; each verdict is the model's, each rule is met."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {stalls}")
    tables = steering(rng)
    bench = CheckBench(dut, rng, tables, gap=stalls, busy=stalls, stall=stalls)
    maker = FrameMaker(rng, tables)
    trains: dict[int, Any] = {}
    while len(bench.todo) < FRAMES:
        pair = rng.choices(range(4), (1, 6, 1, 6))[0]
        if pair not in trains and rng.random() < 0.12:
            trains[pair] = maker.train(pair)
        sent: Sent | None = next(trains[pair], None) if pair in trains else maker.single(pair)
        if sent is None:
            del trains[pair]
        else:
            bench.todo.append(Job(pair, *sent))
    await bench.start()
    await bench.run()
    dut._log.info(f"{sum(bench.rules.values())} frames in {bench.cycle} cycles: {dict(bench.rules)}")
    assert not RULES - set(bench.rules), f"never met: {RULES - set(bench.rules)}"


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(missing=["csum", "tso4", "tso6", "ecn"])
async def what_was_not_negotiated_is_refused(dut: Any, missing: str) -> None:
    """Requests that need the feature are dropped, the others are not."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {missing}")
    tables = steering(rng)
    features = Features(**{missing: False})
    bench = CheckBench(dut, rng, tables, features)
    maker = FrameMaker(rng, tables)
    for _ in range(500):
        pair = rng.randrange(4)
        asked = maker.tuple_for(pair)
        frame = make(maker.recipe(asked))
        bench.todo.append(Job(pair, frame, maker.request(asked, frame, honest=True)))
    await bench.start()
    await bench.run()
    names = {"csum": "csum not negotiated", "ecn": "ecn"}
    assert bench.rules[names.get(missing, "gso type")] > 10


def small_frames(maker: FrameMaker, tables: SteerModel, pair: int, count: int) -> list[Job]:
    """Return frames of 60 bytes that the pair may send."""
    own = [key for key, info in tables.flows.slots.values() if (info.target, info.pair) == (0, pair)]
    own = [key for key in own if key.ipv6 == 0 and key.proto in (TCP, UDP)]
    recipes = [maker.recipe(maker.rng.choice(own), 0) for _ in range(count)]
    for recipe in recipes:
        recipe.tcp_words = 5
        recipe.payload = bytes(60 - 14 - 20 - (20 if recipe.proto == TCP else 8))
    return [Job(pair, make(recipe), Request()) for recipe in recipes]


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(pair=[0, 1], gap=[0.0, 0.95])
async def small_frames_at_full_rate(dut: Any, pair: int, gap: float) -> None:
    """A verdict a frame as fast as frames of 60 bytes come, and after a known number of cycles."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {pair}")
    tables = steering(rng)
    bench = CheckBench(dut, rng, tables, gap=gap, busy=0.0, stall=0.0)
    jobs = small_frames(FrameMaker(rng, tables), tables, 1, 300)
    bench.todo += [Job(pair, job.frame, job.request) for job in jobs]
    await bench.start()
    await bench.run()
    assert set(bench.rules) == {"own flow" if pair else "unguarded"}
    assert set(bench.latencies) == {WITH_LOOKUP if pair else AT_ONCE}, Counter(bench.latencies)
    if not gap:
        assert bench.cycle <= 300 * -(-60 // bench.beat) + 30


@cocotb.test(**TIMEOUT)
async def many_wait(dut: Any) -> None:
    """Nothing is lost while 64 frames wait: for the tables, then for somebody who takes the verdicts."""
    rng = random.Random(cocotb.RANDOM_SEED)
    tables = steering(rng)
    bench = CheckBench(dut, rng, tables, gap=0.0, busy=0.95, stall=0.0)
    maker = FrameMaker(rng, tables)
    jobs = [job for pair in (1, 3) for job in small_frames(maker, tables, pair, 200)]
    jobs += [Job(0, make(maker.recipe(maker.tuple_for(1))), Request()) for _ in range(200)]
    rng.shuffle(jobs)
    bench.todo += jobs[:300]
    await bench.start()
    await bench.run()
    bench.busy, bench.stall = 0.0, 0.97
    bench.todo += jobs[300:]
    await bench.run()
    assert sum(bench.rules.values()) == len(jobs)


@pytest.mark.sim
@pytest.mark.parametrize(("data_w", "queues"), [(128, 8), (256, 8), (512, 8)])
def test_tx_check(run_bench: RunBench, data_w: int, queues: int) -> None:
    run_bench("tupelo_tx_check", sources=SOURCES, DATA_W=data_w, QUEUES=queues)
