# SPDX-License-Identifier: Apache-2.0
"""The coroutine runtime and the awaitable sockets."""

from typing import Any

import pytest

from userstack import Event, Host, Option, TaskCancelled, TaskFailed, TimedOut
from userstack.errors import ConnectionAborted, ConnectionRefused, InvalidState
from userstack.testing import Impairment, Stuck
from userstack.tests.net import SERVER_IP, fetch, host, pair, serve_once


def run(on: Host, until_ns: int = 10**12) -> None:
    """Step one host alone."""
    on.run(on.now_ns)
    while not on.idle and (due := on.next_deadline_ns()) is not None and due <= until_ns:
        on.run(due)


def test_result_of_a_program() -> None:
    async def program() -> Any:
        return 42

    on = host(1)
    task = on.spawn(program())
    assert not task.done
    with pytest.raises(InvalidState):
        task.result()
    on.run(0)
    assert task.done and task.result() == 42 and on.idle


def test_sleep_is_exact_and_ordered() -> None:
    log = []

    async def program(on: Host, name: str, duration_ns: int) -> None:
        await on.sleep_ns(duration_ns)
        log.append((name, on.now_ns))

    on = host(1)
    for name, duration_ns in (("b", 20), ("a", 10), ("c", 20)):
        on.spawn(program(on, name, duration_ns))
    on.run(0)
    assert on.next_deadline_ns() == 10
    run(on)
    assert log == [("a", 10), ("b", 20), ("c", 20)]


def test_sleep_zero_returns_to_the_caller() -> None:
    async def program(on: Host) -> None:
        for _ in range(3):
            await on.sleep_ns(0)

    on = host(1)
    on.spawn(program(on))
    calls = 0
    while not on.idle:
        on.run(0)
        calls += 1
    assert calls == 4


def test_unclaimed_exception_surfaces_with_name_and_cause() -> None:
    async def broken() -> None:
        raise ValueError("told you")

    on = host(1)
    on.spawn(broken(), name="the culprit")
    with pytest.raises(TaskFailed, match=r"the culprit.*told you") as caught:
        on.run(0)
    assert isinstance(caught.value.__cause__, ValueError)
    on.run(1)  # the host goes on


def test_two_failures_at_once_are_both_named() -> None:
    async def broken(name: str) -> None:
        raise ValueError(name)

    on = host(1)
    on.spawn(broken("first"), name="one")
    on.spawn(broken("second"), name="two")
    with pytest.raises(TaskFailed) as caught:
        on.run(0)
    assert "second" in caught.value.__notes__[0]


def test_awaited_exception_goes_to_the_waiter() -> None:
    async def broken(on: Host) -> None:
        await on.sleep_ns(5)
        raise ValueError("mine")

    async def parent(on: Host) -> Any:
        try:
            await on.spawn(broken(on))
        except ValueError as error:
            return str(error)

    on = host(1)
    task = on.spawn(parent(on))
    run(on)
    assert task.result() == "mine"


def test_await_of_a_finished_task() -> None:
    async def value() -> Any:
        return 1

    async def parent(on: Host) -> Any:
        task = on.spawn(value())
        await on.sleep_ns(5)
        return await task + await task

    on = host(1)
    task = on.spawn(parent(on))
    run(on)
    assert task.result() == 2


def test_cancel_throws_into_the_program_and_is_not_a_failure() -> None:
    log = []

    async def program(on: Host) -> None:
        try:
            await on.sleep_ns(1000)
        except TaskCancelled:
            log.append(on.now_ns)
            raise

    on = host(1)
    task = on.spawn(program(on))
    on.run(0)
    on.run(5)
    task.cancel()
    on.run(6)
    assert task.done and log == [6] and on.idle and on.next_deadline_ns() is None
    with pytest.raises(TaskCancelled):
        task.result()


def test_cancel_all_ends_every_program() -> None:
    on = host(1)
    tasks = [on.spawn(on.sleep_ns(10**9)) for _ in range(3)]
    on.run(0)
    on.cancel_all()
    assert on.idle and all(task.done for task in tasks)


def test_event_wakes_all_and_stays_set() -> None:
    log = []

    async def waiter(event: Event, name: str) -> None:
        await event.wait()
        log.append(name)

    on = host(1)
    event = on.event()
    for name in "ab":
        on.spawn(waiter(event, name))
    on.run(0)
    assert log == []
    event.set()
    on.run(1)
    on.spawn(waiter(event, "late"))
    on.run(2)
    assert log == ["a", "b", "late"]


def test_timeout_of_a_wait() -> None:
    async def program(on: Host) -> Any:
        with pytest.raises(TimedOut):
            await on.event().wait(timeout_ns=50)
        return on.now_ns

    on = host(1)
    task = on.spawn(program(on))
    run(on)
    assert task.result() == 50


def test_socket_timeout() -> None:
    server, client, link = pair()

    async def accept(on: Host) -> Any:
        listener = on.socket()
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        return await listener.accept()

    async def program(on: Host) -> Any:
        sock = on.socket()
        await sock.connect((SERVER_IP, 80))
        start_ns = on.now_ns
        sock.timeout_ns = 7_000_000
        with pytest.raises(TimedOut):
            await sock.recv(10)
        return on.now_ns - start_ns

    server.spawn(accept(server))
    task = client.spawn(program(client))
    link.run()
    assert task.result() == 7_000_000


def test_refused_connection() -> None:
    _, client, link = pair()
    task = client.spawn(fetch(client))
    with pytest.raises(TaskFailed) as caught:
        link.run()
    assert isinstance(caught.value.__cause__, ConnectionRefused)
    assert task.done


def test_accept_ends_when_the_listener_is_closed() -> None:
    on = host(1)
    listener = on.socket()
    listener.listen()

    async def program() -> Any:
        with pytest.raises(ConnectionAborted):
            await listener.accept()
        return True

    task = on.spawn(program())
    on.run(0)
    listener.close()
    on.run(1)
    assert task.result()


def test_many_connections_are_served_at_once() -> None:
    server, client, link = pair()

    async def echo(sock: Any) -> None:
        while data := await sock.recv(100):
            await sock.sendall(data.upper())
        await sock.aclose()

    async def serve(on: Host) -> None:
        listener = on.socket()
        listener.bind(("0.0.0.0", 7))
        listener.listen(64)
        for _ in range(50):
            sock, _ = await listener.accept()
            on.spawn(echo(sock))

    async def ask(on: Host, number: int) -> Any:
        sock = on.socket()
        await sock.connect((SERVER_IP, 7))
        await sock.sendall(b"hello %d" % number)
        answer = await sock.recv_exactly(len(b"hello %d" % number))
        await sock.aclose()
        return answer

    server.spawn(serve(server))
    tasks = [client.spawn(ask(client, number)) for number in range(50)]
    link.run()
    assert [task.result() for task in tasks] == [b"HELLO %d" % number for number in range(50)]


def test_udp_programs() -> None:
    server, client, link = pair()

    async def echo(on: Host) -> None:
        sock = on.udp_socket()
        sock.bind(("0.0.0.0", 7))
        data, address = await sock.recvfrom()
        sock.sendto(data[::-1], address)

    async def ask(on: Host) -> Any:
        sock = on.udp_socket()
        sock.connect((SERVER_IP, 7))
        sock.send(b"drawer")
        return (await sock.recvfrom())[0]

    server.spawn(echo(server))
    task = client.spawn(ask(client))
    link.run()
    assert task.result() == b"reward"


def test_keepalive_finds_a_vanished_peer() -> None:
    server, client, link = pair(keepalive_interval_ns=10**9, keepalive_probes=2)

    async def watch(on: Host) -> None:
        listener = on.socket()
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        sock, _ = await listener.accept()
        sock.setsockopt(Option.KEEPALIVE_IDLE_NS, 5 * 10**9)
        sock.setsockopt(Option.KEEPALIVE, True)
        link.filter = lambda side, frame: False
        await sock.recv(1)

    async def vanish(on: Host) -> None:
        await on.socket().connect((SERVER_IP, 80))

    server.spawn(watch(server))
    client.spawn(vanish(client))
    with pytest.raises(TaskFailed, match="ConnectionTimedOut"):
        link.run()


def test_a_stuck_run_names_the_waiting_programs() -> None:
    _, client, link = pair()

    async def forever(on: Host) -> None:
        await on.event().wait()

    client.spawn(forever(client), name="patient one")
    with pytest.raises(Stuck, match="patient one: waits for event"):
        link.run()


def test_runs_are_reproducible_to_the_byte() -> None:
    def trace(seed: int) -> Any:
        bad = Impairment(loss=0.02, duplicate=0.02, reorder=0.05, corrupt=0.01)
        server, client, link = pair(seed, bad)
        link.capture = []
        server.spawn(serve_once(server, bytes(200_000)))
        client.spawn(fetch(client))
        link.run()
        return link.capture

    assert trace(3) == trace(3)
    assert trace(3) != trace(4)
