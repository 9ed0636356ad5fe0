# SPDX-License-Identifier: Apache-2.0
"""The rings as the pins show them: the ring scoreboard, which also tells what was offered and received.

It keeps all its own rules (each chain used once and in order, no stray access); what a frame should be is the
NIC scoreboard's business.
"""

from collections.abc import Callable
from typing import Any

from cocotb_tests.packed_walk import Chain
from cocotb_tests.queue_score import QueueScore
from cocotb_tests.received import header_problem
from cocotb_tests.scoreboard import Scoreboard


class RingMonitor(Scoreboard):
    """Publishes (pair, octets with header): chains offered for sending, and frames received."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_offered: list[Callable[[int, bytes], None]] = []
        self.on_received: list[Callable[[int, bytes], None]] = []

    def on_wire_out(self, frame: bytes) -> None:
        """Not judged here."""

    def on_wire_in(self, frame: bytes, bad: bool) -> None:
        """Not judged here."""

    def sent_chains(self) -> bool:
        """Whether every transmit chain was used."""
        return not any(score.transmits and score.walk.offered for score in self.queues.values())

    def _walk(self, score: QueueScore) -> None:
        known = len(score.walk.offered)
        super()._walk(score)
        score.to_wire.clear()
        if score.transmits:
            for chain in list(score.walk.offered)[known:]:
                for listener in self.on_offered:
                    listener(score.number // 2, chain.data or b"")

    def _sent(self, name: str, chain: Chain, length: int) -> None:
        if length:
            self._bad(f"{name}: used length {length} of a transmit buffer")

    def _received(self, score: QueueScore, name: str, chain: Chain, length: int) -> None:
        octets, problem = score.assembly.add(self._read, self.features, chain, length)
        if octets is not None:
            problem = header_problem(octets, self.features)
        if problem:
            self._bad(f"{name}: {problem}")
        elif octets is not None:
            for listener in self.on_received:
                listener(score.number // 2, octets)
