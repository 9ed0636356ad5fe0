# SPDX-License-Identifier: Apache-2.0
"""The stack: frames and time in, frames and readiness out. No I/O, no clock, no callbacks."""

from collections.abc import Iterable

from .config import NEVER_NS, Rng, StackConfig
from .drops import Drop
from .endpoint import Endpoint, ReadyList
from .errors import ClockError, InvalidState
from .host_info import HostFollower, HostInfo
from .icmp import IcmpLayer
from .ip import IpLayer
from .shared import Event, Kernel
from .shared_ip import SharedIp, SilentIcmp
from .shared_udp import SharedUdpLayer
from .sharing import SharedSide, Sharing
from .stats import Stats
from .tcp.layer import TcpLayer
from .tcp.shared import SharedTcpLayer
from .udp import UdpLayer
from .wire import fast, icmp, ipv4
from .wire.addr import BROADCAST_MAC
from .wire.errors import WireError
from .wire.ethernet import TYPE_ARP, TYPE_IPV4, EthernetFrame

VLAN_ID_MASK = 0xFFF


class Stack:
    """One host on one interface.

    Time comes with on_frames, on_timer and advance, in ns, and never runs backwards; calls of programs
    (through
    sockets) happen at the last time told. Peer input never raises: a frame is accepted or counted under a
    Drop.
    """

    def __init__(
        self, config: StackConfig, rng: Rng, host_info: HostInfo | None = None, shared: Kernel | None = None
    ) -> None:
        """With `host_info` the TCP part of the configuration follows the host's parameters; with `shared` the
        stack shares its MAC and IP address with others, and this is whom it asks (README.md, Shared mode)."""
        self.config = config
        self.stats = Stats()
        self.ready = ReadyList()
        self.ip: IpLayer
        self.icmp: IcmpLayer
        self.udp: UdpLayer
        self.tcp: TcpLayer
        self._shared: SharedSide | None = None
        if shared is None:
            self.ip = IpLayer(config, rng.getrandbits(16), self.stats)
            self.icmp = IcmpLayer(self.ip)
            self.udp = UdpLayer(self.ip, self.icmp, self.ready, config.tcp.ephemeral_ports, rng)
            self.tcp = TcpLayer(self.ip, self.icmp, self.ready, config.tcp, self.stats, rng)
        else:
            self._share(shared, rng)
        self.host = None if host_info is None else HostFollower(self, host_info)
        if self.host is not None:
            self.host.poll(0)

    def _share(self, kernel: Kernel, rng: Rng) -> None:
        """Build the layers of shared mode."""
        config, sharing = self.config, Sharing(kernel)
        ip = SharedIp(config, rng.getrandbits(16), self.stats, sharing)
        icmp_layer = SilentIcmp(ip)
        udp = SharedUdpLayer(ip, icmp_layer, self.ready, config.tcp.ephemeral_ports, rng, sharing)
        tcp = SharedTcpLayer(ip, icmp_layer, self.ready, config.tcp, self.stats, rng, sharing)
        self.ip, self.icmp, self.udp, self.tcp = ip, icmp_layer, udp, tcp
        self._shared = SharedSide(self, sharing, tcp, udp)

    @property
    def shared(self) -> SharedSide:
        """The side towards the kernel; InvalidState if the stack has its addresses alone."""
        if self._shared is None:
            raise InvalidState("this stack shares nothing")
        return self._shared

    @property
    def now_ns(self) -> int:
        return self.ip.now_ns

    def advance(self, now_ns: int) -> None:
        """Tell the time, and do no more than follow the host's parameters; ClockError if it ran backwards."""
        if now_ns < self.ip.now_ns:
            raise ClockError(f"{now_ns} after {self.ip.now_ns}")
        self.ip.now_ns = now_ns
        if self.host is not None:
            self.host.poll(now_ns)

    def on_frames(self, frames: list[bytes], now_ns: int) -> None:
        """Receive Ethernet frames without FCS, in order of arrival."""
        self.advance(now_ns)
        if self._shared is not None:
            self._shared.on_frames(frames)
            return
        stats, ip, tcp = self.stats, self.ip, self.tcp
        connections, mac, address = tcp.connections, ip.mac, ip.ip
        for frame in frames:
            stats.frames_in += 1
            stats.bytes_in += len(frame)
            plain = fast.decode_tcp(frame, mac, address)
            drop: Drop | None
            if plain is not None:
                src, segment = plain
                conn = connections.get(src << 32 | segment.src_port << 16 | segment.dst_port)
                drop = self.on_other_frame(frame) if conn is None else tcp.on_known(conn, src, segment)
            else:
                drop = self.on_other_frame(frame)
            if drop is None:
                stats.frames_accepted += 1
            else:
                stats.drop(drop, frame, now_ns)

    def on_events(self, events: Iterable[Event], now_ns: int) -> None:
        """Shared mode: what the kernel tells, in order."""
        self.advance(now_ns)
        for event in events:
            self.shared.on_event(event)

    def on_other_frame(self, raw: bytes) -> Drop | None:
        """The way of every frame that is not plain TCP: full validation, layer by layer."""
        try:
            frame = EthernetFrame.decode(raw)
            if (drop := self._filter(frame)) is not None:
                return drop
            if frame.ethertype == TYPE_ARP:
                return self.ip.neigh.on_packet(frame.payload, self.ip.now_ns)
            header, payload, broadcast = self.ip.receive(frame.payload)
        except WireError as error:
            return error.reason
        broadcast = broadcast or frame.dst != self.ip.mac
        if header.protocol == ipv4.TCP:
            return self.tcp.on_packet(header, payload, broadcast)
        if header.protocol == ipv4.UDP:
            return self.udp.on_packet(header, payload, broadcast)
        if header.protocol == ipv4.ICMP:
            return self.icmp.on_packet(header, payload, broadcast)
        if not broadcast:
            self.icmp.send_unreachable(icmp.PROTOCOL_UNREACHABLE, header, payload)
        return Drop.IP_PROTOCOL

    def _filter(self, frame: EthernetFrame) -> Drop | None:
        """What Ethernet alone can tell: address, VLAN, type."""
        if frame.dst != self.ip.mac and frame.dst != BROADCAST_MAC:
            if not frame.dst[0] & 1:
                return Drop.ETH_NOT_OURS
            if self._shared is None:  # what reaches a shared stack is for a port of its own
                return Drop.ETH_MULTICAST
        if frame.src[0] & 1:
            return Drop.ETH_BAD_SOURCE
        if frame.vlan_tci is not None and frame.vlan_tci & VLAN_ID_MASK:
            return Drop.ETH_VLAN
        spoken = frame.ethertype == TYPE_IPV4 or (frame.ethertype == TYPE_ARP and self._shared is None)
        return None if spoken else Drop.ETH_TYPE

    def on_timer(self, now_ns: int) -> None:
        """Run everything due at or before now; harmless when nothing is."""
        self.advance(now_ns)
        for hop_ip in self.ip.neigh.on_timer(now_ns):
            self.tcp.on_unreachable(hop_ip)
        self.tcp.on_timer(now_ns)

    def take_frames(self) -> list[bytes]:
        """Frames to send since the last call, in order; complete Ethernet frames without FCS, 60 bytes at
        least."""
        out = self.ip.out
        frames = out[:]
        out.clear()
        self.stats.frames_out += len(frames)
        self.stats.bytes_out += sum(map(len, frames))
        return frames

    def next_deadline_ns(self) -> int | None:
        """When on_timer wants to be called; None if nothing is pending."""
        deadline_ns = min(self.ip.neigh.next_deadline_ns(), self.tcp.next_deadline_ns())
        return None if deadline_ns == NEVER_NS else deadline_ns

    def take_ready(self) -> list[Endpoint]:
        """Endpoints whose readiness may have changed since the last call."""
        return self.ready.take()
