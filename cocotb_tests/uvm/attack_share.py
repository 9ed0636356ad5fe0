# SPDX-License-Identifier: Apache-2.0
"""What an attack does to the goodput of others: victims with full rings, alone and beside the attacker.

The wire and the receive rings are measured at the pins. A victim must have at least its share of what it has
alone: its weight over the weights of all pairs that have something to send.
"""

import contextlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cocotb

from cocotb_tests.guard_frames import LOCALS, PEERS
from cocotb_tests.model.steer_model import QUEUE, Info, Tuple
from cocotb_tests.packed_walk import NEXT, WRITE, Place
from cocotb_tests.parse_frames import UDP
from cocotb_tests.raw_ring import Events, RawQueue, RingFull
from cocotb_tests.traffic import Layout, Receiver, Sender, receiver, sender
from cocotb_tests.uvm.attack_judge import Range
from cocotb_tests.uvm.attack_rig import (
    EVIL,
    EVIL_FLOW,
    FRAME_BYTES,
    GOOD,
    GOOD_FLOW,
    POLL_CYCLES,
    RING_SLOTS,
    AttackRig,
    keep_busy,
    packet,
)
from cocotb_tests.uvm.attack_styles import Chain, Forge, Style
from cocotb_tests.uvm.attacker import Slice
from driver.scheduling import READ_COST_BYTES, TxShare, set_read_cost, set_tx_share
from driver.windows import Window

SECOND = 3  # the other victim's pair
SECOND_FLOW = Tuple(0, UDP, LOCALS[0][0], PEERS[0][0], 5001, 6000)
FLOWS = {GOOD: GOOD_FLOW, SECOND: SECOND_FLOW, EVIL: EVIL_FLOW}
EVIL_SLOTS = 1024
ATTACK_BYTES = 0x40000
RING_BYTES = 16 * EVIL_SLOTS + 64
BURST_CHAINS = 128
SETTLE_CYCLES = 4_000
TOLERANCE = 0.02


class Unfair(AssertionError):
    """A victim had less than its share."""


@dataclass(frozen=True, slots=True)
class Goodput:
    """Bytes a cycle of each pair on the wire, and frames a thousand cycles delivered to each victim."""

    cycles: int
    sent: dict[int, float]
    delivered: dict[int, float]

    def __str__(self) -> str:
        sent = ", ".join(f"pair {pair} {rate:.2f}" for pair, rate in sorted(self.sent.items()))
        got = ", ".join(f"pair {pair} {rate:.2f}" for pair, rate in sorted(self.delivered.items()))
        return f"{sent} bytes a cycle; delivered {got} frames in 1,000 cycles"


def judge_share(alone: Goodput, beside: Goodput, weights: dict[int, int], victims: Collection[int]) -> None:
    """Raise Unfair unless each victim has its share.

    alone: all victims without the attacker; weights: of all pairs that send, the attacker's too. What the
    victims have together without the attacker is what there is to share. Deliveries share nothing with the
    attacker, so nothing may be missing there.
    """
    whole = sum(alone.sent[pair] for pair in victims)
    told = []
    for pair in victims:
        wanted = whole * weights[pair] / sum(weights.values())
        if beside.sent[pair] < (1 - TOLERANCE) * wanted:
            told.append(f"pair {pair} sends {beside.sent[pair]:.2f} bytes a cycle, its share is {wanted:.2f}")
        if beside.delivered[pair] < (1 - TOLERANCE) * alone.delivered[pair]:
            told.append(
                f"pair {pair} gets {beside.delivered[pair]:.2f} frames in 1,000 cycles, "
                f"{alone.delivered[pair]:.2f} alone"
            )
    if told:
        raise Unfair("; ".join(told))


class ShareRig(AttackRig):
    """Victims with full rings in both directions, and an attacker of one style."""

    def __init__(self, dut: Any, salt: object, victims: Collection[int]) -> None:
        super().__init__(dut, salt)
        self.victims = tuple(victims)
        self.tables.flows.write(7, SECOND_FLOW, Info(QUEUE, SECOND, 7, 0))
        self.board.queue_of = self._queue_of
        self.sent: Counter[int] = Counter()
        self.senders: dict[int, Sender] = {}
        self.receivers: dict[int, Receiver] = {}
        self.fed = list(self.victims)  # pairs that frames come in for, in turn
        self._out: dict[bytes, int] = {}
        self._in: dict[bytes, int] = {}
        region = self.harness.dma_alloc(ATTACK_BYTES, 4096)
        self.ground = Slice(region.iova, region.view)

    def _queue_of(self, frame: bytes) -> int:
        return 2 * self._in.get(frame, GOOD)

    def _wire_out(self, frame: bytes) -> None:
        self.wire.take()
        pair = self._out.pop(frame, EVIL)
        self.sent[pair] += len(frame)
        if pair == EVIL:
            self.wire_judge.on_attacker_frame(frame)
        else:
            self.board.on_wire_out(frame)

    def _wire_in(self, frame: bytes, bad: bool) -> None:
        if frame in self._in:
            self.board.on_wire_in(frame, bad)

    # Victims --------------------------------------------------------------------------------------------

    async def begin_victims(self, gap_cycles: int = 24) -> None:
        """Bring all up; from now on the victims send as fast as they can and are sent a frame a gap."""
        await self.begin()
        self.senders[GOOD], self.receivers[GOOD] = self.sending, self.receiving
        one = Layout(parts=lambda rng: 1)
        for pair in self.victims:
            if pair != GOOD:
                await self.device.add_queue(2 * pair, 128)
                await self.device.add_queue(2 * pair + 1, RING_SLOTS)
                await self.guard.guard(pair)
                self.senders[pair] = sender(
                    self, 2 * pair + 1, FRAME_BYTES, layout=one, mode=Events.DISABLE, burst=lambda rng: 64
                )
                self.receivers[pair] = receiver(self, 2 * pair, 12 + FRAME_BYTES, mode=Events.DISABLE)
            cocotb.start_soon(keep_busy(self.senders[pair], self._frames(pair)))
            cocotb.start_soon(self._receive(pair))
        cocotb.start_soon(self._feed(gap_cycles))

    def _frames(self, pair: int) -> Iterator[bytes]:
        for number in itertools.count():
            frame = packet(FLOWS[pair], number, FRAME_BYTES, inwards=False)
            self._out[frame] = pair
            yield frame

    async def _receive(self, pair: int) -> None:
        pump = self.receivers[pair]
        pump.queue.set_interrupts(Events.DISABLE)
        while True:
            pump.received += pump.reap()
            await pump.refill()
            await self.cycles(POLL_CYCLES)

    async def _feed(self, gap_cycles: int) -> None:
        for number in itertools.count():
            pair = self.fed[number % len(self.fed)]
            frame = packet(FLOWS[pair], number, FRAME_BYTES, inwards=True)
            if pair != EVIL:
                self._in[frame] = pair
            self.wire.send([frame])
            await self.cycles(gap_cycles)

    async def weigh(self, weights: dict[int, int]) -> None:
        """Set the scheduler's weights."""
        await set_read_cost(self.harness, READ_COST_BYTES)
        for pair, weight in weights.items():
            await set_tx_share(self.harness, pair, TxShare(weight=weight))

    async def measure(self, cycles: int) -> Goodput:
        """Let things settle, then count."""
        await self.cycles(SETTLE_CYCLES)
        sent, got = Counter(self.sent), {pair: pump.received for pair, pump in self.receivers.items()}
        start = self.cycle
        await self.cycles(cycles)
        took = self.cycle - start
        pairs = (*self.victims, EVIL)
        self.check()
        return Goodput(
            took,
            {pair: (self.sent[pair] - sent[pair]) / took for pair in pairs},
            {pair: 1000 * (self.receivers[pair].received - got[pair]) / took for pair in self.victims},
        )

    # The attacker ---------------------------------------------------------------------------------------

    async def _confine(self) -> None:
        low = self.ground.iova
        self.windows.ranges = [Range(low, low + ATTACK_BYTES - 1, True, True)]
        await self.guard.set_windows(EVIL, [Window(low, low + ATTACK_BYTES - 1)])
        await self.guard.guard(EVIL)

    async def attack(self, style: Style) -> None:
        """Give the attacker its windows and a ring; it sends in the style until the test ends."""
        await self._confine()
        chains = style.chains(Forge(self._piece(RING_BYTES, ATTACK_BYTES - RING_BYTES), self.rng))
        queue = await self._enable(2 * EVIL + 1)
        cocotb.start_soon(self._offer(style, queue, chains))

    async def lie_in_wait(self, sizes: Sequence[int]) -> None:
        """Let frames come in for the attacker, too, into buffers of these descriptors (none: no buffers)."""
        if not self.windows.ranges:
            await self._confine()
        chains = [
            [(self.ground.iova + RING_BYTES + 2048 * n, size, WRITE | NEXT) for n, size in enumerate(sizes)]
        ]
        chains[0][-1:] = [(*chains[0][-1][:2], WRITE)] if sizes else []
        queue = await self._enable(2 * EVIL)
        style = Style("receive", lambda forge: chains)
        if sizes:
            cocotb.start_soon(self._offer(style, queue, chains))
        self.fed = [*self.victims, EVIL]

    def _piece(self, offset: int, size: int) -> Slice:
        return Slice(self.ground.iova + offset, self.ground.view[offset : offset + size])

    async def _enable(self, number: int) -> RawQueue:
        ring = self._piece(0, 16 * EVIL_SLOTS)
        events = [self._piece(16 * EVIL_SLOTS + at, 4) for at in (0, 4)]
        ring.view[:] = 0
        for area in events:
            area.view[:] = 0
        queue = RawQueue(number, EVIL_SLOTS, ring, *events)
        await self.device.enable_flawed(number, EVIL_SLOTS, *(area.iova for area in (ring, *events)))
        self.device.queues[number], self.device.regions[number] = queue, []
        queue.set_interrupts(Events.DISABLE)
        return queue

    async def _offer(self, style: Style, queue: RawQueue, chains: list[Chain]) -> None:
        """Keep the ring full, for ever."""
        line = itertools.cycle(chains)
        waiting = next(line)
        while True:
            queue.reap()
            since, free = Place(queue.next_avail.slot, queue.next_avail.wrap), queue.free
            with contextlib.suppress(RingFull):
                for _ in range(BURST_CHAINS):
                    queue.offer_raw(waiting)
                    waiting = next(line)
            if style.doorbells or queue.needs_kick(since, free - queue.free):
                await self.device.kick(queue.number)
            if style.falls and (await self.device.stopped(queue.number)).stopped:
                self.stops["WINDOW"] += 1
                await self.device.reset_queue(queue.number)
                queue = await self._enable(queue.number)
            elif not style.doorbells and not style.falls:
                await self.cycles(POLL_CYCLES)
