# SPDX-License-Identifier: Apache-2.0
"""Awaitable sockets: those of sockets.py, waiting instead of raising WouldBlock."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from .endpoint import READ, WRITE, Endpoint
from .errors import ConnectionAborted, InvalidState, NetworkError, TimedOut, WouldBlock
from .sockets import Address, Option, Shutdown, TcpSocket, UdpSocket
from .tcp.conn import State

if TYPE_CHECKING:
    from .stack import Stack

LINGER_NS = 1_000_000_000  # how long aclose() waits for the peer, each time


class Waiter(Protocol):
    """The part of a runtime that sockets use."""

    @property
    def stack(self) -> "Stack": ...

    def wait(
        self, endpoint: Endpoint, mask: int, timeout_ns: int | None = None
    ) -> Coroutine[Any, Any, None]: ...


class AsyncTcpSocket:
    """TCP socket for programs. `timeout_ns` bounds each wait of a call (TimedOut); None waits for ever."""

    def __init__(self, host: Waiter, raw: TcpSocket | None = None) -> None:
        self._host = host
        self.raw = raw if raw is not None else TcpSocket(host.stack)
        self.timeout_ns: int | None = None

    def bind(self, address: Address) -> None:
        self.raw.bind(address)

    def listen(self, backlog: int = 16) -> None:
        self.raw.listen(backlog)

    async def bound(self) -> Address:
        """After listen(): wait until the port is this socket's own, which is at once unless the interface is
        shared; local address and port. Raises what the registry refused."""
        while not self.raw.check_bound():
            await self._host.wait(self.raw.endpoint, WRITE | READ, self.timeout_ns)
        return self.raw.getsockname()

    async def accept(self) -> "tuple[AsyncTcpSocket, Address]":
        """Wait for a connection; ConnectionAborted if the listener is closed meanwhile."""
        while True:
            try:
                child, address = self.raw.accept()
            except WouldBlock:
                await self._host.wait(self.raw.endpoint, READ, self.timeout_ns)
                if self.raw.state is State.CLOSED:
                    raise ConnectionAborted("listener closed") from None
                continue
            return AsyncTcpSocket(self._host, child), address

    async def connect(self, address: Address) -> None:
        """Open a connection and wait until it is established, refused or given up."""
        self.raw.connect(address)
        while not self.raw.check_connected():
            await self._host.wait(self.raw.endpoint, WRITE, self.timeout_ns)

    async def send(self, data: bytes | bytearray | memoryview) -> int:
        """Queue some of `data`, waiting for room; how many bytes."""
        while True:
            try:
                return self.raw.send(data)
            except WouldBlock:
                await self._host.wait(self.raw.endpoint, WRITE, self.timeout_ns)

    async def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Queue all of `data`; returns when the last byte is in the send buffer."""
        view = memoryview(data)
        at = 0
        while at < len(view):
            at += await self.send(view[at:])

    async def recv(self, max_bytes: int) -> bytes:
        """1..max_bytes bytes, b"" at the end of the stream."""
        while True:
            try:
                return self.raw.recv(max_bytes)
            except WouldBlock:
                await self._host.wait(self.raw.endpoint, READ, self.timeout_ns)

    async def recv_exactly(self, size: int) -> bytes:
        """`size` bytes, fewer only if the stream ends before."""
        parts = []
        while size > 0 and (data := await self.recv(size)):
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def shutdown(self, how: Shutdown) -> None:
        self.raw.shutdown(how)

    def close(self) -> None:
        self.raw.close()

    def abort(self) -> None:
        self.raw.abort()

    async def aclose(self, linger_ns: int = LINGER_NS) -> None:
        """Orderly end: FIN, read and drop what still comes until the peer's FIN, close. After `linger_ns`,
        or if
        the connection has failed, close without more waiting."""
        if self.raw.state is State.CLOSED:
            self.raw.close()
            return
        kept, self.timeout_ns = self.timeout_ns, linger_ns
        try:
            self.raw.shutdown(Shutdown.WR)
            while await self.recv(1 << 16):
                pass
        except (NetworkError, InvalidState, TimedOut):
            pass  # there is nobody left to be orderly with
        finally:
            self.timeout_ns = kept
            self.raw.close()

    def getsockname(self) -> Address:
        return self.raw.getsockname()

    def getpeername(self) -> Address:
        return self.raw.getpeername()

    def setsockopt(self, option: Option, value: int) -> None:
        self.raw.setsockopt(option, value)

    @property
    def state(self) -> State:
        return self.raw.state


class AsyncUdpSocket:
    """UDP socket for programs."""

    def __init__(self, host: Waiter) -> None:
        self._host = host
        self.raw = UdpSocket(host.stack)
        self.timeout_ns: int | None = None

    def bind(self, address: Address) -> None:
        self.raw.bind(address)

    def connect(self, address: Address) -> None:
        self.raw.connect(address)

    async def bound(self) -> Address:
        """As AsyncTcpSocket.bound; binds to a free port if bind() was not called."""
        while not self.raw.check_bound():
            await self._host.wait(self.raw.endpoint, WRITE | READ, self.timeout_ns)
        return self.raw.getsockname()

    def sendto(self, data: bytes, address: Address) -> int:
        return self.raw.sendto(data, address)

    def send(self, data: bytes) -> int:
        return self.raw.send(data)

    async def recvfrom(self) -> tuple[bytes, Address]:
        while True:
            try:
                return self.raw.recvfrom()
            except WouldBlock:
                await self._host.wait(self.raw.endpoint, READ, self.timeout_ns)

    def close(self) -> None:
        self.raw.close()

    def getsockname(self) -> Address:
        return self.raw.getsockname()
