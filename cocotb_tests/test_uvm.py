# SPDX-License-Identifier: Apache-2.0
"""The whole NIC in the pyuvm environment: random traffic both ways while tables and surroundings change.

All choices come from the seed that pytest prints; `SEED=n` runs it again.
"""

import os
from pathlib import Path
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
from cocotb_tests.nic_tests import LEAN, TOP, WIDE, Shape
from cocotb_tests.raw_device import BASE_FEATURES
from cocotb_tests.received import HASH_REPORT, MRG_RXBUF
from cocotb_tests.uvm.env import NicEnv
from cocotb_tests.uvm.sequences import ChainSequence, FrameSequence, MemoryWeather, StallWeather, TableChanges
from cocotb_tests.uvm.troubles import SettingChanges, Troubles
from driver.registers import COMMON, VENDOR, Feature
from driver.rss import ALL_TYPES, RssConfig, set_rss, spread
from driver.steering import Found, Steering
from driver.windows import Guard

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
    )
)


class NicTest(uvm_test):
    """Random traffic on every queue."""

    hash_report = False
    mergeable = True
    troubles = False  # queues fail and are reset; settings change
    device_reset = False  # once, with everything under way

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
        changes = TableChanges(rng, steering, pairs, env.scoreboard.coverage.hit)
        await steering.locals.set([LOCALS[v][0].to_bytes(16 if v else 4, "big") for v in (0, 1)])
        table = spread(rng.sample(range(pairs), pairs))
        await set_rss(env.bus, RssConfig(table=table, types=ALL_TYPES, key=rng.randbytes(40)))
        own: dict[int, list[Tuple]] = {}
        for pair in range(min(2, pairs - 1), pairs) if pairs > 1 else ():  # pair 1 stays without guard
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

    def features(self) -> int:
        found = BASE_FEATURES | OFFLOADS
        found |= 1 << HASH_REPORT if self.hash_report else 0
        found |= 1 << MRG_RXBUF if self.mergeable else 0
        return found | (1 << Feature.RING_INDIRECT_DESC if self.troubles else 0)

    async def traffic(self) -> None:
        env, rng = self.env, self.env.rng
        await env.harness.start()
        pairs, hit = env.host.pairs, env.scoreboard.coverage.hit
        assert await env.harness.read(COMMON.NUM_QUEUES.offset_bytes, 2) == 2 * pairs
        if self.hash_report:
            await env.bus.write(VENDOR.FEATURE_ENABLE.hi.offset_bytes, 0xFFFF_FFFF)
        more = SettingChanges(rng, env.host, hit, {0, 1} if pairs > 2 else {0})
        if self.troubles:
            await more.begin()
        await env.host.bring_up(self.features(), 40)
        changes, own = await self.settings(pairs)
        forever = [cocotb.start_soon(env.host.receive(pair)) for pair in range(pairs)]
        forever.append(cocotb.start_soon(env.guard()))
        passing = [cocotb.start_soon(changes.run(env.host))]
        if self.troubles:
            passing.append(cocotb.start_soon(more.run()))
        for sequence, agent in (
            (MemoryWeather(rng), env.memory),
            (StallWeather(rng, "stall", "gap"), env.wire_out),
            (StallWeather(rng, "stall"), env.msix),
        ):
            forever.append(cocotb.start_soon(sequence.start(agent.sequencer)))
        count = int(cocotb.plusargs.get("frames", FRAMES["short"]))
        size = 20 if self.hash_report else 12

        def sending(share: int) -> list[Any]:
            jobs = []
            for pair, agent in enumerate(env.host.transmit):
                others = [flow for who, flows in own.items() if who != pair for flow in flows]
                chains = ChainSequence(rng, count // pairs // share, own.get(pair, []), others, size)
                jobs.append(chains.start(agent.sequencer))
            return jobs

        troubles = Troubles(rng, env.host, hit)
        jobs = [FrameSequence(rng, 3 * count, changes.hot).start(env.wire_in.sequencer), *sending(1)]
        if self.troubles:
            under_way = cocotb.start_soon(troubles.run())
            forever.append(under_way)
        await gather(*jobs)
        env.host.starved.add(rng.randrange(pairs))
        await FrameSequence(rng, count, changes.hot, crowd=0.9).start(env.wire_in.sequencer)
        env.host.starved.clear()
        hit("pressure", "no buffers")
        if self.troubles:
            troubles.over = True
            await under_way
        if self.device_reset:
            jobs = [FrameSequence(rng, count, changes.hot).start(env.wire_in.sequencer), *sending(2)]
            together = cocotb.start_soon(gather(*jobs))
            await env.host.scene.cycles(rng.randrange(200, 2000))
            await env.host.restart_device()
            hit("reset", "device")
            await together
        await FrameSequence(rng, 20, crowd=0.0, longest_gap_cycles=300).start(env.wire_in.sequencer)
        changes.over = more.over = True
        for task in passing:
            await task
        stats = await env.verdict()
        for task in forever:
            task.cancel()
        self.report(stats, changes.done + more.done, troubles.done)

    def report(self, stats: dict[str, int], changes: int, troubles: int) -> None:
        """Print what was reached, write it down, and judge it if the run was a long one."""
        env, long = self.env, bool(cocotb.plusargs.get("long"))
        judge, coverage = env.scoreboard.judge, env.scoreboard.coverage
        about = {
            "test": type(self).__name__,
            "seed": int(os.environ["COCOTB_RANDOM_SEED"]),
            "pairs": env.host.pairs,
            "data_w": env.harness.data_w,
            "cycles": env.harness.loop.cycle,
            "frames_in": stats["rx_wire_frames"],
            "frames_out": stats["tx_frames"],
            "changes": changes,
            "troubles": troubles,
            "unclear": judge.unclear,
            "lost": sum(judge.lost.values()),
            "unseen": sum(judge.unseen.values()),
            "interrupts": env.scoreboard.interrupts,
        }
        cocotb.log.info("%s", about)
        cocotb.log.info("coverage\n%s", coverage.table())
        results = Path(os.environ["COCOTB_RESULTS_FILE"])
        coverage.write(results.with_name(f"coverage-{type(self).__name__}.json"), **about)
        if not long:
            return
        if env.host.pairs == 1:
            coverage.waive("setting", "guard on", "guard off")
            coverage.waive("verdict", "tx_drop_guard_owner", "tx_drop_guard_tuple")
            guard = (f"tx_drop_guard_{name}" for name in ("mac", "proto", "owner", "tuple"))
            coverage.waive("drop", *guard)
        if not self.device_reset:
            coverage.waive("reset", "device")
        if not self.troubles:
            for group in ("reset", "stop"):
                coverage.waive(group, *coverage.goals[group])
            drawn = ("insert", "delete", "redirect")
            coverage.waive("setting", *(name for name in coverage.goals["setting"] if name not in drawn))
            coverage.waive("drop", "rx_drop_queue_error", "tx_drop_queue_error")
            coverage.waive("chain", "table")
        coverage.check()


class HashReportTest(NicTest):
    """The same with the hash in each header."""

    hash_report = True


class TroubledTest(NicTest):
    """Settings of all kinds change, queues fail and are reset; chains are tables, too."""

    troubles = True


class TroubledPlainTest(TroubledTest):
    """The same without mergeable buffers."""

    mergeable = False


class DeviceResetTest(TroubledTest):
    """And the device is reset."""

    device_reset = True


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


@nic_test(**TIMEOUT)
async def troubled_traffic(dut: Any) -> None:
    """Errors of memory, resets of queues, every setting changed under way."""
    await run_uvm(dut, TroubledTest)


@nic_test(**TIMEOUT)
async def troubled_traffic_without_mergeable_buffers(dut: Any) -> None:
    """The same, each frame in one chain."""
    await run_uvm(dut, TroubledPlainTest)


@nic_test(**TIMEOUT)
async def device_reset_in_traffic(dut: Any) -> None:
    """The same, and a device reset with everything under way."""
    await run_uvm(dut, DeviceResetTest)


CASES = [
    *("random_traffic", "random_traffic_with_hash_report"),
    *("troubled_traffic", "troubled_traffic_without_mergeable_buffers"),
]
SHAPES = (Shape(1, 128), Shape(2, 128), Shape(4, 256), Shape(4, 512), Shape(8, 512), LEAN)


@pytest.mark.sim
def test_random_traffic(run_bench: RunBench) -> None:
    run_bench(TOP, CASES[:3], plusargs=[f"+pairs={WIDE.queue_pairs}"], **WIDE.parameters)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_long_random_traffic(run_bench: RunBench, shape: Shape) -> None:
    plusargs = [
        "+long",
        f"+pairs={shape.queue_pairs}",
        f"+frames={os.environ.get('FRAMES') or FRAMES['long']}",
    ]
    run_bench(TOP, CASES, plusargs=plusargs, **shape.parameters)


@pytest.mark.sim
@pytest.mark.slow
def test_device_reset_in_traffic(run_bench: RunBench) -> None:
    run_bench(TOP, "device_reset_in_traffic", plusargs=[f"+pairs={WIDE.queue_pairs}"], **WIDE.parameters)
