# SPDX-License-Identifier: Apache-2.0
"""The scene of an attack: an innocent pair with known traffic, the attacker's pair, the privileged side."""

import struct
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

from cocotb_tests.frame_rules import HEADER_BYTES
from cocotb_tests.guard_frames import LOCALS, OWN_MAC, PEERS, FrameMaker
from cocotb_tests.model.steer_model import QUEUE, Info, Listener, SteerModel, Tuple
from cocotb_tests.parse_frames import TCP, UDP, Recipe, make
from cocotb_tests.raw_device import BASE_FEATURES
from cocotb_tests.raw_ring import Events, RawQueue
from cocotb_tests.rig import Rig
from cocotb_tests.scoreboard import Scoreboard
from cocotb_tests.traffic import Layout, Receiver, Sender, receiver, sender
from cocotb_tests.uvm.attack_judge import Range, WindowJudge, WireJudge, unchanged
from cocotb_tests.uvm.attacker import ARENA_BYTES, RING_SLOTS_MAX, Arena, Attacker, Hand
from driver.registers import Feature, StopReason
from driver.steering import FlowKey, Found, ListenerKey, Steering, to_queue
from driver.windows import Guard, Window

EVIL, GOOD = 1, 2  # queue pairs
FRAME_BYTES = 314
RING_SLOTS = 512  # a frame takes 6 cycles: 3,000 cycles of work, so that the ring never runs dry
POLL_CYCLES = 24
STUCK = 40  # offers that found no room
NO_MEMORY = Range(0x1234_5678_9000, 0x1234_5678_9FFF, True, True)  # a window over nothing: DECERR
FEATURES = BASE_FEATURES | sum(
    1 << feature
    for feature in (
        Feature.NET_CSUM,
        Feature.NET_HOST_TSO4,
        Feature.NET_HOST_TSO6,
        Feature.NET_HOST_ECN,
        Feature.NET_MRG_RXBUF,
        Feature.RING_INDIRECT_DESC,
    )
)
GOOD_FLOW = Tuple(0, UDP, LOCALS[0][0], PEERS[0][0], 5000, 6000)
EVIL_FLOW = Tuple(0, UDP, LOCALS[0][0], PEERS[0][0], 7000, 6000)


def tables() -> SteerModel:
    """Return what the privileged side gives out: both pairs own flows and listeners next to each other."""
    model = SteerModel(enabled=True)
    model.local = {0: (0, LOCALS[0][0]), 1: (1, LOCALS[1][0])}
    flows = [
        (GOOD_FLOW, GOOD),
        (EVIL_FLOW, EVIL),
        (Tuple(0, TCP, LOCALS[0][0], PEERS[0][0], 80, 443), EVIL),
        (Tuple(0, TCP, LOCALS[0][0], PEERS[0][0], 443, 80), GOOD),
        (Tuple(1, TCP, LOCALS[1][0], PEERS[1][0], 80, 443), EVIL),
        (Tuple(1, UDP, LOCALS[1][0], PEERS[1][0], 5000, 6000), GOOD),
        (Tuple(0, TCP, LOCALS[0][0], PEERS[0][0], 6000, 7000), GOOD),  # within the attacker's listener
    ]
    listeners = [
        (Listener(0, TCP, LOCALS[0][0], 6000), EVIL),
        (Listener(0, UDP, LOCALS[0][1], 5000), GOOD),
        (Listener(1, TCP, None, 7000), EVIL),
        (Listener(0, UDP, None, 443), EVIL),
        (Listener(0, UDP, LOCALS[0][0], 443), GOOD),
    ]
    for number, (flow, pair) in enumerate(flows):
        model.flows.write(number, flow, Info(QUEUE, pair, number, 0))
    for number, (listener, pair) in enumerate(listeners):
        model.listeners.write(number, listener, Info(QUEUE, pair, number, 0))
    return model


def octets(ipv6: int, address: int) -> bytes:
    return address.to_bytes(16 if ipv6 else 4, "big")


def packet(asked: Tuple, number: int, size: int, *, inwards: bool) -> bytes:
    """A UDP or TCP frame of `size` octets of a flow, with its number in the payload."""
    ends = octets(asked.ipv6, asked.local), octets(asked.ipv6, asked.remote)
    ports = asked.local_port.to_bytes(2, "big"), asked.remote_port.to_bytes(2, "big")
    macs = b"\2\xaa\0\0\0\1", OWN_MAC
    if inwards:
        ends, ports, macs = ends[::-1], ports[::-1], macs[::-1]
    head = 14 + (40 if asked.ipv6 else 20) + (20 if asked.proto == TCP else 8)
    recipe = Recipe(
        ether_type=0x86DD if asked.ipv6 else 0x0800,
        proto=asked.proto,
        macs=b"".join(macs),
        src=ends[0],
        dst=ends[1],
        ports=b"".join(ports),
        payload=struct.pack(">Q", number) * -(-(size - head) // 8),
    )
    recipe.payload = recipe.payload[: size - head]
    return make(recipe)


def window(r: Range) -> Window:
    """As the driver wants it."""
    return Window(r.low, r.last, r.read, r.write)


async def keep_busy(pump: Sender, frames: Iterator[bytes], pause_cycles: int = 0) -> None:
    """Send frames without end, with as many offered as the ring holds, or one now and then."""
    pump.queue.set_interrupts(Events.DISABLE)
    waiting: deque[bytes] = deque()
    while True:
        while len(waiting) < pump.queue.size_slots:
            waiting.append(next(frames))
        if pause_cycles:
            pump.reap()
            await pump._offer(deque([waiting.popleft()]))
            await pump.rig.cycles(pump.rig.rng.randrange(pause_cycles))
        elif not pump.reap() + await pump._offer(waiting):
            await pump.rig.cycles(POLL_CYCLES)


class InnocentBoard(Scoreboard):
    """The scoreboard, of all queues but the attacker's."""

    def _enable(self, number: int, setup: Any) -> None:
        if number // 2 != EVIL:
            super()._enable(number, setup)

    def _queue_reset(self, number: int, done: bool) -> None:
        if number // 2 != EVIL:
            super()._queue_reset(number, done)


class AttackRig(Rig):
    """Harness, innocent traffic with its scoreboard, the attacker, the judges."""

    def __init__(self, dut: Any, salt: object = "") -> None:
        super().__init__(dut, salt=salt, poison=False)
        harness = self.harness
        harness._mac = OWN_MAC
        self.tables = tables()
        self.board = InnocentBoard(harness.memory.view.read, harness.data_w // 8)
        self.board.queue_of = lambda frame: 2 * GOOD
        self.windows = WindowJudge((2 * EVIL, 2 * EVIL + 1), harness.data_w // 8)
        self.wire_judge = WireJudge(OWN_MAC, self.tables, EVIL)
        harness.bar_monitor.on_access[:] = [self.board.on_bar]
        harness.memory.on_read[:] = [self.windows.on_read, self._read]
        harness.memory.on_write[:] = [self.windows.on_write, self._write]
        harness.wire.sink.on_frame[:] = [self._wire_out]
        harness.wire.source.on_frame[:] = [self._wire_in]
        self.arena = Arena(harness.dma_alloc(ARENA_BYTES, 4096))
        self.good_bytes = self.evil_bytes = 0
        self.stops: Counter[str] = Counter()
        self.lives = 0
        self.fault_rate = 0.0  # chance that an access of the attacker's gets SLVERR
        self.redrawn = self.granted = 0  # changes of the windows, with its queues off and on
        harness.memory.fault = self._fault
        self.confined = True  # False: the windows are off, to see whether the judge notices
        self._good_in: set[bytes] = set()
        self._good_out: set[bytes] = set()
        self.sending: Sender
        self.receiving: Receiver
        self.attacker: Attacker

    # What the pins show ---------------------------------------------------------------------------------

    def _read(self, addr: int, size: int, queue: int, resp: int) -> None:
        if queue // 2 != EVIL:
            self.board.on_read(addr, size, queue, resp)

    def _write(self, addr: int, data: bytes, strobes: int, queue: int, resp: int) -> None:
        if queue // 2 != EVIL:
            self.board.on_write(addr, data, strobes, queue, resp)

    def _fault(self, kind: str, addr: int, size: int, queue: int) -> bool:
        return queue // 2 == EVIL and self.fault_rate > 0 and self.rng.random() < self.fault_rate

    def _wire_out(self, frame: bytes) -> None:
        self.wire.take()
        if frame in self._good_out:
            self._good_out.remove(frame)
            self.good_bytes += len(frame)
            self.board.on_wire_out(frame)
        else:
            self.evil_bytes += len(frame)
            self.wire_judge.on_attacker_frame(frame)

    def _wire_in(self, frame: bytes, bad: bool) -> None:
        if frame in self._good_in:
            self._good_in.remove(frame)
            self.board.on_wire_in(frame, bad)

    def check(self) -> None:
        """Raise on anything wrong so far."""
        super().check()
        self.windows.check()
        self.wire_judge.check()

    # The privileged side --------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Device up, tables and windows written, the innocent pair's queues enabled."""
        await self.start()
        bus = self.harness
        steering = await Steering.attach(bus, state=Found.EMPTY)
        for asked, info in self.tables.flows.slots.values():
            ends = octets(asked.ipv6, asked.local), octets(asked.ipv6, asked.remote)
            key = FlowKey.of(asked.proto, ends[0], asked.local_port, ends[1], asked.remote_port)
            await steering.flows.insert(key, to_queue(info.pair))
        for wanted, info in self.tables.listeners.slots.values():
            local = None if wanted.local is None else octets(wanted.ipv6, wanted.local)
            listener = ListenerKey.of(wanted.proto, local, wanted.local_port, ipv6=bool(wanted.ipv6))
            await steering.listeners.insert(listener, to_queue(info.pair))
        await steering.locals.set([octets(ipv6, address) for ipv6, address in self.tables.local.values()])
        await steering.enable()
        self.guard = Guard(bus)
        await self.device.negotiate(FEATURES)
        for queue in (2 * GOOD, 2 * GOOD + 1):
            await self.device.add_queue(queue, RING_SLOTS if queue & 1 else 128)
        await self.guard.guard(GOOD)
        await self.device.go()
        one = Layout(parts=lambda rng: 1)
        self.sending = sender(
            self, 2 * GOOD + 1, FRAME_BYTES, layout=one, mode=Events.DISABLE, burst=lambda rng: 64
        )
        self.receiving = receiver(self, 2 * GOOD, HEADER_BYTES + FRAME_BYTES, mode=Events.DISABLE)

    def good_frames(self) -> Iterator[bytes]:
        """The innocent pair's frames, without end."""
        number = 0
        while True:
            frame = packet(GOOD_FLOW, number, FRAME_BYTES, inwards=False)
            self._good_out.add(frame)
            yield frame
            number += 1

    async def receive_known(self) -> None:
        """Frames for the innocent pair, for ever; it gives buffers back at once."""
        pump, number = self.receiving, 0
        pump.queue.set_interrupts(Events.DISABLE)
        while True:
            pump.received += pump.reap()
            await pump.refill()
            frame = packet(GOOD_FLOW, number, FRAME_BYTES, inwards=True)
            number += 1
            self._good_in.add(frame)
            self.wire.send([frame])
            await self.cycles(self.rng.randrange(100))

    async def enable_evil(self) -> None:
        """Give the attacker its windows, and rings where it wants them (now and then: not its own)."""
        rng, arena = self.rng, self.arena
        if all(2 * EVIL + which in self.device.queues for which in (0, 1)):
            return
        if not self.lives:
            await self._set_windows(arena.windows)
            await self.guard.guard(EVIL)
        self.lives += 1
        for which in (0, 1):
            number = 2 * EVIL + which
            if number in self.device.queues:
                continue
            slots = rng.choice((8, 33, RING_SLOTS_MAX, RING_SLOTS_MAX))
            ring, driver, device = arena.areas(which)
            ring.view[:] = 0
            told = [ring.iova, driver.iova, device.iova]
            if rng.random() < 0.05:
                place = rng.randrange(3)
                told[place] = self.attacker.astray(64) % (1 << 64) & ~(15 if place == 0 else 3)
            await self.device.enable_flawed(number, slots, *told)
            self.device.queues[number] = RawQueue(number, slots, ring, driver, device)
            self.device.regions[number] = []
            self.attacker.hands[number] = Hand(number, ring, slots)
        self.attacker.malice = rng.choice((0.0, 0.02, 0.1, 0.4))
        self.fault_rate = rng.choice((0.0, 0.0, 0.0, 0.03))

    async def _set_windows(self, ranges: Sequence[Range]) -> None:
        """Set all windows while both queues are off: nothing may be touched meanwhile."""
        self.windows.ranges = []
        await self.guard.set_windows(EVIL, map(window, ranges), on=self.confined)
        self.windows.ranges = list(ranges)

    async def redraw(self) -> None:
        """Other windows: fewer, smaller, or over no memory. Takes both queues away."""
        rng, (rings, buffers, *rest) = self.rng, self.arena.windows
        for number in (2 * EVIL, 2 * EVIL + 1):
            if number in self.device.queues:
                await self.reset_evil(number)
        if rng.random() < 0.4:
            cut = rng.randrange(1, 0x2000)
            buffers = Range(buffers.low + cut, buffers.last - rng.randrange(0x2000), True, rng.random() < 0.8)
        ranges = [rings, buffers, *(r for r in rest if rng.random() < 0.5)]
        if len(ranges) < len(self.arena.windows) and rng.random() < 0.5:
            ranges.append(NO_MEMORY)
        await self._set_windows(ranges)
        self.redrawn += 1

    async def grant(self) -> None:
        """Give one more window while the queues work."""
        missing = [r for r in self.arena.windows[2:] if r not in self.windows.ranges]
        if missing and len(self.windows.ranges) < len(self.arena.windows):
            self.windows.ranges.append(missing[0])
            await self.guard.set_range(EVIL, len(self.windows.ranges) - 1, window(missing[0]))
            self.granted += 1

    async def reset_evil(self, number: int) -> None:
        self.attacker.hands.pop(number, None)
        await self.device.reset_queue(number)

    async def supervise(self) -> None:
        """For ever: reset what stopped, and sometimes what did not; give it back to the attacker."""
        rng = self.rng
        while True:
            await self.cycles(rng.randrange(20, 200))
            for number in (2 * EVIL, 2 * EVIL + 1):
                told = await self.device.stopped(number)
                if told.stopped:
                    self.stops[StopReason(told.reason).name] += 1
                hand = self.attacker.hands.get(number)
                if not told.stopped and hand is not None and hand.refused > STUCK:
                    self.stops["stuck"] += 1  # it damaged its own ring
                elif not told.stopped and rng.random() > 0.02:
                    continue
                await self.reset_evil(number)
            if self.confined and rng.random() < 0.03:
                await self.redraw()
            elif self.confined and rng.random() < 0.03:
                await self.grant()
            await self.enable_evil()

    async def assault(self) -> None:
        """The attacker's deeds, for ever."""
        while True:
            await self.cycles(self.rng.choice((2, 8, 20, 60)))
            queue = self.attacker.step()
            if queue is not None:
                await self.device.kick(queue)
            if self.rng.random() < 0.3:
                self.wire.send([self.lure()])

    def lure(self) -> bytes:
        """A frame that comes in for the attacker: it makes the device write to its memory."""
        rng = self.rng
        flow, _ = rng.choice([slot for slot in self.tables.flows.slots.values() if slot[1].pair == EVIL])
        return packet(flow, rng.getrandbits(64), rng.choice((80, 90, 128, 300, 1500)), inwards=True)

    def recruit(self) -> None:
        """Make the attacker."""
        others = [region.iova for queue in (4, 5) for region in self.device.regions[queue]]
        others += [self.sending.cells.region.iova, self.receiving.cells.region.iova]
        numbers = iter(range(1 << 40, 1 << 41))

        def stolen() -> bytes:
            """A frame that only the innocent may send."""
            return packet(GOOD_FLOW, next(numbers), FRAME_BYTES, inwards=False)

        maker = FrameMaker(self.rng, self.tables)
        self.attacker = Attacker(
            self.rng, self.arena, maker, EVIL, others, stolen, beat=self.harness.data_w // 8
        )
        pattern = self.rng.randbytes(ARENA_BYTES)
        self.arena.put(self.arena.region.iova, pattern)
        self.before = pattern

    def judge_memory(self) -> None:
        """What is not the attacker's in its arena must be as it was."""
        after = self.arena.region.view.tobytes()
        assert not (found := unchanged(self.before, after, self.arena.region.iova, self.arena.windows)), found
