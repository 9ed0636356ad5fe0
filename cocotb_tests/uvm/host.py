# SPDX-License-Identifier: Apache-2.0
"""The host's side of the virtqueues as agents: a transmit agent a pair with chains as items, and receivers.

The BAR is reached only through the BAR agent's sequencer (`SequencerBus`), so every access is an item there.
"""

import random
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from cocotb.triggers import ClockCycles
from pyuvm import ConfigDB, uvm_agent, uvm_component, uvm_driver, uvm_sequence_item, uvm_sequencer

from cocotb_tests.packed_walk import DESC, INDIRECT, WRITE
from cocotb_tests.raw_device import RawDevice
from cocotb_tests.raw_ring import Events, RawQueue, RingFull
from cocotb_tests.traffic import Receiver, Sender, receiver, sender
from cocotb_tests.uvm.agents import BarItem, OneItem
from cocotb_tests.uvm.ring_monitor import RingMonitor
from driver.bus import DmaRegion
from driver.registers import Feature
from sim.pins import PinsHarness

LARGEST = 6000  # octets of a chain with its header
TABLE_SLOTS = 8  # most descriptors of an indirect table
TABLE_CHANCE = 0.3
REST_CYCLES = 20


class SequencerBus:
    """driver.bus.Bus whose accesses are items of the BAR agent."""

    def __init__(self, sequencer: uvm_sequencer, harness: PinsHarness) -> None:
        self._sequencer, self._harness = sequencer, harness

    async def read(self, offset_bytes: int, width_bytes: int = 4) -> int:
        item = BarItem(False, offset_bytes, 0, width_bytes)
        await OneItem(item).start(self._sequencer)
        return item.value

    async def write(self, offset_bytes: int, value: int, width_bytes: int = 4) -> None:
        await OneItem(BarItem(True, offset_bytes, value, width_bytes)).start(self._sequencer)

    def dma_alloc(self, size_bytes: int, align_bytes: int = 64) -> DmaRegion:
        return self._harness.dma_alloc(size_bytes, align_bytes)

    def dma_free(self, region: DmaRegion) -> None:
        self._harness.dma_free(region)

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        return await self._harness.wait_irq(vectors, timeout_ns)

    def now_ns(self) -> int:
        return self._harness.now_ns()


class Scene:
    """What cocotb_tests.traffic needs of a rig."""

    def __init__(
        self, harness: PinsHarness, device: RawDevice, board: RingMonitor, rng: random.Random
    ) -> None:
        self.harness, self.device, self.board, self.rng = harness, device, board, rng

    async def cycles(self, count: int) -> None:
        if count:
            await ClockCycles(self.harness.dut.clk, count)


class TableQueue(RawQueue):
    """Some of its chains are indirect tables (VIRTIO 1.2 section 2.8.8), each at a place of its buffer id."""

    def __init__(self, plain: RawQueue, tables: DmaRegion, rng: random.Random) -> None:
        super().__init__(plain.number, plain.size_slots, plain.desc, plain.driver, plain.device)
        self._tables, self._rng = tables, rng

    def offer(self, elements: Sequence[tuple[int, int]], *, device_writes: bool) -> int:
        """As RawQueue.offer; RingFull."""
        rng = self._rng
        if not self._ids or len(elements) > TABLE_SLOTS or rng.random() > TABLE_CHANCE:
            return super().offer(elements, device_writes=device_writes)
        bits = WRITE if device_writes else 0
        table = b"".join(DESC.pack(addr, size, rng.getrandbits(16), bits) for addr, size in elements)
        at = DESC.size * TABLE_SLOTS * self._ids[-1]
        self._tables.view[at : at + len(table)] = np.frombuffer(table, np.uint8)
        return self.offer_raw([(self._tables.iova + at, len(table), INDIRECT)])


class ChainItem(uvm_sequence_item):
    """Octets with header to be sent by a pair; burst: more follow before the doorbell."""

    def __init__(self, octets: bytes, burst: bool = False) -> None:
        super().__init__("chain")
        self.octets, self.burst = octets, burst


class TransmitDriver(uvm_driver):
    """Offers chains on one transmit queue, asleep while the ring is full."""

    pump: Sender
    paused = False  # the queue is about to be taken away; not `busy`: it may be
    busy = False
    waits = 0  # times that the ring was full

    async def run_phase(self) -> None:
        while True:
            item = await self.seq_item_port.get_next_item()
            await self.offer(item)
            self.seq_item_port.item_done()

    async def offer(self, item: ChainItem) -> None:
        self.busy = True
        while True:
            if self.paused:
                self.busy = False
                await self.pump.rig.cycles(REST_CYCLES)
                self.busy = True
                continue
            pump, queue = self.pump, self.pump.queue
            since, free = type(queue.next_avail)(queue.next_avail.slot, queue.next_avail.wrap), queue.free
            try:
                if pump.cells.free:
                    pump.post(item.octets)
                    break
            except RingFull:
                pass
            if not pump.reap():
                self.waits += 1
                await self.kick()
                await pump.sleep()
        self.held = getattr(self, "held", None) or (since, 0)
        self.held = self.held[0], self.held[1] + free - queue.free
        if not item.burst:
            await self.kick()
        if self.pump is pump:
            pump.reap()
        self.busy = False

    async def kick(self) -> None:
        """Ring the doorbell for what was offered since the last time, if the device wants it."""
        held = getattr(self, "held", None)
        self.held = None
        if held:
            await self.pump.kick(*held)


class TransmitAgent(uvm_agent):
    """One pair's transmit queue; what is offered is published by the ring monitor."""

    def build_phase(self) -> None:
        super().build_phase()
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = TransmitDriver("driver", self)

    def connect_phase(self) -> None:
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)


class Host(uvm_component):
    """All queues of a device: transmit agents, and receivers that keep their rings filled."""

    def build_phase(self) -> None:
        self.harness: PinsHarness = ConfigDB().get(self, "", "harness")
        self.pairs: int = ConfigDB().get(self, "", "pairs")
        self.rng: random.Random = ConfigDB().get(self, "", "rng")
        self.transmit = [TransmitAgent(f"transmit{pair}", self) for pair in range(self.pairs)]
        self.starved: set[int] = set()  # pairs that get no fresh buffers
        self.paused: set[int] = set()  # pairs whose receive queue is about to be taken away
        self.busy: set[int] = set()
        self.receivers: list[Receiver] = []

    def attach(self, bus: SequencerBus, board: RingMonitor) -> None:
        """Say how the device is reached and who watches its rings."""
        self.device = RawDevice(bus)
        self.scene: Any = Scene(self.harness, self.device, board, self.rng)

    async def bring_up(self, features: int, slots: int) -> None:
        """Negotiate, enable all queues; ring sizes differ from queue to queue."""
        self.features, self.slots = features, slots
        modes = (Events.ENABLE, Events.DESC, Events.DISABLE)
        # What is taken away sleeps by polling: an interrupt of a queue that stopped never comes.
        self.modes = [self.rng.choice(modes) for _ in range(self.pairs)]
        self.modes[self.rng.randrange(self.pairs)] = Events.DISABLE
        await self.device.negotiate(features)
        for queue in range(2 * self.pairs):
            await self._add(queue)
        await self.device.go()
        self.receivers = [self._receiver(pair) for pair in range(self.pairs)]
        for pair, agent in enumerate(self.transmit):
            agent.driver.pump = self._sender(pair)

    async def _add(self, number: int) -> None:
        raw = await self.device.add_queue(number, self.slots + 3 * number)
        if self.features >> Feature.RING_INDIRECT_DESC & 1:
            tables = self.harness.dma_alloc(DESC.size * TABLE_SLOTS * raw.size_slots, 16)
            self.device.regions[number].append(tables)
            self.device.queues[number] = TableQueue(raw, tables, self.rng)

    def _sender(self, pair: int) -> Sender:
        mode = self.modes[pair]
        pump = sender(self.scene, 2 * pair + 1, LARGEST, cells=24, spread=5, mode=mode)
        pump.queue.set_interrupts(Events.DISABLE)
        return pump

    def _receiver(self, pair: int) -> Receiver:
        pump = receiver(self.scene, 2 * pair, 2048, spread=5, cells=48)
        pump.queue.set_interrupts(Events.DISABLE)
        return pump

    @property
    def mortal(self) -> list[int]:
        """Virtqueues that may be taken away."""
        polled = [pair for pair, mode in enumerate(self.modes) if mode is Events.DISABLE]
        return [*(2 * pair + 1 for pair in polled), *range(0, 2 * self.pairs, 2)]

    async def pause(self, queues: Collection[int]) -> None:
        """Keep hands off these queues."""
        for queue in queues:
            if queue & 1:
                driver = self.transmit[queue // 2].driver
                driver.paused = True
                while driver.busy:
                    await self.scene.cycles(REST_CYCLES)
            else:
                self.paused.add(queue // 2)
                while queue // 2 in self.busy:
                    await self.scene.cycles(REST_CYCLES)

    def state(self) -> str:
        """One line for messages."""
        pumps = [*(agent.driver.pump for agent in self.transmit), *self.receivers]
        rest = f"paused {sorted(self.paused)}, starved {sorted(self.starved)}, modes {self.modes}"
        return "; ".join([*(f"{pump.state()}, {len(pump.cells.free)} cells" for pump in pumps), rest])

    def outstanding(self, queue: int) -> int:
        """Chains that the device has."""
        return self.device.queues[queue].outstanding

    async def restart(self, queue: int) -> None:
        """Reset a queue, give its memory back, begin again."""
        await self.pause([queue])
        pair = queue // 2
        pump = self.transmit[pair].driver.pump if queue & 1 else self.receivers[pair]
        await self.device.reset_queue(queue)
        self.harness.dma_free(pump.cells.region)
        await self._add(queue)
        if queue & 1:
            self.transmit[pair].driver.pump = self._sender(pair)
        else:
            self.receivers[pair] = self._receiver(pair)
        self._resume(queue)

    async def restart_device(self) -> None:
        """Reset the device with everything under way, and bring it up again."""
        queues = range(2 * self.pairs)
        polled = [2 * pair + 1 for pair, mode in enumerate(self.modes) if mode is not Events.DISABLE]
        for queue in polled:  # from now on they poll: no interrupt may come
            self.transmit[queue // 2].driver.pump.mode = Events.DISABLE
        await self.pause(queues)
        pumps = [*self.receivers, *(agent.driver.pump for agent in self.transmit)]
        await self.device.reset()
        for pump in pumps:
            self.harness.dma_free(pump.cells.region)
        await self.bring_up(self.features, self.slots)
        for queue in queues:
            self._resume(queue)

    def _resume(self, queue: int) -> None:
        if queue & 1:
            driver = self.transmit[queue // 2].driver
            driver.held, driver.paused = None, False
        else:
            self.paused.discard(queue // 2)

    async def receive(self, pair: int) -> None:
        """Give the pair buffers, for ever."""
        while True:
            if pair not in self.paused:
                self.busy.add(pair)
                pump = self.receivers[pair]
                pump.received += pump.reap()
                if pair not in self.starved:
                    await pump.refill()
                self.busy.discard(pair)
            await self.scene.cycles(self.rng.randrange(20, 200))

    async def drain(self) -> None:
        """Wait until all that was offered for sending is used."""
        for agent in self.transmit:
            await agent.driver.kick()
            while agent.driver.pump.queue.outstanding:
                agent.driver.pump.reap()
                await self.scene.cycles(50)
