# SPDX-License-Identifier: Apache-2.0
"""tupelo_bar, registers: VIRTIO 1.2 sections 2.1, 2.2, 2.6.1, 3.1.1, 4.1.4 and the vendor block."""

from typing import Any

import cocotb
import pytest
from systemrdl.node import RegNode

from cocotb_tests.bar_bench import FEATURES, MAC, MTU, READY, ROOT, RTL, SIZE_MAX, BarBench
from driver.registers import (
    COMMON,
    FEATURES_OFFERED,
    ISR,
    MSIX_TABLE,
    NET,
    STAT,
    STAT_QUEUE,
    VENDOR,
    Isr,
    VqState,
)
from driver.registers import DeviceStatus as St
from sim.build import SimulationFailed, build, run
from sim.regs.model import elaborate

STALLS = [0.0, 0.5]
FAR = {"timeout_time": 5, "timeout_unit": "ms"}
REQUIRED = 1 << 32 | 1 << 34  # VERSION_1, RING_PACKED
RING_RESET = 1 << 40
HASH_REPORT = 1 << 57
# Registers whose writes act or are checked; each has a test of its own.
ACTIVE = {"device_status", "queue_enable", "queue_reset", "config_msix_vector", "queue_msix_vector", "notify"}
LIVE = {"isr"}
ELSEWHERE = range(0x9000, 0x10000)  # blocks that other modules answer for


def rdl_words(dut: Any, bench: BarBench) -> list[tuple[str, int, int, int, int, int]]:
    """(name, offset, width, reset, known bits, writable bits) of each word that the RDL gives."""
    straps = {"mac_addr_i": list(MAC), "mtu_i": MTU, "link_up_i": 1}
    words = []
    for node in elaborate(ROOT, QUEUE_PAIRS=len(bench.queues) // 2).descendants(unroll=True):
        if not isinstance(node, RegNode) or node.absolute_address in ELSEWHERE:
            continue
        reset = known = writable = 0
        width = node.get_property("regwidth")
        for field in node.fields():
            value = field.get_property("reset")
            strap = straps.get(field.get_property("reset_from", default=""))
            if strap is not None:
                value = strap[node.current_idx[0]] if isinstance(strap, list) else strap
            mask = (1 << field.width) - 1 << field.lsb
            known |= mask if value is not None else 0
            reset |= (value or 0) << field.lsb
            writable |= mask if field.get_property("sw").name == "rw" else 0
        unused = ~sum((1 << f.width) - 1 << f.lsb for f in node.fields()) & (1 << width) - 1
        known |= unused  # bits without a field read 0
        for shift in range(0, width, min(width, 32)):
            part = (1 << min(width, 32)) - 1
            cut = [x >> shift & part for x in (reset, known, writable)]
            words.append((node.inst_name, node.absolute_address + shift // 8, min(width, 32) // 8, *cut))
    return words


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_register_has_its_reset_value_and_access(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    words = rdl_words(dut, bench)
    for name, offset, width, reset, known, _ in words:
        got = await bench.bar.read(offset, width)
        assert got & known == reset & known, f"{name} at {offset:#x}: {got:#x}, not {reset:#x}"
    for name, offset, width, _, _, writable in words:
        if name in ACTIVE | LIVE:
            continue
        value = bench.rng.getrandbits(8 * width)
        if name in ("queue_select", "vq_select", "device_feature_select", "driver_feature_select"):
            value %= len(bench.queues) if "q" in name and "feature" not in name else 2
        before = await bench.bar.read(offset, width)
        await bench.bar.write(offset, value, width)
        want = value & writable | before & ~writable
        if name == "feature_enable":  # bits that the build does not have stay 0
            want &= FEATURES_OFFERED >> 8 * (offset - VENDOR.FEATURE_ENABLE.offset_bytes)
        got = await bench.bar.read(offset, width)
        assert got == want, f"{name} at {offset:#x}: wrote {value:#x}, read {got:#x}, not {want:#x}"
        if name in ("queue_select", "vq_select", "driver_feature_select", "device_feature_select"):
            await bench.bar.write(offset, 0, width)


@cocotb.test(**FAR)
async def unmapped_words_read_zero_and_ignore_writes(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    stat_end = 0x10000 + 8 * (64 + 8 * len(bench.queues))
    bench.counters = [bench.rng.getrandbits(64) for _ in bench.counters]
    table_end = 0x4000 + 16 * bench.vectors
    holes = [
        0x3C,
        0x40,
        0xFFC,
        0x1004,
        0x200C,
        0x2018,
        0x6000,
        0x7FFC,
        0x8024,
        0x80EC,
        0x80FC,
        0x8100,
        0xFFFC,
    ]
    for offset in [*holes, table_end, 0x5018, stat_end, stat_end + 4, 0x17FFC, 0x18000, 0x20000, 0x3FFFC]:
        await bench.bar.write(offset, 0xFFFFFFFF)
        assert await bench.bar.read(offset) == 0, f"{offset:#x}"
    assert await bench.read(COMMON.DEVICE_STATUS) == 0
    assert bench.doorbells == []


@cocotb.test(**FAR)
@cocotb.parametrize(("stall", STALLS))
async def byte_strobes_write_only_their_bytes(dut: Any, stall: float) -> None:
    bench = BarBench(dut)
    await bench.start(stall)
    shadow = bytearray(24)
    assert COMMON.QUEUE_DESC.offset_bytes == 0x20
    for _ in range(150):
        width = bench.rng.choice([1, 2, 4])
        at = bench.rng.randrange(24 // width) * width
        value = bench.rng.randbytes(width)
        await bench.bar.write(0x20 + at, int.from_bytes(value, "little"), width)
        shadow[at : at + width] = value
        word = at & ~3
        assert (await bench.bar.read(0x20 + word)).to_bytes(4, "little") == shadow[word : word + 4]
    queue = bench.queues[0]
    assert [queue.address(i).to_bytes(8, "little") for i in range(3)] == [
        shadow[i : i + 8] for i in (0, 8, 16)
    ]


@cocotb.test(**FAR)
async def one_dword_write_carries_two_fields(dut: Any) -> None:
    """size and vector share a dword, and so do status, generation and queue_select."""
    bench = BarBench(dut)
    await bench.start()
    for _ in range(20):
        size, vector = bench.rng.randrange(1, SIZE_MAX), bench.rng.randrange(bench.vectors)
        queue = bench.rng.randrange(len(bench.queues))
        await bench.bar.write(0x14, 1 | 0xEE << 8 | queue << 16)
        await bench.bar.write(0x18, vector << 16 | size)
        assert await bench.bar.read(0x18) == vector << 16 | size
        assert await bench.bar.read(0x14) == 1 | queue << 16
        assert (bench.queues[queue].size, bench.queues[queue].vector) == (size, vector)


@cocotb.test(**FAR)
async def features_are_offered_in_two_windows(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    seen = {}
    for select in (0, 1, 2, 3, 0x80000000, 0xFFFFFFFF):
        await bench.write(COMMON.DEVICE_FEATURE_SELECT, select)
        seen[select] = await bench.read(COMMON.DEVICE_FEATURE)
        await bench.write(COMMON.DRIVER_FEATURE_SELECT, select)
        await bench.write(COMMON.DRIVER_FEATURE, 0xA5A50000 | select & 0xFFFF)
        assert await bench.read(COMMON.DRIVER_FEATURE) == ((0xA5A50000 | select) if select < 2 else 0)
    # CSUM 0, GUEST_CSUM 1, MTU 3, MAC 5, HOST_TSO4 11, HOST_TSO6 12, HOST_ECN 13, MRG_RXBUF 15, STATUS 16,
    # INDIRECT 28, EVENT_IDX 29; VERSION_1 32, ACCESS_PLATFORM 33, PACKED 34, ORDER 36,
    # NOTIFICATION_DATA 38, RESET 40
    low, high = sum(1 << b for b in (0, 1, 3, 5, 11, 12, 13, 15, 16, 28, 29)), 0b1_0101_0111
    assert seen == {0: low, 1: high, 2: 0, 3: 0, 0x80000000: 0, 0xFFFFFFFF: 0}
    assert low | high << 32 == FEATURES
    assert await bench.read(VENDOR.FEATURES_OFFERED) == FEATURES_OFFERED == FEATURES | HASH_REPORT
    assert await bench.read(VENDOR.FEATURES_ACCEPTED) == 0


@cocotb.test(**FAR)
async def features_ok_is_refused_for_a_wrong_set(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    bad = [
        REQUIRED & ~(1 << 32),
        REQUIRED & ~(1 << 34),
        0,
        *(FEATURES | 1 << b for b in (2, 7, 17, 22, 35, 41, 57, 63)),
    ]
    for features in bad:
        status = await bench.negotiate(features)
        assert status == St.ACKNOWLEDGE | St.DRIVER, f"{features:#x}: status {status:#x}"
        assert int(dut.driver_ok_o.value) == 0 and int(dut.features_o.value) == 0
        await bench.reset_device()
    for features in (
        REQUIRED,
        FEATURES,
        *(REQUIRED | 1 << b for b in (0, 1, 3, 5, 15, 16, 28, 29, 33, 36, 38, 40)),
    ):
        assert await bench.negotiate(features) == READY
        assert int(dut.driver_ok_o.value) == 1 and int(dut.features_o.value) == features
        assert await bench.read(VENDOR.FEATURES_ACCEPTED) == features
        await bench.write(COMMON.DRIVER_FEATURE, 0)  # frozen now
        assert int(dut.features_o.value) == features
        await bench.reset_device()


@cocotb.test(**FAR)
async def status_bits_rise_and_never_fall(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.write(COMMON.DEVICE_STATUS, St.DRIVER_OK)  # without FEATURES_OK
    assert await bench.read(COMMON.DEVICE_STATUS) == 0
    assert await bench.negotiate(status=READY) == READY
    for value in (St.ACKNOWLEDGE, St.DRIVER_OK, St.DEVICE_NEEDS_RESET, 0x30):
        await bench.write(COMMON.DEVICE_STATUS, value)
        assert await bench.read(COMMON.DEVICE_STATUS) == READY, (
            "no bit falls, reserved and device bits ignored"
        )
    await bench.write(COMMON.DEVICE_STATUS, St.FAILED)
    assert await bench.read(COMMON.DEVICE_STATUS) == READY | St.FAILED


@cocotb.test(**FAR)
@cocotb.parametrize(("stall", STALLS))
async def a_reset_reads_non_zero_until_drained_and_clears_all(dut: Any, stall: float) -> None:
    bench = BarBench(dut)
    await bench.start(stall)
    words = [w for w in rdl_words(dut, bench) if w[1] < 0x1000]
    for _ in range(3):
        await bench.msix_setup()
        await bench.negotiate()
        await bench.write(COMMON.CONFIG_MSIX_VECTOR, 1)
        await bench.write(COMMON.DEVICE_FEATURE_SELECT, 1)
        await bench.write(COMMON.QUEUE_SELECT, 1)
        await bench.write(COMMON.QUEUE_SIZE, 16)
        await bench.write(COMMON.QUEUE_ENABLE, 1)
        await bench.write(VENDOR.VQ_SELECT, 1)
        bench.hold_reset = True
        await bench.write(COMMON.DEVICE_STATUS, 0)
        assert int(dut.reset_req_o.value) == 1 and int(dut.driver_ok_o.value) == 0
        for _ in range(10):
            assert await bench.read(COMMON.DEVICE_STATUS) != 0
        await bench.write(COMMON.DEVICE_STATUS, READY)  # ignored, as all writes of the structure
        await bench.write(COMMON.QUEUE_SELECT, 0)
        await bench.write(COMMON.DEVICE_STATUS, 0)
        assert await bench.read(COMMON.QUEUE_SELECT) == 1
        bench.hold_reset = False
        while await bench.read(COMMON.DEVICE_STATUS):
            pass
        assert int(dut.features_o.value) == 0
        for name, offset, width, reset, known, _ in words:
            assert (await bench.bar.read(offset, width)) & known == reset & known, name
        assert await bench.read(VENDOR.VQ_SELECT) == 0
        assert await bench.read(MSIX_TABLE.CONTROL.at(0)) == 0, "MSI-X is no part of the virtio device"
        bench.drain_cycles = 200
        assert await bench.reset_device() > 0, "a reset of a reset device has its handshake too"


@cocotb.test(**FAR)
async def statistics_latch_their_high_word(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    bench.counters = [bench.rng.getrandbits(64) for _ in bench.counters]
    assert await bench.bar.read(0x10004) == 0, "nothing latched yet"
    picks = [0, 1, 21, 63, 64, len(bench.counters) - 1, *bench.rng.sample(range(len(bench.counters)), 20)]
    for index in picks:
        value = bench.counters[index]
        assert await bench.bar.read(0x10000 + 8 * index) == value & 0xFFFFFFFF
        bench.counters[index] = (value + (1 << 32)) % (1 << 64)  # carries between the two reads
        assert await bench.bar.read(0x10004 + 8 * index) == value >> 32
    assert await bench.read(STAT.TX_FRAMES) == bench.counters[0]
    last = len(bench.queues) - 1
    assert await bench.read(STAT_QUEUE.DESC_FETCHES.at(last)) == bench.counters[64 + 8 * last + 7]


@cocotb.test(**FAR)
async def a_link_change_is_announced(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    assert bytes([await bench.read(NET.MAC.at(i)) for i in range(6)]) == MAC
    assert await bench.read(NET.STATUS) == 1 and await bench.read(ISR) == 0
    for turn in range(1, 300):
        dut.link_up_i.value = up = 1 - turn % 2
        await bench.cycles(2)
        if turn < 4 or turn > 253:
            assert await bench.read(NET.STATUS) == up
            assert await bench.read(COMMON.CONFIG_GENERATION) == turn % 256
            assert await bench.read(ISR) == Isr.CONFIG
            assert await bench.read(ISR) == 0, "cleared by the read"
    await bench.reset_device()
    assert await bench.read(COMMON.CONFIG_GENERATION) == 299 % 256


@cocotb.test(**FAR)
async def an_isr_bit_set_during_its_read_is_not_lost(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    up = 1
    for delay in range(1, 9):
        read = cocotb.start_soon(bench.read(ISR))
        await bench.cycles(delay)
        up = 1 - up
        dut.link_up_i.value = up
        first = await read
        await bench.cycles(3)
        assert sorted([first, await bench.read(ISR)]) == [0, Isr.CONFIG], (
            f"event {delay} cycles after the read"
        )


@cocotb.test(**FAR)
@cocotb.parametrize(("ring_reset", [False, True]))
async def a_stopped_queue_is_reported(dut: Any, ring_reset: bool) -> None:
    bench = BarBench(dut)
    await bench.start()
    await bench.negotiate(FEATURES if ring_reset else FEATURES & ~RING_RESET)
    needs = 0 if ring_reset else St.DEVICE_NEEDS_RESET
    seen = 0
    for number in (0, len(bench.queues) - 1):
        queue = bench.queues[number]
        queue.addr, queue.pos = bench.rng.getrandbits(64), bench.rng.getrandbits(32)
        bench.set_stopped(number, True, reason=number % 11 + 1)
        await bench.cycles(3)
        seen |= 1 << number
        assert await bench.read(ISR) == Isr.CONFIG
        assert await bench.read(ISR) == 0, "once a queue"
        assert await bench.read(COMMON.DEVICE_STATUS) == READY | needs
        await bench.write(VENDOR.VQ_SELECT, number)
        assert await bench.read(VENDOR.VQ_STATE) == VqState.STOPPED
        assert await bench.read(VENDOR.VQ_REASON) == queue.reason
        assert await bench.read(VENDOR.VQ_ERR_ADDR) == queue.addr
        assert await bench.read(VENDOR.VQ_POS) == queue.pos
        bitmap = [await bench.read(VENDOR.VQ_STOPPED.at(i)) for i in range(4)]
        assert sum(word << 32 * i for i, word in enumerate(bitmap)) == seen
    await bench.reset_device()
    assert await bench.read(ISR) == 0 and await bench.read(COMMON.DEVICE_STATUS) == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reads_beside_writes_see_what_was_accepted_before(dut: Any) -> None:
    """AW and W apart, responses refused at random: a read started after a write's response sees it."""
    bench = BarBench(dut)
    await bench.start(0.6)
    regs = [0x00, 0x08, 0x20, 0x24, 0x28, 0x2C, 0x30, 0x34, *(0x4000 + 4 * i for i in (0, 1, 2, 4, 5, 6))]

    async def worker(mine: list[int]) -> None:
        shadow: dict[int, int] = {}
        for _ in range(120):
            reg = bench.rng.choice(mine)
            if bench.rng.random() < 0.5 or reg not in shadow:
                shadow[reg] = bench.rng.getrandbits(32)
                await bench.bar.write(reg, shadow[reg])
            else:
                assert await bench.bar.read(reg) == shadow[reg], f"{reg:#x}"

    workers = [cocotb.start_soon(worker(regs[i::3])) for i in range(3)]
    for task in workers:
        await task


@cocotb.test(skip=True, **FAR)
async def breaks_the_hold_rule(dut: Any) -> None:
    """Run on demand only: the check in the RTL must stop the simulation."""
    bench = BarBench(dut)
    await bench.start()
    for valid in (1, 1, 1, 0, 0, 0):
        dut.s_axil_awvalid.value = valid
        await bench.cycles(1)


@pytest.mark.sim
@pytest.mark.parametrize("queue_pairs", [1, 8, 64])
def test_bar(queue_pairs: int) -> None:
    run(build("tupelo_bar", sources=RTL, params={"QUEUE_PAIRS": queue_pairs}), "cocotb_tests.test_bar")


@pytest.mark.sim
def test_the_hold_check_can_fail() -> None:
    bar = build("tupelo_bar", sources=RTL, params={"QUEUE_PAIRS": 1})
    with pytest.raises(SimulationFailed, match="aw_hold"):
        run(bar, "cocotb_tests.test_bar", testcase="breaks_the_hold_rule")
