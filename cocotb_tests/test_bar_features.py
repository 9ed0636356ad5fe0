# SPDX-License-Identifier: Apache-2.0
"""tupelo_bar: feature mask and dependencies, doorbells with data, snapshot, blocks of other modules."""

from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from cocotb_tests.bar_bench import FEATURES, READY, RTL, BarBench
from driver.registers import COMMON, FEATURES_OFFERED, NET, NOTIFY, VENDOR, Feature, HashType
from driver.registers import DeviceStatus as St
from sim.build import build, run

FAR = {"timeout_time": 5, "timeout_unit": "ms"}
REQUIRED = 1 << Feature.VERSION_1 | 1 << Feature.RING_PACKED
CSUM, TSO4, TSO6, ECN = (
    1 << bit for bit in (Feature.NET_CSUM, Feature.NET_HOST_TSO4, Feature.NET_HOST_TSO6, Feature.NET_HOST_ECN)
)
HASH_REPORT = 1 << Feature.NET_HASH_REPORT
NOTIFICATION_DATA = 1 << Feature.NOTIFICATION_DATA


async def shown(bench: BarBench) -> int:
    """The 64 feature bits as a driver reads them."""
    value = 0
    for half in (0, 1):
        await bench.write(COMMON.DEVICE_FEATURE_SELECT, half)
        value |= await bench.read(COMMON.DEVICE_FEATURE) << 32 * half
    return value


@cocotb.test(**FAR)
async def the_mask_decides_what_is_offered(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    assert await shown(bench) == await bench.read(VENDOR.FEATURE_ENABLE) == FEATURES
    for turn in range(20):
        mask = bench.rng.getrandbits(64) if turn else (1 << 64) - 1
        await bench.write(VENDOR.FEATURE_ENABLE, mask)
        assert await bench.read(VENDOR.FEATURE_ENABLE) == await shown(bench) == mask & FEATURES_OFFERED
        assert await bench.read(VENDOR.FEATURES_OFFERED) == FEATURES_OFFERED, (
            "what the build has stays readable"
        )
    # by bytes
    await bench.write(VENDOR.FEATURE_ENABLE, FEATURES)
    await bench.bar.write(VENDOR.FEATURE_ENABLE.offset_bytes + 7, HASH_REPORT >> 56, 1)
    assert await shown(bench) == FEATURES_OFFERED
    await bench.bar.write(VENDOR.FEATURE_ENABLE.offset_bytes, 0, 1)
    assert await shown(bench) == FEATURES_OFFERED & ~0xFF


@cocotb.test(**FAR)
async def features_ok_admits_what_the_mask_leaves_on(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    assert await bench.negotiate(REQUIRED | HASH_REPORT) == St.ACKNOWLEDGE | St.DRIVER, "off after the reset"
    await bench.reset_device()
    await bench.write(VENDOR.FEATURE_ENABLE, FEATURES_OFFERED)
    assert await bench.negotiate(FEATURES_OFFERED) == READY
    assert int(dut.features_o.value) == FEATURES_OFFERED
    await bench.write(VENDOR.FEATURE_ENABLE, REQUIRED)
    assert int(dut.features_o.value) == FEATURES_OFFERED, "what was agreed stays"
    await bench.reset_device()
    assert await bench.read(VENDOR.FEATURE_ENABLE) == REQUIRED, "a device reset keeps the mask"
    for bit in set(Feature) - {Feature.VERSION_1, Feature.RING_PACKED}:
        assert await bench.negotiate(REQUIRED | 1 << bit) == St.ACKNOWLEDGE | St.DRIVER, Feature(bit).name
        await bench.reset_device()
    assert await bench.negotiate(REQUIRED) == READY
    await bench.reset_device()
    await bench.write(VENDOR.FEATURE_ENABLE, FEATURES & ~(1 << Feature.RING_PACKED))
    assert await bench.negotiate(REQUIRED) == St.ACKNOWLEDGE | St.DRIVER
    dut.rst.value = 1
    await bench.cycles(2)
    dut.rst.value = 0
    await bench.cycles(2)
    assert await bench.read(VENDOR.FEATURE_ENABLE) == FEATURES, "a hardware reset restores it"


@cocotb.test(**FAR)
async def a_feature_needs_those_it_builds_on(dut: Any) -> None:
    """VIRTIO 1.2 section 5.1.3.1, every combination of the four."""
    bench = BarBench(dut)
    await bench.start()
    for number in range(16):
        asked = sum(bit for i, bit in enumerate((CSUM, TSO4, TSO6, ECN)) if number >> i & 1)
        tso = bool(asked & (TSO4 | TSO6))
        legal = (not tso or bool(asked & CSUM)) and (not asked & ECN or tso)
        status = await bench.negotiate(REQUIRED | asked)
        assert status == (READY if legal else St.ACKNOWLEDGE | St.DRIVER), f"{asked:#x}: status {status:#x}"
        assert int(dut.features_o.value) == (REQUIRED | asked if legal else 0)
        await bench.reset_device()


@cocotb.test(**FAR)
@cocotb.parametrize(("data", [False, True]))
async def a_doorbell_with_data_names_its_queue_in_the_low_half(dut: Any, data: bool) -> None:
    """VIRTIO 1.2 section 4.1.5.2: {next_wrap, next_off, vqn}. The high half is no error."""
    bench = BarBench(dut)
    await bench.start()
    await bench.negotiate(REQUIRED | (NOTIFICATION_DATA if data else 0))
    bad, rung = 0, []
    for _ in range(40):
        queue = bench.rng.randrange(len(bench.queues))
        place = bench.rng.getrandbits(16)
        named = queue if bench.rng.random() < 0.6 else bench.rng.choice([queue ^ 1, queue ^ 0x8000, 0xFFFF])
        await bench.bar.write(NOTIFY.at(queue).offset_bytes, place << 16 | named)
        if named == queue:
            rung.append(queue)
        else:
            bad += 1
            assert await bench.read(VENDOR.BAD_DOORBELL_LAST) == queue << 16 | named
        assert await bench.read(VENDOR.BAD_DOORBELL_COUNT) == bad
        assert bench.doorbells == rung
    await bench.bar.write(NOTIFY.at(1).offset_bytes, 1, 2)
    assert await bench.read(VENDOR.BAD_DOORBELL_COUNT) == bad
    assert bench.doorbells == [*rung, 1]


@cocotb.test(**FAR)
async def the_snapshot_register_gives_pulses(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    want: list[bool] = []
    for value in (1, 1, 0, 0xFFFFFFFE, 0xFFFFFFFF, 0):
        await bench.write(VENDOR.STAT_SNAPSHOT, value)
        want.append(bool(value & 1))
        await bench.cycles(3)
        assert bench.snapshots == want
        assert await bench.read(VENDOR.STAT_SNAPSHOT) == value & 1
    await bench.bar.write(VENDOR.STAT_SNAPSHOT.offset_bytes + 1, 1, 1)  # another byte of the word
    await bench.write(VENDOR.VQ_SELECT, 1)
    assert bench.snapshots == want


@cocotb.test(**FAR)
async def the_device_configuration_has_the_limits_of_rss(dut: Any) -> None:
    bench = BarBench(dut)
    await bench.start()
    assert await bench.read(NET.RSS_MAX_KEY_SIZE) == 40
    assert await bench.read(NET.RSS_MAX_INDIRECTION_TABLE_LENGTH) == 128
    assert await bench.read(NET.SUPPORTED_HASH_TYPES) == sum(HashType)
    assert await bench.bar.read(0x200C) == 0 and await bench.bar.read(0x2018) == 0


@cocotb.test(**FAR)
async def blocks_of_other_modules_are_on_the_bus(dut: Any) -> None:
    """A register behind bus_o, as tupelo_nic has them: written through strobes, read in the next cycle."""
    bench = BarBench(dut)
    await bench.start(0.3)
    at, size = 0x9000, 0x1100
    held = bytearray(size)

    async def block() -> None:
        # bus_o is a packed structure: {wr_p, wr_addr, wr_data, wr_strb, rd_p, rd_addr}
        while True:
            await RisingEdge(dut.clk)
            bus = dut.bus_o.value
            if not bus.is_resolvable:
                continue
            word, answer = int(bus), 0
            rd_addr, rd, strb = word & 0x3FFFF, word >> 18 & 1, word >> 19 & 0xF
            wr_data, wr_addr, wr = word >> 23 & 0xFFFFFFFF, word >> 55 & 0x3FFFF, word >> 73 & 1
            if wr and at <= wr_addr < at + size:
                for byte in (b for b in range(4) if strb >> b & 1):
                    held[(wr_addr & ~3) - at + byte] = wr_data >> 8 * byte & 0xFF
            if rd and at <= rd_addr < at + size:
                start = (rd_addr & ~3) - at
                answer = int.from_bytes(held[start : start + 4], "little")
            await FallingEdge(dut.clk)
            dut.ext_data_i.value = answer

    cocotb.start_soon(block())
    shadow = bytearray(size)
    for _ in range(100):
        width = bench.rng.choice([1, 2, 4])
        place = bench.rng.randrange(size // width) * width
        value = bench.rng.randbytes(width)
        await bench.bar.write(at + place, int.from_bytes(value, "little"), width)
        shadow[place : place + width] = value
        look = bench.rng.choice([place & ~3, bench.rng.randrange(size // 4) * 4])
        assert (await bench.bar.read(at + look)).to_bytes(4, "little") == shadow[look : look + 4]
        assert await bench.read(VENDOR.FEATURES_OFFERED) == FEATURES_OFFERED
    assert held == shadow


@pytest.mark.sim
@pytest.mark.parametrize("queue_pairs", [1, 8, 64])
def test_bar_features(queue_pairs: int) -> None:
    bar = build("tupelo_bar", sources=RTL, params={"QUEUE_PAIRS": queue_pairs})
    run(bar, "cocotb_tests.test_bar_features")
