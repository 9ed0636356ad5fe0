# SPDX-License-Identifier: Apache-2.0
"""The arbiter on the fast harness: registry, switch and worker around one NIC, stacks' channels in this
process.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from driver.arbiter import messages as msg
from driver.arbiter.arbiter import Arbiter
from driver.arbiter.clients import Client, Clients, Credentials, Quota, State
from driver.arbiter.mirror import Mirror
from driver.arbiter.pairs import ChannelPairs
from driver.arbiter.registry import Registry
from driver.arbiter.routes import Route, Routes
from driver.arbiter.switch import Switch
from driver.arbiter.worker import Worker
from driver.bus import DmaRegion
from driver.channel import Channel, Shape
from driver.nic import NicConfig, TupeloNic
from driver.scheduling import READ_COST_BYTES, set_read_cost
from driver.steering import Found, Steering
from driver.windows import Guard, Window
from sim.fast import FastHarness


class HarnessPort:
    """The ChannelPort of a stack in the simulator's process; doorbells that are not its own are ignored."""

    def __init__(self, harness: FastHarness, pairs: ChannelPairs, stack: int) -> None:
        self._harness, self._pairs, self._stack = harness, pairs, stack
        self.wait_irq = harness.wait_irq
        self.now_ns = harness.now_ns

    async def ring(self, doorbell_bytes: int, value: int, width_bytes: int) -> None:
        """Hand a doorbell on."""
        if doorbell_bytes in self._pairs.doorbells(self._stack):
            await self._harness.write(doorbell_bytes, value, width_bytes)


@dataclass(slots=True)
class Seat:
    """One stack: what the arbiter knows, its memory, its end of the channel, what it has been told."""

    client: Client
    region: DmaRegion
    told: list[msg.Event]
    channel: Channel | None = None


class ArbiterRig:
    """Start with `await ArbiterRig.start(...)`; pair 0 is a NIC of its own for the host's side."""

    def __init__(
        self, harness: FastHarness, nic: TupeloNic, steering: Steering, pairs: int, seed: int
    ) -> None:
        assert nic.net is not None and nic.net.mac is not None
        rng = random.Random(f"arbiter {seed}")
        self.harness, self.nic, self.steering = harness, nic, steering
        self.mac = nic.net.mac
        self.pairs = ChannelPairs(nic.device, Guard(harness))
        self.routes = Routes()
        self.arbiter = Arbiter(Registry(rng), Mirror(), Clients(pairs), self.routes)
        self.switch = Switch(self.arbiter, rng, self.mac)
        self.worker = Worker(self.arbiter, steering, self.pairs)
        self.seats: dict[int, Seat] = {}
        self.host_frames: list[bytes] = []
        # Stacks that sit elsewhere (sim.channel_host): what they are told, and whose memory is free.
        self.tell_others: Callable[[int, msg.Event], object] = lambda stack, event: None
        self.free_others: Callable[[int], object] = lambda stack: None

    @classmethod
    async def start(
        cls, harness: FastHarness, addresses: list[str], prefix_bits: int, seed: int
    ) -> "ArbiterRig":
        """Bring the NIC up with one pair for the host; the rest is for stacks."""
        nic = TupeloNic(harness)
        identity = await nic.device.identify()
        await nic.start(NicConfig(channel_pairs=identity.queue_pairs - 1))
        steering = await Steering.attach(harness, state=Found.EMPTY)
        await steering.enable()
        await set_read_cost(harness, READ_COST_BYTES)  # stacks do not trust each other
        rig = cls(harness, nic, steering, identity.queue_pairs, seed)
        routes = []
        for text in addresses:
            address = ip_address(text)
            await steering.locals.add(address)
            rig.arbiter.add_address(address.packed)
            routes.append(Route(address.packed, prefix_bits, address.packed))
        rig.routes.set(routes)
        return rig

    def shape(self, slots: int = 64, buffer_bytes: int = 2048) -> Shape:
        """A channel's shape on this device; its pair and doorbells are set when it is opened."""
        return Shape(0, slots, slots, buffer_bytes, self.nic.device.features, 9728, 64)

    def attach(self, **quota: int) -> Seat:
        """A stack in an arena of its own; it is ready when `work` has run."""
        shape = self.shape()
        region = self.harness.dma_alloc(shape.arena_bytes, 4096)
        windows = [Window.of(region)]
        client = self.arbiter.attach(Credentials(0, 0, 0), windows, quota=Quota(**quota))
        self.pairs.give_arena(client.stack, shape, region)
        seat = self.seats[client.stack] = Seat(client, region, [])
        return seat

    def resume(self, seat: Seat) -> None:
        """Give a suspended stack memory again."""
        shape = self.shape()
        seat.region = self.harness.dma_alloc(shape.arena_bytes, 4096)
        self.pairs.give_arena(seat.client.stack, shape, seat.region)
        self.arbiter.resume(seat.client.stack, [Window.of(seat.region)])

    async def work(self) -> None:
        """Run all jobs, hand out events, free arenas, open the channels of pairs that are ready."""
        await self.worker.run()
        for stack, event in self.arbiter.take_events():
            if stack in self.seats:
                self.seats[stack].told.append(event)
            else:
                self.tell_others(stack, event)
        for stack in self.arbiter.take_released():
            if stack not in self.seats:
                self.free_others(stack)
                continue
            seat = self.seats[stack]
            seat.channel = None
            self.harness.dma_free(seat.region)
            if self.arbiter.clients.find(stack) is None:
                del self.seats[stack]
        for seat in self.seats.values():
            if seat.channel is None and seat.client.state is State.ACTIVE:
                port = HarnessPort(self.harness, self.pairs, seat.client.stack)
                seat.channel = Channel(self.pairs.shape(seat.client.stack), seat.region, port)
                await seat.channel.start()

    async def move_host_frames(self) -> None:
        """What came in at pair 0 goes through the switch; what the arbiter sends itself goes out there."""
        self.host_frames += self.switch.from_nic(self.nic.recv(), self.harness.now_ns())
        await self.nic.send_all(self.switch.take_out())
        await self.nic.flush()

    async def differences(self) -> list[str]:
        """What is wrong between registry, mirror, and the slots that the NIC holds, read back from it."""
        found = self.arbiter.differences()
        wanted = self.arbiter.mirror.actual()
        await self.steering.rebuild()
        held = {
            entry.key: entry.action
            for table in (self.steering.flows, self.steering.listeners)
            for entry in table
        }
        for key in wanted.keys() | held.keys():
            if wanted.get(key) != held.get(key):
                found.append(f"{key}: the NIC has {held.get(key)}, the mirror {wanted.get(key)}")
        return found + [f"{job}: {error}" for job, error in self.worker.errors]
