# SPDX-License-Identifier: Apache-2.0
"""The host's side of the virtqueues as agents: a transmit agent a pair with chains as items, and receivers.

The BAR is reached only through the BAR agent's sequencer (`SequencerBus`), so every access is an item there.
"""

import random
from collections.abc import Collection
from typing import Any

from cocotb.triggers import ClockCycles
from pyuvm import ConfigDB, uvm_agent, uvm_component, uvm_driver, uvm_sequence_item, uvm_sequencer

from cocotb_tests.raw_device import RawDevice
from cocotb_tests.raw_ring import Events, RingFull
from cocotb_tests.traffic import Receiver, Sender, receiver, sender
from cocotb_tests.uvm.agents import BarItem, OneItem
from cocotb_tests.uvm.ring_monitor import RingMonitor
from driver.bus import DmaRegion
from sim.pins import PinsHarness

LARGEST = 6000  # octets of a chain with its header


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


class ChainItem(uvm_sequence_item):
    """Octets with header to be sent by a pair; burst: more follow before the doorbell."""

    def __init__(self, octets: bytes, burst: bool = False) -> None:
        super().__init__("chain")
        self.octets, self.burst = octets, burst


class TransmitDriver(uvm_driver):
    """Offers chains on one transmit queue, asleep while the ring is full."""

    pump: Sender

    async def run_phase(self) -> None:
        while True:
            item = await self.seq_item_port.get_next_item()
            await self.offer(item)
            self.seq_item_port.item_done()

    async def offer(self, item: ChainItem) -> None:
        pump, queue = self.pump, self.pump.queue
        while True:
            since, free = type(queue.next_avail)(queue.next_avail.slot, queue.next_avail.wrap), queue.free
            try:
                if pump.cells.free:
                    pump.post(item.octets)
                    break
            except RingFull:
                pass
            if not pump.reap():
                await self.kick()
                await pump.sleep()
        self.held = getattr(self, "held", None) or (since, 0)
        self.held = self.held[0], self.held[1] + free - queue.free
        if not item.burst:
            await self.kick()
        pump.reap()

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
        self.receivers: list[Receiver] = []

    def attach(self, bus: SequencerBus, board: RingMonitor) -> None:
        """Say how the device is reached and who watches its rings."""
        self.device = RawDevice(bus)
        self.scene: Any = Scene(self.harness, self.device, board, self.rng)

    async def bring_up(self, features: int, slots: int) -> None:
        """Negotiate, enable all queues; ring sizes differ from queue to queue."""
        await self.device.negotiate(features)
        for queue in range(2 * self.pairs):
            await self.device.add_queue(queue, slots + 3 * queue)
        await self.device.go()
        modes = (Events.ENABLE, Events.DESC, Events.DISABLE)
        for pair, agent in enumerate(self.transmit):
            mode = self.rng.choice(modes)
            agent.driver.pump = sender(self.scene, 2 * pair + 1, LARGEST, cells=24, spread=5, mode=mode)
            agent.driver.pump.queue.set_interrupts(Events.DISABLE)
        self.receivers = [
            receiver(self.scene, 2 * pair, 2048, spread=5, cells=48) for pair in range(self.pairs)
        ]

    async def receive(self, pair: int) -> None:
        """Give the pair buffers, for ever."""
        pump = self.receivers[pair]
        pump.queue.set_interrupts(Events.DISABLE)
        while True:
            pump.received += pump.reap()
            if pair not in self.starved:
                await pump.refill()
            await self.scene.cycles(self.rng.randrange(20, 200))

    async def drain(self) -> None:
        """Wait until all that was offered for sending is used."""
        for agent in self.transmit:
            await agent.driver.kick()
            while agent.driver.pump.queue.outstanding:
                agent.driver.pump.reap()
                await self.scene.cycles(50)
