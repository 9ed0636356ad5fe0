# SPDX-License-Identifier: Apache-2.0
"""The rings as the pins show them: the ring scoreboard, which also tells what was offered and received.

It keeps all its own rules (each chain used once and in order, no stray access); what a frame should be is the
NIC scoreboard's business.
"""

from collections.abc import Callable
from typing import Any

from cocotb_tests.agents.axi_memory import OKAY
from cocotb_tests.packed_walk import Chain
from cocotb_tests.queue_score import QueueScore
from cocotb_tests.received import header_problem
from cocotb_tests.scoreboard import Scoreboard

INDIRECT_DESC = 28  # feature bit, VIRTIO 1.2 section 6


class RingMonitor(Scoreboard):
    """Publishes what became of the rings.

    on_offered: (pair, chain) for sending. on_received: (pair, octets with header). on_fault: (queue) one of
    its accesses got an error response, it must stop. on_cut: (queue, done) a reset is asked for, or done.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_offered: list[Callable[[int, Chain], None]] = []
        self.on_received: list[Callable[[int, bytes], None]] = []
        self.on_fault: list[Callable[[int], None]] = []
        self.on_cut: list[Callable[[int, bool], None]] = []

    def on_wire_out(self, frame: bytes) -> None:
        """Not judged here."""

    def on_wire_in(self, frame: bytes, bad: bool) -> None:
        """Not judged here."""

    def on_read(self, addr: int, size: int, queue: int, resp: int) -> None:
        """A read of an indirect table is fine as long as its chain is offered; the rest as ever."""
        score = self.queues.get(queue)
        if score is not None and INDIRECT_DESC in self.features:
            self._walk(score)
            tables = (chain.table for chain in score.walk.offered if chain.table is not None)
            if any(self._near(addr, addr + size, low, low + length) for low, length in tables):
                self._note_error(score, resp)
                self.counts["table_reads"] += 1
                return
        super().on_read(addr, size, queue, resp)

    def _enable(self, number: int, setup: Any) -> None:
        super()._enable(number, setup)
        self.queues[number].walk.tables = INDIRECT_DESC in self.features

    def _queue_reset(self, number: int, done: bool) -> None:
        known = number in self.queues
        super()._queue_reset(number, done)
        for listener in self.on_cut if known else ():
            listener(number, done)

    def _note_error(self, score: QueueScore, resp: int) -> None:
        super()._note_error(score, resp)
        for listener in self.on_fault if resp != OKAY else ():
            listener(score.number)

    def _walk(self, score: QueueScore) -> None:
        known = len(score.walk.offered)
        super()._walk(score)
        score.to_wire.clear()
        if score.transmits:
            for chain in list(score.walk.offered)[known:]:
                for listener in self.on_offered:
                    listener(score.number // 2, chain)

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
