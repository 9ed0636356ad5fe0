# SPDX-License-Identifier: Apache-2.0
"""IP, address resolution and ICMP of a stack that shares its interface: the kernel knows the ways, and speaks
ARP and ICMP. Datagrams are atomic (DF, whole), so their identifications need not be unique (RFC 6864)."""

from collections import deque
from dataclasses import dataclass, field

from .config import NEVER_NS, SECOND_NS, StackConfig
from .drops import Drop
from .errors import NoRoute
from .icmp import IcmpLayer
from .ip import IpLayer, Path
from .neigh import MAX_ENTRIES, MAX_HELD, Neighbour, Resolver
from .shared import Answer, Held, Interface, Refused, Resolved
from .sharing import Sharing
from .stats import Stats
from .wire import fast, ipv4
from .wire.addr import BROADCAST_MAC, format_ip, is_multicast, multicast_mac
from .wire.errors import WireError
from .wire.ethernet import TYPE_IPV4, EthernetFrame

LOW = 0xFFFF_FFFF
AGAIN_NS = SECOND_NS  # an address that is lost, or cannot be reached, is asked for at most so often


@dataclass(slots=True, eq=False)
class Remote(Neighbour):
    """One destination. `ip` is its address; `macs` is None while the kernel has not told the way."""

    src: int = 0  # our address for it, 0 = not told yet
    cookie: int = 0  # of the question that is open
    again_ns: int = 0  # not asked again before
    waiting: deque[tuple[Held, bytes]] = field(default_factory=deque)


class KernelResolver(Resolver):
    """Ways to destinations, as the kernel tells them."""

    def __init__(self, mac: bytes, ip: int, out: list[bytes], stats: Stats, sharing: Sharing) -> None:
        super().__init__(mac, ip, out, stats)
        self._sharing = sharing
        self._remotes: dict[int, Remote] = {}
        self._unreachable: list[tuple[int, Refused]] = []

    def entry(self, ip: int) -> Remote:
        """As of Resolver; the one forgotten is asked for again when it is needed."""
        found = self._remotes.get(ip)
        if found is None:
            if len(self._remotes) >= MAX_ENTRIES:
                idle = next((hop for hop in self._remotes.values() if not hop.waiting), None)
                victim = idle if idle is not None else next(iter(self._remotes.values()))
                self._forget(victim)
            found = self._remotes[ip] = Remote(ip)
        return found

    def _forget(self, hop: Remote) -> None:
        self._sharing.drop_question(hop.cookie)
        self._stats.arp_queue_drops += len(hop.waiting)
        hop.waiting.clear()
        hop.macs = None
        del self._remotes[hop.ip]

    def want(self, hop: Remote, now_ns: int) -> None:
        """Ask for the way, unless it is known, asked for, or was asked for just now."""
        if hop.macs is None and not hop.cookie and now_ns >= hop.again_ns:
            hop.again_ns = now_ns + AGAIN_NS
            hop.cookie = self._sharing.ask(lambda answer: self._on_answer(hop, answer))
            self._sharing.kernel.resolve(hop.cookie, hop.ip)

    def wait(self, hop: Remote, held: Held, frame: bytes, now_ns: int) -> None:
        """Keep a frame until the way is known; the oldest of too many gives way."""
        self.want(hop, now_ns)
        if len(hop.waiting) >= MAX_HELD:
            hop.waiting.popleft()
            self._stats.arp_queue_drops += 1
        hop.waiting.append((held, frame))

    def send_by(self, held: Held, frame: bytes) -> None:
        """Send a frame that is complete."""
        if held.away:
            self._stats.away_drops += 1
        elif held.software:
            self._stats.software_out += 1
            self._sharing.kernel.send_software(held.token, frame)
        else:
            self._out.append(frame)

    def on_resolved(self, event: Resolved) -> None:
        """The way to a destination is known, has changed or is lost."""
        hop = self._remotes.get(event.remote)
        if hop is None:
            self._sharing.late += 1
            return
        self._sharing.drop_question(hop.cookie)
        hop.cookie = 0
        hop.src = event.local
        hop.macs = None if event.mac is None else (event.mac, self._mac)
        hop.fresh_until_ns = 0 if event.mac is None else NEVER_NS
        while hop.macs is not None and hop.waiting:
            held, frame = hop.waiting.popleft()
            self.send_by(held, hop.macs[0] + frame[6:])
        if hop.macs is None:
            hop.again_ns = 0
            if hop.waiting:
                self.want(hop, 0)

    def _on_answer(self, hop: Remote, answer: Answer) -> None:
        hop.cookie = 0
        if isinstance(answer, Refused):
            self._stats.arp_queue_drops += len(hop.waiting)
            hop.waiting.clear()
            self._unreachable.append((hop.ip, answer))

    def take_unreachable(self) -> list[tuple[int, Refused]]:
        """Destinations without a way since the last call."""
        found, self._unreachable = self._unreachable, []
        return found

    def set_mac(self, mac: bytes) -> None:
        """The interface has another MAC address."""
        self._mac = mac
        for hop in self._remotes.values():
            if hop.macs is not None:
                hop.macs = (hop.macs[0], mac)
            hop.waiting = deque((held, frame[:6] + mac + frame[12:]) for held, frame in hop.waiting)

    def lookup(self, ip: int) -> bytes | None:
        """As of Resolver."""
        hop = self._remotes.get(ip)
        return hop.macs[0] if hop is not None and hop.macs is not None else None


class SharedIp(IpLayer):
    """`dst` of a path, and the number by which TCP knows a peer, are local << 32 | remote; a local part of 0
    is not fixed yet."""

    def __init__(self, config: StackConfig, rng_bits: int, stats: Stats, sharing: Sharing) -> None:
        super().__init__(config, rng_bits, stats)
        self.resolver = KernelResolver(self.mac, self.ip, self.out, stats, sharing)
        self.neigh = self.resolver
        self._mtus: dict[int, int] = {}  # by destination, where lower than the interface's

    def check_local(self, ip: int) -> None:
        """The kernel decides."""

    def path(self, dst: int) -> Path:
        """A way of its own for each caller; NoRoute for what is no other host's address."""
        remote = dst & LOW
        mtu_bytes = min(self.mtu_bytes, self._mtus.get(remote, self.mtu_bytes))
        return Path(remote, self._hop(remote), mtu_bytes, dst >> 32)

    def _hop(self, remote: int) -> Remote:
        if remote >> 24 in (0, 127):
            raise NoRoute(f"{format_ip(remote)} is this host; the stack has no loopback")
        group = BROADCAST_MAC if self.is_broadcast(remote) else None
        if group is None and is_multicast(remote):
            group = multicast_mac(remote)
        if group is not None:
            return Remote(remote, (group, self.mac), NEVER_NS, src=self.ip)
        return self.resolver.entry(remote)

    def peer(self, header: ipv4.Ipv4Header) -> int:
        return header.dst << 32 | header.src

    def lower_mtu(self, path: Path, mtu_bytes: int) -> bool:
        if not super().lower_mtu(path, mtu_bytes):
            return False
        if len(self._mtus) >= MAX_ENTRIES:
            del self._mtus[next(iter(self._mtus))]
        self._mtus[path.dst] = mtu_bytes
        return True

    def send_tcp(
        self,
        path: Path,
        ports: int,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        options: bytes,
        payload: bytes,
    ) -> None:
        self._ident = ident = (self._ident + 1) & 0xFFFF
        macs = path.hop.macs
        to = macs or (bytes(6), self.mac)
        frame = fast.encode_tcp(
            to, path.src, path.dst, ident, ports, seq, ack, flags, window, options, payload
        )
        held = path.held
        if macs is None or held is None or held.away or held.software:
            self._emit(path, frame)
        else:
            self.out.append(frame)

    def send_by(self, path: Path, protocol: int, payload: bytes) -> None:
        """Send one atomic datagram; the path has its source address."""
        header = ipv4.Ipv4Header(
            path.src, path.dst, protocol, len(payload), self.next_ident(), fragment=ipv4.DONT_FRAGMENT
        )
        macs = path.hop.macs or (bytes(6), self.mac)
        self._emit(path, EthernetFrame(macs[0], self.mac, TYPE_IPV4, header.encode() + payload).encode())

    def _emit(self, path: Path, frame: bytes) -> None:
        held, hop = path.held, path.hop
        if held is None:
            self.stats.away_drops += 1
            return
        if hop.macs is None:
            path.hop = hop = entry = self.resolver.entry(hop.ip)
            if hop.macs is None:
                self.resolver.wait(entry, held, frame, self.now_ns)
                return
            frame = hop.macs[0] + frame[6:]
        self.resolver.send_by(held, frame)

    def receive(self, payload: bytes) -> tuple[ipv4.Ipv4Header, bytes, bool]:
        """Validate one packet; whether an address is ours shows when its port is looked up."""
        header, body = ipv4.Ipv4Header.decode(payload)
        src, dst = header.src, header.dst
        if (
            src == dst
            or src >> 24 in (0, 127)
            or is_multicast(src)
            or self.is_broadcast(src)
            or src >> 28 == 15
        ):
            raise WireError(Drop.IP_BAD_SOURCE, format_ip(src))
        if header.is_fragment:
            raise WireError(Drop.IP_FRAGMENT, format_ip(src))
        return header, body, is_multicast(dst) or self.is_broadcast(dst)

    def on_interface(self, event: Interface) -> None:
        """The interface has another MAC address or MTU; the MTU counts for new paths and new segments."""
        if event.mac is not None:
            self.mac = event.mac
            self.resolver.set_mac(event.mac)
        if event.mtu_bytes is not None:
            self.mtu_bytes = event.mtu_bytes


class SilentIcmp(IcmpLayer):
    """The kernel answers pings, sends errors, and tells of those that are about our connections."""

    def on_packet(self, header: ipv4.Ipv4Header, payload: bytes, broadcast: bool) -> Drop | None:
        return Drop.IP_PROTOCOL

    def send_unreachable(self, code: int, header: ipv4.Ipv4Header, payload: bytes) -> None:
        pass
