# SPDX-License-Identifier: Apache-2.0
"""`nic_test`: cocotb.test for tests of a whole NIC, with the books of all frames closed at the end.

After a test has passed, memory and wire are made quick and faultless, the NIC comes to rest, and its counters
are compared with what wire and rings showed since its reset (`Ledger`). Traffic that a test left running is
ended by a device reset, and what that threw out must be counted.
"""

import functools
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import Timer

from cocotb_tests.agents.axi_memory import MemoryKnobs
from cocotb_tests.agents.axis import WireKnobs
from cocotb_tests.bar_watch import DEVICE_STATUS
from cocotb_tests.ledger import QUEUE_STATS, Ledger
from driver.registers import STAT, STAT_QUEUE, Reg, Stat
from driver.stats import Statistics, queue_name
from sim.pins import CLOCK_NS, PinsHarness

QUIET_CYCLES = 200
PATIENCE_CYCLES = 6000
HELD_CYCLES = 18_000  # a frame waits no longer for buffers (docs/datapath.md)
STEP_CYCLES = 40
RESET_POLLS = 4000


class Unbalanced(AssertionError):
    """Frames were lost, made up, or not counted; the text lists what."""


class Auditor:
    """Keeps the books of one harness from its start."""

    def __init__(self, harness: PinsHarness) -> None:
        self.harness = harness
        self.ledger = ledger = Ledger()
        harness.bar_monitor.on_access.append(ledger.on_bar)
        harness.memory.on_write.append(ledger.on_write)
        harness.wire.source.on_frame.append(ledger.on_wire_in)
        harness.wire.sink.on_frame.append(ledger.on_wire_out)

    async def close(self) -> None:
        """Bring the NIC to rest and compare; Unbalanced if anything does not add up."""
        self._fair_weather()
        if await self._quiet():
            problems = await self.problems()
            for _ in (
                range(0, HELD_CYCLES, PATIENCE_CYCLES) if problems else ()
            ):  # frames that wait for buffers
                await Timer(PATIENCE_CYCLES * CLOCK_NS, "ns")
                if not (problems := await self.problems()):
                    break
        else:  # somebody goes on with traffic
            await self._reset()
            await self._quiet()
            problems = await self.problems()
        if problems:
            raise Unbalanced("\n".join(problems))

    async def problems(self) -> list[str]:
        """What does not add up now."""
        return self.ledger.problems(await self.statistics(), self.harness.monitor.queues)

    async def statistics(self) -> Statistics:
        """The counters that the equations need; low halves, as the equations hold for those too."""
        values = {stat.name.lower(): await self._read(getattr(STAT, stat.name)) for stat in Stat}
        for queue in range(self.harness.monitor.queues):
            for stat in QUEUE_STATS:
                name = f"{queue_name(queue)}_{stat.name.lower()}"
                values[name] = await self._read(getattr(STAT_QUEUE, stat.name).at(queue))
        return Statistics(values, self.harness.now_ns())

    async def _read(self, reg: Reg) -> int:
        return await self.harness.read(reg.lo.offset_bytes)

    def _fair_weather(self) -> None:
        memory, wire = self.harness.memory, self.harness.wire
        memory.fault = None
        _set(memory.knobs, MemoryKnobs(latency_cycles=min(memory.knobs.latency_cycles, 40)))
        _set(wire.knobs, WireKnobs())
        wire.source.closed = True

    async def _quiet(self) -> bool:
        """Wait until nothing has moved for a while; False if that does not come."""
        still = 0
        for _ in range(0, PATIENCE_CYCLES, STEP_CYCLES):
            still = still + STEP_CYCLES if self.harness.idle else 0
            if still > QUIET_CYCLES:
                return True
            await Timer(STEP_CYCLES * CLOCK_NS, "ns")
        return False

    async def _reset(self) -> None:
        """Write 0 to device_status and wait for 0 (VIRTIO 1.2 section 2.4)."""
        await self.harness.write(DEVICE_STATUS, 0, 1)
        for _ in range(RESET_POLLS):
            if await self.harness.read(DEVICE_STATUS, 1) == 0:
                return
        raise Unbalanced("a device reset does not end")


def _set(knobs: Any, values: Any) -> None:
    for name in values.__slots__:
        setattr(knobs, name, getattr(values, name))


def nic_test(**options: Any) -> Callable[[Any], Any]:
    """As cocotb.test(**options), and every PinsHarness that the test starts is audited after it."""

    def decorate(function: Any) -> Any:
        test = cocotb.test(**options)(function)
        body = test.func

        @functools.wraps(body)
        async def audited(dut: Any, **arguments: Any) -> None:
            books: list[Auditor] = []
            PinsHarness.on_start[:] = [lambda harness: books.append(Auditor(harness))]
            await body(dut, **arguments)
            PinsHarness.on_start.clear()
            assert books, "no PinsHarness was started: this is no test of a whole NIC"
            for auditor in books:
                await auditor.close()

        test.func = audited
        return test

    return decorate
