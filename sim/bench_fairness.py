# SPDX-License-Identifier: Apache-2.0
"""Whether backlogged transmit queues get their shares of the wire, measured on the whole NIC.

Eight queues, each with frames of its own sizes and its ring never less than half full, send for a while in
the fast harness. What counts are bytes at the wire: a frame's source address tells its queue. Queues whose
frames the NIC cuts count with the headers of every segment. A queue with a rate limit is held against its
rate, the others share the rest by weight. A chain more or less at either end is part of the figure, so the
longest chains say how long a run must be.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from driver.nic import NicConfig, TupeloNic
from driver.offload import TxOffload, request_tso
from driver.scheduling import CLOCK_HZ, TxShare, set_tx_share
from driver.tx import TxQueue
from sim.bench_sim import CYCLE_NS, LoopError
from sim.fast import FastHarness
from sim.fast_config import FastConfig, WireConfig
from sim.job import Progress
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.ipv4 import Ipv4Header
from userstack.wire.tcp import Segment

config = FastConfig(wire=WireConfig(delay_cycles=1), idle_cycles=0)
RING_SLOTS = 1024
BUFFER_BYTES = 4096  # longer frames lie in chains, as in pages of a host
POLL_CYCLES = 128
QUIET_NS = 20_000  # after the end, until the last frame has left
BATCH = 64  # frames of one call of the driver
QUEUES = 8
FAR_MAC = bytes.fromhex("020000000099")
OWN_MAC = bytes.fromhex("0200000001")  # and the queue
ETHERTYPE_IPV4, ETHERTYPE_TEST = 0x0800, 0x88B5
TCP_HEADERS_BYTES = 54
RANDOM_SIZES = 500  # different sizes of a queue of random frames

Frame = tuple[bytes, TxOffload | None]


@dataclass(frozen=True, slots=True)
class FairCase:
    """One measurement. rates: bytes a cycle of limited queues. bytes_each: what a queue sends on average."""

    name: str
    weights: Sequence[int] = (32,) * QUEUES
    rates: dict[str, float] = field(default_factory=dict)  # by the queue's number, as JSON wants it
    bytes_each: int = 1_000_000
    warm_up_cycles: int = 20_000
    burst_bytes: int = 4096
    tso_bytes: int = 65_000  # payload of the longest chains that the NIC cuts


@dataclass(frozen=True, slots=True)
class Shares:
    """What came of a case. worst_percent: the largest deviation of a queue from what it should have had."""

    worst_percent: float
    of_share: list[float]  # of each queue: what it had, 1 is what it should have had
    cycles: int
    bytes_per_cycle: float


def plain(queue: int, size_bytes: int) -> Frame:
    """A frame that is sent as it is."""
    own = OWN_MAC + bytes([queue])
    return EthernetFrame(FAR_MAC, own, ETHERTYPE_TEST, bytes(size_bytes - 14)).encode(), None


def cut(queue: int, payload_bytes: int, mss_bytes: int) -> Frame:
    """A frame that the NIC cuts into segments."""
    src, dst = 0x0A00_0001, 0x0A00_0002
    raw = Segment(443, 5000, 0, 1, 0x10, 1024, bytes(payload_bytes)).encode(src, dst)
    packet = Ipv4Header(src, dst, 6, len(raw)).encode() + raw
    frame = EthernetFrame(FAR_MAC, OWN_MAC + bytes([queue]), ETHERTYPE_IPV4, packet).encode()
    return request_tso(frame, mss_bytes)


def mixes(rng: random.Random, tso_bytes: int) -> list[list[Frame]]:
    """What each of the eight queues sends, again and again: small, large, random, chains, jumbo frames."""
    return [
        [plain(0, 60)],
        [plain(1, 1514)],
        [plain(2, rng.randint(60, 1514)) for _ in range(RANDOM_SIZES)],
        [cut(3, tso_bytes, 1448)],
        [cut(4, rng.randint(100, 4000), rng.randint(100, 300)) for _ in range(RANDOM_SIZES)],
        [plain(5, 60), plain(5, 1514)],
        [plain(6, 590)],
        [plain(7, 60), plain(7, 60), plain(7, 60), plain(7, 9014)],
    ]


class Source:
    """Keeps one transmit ring full."""

    def __init__(self, queue: TxQueue, frames: Sequence[Frame]) -> None:
        self._queue = queue
        self._offloads = any(offload is not None for _, offload in frames)
        self._next = cycle(frames)
        self._kept: list[Frame] = []
        self.chains = 0
        self.least_held = RING_SLOTS

    async def step(self) -> None:
        """Post what has room, in the order of the frames."""
        queue, ring = self._queue, self._queue.queue
        queue.reap()
        if self.chains:
            self.least_held = min(self.least_held, ring.size - ring.free_slots)
        while True:
            batch = self._kept + list(islice(self._next, BATCH - len(self._kept)))
            raws = [raw for raw, _ in batch]
            asks = [ask for _, ask in batch]
            taken = queue.send_offload(raws, asks) if self._offloads else queue.send(raws)
            self._kept = batch[taken:]
            self.chains += taken
            if taken < BATCH:
                break
        await queue.kick()


def judge(case: FairCase, sent: Sequence[int], cycles: int) -> list[float]:
    """What each queue had of what it should have had."""
    limits = {int(queue): rate * cycles for queue, rate in case.rates.items()}
    rest = sum(n for queue, n in enumerate(sent) if queue not in limits)
    weights = sum(w for queue, w in enumerate(case.weights) if queue not in limits)
    return [n / limits.get(queue, rest * case.weights[queue] / weights) for queue, n in enumerate(sent)]


async def _run(harness: FastHarness, nic: TupeloNic, case: FairCase, report: Callable[[int], None]) -> Shares:
    frames = mixes(random.Random(harness.seed), case.tso_bytes)
    sources = [Source(queue, mix) for queue, mix in zip(nic.tx, frames, strict=True)]
    sent = [0] * QUEUES

    async def step() -> None:
        await harness.sleep(POLL_CYCLES * CYCLE_NS)
        for source in sources:
            await source.step()
        for frame in harness.wire.take():
            sent[frame[11]] += len(frame)

    first = harness.cycles
    while harness.cycles - first < case.warm_up_cycles:
        await step()
    for source in sources:
        source.least_held = RING_SLOTS
    before, start = list(sent), harness.cycles
    while sum(sent) - sum(before) < QUEUES * case.bytes_each:
        await step()
        report((sum(sent) - sum(before)) // QUEUES)
    cycles = harness.cycles - start
    had = [now - was for now, was in zip(sent, before, strict=True)]
    if (held := min(source.least_held for source in sources)) < RING_SLOTS // 2:
        raise LoopError(f"{case.name}: a ring ran down to {held} slots: the driver would be measured")
    of_share = judge(case, had, cycles)
    worst = max(abs(share - 1) for share in of_share)
    return Shares(100 * worst, of_share, cycles, sum(had) / cycles)


async def fair(harness: FastHarness, case: FairCase, report: Callable[[int], None]) -> Shares:
    """Start a NIC, measure one case, stop it; LoopError if a frame was dropped or a ring ran low."""
    nic = TupeloNic(harness)
    await nic.start(
        NicConfig(
            queue_pairs=QUEUES,
            tx_ring_slots=RING_SLOTS,
            buffer_bytes=BUFFER_BYTES,
            tx_csum=True,
            tso4=True,
        )
    )
    before = await nic.statistics()
    for pair, weight in enumerate(case.weights):
        rate = case.rates.get(str(pair), 0)
        share = TxShare(weight, rate_bytes_per_s=round(rate * CLOCK_HZ), burst_bytes=case.burst_bytes)
        await set_tx_share(nic.bus, pair, share)
    shares = await _run(harness, nic, case, report)
    drops = (await nic.statistics()).since(before).tx_drops()
    for pair in range(QUEUES):
        await set_tx_share(nic.bus, pair, TxShare())
    await nic.stop()
    await harness.sleep(QUIET_NS)
    harness.wire.take()
    if any(drops.values()):
        raise LoopError(f"{case.name}: chains were dropped: {drops}")
    return shares


async def fairness(
    harness: FastHarness, cases: list[dict[str, Any]], progress: str | None = None
) -> dict[str, dict[str, Any]]:
    """Measure each case (the fields of a FairCase): Shares by name, as JSON takes them."""
    tell = Progress(progress)
    out: dict[str, dict[str, Any]] = {}
    before = 0
    for fields in cases:
        case = FairCase(**fields)
        shares = await fair(harness, case, lambda sent, base=before: tell(frames=base + sent))  # type: ignore[misc]
        before += case.bytes_each
        out[case.name] = {name: getattr(shares, name) for name in Shares.__slots__}
    return out
