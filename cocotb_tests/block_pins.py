# SPDX-License-Identifier: Apache-2.0
"""A block alone: its pins as integers, its clock, and the internal register bus if it has one."""

from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.handles import reader, writer
from driver.registers import Reg


class BlockPins:
    """put[name](value) and get[name]() for the named ports; inputs start at 0."""

    def __init__(self, dut: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        self.dut = dut
        self.put = {name: writer(getattr(dut, name)) for name in (*inputs, "rst")}
        self.get = {name: reader(getattr(dut, name)) for name in outputs}
        self.inputs = inputs

    async def start(self) -> None:
        """Start the clock and reset."""
        for name in self.inputs:
            self.put[name](0)
        resets = [name for name in ("rst", "cfg_rst") if name in self.put]
        for name in resets:
            self.put[name](1)
        Clock(self.dut.clk, 4, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        for name in resets:
            self.put[name](0)
        await RisingEdge(self.dut.clk)

    async def write(self, reg: Reg, data: int, strobes: int = 15) -> None:
        self.put["bus_i"](bus_write(reg.offset_bytes, data, strobes))
        await RisingEdge(self.dut.clk)
        self.put["bus_i"](0)

    async def read(self, reg: Reg) -> int:
        self.put["bus_i"](1 << 18 | reg.offset_bytes)
        await RisingEdge(self.dut.clk)
        self.put["bus_i"](0)
        await RisingEdge(self.dut.clk)
        return self.get["rd_data_o"]()


def bus_write(offset_bytes: int, data: int, strobes: int = 15) -> int:
    """Return what lies on bus_i, an axil_bus_t, while a register is written."""
    return 1 << 73 | offset_bytes << 55 | data << 23 | strobes << 19
