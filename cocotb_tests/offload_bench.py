# SPDX-License-Identifier: Apache-2.0
"""Drives tupelo_tx_offload as the gather, the check and the wire do, and compares with segment_model."""

import random
from collections import deque
from collections.abc import Iterable
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.base import Stall
from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.model.segment_model import Fate, Request, cut_short, outcome

INPUTS = (
    *("rst", "dev_rst", "g_valid", "g_data", "g_bytes", "g_first", "g_last", "g_drop", "g_drop_stat"),
    *("v_valid", "v_verdict", "m_axis_tx_tready"),
)
OUTPUTS = (
    *("free_beats_o", "frames_o", "v_ready", "out_valid", "out_vq", "out_bytes", "fate_valid", "fate"),
    *("m_axis_tx_tdata", "m_axis_tx_tkeep", "m_axis_tx_tlast", "m_axis_tx_tvalid"),
)
WINDOW = 128  # bytes after which a verdict may come


class OffloadBench:
    """One clock at a time; `wire` and `fates` grow, `expected` is what the wire must carry."""

    def __init__(
        self,
        dut: Any,
        rng: random.Random,
        requests: Iterable[Request],
        source: float = 0.0,
        check: float = 0.0,
        sink: float = 0.0,
    ) -> None:
        self.dut = dut
        self.rng = rng
        self.beat = len(dut.g_data) // 8
        self.to_send = deque(requests)
        self.cycle = 0
        self.wire: list[bytes] = []
        self.expected: list[bytes] = []
        self.fates: list[Fate] = []
        self.verdict_cycles: list[int] = []  # when each verdict was first shown
        self.end_cycles: list[int] = []  # when each frame's last beat was driven
        self.first_cycles: list[int] = []  # of each frame's first beat on the wire
        self.last_cycle = 0  # of the last beat on the wire
        self.forgotten = 0
        self._get = {name: reader(getattr(dut, name)) for name in OUTPUTS}
        self._put = {name: writer(getattr(dut, name)) for name in INPUTS}
        self._empty_ends = source > 0
        self._go = Stall(rng, source, 12), Stall(rng, check, 30), Stall(rng, sink, 40)
        self._inside: deque[Request] = deque()  # begun, no fate yet
        self._beats: deque[tuple[int, int, bool, bool]] = deque()  # data, bytes, first, last
        self._sent = 0  # bytes of the frame being driven
        self._known: deque[int] = deque()  # verdicts that may be shown
        self._shown = False
        self._left: list[int] = []  # sizes of the frames of the present chain that were handed on
        self._got = b""
        self._ready = False

    async def start(self) -> None:
        """Start the clock and reset."""
        for name in INPUTS:
            self._put[name](0)
        self.dut.rst.value = 1
        Clock(self.dut.clk, 4, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        self._put["rst"](0)

    async def step(self, reset: bool = False) -> None:
        """One cycle; reset: with dev_rst in the next."""
        await RisingEdge(self.dut.clk)
        self.cycle += 1
        self._watch_wire()
        self._watch_fate()
        self._drive_verdict()
        self._drive_beat()
        self._ready = self._go[2].go()
        self._put["m_axis_tx_tready"](int(self._ready))
        self._put["dev_rst"](int(reset))

    async def drain(self) -> None:
        """Run until every chain has its fate and the wire has carried all."""
        idle = 0
        while self.to_send or self._inside or len(self.wire) < len(self.expected) or idle < 20:
            await self.step()
            busy = self.to_send or self._inside or len(self.wire) < len(self.expected)
            idle = 0 if busy else idle + 1
        self.check()

    def check(self) -> None:
        """The wire has carried what is expected, and nothing else."""
        assert len(self.wire) == len(self.expected)
        assert not self._got

    async def reset_device(self) -> None:
        """Pulse dev_rst: what has no fate by then is forgotten, frames that were handed on still leave."""
        await self.step(reset=True)
        self._put["v_valid"](0)
        self._put["g_valid"](0)
        await RisingEdge(self.dut.clk)  # the cycle of the reset ends here
        self.cycle += 1
        self._watch_wire()
        self._watch_fate()
        self._put["dev_rst"](0)
        self._ready = False
        self._put["m_axis_tx_tready"](0)
        if self._left:
            frames, _ = outcome(self._inside[0])
            self._expect(frames[: len(self._left)])
            self._left = []
        self.forgotten += len(self._inside)
        self._inside.clear()
        self._beats.clear()
        self._known.clear()
        self._sent, self._shown = 0, False

    def _watch_wire(self) -> None:
        get = self._get
        if not (self._ready and get["m_axis_tx_tvalid"]()):
            return
        keep = get["m_axis_tx_tkeep"]()
        size = keep.bit_length()
        assert keep == (1 << size) - 1
        data = get["m_axis_tx_tdata"]().to_bytes(self.beat, "little")
        assert not any(data[size:]), "bytes of another frame behind the end"
        if not self._got:
            self.first_cycles.append(self.cycle)
        self._got += data[:size]
        self.last_cycle = self.cycle
        if get["m_axis_tx_tlast"]():
            self.wire.append(self._got)
            self._got = b""
            number = len(self.wire) - 1
            if number < len(self.expected):
                compare(number, self.wire[number], self.expected[number])

    def _expect(self, frames: list[bytes]) -> None:
        for frame in frames:
            number = len(self.expected)
            self.expected.append(frame)
            if number < len(self.wire):
                compare(number, self.wire[number], frame)

    def _watch_fate(self) -> None:
        get = self._get
        if get["out_valid"]():
            assert get["out_vq"]() == self._inside[0].vq
            self._left.append(get["out_bytes"]())
        if not get["fate_valid"]():
            return
        request = self._inside.popleft()
        fate = Fate.decode(get["fate"]())
        frames, expected = outcome(request)
        if request.error is not None:  # how many left in time is not known
            assert fate.frames <= len(frames)
            frames = frames[: fate.frames]
            expected = cut_short(request, frames, fate.frames)
        if not expected.sent:
            expected = cut_short(request, frames, len(frames))
        assert fate == expected, f"{fate} instead of {expected}"
        assert self._left == [len(frame) for frame in frames]
        self._left = []
        self.fates.append(fate)
        self._expect(frames)

    def _drive_verdict(self) -> None:
        if self._shown and self._get["v_ready"]():
            self._known.popleft()
            self._shown = False
            self._put["v_valid"](0)
        if not self._shown and self._known and self._go[1].go():
            self._put["v_verdict"](self._known[0])
            self._put["v_valid"](1)
            self.verdict_cycles.append(self.cycle)
            self._shown = True

    def _drive_beat(self) -> None:
        get, put = self._get, self._put
        put["g_valid"](0)
        # One beat, and the frame that it may begin, is on its way.
        if get["free_beats_o"]() < 2 or get["frames_o"]() > 62 or not self._go[0].go():
            return
        if not self._beats:
            if not self.to_send:
                return
            self._begin(self.to_send.popleft())
        request = self._inside[-1]
        data, size, first, last = self._beats.popleft()
        put["g_data"](data)
        put["g_bytes"](size)
        put["g_first"](int(first))
        put["g_last"](int(last))
        put["g_drop"](int(last and request.error is not None))
        put["g_drop_stat"]((request.error or 0) if last else self.rng.getrandbits(6))
        put["g_valid"](1)
        before, self._sent = self._sent, self._sent + size
        if last:
            self.end_cycles.append(self.cycle)
        if before < WINDOW and (last or self._sent >= WINDOW):
            self._known.append(request.verdict)

    def _begin(self, request: Request) -> None:
        self._inside.append(request)
        self._sent = 0
        starts = list(range(0, len(request.frame), self.beat)) or [0]
        if self._empty_ends and not len(request.frame) % self.beat and self.rng.random() < 0.5:
            starts = list(range(0, len(request.frame) + 1, self.beat))  # the end in a beat without bytes
        for start in starts:
            piece = request.frame[start : start + self.beat]
            self._beats.append((int.from_bytes(piece, "little"), len(piece), start == 0, start == starts[-1]))


def compare(number: int, got: bytes, expected: bytes) -> None:
    """Raise AssertionError with the first byte that differs."""
    if got != expected:
        at = next((n for n, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), -1)
        raise AssertionError(
            f"frame {number}: {len(got)} bytes instead of {len(expected)}, first difference at byte {at}:"
            f" {got[at : at + 8].hex()} instead of {expected[at : at + 8].hex()}"
        )
