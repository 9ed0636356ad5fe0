# SPDX-License-Identifier: Apache-2.0
"""Rules of the device's AXI4 master port, checked on its pins (AMBA AXI4 specification IHI 0022)."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from cocotb_bus.bus import Bus

from cocotb_tests.agents.base import HoldRule, Violations
from cocotb_tests.agents.handles import make_bus, reader

BOUNDARY_BYTES = 256  # the device's own limit; 4 KiB, AXI's, is a multiple of it
INCR = 1

AR_PAYLOAD = ("arid", "araddr", "arlen", "arsize", "arburst", "arlock", "arcache", "arprot", "aruser")
AW_PAYLOAD = ("awid", "awaddr", "awlen", "awsize", "awburst", "awlock", "awcache", "awprot", "awuser")
W_PAYLOAD = ("wdata", "wstrb", "wlast")
PINS = (
    *(*AR_PAYLOAD, "arvalid", "arready", "rid", "rdata", "rresp", "rlast", "rvalid", "rready"),
    *(*AW_PAYLOAD, "awvalid", "awready", *W_PAYLOAD, "wvalid", "wready"),
    *("bid", "bresp", "bvalid", "bready"),
)


def axi_bus(dut: Any, name: str = "m_axi") -> Bus:
    """Return the Bus of an AXI4 master's pins."""
    return make_bus(dut, name, PINS)


@dataclass(slots=True)
class AxiCounts:
    """How much went over the port, in transfers."""

    reads: int = 0
    read_beats: int = 0
    writes: int = 0
    write_beats: int = 0
    max_reads_in_flight: int = 0
    max_writes_in_flight: int = 0


class AxiMonitor:
    """Watch one AXI4 master: hold rule, burst shape, WLAST, responses only for what was asked."""

    def __init__(self, bus: Bus, data_w: int, queues: int, violations: Violations) -> None:
        get = {name: reader(getattr(bus, name)) for name in PINS}
        self._get = get
        self._violations = violations
        self._beat_bytes = data_w // 8
        self._size = self._beat_bytes.bit_length() - 1
        self.queues = queues
        self.counts = AxiCounts()

        def rule(channel: str, payload: tuple[str, ...]) -> HoldRule:
            return HoldRule(
                f"m_axi {channel.upper()}",
                get[f"{channel}valid"],
                get[f"{channel}ready"],
                {name: get[name] for name in payload},
                violations,
            )

        self._ar, self._aw, self._w = rule("ar", AR_PAYLOAD), rule("aw", AW_PAYLOAD), rule("w", W_PAYLOAD)
        self._rst_rules = (self._ar, self._aw, self._w)
        self._reads: dict[int, deque[int]] = {}  # ID -> beats left of each burst
        self._writes: dict[int, int] = {}  # ID -> bursts without response
        self._aw_beats: deque[tuple[int, int]] = deque()  # (beats, ID) whose data is still to come
        self._w_bursts: deque[int] = deque()  # beats of bursts whose address is still to come
        self._w_count = 0
        self._inflight = [0, 0]
        self._r_valid, self._r_ready = get["rvalid"], get["rready"]
        self._b_valid, self._b_ready = get["bvalid"], get["bready"]

    @property
    def idle(self) -> bool:
        """Whether no read and no write is under way."""
        return self._inflight == [0, 0] and not (self._aw_beats or self._w_bursts or self._w_count)

    def step(self, cycle: int) -> None:
        """Check one clock edge."""
        if self._ar.fires():
            self._on_ar()
        if self._aw.fires():
            self._on_aw()
        if self._w.fires():
            self._on_w()
        if self._r_valid() and self._r_ready():
            self._on_r()
        if self._b_valid() and self._b_ready():
            self._on_b()

    def _shape(self, channel: str) -> int:
        """Check address, size and length of one burst; return its beats."""
        get, bad = self._get, self._violations.add
        addr, beats = get[channel + "addr"](), get[channel + "len"]() + 1
        span = beats * self._beat_bytes
        if get[channel + "size"]() != self._size or get[channel + "burst"]() != INCR:
            bad(f"m_axi {channel} shape", f"size {get[channel + 'size']()} burst {get[channel + 'burst']()}")
        if addr % self._beat_bytes:
            bad(f"m_axi {channel} alignment", f"{addr:#x}")
        if addr // BOUNDARY_BYTES != (addr + span - 1) // BOUNDARY_BYTES:
            bad(f"m_axi {channel} crosses a 256-byte boundary", f"{addr:#x} + {span}")
        if get[channel + "user"]() >= self.queues:
            bad(f"m_axi {channel} user", f"queue {get[channel + 'user']()} does not exist")
        if get[channel + "lock"]():
            bad(f"m_axi {channel} lock", "exclusive access")
        return beats

    def _on_ar(self) -> None:
        beats = self._shape("ar")
        self._reads.setdefault(self._get["arid"](), deque()).append(beats)
        self.counts.reads += 1
        self._inflight[0] += 1
        self.counts.max_reads_in_flight = max(self.counts.max_reads_in_flight, self._inflight[0])

    def _on_aw(self) -> None:
        beats, write_id = self._shape("aw"), self._get["awid"]()
        if write_id & 0x7F != self._get["awuser"]():  # the top bit marks writes of the event structure
            self._violations.add("m_axi aw id", f"ID {write_id} for queue {self._get['awuser']()}")
        self._aw_beats.append((beats, write_id))
        self._writes[write_id] = self._writes.get(write_id, 0) + 1
        self.counts.writes += 1
        self._inflight[1] += 1
        self.counts.max_writes_in_flight = max(self.counts.max_writes_in_flight, self._inflight[1])
        self._pair_writes()

    def _on_w(self) -> None:
        self._w_count += 1
        self.counts.write_beats += 1
        if self._get["wlast"]():
            self._w_bursts.append(self._w_count)
            self._w_count = 0
            self._pair_writes()
        elif self._aw_beats and not self._w_bursts and self._w_count >= self._aw_beats[0][0]:
            self._violations.add("m_axi wlast", f"missing at beat {self._w_count} of {self._aw_beats[0][0]}")

    def _pair_writes(self) -> None:
        while self._aw_beats and self._w_bursts:
            (beats, write_id), sent = self._aw_beats.popleft(), self._w_bursts.popleft()
            if beats != sent:
                self._violations.add(
                    "m_axi wlast", f"{sent} beats sent for a burst of {beats}, ID {write_id}"
                )

    def _on_r(self) -> None:
        read_id, last = self._get["rid"](), self._get["rlast"]()
        self.counts.read_beats += 1
        bursts = self._reads.get(read_id)
        if not bursts:  # the bench's own fault: it must never pass for the device's
            self._violations.add("m_axi r", f"beat for ID {read_id}, which has no read")
            return
        bursts[0] -= 1
        if (bursts[0] == 0) != bool(last):
            self._violations.add("m_axi r", f"rlast {last} with {bursts[0]} beats left, ID {read_id}")
        if last:
            bursts.popleft()
            self._inflight[0] -= 1

    def _on_b(self) -> None:
        write_id = self._get["bid"]()
        if not self._writes.get(write_id):
            self._violations.add("m_axi b", f"response for ID {write_id}, which has no write")
            return
        self._writes[write_id] -= 1
        self._inflight[1] -= 1
