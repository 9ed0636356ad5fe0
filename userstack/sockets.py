# SPDX-License-Identifier: Apache-2.0
"""Sockets with the familiar names, non-blocking: a call that cannot make progress raises WouldBlock."""

import enum

from .config import NEVER_NS
from .endpoint import WRITE, Endpoint
from .errors import BadAddress, InvalidState, StackError, WouldBlock
from .stack import Stack
from .tcp import closing, send
from .tcp.conn import Connection, State
from .tcp.listener import Listener
from .udp import UdpEndpoint
from .wire.addr import format_ip, parse_ip

Address = tuple[str, int]
ANY = "0.0.0.0"  # bind: the stack's one address


class Shutdown(enum.Enum):
    RD = 0
    WR = 1
    RDWR = 2


class Option(enum.Enum):
    """What setsockopt and getsockopt know."""

    NODELAY = enum.auto()  # bool: short segments leave at once (Nagle off)
    KEEPALIVE = enum.auto()  # bool
    KEEPALIVE_IDLE_NS = enum.auto()  # int, before the first probe
    SEND_BUFFER = enum.auto()  # int, bytes
    RECV_BUFFER = enum.auto()  # int, bytes; before connect() only, as it fixes the window scale


def _parse(address: Address, wildcard: bool = False) -> tuple[int, int]:
    host, port = address
    if not 0 <= port <= 0xFFFF or (port == 0 and not wildcard):
        raise BadAddress(f"port {port}")
    return parse_ip(host), port


class TcpSocket:
    """A TCP endpoint: unbound, then listening or connected."""

    def __init__(self, stack: Stack, conn: Connection | None = None) -> None:
        self.stack = stack
        self._conn = conn
        self._listener: Listener | None = None
        self._local_ip = 0
        self._port = conn.local_port if conn is not None else 0
        self._closed = False
        self._options: dict[Option, int] = {}

    @property
    def endpoint(self) -> Endpoint:
        """What poll() is about; InvalidState before listen() or connect()."""
        found = self._listener or self._conn
        if found is None:
            raise InvalidState("neither listening nor connected")
        return found

    @property
    def state(self) -> State:
        if self._conn is not None:
            return self._conn.state
        return State.LISTEN if self._listener is not None and not self._closed else State.CLOSED

    def poll(self) -> int:
        """READ | WRITE as in endpoint."""
        return self.endpoint.poll()

    def bind(self, address: Address) -> None:
        """Fix the local port (0: any free one); the host is the stack's address or "0.0.0.0"."""
        ip, port = _parse(address, wildcard=True)
        self._check_fresh()
        if self._port:
            raise InvalidState(f"already bound to port {self._port}")
        self.stack.ip.check_local(ip)
        self._local_ip = ip
        self._port = self.stack.tcp.bind(port)

    def listen(self, backlog: int = 16) -> None:
        """Accept connections; binds to a free port if bind() was not called."""
        self._check_fresh()
        self._port = self._port or self.stack.tcp.bind(0)
        self._listener = self.stack.tcp.listen(self._port, backlog, self._local_ip)

    def accept(self) -> "tuple[TcpSocket, Address]":
        """The oldest finished connection and the peer's address."""
        if self._listener is None or self._closed:
            raise InvalidState("accept on a socket that does not listen")
        if not self._listener.queue:
            if self._listener.error is not None:
                raise _fresh(self._listener.error)
            raise WouldBlock("no connection waits")
        conn = self._listener.queue.popleft()
        conn.listener = None
        child = TcpSocket(self.stack, conn)
        for option, value in self._options.items():
            child.setsockopt(option, value)
        return child, child.getpeername()

    def connect(self, address: Address) -> None:
        """Start an active open; poll() shows WRITE when it is decided, check_connected() how."""
        remote_ip, remote_port = _parse(address)
        self._check_fresh()
        tcp = self.stack.tcp
        room = self._options.get(Option.RECV_BUFFER)
        self._conn = tcp.connect(remote_ip, remote_port, self._port, room, self._local_ip)
        tcp.bound.discard(self._port)
        for option, value in self._options.items():
            self._apply(self._conn, option, value)

    def check_connected(self) -> bool:
        """True when established, False while opening; raises what made it fail."""
        conn = self._require()
        if conn.error is not None:
            raise _fresh(conn.error)
        return conn.state >= State.ESTABLISHED

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Queue bytes; how many were taken (1..len). Raises what the network did to the connection."""
        conn = self._require()
        if conn.error is not None:
            raise _fresh(conn.error)
        if conn.fin_queued or conn.closed or conn.state is State.CLOSED:
            raise InvalidState(f"send after shutdown: {conn.describe()}")
        size = min(len(data), conn.send_room)
        if size == 0 and len(data):
            raise WouldBlock("send buffer full")
        conn.send_buf += data if size == len(data) else memoryview(data)[:size]
        send.push(conn)
        self.stack.tcp.timers.schedule(conn)
        return size

    def recv(self, max_bytes: int) -> bytes:
        """1..max_bytes bytes, or b"" at the end of the stream (the peer's FIN, or shutdown(RD))."""
        if max_bytes <= 0:
            raise InvalidState(f"recv of {max_bytes} bytes")
        conn = self._require()
        buf = conn.recv_buf
        if buf:
            if len(buf) <= max_bytes:
                data = bytes(buf)
                buf.clear()
            else:
                data = bytes(memoryview(buf)[:max_bytes])
                del buf[:max_bytes]
            send.after_read(conn)
            return data
        if conn.error is not None:
            raise _fresh(conn.error)
        if conn.fin_received or conn.read_shut or conn.closed:
            return b""
        if conn.state is State.CLOSED:
            raise InvalidState("recv on a closed connection")
        raise WouldBlock("nothing received")

    def shutdown(self, how: Shutdown) -> None:
        """WR: send a FIN behind the data. RD: drop what comes, reads give the end of the stream."""
        conn = self._require()
        if conn.state is State.CLOSED:
            return
        if how is not Shutdown.WR:
            conn.read_shut = True
            conn.recv_buf.clear()
            self.stack.ready.wake(conn)
        if how is not Shutdown.RD:
            closing.queue_fin(conn)
            self.stack.tcp.timers.schedule(conn)

    def close(self) -> None:
        """Give the socket up: orderly, unless data is unread (then the peer gets a reset). Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._listener is not None:
            self.stack.tcp.close_listener(self._listener)
        elif self._conn is not None:
            closing.close(self._conn)
            self.stack.tcp.timers.schedule(self._conn)
        else:
            self.stack.tcp.bound.discard(self._port)

    def abort(self) -> None:
        """Close with a reset."""
        if self._conn is not None:
            self._conn.closed = True
            closing.abort(self._conn)
            self._closed = True
        else:
            self.close()

    def check_bound(self) -> bool:
        """Whether the local port is this socket's own by now: in shared mode the registry has to say so.
        Raises what it refused."""
        found = self.endpoint
        error = self._listener.error if self._listener is not None else self._require().error
        if error is not None:
            raise _fresh(error)
        if isinstance(found, Listener):
            return found.granted
        return self._require().local_port != 0

    def getsockname(self) -> Address:
        """Local address and port; port 0 while the registry has not said which one."""
        if self._conn is not None:
            return format_ip(self._conn.path.src), self._conn.local_port
        if self._listener is not None:
            return format_ip(self._listener.local_ip or self.stack.ip.ip), self._listener.port
        return format_ip(self._local_ip or self.stack.ip.ip), self._port

    def getpeername(self) -> Address:
        ip, port = self._require().remote
        return format_ip(ip), port

    def setsockopt(self, option: Option, value: int) -> None:
        if option in (Option.SEND_BUFFER, Option.RECV_BUFFER) and not 2048 <= value <= 1 << 30:
            raise InvalidState(f"{option.name} {value}")
        if option is Option.RECV_BUFFER and (self._conn is not None or self._listener is not None):
            raise InvalidState("RECV_BUFFER is fixed by the SYN")
        self._options[option] = value
        if self._conn is not None:
            self._apply(self._conn, option, value)

    def getsockopt(self, option: Option) -> int:
        """The value set on this socket, or 0."""
        return self._options.get(option, 0)

    def _apply(self, conn: Connection, option: Option, value: int) -> None:
        if option is Option.NODELAY:
            conn.nodelay = bool(value)
            send.push(conn)
        elif option is Option.SEND_BUFFER:
            conn.send_limit = value
        elif option is Option.KEEPALIVE_IDLE_NS:
            conn.keep_idle_ns = value
        elif option is Option.KEEPALIVE:
            conn.keep_on = bool(value)
            on = conn.keep_on and conn.state >= State.ESTABLISHED
            conn.keep_ns = self.stack.now_ns + conn.idle_limit_ns if on else NEVER_NS
        self.stack.tcp.timers.schedule(conn)

    def _require(self) -> Connection:
        if self._conn is None:
            raise InvalidState("not connected")
        return self._conn

    def _check_fresh(self) -> None:
        if self._closed or self._conn is not None or self._listener is not None:
            raise InvalidState("socket is already used")


def _fresh(error: StackError) -> StackError:
    """A new exception each time, so that tracebacks do not pile up on one object."""
    again = type(error)(*error.args)
    again.errno = error.errno
    return again


class UdpSocket:
    """A UDP port; bound at the first use if bind() was not called."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._port: UdpEndpoint | None = None
        self._closed = False

    @property
    def endpoint(self) -> UdpEndpoint:
        if self._closed:
            raise InvalidState("socket is closed")
        if self._port is None:
            self._port = self.stack.udp.bind(0)
        return self._port

    def poll(self) -> int:
        return self.endpoint.poll()

    def bind(self, address: Address) -> None:
        ip, port = _parse(address, wildcard=True)
        if self._port is not None or self._closed:
            raise InvalidState("already bound or closed")
        self.stack.ip.check_local(ip)
        self._port = self.stack.udp.bind(port, ip)

    def connect(self, address: Address) -> None:
        """Fix the peer: only its datagrams are received, its ICMP errors are reported, send() works."""
        remote = _parse(address)
        if self._closed:
            raise InvalidState("socket is closed")
        self._port = self.stack.udp.connect(self._port, remote)

    def sendto(self, data: bytes, address: Address) -> int:
        remote = _parse(address)
        self._raise_error()
        self.stack.udp.send(self.endpoint, data, remote)
        return len(data)

    def send(self, data: bytes) -> int:
        remote = self.endpoint.remote
        if remote is None:
            raise InvalidState("not connected")
        self._raise_error()
        self.stack.udp.send(self.endpoint, data, remote)
        return len(data)

    def recvfrom(self) -> tuple[bytes, Address]:
        """One whole datagram and its sender."""
        self._raise_error()
        found = self.stack.udp.recv(self.endpoint)
        if found is None:
            raise WouldBlock("no datagram")
        data, (ip, port) = found
        return data, (format_ip(ip), port)

    def close(self) -> None:
        if self._port is not None and not self._closed:
            self.stack.udp.close(self._port)
        self._closed = True

    def check_bound(self) -> bool:
        """As TcpSocket.check_bound."""
        self._raise_error()
        return bool(self.endpoint.poll() & WRITE)

    def getsockname(self) -> Address:
        """As TcpSocket.getsockname."""
        return format_ip(self.endpoint.local_ip or self.stack.ip.ip), self.endpoint.local_port

    def _raise_error(self) -> None:
        error: StackError | None = self.endpoint.take_error()
        if error is not None:
            raise error
