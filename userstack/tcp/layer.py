# SPDX-License-Identifier: Apache-2.0
"""All TCP of one stack: the connection table, listeners, ports, timers, errors from below."""

from ..config import Rng, TcpConfig
from ..drops import Drop
from ..endpoint import ReadyList
from ..errors import (
    AddressInUse,
    BadAddress,
    ConnectionRefused,
    ConnectionTimedOut,
    HostUnreachable,
    NetworkError,
    PortsExhausted,
    StackError,
)
from ..icmp import IcmpLayer
from ..ip import IpLayer, Path
from ..limiter import Limiter
from ..stats import Stats
from ..wire import icmp, ipv4
from ..wire.addr import format_ip
from ..wire.errors import WireError
from ..wire.tcp import Segment
from . import arrive, closing, isn, opening, recovery
from .congestion import Congestion
from .conn import Connection, State
from .listener import Listener
from .rtt import RttEstimator
from .seq import diff
from .timers import TimerHeap, fire

CHALLENGE_INTERVAL_NS = 100_000_000  # ten a second, RFC 5961 section 7


class TcpLayer:
    def __init__(
        self, ip: IpLayer, icmp_layer: IcmpLayer, ready: ReadyList, config: TcpConfig, stats: Stats, rng: Rng
    ) -> None:
        self.ip, self.ready, self.config, self.stats = ip, ready, config, stats
        self.secret = rng.getrandbits(256).to_bytes(32, "big")
        self.connections: dict[int, Connection] = {}
        self.listeners: dict[int, Listener] = {}
        self.bound: set[int] = set()  # ports that bind() took and that do not listen yet
        self.timers = TimerHeap()
        self.challenge_limit = Limiter(CHALLENGE_INTERVAL_NS, burst=10)
        self._next_port = rng.getrandbits(32)
        icmp_layer.sinks[ipv4.TCP] = self

    def on_segment(self, src: int, segment: Segment) -> Drop | None:
        """One segment with a good checksum, addressed to this host."""
        conn = self.connections.get(src << 32 | segment.src_port << 16 | segment.dst_port)
        if conn is None:
            return self._on_unknown(src, segment)
        return self.on_known(conn, src, segment)

    def on_known(self, conn: Connection, src: int, segment: Segment) -> Drop | None:
        """One segment for a connection in the table."""
        if conn.state is State.SYN_SENT:
            drop = opening.on_syn_sent(conn, segment)
        elif conn.state is State.TIME_WAIT and self._reopens(conn, segment):
            return self._on_unknown(src, segment)
        else:
            drop = arrive.on_segment(conn, segment)
        self.timers.schedule(conn)
        return drop

    def on_packet(self, header: ipv4.Ipv4Header, payload: bytes, broadcast: bool) -> Drop | None:
        if broadcast:
            return Drop.TCP_BROADCAST
        try:
            segment = Segment.decode(payload, header.src, header.dst)
        except WireError as error:
            return error.reason
        return self.on_segment(self.ip.peer(header), segment)

    def _on_unknown(self, src: int, segment: Segment) -> Drop | None:
        listener = self.listener_for(src, segment.dst_port)
        if listener is not None:
            return opening.on_listen(self, listener, src, segment)
        self.refuse(self.ip.path(src), segment)
        return Drop.TCP_NO_CONNECTION

    def listener_for(self, src: int, port: int) -> Listener | None:
        """Who takes connections that `src` opens to a port."""
        return self.listeners.get(port)

    def path_under(self, listener: Listener, src: int) -> Path:
        """The way back to whoever sent something to a listener."""
        return self.ip.path(src)

    def initial_seq(self, conn: Connection) -> int:
        """The ISN of a new connection; fixes what its timestamps start from, too."""
        local = (self.ip.ip, conn.local_port)
        conn.ts_offset = seq = isn.initial_seq(self.secret, self.ip.now_ns, local, conn.remote)
        return seq

    def hand_over(self, conn: Connection, listener: Listener) -> None:
        """A connection that its listener brought is established: accept() may have it."""
        listener.half_open.discard(conn)
        listener.queue.append(conn)
        self.ready.wake(listener)

    def _reopens(self, conn: Connection, segment: Segment) -> bool:
        if conn.local_port not in self.listeners or not opening.may_reopen(conn, segment):
            return False
        self.forget(conn)
        return True

    def refuse(self, path: Path, segment: Segment) -> None:
        opening.refuse(self, path, segment)

    def on_synchronized(self, conn: Connection, segment: Segment) -> None:
        """Data or FIN that came with a SYN."""
        arrive.on_segment(conn, segment)

    def on_opened(self, conn: Connection) -> None:
        """The ACK of our SYN has come in SYN-RECEIVED."""
        opening.establish(conn)
        if conn.fin_queued:
            conn.state = State.FIN_WAIT_1

    def on_timer(self, now_ns: int) -> None:
        for conn in self.timers.take_due(now_ns):
            fire(conn, now_ns)
            self.timers.schedule(conn)

    def next_deadline_ns(self) -> int:
        return self.timers.next_deadline_ns()

    # Opening and closing.

    def new_connection(self, remote_ip: int, remote_port: int, local_port: int) -> Connection:
        """A connection in CLOSED with this layer's defaults; NoRoute if the address cannot be reached."""
        config = self.config
        return Connection(
            layer=self,
            path=self.ip.path(remote_ip),
            local_port=local_port,
            key=remote_ip << 32 | remote_port << 16 | local_port,
            send_limit=config.send_buffer_bytes,
            recv_limit=config.recv_buffer_bytes,
            rtt=RttEstimator.from_config(config),
            cc=Congestion.initial(536, config.initial_window_segments),
        )

    def check_remote(self, remote_ip: int, remote_port: int) -> None:
        """BadAddress for what no connection can be opened to."""
        if remote_port == 0 or self.ip.is_broadcast(remote_ip) or remote_ip >> 28 >= 0xE:
            raise BadAddress(f"cannot connect to {format_ip(remote_ip)}:{remote_port}")

    def connect(
        self,
        remote_ip: int,
        remote_port: int,
        local_port: int = 0,
        recv_buffer_bytes: int | None = None,
        local_ip: int = 0,
    ) -> Connection:
        """Active open; the SYN is sent at once. The one address of this stack needs no `local_ip`."""
        self.check_remote(remote_ip, remote_port)
        self.ip.path(remote_ip)
        port = local_port or self._ephemeral(remote_ip, remote_port)
        conn = self.new_connection(remote_ip, remote_port, port)
        if conn.key in self.connections:
            raise AddressInUse(f"{port} to {format_ip(remote_ip)}:{remote_port}")
        if recv_buffer_bytes is not None:
            conn.recv_limit = recv_buffer_bytes
        self.add(conn)
        self.stats.tcp_active_opens += 1
        conn.state = State.SYN_SENT
        opening.start(conn)
        return conn

    def bind(self, port: int) -> int:
        """Reserve a port, or an ephemeral one for 0, for a later listen() or connect()."""
        if port == 0:
            port = self._ephemeral(0, 0)
        elif port in self.bound or port in self.listeners:
            raise AddressInUse(f"TCP port {port}")
        self.bound.add(port)
        return port

    def listen(self, port: int, backlog: int, local_ip: int = 0) -> Listener:
        if port in self.listeners:
            raise AddressInUse(f"TCP port {port}")
        self.bound.discard(port)
        listener = self.listeners[port] = Listener(port, max(1, backlog))
        return listener

    def close_listener(self, listener: Listener) -> None:
        """Stop listening; connections that nobody accepted are reset."""
        listener.closed = True
        if self.listeners.get(listener.key) is listener:
            del self.listeners[listener.key]
        for conn in [*sorted(listener.half_open, key=lambda conn: conn.key), *listener.queue]:
            closing.abort(conn)
        listener.queue.clear()
        self.ready.wake(listener)

    def _ephemeral(self, remote_ip: int, remote_port: int) -> int:
        """The next port that gives a new four-tuple; `remote` of zeros asks for a port nobody uses at all."""
        first, last = self.config.ephemeral_ports
        taken = {conn.local_port for conn in self.connections.values()} if not remote_ip else set()
        key = remote_ip << 32 | remote_port << 16
        for _ in range(last - first + 1):
            self._next_port += 1
            port = first + self._next_port % (last - first + 1)
            used = port in self.bound or port in self.listeners or port in taken
            if not used and key | port not in self.connections:
                return port
        raise PortsExhausted(f"{first}..{last} to {format_ip(remote_ip)}:{remote_port}")

    def add(self, conn: Connection) -> None:
        self.connections[conn.key] = conn

    def fail(self, conn: Connection, error: StackError) -> None:
        """The connection ends with an error that the program will see."""
        conn.error = error
        conn.recv_buf.clear()
        self.forget(conn)

    def forget(self, conn: Connection) -> None:
        """Enter CLOSED: out of the table, no timers; whoever waits learns."""
        conn.state = State.CLOSED
        conn.stop_timers()
        conn.send_buf.clear()
        if self.connections.get(conn.key) is conn:
            del self.connections[conn.key]
        if conn.listener is not None:
            conn.listener.half_open.discard(conn)
            if conn in conn.listener.queue:
                conn.listener.queue.remove(conn)
        self.ready.wake(conn)

    @staticmethod
    def timed_out(conn: Connection) -> NetworkError:
        return ConnectionTimedOut(conn.describe())

    # Errors from below.

    def on_icmp(self, remote_ip: int, quote: bytes, message: icmp.IcmpMessage) -> bool:
        """RFC 9293 section 3.9.2.2 with the care of RFC 5927: the quoted sequence number must be in
        flight."""
        key = remote_ip << 32 | int.from_bytes(quote[2:4], "big") << 16 | int.from_bytes(quote[:2], "big")
        conn = self.connections.get(key)
        if conn is None or message.kind == icmp.SOURCE_QUENCH:  # RFC 6633: quench is ignored
            return False
        sequence = int.from_bytes(quote[4:8], "big")
        return self.on_icmp_about(conn, message.kind, message.code, message.word & 0xFFFF, sequence)

    def on_icmp_about(self, conn: Connection, kind: int, code: int, mtu_bytes: int, sequence: int) -> bool:
        """An ICMP error about one connection; False if it is not about anything in flight."""
        offset = diff(sequence, conn.snd_una)
        if not 0 <= offset < diff(conn.snd_max, conn.snd_una):
            return False
        if kind == icmp.UNREACHABLE and code == icmp.FRAGMENTATION_NEEDED:
            if self.ip.lower_mtu(conn.path, mtu_bytes):
                recovery.narrow_path(conn)
                self.timers.schedule(conn)
            return True
        if kind != icmp.UNREACHABLE:
            return True
        hard = code in (icmp.PROTOCOL_UNREACHABLE, icmp.PORT_UNREACHABLE)
        error = (ConnectionRefused if hard else HostUnreachable)(f"ICMP code {code}: {conn.describe()}")
        if hard and conn.state is State.SYN_SENT:
            self.fail(conn, error)
        else:
            conn.soft_error = error
        return True

    def on_unreachable(self, hop_ip: int) -> None:
        """ARP gave up on a next hop: connections being opened through it fail, others go on
        retransmitting."""
        for conn in [conn for conn in self.connections.values() if conn.path.hop.ip == hop_ip]:
            error = HostUnreachable(f"no ARP reply from {format_ip(hop_ip)}: {conn.describe()}")
            if conn.state is State.SYN_SENT:
                self.fail(conn, error)
            else:
                conn.soft_error = error

    def abort_all(self) -> None:
        for conn in list(self.connections.values()):
            closing.abort(conn)
