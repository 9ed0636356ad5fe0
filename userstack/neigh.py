# SPDX-License-Identifier: Apache-2.0
"""ARP for one interface (RFC 826, RFC 1122 section 2.3.2): answers, lookups, and frames that wait for an
address."""

from collections import deque
from dataclasses import dataclass, field

from .config import NEVER_NS, SECOND_NS
from .drops import Drop
from .stats import Stats
from .wire.addr import BROADCAST_MAC
from .wire.arp import REPLY, REQUEST, ArpPacket
from .wire.errors import WireError
from .wire.ethernet import TYPE_ARP, EthernetFrame

RETRY_NS = SECOND_NS  # RFC 1122 section 2.3.2.1: at most one request a second a destination
MAX_TRIES = 3
FRESH_NS = 60 * SECOND_NS  # RFC 1122 section 2.3.2.1 (1): stale entries are verified after this
MAX_HELD = 64  # frames waiting for one address; the oldest gives way
MAX_ENTRIES = 512


@dataclass(slots=True, eq=False)
class Neighbour:
    """One next hop. `macs` is (destination, source) as frames carry them, or None while unknown."""

    ip: int
    macs: tuple[bytes, bytes] | None = None
    fresh_until_ns: int = 0
    due_ns: int = NEVER_NS  # next try of a lookup under way
    tries: int = 0
    held: deque[bytes] = field(default_factory=deque)  # whole frames, destination MAC still zero


class Resolver:
    """Cache and lookups. Frames to send are appended to `out`. Never blocks, never raises on peer input."""

    def __init__(self, mac: bytes, ip: int, out: list[bytes], stats: Stats) -> None:
        self._mac, self._ip, self._out, self._stats = mac, ip, out, stats
        self._entries: dict[int, Neighbour] = {}

    def entry(self, ip: int) -> Neighbour:
        """The next hop's entry, made if there is none; at MAX_ENTRIES the oldest idle one is forgotten."""
        found = self._entries.get(ip)
        if found is None:
            if len(self._entries) >= MAX_ENTRIES:
                self._evict()
            found = self._entries[ip] = Neighbour(ip)
        return found

    def send(self, frame: bytes, hop: Neighbour, now_ns: int) -> None:
        """Send a frame whose first 6 bytes are still open, now or when the address is known, in order."""
        if now_ns >= hop.fresh_until_ns:
            hop = self.entry(hop.ip)
            if now_ns >= hop.fresh_until_ns and hop.due_ns == NEVER_NS:
                self._ask(hop, now_ns, tries=1)
        if hop.macs is not None:
            self._out.append(hop.macs[0] + frame[6:])
            return
        if len(hop.held) >= MAX_HELD:
            hop.held.popleft()
            self._stats.arp_queue_drops += 1
        hop.held.append(frame)

    def on_packet(self, payload: bytes, now_ns: int) -> Drop | None:
        """One received ARP packet: merge, answer, release what waited (RFC 826, packet reception)."""
        try:
            packet = ArpPacket.decode(payload)
        except WireError as error:
            return error.reason
        if packet.sender_ip == self._ip:
            return Drop.ARP_CONFLICT if packet.sender_mac != self._mac else Drop.ARP_NOT_OURS
        if packet.sender_mac[0] & 1 or not any(packet.sender_mac):
            return Drop.ARP_MALFORMED
        ours = packet.target_ip == self._ip
        known = packet.sender_ip in self._entries
        if packet.sender_ip and (known or ours):
            self._learn(packet.sender_ip, packet.sender_mac, now_ns)
        if ours and packet.operation == REQUEST:
            reply = ArpPacket(REPLY, self._mac, self._ip, packet.sender_mac, packet.sender_ip)
            self._out.append(EthernetFrame(packet.sender_mac, self._mac, TYPE_ARP, reply.encode()).encode())
            self._stats.arp_replies += 1
        return None if ours or known else Drop.ARP_NOT_OURS

    def on_timer(self, now_ns: int) -> list[int]:
        """Repeat the lookups that are due; returns the addresses given up."""
        gone: list[int] = []
        for hop in [hop for hop in self._entries.values() if hop.due_ns <= now_ns]:
            if hop.tries < MAX_TRIES:
                self._ask(hop, now_ns, hop.tries + 1)
                continue
            del self._entries[hop.ip]
            self._stats.arp_queue_drops += len(hop.held)
            hop.held.clear()
            hop.macs, hop.due_ns, hop.fresh_until_ns = None, NEVER_NS, 0
            gone.append(hop.ip)
        return gone

    def next_deadline_ns(self) -> int:
        return min((hop.due_ns for hop in self._entries.values()), default=NEVER_NS)

    def lookup(self, ip: int) -> bytes | None:
        """Known MAC address, for diagnosis and tests."""
        hop = self._entries.get(ip)
        return hop.macs[0] if hop is not None and hop.macs is not None else None

    def _ask(self, hop: Neighbour, now_ns: int, tries: int) -> None:
        hop.due_ns, hop.tries = now_ns + RETRY_NS, tries
        request = ArpPacket(REQUEST, self._mac, self._ip, bytes(6), hop.ip)
        to = (
            hop.macs[0] if hop.macs is not None and tries < MAX_TRIES else BROADCAST_MAC
        )  # unicast poll first
        self._out.append(EthernetFrame(to, self._mac, TYPE_ARP, request.encode()).encode())
        self._stats.arp_requests += 1

    def _learn(self, ip: int, mac: bytes, now_ns: int) -> None:
        hop = self.entry(ip)
        hop.macs = (mac, self._mac)
        hop.fresh_until_ns, hop.due_ns, hop.tries = now_ns + FRESH_NS, NEVER_NS, 0
        while hop.held:
            self._out.append(mac + hop.held.popleft()[6:])

    def _evict(self) -> None:
        idle = next((hop for hop in self._entries.values() if not hop.held), None)
        victim = idle if idle is not None else next(iter(self._entries.values()))
        self._stats.arp_queue_drops += len(victim.held)
        victim.held.clear()
        victim.fresh_until_ns, victim.due_ns = 0, NEVER_NS
        del self._entries[victim.ip]
