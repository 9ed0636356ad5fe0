# SPDX-License-Identifier: Apache-2.0
"""Bench around tupelo_bar: AXI4-Lite master, a stand-in for the datapath, and messages taken."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from cocotb_tests.agents.bar import BarMaster
from driver.registers import COMMON, FEATURES_DEFAULT, MSIX_TABLE, VENDOR, DeviceStatus, Reg

CLK_NS = 4
MAC = bytes.fromhex("02a1b2c3d4e5")
MTU = 9000
SIZE_MAX = 1024
NO_VECTOR = 0xFFFF
SOURCES = (
    *("tupelo_regs_pkg", "tupelo_axil_pkg", "tupelo_axil_slave", "tupelo_bar_common", "tupelo_bar_queue"),
    *(
        "tupelo_bar_event",
        "tupelo_bar_notify",
        "tupelo_bar_vendor",
        "tupelo_bar_stat",
        "tupelo_msix",
        "tupelo_bar",
    ),
)
RTL = tuple(f"rtl/{name}.sv" for name in SOURCES)
ROOT = Path(__file__).resolve().parents[1]
FEATURES = FEATURES_DEFAULT
READY = DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER | DeviceStatus.FEATURES_OK | DeviceStatus.DRIVER_OK


@dataclass(slots=True)
class QueueState:
    """What the datapath's table holds of one virtqueue; fields by qt_field number."""

    size: int = SIZE_MAX
    vector: int = NO_VECTOR
    words: list[int] = field(default_factory=lambda: [0] * 6)  # desc, driver, device; low word first
    enabled: bool = False
    resetting: bool = False
    stopped: bool = False
    reason: int = 0
    addr: int = 0
    pos: int = 0

    def address(self, which: int) -> int:
        """64-bit address: 0 desc, 1 driver, 2 device."""
        return self.words[2 * which] | self.words[2 * which + 1] << 32

    def store(self, number: int, value: int) -> None:
        """One field write, as the table does it."""
        if number == 0:
            self.size = value
        elif number == 1:
            self.vector = value
        else:
            self.words[number - 2] = value


class BarBench:
    """Owns every pin of tupelo_bar. All inputs change at the falling edge, all outputs are sampled there."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        self.queues = [QueueState() for _ in range(len(dut.q_stopped_i))]
        self.vectors = len(self.queues) + 1
        self.counters = [0] * (64 + 8 * len(self.queues))
        self.doorbells: list[int] = []
        self.enables: list[int] = []
        self.resets: list[int] = []
        self.messages: list[tuple[int, int]] = []  # (address, data) taken
        self.snapshots: list[bool] = []  # pulses: True a snapshot, False back to the running counters
        self.drain_cycles = 20  # of a device or queue reset; None would never end
        self.hold_reset = False
        self.msix_ready_chance = 1.0
        self.respond_cycles = 1  # q_enabled_i and q_resetting_i follow their pulse, 1..4
        self._later: list[tuple[int, Any]] = []
        self._cycle = 0
        self._stat_index: int | None = None  # read in this cycle, answered in the next
        self._stat_data = 0
        self._drain_left = 0
        self._cocotb_bar: BarMaster | None = None

    @property
    def bar(self) -> BarMaster:
        """The AXI4-Lite master; exists once the bench has started."""
        assert self._cocotb_bar is not None
        return self._cocotb_bar

    async def start(self, stall: float = 0.0) -> None:
        """Start clock and agents and release the reset."""
        dut = self.dut
        for name in ("reset_done_i", "notify_bad_i", "irq_valid_i", "irq_vector_i", "m_msix_ready"):
            getattr(dut, name).value = 0
        for name in ("q_stopped_i", "stat_data_i", "q_enabled_i", "q_resetting_i", "ext_data_i"):
            getattr(dut, name).value = 0
        dut.mac_addr_i.value = int.from_bytes(MAC, "little")
        dut.mtu_i.value = MTU
        dut.link_up_i.value = 1
        dut.rst.value = 1
        self._cocotb_bar = BarMaster(dut)
        self.bar.stall(random.Random(self.rng.random()), stall)
        cocotb.start_soon(Clock(dut.clk, CLK_NS, "ns").start())
        cocotb.start_soon(self._agents())
        await ClockCycles(dut.clk, 5)
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 2)

    async def read(self, reg: Reg) -> int:
        """Read a register of any width; 64 bits as low, then high."""
        if reg.width_bytes == 8:
            low = await self.bar.read(reg.lo.offset_bytes)
            return low | await self.bar.read(reg.hi.offset_bytes) << 32
        return await self.bar.read(reg.offset_bytes, reg.width_bytes)

    async def write(self, reg: Reg, value: int) -> None:
        """Write a register of any width; 64 bits as low, then high."""
        if reg.width_bytes == 8:
            await self.bar.write(reg.lo.offset_bytes, value & 0xFFFFFFFF)
            await self.bar.write(reg.hi.offset_bytes, value >> 32)
        else:
            await self.bar.write(reg.offset_bytes, value, reg.width_bytes)

    async def negotiate(self, features: int = FEATURES, status: int = READY) -> int:
        """Accept features and set status bits one by one; return device_status."""
        await self.write(COMMON.DEVICE_STATUS, DeviceStatus.ACKNOWLEDGE)
        await self.write(COMMON.DEVICE_STATUS, DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER)
        for half in (0, 1):
            await self.write(COMMON.DRIVER_FEATURE_SELECT, half)
            await self.write(COMMON.DRIVER_FEATURE, features >> 32 * half & 0xFFFFFFFF)
        await self.write(COMMON.DEVICE_STATUS, status & ~DeviceStatus.DRIVER_OK)
        await self.write(COMMON.DEVICE_STATUS, status)
        return await self.read(COMMON.DEVICE_STATUS)

    async def reset_device(self) -> int:
        """Write 0 and poll until device_status reads 0; return how often it read non-zero."""
        await self.write(COMMON.DEVICE_STATUS, 0)
        polls = 0
        while await self.read(COMMON.DEVICE_STATUS):
            polls += 1
        return polls

    async def msix_setup(self, masked: bool = False) -> None:
        """Program entry v with address 0xfee0_0000 + 64 v and data v, and enable MSI-X."""
        for vector in range(self.vectors):
            await self.write(MSIX_TABLE.ADDR_LO.at(vector), message(vector)[0] & 0xFFFFFFFF)
            await self.write(MSIX_TABLE.ADDR_HI.at(vector), message(vector)[0] >> 32)
            await self.write(MSIX_TABLE.DATA.at(vector), message(vector)[1])
            await self.write(MSIX_TABLE.CONTROL.at(vector), int(masked))
        await self.write(VENDOR.MSIX_CONTROL, VENDOR.MSIX_CONTROL_ENABLE.put(1))

    async def request(self, vector: int) -> None:
        """Ask for one queue interrupt; the device takes it at once."""
        await FallingEdge(self.dut.clk)
        self.dut.irq_valid_i.value = 1
        self.dut.irq_vector_i.value = vector
        await FallingEdge(self.dut.clk)
        assert int(self.dut.irq_ready_o.value) == 1
        self.dut.irq_valid_i.value = 0

    async def cycles(self, count: int) -> None:
        """Let time pass."""
        await ClockCycles(self.dut.clk, count)
        await FallingEdge(self.dut.clk)

    def take_vectors(self) -> list[int]:
        """Vectors of the messages since the last call; a message with wrong contents fails."""
        taken, self.messages[:] = list(self.messages), []
        vectors = [data for _, data in taken]
        assert taken == [message(v) for v in vectors]
        return vectors

    def set_stopped(self, queue: int, stopped: bool, reason: int = 0) -> None:
        """Let the datapath report a stopped queue from now on."""
        self.queues[queue].stopped = stopped
        self.queues[queue].reason = reason

    async def _agents(self) -> None:
        while True:
            await FallingEdge(self.dut.clk)
            self._cycle += 1
            if not int(self.dut.rst.value):
                self._sample()
            for when, action in [x for x in self._later if x[0] <= self._cycle]:
                self._later.remove((when, action))
                action()
            self._drive()

    def _sample(self) -> None:
        dut = self.dut
        selected = int(dut.queue_select_o.value)
        if int(dut.qt_we_o.value):
            self.queues[selected].store(int(dut.qt_field_o.value), int(dut.qt_wdata_o.value))
        if int(dut.q_enable_p_o.value):
            self.enables.append(selected)
            self._after(self.respond_cycles, lambda: setattr(self.queues[selected], "enabled", True))
        if int(dut.q_reset_p_o.value):
            self.resets.append(selected)
            self._after(self.respond_cycles, lambda: setattr(self.queues[selected], "resetting", True))
            self._after(self.respond_cycles + self.drain_cycles, lambda: self._clear(selected))
        if int(dut.notify_valid_o.value):
            self.doorbells.append(int(dut.notify_queue_o.value))
        taken, live = int(dut.snapshot_o.value), int(dut.live_o.value)
        assert not (taken and live)
        self.snapshots += [bool(taken)] if taken or live else []
        index = self._stat_index
        self._stat_data = 0xDEADDEADDEADDEAD if index is None else self.counters[index]
        self._stat_index = int(dut.stat_idx_o.value) if int(dut.stat_rd_o.value) else None
        self._sample_reset()

    def _sample_reset(self) -> None:
        dut = self.dut
        dut.reset_done_i.value = 0
        if int(dut.reset_req_o.value):
            self._drain_left = self._drain_left - 1 if self._drain_left else self.drain_cycles
            if self._drain_left == 1 and not self.hold_reset:
                for queue in range(len(self.queues)):
                    self._clear(queue)
                self._later.clear()
                dut.reset_done_i.value = 1
            elif self._drain_left == 1:
                self._drain_left = 2
        else:
            self._drain_left = 0

    def _drive(self) -> None:
        dut = self.dut
        selected = int(dut.queue_select_o.value)
        queue = self.queues[selected] if selected < len(self.queues) else QueueState(size=0x5555, vector=3)
        dut.qt_size_i.value = queue.size
        dut.qt_vector_i.value = queue.vector
        dut.qt_desc_i.value = queue.address(0)
        dut.qt_driver_i.value = queue.address(1)
        dut.qt_device_i.value = queue.address(2)
        dut.q_enabled_i.value = queue.enabled
        dut.q_resetting_i.value = queue.resetting
        window = self.queues[int(dut.vsel_queue_o.value)]
        dut.vsel_enabled_i.value = window.enabled
        dut.vsel_resetting_i.value = window.resetting
        dut.vsel_stopped_i.value = window.stopped
        dut.vsel_reason_i.value = window.reason
        dut.vsel_addr_i.value = window.addr
        dut.vsel_pos_i.value = window.pos
        dut.q_stopped_i.value = sum(q.stopped << i for i, q in enumerate(self.queues))
        dut.stat_data_i.value = self._stat_data
        self._messages()

    def _messages(self) -> None:
        """Whoever is ready at a falling edge takes the message at the rising edge that follows."""
        dut = self.dut
        ready = self.rng.random() < self.msix_ready_chance
        dut.m_msix_ready.value = ready
        if ready and int(dut.m_msix_valid.value):
            self.messages.append((int(dut.m_msix_addr.value), int(dut.m_msix_data.value)))

    def _after(self, cycles: int, action: Any) -> None:
        self._later.append((self._cycle + cycles, action))

    def _clear(self, queue: int) -> None:
        self.queues[queue] = QueueState()


def message(vector: int) -> tuple[int, int]:
    """Address and data that msix_setup gives a vector."""
    return 0x1_FEE0_0000 + 64 * vector, vector
