# SPDX-License-Identifier: Apache-2.0
"""tupelo_bar, the window of queue_select and the doorbells: VIRTIO 1.2 sections 2.6.1, 4.1.4.3, 4.1.4.4."""

from typing import Any

import cocotb
import pytest

from cocotb_tests.bar_bench import FEATURES, RTL, SIZE_MAX, BarBench, QueueState
from driver.registers import COMMON, NOTIFY, VENDOR
from sim.build import build, run

STALLS = [0.0, 0.5]
FAR = {"timeout_time": 5, "timeout_unit": "ms"}
RING_RESET = 1 << 40


@cocotb.test(**FAR)
async def every_queue_has_its_fields(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    rng = bench.rng
    want = []
    for number in range(len(bench.queues)):
        size, vector = rng.randrange(1, SIZE_MAX + 1), rng.randrange(bench.vectors)
        addresses = [rng.getrandbits(64) for _ in range(3)]
        want.append(QueueState(size=size, vector=vector))
        await bench.write(COMMON.QUEUE_SELECT, number)
        assert await bench.read(COMMON.QUEUE_SIZE) == SIZE_MAX
        await bench.write(COMMON.QUEUE_SIZE, size)
        await bench.write(COMMON.QUEUE_MSIX_VECTOR, vector)
        for which, reg in enumerate((COMMON.QUEUE_DESC, COMMON.QUEUE_DRIVER, COMMON.QUEUE_DEVICE)):
            await bench.write(reg, addresses[which])
            want[-1].words[2 * which : 2 * which + 2] = [
                addresses[which] & 0xFFFFFFFF,
                addresses[which] >> 32,
            ]
    assert bench.queues == want
    for number in rng.sample(range(len(want)), len(want)):
        await bench.write(COMMON.QUEUE_SELECT, number)
        assert await bench.read(COMMON.QUEUE_SIZE) == want[number].size
        assert await bench.read(COMMON.QUEUE_MSIX_VECTOR) == want[number].vector
        assert await bench.read(COMMON.QUEUE_NOTIFY_OFF) == number
        assert await bench.read(COMMON.QUEUE_NOTIFY_DATA) == number
        assert await bench.read(COMMON.QUEUE_ENABLE) == 0
        for which, reg in enumerate((COMMON.QUEUE_DESC, COMMON.QUEUE_DRIVER, COMMON.QUEUE_DEVICE)):
            assert await bench.read(reg) == want[number].address(which)


@cocotb.test(**FAR)
async def a_queue_that_does_not_exist_reads_size_zero(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.negotiate()
    for number in (len(bench.queues), len(bench.queues) + 1, 0x100, 0x8000, 0xFFFF):
        await bench.write(COMMON.QUEUE_SELECT, number)
        assert await bench.read(COMMON.QUEUE_SELECT) == number
        for offset in (0x18, 0x20, 0x24, 0x28, 0x34):
            await bench.bar.write(offset, 0x10001)
        await bench.write(COMMON.QUEUE_ENABLE, 1)
        await bench.write(COMMON.QUEUE_RESET, 1)
        assert await bench.bar.read(0x18) == 0xFFFF0000
        assert [await bench.bar.read(o) for o in range(0x1C, 0x3C, 4)] == [0] * 8
        await bench.write(VENDOR.VQ_SELECT, number)
        assert await bench.read(VENDOR.VQ_STATE) == 0
    assert bench.queues == [QueueState() for _ in bench.queues]
    assert bench.enables == bench.resets == []


@cocotb.test(**FAR)
async def vectors_that_do_not_exist_read_back_none(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    for vector in range(bench.vectors + 3):
        for reg in (COMMON.CONFIG_MSIX_VECTOR, COMMON.QUEUE_MSIX_VECTOR):
            await bench.write(reg, vector)
            assert await bench.read(reg) == (vector if vector < bench.vectors else 0xFFFF)
    for reg in (COMMON.CONFIG_MSIX_VECTOR, COMMON.QUEUE_MSIX_VECTOR):
        for vector in (1, 0x8001, 2, 0xFFFF):
            await bench.write(reg, vector)
            assert await bench.read(reg) == (vector if vector < 3 else 0xFFFF)


@cocotb.test(**FAR)
@cocotb.parametrize(("respond", [1, 4]))
async def an_enabled_queue_is_frozen_until_its_reset(dut: Any, respond: int) -> None:
    bench = BarBench(dut)
    bench.respond_cycles = respond
    await bench.start()
    await bench.negotiate()
    number = len(bench.queues) - 1
    await bench.write(COMMON.QUEUE_SELECT, number)
    await bench.write(COMMON.QUEUE_ENABLE, 0)
    assert bench.enables == []
    await bench.write(COMMON.QUEUE_SIZE, 64)
    await bench.write(COMMON.QUEUE_ENABLE, 1)
    assert await bench.read(COMMON.QUEUE_ENABLE) == 1
    assert bench.enables == [number]
    await bench.bar.write(0x18, 0x0001_0100)  # the vector half is allowed
    await bench.write(COMMON.QUEUE_DESC, 0x1234_5678_9ABC_DEF0)
    await bench.write(COMMON.QUEUE_ENABLE, 1)
    assert bench.queues[number] == QueueState(size=64, vector=1, enabled=True)
    assert bench.enables == [number]
    await bench.write(COMMON.QUEUE_RESET, 0)
    assert bench.resets == []
    await bench.write(COMMON.QUEUE_RESET, 1)
    assert await bench.read(COMMON.QUEUE_RESET) == 1, "reads 1 while it drains, from the first read on"
    await bench.write(COMMON.QUEUE_RESET, 1)
    while await bench.read(COMMON.QUEUE_RESET):
        pass
    assert bench.resets == [number]
    assert await bench.read(COMMON.QUEUE_ENABLE) == 0
    assert await bench.read(COMMON.QUEUE_SIZE) == SIZE_MAX


@cocotb.test(**FAR)
async def a_queue_reset_needs_its_feature(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.negotiate(FEATURES & ~RING_RESET)
    await bench.write(COMMON.QUEUE_ENABLE, 1)
    await bench.write(COMMON.QUEUE_RESET, 1)
    assert await bench.read(COMMON.QUEUE_RESET) == 0
    assert await bench.read(COMMON.QUEUE_ENABLE) == 1
    assert bench.resets == []


@cocotb.test(**FAR)
@cocotb.parametrize(("stall", STALLS))
async def doorbells_reach_their_queue_or_count_as_bad(dut: Any, stall: float) -> None:
    bench = BarBench(dut)
    await bench.start(stall)
    queues = len(bench.queues)
    await bench.write(NOTIFY.at(0), 0)  # before DRIVER_OK
    assert bench.doorbells == []
    assert await bench.read(VENDOR.BAD_DOORBELL_COUNT) == 1
    await bench.negotiate()
    order = [bench.rng.randrange(queues) for _ in range(40)]
    for number in order:
        await bench.bar.write(0x3000 + 4 * number, number, bench.rng.choice([2, 4]))
    await bench.cycles(5)
    assert bench.doorbells == order
    await bench.bar.write(0x3002, 0xFFFF, 2)  # no doorbell: the value is in the low half
    assert await bench.read(VENDOR.BAD_DOORBELL_COUNT) == 1
    bad = [(queues, queues), (1023, 1023), (0, 1), (1, 0), (queues - 1, 0xFFFF), (queues, 0)]
    for count, (index, value) in enumerate(bad, 2):
        await bench.bar.write(0x3000 + 4 * index, value, 2)
        assert await bench.read(VENDOR.BAD_DOORBELL_COUNT) == count
        assert await bench.read(VENDOR.BAD_DOORBELL_LAST) == index << 16 | value
    assert bench.doorbells == order
    await bench.write(NOTIFY.at(1), 1)
    dut.notify_bad_i.value = 1  # the datapath: not enabled
    await bench.cycles(1)
    dut.notify_bad_i.value = 0
    assert await bench.read(VENDOR.BAD_DOORBELL_COUNT) == len(bad) + 2
    assert await bench.read(VENDOR.BAD_DOORBELL_LAST) == 1 << 16 | 1
    await bench.reset_device()
    assert await bench.read(VENDOR.BAD_DOORBELL_COUNT) == len(bad) + 2, "a count outlives the reset"


@pytest.mark.sim
@pytest.mark.parametrize("queue_pairs", [1, 8, 64])
def test_bar_queues(queue_pairs: int) -> None:
    run(build("tupelo_bar", sources=RTL, params={"QUEUE_PAIRS": queue_pairs}), "cocotb_tests.test_bar_queues")
