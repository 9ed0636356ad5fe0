# SPDX-License-Identifier: Apache-2.0
"""Small HTTP/1.1 server and client over plain or TLS streams; h11 does the protocol."""

import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import h11

from . import tls
from .asock import AsyncTcpSocket
from .errors import InvalidState, NetworkError, TimedOut
from .runtime import Host
from .sockets import Address, Option

CHUNK_BYTES = 1 << 16
MAX_BODY_BYTES = 1 << 20  # of a request


class HttpError(NetworkError):
    """The peer broke HTTP, or the response is not what was asked for."""


class Stream(Protocol):
    async def recv(self, max_bytes: int) -> bytes: ...

    async def sendall(self, data: bytes) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str  # as sent, not decoded
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """`body` is bytes, or chunks made while they are sent; then `length_bytes` says how many (None:
    chunked)."""

    status: int
    body: bytes | Iterable[bytes] = b""
    content_type: str = "application/octet-stream"
    length_bytes: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


def text(status: int, message: str) -> Response:
    return Response(status, message.encode() + b"\n", "text/plain; charset=utf-8")


def files(content: Mapping[str, bytes]) -> Handler:
    """Handler that serves byte strings by target; 404 for others, 405 for methods other than GET and HEAD."""

    async def handle(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(405, headers={"Allow": "GET, HEAD"})
        body = content.get(request.target)
        return text(404, "not found") if body is None else Response(200, body)

    return handle


class Server:
    """Accepts connections on one port and answers requests, several on a connection one after another."""

    def __init__(
        self,
        host: Host,
        handler: Handler,
        context: ssl.SSLContext | None = None,
        timeout_ns: int | None = None,  # longest silence of a client, in a request or between two
    ) -> None:
        self.timeout_ns = timeout_ns
        self.requests = 0
        self.bad_requests = 0
        self.peer_errors: deque[str] = deque(maxlen=32)  # connections that the peer or the path ended
        self._host, self._handler, self._context = host, handler, context
        self._listener = host.socket()

    def listen(self, port: int, backlog: int = 64) -> None:
        self._listener.bind(("0.0.0.0", port))
        self._listener.listen(backlog)

    async def run(self) -> None:
        """Serve until close(); spawn it. An exception of the handler ends its connection with status 500
        and then
        surfaces from the host's run() as TaskFailed."""
        while True:
            try:
                sock, address = await self._listener.accept()
            except NetworkError:
                return
            self._host.spawn(self._serve(sock), f"http {address[0]}:{address[1]}")

    def close(self) -> None:
        """Stop accepting; run() returns."""
        self._listener.close()

    async def _serve(self, sock: AsyncTcpSocket) -> None:
        sock.setsockopt(Option.NODELAY, True)
        sock.timeout_ns = self.timeout_ns
        stream: Stream = sock
        try:
            if self._context is not None:
                stream = await tls.accept(sock, self._context)
            await self._exchange(stream)
        except (NetworkError, TimedOut) as error:
            self.peer_errors.append(repr(error))
        finally:
            await stream.aclose()

    async def _exchange(self, stream: Stream) -> None:
        http = h11.Connection(h11.SERVER)
        while True:
            try:
                request = await _read_request(http, stream)
            except h11.RemoteProtocolError as error:
                self.bad_requests += 1
                if http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    await _send_response(http, stream, text(error.error_status_hint, str(error)), close=True)
                return
            if request is None:
                return
            self.requests += 1
            try:
                response = await self._handler(request)
            except Exception:
                await _send_response(http, stream, text(500, "internal error"), close=True)
                raise
            await _send_response(http, stream, response, head=request.method == "HEAD")
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()


async def _next_event(http: h11.Connection, stream: Stream) -> object:
    while (event := http.next_event()) is h11.NEED_DATA:
        if http.they_are_waiting_for_100_continue and http.our_role is h11.SERVER:
            await stream.sendall(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        http.receive_data(await stream.recv(CHUNK_BYTES))
    return event


async def _read_request(http: h11.Connection, stream: Stream) -> Request | None:
    """The next request with its body; None when the client has closed."""
    event = await _next_event(http, stream)
    if not isinstance(event, h11.Request):
        return None
    body = bytearray()
    while isinstance(data := await _next_event(http, stream), h11.Data):
        body += data.data
        if len(body) > MAX_BODY_BYTES:
            raise h11.RemoteProtocolError("request body too large", error_status_hint=413)
    return Request(event.method.decode(), event.target.decode("latin-1"), _headers(event), bytes(body))


def _headers(event: h11.Request | h11.Response) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}


async def _send_response(
    http: h11.Connection, stream: Stream, response: Response, head: bool = False, close: bool = False
) -> None:
    body = response.body
    length = len(body) if isinstance(body, bytes) else response.length_bytes
    headers = [("Content-Type", response.content_type), *response.headers.items()]
    if length is not None:
        headers.append(("Content-Length", str(length)))
    if close:
        headers.append(("Connection", "close"))
    first = http.send(h11.Response(status_code=response.status, headers=headers)) or b""
    chunks = iter(()) if head else _chunks(body) if isinstance(body, bytes) else iter(body)
    for chunk in chunks:
        await stream.sendall(first + (http.send(h11.Data(data=chunk)) or b""))
        first = b""
    await stream.sendall(first + (http.send(h11.EndOfMessage()) or b""))


def _chunks(body: bytes) -> Iterable[bytes]:
    return (body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES))


class ClientResponse:
    """Status and headers at once, the body as it comes."""

    def __init__(self, status: int, headers: dict[str, str], client: "Client") -> None:
        self.status = status
        self.headers = headers
        self._client = client

    async def chunks(self) -> AsyncIterator[bytes]:
        """Pieces of the body; HttpError if the server ends it early."""
        while chunk := await self._client._body():
            yield chunk

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])


class Client:
    """Requests on one stream, one after another; read a response to its end before the next request."""

    def __init__(self, stream: Stream, authority: str) -> None:
        self.stream = stream
        self._authority = authority
        self._http = h11.Connection(h11.CLIENT)

    async def get(self, target: str, headers: Mapping[str, str] | None = None) -> ClientResponse:
        return await self.request("GET", target, headers)

    async def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> ClientResponse:
        """Send a request and wait for the head of the response."""
        http = self._http
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        fields = [("Host", self._authority), *(headers or {}).items()]
        if body:
            fields.append(("Content-Length", str(len(body))))
        try:
            raw = http.send(h11.Request(method=method, target=target, headers=fields)) or b""
        except h11.LocalProtocolError as error:
            raise InvalidState(str(error)) from error
        if body:
            raw += http.send(h11.Data(data=body)) or b""
        await self.stream.sendall(raw + (http.send(h11.EndOfMessage()) or b""))
        event = await self._event()
        while isinstance(event, h11.InformationalResponse):
            event = await self._event()
        if not isinstance(event, h11.Response):
            raise HttpError(f"connection closed before the response to {method} {target}")
        return ClientResponse(event.status_code, _headers(event), self)

    async def aclose(self) -> None:
        await self.stream.aclose()

    async def _body(self) -> bytes:
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def _event(self) -> object:
        if self._http.their_state in (h11.DONE, h11.CLOSED, h11.MUST_CLOSE):
            return None
        try:
            return await _next_event(self._http, self.stream)
        except h11.RemoteProtocolError as error:
            raise HttpError(str(error)) from error


async def connect(
    host: Host,
    address: Address,
    authority: str,
    context: ssl.SSLContext | None = None,
    timeout_ns: int | None = None,
) -> Client:
    """Open a connection for requests; with a context, over TLS, the certificate being checked for
    `authority`."""
    if context is not None:
        return Client(
            await tls.connect(host, address, context, authority.split(":")[0], timeout_ns), authority
        )
    sock = host.socket()
    sock.timeout_ns = timeout_ns
    sock.setsockopt(Option.NODELAY, True)
    await sock.connect(address)
    return Client(sock, authority)
