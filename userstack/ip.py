# SPDX-License-Identifier: Apache-2.0
"""IPv4 for one interface with one gateway: validation of what comes in, routing of what goes out."""

from dataclasses import dataclass

from .config import NEVER_NS, StackConfig
from .drops import Drop
from .errors import BadAddress, MessageTooLong, NoRoute
from .neigh import Neighbour, Resolver
from .shared import Held
from .stats import Stats
from .wire import fast, ipv4
from .wire.addr import (
    BROADCAST_IP,
    BROADCAST_MAC,
    format_ip,
    is_multicast,
    multicast_mac,
    parse_ip,
    parse_mac,
)
from .wire.errors import WireError
from .wire.ethernet import TYPE_IPV4, EthernetFrame

MIN_PATH_MTU = 552  # lower claims of ICMP are not believed
MAX_PATHS = 1024


@dataclass(slots=True, eq=False)
class Path:
    """How a destination is reached; shared by its connections."""

    dst: int
    hop: Neighbour
    mtu_bytes: int  # RFC 1191: lowered by "fragmentation needed"
    src: int
    held: Held | None = None  # shared mode: the entry that lets frames out


class IpLayer:
    """Owns the clock and the list of frames to send, as every transmission passes here."""

    def __init__(self, config: StackConfig, rng_bits: int, stats: Stats) -> None:
        self.mac, self.ip = parse_mac(config.mac), parse_ip(config.ip)
        self.mtu_bytes = config.mtu_bytes
        self.now_ns = 0
        self.out: list[bytes] = []
        self.stats = stats
        self.neigh = Resolver(self.mac, self.ip, self.out, stats)
        self._mask = config.netmask
        self._gateway = parse_ip(config.gateway) if config.gateway is not None else None
        self._ident = rng_bits & 0xFFFF
        self._paths: dict[int, Path] = {}

    def is_broadcast(self, ip: int) -> bool:
        """Limited or directed broadcast; /31 and /32 have no directed one (RFC 3021)."""
        host = 0xFFFF_FFFF ^ self._mask
        return ip == BROADCAST_IP or (host > 1 and ip in (self.ip | host, self.ip & self._mask))

    def check_local(self, ip: int) -> None:
        """BadAddress unless a program may bind to this address; 0 is any."""
        if ip not in (0, self.ip):
            raise BadAddress(f"{format_ip(ip)} is not an address of this stack")

    def path(self, dst: int) -> Path:
        """Route to `dst`; NoRoute if there is none."""
        found = self._paths.get(dst)
        if found is None:
            if len(self._paths) >= MAX_PATHS:
                del self._paths[next(iter(self._paths))]
            found = self._paths[dst] = Path(dst, self._next_hop(dst), self.mtu_bytes, self.ip)
        return found

    def _next_hop(self, dst: int) -> Neighbour:
        if dst == self.ip or dst >> 24 in (0, 127):
            raise NoRoute(f"{format_ip(dst)} is this host; the stack has no loopback")
        if self.is_broadcast(dst):
            return Neighbour(dst, (BROADCAST_MAC, self.mac), NEVER_NS)
        if is_multicast(dst):
            return Neighbour(dst, (multicast_mac(dst), self.mac), NEVER_NS)
        if not (dst ^ self.ip) & self._mask:
            return self.neigh.entry(dst)
        if self._gateway is None:
            raise NoRoute(f"{format_ip(dst)} is off-link and there is no gateway")
        return self.neigh.entry(self._gateway)

    def send(self, dst: int, protocol: int, payload: bytes, dont_fragment: bool = False) -> None:
        """Send one packet; MessageTooLong if it exceeds the path MTU."""
        path = self.path(dst)
        if len(payload) + ipv4.HEADER_BYTES > path.mtu_bytes:
            raise MessageTooLong(f"{len(payload)} bytes over an MTU of {path.mtu_bytes}")
        flags = ipv4.DONT_FRAGMENT if dont_fragment else 0
        header = ipv4.Ipv4Header(self.ip, dst, protocol, len(payload), self.next_ident(), fragment=flags)
        frame = EthernetFrame(bytes(6), self.mac, TYPE_IPV4, header.encode() + payload).encode()
        self.neigh.send(frame, path.hop, self.now_ns)

    def next_ident(self) -> int:
        self._ident = (self._ident + 1) & 0xFFFF
        return self._ident

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
        """Send one segment with don't-fragment set; `ports` is source << 16 | destination."""
        self._ident = ident = (self._ident + 1) & 0xFFFF
        hop = path.hop
        known = hop.macs is not None and self.now_ns < hop.fresh_until_ns
        macs = hop.macs if known and hop.macs is not None else (b"\x00" * 6, self.mac)
        frame = fast.encode_tcp(
            macs, path.src, path.dst, ident, ports, seq, ack, flags, window, options, payload
        )
        if known:
            self.out.append(frame)
        else:
            self.neigh.send(frame, hop, self.now_ns)
            path.hop = self.neigh.entry(hop.ip)

    def receive(self, payload: bytes) -> tuple[ipv4.Ipv4Header, bytes, bool]:
        """Validate one packet: (header, payload, sent to a broadcast address); WireError with the reason."""
        header, body = ipv4.Ipv4Header.decode(payload)
        src, dst = header.src, header.dst
        if (
            src == self.ip
            or src >> 24 == 127
            or is_multicast(src)
            or self.is_broadcast(src)
            or src >> 28 == 15
        ):
            raise WireError(Drop.IP_BAD_SOURCE, format_ip(src))
        if (self._gateway is None and (src ^ self.ip) & self._mask) or src >> 24 == 0:
            raise WireError(Drop.IP_NO_RETURN, format_ip(src))
        broadcast = self.is_broadcast(dst)
        if dst != self.ip and not broadcast:
            raise WireError(Drop.ETH_MULTICAST if is_multicast(dst) else Drop.IP_NOT_OURS, format_ip(dst))
        if header.is_fragment:
            raise WireError(Drop.IP_FRAGMENT, format_ip(src))
        return header, body, broadcast

    def peer(self, header: ipv4.Ipv4Header) -> int:
        """The number under which TCP knows who sent a packet: the source address."""
        return header.src

    def lower_mtu(self, path: Path, mtu_bytes: int) -> bool:
        """Believe an ICMP "fragmentation needed"; True if the path got narrower."""
        if not MIN_PATH_MTU <= mtu_bytes < path.mtu_bytes:
            return False
        path.mtu_bytes = mtu_bytes
        return True
