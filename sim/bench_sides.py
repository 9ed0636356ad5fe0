# SPDX-License-Identifier: Apache-2.0
"""The sides of a measurement of `sim.bench_paths`: what is sent, what is received, what must come of it.

A side gives frames to the NIC as fast as it takes them and holds what comes out against what must: content,
order in a queue, and the queue itself. Received frames are of one of three kinds: no IP, which the host's
queue gets; TCP of random flows, which RSS spreads over the queues; TCP of flows in the flow table.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

import numpy as np

from driver.cuckoo import WAYS, Placement
from driver.nic import TupeloNic
from driver.offload import request_tso
from driver.pool import BufArray
from driver.rss import RssConfig, RssHash, set_rss, spread
from driver.steering import FlowKey, FlowTable, Found, Proto, Steering, to_queue
from sim.bench_sim import LoopError, numbered_frames
from sim.fast import FastHarness
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.ipv4 import Ipv4Header
from userstack.wire.tcp import Options, Segment

RING_SLOTS = 1024
BEAT_BYTES = 64
FIFO_BEATS = 512 - 32  # of the receive side: when fewer than 32 are free, frames that must wait are dropped
ETHERTYPE_IPV4 = 0x0800
TCP_ACK = 0x10
LOCAL = (IPv4Address("10.0.0.1"), 443)
FAR_MAC = bytes.fromhex("020000000002")
SEED = 1
# A chain that is cut: 45 full segments behind 66 bytes of headers (with timestamps), 65,226 bytes in all.
MSS_BYTES = 1448
SEGMENTS = 45
CHAIN_HEADER_BYTES = 66
CHAINS = 8  # different ones


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement. window: frames inside the NIC towards the host at most; 0: what its FIFO holds."""

    name: str
    frame_bytes: int
    tx_queues: int = 0
    rx_queues: int = 0
    warm_up: int = 1000
    count: int = 1000
    window: int = 0
    flows: int = 0  # so many in the flow table, and frames of them; 0: the tables are off
    tso: bool = False  # transmit chains of 64 KiB that the NIC cuts into frames of 1514 bytes


def tcp_frame(flow: FlowKey, dst_mac: bytes, size_bytes: int) -> bytes:
    """A frame of a flow, from its remote side, padded by payload to this size."""
    payload = bytes(size_bytes - 54)
    src, dst = int(flow.remote), int(flow.local)
    segment = Segment(flow.remote_port, flow.local_port, 1, 1, TCP_ACK, 1024, payload).encode(src, dst)
    packet = Ipv4Header(src, dst, Proto.TCP, len(segment)).encode() + segment
    return EthernetFrame(dst_mac, FAR_MAC, ETHERTYPE_IPV4, packet).encode()


def random_flow(rng: random.Random) -> FlowKey:
    """A TCP flow of LOCAL with somebody in 10.0.0.0/8."""
    remote = IPv4Address(0x0A00_0000 | rng.getrandbits(24))
    return FlowKey(int(Proto.TCP), LOCAL[0], LOCAL[1], remote, rng.randrange(1024, 65536))


def flows_that_fit(table: FlowTable, count: int, rng: random.Random) -> list[FlowKey]:
    """Random flows that fill the table, to its last slot if asked, each with room in a bucket of its own."""
    placement = Placement(table.capacity)
    flows: list[FlowKey] = []
    seen: set[FlowKey] = set()
    while len(flows) < count:
        flow = random_flow(rng)
        choices = placement.choices(table.hash(flow))
        slots = [slot for bucket in choices for slot in range(bucket, bucket + WAYS)]
        if flow in seen or all(placement.owner(slot) is not None for slot in slots):
            continue
        plan = placement.plan(choices)
        assert plan is not None and not plan.moves
        placement.put(len(flows), plan.slot, choices)
        flows.append(flow)
        seen.add(flow)
    return flows


@dataclass(frozen=True, slots=True)
class Traffic:
    """Frames to be received, again and again in this order."""

    frames: Sequence[bytes]
    pairs: Sequence[int]  # receive queue of each
    counter: str  # of the device, for frames steered in this way
    steering: Steering | None = None  # what holds their flows


def own_mac(nic: TupeloNic) -> bytes:
    """The address that frames to a started NIC carry."""
    if nic.net is None or nic.net.mac is None:
        raise LoopError("the device has no MAC address")
    return nic.net.mac


async def set_up_traffic(nic: TupeloNic, case: Case) -> Traffic:
    """Tell the NIC where the frames of a case go."""
    rng = random.Random(SEED)
    if not case.flows and case.rx_queues <= 1:
        frames = numbered_frames(case.frame_bytes, 0, RING_SLOTS)
        return Traffic(frames, [0] * len(frames), "rx_steer_host")
    mac, steering = own_mac(nic), None
    if not case.flows:
        rss = RssConfig(table=spread(range(case.rx_queues)))
        await set_rss(nic.bus, rss)
        made = RssHash(rss)
        flows = [random_flow(rng) for _ in range(RING_SLOTS)]
        hashes = [made.hash(f.remote, f.local, (f.remote_port, f.local_port)) for f in flows]
        pairs, counter = [made.pair(value) for value in hashes], "rx_steer_rss"
    else:
        steering = await Steering.attach(nic.bus, state=Found.EMPTY)
        flows = flows_that_fit(steering.flows, case.flows, rng)
        pairs, counter = [n % case.rx_queues for n in range(len(flows))], "rx_steer_flow"
        for flow, pair in zip(flows, pairs, strict=True):
            await steering.flows.insert(flow, to_queue(pair))
        await steering.enable()
    return Traffic([tcp_frame(flow, mac, case.frame_bytes) for flow in flows], pairs, counter, steering)


async def clear_traffic(nic: TupeloNic, case: Case, traffic: Traffic) -> None:
    """Take back what set_up_traffic told the NIC: a device reset does not."""
    if traffic.steering is not None:
        await traffic.steering.enable(False)
        await traffic.steering.flows.delete_all()
    elif case.rx_queues > 1:
        await set_rss(nic.bus, RssConfig(enable=False))


class Transmit:
    """Keeps the transmit rings full and takes what comes out at the wire."""

    def __init__(self, harness: FastHarness, nic: TupeloNic, case: Case) -> None:
        self._harness = harness
        self._queues = nic.tx[: case.tx_queues]
        self._frame_bytes = case.frame_bytes
        self._ready: list[BufArray] = []
        self._wanted: Counter[bytes] = Counter()
        self._frames: list[list[bytes]] = []  # by queue and buffer
        self.least_held = RING_SLOTS  # slots that a queue still held when the driver came by
        self.given = self.done = 0
        for number, queue in enumerate(self._queues):
            bufs = queue.pool.take(queue.queue.size)
            frames = numbered_frames(case.frame_bytes, number * RING_SLOTS, len(bufs))
            queue.pool.fill(bufs, frames, queue.header_bytes)
            by_buffer = [b""] * len(bufs)
            for buf, frame in zip(bufs.tolist(), frames, strict=True):
                by_buffer[buf] = frame
            self._ready.append(bufs)
            self._frames.append(by_buffer)

    async def step(self, give: bool) -> None:
        """Take what has left the NIC; with `give`, fill the rings again."""
        for number, queue in enumerate(self._queues):
            ready = np.concatenate([self._ready[number], queue.reap_raw()])
            self.least_held = min(self.least_held, queue.queue.in_flight if self.given else RING_SLOTS)
            if give and len(ready):
                queue.post_raw(ready, self._frame_bytes)
                self._wanted.update(self._frames[number][buf] for buf in ready.tolist())
                self.given += len(ready)
                ready = ready[:0]
                await queue.kick()
            self._ready[number] = ready
        out = self._harness.wire.take()
        self.done += len(out)
        self._wanted.subtract(out)

    def counted(self) -> dict[str, int]:
        """What the device must have counted."""
        return {"tx_frames": self.given}

    def finish(self) -> None:
        """LoopError unless each frame left as often as it was posted; give the buffers back."""
        if any(self._wanted.values()):
            raise LoopError(
                f"{sum(v != 0 for v in self._wanted.values())} frames left changed, or not at all"
            )
        for ready, queue in zip(self._ready, self._queues, strict=True):
            queue.pool.give(np.concatenate([ready, queue.reap_raw()]))


class Segmented:
    """Keeps one transmit ring full of chains of 64 KiB; given and done count the frames cut from them."""

    def __init__(self, harness: FastHarness, nic: TupeloNic) -> None:
        self._harness = harness
        self._queue = nic.tx[0]
        rng = random.Random(SEED)
        self._payloads = [rng.randbytes(SEGMENTS * MSS_BYTES) for _ in range(CHAINS)]
        src, dst = 0x0A00_0001, 0x0A00_0002
        frames = []
        for payload in self._payloads:
            segment = Segment(443, 5000, 0, 1, TCP_ACK, 1024, payload, Options(timestamps=(1, 2)))
            raw = segment.encode(src, dst)
            packet = Ipv4Header(src, dst, Proto.TCP, len(raw)).encode() + raw
            frames.append(EthernetFrame(FAR_MAC, own_mac(nic), ETHERTYPE_IPV4, packet).encode())
        self._requests = [request_tso(frame, MSS_BYTES) for frame in frames]
        self._slots = self._queue.slots_for(len(frames[0]))
        self._chains = 0
        self.least_held = RING_SLOTS
        self.given = self.done = 0

    async def step(self, give: bool) -> None:
        """Take and check the frames that have left; with `give`, fill the ring again."""
        self._queue.reap()
        ring = self._queue.queue
        self.least_held = min(self.least_held, ring.size - ring.free_slots if self.given else RING_SLOTS)
        while give and self._queue.space() >= self._slots:
            frame, request = self._requests[self._chains % CHAINS]
            if self._queue.send_offload([frame], [request]) != 1:
                raise LoopError("a chain that fits was not taken")
            self._chains += 1
            self.given += SEGMENTS
        await self._queue.kick()
        for frame in self._harness.wire.take():
            self._check(frame)
            self.done += 1

    def _check(self, frame: bytes) -> None:
        chain, number = divmod(self.done, SEGMENTS)
        at = number * MSS_BYTES
        payload = self._payloads[chain % CHAINS][at : at + MSS_BYTES]
        if frame[CHAIN_HEADER_BYTES:] != payload or int.from_bytes(frame[38:42], "big") != at:
            raise LoopError(f"segment {number} of chain {chain} is wrong: {frame[:80].hex()}...")

    def counted(self) -> dict[str, int]:
        """What the device must have counted."""
        return {
            "tx_frames": self.given,
            "tx_chains": self._chains,
            "tx_tso_frames": self._chains,
            "tx_tso_segments": self.given,
        }

    def finish(self) -> None:
        """Take back the last buffers."""
        self._queue.reap()


class Receive:
    """Offers frames at the wire and takes them from the receive rings."""

    def __init__(self, harness: FastHarness, nic: TupeloNic, case: Case, traffic: Traffic) -> None:
        self._harness = harness
        self._queues = nic.rx[: case.rx_queues]
        self._traffic = traffic
        self._order: list[list[bytes]] = [[] for _ in self._queues]  # by queue
        for frame, pair in zip(traffic.frames, traffic.pairs, strict=True):
            self._order[pair].append(frame)
        self._taken = [0] * len(self._queues)
        self.window = case.window or FIFO_BEATS // -(-case.frame_bytes // BEAT_BYTES)
        self.least_held = RING_SLOTS
        self.given = 0

    @property
    def done(self) -> int:
        """Frames taken from all rings."""
        return sum(self._taken)

    async def step(self, give: bool) -> None:
        """Take what has come, in order and unchanged or LoopError; with `give`, offer up to the window."""
        for pair, queue in enumerate(self._queues):
            bufs, lens = queue.reap_raw()
            self.least_held = min(self.least_held, queue.queue.in_flight)
            order, taken = self._order[pair], self._taken[pair]
            for frame in queue.pool.gather(bufs, lens, queue.header_bytes):
                if not order or frame != order[taken % len(order)]:
                    raise LoopError(f"frame {taken} of queue {pair} was lost or changed: {frame.hex()} came")
                taken += 1
            self._taken[pair] = taken
            if len(bufs):
                queue.repost(bufs)
                await queue.kick()
        room = self.window - (self.given - self.done)
        if give and room > 0:
            frames = self._traffic.frames
            batch = [frames[n % len(frames)] for n in range(self.given, self.given + room)]
            self.given += self._harness.wire.send(batch)

    def counted(self) -> dict[str, int]:
        """What the device must have counted."""
        return {"rx_wire_frames": self.given, "rx_frames": self.given, self._traffic.counter: self.given}

    def finish(self) -> None:
        """Nothing is left to do: order and content were checked on the way."""


Side = Transmit | Segmented | Receive
