# SPDX-License-Identifier: Apache-2.0
"""TLS: verification, orderly end, truncation."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from userstack import Host, TaskFailed, tls
from userstack.tests.net import NAME, SERVER_IP, body, contexts, digest, pair


async def serve(
    on: Host, context: ssl.SSLContext, program: Any, errors: list[tls.TlsError] | None = None
) -> None:
    listener = on.socket()
    listener.bind(("0.0.0.0", 443))
    listener.listen()
    sock, _ = await listener.accept()
    try:
        stream = await tls.accept(sock, context)
        await program(stream)
    except tls.TlsError as error:
        if errors is None:
            raise
        errors.append(error)
    finally:
        listener.close()


def run(
    tmp_path: Path,
    server_program: Any,
    client_program: Any,
    name: str = NAME,
    asked: str = NAME,
    errors: list[tls.TlsError] | None = None,
) -> Any:
    server, client, link = pair()
    server_context, client_context = contexts(tmp_path, name)
    server.spawn(serve(server, server_context, server_program, errors), name="server")

    async def use(on: Host) -> Any:
        return await client_program(await tls.connect(on, (SERVER_IP, 443), client_context, asked))

    task = client.spawn(use(client), name="client")
    link.run()
    return task.result()


async def read_all(stream: tls.TlsSocket) -> Any:
    parts = []
    while data := await stream.recv(1 << 16):
        parts.append(data)
    await stream.aclose()
    return b"".join(parts)


def test_data_and_close_notify(tmp_path: Path) -> None:
    async def send(stream: tls.TlsSocket) -> None:
        await stream.sendall(body(300_000))
        await stream.aclose()

    assert digest(run(tmp_path, send, read_all)) == digest(body(300_000))


def test_versions_and_cipher_are_visible(tmp_path: Path) -> None:
    async def look(stream: tls.TlsSocket) -> Any:
        found = stream.version, stream.cipher
        await stream.aclose()
        return found

    version, cipher = run(tmp_path, read_all, look)
    assert version == "TLSv1.3" and cipher.startswith("TLS_")


def test_truncation_is_an_error_and_not_an_end(tmp_path: Path) -> None:
    async def cut(stream: tls.TlsSocket) -> None:
        await stream.sendall(b"half of it")
        await stream.sock.aclose()  # a FIN without close_notify

    async def read(stream: tls.TlsSocket) -> Any:
        assert await stream.recv(99) == b"half of it"
        with pytest.raises(tls.TlsTruncated):
            await stream.recv(99)
        await stream.aclose()
        return "seen"

    assert run(tmp_path, cut, read) == "seen"


def test_truncated_handshake(tmp_path: Path) -> None:
    server, client, link = pair()
    _, client_context = contexts(tmp_path)

    async def hang_up(on: Host) -> None:
        listener = on.socket()
        listener.bind(("0.0.0.0", 443))
        listener.listen()
        sock, _ = await listener.accept()
        await sock.recv(1 << 16)
        await sock.aclose()

    async def use(on: Host) -> Any:
        with pytest.raises(tls.TlsTruncated):
            await tls.connect(on, (SERVER_IP, 443), client_context, NAME)
        return True

    server.spawn(hang_up(server))
    task = client.spawn(use(client))
    link.run()
    assert task.result()


def test_wrong_name_is_refused_and_the_server_learns(tmp_path: Path) -> None:
    errors: list[tls.TlsError] = []
    with pytest.raises(TaskFailed) as caught:
        run(tmp_path, read_all, read_all, asked="other.test", errors=errors)
    assert isinstance(caught.value.__cause__, tls.TlsCertificateError)


def test_unknown_authority_is_refused(tmp_path: Path) -> None:
    import trustme

    server, client, link = pair()
    server_context, _ = contexts(tmp_path)
    stranger = tls.client_context(trustme.CA().cert_pem.bytes())
    errors: list[tls.TlsError] = []
    server.spawn(serve(server, server_context, read_all, errors))

    async def use(on: Host) -> None:
        with pytest.raises(tls.TlsCertificateError):
            await tls.connect(on, (SERVER_IP, 443), stranger, NAME)

    client.spawn(use(client))
    link.run()
    assert len(errors) == 1 and isinstance(errors[0], tls.TlsError)


def test_client_context_verifies() -> None:
    import trustme

    context = tls.client_context(trustme.CA().cert_pem.bytes())
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


def test_plaintext_to_a_tls_server_is_a_tls_error(tmp_path: Path) -> None:
    server, client, link = pair()
    server_context, _ = contexts(tmp_path)
    errors: list[tls.TlsError] = []
    server.spawn(serve(server, server_context, read_all, errors))

    async def use(on: Host) -> None:
        sock = on.socket()
        await sock.connect((SERVER_IP, 443))
        await sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        await sock.aclose()

    client.spawn(use(client))
    link.run()
    assert isinstance(errors[0], tls.TlsError)


def test_corrupted_record_is_refused(tmp_path: Path) -> None:
    async def forge(stream: tls.TlsSocket) -> None:
        await stream.sock.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        await stream.sock.aclose()

    async def read(stream: tls.TlsSocket) -> Any:
        with pytest.raises(tls.TlsError):
            await stream.recv(99)
        await stream.aclose()
        return True

    errors: list[tls.TlsError] = []
    assert run(tmp_path, forge, read, errors=errors)


def test_both_sides_talk(tmp_path: Path) -> None:
    async def echo(stream: tls.TlsSocket) -> None:
        while data := await stream.recv(1000):
            await stream.sendall(data)
        await stream.aclose()

    async def ask(stream: tls.TlsSocket) -> Any:
        answers = b""
        for number in range(50):
            await stream.sendall(b"%d " % number)
            answers += await stream.recv(100)
        await stream.aclose()
        return answers

    assert run(tmp_path, echo, ask) == b"".join(b"%d " % number for number in range(50))
