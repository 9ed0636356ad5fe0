# SPDX-License-Identifier: Apache-2.0
"""tupelo_msix inside tupelo_bar: table, masks, pending bits, merging (PCIe 6.0 6.1.4, 7.7.2)."""

from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from cocotb_tests.bar_bench import READY, RTL, BarBench
from driver.registers import COMMON, ISR, MSIX_PBA, MSIX_TABLE, VENDOR, DeviceStatus, Isr
from sim.build import build, run

FAR = {"timeout_time": 20, "timeout_unit": "ms"}
ENABLE = 1 << 15  # PCIe 6.0 7.7.2.2: Message Control
FUNCTION_MASK = 1 << 14


async def pending(bench: BarBench) -> set[int]:
    """Vectors whose pending bit is set."""
    words = [await bench.read(MSIX_PBA.at(i)) for i in range(6)]
    bits = sum(word << 32 * i for i, word in enumerate(words))
    return {v for v in range(192) if bits >> v & 1}


def sample(bench: BarBench, count: int = 8) -> list[int]:
    """First and last vector and some between."""
    middle = range(1, bench.vectors - 1)
    return [0, bench.vectors - 1, *bench.rng.sample(middle, min(count, len(middle)))]


async def settle(bench: BarBench) -> None:
    """Long enough for every waiting message to leave."""
    bench.msix_ready_chance = 1.0
    await bench.cycles(3 * bench.vectors + 10)


@cocotb.test(**FAR)
async def table_holds_what_is_written(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    table = bytearray(16 * bench.vectors)
    for at in range(0, len(table), 4):  # the memory has no reset value
        await bench.bar.write(0x4000 + at, 0)
    for _ in range(300):
        width = bench.rng.choice([1, 2, 4])
        at = bench.rng.randrange(len(table) // width) * width
        value = bench.rng.randbytes(width)
        await bench.bar.write(0x4000 + at, int.from_bytes(value, "little"), width)
        table[at : at + width] = value
    for at in range(0, len(table), 4):
        want = int.from_bytes(table[at : at + 4], "little")
        assert await bench.bar.read(0x4000 + at) == (want & 1 if at % 16 == 12 else want), f"{at:#x}"
    await bench.reset_device()
    at = 16 * bench.rng.randrange(bench.vectors)
    assert await bench.bar.read(0x4000 + at) == int.from_bytes(table[at : at + 4], "little")


@cocotb.test(**FAR)
async def an_unmasked_request_is_sent_at_once(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.msix_setup()
    assert await bench.read(VENDOR.MSIX_CONTROL) == ENABLE | bench.vectors - 1
    for vector in range(bench.vectors):
        await bench.request(vector)
        await bench.cycles(3)
        assert bench.take_vectors() == [vector]
    for vector in (bench.vectors, 0x100, 0x8000, 0xFFFF):
        await bench.request(vector)
    await settle(bench)
    assert bench.take_vectors() == [] and await pending(bench) == set()
    assert await bench.read(ISR) == 0, "with MSI-X on, queues leave the ISR alone"


@cocotb.test(**FAR)
async def a_masked_vector_is_pending_and_sent_on_unmask(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.msix_setup(masked=True)
    picks = sample(bench)
    for vector in picks * 3:
        await bench.request(vector)
    await settle(bench)
    assert bench.take_vectors() == []
    assert await pending(bench) == set(picks)
    await bench.bar.write(0x5000, 0xFFFFFFFF)  # the PBA is read only
    assert await pending(bench) == set(picks)
    for vector in picks:
        await bench.write(MSIX_TABLE.CONTROL.at(vector), 0)
        await bench.cycles(bench.vectors + 3)
        assert bench.take_vectors() == [vector], "three requests, one message"
        picks = picks[1:]
        assert await pending(bench) == set(picks)


@cocotb.test(**FAR)
async def the_function_mask_holds_all_vectors(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.msix_setup()
    await bench.write(VENDOR.MSIX_CONTROL, ENABLE | FUNCTION_MASK)
    picks = sample(bench)
    await bench.write(MSIX_TABLE.CONTROL.at(picks[0]), 1)
    for vector in picks:
        await bench.request(vector)
    await settle(bench)
    assert bench.take_vectors() == [] and await pending(bench) == set(picks)
    await bench.write(VENDOR.MSIX_CONTROL, ENABLE)
    await settle(bench)
    assert sorted(bench.take_vectors()) == sorted(picks[1:])
    assert await pending(bench) == {picks[0]}


@cocotb.test(**FAR)
async def without_msix_only_the_isr_tells(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.msix_setup()
    await bench.write(VENDOR.MSIX_CONTROL, 0)
    await bench.request(0)
    await bench.request(0xFFFF)
    assert await bench.read(ISR) == Isr.QUEUE
    assert await bench.read(ISR) == 0
    await bench.write(VENDOR.MSIX_CONTROL, ENABLE)
    await settle(bench)
    assert bench.take_vectors() == []


@cocotb.test(**FAR)
async def requests_merge_while_their_message_waits(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.msix_setup()
    bench.msix_ready_chance = 0.0
    await bench.request(1)
    await bench.cycles(3)  # at the output now
    for vector in (1, 0, 1, 2, 0, 2, 1):
        await bench.request(vector)
    await settle(bench)
    assert sorted(bench.take_vectors()) == [0, 1, 2]
    await bench.request(1)
    await settle(bench)
    assert bench.take_vectors() == [1], "a later request is a new message"


@cocotb.test(**FAR)
async def the_configuration_vector_is_used(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.msix_setup()
    dut.link_up_i.value = 0
    await settle(bench)
    assert bench.take_vectors() == [], "no vector set"
    assert await bench.read(ISR) == Isr.CONFIG
    last = bench.vectors - 1
    await bench.write(COMMON.CONFIG_MSIX_VECTOR, last)
    dut.link_up_i.value = 1
    await settle(bench)
    assert bench.take_vectors() == [last]
    await bench.negotiate()
    bench.set_stopped(1, True, reason=2)
    await settle(bench)
    assert bench.take_vectors() == [last]
    assert await bench.read(COMMON.DEVICE_STATUS) == READY
    await bench.reset_device()
    await bench.negotiate(0x1720010028 & ~(1 << 40))
    await bench.write(COMMON.CONFIG_MSIX_VECTOR, 0)
    bench.set_stopped(0, True, reason=2)
    await settle(bench)
    assert bench.take_vectors() == [0]
    assert await bench.read(COMMON.DEVICE_STATUS) == READY | DeviceStatus.DEVICE_NEEDS_RESET


@cocotb.test(**FAR)
async def a_device_reset_drops_what_is_pending(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.msix_setup(masked=True)
    bench.drain_cycles = 200
    for vector in sample(bench):
        await bench.request(vector)
    await bench.write(COMMON.DEVICE_STATUS, 0)
    await bench.request(1)  # a queue that drains
    while await bench.read(COMMON.DEVICE_STATUS):
        pass
    assert await pending(bench) == set()
    for vector in range(bench.vectors):
        await bench.write(MSIX_TABLE.CONTROL.at(vector), 0)
    await settle(bench)
    assert bench.take_vectors() == []
    await bench.request(1)
    await settle(bench)
    assert bench.take_vectors() == [1]


@cocotb.test(**FAR)
@cocotb.parametrize(("ready", [0.05, 0.5, 1.0]), ("rate", [0.05, 0.5, 1.0]))
async def no_wake_up_is_lost_under_load(dut: Any, ready: float, rate: float) -> None:
    """Random requests, masks and table reads: each request is followed by a message, none is unasked."""
    bench = BarBench(dut)
    await bench.start(stall=0.3)
    await bench.msix_setup()
    bench.msix_ready_chance = ready
    rng = bench.rng
    open_requests: set[int] = set()  # asked for, no message since
    asked = sent = 0

    def taken() -> int:
        vectors = bench.take_vectors()
        for vector in vectors:
            open_requests.discard(vector)
        return len(vectors)

    async def requests() -> None:
        nonlocal asked, sent
        for _ in range(800):
            await FallingEdge(dut.clk)
            sent += taken()
            hot = rng.random() < rate
            vector = rng.choice([0, 1, bench.vectors - 1, rng.randrange(bench.vectors)])
            dut.irq_valid_i.value = hot
            dut.irq_vector_i.value = vector
            if hot:
                asked += 1
                open_requests.add(vector)
        await FallingEdge(dut.clk)
        sent += taken()
        dut.irq_valid_i.value = 0

    async def masks() -> None:
        for _ in range(40):
            vector = rng.choice([0, 1, bench.vectors - 1])
            await bench.write(MSIX_TABLE.CONTROL.at(vector), rng.randrange(2))
            await bench.read(MSIX_TABLE.DATA.at(vector))
        for vector in range(bench.vectors):
            await bench.write(MSIX_TABLE.CONTROL.at(vector), 0)

    tasks = [cocotb.start_soon(requests()), cocotb.start_soon(masks())]
    for task in tasks:
        await task
    await settle(bench)
    sent += taken()
    assert not open_requests, f"lost: {sorted(open_requests)}"
    assert 0 < sent <= asked
    assert await pending(bench) == set()


@cocotb.test(**FAR)
async def a_masked_vector_sends_nothing(dut: Any) -> None:
    """Once the mask's write is answered and the output is empty, requests stay pending."""
    bench = BarBench(dut)
    await bench.start()
    await bench.msix_setup()
    for _ in range(30):
        vector, other = bench.rng.sample(range(bench.vectors), 2)
        await bench.write(MSIX_TABLE.CONTROL.at(vector), 1)
        for _ in range(bench.rng.randrange(1, 6)):
            await bench.request(vector)
            await bench.request(other)
        await settle(bench)
        assert set(bench.take_vectors()) == {other}
        assert await pending(bench) == {vector}
        await bench.write(MSIX_TABLE.CONTROL.at(vector), 0)
        await settle(bench)
        assert bench.take_vectors() == [vector]


@pytest.mark.sim
@pytest.mark.parametrize("queue_pairs", [1, 8, 64])
def test_msix(queue_pairs: int) -> None:
    run(build("tupelo_bar", sources=RTL, params={"QUEUE_PAIRS": queue_pairs}), "cocotb_tests.test_msix")
