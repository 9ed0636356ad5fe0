# SPDX-License-Identifier: Apache-2.0
"""Frames of a capture through the NIC: in at the wire and out of the driver, or the other way round.

The loops here run inside the simulator; how much is on its way at once is bounded so that the NIC's frame
FIFO never has to drop, because a replay is to show what is lost by error, not by overload.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from driver.nic import NicConfig, TupeloNic
from sim.capture import FRAME_MAX_BYTES, PcapWriter, read_frames
from sim.compare import Comparison
from sim.fast import FastHarness
from sim.job import Progress
from sim.wire import Wire

IN_FLIGHT_FRAMES = 64
IN_FLIGHT_BYTES = 24 * 1024
PATIENCE_NS = 1_000_000  # 250,000 cycles without a frame: what is still missing is lost
LINGER_NS = 20_000  # wait so long for frames that nobody sent
NIC_CONFIG = NicConfig(buffer_bytes=FRAME_MAX_BYTES + 64)  # any frame fits one buffer

Report = Callable[[Comparison], None]
Keep = Callable[[int, bytes], None]


def batches(frames: Iterator[bytes], seen: Comparison) -> list[bytes]:
    """The next frames that may be on their way beside those that are; at least one if none is."""
    batch: list[bytes] = []
    size = seen.waiting_bytes
    while seen.waiting < IN_FLIGHT_FRAMES and (size < IN_FLIGHT_BYTES or not seen.waiting):
        frame = next(frames, None)
        if frame is None:
            break
        seen.expect(frame)
        batch.append(frame)
        size += len(frame)
    return batch


async def into_the_wire(
    nic: TupeloNic, wire: Wire, frames: Iterable[bytes], keep: Keep, report: Report
) -> Comparison:
    """Send each frame into the wire and compare what the driver receives."""
    seen = Comparison()
    source = iter(frames)
    while True:
        batch = batches(source, seen)
        if batch:
            wire.send(batch)
        elif not seen.waiting:
            break
        if not await nic.wait_rx(PATIENCE_NS):
            seen.give_up()
        _arrived(seen, nic.bus.now_ns(), nic.recv(0), keep)
        report(seen)
    while await nic.wait_rx(LINGER_NS):
        _arrived(seen, nic.bus.now_ns(), nic.recv(0), keep)
    return seen


async def out_of_the_wire(
    nic: TupeloNic, wire: Wire, frames: Iterable[bytes], keep: Keep, report: Report
) -> Comparison:
    """Give each frame to the driver and compare what leaves the NIC."""
    seen = Comparison()
    source = iter(frames)
    backlog: list[bytes] = []
    while True:
        backlog += batches(source, seen)
        if backlog:
            del backlog[: await nic.send(backlog)]
        elif not seen.waiting:
            break
        await wire.wait(PATIENCE_NS)
        left = wire.take()
        if not left and not (backlog and await nic.wait_tx_space(timeout_ns=PATIENCE_NS)):
            seen.give_up()
            backlog.clear()
        _arrived(seen, nic.bus.now_ns(), left, keep)
        report(seen)
    await wire.wait(LINGER_NS)
    _arrived(seen, nic.bus.now_ns(), wire.take(), keep)
    return seen


def _arrived(seen: Comparison, now_ns: int, frames: list[bytes], keep: Keep) -> None:
    for frame in frames:
        keep(now_ns, frame)
        seen.arrived(frame)


async def main(
    harness: FastHarness,
    file: str,
    direction: str,
    out: str | None,
    allow_snapped: bool,
    progress: str | None = None,
) -> dict[str, Any]:
    """Replay `file` in `direction` rx or tx; return the counts. Writes what came out to `out`, if any."""
    nic = TupeloNic(harness)
    await nic.start(NIC_CONFIG)
    tell = Progress(progress)

    def report(seen: Comparison) -> None:
        tell(frames=seen.sent - seen.waiting)

    frames = read_frames(Path(file), allow_snapped)
    way = into_the_wire if direction == "rx" else out_of_the_wire
    start_ns = nic.bus.now_ns()
    with PcapWriter(Path(out)) if out else contextlib.nullcontext() as writer:
        keep: Keep = writer.write if writer else lambda time_ns, frame: None
        seen = await way(nic, harness.wire, frames, keep, report)
    sim_ns = nic.bus.now_ns() - start_ns
    statistics = await nic.statistics()
    await nic.stop()
    return {
        "ok": seen.ok,
        "direction": direction,
        "frames": seen.sent,
        "equal": seen.equal,
        "changed": seen.changed,
        "lost": seen.lost,
        "extra": seen.extra,
        "bytes": seen.equal_bytes,
        "drops": {**statistics.rx_drops(), **statistics.tx_drops()},
        "problems": seen.problems,
        "sim_ns": sim_ns,
        "cycles": sim_ns // 4,
    }
