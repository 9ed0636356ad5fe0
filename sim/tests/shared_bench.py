# SPDX-License-Identifier: Apache-2.0
"""Stacks in shared mode without a simulator: the arbiter and its switch, tables of dicts as the NIC, the host
stack at pair 0, and a peer at the other end of the wire.

Host stack and peer are stacks of userstack with addresses of their own, so ARP, pings and resets for unknown
ports come from there alone. Every frame at the wire is kept in `wire`.
"""

import random
from collections import Counter
from heapq import heappop, heappush
from ipaddress import IPv4Address
from typing import Any, ClassVar

from driver.arbiter.clients import Client
from driver.arbiter.frames import Packet, parse
from driver.arbiter.switch import Switch
from driver.registers import SteerTarget
from driver.tests.arbiter_bench import HERE, Bench
from driver.tuples import FlowKey, ListenerKey
from sim.shared_stack import ArbiterKernel, SharedHost
from userstack import Host, Stack, StackConfig, TcpConfig
from userstack.wire.arp import REQUEST, ArpPacket
from userstack.wire.ethernet import TYPE_ARP, EthernetFrame

MAC, PEER_MAC = bytes((2, 0, 0, 0, 0, 1)), bytes((2, 0, 0, 0, 0, 9))
HERE_IP, HERE_TOO_IP, PEER_IP = "10.0.0.1", "10.0.0.2", "10.0.0.9"
DELAY_NS = 10_000
TO_NIC, TO_PEER = 0, 1


class Seat:
    """One stack in shared mode. `hidden` frames are those that the flow guard kept inside."""

    def __init__(self, net: "SharedNet", client: Client, config: StackConfig, seed: int) -> None:
        self.client = client
        self.told = net.bench.told[client.stack]
        self.told.clear()
        self.kernel = ArbiterKernel(
            lambda request: net.bench.arbiter.request(client.stack, request, net.now_ns)
        )
        self.host = Host(Stack(config, random.Random(seed), shared=self.kernel))
        self.port = SharedHost(self.host, self.kernel, self.told)
        self.hidden: list[bytes] = []


class SharedNet:
    """`run` moves frames, requests and time until something holds."""

    made: ClassVar[list["SharedNet"]] = []

    def __init__(self, seed: int = 1, *, flows: int = 1000, listeners: int = 100, **tcp: Any) -> None:
        print(f"{seed=}")
        self.bench = Bench(seed, flows=flows, listeners=listeners)
        self.switch = Switch(self.bench.arbiter, random.Random(seed), MAC)
        self._seed, self._tcp = seed, TcpConfig(**tcp)
        self.hosts = [self._plain(MAC, ip) for ip in (HERE_IP, HERE_TOO_IP)]  # the host stack's addresses
        self.peer = self._plain(PEER_MAC, PEER_IP)
        self.seats: list[Seat] = []
        self.wire: list[tuple[int, int, bytes]] = []  # time, direction, frame
        self.counts: Counter[str] = Counter()
        self._flight: list[tuple[int, int, int, bytes]] = []
        self.made.append(self)

    def _plain(self, mac: bytes, ip: str) -> Host:
        return Host(Stack(StackConfig(mac.hex(":"), ip, tcp=self._tcp), random.Random(f"{ip} {self._seed}")))

    @property
    def now_ns(self) -> int:
        return self.bench.now_ns

    def seat(self, **quota: int) -> Seat:
        """A new stack at the shared address."""
        config = StackConfig(MAC.hex(":"), HERE_IP, tcp=self._tcp)
        seat = Seat(self, self.bench.attach(**quota), config, self._seed * 100 + len(self.seats))
        self.seats.append(seat)
        return seat

    @classmethod
    def end_all(cls) -> None:
        """End the programs of all nets."""
        for net in cls.made:
            for host in (net.peer, *net.hosts, *(seat.host for seat in net.seats)):
                host.cancel_all()
        cls.made.clear()

    def kill(self, seat: Seat) -> None:
        """A stack is gone from one moment to the next."""
        self.seats.remove(seat)
        self.bench.arbiter.vanish(seat.client.stack, self.now_ns)
        seat.host.cancel_all()

    # Frames -------------------------------------------------------------------------------------------

    def _carry(self, direction: int, frame: bytes) -> None:
        self.wire.append((self.now_ns, direction, frame))
        heappush(self._flight, (self.now_ns + DELAY_NS, len(self.wire), direction, frame))

    def inject(self, frame: bytes) -> None:
        """A frame from somewhere else comes in at the NIC."""
        self._carry(TO_NIC, frame)

    def _from_wire(self, frame: bytes) -> None:
        packet = parse(frame)
        target = None if packet is None else self._entry(packet.dst, packet.src, _ports(packet))
        if target is None or target.target is SteerTarget.HOST:
            host = self.switch.from_nic([frame], self.now_ns)
            for one in host:
                self._learn(one)
            for plain in self.hosts:
                plain.on_frames(host, self.now_ns)
        elif target.target is SteerTarget.QUEUE:
            stack = self.bench.hardware.open[target.pair].stack
            for seat in self.seats:
                if seat.client.stack == stack:
                    seat.port.on_frames([frame], self.now_ns)

    def _entry(self, local: bytes, remote: bytes, ports: tuple[int, int, int]) -> Any:
        proto, local_port, remote_port = ports
        if proto not in (6, 17) or len(local) != 4:
            return None
        tables, here = self.bench.hardware.tables, IPv4Address(local)
        keys = (
            FlowKey(proto, here, local_port, IPv4Address(remote), remote_port),
            ListenerKey(proto, here, local_port, False),
            ListenerKey(proto, None, local_port, False),
        )
        return next((tables[key] for key in keys if key in tables), None)

    def _learn(self, frame: bytes) -> None:
        """The host's neighbours are the arbiter's."""
        ethernet = EthernetFrame.decode(frame)
        if ethernet.ethertype == TYPE_ARP:
            packet = ArpPacket.decode(ethernet.payload)
            self.set_mac(packet.sender_ip.to_bytes(4, "big"), packet.sender_mac)

    def set_mac(self, hop: bytes, mac: bytes | None) -> None:
        """The host knows a neighbour's address, or lost it."""
        if self.bench.routes.set_mac(hop, mac):
            self.bench.arbiter.resolved(hop)
            if mac is not None:
                self.switch.resolved(hop)

    def _send(self, seat: Seat) -> None:
        """The flow guard: only what an entry of this pair could receive an answer for."""
        for frame in seat.port.take_frames():
            packet = parse(frame)
            action = None
            if packet is not None:
                ports = (packet.proto, packet.src_port, packet.dst_port)
                action = self._entry(packet.src, packet.dst, ports)
            if action is not None and action.pair == seat.client.pair and frame[6:12] == MAC:
                self._carry(TO_PEER, frame)
            else:
                seat.hidden.append(frame)
        seat.kernel.flush(sent=True)

    def _exchange(self) -> None:
        """Everything that needs no time."""
        for _ in range(50):
            self.bench.work()
            for hop in self.bench.routes.take_wanted():
                ask = ArpPacket(
                    REQUEST, MAC, int.from_bytes(HERE, "big"), bytes(6), int.from_bytes(hop, "big")
                )
                self._carry(TO_PEER, EthernetFrame(b"\xff" * 6, MAC, TYPE_ARP, ask.encode()).encode())
            for seat in self.seats:
                seat.port.run(self.now_ns)
                self._send(seat)
            self.bench.work()
            for frame in self.switch.take_out():
                self._carry(TO_PEER, frame)
            if not any(seat.told or seat.kernel.waiting for seat in self.seats):
                break
        for host, direction in (*((plain, TO_PEER) for plain in self.hosts), (self.peer, TO_NIC)):
            host.run(self.now_ns)
            for frame in host.take_frames():
                self._carry(direction, frame)

    # Time ---------------------------------------------------------------------------------------------

    def run(self, until: Any = None, limit_ns: int = 3600 * 10**9) -> None:
        """Until `until()` holds, or for `limit_ns`; AssertionError if it never does."""
        end_ns = self.now_ns + limit_ns
        while True:
            self._exchange()
            if until is not None and until():
                return
            ports = [seat.port.next_deadline_ns() for seat in self.seats]
            plain = [host.next_deadline_ns() for host in (*self.hosts, self.peer)]
            times = [*ports, *plain, self.switch.next_deadline_ns(), self.bench.arbiter.next_deadline_ns()]
            times.append(self._flight[0][0] if self._flight else None)
            due_ns = min((at for at in times if at is not None), default=end_ns + 1)
            if due_ns > end_ns:
                assert until is None, f"at {self.now_ns}: {self._waits()}"
                self.bench.now_ns = end_ns
                return
            self.bench.now_ns = max(self.now_ns, due_ns)
            self._step()

    def _waits(self) -> list[str]:
        hosts = [self.peer, *self.hosts, *(seat.host for seat in self.seats)]
        return [line for host in hosts for line in host.describe_waits()]

    def _step(self) -> None:
        self.bench.arbiter.on_timer(self.now_ns)
        self.switch.on_timer(self.now_ns)
        while self._flight and self._flight[0][0] <= self.now_ns:
            _, _, direction, frame = heappop(self._flight)
            if direction == TO_NIC:
                self._from_wire(frame)
            else:
                self.peer.on_frames([frame], self.now_ns)

    # What was seen ------------------------------------------------------------------------------------

    def resets(self) -> list[Packet]:
        """TCP resets from this side of the wire."""
        return [packet for packet in self.sent(6) if packet[0][packet[1].l4 + 13] & 4]  # type: ignore[misc]

    def sent(self, proto: int) -> list[tuple[bytes, Packet]]:
        """Frames of a protocol that left by the NIC."""
        found = []
        for _, direction, frame in self.wire:
            packet = parse(frame) if direction == TO_PEER else None
            if packet is not None and packet.proto == proto:
                found.append((frame, packet))
        return found

    def check(self) -> None:
        """Registry and tables agree; nothing that a stack sent was kept inside; frames are all accounted
        for."""
        self.bench.check()
        for seat in self.seats:
            stats = seat.host.stack.stats
            assert seat.hidden == []
            assert stats.frames_in == stats.frames_accepted + sum(stats.drops.values())
            assert stats.arp_requests == stats.arp_replies == stats.icmp_errors_out == 0


def _ports(packet: Packet) -> tuple[int, int, int]:
    return packet.proto, packet.dst_port, packet.src_port
