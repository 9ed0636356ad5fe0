# SPDX-License-Identifier: Apache-2.0
"""What all agents share: the clock loop, the list of violations, random stalls, the hold rule."""

import random
from dataclasses import dataclass, field
from typing import Any, Protocol

from cocotb.triggers import RisingEdge

from cocotb_tests.agents.handles import Reader


class ProtocolError(AssertionError):
    """The device broke a rule of a bus; the text lists each breach with its cycle."""


@dataclass(slots=True)
class Violations:
    """Breaches of bus rules, as text with the cycle at which each was seen."""

    limit: int = 20
    seen: list[str] = field(default_factory=list)
    cycle: int = 0

    def add(self, rule: str, detail: str = "") -> None:
        """Record one breach; later ones than `limit` are counted only by the list's length staying there."""
        if len(self.seen) < self.limit:
            self.seen.append(
                f"cycle {self.cycle}: {rule}: {detail}" if detail else f"cycle {self.cycle}: {rule}"
            )

    def check(self) -> None:
        """Raise ProtocolError if any breach was recorded."""
        if self.seen:
            raise ProtocolError("\n".join(self.seen))


class Agent(Protocol):
    """Something that acts at each clock edge."""

    def step(self, cycle: int) -> None:
        """Sample the pins as they were before the edge, then write pins for after it."""


class ClockLoop:
    """Await each rising edge once and step all agents in order: monitors before drivers."""

    def __init__(self, clk: Any, violations: Violations) -> None:
        self._clk = clk
        self._violations = violations
        self._agents: list[Agent] = []
        self.cycle = 0

    def add(self, *agents: Agent) -> None:
        """Step these agents from the next edge on."""
        self._agents.extend(agents)

    async def run(self) -> None:
        """Run for ever; an exception of an agent ends the test."""
        edge = RisingEdge(self._clk)
        agents = self._agents
        while True:
            await edge
            self.cycle = cycle = self.cycle + 1
            self._violations.cycle = cycle
            for agent in agents:
                agent.step(cycle)


@dataclass(slots=True)
class Stall:
    """Seeded random pauses: at each `go()` a pause of 1..longest cycles starts with this probability."""

    rng: random.Random
    chance: float = 0.0  # 0.0..1.0
    longest: int = 8  # cycles
    _left: int = 0

    def go(self) -> bool:
        """Return whether to act in this cycle."""
        if self._left:
            self._left -= 1
            return False
        if self.chance and self.rng.random() < self.chance:
            self._left = self.rng.randrange(self.longest)
            return False
        return True


class HoldRule:
    """Once valid, valid and payload stay until ready (AMBA AXI A3.2.1, AXI4-Stream 2.2.1)."""

    __slots__ = ("_name", "_payload", "_ready", "_stalled", "_valid", "_violations")

    def __init__(
        self, name: str, valid: Reader, ready: Reader, payload: dict[str, Reader], violations: Violations
    ) -> None:
        self._name = name
        self._valid = valid
        self._ready = ready
        self._payload = payload
        self._violations = violations
        self._stalled: dict[str, int] | None = None

    def fires(self) -> bool:
        """Check the rule at this edge; return whether a transfer takes place."""
        valid = self._valid()
        stalled = self._stalled
        if stalled is not None:
            self._compare(valid, stalled)
        if not valid:
            self._stalled = None
            return False
        if self._ready():
            self._stalled = None
            return True
        if self._stalled is None:
            self._stalled = {name: read() for name, read in self._payload.items()}
        return False

    @property
    def stalled(self) -> bool:
        """Whether a transfer waits for ready, so that the rule binds at the next edge."""
        return self._stalled is not None

    def _compare(self, valid: int, stalled: dict[str, int]) -> None:
        if not valid:
            self._violations.add(f"{self._name} hold", "valid fell before ready")
            return
        for name, read in self._payload.items():
            if (now := read()) != stalled[name]:
                self._violations.add(
                    f"{self._name} hold", f"{name} {stalled[name]:#x} -> {now:#x} in a stall"
                )
                self._stalled = None
                return

    def reset(self) -> None:
        """Forget a stalled transfer (the pins' reset is asserted)."""
        self._stalled = None
