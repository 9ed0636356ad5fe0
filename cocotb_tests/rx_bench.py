# SPDX-License-Identifier: Apache-2.0
"""The receive path alone (hdl/rx_bench.sv): wire, rings and memory, and a scoreboard of every frame.

The scoreboard knows nothing of the RTL's lists or buffer: a frame that entered must come out of its queue's
buffers unchanged and in order, or be counted as dropped for its queue; both are added up in `finish`.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.base import Stall
from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.model.parse_model import ones_sum
from driver.registers import Stat

INPUTS = (
    *("rst", "dev_rst", "halt_i", "mrg_i", "active_i", "stopped_i", "awake_i", "start_i", "start_queue_i"),
    *("put_i", "put_queue_i", "put_desc_i", "m_ready", "comp_ready", "busy_queue_i"),
    *(f"s_axis_rx_{pin}" for pin in ("tdata", "tkeep", "tlast", "tuser", "tvalid")),
)
OUTPUTS = (
    *("m_addr", "m_first", "m_data", "m_strb", "comp_o", "watch_o", "in_drop_stat_o", "drop_stat_o"),
    *("drop_queue_o", "done_queue_o", "reset_drops_o", "busy_o"),
)
M_VALID, COMP, IN, IN_DROP, DROP, DONE = (1 << n for n in range(6))
NEXT = 1
MAC = bytes((2, 0, 0, 0, 0, 0))
UDP_LEAST = 42  # headers
FRAME_MOST = 9728
MEMORY_BYTES = 1 << 24
CACHE = 64  # descriptors a queue, hdl/rx_bench.sv
HOST_QUEUE = 0


@dataclass(slots=True, eq=False)
class Frame:
    """One frame on the wire; queue: the virtqueue that must get it."""

    octets: bytes
    queue: int
    filtered: bool = False
    bad: bool = False
    sent: int = -1  # cycle of its last beat
    done: int = -1  # cycle of its last write


def make_frame(rng: random.Random, pair: int, size: int, *, filtered: bool = False) -> Frame:
    """UDP to `pair`; shorter than its headers it is no IP frame and the host's."""
    if size < UDP_LEAST:
        return Frame((MAC + rng.randbytes(6) + b"\x88\xb5" + rng.randbytes(size))[:size], HOST_QUEUE)
    ip = bytearray(b"\x45\0" + (size - 14).to_bytes(2, "big") + rng.randbytes(2) + b"\0\0\x40\x11\0\0")
    ip += rng.randbytes(3) + b"\x01" + bytes((10, 0, 0, 1))
    ip[10:12] = (0xFFFF - ones_sum(bytes(ip))).to_bytes(2, "big")
    udp = (pair | filtered << 8).to_bytes(2, "big") + b"\0\x35" + (size - 34).to_bytes(2, "big") + b"\0\0"
    octets = MAC + b"\x02" + rng.randbytes(5) + b"\x08\0" + bytes(ip) + udp + rng.randbytes(size - UDP_LEAST)
    return Frame(octets, HOST_QUEUE if filtered else 2 * pair, filtered)


@dataclass(slots=True)
class Chain:
    """A posted buffer: (address, bytes) of each descriptor."""

    ident: int
    parts: list[tuple[int, int]]


@dataclass(slots=True)
class Queue:
    """What the test knows of one receive queue."""

    inside: deque[Frame] = field(default_factory=deque)  # not delivered, perhaps dropped
    chains: deque[Chain] = field(default_factory=deque)  # given to the device
    descs: int = 0  # of those
    waiting_puts: deque[Chain] = field(default_factory=deque)
    done: deque[int] = field(default_factory=deque)  # cycles of deliveries whose completions are to come
    got: list[tuple[Chain, int]] = field(default_factory=list)  # parts of the frame that is being completed
    skipped: int = 0  # frames that a later one has overtaken: dropped
    delivered: list[Frame] = field(default_factory=list)


class RxBench:
    """One clock at a time. `source` is asked for the next frame whenever the wire is free."""

    def __init__(
        self,
        dut: Any,
        rng: random.Random,
        *,
        mergeable: bool = False,
        gap: float = 0.0,
        stall: float = 0.0,
    ) -> None:
        self.dut, self.rng, self.mergeable = dut, rng, mergeable
        self.beat = len(dut.s_axis_rx_tdata) // 8
        self.queues = {2 * pair: Queue() for pair in range(len(dut.active_i) // 2)}
        self.cache = CACHE
        self.cycle = 0
        self.active = self.awake = sum(1 << queue for queue in self.queues)
        self.stopped = 0
        self.halt = False
        self.source: Callable[[], Frame | None] = lambda: None
        self.drops: Counter[tuple[int, Stat]] = Counter()  # by queue and reason
        self.door: Counter[Stat] = Counter()  # refused at the wire
        self.filtered = self.entered = self.done = self.lost_in_reset = 0
        self.tell: Callable[[], None] = lambda: None  # after every cycle
        self._get = {name: reader(getattr(dut, name)) for name in OUTPUTS}
        self._put = {name: writer(getattr(dut, name)) for name in INPUTS}
        self._stalls = [Stall(rng, gap, 20), Stall(rng, stall, 30), Stall(rng, stall, 30)]
        self._ready = self._comp_ready = False
        self._beats: deque[tuple[int, int, int, int]] = deque()  # data, keep, last, user
        self._sending: Frame | None = None
        self._ending: Frame | None = None  # its last beat is on the pins
        self._at = 0  # where the next beat of the burst goes
        self._memory = bytearray(MEMORY_BYTES)
        self._next_addr = self._next_id = 0
        self._puts: deque[tuple[int, int]] = deque()  # queue, descriptor

    async def start(self) -> None:
        """Start the clock and reset."""
        for name in INPUTS:
            self._put[name](0)
        self.dut.rst.value = 1
        Clock(self.dut.clk, 4, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        await self._empty_caches()
        self._put["mrg_i"](int(self.mergeable))
        self._put["rst"](0)

    async def _empty_caches(self) -> None:
        for queue in self.queues:
            await self._empty_cache(queue)

    async def _empty_cache(self, queue: int) -> None:
        self._put["start_queue_i"](queue)
        self._put["start_i"](1)
        await RisingEdge(self.dut.clk)
        self._put["start_i"](0)

    def post(self, queue: int, size: int, count: int = 1, parts: int = 1) -> None:
        """Offer `count` chains of `parts` descriptors of `size` bytes; the cache gets them as it has room."""
        for _ in range(count):
            pieces = []
            for _ in range(parts):
                addr = self._next_addr + self.rng.randrange(256)
                if addr + size >= MEMORY_BYTES:
                    addr = self.rng.randrange(256)
                self._next_addr = addr + size
                pieces.append((addr, size))
            self._next_id = (self._next_id + 1) & 0xFFFF
            self.queues[queue].waiting_puts.append(Chain(self._next_id, pieces))

    def send(self, frames: Iterable[Frame]) -> None:
        """Put these on the wire, one behind the other."""
        todo = deque(frames)
        self.source = lambda: todo.popleft() if todo else None

    async def step(self, cycles: int = 1) -> None:
        """So many cycles: look at what was, then drive what comes."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)
            self.cycle += 1
            self._watch()
            self._drive()
            self.tell()

    async def until(self, done: Callable[[], bool], limit: int = 60_000) -> None:
        """Step until a condition holds; AssertionError after `limit` cycles."""
        end = self.cycle + limit
        while not done():
            assert self.cycle < end, f"not done after {limit} cycles: {self.state()}"
            await self.step()

    def wire_idle(self) -> bool:
        """Whether nothing is on the wire; asks the source."""
        return not self._beats and self._ending is None

    def inside(self) -> int:
        """Frames that have entered and are neither delivered nor dropped."""
        return self.entered - self.done - sum(self.drops.values())

    def dropped(self, queue: int) -> int:
        """Frames counted as dropped for this queue."""
        return sum(count for (where, _), count in self.drops.items() if where == queue)

    def state(self) -> str:
        """For messages."""
        held = {queue: len(state.inside) for queue, state in self.queues.items()}
        return f"cycle {self.cycle}, held or dropped {held}, drops {self.drops}, at the door {self.door}"

    async def reset_device(self) -> None:
        """Pulse dev_rst: frames inside are lost and counted, rings are empty, all queues inactive."""
        self._put["dev_rst"](1)
        self.active = self.stopped = 0
        self._ready = self._comp_ready = False
        self._put["m_ready"](0)
        self._put["comp_ready"](0)
        await RisingEdge(self.dut.clk)  # the cycle of the reset ends here
        self.cycle += 1
        self._watch()
        before = self.inside()
        lost = self._get["reset_drops_o"]()
        assert lost == before, f"{lost} frames lost in the reset, {before} were inside"
        self.lost_in_reset += lost
        self.entered -= lost
        self._put["dev_rst"](0)
        self._drive()
        for state in self.queues.values():
            gone, state.inside = state.inside, deque()
            state.skipped += len(gone) - len(state.done)
            for todo in (state.chains, state.waiting_puts, state.done, state.got):
                todo.clear()
            state.descs = 0
        self._puts.clear()
        self._put["put_i"](0)
        for queue in self.queues:
            self._put["start_queue_i"](queue)
            self._put["start_i"](1)
            await self.step()
        self._put["start_i"](0)

    def finish(self) -> None:
        """All that entered and was not delivered is counted for its queue; nothing is inside."""
        assert self.inside() == 0, self.state()
        lost = sum(state.skipped + len(state.inside) for state in self.queues.values()) + self.filtered
        assert lost == sum(self.drops.values()) + self.lost_in_reset, self.state()
        if self.lost_in_reset:
            return  # what a reset takes is not counted by queue
        for queue, state in self.queues.items():
            lost = state.skipped + len(state.inside) + (self.filtered if queue == HOST_QUEUE else 0)
            assert lost == self.dropped(queue), f"queue {queue} lost {lost}: {self.state()}"

    # ---- what the device did in the cycle that ended

    def _watch(self) -> None:
        watch = self._get["watch_o"]()
        if watch & IN:
            self._enter(bool(watch & IN_DROP))
        if not watch & (M_VALID | COMP | DROP | DONE):
            return
        if watch & DROP:
            self.drops[self._get["drop_queue_o"](), Stat(self._get["drop_stat_o"]())] += 1
        if watch & M_VALID and self._ready:
            self._write()
        if watch & DONE:
            self.done += 1
            self.queues[self._get["done_queue_o"]()].done.append(self.cycle)
        if watch & COMP and self._comp_ready:
            self._complete()

    def _enter(self, refused: bool) -> None:
        frame = self._ending
        assert frame is not None, "a frame ended that was not on the wire"
        frame.sent = self.cycle
        if refused:
            self.door[Stat(self._get["in_drop_stat_o"]())] += 1
            return
        assert not frame.bad, "a bad frame was taken"
        self.entered += 1
        if frame.filtered:
            self.filtered += 1
        else:
            self.queues[frame.queue].inside.append(frame)

    def _write(self) -> None:
        strobes = self._get["m_strb"]()
        if self._get["m_first"]():
            self._at = self._get["m_addr"]() & -self.beat
        low = (strobes & -strobes).bit_length() - 1
        count = strobes.bit_count()
        assert strobes == ((1 << count) - 1) << low, "holes in the strobes"
        octets = self._get["m_data"]().to_bytes(self.beat, "little")
        self._memory[self._at + low : self._at + low + count] = octets[low : low + count]
        self._at += self.beat

    def _complete(self) -> None:
        raw = self._get["comp_o"]()
        length, descs, ident, queue = raw & 0xFFFFFFFF, raw >> 32 & 0xFFFF, raw >> 48 & 0xFFFF, raw >> 64
        state = self.queues[queue]
        chain = state.chains.popleft()
        state.descs -= len(chain.parts)
        assert (ident, descs) == (chain.ident, len(chain.parts)), f"queue {queue}: not the oldest chain"
        state.got.append((chain, length))
        buffers = int.from_bytes(self._read(state.got[0][0], HEADER_BYTES)[10:12], "little")
        if len(state.got) < buffers:
            assert length == sum(size for _, size in chain.parts), "not the last buffer, and not full"
            return
        octets = b"".join(self._read(*part) for part in state.got)[HEADER_BYTES:]
        state.got.clear()
        while state.inside and state.inside[0].octets != octets:
            state.inside.popleft()
            state.skipped += 1
        assert state.inside, f"queue {queue}: a frame came that was not sent, or was changed or overtaken"
        frame = state.inside.popleft()
        frame.done = state.done.popleft()
        state.delivered.append(frame)

    def _read(self, chain: Chain, length: int) -> bytes:
        octets = b"".join(self._memory[addr : addr + size] for addr, size in chain.parts)
        return bytes(octets[:length])

    # ---- what it meets in the next cycle

    def _drive(self) -> None:
        put = self._put
        self._ready, self._comp_ready = self._stalls[1].go(), self._stalls[2].go()
        put["m_ready"](int(self._ready))
        put["comp_ready"](int(self._comp_ready))
        put["active_i"](self.active)
        put["stopped_i"](self.stopped)
        put["awake_i"](self.awake)
        put["halt_i"](int(self.halt))
        self._drive_put()
        if not self._beats:
            self._next_frame()
        self._ending = None
        if not self._beats or not self._stalls[0].go():
            put["s_axis_rx_tvalid"](0)
            return
        data, keep, last, user = self._beats.popleft()
        put["s_axis_rx_tdata"](data)
        put["s_axis_rx_tkeep"](keep)
        put["s_axis_rx_tlast"](last)
        put["s_axis_rx_tuser"](user)
        put["s_axis_rx_tvalid"](1)
        if last:
            self._ending = self._sending

    def _next_frame(self) -> None:
        frame = self.source()
        if frame is None:
            return
        self._sending = frame
        for start in range(0, len(frame.octets), self.beat):
            piece = frame.octets[start : start + self.beat]
            last = start + self.beat >= len(frame.octets)
            keep = (1 << len(piece)) - 1
            self._beats.append(
                (int.from_bytes(piece, "little"), keep, int(last), int(last and frame.bad)),
            )

    def _drive_put(self) -> None:
        if not self._puts:
            for queue, state in self.queues.items():
                todo = state.waiting_puts
                if todo and self.active >> queue & 1 and state.descs + len(todo[0].parts) <= self.cache:
                    self._give(queue, todo.popleft())
        if not self._puts:
            self._put["put_i"](0)
            return
        queue, desc = self._puts.popleft()
        self._put["put_queue_i"](queue)
        self._put["put_desc_i"](desc)
        self._put["put_i"](1)

    def _give(self, queue: int, chain: Chain) -> None:
        state = self.queues[queue]
        state.chains.append(chain)
        state.descs += len(chain.parts)
        for number, (addr, size) in enumerate(chain.parts):
            flags = NEXT if number + 1 < len(chain.parts) else 0
            self._puts.append((queue, flags << 112 | chain.ident << 96 | size << 64 | addr))
