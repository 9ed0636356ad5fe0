# SPDX-License-Identifier: Apache-2.0
"""MSI-X messages as a PCIe hard block takes them: address and data with valid and ready."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cocotb_tests.agents.base import HoldRule, Stall, Violations
from cocotb_tests.agents.handles import make_bus, reader, writer

PINS = ("addr", "data", "valid", "ready")


@dataclass(slots=True)
class MsixKnobs:
    """Chance 0.0..1.0 a cycle of a pause, and its longest length."""

    stall: float = 0.0
    longest_stall_cycles: int = 20


class MsixSink:
    """Take messages; each goes to the listeners as (address, data)."""

    def __init__(
        self, dut: Any, rng: random.Random, knobs: MsixKnobs, violations: Violations, name: str = "m_msix"
    ) -> None:
        bus = make_bus(dut, name, PINS)
        self.knobs = knobs
        self.on_message: list[Callable[[int, int], None]] = []
        self.messages = 0
        self._stall = Stall(rng)
        self._addr, self._data = reader(bus.addr), reader(bus.data)
        self._hold = HoldRule(
            name,
            reader(bus.valid),
            reader(bus.ready),
            {"addr": self._addr, "data": self._data},
            violations,
        )
        self._put_ready = writer(bus.ready)
        self._ready = 0
        self._put_ready(0)

    def step(self, cycle: int) -> None:
        """One clock edge."""
        if self._hold.fires():
            self.messages += 1
            addr, data = self._addr(), self._data()
            for listener in self.on_message:
                listener(addr, data)
        self._stall.chance, self._stall.longest = self.knobs.stall, self.knobs.longest_stall_cycles
        ready = int(self._stall.go())
        if ready != self._ready:
            self._ready = ready
            self._put_ready(ready)
