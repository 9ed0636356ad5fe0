# SPDX-License-Identifier: Apache-2.0
"""TLS over awaitable sockets: the standard library's engine between two memory buffers.

The engine draws on OpenSSL's own randomness and reads the wall clock for certificate dates: of all in this
package,
TLS bytes alone are not a function of the seed.
"""

import ssl
from contextlib import suppress

from .asock import LINGER_NS, AsyncTcpSocket
from .errors import InvalidState, NetworkError, TimedOut
from .runtime import Host
from .sockets import Address, Option

CHUNK_BYTES = 1 << 16


class TlsError(NetworkError):
    """The TLS layer failed: handshake, certificate, or a record that does not authenticate."""


class TlsCertificateError(TlsError):
    """The peer's certificate was not accepted."""


class TlsTruncated(TlsError):
    """The TCP stream ended without close_notify: data may be missing (RFC 8446 section 6.1)."""


def client_context(ca_pem: str | bytes) -> ssl.SSLContext:
    """Verifying context that trusts only the given CA (PEM text), with host name check, TLS 1.2 or later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem.decode() if isinstance(ca_pem, bytes) else ca_pem)
    return context


def server_context(certificate_file: str, key_file: str) -> ssl.SSLContext:
    """Context with a certificate chain and its key, PEM files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_file, key_file)
    return context


class TlsSocket:
    """TLS on a connected socket, which it owns. Use connect() or accept() below to make one."""

    def __init__(
        self,
        sock: AsyncTcpSocket,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._engine = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._ended = False  # close_notify received
        self._closed = False

    async def handshake(self) -> None:
        """Run the handshake; TlsError (after the alert was sent) if it fails, TlsTruncated if the peer
        leaves."""
        while True:
            try:
                self._engine.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError as error:
                raise await self._failed(error) from error
            else:
                await self._flush()
                return

    async def recv(self, max_bytes: int) -> bytes:
        """1..max_bytes bytes; b"" after the peer's close_notify; TlsTruncated if TCP ended without one."""
        while not self._ended:
            try:
                data = self._engine.read(max_bytes)
            except ssl.SSLWantReadError:
                await self._flush()  # a key update may want an answer
                await self._fill()
                continue
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as error:
                raise await self._failed(error) from error
            if data:
                return data
            self._ended = True
        return b""

    async def send(self, data: bytes | bytearray | memoryview) -> int:
        await self.sendall(data)
        return len(data)

    async def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and queue all of `data`."""
        if self._closed:
            raise InvalidState("send after close")
        view = memoryview(data)
        for at in range(0, len(view), CHUNK_BYTES):
            try:
                self._engine.write(view[at : at + CHUNK_BYTES])
            except ssl.SSLError as error:
                raise await self._failed(error) from error
            await self._flush()

    async def aclose(self, linger_ns: int = LINGER_NS) -> None:
        """Send close_notify and end the TCP connection in an orderly way."""
        if self._closed:
            return
        self._closed = True
        with suppress(
            ssl.SSLError
        ):  # wants the peer's close_notify, or is broken: our alert is in the buffer
            self._engine.unwrap()
        with suppress(NetworkError, InvalidState, TimedOut):
            await self._flush()
        await self.sock.aclose(linger_ns)

    def abort(self) -> None:
        """Reset the TCP connection, without close_notify."""
        self._closed = True
        self.sock.abort()

    @property
    def version(self) -> str | None:
        """ "TLSv1.3" and the like, None before the handshake."""
        return self._engine.version()

    @property
    def cipher(self) -> str | None:
        found = self._engine.cipher()
        return found[0] if found is not None else None

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self.sock.sendall(self._outgoing.read())

    async def _fill(self) -> None:
        data = await self.sock.recv(4 * CHUNK_BYTES)
        if not data:
            raise TlsTruncated(f"TCP stream ended inside TLS: {self.sock.raw.endpoint.describe()}")
        self._incoming.write(data)

    async def _failed(self, error: ssl.SSLError) -> TlsError:
        """Send the alert that the engine left, if the connection still takes it."""
        with suppress(NetworkError, InvalidState, TimedOut):
            await self._flush()
        kind = TlsCertificateError if isinstance(error, ssl.SSLCertVerificationError) else TlsError
        return kind(f"{error.reason or error}: {self.sock.raw.endpoint.describe()}")


async def connect(
    host: Host, address: Address, context: ssl.SSLContext, server_hostname: str, timeout_ns: int | None = None
) -> TlsSocket:
    """Open TCP and TLS to a server, whose certificate must be for `server_hostname`."""
    sock = host.socket()
    sock.timeout_ns = timeout_ns
    sock.setsockopt(Option.NODELAY, True)
    try:
        await sock.connect(address)
        tls = TlsSocket(sock, context, server_side=False, server_hostname=server_hostname)
        await tls.handshake()
    except (NetworkError, TimedOut):
        await sock.aclose()  # a hard close could overtake the alert that tells the peer why
        raise
    except BaseException:
        sock.abort()
        raise
    return tls


async def accept(sock: AsyncTcpSocket, context: ssl.SSLContext) -> TlsSocket:
    """The server's side of TLS on an accepted socket; the socket is closed if the handshake fails."""
    sock.setsockopt(Option.NODELAY, True)
    tls = TlsSocket(sock, context, server_side=True)
    try:
        await tls.handshake()
    except (NetworkError, TimedOut):
        await sock.aclose()  # a hard close could overtake the alert that tells the peer why
        raise
    except BaseException:
        sock.abort()
        raise
    return tls
