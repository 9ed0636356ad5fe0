# SPDX-License-Identifier: Apache-2.0
"""UDP: ports, bounded receive queues, errors from ICMP (RFC 768, RFC 1122 section 4.1)."""

from collections import deque

from .config import Rng
from .drops import Drop
from .endpoint import READ, WRITE, Endpoint, ReadyList
from .errors import (
    AddressInUse,
    ConnectionRefused,
    HostUnreachable,
    MessageTooLong,
    PortsExhausted,
    StackError,
)
from .icmp import IcmpLayer
from .ip import IpLayer
from .wire import icmp, ipv4
from .wire.addr import format_ip
from .wire.errors import WireError
from .wire.udp import HEADER_BYTES, UdpDatagram

QUEUE_BYTES = 1 << 18  # received and not yet read, a port; each datagram counts 64 bytes more
DATAGRAM_COST_BYTES = 64


class UdpEndpoint(Endpoint):
    """One bound port with what arrived for it."""

    __slots__ = ("error", "local_ip", "local_port", "queue", "queued_bytes", "remote")

    def __init__(self, local_port: int, local_ip: int = 0) -> None:
        super().__init__()
        self.local_port = local_port
        self.local_ip = local_ip  # shared mode; 0 = all addresses
        self.remote: tuple[int, int] | None = None  # set by connect(): others are not heard
        self.queue: deque[tuple[bytes, tuple[int, int]]] = deque()
        self.queued_bytes = 0
        self.error: StackError | None = None  # reported once, by the next call

    def poll(self) -> int:
        return WRITE | (READ if self.queue or self.error is not None else 0)

    def describe(self) -> str:
        return f"udp port {self.local_port}"

    def take_error(self) -> StackError | None:
        error, self.error = self.error, None
        return error


class UdpLayer:
    def __init__(
        self, ip: IpLayer, icmp_layer: IcmpLayer, ready: ReadyList, ports: tuple[int, int], rng: Rng
    ) -> None:
        self._ip, self._icmp, self._ready, self._rng = ip, icmp_layer, ready, rng
        self.ports = ports  # ephemeral, both ends included
        self._bound: dict[int, UdpEndpoint] = {}
        icmp_layer.sinks[ipv4.UDP] = self

    def bind(self, port: int, local_ip: int = 0) -> UdpEndpoint:
        """Take a port, or an ephemeral one for 0; the one address of this stack needs no `local_ip`."""
        if port == 0:
            first, last = self.ports
            size = last - first + 1
            start = self._rng.getrandbits(32)
            free = (p for p in ((start + i) % size + first for i in range(size)) if p not in self._bound)
            port = next(free, 0)
            if not port:
                raise PortsExhausted(f"all UDP ports {first}..{last} are bound")
        elif port in self._bound:
            raise AddressInUse(f"UDP port {port}")
        endpoint = self._bound[port] = UdpEndpoint(port)
        return endpoint

    def connect(self, endpoint: UdpEndpoint | None, remote: tuple[int, int]) -> UdpEndpoint:
        """Fix the peer of an endpoint, or of a new one at an ephemeral port."""
        self._ip.path(remote[0])
        endpoint = endpoint or self.bind(0)
        endpoint.remote = remote
        return endpoint

    def close(self, endpoint: UdpEndpoint) -> None:
        self._bound.pop(endpoint.local_port, None)
        endpoint.queue.clear()

    def send(self, endpoint: UdpEndpoint, data: bytes, remote: tuple[int, int]) -> None:
        if len(data) + HEADER_BYTES + ipv4.HEADER_BYTES > self._ip.path(remote[0]).mtu_bytes:
            raise MessageTooLong(f"{len(data)} bytes to {format_ip(remote[0])}")
        datagram = UdpDatagram(endpoint.local_port, remote[1], data)
        self._ip.send(remote[0], ipv4.UDP, datagram.encode(self._ip.ip, remote[0]))

    def recv(self, endpoint: UdpEndpoint) -> tuple[bytes, tuple[int, int]] | None:
        if not endpoint.queue:
            return None
        data, remote = endpoint.queue.popleft()
        endpoint.queued_bytes -= len(data) + DATAGRAM_COST_BYTES
        return data, remote

    def on_packet(self, header: ipv4.Ipv4Header, payload: bytes, broadcast: bool) -> Drop | None:
        try:
            datagram = UdpDatagram.decode(payload, header.src, header.dst)
        except WireError as error:
            return error.reason
        endpoint = self._endpoint_for(header, datagram.dst_port)
        remote = (header.src, datagram.src_port)
        if endpoint is None or endpoint.remote not in (None, remote):
            if not broadcast:
                self._icmp.send_unreachable(icmp.PORT_UNREACHABLE, header, payload)
            return Drop.UDP_NO_PORT
        cost = len(datagram.payload) + DATAGRAM_COST_BYTES
        if endpoint.queued_bytes + cost > QUEUE_BYTES:
            return Drop.UDP_QUEUE_FULL
        endpoint.queued_bytes += cost
        endpoint.queue.append((datagram.payload, remote))
        self._ready.wake(endpoint)
        return None

    def _endpoint_for(self, header: ipv4.Ipv4Header, port: int) -> UdpEndpoint | None:
        return self._bound.get(port)

    def on_icmp(self, remote_ip: int, quote: bytes, message: icmp.IcmpMessage) -> bool:
        """Errors reach a connected socket only: for others nobody could tell which send they mean."""
        local_port, remote_port = int.from_bytes(quote[:2], "big"), int.from_bytes(quote[2:4], "big")
        endpoint = self._bound.get(local_port)
        if endpoint is None or endpoint.remote != (remote_ip, remote_port):
            return False
        self.on_icmp_about(endpoint, endpoint.remote, message.kind, message.code, message.word & 0xFFFF)
        return True

    def on_icmp_about(
        self, endpoint: UdpEndpoint, remote: tuple[int, int], kind: int, code: int, mtu_bytes: int
    ) -> None:
        """An ICMP error about what a connected endpoint sent."""
        if kind != icmp.UNREACHABLE:
            return
        where = f"{format_ip(remote[0])}:{remote[1]}"
        if code == icmp.PORT_UNREACHABLE:
            endpoint.error = ConnectionRefused(f"UDP {where}")
        elif code == icmp.FRAGMENTATION_NEEDED:
            self._ip.lower_mtu(self._ip.path(remote[0]), mtu_bytes)
        else:
            endpoint.error = HostUnreachable(f"UDP {where}, ICMP code {code}")
        self._ready.wake(endpoint)
