# SPDX-License-Identifier: Apache-2.0
"""Drives tupelo_tables alone: registers and commands, and look-ups at both ports in every cycle.

Every answer is compared with two models: one that has a change as soon as it is asked for, one that has it
only when it is done. The device must agree with one of them for each look-up: old or new, nothing else.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.model.steer_model import (
    FLOW,
    LISTENER,
    NONE,
    Answer,
    Info,
    Listener,
    SteerModel,
    Tuple,
)
from driver.registers import STEER, Reg, SteerOp

LATENCY = 4
WORD = 0xFFFF_FFFF


class TableBench:
    """The device, its two models, and the traffic."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut = dut
        self.rng = rng
        self.early, self.late = SteerModel(), SteerModel()
        self.ask: Callable[[], Tuple | None] = lambda: None  # the next look-up of a port
        self.tx_rate = 0.7
        self.blind = False  # both models are wrong: the tables are being emptied
        self.answers: Counter[int] = Counter()  # by match
        self.hits: dict[int, Counter[int]] = {FLOW: Counter(), LISTENER: Counter()}  # by id
        self.lookups = self.changed = self.held = 0
        self._clk = RisingEdge(dut.clk)
        self._bus = writer(dut.bus_i)
        self._data = reader(dut.rd_data_o)

    async def start(self) -> None:
        self._bus(0)
        for name in ("rx_valid", "tx_valid", "rx_tuple", "tx_tuple"):
            getattr(self.dut, name).value = 0
        self.dut.rst.value = 1
        Clock(self.dut.clk, 4, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        cocotb.start_soon(self._lookups())
        await self.clock(1)

    async def clock(self, cycles: int) -> None:
        for _ in range(cycles):
            await self._clk

    # registers ----------------------------------------------------------------------------------------

    async def write(self, reg: Reg, data: int, strobes: int = 15) -> None:
        self._bus(1 << 73 | reg.offset_bytes << 55 | data << 23 | strobes << 19)
        await self._clk
        self._bus(0)

    async def read(self, reg: Reg) -> int:
        self._bus(1 << 18 | reg.offset_bytes)
        await self._clk
        self._bus(0)
        await self._clk
        return self._data()

    async def words(self, reg: Any, count: int) -> int:
        """Return registers in a row as one number, word 0 on top."""
        value = 0
        for word in range(count):
            value = value << 32 | await self.read(reg.at(word))
        return value

    async def set_words(self, reg: Any, count: int, value: int) -> None:
        for word in range(count):
            await self.write(reg.at(word), value >> 32 * (count - 1 - word) & WORD)

    async def quiet(self) -> int:
        """Wait for the end of a command; return status.bad."""
        for _ in range(30000):
            status = await self.read(STEER.STATUS)
            if not STEER.STATUS_BUSY.get(status):
                return STEER.STATUS_BAD.get(status)
        raise AssertionError("status.busy for ever")

    async def command(
        self, op: int, index: int, change: Callable[[SteerModel], None] | None = None, hurry: bool = False
    ) -> int:
        """Run a command; `change` is done to both models. Return status.bad.

        hurry: the next command comes at once, so a look-up may meet both of them.
        """
        if change:
            change(self.early)
        await self.write(STEER.COMMAND, op | index << 16)
        bad = await self.quiet()
        if change:
            await self.clock(0 if hurry else LATENCY + 2)
            change(self.late)
            await self.clock(0 if hurry else LATENCY + 2)
        return bad

    async def setting(self, reg: Reg, data: int, change: Callable[[SteerModel], None]) -> None:
        """Write a register that acts at once."""
        change(self.early)
        await self.write(reg, data)
        await self.clock(LATENCY + 2)
        change(self.late)
        await self.clock(LATENCY + 2)

    async def enable(self, on: bool) -> None:
        await self.setting(STEER.CONTROL, int(on), lambda model: setattr(model, "enabled", on))

    async def set_local(self, index: int, ipv6: int, address: int, valid: bool = True) -> None:
        await self.write(STEER.LOCAL_SELECT, index)
        await self.set_words(STEER.LOCAL_ADDR, 4, address)

        def change(model: SteerModel) -> None:
            if valid:
                model.local[index] = ipv6, address
            else:
                model.local.pop(index, None)

        await self.setting(STEER.LOCAL_CONTROL, int(valid) | ipv6 << 1, change)

    # entries ------------------------------------------------------------------------------------------

    async def stage(self, key: Tuple | Listener, info: Info) -> None:
        """Fill the staging registers."""
        everywhere = isinstance(key, Listener) and key.local is None
        await self.set_words(STEER.KEY_LOCAL, 4, key.local or 0)
        remote, remote_port = (key.remote, key.remote_port) if isinstance(key, Tuple) else (0, 0)
        await self.set_words(STEER.KEY_REMOTE, 4, remote)
        await self.write(STEER.KEY_PORTS, key.local_port << 16 | remote_port)
        await self.write(STEER.KEY_PROTO, key.proto | key.ipv6 << 8 | int(everywhere) << 9)
        await self.write(STEER.ENTRY, info.target << 1 | info.pair << 8)
        await self.write(STEER.ENTRY_ID, info.id | info.generation << 16)

    async def write_slot(self, slot: int, key: Tuple | Listener, info: Info, hurry: bool = False) -> None:
        await self.stage(key, info)
        if isinstance(key, Tuple):
            bad = await self.command(
                SteerOp.FLOW_WRITE, slot, lambda m: m.flows.write(slot, key, info), hurry
            )
        else:
            bad = await self.command(
                SteerOp.LISTENER_WRITE, slot, lambda m: m.listeners.write(slot, key, info), hurry
            )
        assert not bad

    async def clear_slot(self, kind: type, slot: int) -> None:
        if kind is Tuple:
            assert not await self.command(SteerOp.FLOW_CLEAR, slot, lambda m: m.flows.clear(slot))
        else:
            assert not await self.command(SteerOp.LISTENER_CLEAR, slot, lambda m: m.listeners.clear(slot))

    async def read_slot(self, kind: type, slot: int) -> tuple[Tuple | Listener, Info] | None:
        op = SteerOp.FLOW_READ if kind is Tuple else SteerOp.LISTENER_READ
        assert not await self.command(op, slot)
        entry, numbers = await self.read(STEER.ENTRY), await self.read(STEER.ENTRY_ID)
        ports, proto = await self.read(STEER.KEY_PORTS), await self.read(STEER.KEY_PROTO)
        local, remote = await self.words(STEER.KEY_LOCAL, 4), await self.words(STEER.KEY_REMOTE, 4)
        if not entry & 1:
            return None
        info = Info(entry >> 1 & 3, entry >> 8 & 63, numbers & 0xFFFF, numbers >> 16)
        family, number = proto >> 8 & 1, proto & 0xFF
        if kind is Tuple:
            return Tuple(family, number, local, remote, ports >> 16, ports & 0xFFFF), info
        assert remote == 0 and ports & 0xFFFF == 0
        return Listener(family, number, None if proto >> 9 & 1 else local, ports >> 16), info

    async def count(self, kind: type, entry_id: int) -> int:
        """Return a hit counter."""
        op = SteerOp.FLOW_HITS_READ if kind is Tuple else SteerOp.LISTENER_HITS_READ
        assert not await self.command(op, entry_id)
        return await self.read(STEER.HITS.lo) | await self.read(STEER.HITS.hi) << 32

    # look-ups -----------------------------------------------------------------------------------------

    def _check(self, asked: Tuple, before: Answer, got: Answer) -> None:
        after = self.early.lookup(asked)
        nothing = Answer(NONE, local_ok=after.local_ok)
        assert got in (before, after) or (self.blind and got == nothing), (
            f"{asked}: {got}, not {before} or {after}"
        )
        self.lookups += 1
        self.changed += before != after

    async def _lookups(self) -> None:
        """Both ports: ask, and judge what comes back LATENCY cycles later."""
        dut = self.dut
        pins = {name: reader(getattr(dut, name)) for name in ("rx_result_valid", "rx_result", "tx_ready")}
        pins |= {name: reader(getattr(dut, name)) for name in ("tx_result_valid", "tx_result")}
        put = {name: writer(getattr(dut, name)) for name in ("rx_valid", "rx_tuple", "tx_valid", "tx_tuple")}
        inside: dict[str, deque[tuple[Tuple, Answer] | None]] = {
            port: deque([None] * LATENCY) for port in ("rx", "tx")
        }
        now: dict[str, Tuple | None] = {"rx": None, "tx": None}
        while True:
            await self._clk
            for port, line in inside.items():
                asked = now[port]
                waits = port == "tx" and not pins["tx_ready"]()
                self.held += waits and asked is not None
                line.append((asked, self.late.lookup(asked)) if asked and not waits else None)
                due = line.popleft()
                assert pins[f"{port}_result_valid"]() == (due is not None), f"{port}: not in its cycle"
                if due:
                    got = Answer.unpack(pins[f"{port}_result"]())
                    self._check(*due, got)
                    if port == "rx":
                        self._count(got)
                if not (waits and asked):
                    now[port] = self.ask() if port == "rx" or self.rng.random() < self.tx_rate else None
                    put[f"{port}_valid"](int(now[port] is not None))
                    if now[port] is not None:
                        put[f"{port}_tuple"](now[port].packed())

    def _count(self, got: Answer) -> None:
        self.answers[got.match] += 1
        if got.match != NONE:
            self.hits[FLOW if got.match == FLOW else LISTENER][got.id] += 1


def addresses(rng: random.Random) -> Iterator[tuple[int, int]]:
    """Yield (ipv6, address) that are somebody's own: some for the list, some not, groups last."""
    for number in range(8):
        yield number & 1, rng.getrandbits(128) >> 8 if number & 1 else 0x0A00_0000 | rng.getrandbits(16)
    yield from ((0, 0xC0A8_0101), (1, 0xFD << 120 | 1))
    yield from (
        (0, 0xE000_0001),
        (0, 0xFFFF_FFFF),
        (1, 0xFF02 << 112 | 1),
        (0, 0xEFFF_FFFF),
        (0, 0xDFFF_FFFF),
    )
