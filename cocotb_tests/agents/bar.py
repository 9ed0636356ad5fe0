# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite BAR: cocotbext-axi's master, and a monitor of the pins that publishes each access."""

import itertools
import logging
import random
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from cocotb_tests.agents.base import HoldRule, ProtocolError, Stall, Violations
from cocotb_tests.agents.handles import make_bus, reader

PINS = (
    *(
        "awaddr",
        "awprot",
        "awvalid",
        "awready",
        "wdata",
        "wstrb",
        "wvalid",
        "wready",
        "bresp",
        "bvalid",
        "bready",
    ),
    *("araddr", "arprot", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready"),
)

# cocotbext-axi still uses what cocotb 2.1 calls deprecated; its warnings would drown the log.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"cocotbext\.axi")


class BarError(ProtocolError):
    """The device answered a BAR access with an error."""


class BarMaster:
    """Reads and writes of 1, 2 or 4 bytes, in the order of the calls."""

    def __init__(self, dut: Any, name: str = "s_axil") -> None:
        logging.getLogger(f"cocotb.{dut._name}.{name}").setLevel(logging.WARNING)  # it tells of every access
        self._master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, name), dut.clk, dut.rst)

    def stall(self, rng: random.Random, chance: float, longest_cycles: int = 6) -> None:
        """Pause each channel at random from now on; chance 0 ends that."""
        write, read = self._master.write_if, self._master.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            if chance:
                channel.set_pause_generator(_pauses(Stall(rng, chance, longest_cycles)))
            else:
                channel.clear_pause_generator()
                channel.pause = False

    async def read(self, offset_bytes: int, width_bytes: int = 4) -> int:
        """Return the little-endian value; BarError on an error response."""
        answer = await self._master.read(offset_bytes, width_bytes)
        if int(answer.resp):
            raise BarError(f"read of BAR {offset_bytes:#x}: response {answer.resp!r}")
        return int.from_bytes(answer.data, "little")

    async def write(self, offset_bytes: int, value: int, width_bytes: int = 4) -> None:
        """Write and wait for the response; BarError when it is an error."""
        answer = await self._master.write(offset_bytes, value.to_bytes(width_bytes, "little"))
        if int(answer.resp):
            raise BarError(f"write of BAR {offset_bytes:#x}: response {answer.resp!r}")


def _pauses(stall: Stall) -> Iterator[bool]:
    return (not stall.go() for _ in itertools.count())


@dataclass(frozen=True, slots=True)
class BarAccess:
    """One completed access as the pins showed it."""

    write: bool
    offset_bytes: int  # of the aligned dword
    data: int  # the dword
    strobes: int  # 0..15; 15 for reads
    resp: int


class BarMonitor:
    """Watch the pins of an AXI4-Lite slave: hold rule of its answers, and who was asked what."""

    def __init__(self, dut: Any, violations: Violations, name: str = "s_axil") -> None:
        bus = make_bus(dut, name, PINS)
        get = {pin: reader(getattr(bus, pin)) for pin in PINS}
        self.on_access: list[Callable[[BarAccess], None]] = []
        self._get = get
        self._violations = violations
        self._valids = (get["awvalid"], get["wvalid"], get["arvalid"], get["rvalid"], get["bvalid"])
        self._r = HoldRule(
            f"{name} R", get["rvalid"], get["rready"], {n: get[n] for n in ("rdata", "rresp")}, violations
        )
        self._b = HoldRule(f"{name} B", get["bvalid"], get["bready"], {"bresp": get["bresp"]}, violations)
        self._addresses: deque[int] = deque()
        self._words: deque[tuple[int, int]] = deque()
        self._unanswered: deque[tuple[int, int, int]] = deque()
        self._reads: deque[int] = deque()

    def step(self, cycle: int) -> None:
        """One clock edge."""
        get = self._get
        aw, w, ar, _, _ = valids = [valid() for valid in self._valids]
        if not any(valids) and not (self._r.stalled or self._b.stalled):
            return
        if aw and get["awready"]():
            self._addresses.append(get["awaddr"]() & ~3)
        if w and get["wready"]():
            self._words.append((get["wdata"](), get["wstrb"]()))
        # A write reaches the device when both halves have; it is published then, before its effects can show.
        while self._addresses and self._words:
            self._unanswered.append((self._addresses.popleft(), *self._words.popleft()))
            self._publish(BarAccess(True, *self._unanswered[-1], 0))
        if ar and get["arready"]():
            self._reads.append(get["araddr"]() & ~3)
        if self._b.fires():
            if not self._unanswered:
                self._violations.add("s_axil b", "response with no write")
            else:
                self._unanswered.popleft()
        if self._r.fires():
            if not self._reads:
                self._violations.add("s_axil r", "data with no read")
            else:
                self._publish(BarAccess(False, self._reads.popleft(), get["rdata"](), 15, get["rresp"]()))

    def _publish(self, access: BarAccess) -> None:
        for listener in self.on_access:
            listener(access)
