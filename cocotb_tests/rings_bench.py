# SPDX-License-Identifier: Apache-2.0
"""A memory, registers and readers around the rings with their windows, queue table and queue control."""

import random
from collections import deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.base import Stall
from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.rings_model import DESC_BYTES, Ring
from driver.registers import GUARD, Reg

SPAN = 1 << 20  # bytes of a queue's area for buffers and tables
OUTPUTS = ("ar_valid", "ar_addr", "ar_bytes", "ar_queue", "ew_valid", "ew_queue", "stopped_o", "table_o")
TOOK = ("took_o", "queue_o", "desc_o", "indirect_o")


class Bench:
    """Clock, memory and registers around the rings; `ring[q]` is the driver's side of a queue."""

    def __init__(self, dut: Any, salt: object, latency: int = 40, stall: float = 0.2) -> None:
        self.dut = dut
        self.rng = rng = random.Random(f"{cocotb.RANDOM_SEED} {salt}")
        self.queues = len(dut.enabled_o)
        self.memory: dict[int, int] = {}
        self.ring: dict[int, Ring] = {}
        self.bad_reads: set[int] = set()  # 256-byte lines that answer with an error
        self.allowed: list[tuple[int, int]] | None = None  # areas that may be read
        self.latency, self.tables, self.cycle, self.descs = latency, 0, 0, 0
        self.go = {side: Stall(rng, stall, 20) for side in ("tx", "rx", "ar", "r", "ew")}
        self.take = True  # the readers take something
        self._get = {name: reader(getattr(dut, name)) for name in OUTPUTS}
        self._took = {s: [reader(getattr(dut, f"{s}_{n}")) for n in TOOK] for s in ("tx", "rx")}
        names = ("tx_go_i", "tx_next_i", "rx_go_i", "rx_next_i", "ar_ready", "r_valid", "r_data", "r_err")
        names += ("ew_ready", "ewb_valid", "ewb_queue", "kick_i", "kick_queue_i")
        self._put = {name: writer(getattr(dut, name)) for name in names}
        self._beats: deque[tuple[int, int, int]] = deque()  # when, data, error
        self._writes: deque[tuple[int, int]] = deque()
        self._kicks: deque[int] = deque()
        self._width = len(dut.r_data) // 8

    async def start(self) -> None:
        """Reset, and step the memory and the readers at each edge from then on."""
        for name in ("bus_wr", "bus_rd", "qt_we", "enable_i", "reset_i", "event_idx_i"):
            getattr(self.dut, name).value = 0
        for put in self._put.values():
            put(0)
        self.dut.indirect_i.value = 1
        self.dut.select_i.value = 0
        self.dut.rst.value = 1
        Clock(self.dut.clk, 4, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, self.queues + 8)
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            self.cycle += 1
            self._step()

    def _step(self) -> None:
        get, put = self._get, self._put
        for side in ("tx", "rx"):
            took, queue, word, indirect = self._took[side]
            if took():
                self.ring[queue()].took(word(), bool(indirect()))
                self.descs += 1
        if self._ar_ready and get["ar_valid"]():
            self._read(get["ar_addr"](), get["ar_bytes"]())
        if self._ew_ready and get["ew_valid"]():
            self._writes.append((self.cycle + self.latency, get["ew_queue"]()))
        self.tables += get["table_o"]()
        self._ar_ready, self._ew_ready = self.go["ar"].go(), self.go["ew"].go()
        put["ar_ready"](int(self._ar_ready))
        put["ew_ready"](int(self._ew_ready))
        put["tx_go_i"](int(self.take and self.go["tx"].go()))
        put["rx_go_i"](int(self.take and self.go["rx"].go()))
        put["tx_next_i"](self.rng.randrange(self.queues // 2) * 2 + 1)
        put["rx_next_i"](self.rng.randrange(self.queues // 2) * 2)
        answer = bool(self._beats) and self._beats[0][0] <= self.cycle and self.go["r"].go()
        put["r_valid"](int(answer))
        if answer:
            _, data, error = self._beats.popleft()
            put["r_data"](data)
            put["r_err"](error)
        done = bool(self._writes) and self._writes[0][0] <= self.cycle
        put["ewb_valid"](int(done))
        if done:
            put["ewb_queue"](self._writes.popleft()[1])
        put["kick_i"](int(bool(self._kicks)))
        if self._kicks:
            put["kick_queue_i"](self._kicks.popleft())

    _ar_ready = _ew_ready = False

    def _read(self, addr: int, length: int) -> None:
        assert length and addr // 256 == (addr + length - 1) // 256, f"{addr:x} + {length} leaves its line"
        if self.allowed is not None:
            assert any(a <= addr and addr + length <= b for a, b in self.allowed), f"{addr:x} outside"
        error = int(addr // 256 in self.bad_reads)
        for beat in range(addr // self._width, (addr + length - 1) // self._width + 1):
            first = beat * self._width
            data = sum(self.memory.get(first + n, 0) << 8 * n for n in range(0, self._width, DESC_BYTES))
            self._beats.append((self.cycle + self.latency, data, error))

    async def write(self, reg: Reg, data: int) -> None:
        """Write a register."""
        self.dut.bus_addr.value, self.dut.bus_data.value = reg.offset_bytes, data
        self.dut.bus_wr.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.bus_wr.value = 0
        await RisingEdge(self.dut.clk)

    async def read(self, reg: Reg) -> int:
        """Read a register."""
        self.dut.bus_addr.value, self.dut.bus_rd.value = reg.offset_bytes, 1
        await RisingEdge(self.dut.clk)
        self.dut.bus_rd.value = 0
        await ClockCycles(self.dut.clk, 2)
        return int(self.dut.bus_answer.value)

    async def window(self, pair: int, number: int, base: int, last: int, rights: int) -> bool:
        """Set a range; return whether it was taken."""
        await self.write(GUARD.SELECT, pair | number << GUARD.SELECT_RANGE.lsb)
        for reg, value in ((GUARD.WIN_BASE, base), (GUARD.WIN_LAST, last)):
            await self.write(reg.lo, value & 0xFFFFFFFF)
            await self.write(reg.hi, value >> 32)
        await self.write(GUARD.WIN_RIGHTS, rights)
        return not await self.read(GUARD.STATUS)

    async def control(self, pair: int, value: int) -> int:
        """Set guard and windows of a pair; return what is set."""
        await self.write(GUARD.SELECT, pair)
        await self.write(GUARD.PAIR_CONTROL, value)
        return await self.read(GUARD.PAIR_CONTROL)

    async def enable(self, queue: int, size: int, base: int = 0) -> Ring:
        """Set up a queue with its areas, return its ring: descriptors at `base`, buffers, tables behind."""
        base = base or (queue + 1) << 32
        self.ring[queue] = ring = Ring(self.memory, self.rng, queue, base, size, base + (1 << 20), SPAN)
        for index in range(size):
            self.memory.pop(base + index * DESC_BYTES, None)
        fields = (size, 0, *(half for n in (0, 1, 2) for half in self._area(base, n)))
        self.dut.select_i.value = queue
        self.dut.qt_we.value = 1
        for number, value in enumerate(fields):
            self.dut.qt_field.value, self.dut.qt_data.value = number, value
            await RisingEdge(self.dut.clk)
        self.dut.qt_we.value = 0
        self.dut.enable_i.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.enable_i.value = 0
        await ClockCycles(self.dut.clk, 4)
        return ring

    @staticmethod
    def _area(base: int, number: int) -> tuple[int, int]:
        """Return low and high half of the address of descriptors, driver and device area."""
        addr = base + (0, 0xF0000, 0xF0010)[number]
        return addr & 0xFFFFFFFF, addr >> 32

    async def reset_queue(self, queue: int) -> None:
        """Reset one queue and wait until it is done."""
        self.dut.select_i.value, self.dut.reset_i.value = queue, 1
        await RisingEdge(self.dut.clk)
        self.dut.reset_i.value = 0
        await ClockCycles(self.dut.clk, 2)
        while int(self.dut.enabled_o.value) >> queue & 1:
            await RisingEdge(self.dut.clk)
        await ClockCycles(self.dut.clk, 4)

    def kick(self, queue: int) -> None:
        """Ring a queue's doorbell."""
        self._kicks.append(queue)

    def stopped(self, queue: int) -> bool:
        """Whether an error has stopped the queue."""
        return bool(self._get["stopped_o"]() >> queue & 1)

    async def error(self, queue: int) -> tuple[int, int]:
        """Wait until a queue stops; return reason and address."""
        for _ in range(3000):
            if self.stopped(queue):
                break
            await RisingEdge(self.dut.clk)
        assert self.stopped(queue), f"queue {queue} goes on"
        self.dut.select_i.value = queue
        await ClockCycles(self.dut.clk, 2)
        return int(self.dut.reason_o.value), int(self.dut.error_addr_o.value)

    async def drained(self, *queues: int, cycles: int = 600_000) -> None:
        """Wait until everything posted has been taken."""
        end = self.cycle + cycles
        while any(self.ring[q].posted for q in queues or self.ring):
            assert self.cycle < end, {q: (len(r.posted), r.taken) for q, r in self.ring.items()}
            await ClockCycles(self.dut.clk, 10)
