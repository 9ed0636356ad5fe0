# SPDX-License-Identifier: Apache-2.0
"""The whole NIC in the pyuvm environment: random traffic both ways while tables and surroundings change.

All choices come from the seed that pytest prints; `SEED=n` runs it again.
"""

from collections.abc import Callable
from typing import Any

import cocotb
import pytest
from cocotb.triggers import gather
from pyuvm import ConfigDB, uvm_root, uvm_test

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.guard_frames import LOCALS, PEERS
from cocotb_tests.model.parse_model import TCP, UDP
from cocotb_tests.model.steer_model import Tuple
from cocotb_tests.nic_tests import LEAN, NARROW, TOP, WIDE, Shape
from cocotb_tests.parse_frames import Recipe, make
from cocotb_tests.raw_device import BASE_FEATURES
from cocotb_tests.received import GUEST_CSUM, HASH_REPORT, HEADER, MRG_RXBUF, Features
from cocotb_tests.uvm.env import NicEnv
from cocotb_tests.uvm.predictor import Predictor
from cocotb_tests.uvm.scoreboard import LOSSES, Mismatch, NicJudge
from cocotb_tests.uvm.sequences import ChainSequence, FrameSequence, MemoryWeather, StallWeather, TableChanges
from driver.registers import COMMON, VENDOR, Feature, Stat
from driver.rss import ALL_TYPES, RssConfig, set_rss, spread
from driver.steering import Found, Steering
from driver.windows import Guard
from sim.pins import DEFAULT_MAC

TIMEOUT = {"timeout_time": 60, "timeout_unit": "ms"}
FRAMES = {"short": 150, "long": 5000}
OFFLOADS = sum(
    1 << feature
    for feature in (
        Feature.NET_CSUM,
        Feature.NET_GUEST_CSUM,
        Feature.NET_HOST_TSO4,
        Feature.NET_HOST_TSO6,
        Feature.NET_HOST_ECN,
        Feature.NET_MRG_RXBUF,
    )
)


class NicTest(uvm_test):
    """Random traffic on every queue."""

    hash_report = False

    def build_phase(self) -> None:
        self.env = NicEnv("env", self)

    async def run_phase(self) -> None:
        self.raise_objection()
        await self.traffic()
        self.drop_objection()

    async def settings(self, pairs: int) -> tuple[TableChanges, dict[int, list[Tuple]]]:
        """Program tables, RSS and the guard; return what changes the tables, and what pairs own for good."""
        env, rng = self.env, self.env.rng
        steering = await Steering.attach(env.bus, state=Found.EMPTY)
        changes = TableChanges(rng, steering, pairs)
        await steering.locals.set([LOCALS[v][0].to_bytes(16 if v else 4, "big") for v in (0, 1)])
        table = spread(rng.sample(range(pairs), pairs))
        await set_rss(env.bus, RssConfig(table=table, types=ALL_TYPES, key=rng.randbytes(40)))
        own: dict[int, list[Tuple]] = {}
        for pair in range(2, pairs):  # pair 1 stays without guard
            own[pair] = [
                Tuple(v, proto, LOCALS[v][1], PEERS[v][0], 5000 + pair, 443)
                for v in (0, 1)
                for proto in (TCP, UDP)
            ]
            for flow in own[pair]:
                await changes.own(flow, pair)
            await Guard(env.bus).guard(pair)
        await steering.enable()
        return changes, own

    async def traffic(self) -> None:
        env, rng = self.env, self.env.rng
        await env.harness.start()
        pairs = env.host.pairs
        assert await env.harness.read(COMMON.NUM_QUEUES.offset_bytes, 2) == 2 * pairs
        features = BASE_FEATURES | OFFLOADS
        if self.hash_report:
            await env.bus.write(VENDOR.FEATURE_ENABLE.hi.offset_bytes, 0xFFFF_FFFF)
            features |= 1 << HASH_REPORT
        await env.host.bring_up(features, 40)
        changes, own = await self.settings(pairs)
        forever = [cocotb.start_soon(env.host.receive(pair)) for pair in range(pairs)]
        forever += [cocotb.start_soon(changes.run(env.host))]
        for sequence, agent in (
            (MemoryWeather(rng), env.memory),
            (StallWeather(rng, "stall", "gap"), env.wire_out),
            (StallWeather(rng, "stall"), env.msix),
        ):
            forever.append(cocotb.start_soon(sequence.start(agent.sequencer)))
        count = FRAMES["long" if cocotb.plusargs.get("long") else "short"]
        size = 20 if self.hash_report else 12
        jobs = [FrameSequence(rng, 3 * count, changes.hot).start(env.wire_in.sequencer)]
        for pair, agent in enumerate(env.host.transmit):
            jobs.append(ChainSequence(rng, count // pairs, own.get(pair, []), size).start(agent.sequencer))
        await gather(*jobs)
        env.host.starved.add(rng.randrange(pairs))
        await FrameSequence(rng, count, changes.hot, crowd=0.9).start(env.wire_in.sequencer)
        env.host.starved.clear()
        await FrameSequence(rng, 20, crowd=0.0, longest_gap_cycles=300).start(env.wire_in.sequencer)
        forever.pop(pairs).cancel()
        stats = await env.verdict()
        judge = env.scoreboard.judge
        cocotb.log.info("%s", {name: value for name, value in stats.items() if value})
        lost, cycles = sum(judge.lost.values()), env.harness.loop.cycle
        told = (changes.done, judge.unclear, lost, env.scoreboard.interrupts, cycles)
        cocotb.log.info("table changes %d, unclear %d, lost %d, interrupts %d, cycles %d", *told)
        for task in forever:
            task.cancel()


class HashReportTest(NicTest):
    """The same with the hash in each header."""

    hash_report = True


async def run_uvm(dut: Any, test: type[NicTest]) -> None:
    ConfigDB().set(None, "*", "dut", dut)
    ConfigDB().set(None, "*", "salt", test.__name__)
    ConfigDB().set(None, "*", "pairs", int(cocotb.plusargs["pairs"]))
    await uvm_root().run_test(test, keep_set={ConfigDB})


@nic_test(**TIMEOUT)
async def random_traffic(dut: Any) -> None:
    """Frames and chains of all kinds, table changes in flight, stalls, a queue without buffers."""
    await run_uvm(dut, NicTest)


@nic_test(**TIMEOUT)
async def random_traffic_with_hash_report(dut: Any) -> None:
    """The same with VIRTIO_NET_F_HASH_REPORT."""
    await run_uvm(dut, HashReportTest)


CASES = ["random_traffic", "random_traffic_with_hash_report"]


@pytest.mark.sim
def test_random_traffic(run_bench: RunBench) -> None:
    run_bench(TOP, CASES, plusargs=[f"+pairs={WIDE.queue_pairs}"], **WIDE.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("shape", (WIDE, NARROW, LEAN), ids=str)
def test_long_random_traffic(run_bench: RunBench, shape: Shape) -> None:
    run_bench(TOP, CASES, plusargs=["+long", f"+pairs={shape.queue_pairs}"], **shape.parameters)


# The scoreboard can fail --------------------------------------------------------------------------------

PLAIN = Recipe(macs=DEFAULT_MAC + bytes(6), proto=UDP, payload=b"the quick brown fox")
FIRST, SECOND = (
    make(PLAIN),
    make(Recipe(macs=DEFAULT_MAC + bytes(6), proto=UDP, payload=b"jumps over the lazy")),
)
ZERO = bytes(HEADER.size)


class Story:
    """A quiet NIC that does all right, unless a test changes what it does."""

    def __init__(self) -> None:
        features = Features(1 << GUEST_CSUM | 1 << MRG_RXBUF)
        self.judge = NicJudge(Predictor(DEFAULT_MAC, 4), features)
        self.stats = {stat.name.lower(): 0 for stat in Stat}
        self.frames_in = [FIRST, SECOND]
        self.frames_got = [(0, FIRST), (0, SECOND)]
        self.chains = [(1, FIRST), (1, SECOND), (2, FIRST[::-1])]
        self.frames_out = [FIRST, FIRST[::-1], SECOND]
        size = len(FIRST) + len(SECOND)
        self.stats |= {
            "rx_wire_frames": 2,
            "rx_frames": 2,
            "rx_bytes": size,
            "rx_steer_host": 2,
            "rx_csum_ok": 2,
        }
        self.stats |= {"tx_chains": 3, "tx_frames": 3, "tx_bytes": size + len(FIRST)}
        self.header = b"\2" + bytes(9) + b"\1\0"
        self.per_queue = {0: 2}

    def tell(self) -> None:
        judge = self.judge
        for frame in self.frames_in:
            judge.wire_in(frame, False)
        judge.cycle = 500
        for pair, frame in self.frames_got:
            judge.received(pair, self.header + frame)
        for pair, frame in self.chains:
            judge.offered(pair, ZERO + frame)
        for frame in self.frames_out:
            judge.wire_out(frame)
        queues = {q: {"frames": self.per_queue.get(q, 0)} for q in range(8)}
        judge.finish(self.stats, queues)


def damage(frame: bytes) -> bytes:
    return frame[:50] + bytes([frame[50] ^ 1]) + frame[51:]


def lose_received(story: Story) -> None:
    story.frames_got.pop()
    story.stats |= {"rx_frames": 1, "rx_bytes": len(FIRST)}
    story.per_queue[0] = 1


def lose_sent(story: Story) -> None:
    story.frames_out.pop()
    story.stats |= {"tx_frames": 2, "tx_bytes": 2 * len(FIRST)}


def set_to(name: str, value: Any) -> Callable[[Story], None]:
    return lambda story: setattr(story, name, value)


def count(name: str, more: int = 1) -> Callable[[Story], None]:
    return lambda story: story.stats.update({name: story.stats[name] + more})


FAULTS = {
    "damaged": set_to("frames_got", [(0, damage(FIRST)), (0, SECOND)]),
    "wrong queue": set_to("frames_got", [(0, FIRST), (1, SECOND)]),
    "swapped": set_to("frames_got", [(0, SECOND), (0, FIRST)]),
    "twice": set_to("frames_got", [(0, FIRST), (0, FIRST), (0, SECOND)]),
    "lost": lose_received,
    "header": set_to("header", bytes(12)),
    "damaged out": set_to("frames_out", [FIRST, FIRST[::-1], damage(SECOND)]),
    "swapped out": set_to("frames_out", [SECOND, FIRST[::-1], FIRST]),
    "lost out": lose_sent,
    "from nowhere": set_to("frames_out", [FIRST, FIRST[::-1], SECOND, SECOND]),
    "counted as dropped": count("rx_drop_no_buffer"),
    "steering counter": count("rx_steer_rss"),
    "checksum counter": count("rx_csum_bad"),
    "bytes": count("rx_bytes", -1),
    "chains": count("tx_chains"),
    "guard counter": count("tx_drop_guard_mac"),
    "queue's counter": set_to("per_queue", {0: 1, 2: 1}),
    "filter counter": count("rx_drop_filter"),
}


def test_scoreboard_likes_a_nic_that_does_right() -> None:
    Story().tell()
    assert set(LOSSES) <= set(Story().stats)


@pytest.mark.parametrize("fault", FAULTS)
def test_scoreboard_sees(fault: str) -> None:
    story = Story()
    FAULTS[fault](story)
    with pytest.raises(Mismatch):
        story.tell()
