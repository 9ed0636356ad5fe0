# SPDX-License-Identifier: Apache-2.0
"""The fast harness: clock, host memory and wire are SystemVerilog and C++; Python is woken by events only.

    harness = FastHarness(dut, FastConfig(wire=WireConfig(loopback=True)))
    nic = TupeloNic(harness)          # FastHarness is a driver.bus.Bus
    harness.wire.send([frame]); await harness.wire.wait()

`build_fast` builds the simulator for it; `sim.fast_run.run_fast` runs a function of a program in it.
"""

import ctypes
import functools
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import Event, ValueChange
from cocotb.utils import get_sim_time

from driver.bus import DmaRegion
from sim import fast_lib
from sim.fast_config import FastConfig, as_dict
from sim.fast_errors import ErrorInjection
from sim.fast_wire import CLK_NS, FastWire
from sim.memory import HostMemory

NEVER = (1 << 64) - 1


@dataclass(eq=False, slots=True)
class _Waiter:
    """A coroutine that sleeps until one of its reasons holds."""

    event: Event
    deadline_cycle: int = NEVER
    vectors: int = 0  # bit mask of MSI-X vectors
    wire: bool = False


class _ModelTable:
    """Keeps the C++ region table equal to HostMemory's."""

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib = lib

    def region_added(self, iova: int, size_bytes: int, pointer: int) -> None:
        self._lib.tupelo_region_add(iova, size_bytes, pointer)

    def region_removed(self, iova: int) -> None:
        self._lib.tupelo_region_remove(iova)


class FastHarness:
    """driver.bus.Bus over tupelo_fast_top, and what a test needs around it: wire, errors, counters, time."""

    def __init__(self, dut: Any, config: FastConfig | None = None, seed: int | None = None) -> None:
        """Take over the simulator of this process. seed None: cocotb's (printed in the log)."""
        self.config = config or FastConfig()
        self.seed = int(cocotb.RANDOM_SEED) if seed is None else seed
        self._dut = dut
        self._lib = fast_lib.load()
        self._status = self._lib.tupelo_status().contents
        self._reads: deque[tuple[Event, list[int]]] = deque()
        self._waiters: list[_Waiter] = []
        self._kick = 0
        self._kicked_at = -1  # in clocked cycles
        self._lib.tupelo_configure(ctypes.byref(self.config.struct(self.seed)))
        self.memory = HostMemory(_ModelTable(self._lib))
        self.wire = FastWire(self._lib, self.config.wire.loopback, self._wait_wire)
        self.errors = ErrorInjection(self._lib)
        self._task = cocotb.start_soon(self._pump())

    # ---- driver.bus.Bus

    async def read(self, offset_bytes: int, width_bytes: int = 4) -> int:
        """Read 1, 2 or 4 naturally aligned bytes of the BAR, after every earlier write."""
        lane = _lane(offset_bytes, width_bytes)
        event, answer = Event(), [0]
        self._reads.append((event, answer))
        self._lib.tupelo_bar_push(0, offset_bytes & ~3, 0, 0)
        self._run_clock()
        await event.wait()
        return (answer[0] >> (8 * lane)) & ((1 << (8 * width_bytes)) - 1)

    async def write(self, offset_bytes: int, value: int, width_bytes: int = 4) -> None:
        """Queue a write of 1, 2 or 4 naturally aligned bytes of the BAR; does not wait for it."""
        lane = _lane(offset_bytes, width_bytes)
        strobe = ((1 << width_bytes) - 1) << lane
        self._lib.tupelo_bar_push(1, offset_bytes & ~3, (value << (8 * lane)) & 0xFFFF_FFFF, strobe)
        self._run_clock()

    def dma_alloc(self, size_bytes: int, align_bytes: int = 64) -> DmaRegion:
        """Return zeroed memory that the NIC can reach."""
        return self.memory.alloc(size_bytes, align_bytes)

    def dma_free(self, region: DmaRegion) -> None:
        """Take memory back; later accesses of the NIC are error responses."""
        self.memory.free(region)

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        """Wait for any of the vectors; return and forget those that fired. Empty: timeout_ns went by."""
        mask = _mask(vectors)
        fired = self._take_irq(mask)
        if fired or timeout_ns == 0:
            return fired
        await self._sleep(_Waiter(Event(), self._deadline(timeout_ns), vectors=mask))
        return self._take_irq(mask)

    def now_ns(self) -> int:
        """Simulated time."""
        if self._status.stopped:
            return int(get_sim_time("ns"))
        return int(self._status.cycle) * CLK_NS

    # ---- for tests and programs

    @property
    def cycles(self) -> int:
        """Clock cycles simulated so far; a stopped clock makes none."""
        return int(self._status.clocked)

    @property
    def quiet(self) -> bool:
        """Nothing moves in the NIC, on the bus or on the wire: without somebody acting, only timers go on."""
        return bool(self._lib.tupelo_quiet())

    def next_deadline_ns(self) -> int | None:
        """The earliest time that a coroutine sleeps until; None if none does."""
        cycle = min((waiter.deadline_cycle for waiter in self._waiters), default=NEVER)
        return None if cycle == NEVER else cycle * CLK_NS

    @property
    def wakes(self) -> int:
        """How often Python was woken."""
        return int(self._status.wakes)

    async def sleep(self, duration_ns: int) -> None:
        """Wait for simulated time; an idle NIC's clock stands still meanwhile."""
        await self._sleep(_Waiter(Event(), self._deadline(duration_ns)))

    async def reset(self, cycles: int = 16) -> None:
        """Pull the NIC's reset, with no request in flight: it stops the bus, not the memory behind it."""
        self._lib.tupelo_reset(cycles)
        self._run_clock()
        await self.sleep((cycles + 4) * CLK_NS)

    def set_straps(self, mac: bytes, mtu: int, link_up: bool = True) -> None:
        """Set mac_addr_i (first octet first), mtu_i and link_up_i."""
        self._lib.tupelo_straps(int.from_bytes(mac, "little"), mtu, int(link_up))
        self._run_clock()

    def counters(self) -> Mapping[str, int]:
        """Return the memory model's counters: reads, beats, errors, most outstanding at a time."""
        out = fast_lib.MemoryCountersStruct()
        self._lib.tupelo_memory_counters(ctypes.byref(out))
        return as_dict(out)

    @property
    def bad_messages(self) -> int:
        """MSI-X messages whose address or data belong to no vector."""
        return int(self._status.msix_bad)

    # ---- event pump

    async def _pump(self) -> None:
        """Wait for the one signal that tells of events, and wake who waits for them."""
        changed = ValueChange(self._dut.event_o)
        while True:
            await changed
            self._lib.tupelo_poll()
            self._wake()

    def _wake(self) -> None:
        while self._reads and (value := self._lib.tupelo_bar_answer()) >= 0:
            event, answer = self._reads.popleft()
            answer[0] = int(value)
            event.set()
        if not self._waiters:
            self._update_wishes()
            return
        pending = sum(int(word) << (64 * i) for i, word in enumerate(self._status.irq_pending))
        now = int(self._status.cycle)
        ready = [w for w in self._waiters if self._is_due(w, pending, now)]
        self._waiters = [w for w in self._waiters if w not in ready]
        for waiter in ready:
            waiter.event.set()
        self._update_wishes()

    def _is_due(self, waiter: _Waiter, pending: int, now: int) -> bool:
        if waiter.deadline_cycle <= now or waiter.vectors & pending:
            return True
        if not waiter.wire:
            return False
        frames, _ = self.wire.waiting()
        # The C++ side knows how old frames are; it woke us, and nothing else explains why.
        return frames >= self.wire.wish.frames or (
            frames > 0 and not self._other_reason(waiter, pending, now)
        )

    def _other_reason(self, waiter: _Waiter, pending: int, now: int) -> bool:
        return any(
            w is not waiter and (w.vectors & pending or w.deadline_cycle <= now) for w in self._waiters
        )

    def _update_wishes(self) -> None:
        """Tell the C++ side what the sleepers wait for."""
        vectors = 0
        deadline = NEVER
        wire = False
        for waiter in self._waiters:
            vectors |= waiter.vectors
            deadline = min(deadline, waiter.deadline_cycle)
            wire = wire or waiter.wire
        self._lib.tupelo_irq_want(_words(vectors))
        self._lib.tupelo_set_deadline(deadline)
        wish = self.wire.wish
        self._lib.tupelo_wire_want(wish.frames if wire else 0, wish.max_age_cycles)
        self._run_clock()

    async def _sleep(self, waiter: _Waiter) -> None:
        self._waiters.append(waiter)
        self._update_wishes()
        try:
            await waiter.event.wait()
        finally:
            if waiter in self._waiters:  # cancelled
                self._waiters.remove(waiter)

    async def _wait_wire(self, timeout_ns: int | None) -> None:
        await self._sleep(_Waiter(Event(), self._deadline(timeout_ns), wire=True))

    def _deadline(self, timeout_ns: int | None) -> int:
        if timeout_ns is None:
            return NEVER
        return max(-(-(self.now_ns() + timeout_ns) // CLK_NS), int(self._status.cycle) + 1)

    def _take_irq(self, mask: int) -> frozenset[int]:
        fired = fast_lib.IrqMask()
        if not self._lib.tupelo_irq_take(_words(mask), fired):
            return frozenset()
        value = sum(int(word) << (64 * i) for i, word in enumerate(fired))
        return frozenset(v for v in range(value.bit_length()) if value >> v & 1)

    def _run_clock(self) -> None:
        """Start a stopped clock: there is new work, or a new time to wake at. Once in each stop.

        A second change of the signal in the same time step would undo the first.
        """
        if self._status.stopped and self._kicked_at != self.cycles:
            self._kicked_at = self.cycles
            self._kick ^= 1
            self._dut.kick_i.value = self._kick


def _lane(offset_bytes: int, width_bytes: int) -> int:
    if width_bytes not in (1, 2, 4) or offset_bytes % width_bytes or not 0 <= offset_bytes < 1 << 18:
        raise ValueError(f"not a BAR access: {width_bytes} bytes at {offset_bytes:#x}")
    return offset_bytes % 4


def _mask(vectors: Collection[int]) -> int:
    mask = 0
    for vector in vectors:
        if not 0 <= vector < fast_lib.VECTORS:
            raise ValueError(f"no such MSI-X vector: {vector}")
        mask |= 1 << vector
    return mask


@functools.lru_cache(maxsize=256)
def _words(mask: int) -> Any:
    """Return a mask of vectors as C reads it."""
    return fast_lib.IrqMask(*((mask >> (64 * i)) & 0xFFFF_FFFF_FFFF_FFFF for i in range(4)))
