# SPDX-License-Identifier: Apache-2.0
"""What `tupelo bench` measures of each direction alone: cycles a frame, and the latency of an idle NIC.

It runs in the fast harness, where Python takes no simulated time: every POLL_CYCLES the driver reaps, posts
and rings what doorbells are due, with interrupts off. So no ring runs dry because of the driver; that each
kept at least half of its slots filled is checked, not assumed. The figures are exact and repeat to the cycle.

Transmit: all rings are full, the wire takes a beat a cycle. Receive: the wire offers a beat a cycle as long
as no more frames are inside the NIC than its frame FIFO holds. That is the fastest rate without a drop: the
FIFO cannot overflow, and it is never empty, because what it holds lasts longer than a frame takes to its
buffer. Duplex: both at once, as fast as each can; a pair costs what a frame of the slower direction does.
Segmentation: a frame is one of those that the NIC cut. Steering: frames of so many flows one after the
other, all with an entry in the flow table and all for one queue, so that the look-up is what differs.

Frames are counted between two polls, the first after a warm-up, the last while there is still work for all
queues. Then everything drains, and the device's counters, the driver's and the wire's must agree.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from driver.msix import queue_vector
from driver.nic import NicConfig, TupeloNic
from driver.stats import Statistics
from sim.bench_sides import (
    RING_SLOTS,
    Case,
    Receive,
    Segmented,
    Side,
    Traffic,
    Transmit,
    clear_traffic,
    set_up_traffic,
)
from sim.bench_sim import CYCLE_NS, LoopError, numbered_frames
from sim.fast import FastHarness
from sim.fast_config import FastConfig, WireConfig
from sim.job import Progress

# The clock never stands still and the wire delays nothing: what Python asks for after one edge is on the
# NIC's pins after the next.
config = FastConfig(wire=WireConfig(delay_cycles=1), idle_cycles=0)
POLL_CYCLES = 16
PATIENCE_POLLS = 1000  # without a frame: something is lost
IDLE_NS = 20_000
BUFFER_BYTES = 2048
TSO_BUFFER_BYTES = 4096  # a chain of 64 KiB lies in 16 of them, as in pages of a host
HANDSHAKE_CYCLES = 2  # from the edge after which Python asks for something to its handshake at the NIC's pins


class Run:
    """One case on a started NIC."""

    def __init__(self, harness: FastHarness, nic: TupeloNic, case: Case, traffic: Traffic) -> None:
        self._harness = harness
        self._nic = nic
        self._case = case
        self._sides: list[Side] = []
        if case.tx_queues:
            self._sides.append(Segmented(harness, nic) if case.tso else Transmit(harness, nic, case))
        if case.rx_queues:
            self._sides.append(Receive(harness, nic, case, traffic))

    def _done(self) -> int:
        return min(side.done for side in self._sides)

    async def _step(self, give: bool) -> None:
        await self._harness.sleep(POLL_CYCLES * CYCLE_NS)
        for side in self._sides:
            await side.step(give)

    async def _reach(self, goal: int, report: Callable[[int], None]) -> None:
        """Work until each direction has done `goal` frames; LoopError if no frame comes any more."""
        quiet = 0
        while self._done() < goal:
            before = self._done()
            await self._step(give=True)
            quiet = 0 if self._done() > before else quiet + 1
            if quiet > PATIENCE_POLLS:
                await self._fail("frames do not come")
            report(self._done())

    async def measure(self, report: Callable[[int], None]) -> float:
        """Cycles a frame (duplex: a pair of frames); LoopError if one was lost or a ring ran dry."""
        before = await self._nic.statistics()
        await self._reach(self._case.warm_up, report)
        for side in self._sides:
            side.least_held = RING_SLOTS
        start, first = self._harness.cycles, [side.done for side in self._sides]
        await self._reach(self._case.warm_up + self._case.count, report)
        cycles = self._harness.cycles - start
        frames = min(side.done - was for side, was in zip(self._sides, first, strict=True))
        held = min(side.least_held for side in self._sides)
        if held < RING_SLOTS // 2:
            await self._fail(f"a ring ran down to {held} slots: the driver would be measured")
        await self._drain()
        await self._check(before)
        return cycles / frames

    async def _check(self, before: Statistics) -> None:
        """LoopError unless the device counted since `before` what was given, and dropped nothing."""
        seen = (await self._nic.statistics()).since(before)
        wanted = {"tx_frames": 0, "rx_wire_frames": 0, "rx_frames": 0}
        for side in self._sides:
            wanted |= side.counted()
        counted = {name: seen[name] for name in wanted}
        if counted != wanted or seen.rx_drops() or seen.tx_drops():
            await self._fail(f"not {wanted}, the device counts {counted}")

    async def _drain(self) -> None:
        """Give nothing more until all frames are out, or LoopError; then until the rings are quiet."""
        quiet = 0
        while any(side.done != side.given for side in self._sides):
            before = [side.done for side in self._sides]
            await self._step(give=False)
            quiet = 0 if before != [side.done for side in self._sides] else quiet + 1
            if quiet > PATIENCE_POLLS:
                await self._fail("frames are missing at the end")
        await self._harness.sleep(IDLE_NS)
        for side in self._sides:
            side.finish()

    async def _fail(self, what: str) -> NoReturn:
        seen = await self._nic.statistics()
        sides = [f"{type(s).__name__.lower()} {s.given} given, {s.done} done" for s in self._sides]
        drops = {**seen.rx_drops(), **seen.tx_drops()}
        raise LoopError(f"{self._case.name}: {what}; {', '.join(sides)}; all drops {drops}")


async def path(harness: FastHarness, case: Case, report: Callable[[int], None]) -> float:
    """Start a NIC, measure one case, stop it."""
    nic = TupeloNic(harness)
    config = NicConfig(
        queue_pairs=max(case.tx_queues, case.rx_queues),
        tx_ring_slots=RING_SLOTS,
        rx_ring_slots=RING_SLOTS,
        buffer_bytes=TSO_BUFFER_BYTES if case.tso else BUFFER_BYTES,
        tx_csum=case.tso,
        tso4=case.tso,
    )
    await nic.start(config)
    traffic = await set_up_traffic(nic, case)
    figure = await Run(harness, nic, case, traffic).measure(report)
    await clear_traffic(nic, case, traffic)
    await nic.stop()
    return figure


async def _doorbell_to_wire(harness: FastHarness, nic: TupeloNic) -> int:
    """Cycles from the doorbell's handshake on AXI4-Lite to that of the frame's only beat at the wire."""
    queue = nic.tx[0]
    queue.send(numbered_frames(60, 0, 1))
    start_ns = harness.now_ns()
    if not await queue.kick():
        raise LoopError("an idle device did not ask for a doorbell")
    await harness.sleep(IDLE_NS)
    (frame,) = harness.wire.take_timed()
    return (frame.time_ns - start_ns) // CYCLE_NS - HANDSHAKE_CYCLES


async def _wire_to_irq(harness: FastHarness, nic: TupeloNic) -> int:
    """Cycles from the handshake of a frame's only beat at the wire to that of its MSI-X message."""
    queue = nic.rx[0]
    queue.queue.interrupt_after(1)
    start_ns = harness.now_ns()
    harness.wire.send(numbered_frames(60, 0, 1))
    if not await harness.wait_irq([queue_vector(queue.index)], IDLE_NS):
        raise LoopError("no interrupt came for a frame")
    end_ns = harness.now_ns()
    queue.queue.disable_interrupts()
    if len(queue.recv()) != 1:
        raise LoopError("an interrupt came before its frame")
    await queue.kick()
    return (end_ns - start_ns) // CYCLE_NS - HANDSHAKE_CYCLES


async def latency(harness: FastHarness, rounds: int) -> dict[str, float]:
    """The longest of `rounds` of each latency, the NIC idle before each."""
    nic = TupeloNic(harness)
    await nic.start(NicConfig())
    before = await nic.statistics()
    figures: dict[str, float] = {}
    measures: dict[str, Callable[[FastHarness, TupeloNic], Awaitable[int]]] = {
        "doorbell_to_wire": _doorbell_to_wire,
        "wire_to_irq": _wire_to_irq,
    }
    for name, measure in measures.items():
        seen = []
        for _ in range(rounds):
            await harness.sleep(IDLE_NS)
            seen.append(await measure(harness, nic))
        figures[name] = max(seen)
    statistics = (await nic.statistics()).since(before)
    counted = (statistics["tx_frames"], statistics["rx_frames"])
    if counted != (rounds, rounds):
        raise LoopError(f"{rounds} frames each way, the device counts {counted}")
    await nic.stop()
    return figures


async def paths(
    harness: FastHarness, cases: list[dict[str, Any]], latency_rounds: int, progress: str | None = None
) -> dict[str, float]:
    """Measure each case (the fields of a Case) and the latencies; figures in cycles by name."""
    tell = Progress(progress)
    figures: dict[str, float] = {}
    before = 0
    for fields in cases:
        case = Case(**fields)
        figures[case.name] = await path(
            harness,
            case,
            lambda done, base=before: tell(frames=base + done),  # type: ignore[misc]
        )
        before += case.warm_up + case.count
    if latency_rounds:
        figures |= await latency(harness, latency_rounds)
    return figures
