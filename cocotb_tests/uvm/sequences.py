# SPDX-License-Identifier: Apache-2.0
"""Constrained random sequences: frames from the wire, chains, table changes, and how the surroundings behave.

Addresses and ports come from a small space, so that frames often meet the entries of the tables.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pyuvm import uvm_sequence

from cocotb_tests.guard_frames import LOCALS, PEERS, PORTS, FrameMaker
from cocotb_tests.model.guard_model import Request
from cocotb_tests.model.steer_model import SteerModel, Tuple
from cocotb_tests.parse_frames import ICMP, TCP, UDP, Recipe, make, random_frame
from cocotb_tests.received import HEADER
from cocotb_tests.uvm.agents import FrameItem, KnobItem
from cocotb_tests.uvm.host import LARGEST, ChainItem, Host
from driver.steering import TO_DROP, TO_HOST, FlowKey, ListenerKey, Steering, to_queue
from sim.pins import DEFAULT_MAC

BEAT_BYTES = 64  # of the widest bus; the others divide it
THEIR_MAC, GROUP_MAC = bytes.fromhex("020000000099"), b"\xff" * 6


def octets(ipv6: int, address: int) -> bytes:
    return address.to_bytes(16 if ipv6 else 4, "big")


def any_tuple(rng: random.Random) -> Tuple:
    """A flow of the small space."""
    ipv6 = rng.randrange(2)
    ends = rng.choice(LOCALS[ipv6]), rng.choice(PEERS[ipv6])
    return Tuple(ipv6, rng.choice((TCP, UDP)), *ends, rng.choice(PORTS), rng.choice(PORTS))


def inbound(rng: random.Random, hot: Sequence[Tuple] = ()) -> bytes:
    """A frame for the NIC: mostly of the small space or of `hot` flows, else with anything in it."""
    if rng.random() < 0.25:
        frame = bytearray(random_frame(rng))
        if rng.random() < 0.8:
            frame[:6] = rng.choice((DEFAULT_MAC, DEFAULT_MAC, GROUP_MAC))
        return bytes(frame) + rng.randbytes(8)
    chosen = bool(hot) and rng.random() < 0.6
    asked = rng.choice(hot) if chosen else any_tuple(rng)
    recipe = Recipe(ether_type=0x86DD if asked.ipv6 else 0x0800, proto=asked.proto, rng=rng)
    recipe.macs = rng.choice((DEFAULT_MAC, DEFAULT_MAC, DEFAULT_MAC, GROUP_MAC, THEIR_MAC)) + THEIR_MAC
    recipe.src, recipe.dst = octets(asked.ipv6, asked.remote), octets(asked.ipv6, asked.local)
    recipe.ports = asked.remote_port.to_bytes(2, "big") + asked.local_port.to_bytes(2, "big")
    recipe.payload = rng.randbytes(rng.choice((8, 18, 19, 64, 200, rng.randint(8, 1400))))
    if chosen and rng.random() < 0.8:
        recipe.macs = DEFAULT_MAC + THEIR_MAC
        return make(recipe)
    recipe.tags = (0x8100,) * rng.choice((0, 0, 0, 0, 0, 1, 2))
    recipe.option_words = rng.choice((0, 0, 0, 0, 1, 10))
    recipe.fragment = rng.choice((0x4000, 0x4000, 0, 0, 0, 0x2000, 0x2010, 0x0010))
    recipe.l4_sum_error = rng.choice((0, 0, 0, 0, 1))
    recipe.proto = rng.choice((asked.proto,) * 8 + (ICMP,))
    return make(recipe)


class FrameSequence(uvm_sequence):
    """`count` frames from the wire; crowd: chance of no gap after the last one."""

    def __init__(
        self,
        rng: random.Random,
        count: int,
        hot: Sequence[Tuple] = (),
        crowd: float = 0.6,
        longest_gap_cycles: int = 120,
    ) -> None:
        super().__init__("frames")
        self.hot = hot
        self.rng, self.count, self.crowd, self.longest = rng, count, crowd, longest_gap_cycles

    async def body(self) -> None:
        rng = self.rng
        for _ in range(self.count):
            kind = rng.random()
            frame = rng.randbytes(rng.randint(1, 13)) if kind < 0.02 else inbound(rng, self.hot)
            if 0.05 < kind < 0.06:
                frame = frame[: rng.choice((14, 15))]
            gap = 0 if rng.random() < self.crowd else rng.randrange(self.longest)
            item = FrameItem(frame, bad=0.02 < kind < 0.05, gap_cycles=gap)
            await self.start_item(item)
            await self.finish_item(item)


class ChainSequence(uvm_sequence):
    """`count` chains of one pair: plain frames, checksum requests, TCP to be cut, short and forged ones."""

    def __init__(
        self, rng: random.Random, count: int, own: list[Tuple], others: list[Tuple], header_bytes: int
    ) -> None:
        super().__init__("chains")
        self.rng, self.count, self.own, self.others = rng, count, own, others
        self.header_bytes = header_bytes
        self.maker = FrameMaker(rng, SteerModel())

    def chain(self) -> bytes:
        rng = self.rng
        kind = rng.random()
        asked = rng.choice(self.own) if self.own and rng.random() < 0.8 else any_tuple(rng)
        if self.others and rng.random() < 0.05:
            asked = rng.choice(self.others)
        recipe = self.maker.recipe(asked, rng.choice((8, 64, 200, 700, 1400)))
        recipe.macs = THEIR_MAC + (DEFAULT_MAC if rng.random() < 0.95 else THEIR_MAC)
        if kind < 0.1:
            recipe = self.maker.spoiled(recipe)
        big = 0.1 < kind < 0.25 and asked.proto == TCP
        if big:
            recipe.payload = rng.randbytes(rng.randint(1000, LARGEST - 200))
        if rng.random() < 0.1:  # around the end of a beat
            recipe.payload += rng.randbytes((rng.choice((-1, 0, 1)) - len(make(recipe))) % BEAT_BYTES)
        frame, request = make(recipe), Request()
        if kind < 0.04:
            frame = frame[: rng.randint(1, 13) if kind < 0.02 else rng.choice((14, 15))]
        elif big or 0.25 < kind < 0.5:
            request = self.maker.request(asked, frame, honest=rng.random() < 0.9)
            request = replace(request, gso_size=rng.choice((536, 1448)) if request.gso_size else 0)
            request = replace(request, flags=request.flags & 1)
        fields = request.flags, request.gso_type, request.hdr_len, request.gso_size
        header = HEADER.pack(*fields, request.csum_start & 0xFFFF, request.csum_offset & 0xFFFF, 0)
        return header.ljust(self.header_bytes, b"\0") + frame

    async def body(self) -> None:
        for number in range(self.count):
            item = ChainItem(self.chain(), burst=number + 1 < self.count and self.rng.random() < 0.5)
            await self.start_item(item)
            await self.finish_item(item)


class TableChanges:
    """Inserts, deletes and redirects while frames fly; entries of `kept` are never touched."""

    def __init__(
        self,
        rng: random.Random,
        steering: Steering,
        pairs: int,
        hit: Callable[[str, str], None],
        pause_cycles: int = 300,
    ) -> None:
        self.rng, self.steering, self.pairs, self.pause = rng, steering, pairs, pause_cycles
        self.hit = hit
        self.over = False
        self.done = 0
        self.hot: deque[Tuple] = deque(maxlen=4)  # flows that were changed last, or are about to be

    def action(self) -> Any:
        return self.rng.choice((TO_HOST, TO_DROP, *(to_queue(p) for p in range(self.pairs)), to_queue(0)))

    async def own(self, asked: Tuple, pair: int) -> None:
        """Give a flow to a pair for good."""
        await self.steering.flows.insert(self.flow_key(asked), to_queue(pair))

    @staticmethod
    def flow_key(asked: Tuple) -> FlowKey:
        ends = octets(asked.ipv6, asked.local), octets(asked.ipv6, asked.remote)
        return FlowKey.of(asked.proto, ends[0], asked.local_port, ends[1], asked.remote_port)

    async def announce(self, asked: Tuple, host: Host) -> None:
        """Let frames of the flow come before it is changed."""
        self.hot.append(asked)
        await host.scene.cycles(self.rng.randrange(self.pause // 4))

    async def run(self, host: Host) -> None:
        """Until `over`: a task that is cancelled within an access leaves the BAR's sequencer locked."""
        rng, flows, listeners = self.rng, self.steering.flows, self.steering.listeners
        handles: list[tuple[Any, Any, Tuple]] = []
        while not self.over:
            await host.scene.cycles(rng.randrange(self.pause))
            asked = any_tuple(rng)
            deed = rng.random()
            if handles and (deed < 0.25 or len(handles) > 40):
                table, handle, asked = handles.pop(rng.randrange(len(handles)))
                await self.announce(asked, host)
                await table.delete(handle)
                self.hit("setting", "delete")
            elif handles and deed < 0.55:
                table, handle, asked = rng.choice(handles)
                await self.announce(asked, host)
                await table.redirect(handle, self.action())
                self.hit("setting", "redirect")
            elif deed < 0.8:
                key = self.flow_key(asked)
                await self.announce(asked, host)
                if flows.lookup(key) is None:
                    handles.append((flows, await flows.insert(key, self.action()), asked))
                    self.hit("setting", "insert")
            else:
                local = None if rng.random() < 0.4 else octets(asked.ipv6, asked.local)
                wanted = ListenerKey.of(asked.proto, local, asked.local_port, ipv6=bool(asked.ipv6))
                await self.announce(asked, host)
                if listeners.lookup(wanted) is None:
                    handles.append((listeners, await listeners.insert(wanted, self.action()), asked))
            self.done += 1


class MemoryWeather(uvm_sequence):
    """Turns the memory's knobs again and again."""

    def __init__(self, rng: random.Random, latencies: tuple[int, ...] = (1, 30, 250)) -> None:
        super().__init__("memory weather")
        self.rng, self.latencies = rng, latencies

    async def body(self) -> None:
        rng = self.rng
        while True:
            knobs = {
                "latency_cycles": rng.choice(self.latencies),
                "jitter_cycles": rng.choice((0, 50, 200)),
                "stall": rng.choice((0.0, 0.0, 0.05, 0.3)),
                "interleave": rng.choice((0.0, 0.3, 0.9)),
                "max_reads": rng.choice((256, 256, 7)),
                "max_writes": rng.choice((64, 64, 3)),
            }
            item = KnobItem(rng.randrange(200, 1500), **knobs)
            await self.start_item(item)
            await self.finish_item(item)


class StallWeather(uvm_sequence):
    """Turns the stalls of an agent that takes things (the wire, MSI-X)."""

    def __init__(self, rng: random.Random, *names: str) -> None:
        super().__init__("stalls")
        self.rng, self.names = rng, names

    async def body(self) -> None:
        while True:
            knobs = {name: self.rng.choice((0.0, 0.0, 0.1, 0.4)) for name in self.names}
            item = KnobItem(self.rng.randrange(100, 1000), **knobs)
            await self.start_item(item)
            await self.finish_item(item)
