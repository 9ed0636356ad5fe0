# SPDX-License-Identifier: Apache-2.0
"""Host memory behind the device's AXI4 port: latency, stalls, disorder and errors, all from one seed.

It promises what docs/architecture.md says of a PCIe root and no more: writes of one ID become visible in
the order in which they were issued, at some moment between their last beat and their response; a read
returns memory as it was at some moment between its address and its data; nothing else is ordered.
"""

import heapq
import random
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cocotb_bus.bus import Bus

from cocotb_tests.agents.axi_monitor import PINS
from cocotb_tests.agents.base import Stall
from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.agents.host_view import FILL, HostView, Memory

OKAY, SLVERR, DECERR = 0, 2, 3
READ, WRITE = "read", "write"

_T = TypeVar("_T")
FaultHook = Callable[[str, int, int, int], bool]  # kind, addr_bus, size_bytes, queue -> answer SLVERR
ReadListener = Callable[[int, int, int, int], None]  # addr_bus, size_bytes, queue, resp
WriteListener = Callable[[int, bytes, int, int, int], None]  # addr_bus, data, strobes, queue, resp


@dataclass(slots=True)
class MemoryKnobs:
    """How the memory behaves; times in cycles, chances 0.0..1.0. May be changed at any moment."""

    latency_cycles: int = 250
    jitter_cycles: int = 0  # uniform, added to the latency
    stall: float = 0.0  # on each of AR, R, AW, W, B
    longest_stall_cycles: int = 12
    interleave: float = 0.0  # chance per beat of going on with another burst's data
    reorder: bool = True  # across IDs
    read_error: float = 0.0
    write_error: float = 0.0
    max_reads: int = 256  # in flight; AR waits at this number
    max_writes: int = 256


@dataclass(frozen=True, slots=True)
class BadAccess:
    """An access that got an error response."""

    kind: str
    addr_bus: int
    size_bytes: int
    queue: int
    resp: int


@dataclass(slots=True)
class _Read:
    axi_id: int
    addr: int
    beats: int
    queue: int
    resps: list[int]  # one a beat
    ready_at: int
    data: list[bytes] | None = None  # taken when asked; None: taken beat by beat, as late as can be
    done: int = 0


@dataclass(slots=True)
class _Write:
    axi_id: int
    addr: int
    beats: int
    queue: int
    data: bytes = b""
    strobes: int = 0
    resp: int = OKAY
    answer_at: int = 0


@dataclass(slots=True)
class _Beats:
    data: list[bytes] = field(default_factory=list)
    strobes: int = 0


class AxiMemory:
    """AXI4 slave over host memory; one beat a cycle each way when nothing stalls."""

    def __init__(self, bus: Bus, data_w: int, memory: Memory, rng: random.Random, knobs: MemoryKnobs) -> None:
        self.knobs = knobs
        self.bad_accesses: list[BadAccess] = []
        self.fault: FaultHook | None = None
        self.on_read: list[ReadListener] = []
        self.on_write: list[WriteListener] = []
        self.view = HostView(memory, data_w // 8)
        self._rng = rng
        self._beat_bytes = data_w // 8
        self._get = {name: reader(getattr(bus, name)) for name in PINS}
        driven = (
            "arready",
            "awready",
            "wready",
            "rvalid",
            "rid",
            "rdata",
            "rresp",
            "rlast",
            "bvalid",
            "bid",
            "bresp",
        )
        self._put = {name: writer(getattr(bus, name)) for name in driven}
        self._out = dict.fromkeys(driven, 0)
        for name in driven:
            self._put[name](0)
        self._stalls = {name: Stall(rng) for name in ("ar", "r", "aw", "w", "b")}
        self._cycle = 0
        self._order = 0  # breaks ties in the heaps
        self._reads_by_id: dict[int, deque[_Read]] = {}
        self._reads_waiting: list[tuple[int, int, _Read]] = []  # heads of their ID, by ready_at
        self._reads_live: list[_Read] = []  # data may go out now
        self._reads = 0
        self._current: _Read | None = None
        self._addresses: deque[_Write] = deque()
        self._bursts: deque[_Beats] = deque()
        self._beats = _Beats()
        self._writes = 0
        self._visible: list[tuple[int, int, _Write]] = []
        self._visible_last: dict[int, int] = {}
        self._answers: list[tuple[int, int, _Write]] = []
        self._answer_last: dict[int, int] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight."""
        return not (self._reads or self._writes or self._addresses or self._bursts or self._beats.data)

    def step(self, cycle: int) -> None:
        """One clock edge: take what was handed over, let memory move on, offer what is due."""
        self._cycle = cycle
        get, out = self._get, self._out
        if out["arready"] and get["arvalid"]():
            self._take_read()
        if out["awready"] and get["awvalid"]():
            self._take_address()
        if out["wready"] and get["wvalid"]():
            self._take_beat()
        if self._visible and self._visible[0][0] <= cycle:
            self._apply_writes()
        self._offer_read()
        self._offer_answer()
        self._offer_ready()

    def flush(self) -> None:
        """Make writes that are under way visible now (the test is at its end)."""
        while self._visible:
            self._apply(heapq.heappop(self._visible)[2])

    def _set(self, name: str, value: int) -> None:
        if self._out[name] != value:
            self._out[name] = value
            self._put[name](value)

    def _go(self, channel: str) -> bool:
        stall = self._stalls[channel]
        stall.chance, stall.longest = self.knobs.stall, self.knobs.longest_stall_cycles
        return stall.go()

    def _latency(self) -> int:
        knobs = self.knobs
        return knobs.latency_cycles + (
            self._rng.randrange(knobs.jitter_cycles + 1) if knobs.jitter_cycles else 0
        )

    def _injected(self, kind: str, addr: int, size: int, queue: int) -> bool:
        rate = self.knobs.read_error if kind == READ else self.knobs.write_error
        if rate and self._rng.random() < rate:
            return True
        return self.fault is not None and self.fault(kind, addr, size, queue)

    def _log(self, kind: str, addr: int, size: int, queue: int, resp: int) -> int:
        if resp != OKAY:
            self.bad_accesses.append(BadAccess(kind, addr, size, queue, resp))
        return resp

    # Reads ----------------------------------------------------------------------------------------------

    def _take_read(self) -> None:
        get = self._get
        addr, beats, queue, axi_id = get["araddr"](), get["arlen"]() + 1, get["aruser"](), get["arid"]()
        size = beats * self._beat_bytes
        if self._injected(READ, addr, size, queue):
            resps = [SLVERR] * beats
        else:
            resps = [OKAY if good else DECERR for good in self.view.reachable(addr, beats)]
        resp = self._log(READ, addr, size, queue, max(resps))
        read = _Read(axi_id, addr, beats, queue, resps, self._cycle + self._latency())
        for listener in self.on_read:
            listener(addr, size, queue, resp)
        if self._rng.random() < 0.5:
            read.data = [self._beat_of(read, number) for number in range(beats)]
        self._reads += 1
        same_id = self._reads_by_id.setdefault(axi_id, deque())
        same_id.append(read)
        if len(same_id) == 1:
            self._push(self._reads_waiting, read.ready_at, read)

    def _beat_of(self, read: _Read, number: int) -> bytes:
        if read.resps[number] != OKAY:
            return bytes([FILL]) * self._beat_bytes
        return self.view.read_beat(read.addr + number * self._beat_bytes)

    def _push(self, heap: list[tuple[int, int, _T]], at: int, item: _T) -> None:
        self._order += 1
        heapq.heappush(heap, (at, self._order, item))

    def _offer_read(self) -> None:
        if self._out["rvalid"]:
            if not self._get["rready"]():
                return
            self._finish_beat()
        waiting = self._reads_waiting
        while waiting and waiting[0][0] <= self._cycle:
            # By the time when each was ready: the next of an ID does not queue behind all that came since.
            insort(self._reads_live, heapq.heappop(waiting)[2], key=lambda read: read.ready_at)
        read = self._choose()
        if read is None or not self._go("r"):
            self._set("rvalid", 0)
            return
        data = self._beat_of(read, read.done) if read.data is None else read.data[read.done]
        self._set("rdata", int.from_bytes(data, "little"))
        self._set("rid", read.axi_id)
        self._set("rresp", read.resps[read.done])
        self._set("rlast", int(read.done + 1 == read.beats))
        self._set("rvalid", 1)
        self._current = read

    def _choose(self) -> _Read | None:
        live, knobs = self._reads_live, self.knobs
        if not live:
            return None
        current = self._current
        if current is not None and not (knobs.interleave and self._rng.random() < knobs.interleave):
            return current
        if knobs.interleave and len(live) > 1:
            return live[self._rng.randrange(len(live))]
        return live[0]

    def _finish_beat(self) -> None:
        read = self._current
        if read is None:
            return
        read.done += 1
        if read.done < read.beats:
            return
        self._current = None
        self._reads_live.remove(read)
        self._reads -= 1
        same_id = self._reads_by_id[read.axi_id]
        same_id.popleft()
        if same_id:
            self._push(self._reads_waiting, same_id[0].ready_at, same_id[0])

    # Writes ---------------------------------------------------------------------------------------------

    def _take_address(self) -> None:
        get = self._get
        self._addresses.append(_Write(get["awid"](), get["awaddr"](), get["awlen"]() + 1, get["awuser"]()))
        self._pair()

    def _take_beat(self) -> None:
        get, beats = self._get, self._beats
        beats.strobes |= get["wstrb"]() << (len(beats.data) * self._beat_bytes)
        beats.data.append(get["wdata"]().to_bytes(self._beat_bytes, "little"))
        if get["wlast"]():
            self._bursts.append(beats)
            self._beats = _Beats()
            self._pair()

    def _pair(self) -> None:
        """Join addresses with data and settle when each write shows and when it is answered."""
        while self._addresses and self._bursts:
            write, beats = self._addresses.popleft(), self._bursts.popleft()
            write.data, write.strobes = b"".join(beats.data), beats.strobes
            write.resp = self._write_response(write)
            latency, axi_id = self._latency(), write.axi_id
            shows = max(
                self._cycle + self._rng.randint(1, max(1, latency)), self._visible_last.get(axi_id, 0)
            )
            write.answer_at = max(self._cycle + latency, shows, self._answer_last.get(axi_id, 0))
            self._visible_last[axi_id], self._answer_last[axi_id] = shows, write.answer_at
            self._push(self._visible, shows, write)
            self._writes += 1

    def _write_response(self, write: _Write) -> int:
        resp = OKAY if self.view.writable(write.addr, write.strobes) else DECERR
        if self._injected(WRITE, write.addr, len(write.data), write.queue):
            resp = SLVERR
        return self._log(WRITE, write.addr, len(write.data), write.queue, resp)

    def _apply_writes(self) -> None:
        visible = self._visible
        while visible and visible[0][0] <= self._cycle:
            write = heapq.heappop(visible)[2]
            self._apply(write)
            self._push(self._answers, write.answer_at, write)

    def _apply(self, write: _Write) -> None:
        for listener in self.on_write:
            listener(write.addr, write.data, write.strobes, write.queue, write.resp)
        if write.resp == OKAY:
            self.view.write(write.addr, write.data, write.strobes)

    def _offer_answer(self) -> None:
        if self._out["bvalid"]:
            if not self._get["bready"]():
                return
            self._writes -= 1
        answers = self._answers
        if not answers or answers[0][0] > self._cycle or not self._go("b"):
            self._set("bvalid", 0)
            return
        write = heapq.heappop(answers)[2]
        self._set("bid", write.axi_id)
        self._set("bresp", write.resp)
        self._set("bvalid", 1)

    def _offer_ready(self) -> None:
        knobs = self.knobs
        if knobs.stall:
            self._set("arready", int(self._go("ar") and self._reads < knobs.max_reads))
            self._set("awready", int(self._go("aw") and self._writes < knobs.max_writes))
            self._set("wready", int(self._go("w") and len(self._bursts) < knobs.max_writes))
            return
        self._set("arready", int(self._reads < knobs.max_reads))
        self._set("awready", int(self._writes + len(self._addresses) < knobs.max_writes))
        self._set("wready", int(len(self._bursts) < knobs.max_writes))
