# SPDX-License-Identifier: Apache-2.0
"""The audit at the end of each test of a whole NIC: it can fail, and no such test goes without it."""

import ast
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import Timer

from cocotb_tests.audit import Auditor, Unbalanced, nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.count_bench import RX, TX, TX1, CountBench
from cocotb_tests.nic_tests import TOP, WIDE
from driver.stats import Statistics

TIMEOUT = {"timeout_time": 2, "timeout_unit": "ms"}
# Counters that tell of no frame's fate; tx_drop_reset stands on both sides (test_drop_reasons judges it).
NO_FATE = {
    *("msix_sent", "dma_read_errors", "dma_write_errors", "rx_malformed", "rx_fragments", "rx_csum_ok"),
    *("rx_csum_bad", "tx_csum_frames", "indirect_tables", "irq_moderated", "tx_drop_reset"),
}


async def traffic(bench: CountBench) -> None:
    """Frames both ways, some of which are dropped."""
    await bench.start()
    await bench.buffers(RX, 8)
    await bench.send(TX, bench.plain(), bench.plain(13), bench.plain(900))
    await bench.send(TX1, bench.plain(9729), bench.plain())
    await bench.arrive(bench.plain(), bench.plain(8), bench.plain(3000), bench.plain(1500))
    await bench.arrive(bench.plain(), bench.plain(10_000), bad=True)


@nic_test(**TIMEOUT)
async def a_doctored_counter_is_seen(dut: Any) -> None:
    """Each counter of frames, one too high and one too low; each event of the pins, one too many."""
    bench = CountBench(dut)
    auditor = Auditor(bench.harness)
    await traffic(bench)
    told, ledger, queues = await auditor.statistics(), auditor.ledger, bench.harness.monitor.queues
    assert ledger.problems(told, queues) == []
    for name, value in told.items():
        for other in (value + 1, value - 1) if value else (1,):
            found = ledger.problems(Statistics({**told, name: other}, 0), queues)
            assert bool(found) == (name not in NO_FATE), f"{name} is {value}, told {other}: {found}"
    for counts in (ledger.seen, ledger.used):
        for key in list(counts):
            counts[key] += 1
            assert ledger.problems(told, queues), f"one more of {key}"
            counts[key] -= 1
    ledger.received_bytes += 1
    assert ledger.problems(told, queues)


@nic_test(**TIMEOUT, expect_error=Unbalanced)
async def a_frame_too_many_at_the_wire_fails_the_test(dut: Any) -> None:
    """Somebody tells of a frame that never entered."""
    bench = CountBench(dut)
    await traffic(bench)
    for listener in bench.harness.wire.source.on_frame:
        listener(bytes(60), False)


@nic_test(**TIMEOUT)
async def what_is_left_inside_is_counted_after_a_reset(dut: Any) -> None:
    """The test ends while frames come and go and memory stands still."""
    bench = CountBench(dut)
    await bench.start()
    await bench.buffers(RX, 16)
    bench.harness.memory.knobs.latency_cycles = 3000

    async def without_end() -> None:
        while True:
            bench.harness.wire.send([bench.plain(700)])
            await Timer(400, "ns")

    cocotb.start_soon(without_end())
    for _ in range(4):
        region = bench.memory_with(bench.header + bench.plain())
        await bench.chain(TX, (region.iova, region.size_bytes, 0))
    await bench.cycles(1000)


@nic_test(**TIMEOUT, expect_error=AssertionError)
async def a_test_without_a_nic_is_none(dut: Any) -> None:
    await Timer(8, "ns")


CASES = [
    "a_doctored_counter_is_seen",
    "a_frame_too_many_at_the_wire_fails_the_test",
    "what_is_left_inside_is_counted_after_a_reset",
    "a_test_without_a_nic_is_none",
]


@pytest.mark.sim
def test_audit(run_bench: RunBench) -> None:
    run_bench(TOP, CASES, **WIDE.parameters)


def plain_tests(text: str) -> list[str]:
    """Names of the cocotb tests of a module that runs the whole NIC and that are not audited."""
    tree = ast.parse(text)
    whole = any(
        isinstance(node, ast.ImportFrom)
        and node.module == "cocotb_tests.nic_tests"
        and "TOP" in {name.name for name in node.names}
        for node in ast.walk(tree)
    )
    return [
        node.name
        for node in ast.walk(tree)
        if whole and isinstance(node, ast.AsyncFunctionDef)
        if any("cocotb.test" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def test_every_test_of_a_whole_nic_is_audited() -> None:
    folder = Path(__file__).parent
    found = {path.name: plain_tests(path.read_text()) for path in folder.glob("test_*.py")}
    assert {name: tests for name, tests in found.items() if tests} == {}


def test_a_test_that_is_not_audited_is_found() -> None:
    head = "from cocotb_tests.nic_tests import TOP\n"
    body = "async def one(dut): pass\n"
    assert plain_tests(f"{head}@cocotb.test(**X)\n@cocotb.parametrize(a=[1])\n{body}") == ["one"]
    assert plain_tests(f"{head}@cocotb.test\n{body}") == ["one"]
    assert plain_tests(f"{head}@nic_test(**X)\n{body}") == []
    assert plain_tests(f"@cocotb.test(**X)\n{body}") == []
