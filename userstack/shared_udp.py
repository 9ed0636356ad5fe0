# SPDX-License-Identifier: Apache-2.0
"""UDP of a stack that shares its addresses: ports are the registry's.

Datagrams sent before the port is granted, or before the kernel has told the way, wait in their socket, in
order.
"""

from collections import deque

from .config import Rng
from .endpoint import READ, WRITE, ReadyList
from .errors import (
    ConnectionAborted,
    HostUnreachable,
    MessageTooLong,
    NetworkDown,
    StackError,
    TakenAway,
    refusal,
)
from .icmp import IcmpLayer
from .ip import Path
from .neigh import MAX_HELD
from .shared import Answer, Granted, Held, IcmpError, Refused
from .shared_ip import Remote, SharedIp
from .sharing import Sharing
from .udp import UdpEndpoint, UdpLayer
from .wire import ipv4
from .wire.addr import format_ip
from .wire.udp import HEADER_BYTES, UdpDatagram


class SharedUdpEndpoint(UdpEndpoint):
    """`held` is its port, or the connection of one that was never bound; `flow` a connection on top."""

    __slots__ = ("closed", "failed", "flow", "flow_cookie", "held", "waiting")

    def __init__(self, local_port: int, local_ip: int = 0) -> None:
        super().__init__(local_port, local_ip)
        self.held: Held | None = None
        self.flow: Held | None = None
        self.flow_cookie = 0  # of the connect that counts: the last one
        self.closed = False
        self.failed: StackError | None = None  # for good
        self.waiting: deque[tuple[bytes, tuple[int, int]]] = deque()

    @property
    def key(self) -> int:
        """Its place in the layer's table."""
        return self.local_ip << 16 | self.local_port

    def poll(self) -> int:
        """WRITE: the port is ours."""
        failed = self.error is not None or self.failed is not None
        return (READ if self.queue or failed else 0) | (WRITE if self.held is not None else 0)

    def take_error(self) -> StackError | None:
        if self.failed is not None:
            return type(self.failed)(*self.failed.args)
        return super().take_error()


class SharedUdpLayer(UdpLayer):
    def __init__(
        self,
        ip: SharedIp,
        icmp_layer: IcmpLayer,
        ready: ReadyList,
        ports: tuple[int, int],
        rng: Rng,
        sharing: Sharing,
    ) -> None:
        super().__init__(ip, icmp_layer, ready, ports, rng)
        self._shared_ip = ip
        self._sharing = sharing
        self._stalled: dict[SharedUdpEndpoint, None] = {}

    # Ports.

    def bind(self, port: int, local_ip: int = 0) -> UdpEndpoint:
        """The port is ours when the endpoint polls WRITE; an error says why not."""
        endpoint = SharedUdpEndpoint(port, local_ip)
        cookie = self._sharing.ask(lambda answer: self._on_port(endpoint, answer))
        self._sharing.kernel.listen(cookie, ipv4.UDP, local_ip or None, port)
        return endpoint

    def connect(self, endpoint: UdpEndpoint | None, remote: tuple[int, int]) -> UdpEndpoint:
        """As of UdpLayer; a bound endpoint keeps its port and gets the connection on top."""
        new = endpoint if isinstance(endpoint, SharedUdpEndpoint) else SharedUdpEndpoint(0)
        self._shared_ip.path(remote[0])
        new.remote = remote
        if new.flow is not None:
            self._sharing.let_go(new.flow)
            if new.held is new.flow:  # never bound: it lives on the connection alone
                new.held = None
                self._bound.pop(new.key, None)
            new.flow = None
        if endpoint is None or new.held is not None or new.local_port:
            self._ask_flow(new)
        return new

    def _ask_flow(self, endpoint: SharedUdpEndpoint) -> None:
        assert endpoint.remote is not None
        cookie = self._sharing.ask(lambda answer: self._on_flow(endpoint, cookie, answer))
        endpoint.flow_cookie = cookie
        kernel, local = self._sharing.kernel, endpoint.local_ip or None
        kernel.connect(cookie, ipv4.UDP, local, endpoint.local_port, *endpoint.remote)

    def _on_port(self, endpoint: SharedUdpEndpoint, answer: Answer) -> None:
        if self._unwanted(endpoint, answer):
            return
        assert isinstance(answer, Granted)
        late = endpoint.remote is not None and endpoint.local_port == 0
        self._enter(endpoint, self._sharing.hold(self, endpoint, answer))
        if late:  # connect() came while the port was not known yet
            self._ask_flow(endpoint)

    def _on_flow(self, endpoint: SharedUdpEndpoint, cookie: int, answer: Answer) -> None:
        if cookie != endpoint.flow_cookie:
            self._sharing.return_unwanted(answer)
        elif endpoint.held is not None and isinstance(answer, Refused):
            endpoint.remote, endpoint.error = None, refusal(answer.errno, answer.text)
            self._ready.wake(endpoint)
        elif not self._unwanted(endpoint, answer):
            assert isinstance(answer, Granted)
            endpoint.flow = self._sharing.hold(self, endpoint, answer)
            if endpoint.held is None:
                endpoint.local_ip = answer.local or 0
                self._enter(endpoint, endpoint.flow)

    def _unwanted(self, endpoint: SharedUdpEndpoint, answer: Answer) -> bool:
        if endpoint.closed:
            self._sharing.return_unwanted(answer)
        elif isinstance(answer, Refused):
            self._fail(endpoint, refusal(answer.errno, answer.text))
        return endpoint.closed or isinstance(answer, Refused)

    def _enter(self, endpoint: SharedUdpEndpoint, held: Held) -> None:
        endpoint.held, endpoint.local_port = held, held.local_port
        self._bound[endpoint.key] = endpoint
        self._ready.wake(endpoint)
        self._flush(endpoint)

    def _fail(self, endpoint: SharedUdpEndpoint, error: StackError) -> None:
        endpoint.failed = error
        endpoint.waiting.clear()
        self._ready.wake(endpoint)

    def close(self, endpoint: UdpEndpoint) -> None:
        assert isinstance(endpoint, SharedUdpEndpoint)
        endpoint.closed = True
        if self._bound.get(endpoint.key) is endpoint:
            del self._bound[endpoint.key]
        endpoint.queue.clear()
        endpoint.waiting.clear()
        self._stalled.pop(endpoint, None)
        held, flow, endpoint.held, endpoint.flow = endpoint.held, endpoint.flow, None, None
        if flow is not None:
            self._sharing.let_go(flow)
        if held is not None and held is not flow:
            self._sharing.let_go(held)

    def leave(self) -> None:
        """Give all back."""
        for endpoint in list(self._bound.values()):
            self.close(endpoint)
            assert isinstance(endpoint, SharedUdpEndpoint)
            self._fail(endpoint, ConnectionAborted(f"left: {endpoint.describe()}"))

    def _endpoint_for(self, header: ipv4.Ipv4Header, port: int) -> UdpEndpoint | None:
        return self._bound.get(header.dst << 16 | port) or self._bound.get(port)

    # Sending.

    def send(self, endpoint: UdpEndpoint, data: bytes, remote: tuple[int, int]) -> None:
        assert isinstance(endpoint, SharedUdpEndpoint)
        path = self._shared_ip.path(remote[0])
        if len(data) + HEADER_BYTES + ipv4.HEADER_BYTES > path.mtu_bytes:
            raise MessageTooLong(f"{len(data)} bytes to {format_ip(remote[0])}")
        if endpoint.waiting or not self._send(endpoint, path, data, remote):
            if len(endpoint.waiting) >= MAX_HELD:
                endpoint.waiting.popleft()
                self._shared_ip.stats.arp_queue_drops += 1
            endpoint.waiting.append((data, remote))

    def _send(self, endpoint: SharedUdpEndpoint, path: Path, data: bytes, remote: tuple[int, int]) -> bool:
        """Send if the port is ours and our address for that destination is known."""
        assert isinstance(path.hop, Remote)
        path.src = endpoint.local_ip or path.hop.src
        to_peer = endpoint.flow is not None and remote == endpoint.remote
        path.held = endpoint.flow if to_peer else endpoint.held
        if path.held is None or not path.src:
            self._stalled[endpoint] = None
            self._shared_ip.resolver.want(path.hop, self._shared_ip.now_ns)
            return False
        datagram = UdpDatagram(endpoint.local_port, remote[1], data)
        self._shared_ip.send_by(path, ipv4.UDP, datagram.encode(path.src, path.dst))
        return True

    def _flush(self, endpoint: SharedUdpEndpoint) -> None:
        self._stalled.pop(endpoint, None)
        while endpoint.waiting:
            data, remote = endpoint.waiting[0]
            if not self._send(endpoint, self._shared_ip.path(remote[0]), data, remote):
                return
            endpoint.waiting.popleft()

    def on_resolved(self) -> None:
        """The way to some destination is known."""
        for endpoint in list(self._stalled):
            self._flush(endpoint)

    def on_no_way(self, remote: int, error: StackError) -> None:
        """The kernel knows no way to an address."""
        for endpoint in {*self._stalled, *self._bound.values()}:
            if not isinstance(endpoint, SharedUdpEndpoint):
                continue
            endpoint.waiting = deque(item for item in endpoint.waiting if item[1][0] != remote)
            if endpoint.remote is not None and endpoint.remote[0] == remote:
                endpoint.error = HostUnreachable(*error.args)
                self._ready.wake(endpoint)
        self.on_resolved()

    # News.

    def on_gone(self, held: Held, why: str) -> None:
        endpoint = held.owner
        assert isinstance(endpoint, SharedUdpEndpoint)
        if held is endpoint.flow and held is not endpoint.held:
            endpoint.flow, endpoint.remote = None, None
            endpoint.error = TakenAway(f"{why}: {endpoint.describe()}")
            self._ready.wake(endpoint)
            return
        error = TakenAway(f"{why}: {endpoint.describe()}")
        endpoint.held = None
        if held is endpoint.flow:
            endpoint.flow = None
        self.close(endpoint)
        self._fail(endpoint, error)

    def on_away(self, held: Held, why: str) -> None:
        """Connected endpoints learn; what is sent meanwhile is lost, as datagrams may be."""
        endpoint = held.owner
        assert isinstance(endpoint, SharedUdpEndpoint)
        if held is endpoint.flow:
            endpoint.error = NetworkDown(f"{why}: {endpoint.describe()}")
            self._ready.wake(endpoint)

    def on_back(self, held: Held) -> None:
        """Nothing to do: the next datagram goes out."""

    def on_icmp_error(self, held: Held, error: IcmpError) -> None:
        endpoint = held.owner
        if isinstance(endpoint, SharedUdpEndpoint) and held is endpoint.flow and endpoint.remote is not None:
            self.on_icmp_about(endpoint, endpoint.remote, error.kind, error.code, error.next_hop_mtu)
