# SPDX-License-Identifier: Apache-2.0
"""Frames at queue pair 0, between the NIC and the host stack: whose they are, what the arbiter does itself.

From the NIC come all frames that no entry leads elsewhere, so this is also where software forwarding happens:
a frame of a tuple that has no place in the NIC's tables, a datagram in fragments, a multicast for a listener,
an ICMP error about a stack's flow. The rest is the host stack's, untouched. docs/arbiter.md has the order.
"""

import struct
from collections import Counter
from collections.abc import Iterable

from driver.arbiter import messages as msg
from driver.arbiter.arbiter import Arbiter
from driver.arbiter.clients import State
from driver.arbiter.entries import PORT_PROTOS, Entry, EntryFlag
from driver.arbiter.fragments import Fragments
from driver.arbiter.frames import ETH_BYTES, ICMP, ICMPV6, TYPE_IPV4, TYPE_IPV6, Packet, parse
from driver.arbiter.resetter import Answer, Randomness, Resetter

# Errors about a packet of ours, by type.
ERRORS4 = frozenset((3, 4, 11, 12))  # RFC 792
ERRORS6 = frozenset((1, 2, 3, 4))  # RFC 4443
UNREACHABLE4, FRAGMENTATION_NEEDED, PACKET_TOO_BIG = 3, 4, 2


class Switch:
    """The arbiter's part of the data path. `counts`: frames by what became of them."""

    def __init__(self, arbiter: Arbiter, rng: Randomness, mac: bytes) -> None:
        self.mac = mac
        self.counts: Counter[str] = Counter()
        self.fragments = Fragments()
        self.resetter = Resetter(rng)
        self._arbiter = arbiter
        self._out: list[bytes] = []
        self._waiting: dict[bytes, list[Answer]] = {}  # by next hop

    # From the NIC -------------------------------------------------------------------------------------

    def from_nic(self, frames: Iterable[bytes], now_ns: int) -> list[bytes]:
        """Take what came in at pair 0; return what is the host stack's, in order."""
        host: list[bytes] = []
        for frame in frames:
            packet = parse(frame)
            if packet is None or not self._arbiter.shared:
                self._host(host, frame)
            elif packet.fragment or packet.more:
                held = self.fragments.add(frame, packet, now_ns)
                for one, _ in held:
                    self._sort(host, one, held[0][1], now_ns)
            else:
                self._sort(host, frame, packet, now_ns)
        return host

    def _host(self, host: list[bytes], frame: bytes) -> None:
        self.counts["host"] += 1
        host.append(frame)

    def _sort(self, host: list[bytes], frame: bytes, packet: Packet, now_ns: int) -> None:
        entry = self._owner(packet)
        if entry is None:
            if not self._icmp_error(frame, packet):
                self._host(host, frame)
        elif entry.flags & EntryFlag.LINGERING:
            self._linger(entry, frame, packet, now_ns)
        else:
            self._deliver(entry, frame)

    def _owner(self, packet: Packet) -> Entry | None:
        """The user-space stack's entry that a packet belongs to: a flow, else a listener, else a raw
        protocol.
        """
        registry = self._arbiter.registry
        local, remote = int.from_bytes(packet.dst, "big"), int.from_bytes(packet.src, "big")
        if packet.proto not in PORT_PROTOS:
            return self._arbiter.protocols.get((packet.proto, packet.family))
        return registry.find_flow(
            packet.proto, packet.family, local, packet.dst_port, remote, packet.src_port
        ) or registry.listener_for(packet.proto, packet.family, local, packet.dst_port)

    def _deliver(self, entry: Entry, frame: bytes) -> None:
        client = self._arbiter.clients.find(entry.stack)
        if client is None or client.state is not State.ACTIVE or entry.flags & EntryFlag.UNBOUND:
            self.counts["dropped: its stack is away"] += 1
            return
        self.counts["delivered in software"] += 1
        self._arbiter.tell(entry.stack, msg.Deliver(client.cookies.get(entry.token, 0), frame))

    def _linger(self, entry: Entry, frame: bytes, packet: Packet, now_ns: int) -> None:
        self.counts["of lingering tuples"] += 1
        answers, over = self.resetter.on_frame(entry.token, frame, packet, now_ns)
        self._send(answers)
        if over:
            self._arbiter.silence(entry)

    # ICMP errors --------------------------------------------------------------------------------------

    def _icmp_error(self, frame: bytes, packet: Packet) -> bool:
        """Tell a stack of an error about its flow; False if it is none, or about something of the host's."""
        known = {ICMP: ERRORS4, ICMPV6: ERRORS6}.get(packet.proto)
        if known is None or packet.end - packet.l4 < 8:
            return False
        kind, code = frame[packet.l4], frame[packet.l4 + 1]
        inner = self._inner(frame, packet)
        if kind not in known or inner is None:
            return False
        about, sequence = inner
        entry = self._arbiter.registry.find_flow(
            about.proto, about.family, int.from_bytes(about.src, "big"), about.src_port,
            int.from_bytes(about.dst, "big"), about.dst_port,
        )  # fmt: skip
        client = None if entry is None else self._arbiter.clients.find(entry.stack)
        if entry is None or client is None:
            return False
        mtu = 0
        if packet.family == 4 and (kind, code) == (UNREACHABLE4, FRAGMENTATION_NEEDED):
            mtu = int.from_bytes(frame[packet.l4 + 6 : packet.l4 + 8], "big")
        elif packet.family == 6 and kind == PACKET_TOO_BIG:
            mtu = int.from_bytes(frame[packet.l4 + 4 : packet.l4 + 8], "big")
        self.counts["icmp errors told"] += 1
        cookie = client.cookies.get(entry.token, 0)
        self._arbiter.tell(entry.stack, msg.IcmpError(cookie, entry.token, kind, code, mtu, sequence))
        return True

    @staticmethod
    def _inner(frame: bytes, packet: Packet) -> tuple[Packet, int] | None:
        """The packet that an error is about, and its sequence number; 8 bytes behind its IP header are
        enough.
        """
        octets = frame[packet.l4 + 8 : packet.end]
        if not octets:
            return None
        six = octets[0] >> 4 == 6
        header = 40 if six else 4 * (octets[0] & 15)
        if len(octets) < header + 8 or header < 20:
            return None
        proto = octets[6] if six else octets[9]
        if proto not in PORT_PROTOS:
            return None
        # The quoted packet is cut off: give it the length that it has here.
        length = len(octets) - (40 if six else 0)
        at = 4 if six else 2
        whole = octets[:at] + struct.pack(">H", length) + octets[at + 2 :]
        whole += bytes(20)  # so that a TCP header is there
        whole = whole[:at] + struct.pack(">H", length + 20) + whole[at + 2 :]
        inner = parse(bytes(12) + (TYPE_IPV6 if six else TYPE_IPV4) + whole)
        if inner is None or inner.fragment:
            return None
        start = inner.l4 - ETH_BYTES + 4
        return inner, int.from_bytes(octets[start : start + 4], "big")

    # To the wire --------------------------------------------------------------------------------------

    def from_stacks(self) -> None:
        """Check the frames that stacks send by the control channel, as the NIC's flow guard would."""
        for stack, request in self._arbiter.take_sent():
            if self._is_theirs(stack, request):
                self.counts["sent in software"] += 1
                self._out.append(request.frame)
            else:
                self.counts["dropped: not the sender's"] += 1

    def _is_theirs(self, stack: int, request: msg.Send) -> bool:
        entry = self._arbiter.entry(request.token)
        packet = parse(request.frame)
        if entry is None or entry.stack != stack or not entry.flags & EntryFlag.SOFTWARE:
            return False
        if packet is None or request.frame[6:12] != self.mac:
            return False
        if (packet.proto, packet.family) != (entry.proto, entry.family):
            return False
        source = int.from_bytes(packet.src, "big")
        if packet.fragment or packet.more:
            return False  # without ports nobody can tell
        if entry.local is None and (packet.family, source, 0) not in self._arbiter.registry.addresses():
            return False
        if entry.local not in (None, source) or packet.src_port != entry.local_port:
            return False
        to = (int.from_bytes(packet.dst, "big"), packet.dst_port)
        return entry.remote is None or to == (entry.remote, entry.remote_port)

    def _send(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            way = self._arbiter.routes.find(answer.remote)
            if way is None:
                self.counts["dropped: no route"] += 1
                continue
            mac = self._arbiter.routes.mac(way.hop)
            if mac is None:
                self._arbiter.routes.want(way.hop)
                self._waiting.setdefault(way.hop, [])[:] = [answer]  # one is enough, the newest
            else:
                self._out.append(mac + self.mac + answer.octets[12:])

    def resolved(self, hop: bytes) -> None:
        """The MAC of a next hop is known: what waited for it goes out."""
        self._send(self._waiting.pop(hop, []))

    def take_out(self) -> list[bytes]:
        """Frames for the wire since the last call, by pair 0."""
        self.from_stacks()
        out, self._out = self._out, []
        return out

    # Time ---------------------------------------------------------------------------------------------

    def on_timer(self, now_ns: int) -> None:
        """Let fragments expire, ask the peers of dead flows."""
        for entry, died in self._arbiter.take_left():
            self.resetter.start(entry, now_ns, dead=died)
        for token in self._arbiter.take_free():
            self.resetter.stop(token)
        self.fragments.on_timer(now_ns)
        self._send(self.resetter.on_timer(now_ns))

    def next_deadline_ns(self) -> int | None:
        """When on_timer wants to be called; None if nothing is pending."""
        found = (self.fragments.next_deadline_ns(), self.resetter.next_deadline_ns())
        return min((at for at in found if at is not None), default=None)
