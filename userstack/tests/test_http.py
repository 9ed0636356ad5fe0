# SPDX-License-Identifier: Apache-2.0
"""HTTP server and client on top of everything."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from userstack import AsyncTcpSocket, Host, NetworkError, TaskFailed, http
from userstack.tests.net import NAME, SERVER_IP, body, contexts, pair


def exchange(program: Any, handler: http.Handler, tmp_path: Path | None = None) -> Any:
    """Run a client program against a server; (result, server)."""
    server, client, link = pair()
    server_context, client_context = contexts(tmp_path) if tmp_path is not None else (None, None)
    web = http.Server(server, handler, server_context)
    web.listen(8080)
    server.spawn(web.run(), name="web")

    async def use() -> Any:
        try:
            return await program(await http.connect(client, (SERVER_IP, 8080), NAME, client_context))
        finally:
            web.close()

    task = client.spawn(use(), name="browser")
    link.run()
    return task.result(), web


async def abort(client: http.Client) -> None:
    assert isinstance(client.stream, AsyncTcpSocket)
    client.stream.abort()


FILES = http.files({"/a": b"alpha", "/big": body(300_000)})


@pytest.mark.parametrize("secure", [False, True])
def test_get_404_405_and_head_on_one_connection(secure: bool, tmp_path: Path) -> None:
    async def program(client: http.Client) -> Any:
        found = []
        for method, target in (
            ("GET", "/a"),
            ("GET", "/none"),
            ("POST", "/a"),
            ("HEAD", "/a"),
            ("GET", "/big"),
        ):
            response = await client.request(method, target)
            found.append((response.status, await response.read(), response.headers.get("content-length")))
        await client.aclose()
        return found

    found, web = exchange(program, FILES, tmp_path if secure else None)
    assert found == [
        (200, b"alpha", "5"),
        (404, b"not found\n", "10"),
        (405, b"", "0"),
        (200, b"", "5"),
        (200, body(300_000), "300000"),
    ]
    assert web.requests == 5 and not web.peer_errors


def test_streamed_bodies_with_and_without_length() -> None:
    async def handler(request: http.Request) -> Any:
        chunks = (b"x" * 1000 for _ in range(100))
        return http.Response(200, chunks, length_bytes=100_000 if request.target == "/known" else None)

    async def program(client: http.Client) -> Any:
        sizes = []
        for target in ("/known", "/chunked"):
            response = await client.get(target)
            sizes.append((len(await response.read()), response.headers.get("transfer-encoding")))
        await client.aclose()
        return sizes

    assert exchange(program, handler)[0] == [(100_000, None), (100_000, "chunked")]


def test_body_arrives_in_pieces() -> None:
    async def program(client: http.Client) -> Any:
        response = await client.get("/big")
        sizes = [len(chunk) async for chunk in response.chunks()]
        await client.aclose()
        return sizes

    sizes, _ = exchange(program, FILES)
    assert sum(sizes) == 300_000 and len(sizes) > 3


def test_request_body_reaches_the_handler() -> None:
    async def handler(request: http.Request) -> Any:
        return http.Response(200, request.body[::-1], headers={"X-Method": request.method})

    async def program(client: http.Client) -> Any:
        response = await client.request("PUT", "/x", body=b"drawer")
        result = await response.read(), response.headers["x-method"]
        await client.aclose()
        return result

    assert exchange(program, handler)[0] == (b"reward", "PUT")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"this is not http\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000_000), b"413"),
    ],
)
def test_bad_requests_get_their_status(raw: bytes, status: bytes) -> None:
    async def program(client: http.Client) -> Any:
        sock = client.stream
        with suppress(NetworkError):  # the server may have hung up already
            await sock.sendall(raw)
        answer = await sock.recv(1 << 16)
        await sock.aclose()
        return answer

    answer, web = exchange(program, FILES)
    assert answer.split()[1] == status
    assert web.bad_requests == 1


def test_handler_exception_is_a_500_and_surfaces() -> None:
    async def handler(request: http.Request) -> http.Response:
        raise KeyError("bug in the program")

    statuses = []

    async def program(client: http.Client) -> None:
        response = await client.get("/")
        statuses.append(response.status)
        await client.aclose()

    with pytest.raises(TaskFailed, match="bug in the program"):
        exchange(program, handler)


def test_server_that_hangs_up_early_is_an_error() -> None:
    server, client, link = pair()

    async def liar(on: Host) -> None:
        listener = on.socket()
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        sock, _ = await listener.accept()
        await sock.recv(1000)
        await sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        await sock.aclose()

    async def program(on: Host) -> Any:
        session = await http.connect(on, (SERVER_IP, 80), NAME)
        response = await session.get("/")
        with pytest.raises(http.HttpError):
            await response.read()
        await session.aclose()
        return True

    server.spawn(liar(server))
    task = client.spawn(program(client))
    link.run()
    assert task.result()


def test_client_that_vanishes_is_the_servers_record_and_not_its_end() -> None:
    async def program(client: http.Client) -> None:
        await client.stream.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.stream.recv(1000)
        await abort(client)

    _, web = exchange(program, FILES)
    assert len(web.peer_errors) == 1 and "ConnectionReset" in web.peer_errors[0]


def test_early_next_request_is_the_callers_mistake() -> None:
    from userstack import LocalError

    async def program(client: http.Client) -> Any:
        await client.get("/big")
        with pytest.raises(LocalError):
            await client.get("/a")
        await abort(client)
        return True

    assert exchange(program, FILES)[0]


def test_silent_client_is_dropped_after_the_timeout() -> None:
    server, client, link = pair()
    web = http.Server(server, FILES, timeout_ns=5 * 10**9)
    web.listen(80)
    server.spawn(web.run())

    async def silent(on: Host) -> int:
        sock = on.socket()
        await sock.connect((SERVER_IP, 80))
        assert await sock.recv(1) == b""
        await sock.aclose()
        web.close()
        return on.now_ns

    task = client.spawn(silent(client))
    link.run()
    assert 5 * 10**9 <= task.result() < 6 * 10**9
    assert "TimedOut" in web.peer_errors[0]
