# SPDX-License-Identifier: Apache-2.0
"""The wire side: AXI4-Stream source (into the NIC) and sink (out of it), a beat as one integer."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import Event

from cocotb_tests.agents.base import HoldRule, Stall, Violations
from cocotb_tests.agents.handles import make_bus, reader, writer

SOURCE_PINS = ("tdata", "tkeep", "tlast", "tuser", "tvalid", "tready")
SINK_PINS = ("tdata", "tkeep", "tlast", "tvalid", "tready")

FrameListener = Callable[[bytes], None]


@dataclass(slots=True)
class WireKnobs:
    """Chances 0.0..1.0 a beat; times in cycles. May be changed at any moment."""

    gap: float = 0.0  # source: pause before a beat, inside frames too
    longest_gap_cycles: int = 8
    stall: float = 0.0  # sink: back-pressure
    longest_stall_cycles: int = 8


class WireSource:
    """Send frames into the NIC; a frame sent as bad ends with tuser = 1."""

    def __init__(
        self, dut: Any, data_w: int, rng: random.Random, knobs: WireKnobs, name: str = "s_axis_rx"
    ) -> None:
        bus = make_bus(dut, name, SOURCE_PINS)
        self.knobs = knobs
        self.on_frame: list[Callable[[bytes, bool], None]] = []
        self.frames_sent = 0
        self.closed = False  # True: frames sent from now on go nowhere
        self._beat_bytes = data_w // 8
        self._stall = Stall(rng)
        self._tready = reader(bus.tready)
        names = ("tdata", "tkeep", "tlast", "tuser", "tvalid")
        self._tdata, self._tkeep, self._tlast, self._tuser, self._tvalid = (
            writer(getattr(bus, n)) for n in names
        )
        for put in (self._tdata, self._tkeep, self._tlast, self._tuser, self._tvalid):
            put(0)
        self._frames: deque[tuple[bytes, bool]] = deque()
        self._frame: tuple[bytes, bool] | None = None
        self._position = 0
        self._valid = False
        self._last = False

    def send(self, frame: bytes, bad: bool = False) -> None:
        """Queue one frame of at least 1 byte."""
        if not self.closed:
            self._frames.append((frame, bad))

    @property
    def idle(self) -> bool:
        """Whether all queued frames have gone."""
        return self._frame is None and not self._frames

    def step(self, cycle: int) -> None:
        """One clock edge."""
        if self._valid:
            if not self._tready():
                return
            if self._last:
                frame = self._frame
                if frame is not None:
                    self.frames_sent += 1
                    for listener in self.on_frame:
                        listener(*frame)
                self._frame = None
        if self._frame is None:
            if not self._frames:
                if self._valid:
                    self._valid = False
                    self._tvalid(0)
                return
            self._frame, self._position = self._frames.popleft(), 0
        self._stall.chance, self._stall.longest = self.knobs.gap, self.knobs.longest_gap_cycles
        if self._stall.go():
            self._drive(self._frame)
        elif self._valid:
            self._valid = False
            self._tvalid(0)

    def _drive(self, frame: tuple[bytes, bool]) -> None:
        octets, bad = frame
        chunk = octets[self._position : self._position + self._beat_bytes]
        self._position += len(chunk)
        self._last = self._position >= len(octets)
        self._tdata(int.from_bytes(chunk, "little"))
        self._tkeep((1 << len(chunk)) - 1)
        self._tlast(int(self._last))
        self._tuser(int(self._last and bad))
        if not self._valid:
            self._valid = True
            self._tvalid(1)


class WireSink:
    """Take frames out of the NIC and check the stream's rules."""

    def __init__(
        self,
        dut: Any,
        data_w: int,
        rng: random.Random,
        knobs: WireKnobs,
        violations: Violations,
        name: str = "m_axis_tx",
    ) -> None:
        bus = make_bus(dut, name, SINK_PINS)
        self.knobs = knobs
        self.on_frame: list[FrameListener] = []
        self.frames: deque[bytes] = deque()
        self.arrived = Event()
        self.frames_seen = 0
        self._name = name
        self._violations = violations
        self._beat_bytes = data_w // 8
        self._full_keep = (1 << self._beat_bytes) - 1
        self._stall = Stall(rng)
        self._tdata, self._tkeep, self._tlast = reader(bus.tdata), reader(bus.tkeep), reader(bus.tlast)
        self._valid = reader(bus.tvalid)
        self._put_ready = writer(bus.tready)
        self._ready = 0
        self._put_ready(0)
        payload = {"tdata": self._tdata, "tkeep": self._tkeep, "tlast": self._tlast}
        self._hold = HoldRule(name, self._valid, reader(bus.tready), payload, violations)
        self._beats: list[bytes] = []

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._beats)

    def step(self, cycle: int) -> None:
        """One clock edge."""
        if self._hold.fires():
            self._take()
        elif self._beats and not self._valid():
            self._violations.add(self._name, "underrun: valid fell inside a frame")
        self._stall.chance, self._stall.longest = self.knobs.stall, self.knobs.longest_stall_cycles
        ready = int(self._stall.go())
        if ready != self._ready:
            self._ready = ready
            self._put_ready(ready)

    def _take(self) -> None:
        keep, last = self._tkeep(), self._tlast()
        octets = keep.bit_length()
        if keep != (1 << octets) - 1 or not octets or (not last and keep != self._full_keep):
            self._violations.add(self._name, f"tkeep {keep:#x} with tlast {last}")
        self._beats.append(self._tdata().to_bytes(self._beat_bytes, "little")[:octets])
        if last:
            frame = b"".join(self._beats)
            self._beats.clear()
            self.frames_seen += 1
            self.frames.append(frame)
            for listener in self.on_frame:
                listener(frame)
            self.arrived.set()
