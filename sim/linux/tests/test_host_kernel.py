# SPDX-License-Identifier: Apache-2.0
"""The host's kernel as the host stack: events of its sockets, look-ups, what remains of a closed one."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from sim.linux.host_kernel import HostKernel, PortTaken
from sim.linux.inet_diag import State, Tuple
from sim.linux.lab import Lab
from sim.linux.mirror import Happened, SocketEvent
from sim.linux.placeholder import Place
from sim.linux.tests.conditions import TAP_MARKS
from sim.linux.tests.host_lab import HOST4, HOST6, REMOTE4, REMOTE6, make

pytestmark = TAP_MARKS
SOON_S = 10


def wait_for(kernel: HostKernel, wanted: Callable[[SocketEvent], bool], now_ns: int = 0) -> list[SocketEvent]:
    """Events up to and with a wanted one."""
    seen: list[SocketEvent] = []
    deadline = time.monotonic() + SOON_S
    while not any(map(wanted, seen)):
        assert time.monotonic() < deadline, seen
        seen += kernel.events(now_ns)
        time.sleep(0.005)
    return seen


# Events -----------------------------------------------------------------------------------------------


def test_listener_appears_at_the_next_dump_and_goes_at_once(lab: Lab, kernel: HostKernel) -> None:
    with make(lab, "10.77.0.1", 8000):
        assert kernel.events(1) == []  # no notification tells of it
        (event,) = kernel.events(kernel.next_deadline_ns())
        assert event.what is Happened.APPEARED
        assert (event.socket.tuple, event.socket.state) == (Tuple(6, 4, HOST4, 8000), State.LISTEN)
    (gone,) = wait_for(kernel, lambda e: e.what is Happened.GONE, now_ns=kernel.next_deadline_ns() - 1)
    assert gone.socket.cookie == event.socket.cookie
    assert kernel.stats.dumps == 2


def test_bound_tcp_socket_is_shown(lab: Lab, kernel: HostKernel) -> None:
    """Bound and no more: from Linux 6.8 on the dump has it; before, only the placeholder notices it."""
    one = lab.host.namespace.run(socket.socket)
    with one:
        one.bind(("10.77.0.1", 8000))
        if not kernel.find_port(6, 8000):
            pytest.skip("this kernel does not show sockets that are bound only")
        (event,) = kernel.events(0)
        assert (event.socket.tuple, event.socket.state) == (Tuple(6, 4, HOST4, 8000), State.CLOSE)


def test_dual_stack_and_udp_sockets(lab: Lab, kernel: HostKernel) -> None:
    with ExitStack() as stack:
        stack.enter_context(make(lab, "::", 8000))
        stack.enter_context(make(lab, "fd77::1", 53, socket.SOCK_DGRAM))
        found = {e.socket.tuple: e.socket for e in kernel.events(kernel.next_deadline_ns())}
    assert found[Tuple(6, 6, None, 8000)].dual
    assert not found[Tuple(17, 6, HOST6, 53)].dual


def test_lookup_finds_connection_then_listener_then_nothing(lab: Lab, kernel: HostKernel) -> None:
    with make(lab, "10.77.0.1", 8000) as listener:
        near = lab.host.namespace.run(lambda: socket.create_connection(("10.77.0.1", 8000)))
        far, _ = listener.accept()
        with near, far:
            key = Tuple(6, 4, HOST4, 8000, HOST4, near.getsockname()[1])
            connection, other = kernel.lookup(key), kernel.lookup(Tuple(6, 4, HOST4, 8000, REMOTE4, 9))
            assert connection and (connection.tuple, connection.state) == (key, State.ESTABLISHED)
            assert other and other.state is State.LISTEN
            assert kernel.lookup(Tuple(6, 4, HOST4, 8001, REMOTE4, 9)) is None
            assert [e.socket for e in kernel.events(0)] == [connection, other]


@pytest.mark.parametrize(
    ("address", "local", "remote"), [("10.77.0.1", HOST4, REMOTE4), ("fd77::1", HOST6, REMOTE6)]
)
def test_udp_lookup(lab: Lab, kernel: HostKernel, address: str, local: int, remote: int) -> None:
    family = 6 if ":" in address else 4
    with make(lab, address, 53, socket.SOCK_DGRAM) as server:
        found = kernel.lookup(Tuple(17, family, local, 53, remote, 999))
        assert found and found.tuple == Tuple(17, family, local, 53)
        server.connect((("10.77.0.2", "fd77::2")[family == 6], 999))
        connected = kernel.lookup(Tuple(17, family, local, 53, remote, 999))
        assert connected and connected.tuple == Tuple(17, family, local, 53, remote, 999)
        assert connected.cookie == found.cookie
        assert [e.what for e in kernel.events(0)] == [Happened.APPEARED, Happened.CHANGED]


def test_closed_connection_is_kept_for_its_time_wait(lab: Lab, kernel: HostKernel) -> None:
    """The socket is destroyed, the tuple is not free: a dump or a notification alone would mislead."""
    with make(lab, "10.77.0.1", 8000) as listener:
        near = lab.host.namespace.run(lambda: socket.create_connection(("10.77.0.1", 8000)))
        far, _ = listener.accept()
        key = Tuple(6, 4, HOST4, near.getsockname()[1], HOST4, 8000)
        assert kernel.lookup(key)
        near.close()
        far.close()
    events = wait_for(kernel, lambda e: e.socket.state is State.TIME_WAIT)
    assert events[-1].what is Happened.CHANGED and events[-1].socket.tuple == key
    assert 50_000 < events[-1].socket.expires_ms <= 60_000
    with pytest.raises(PortTaken, match="TIME_WAIT"):
        kernel.reserve(Place(6, 4, HOST4, key.local_port))


def test_lost_notifications_are_made_up_for_by_a_dump(lab: Lab, kernel: HostKernel) -> None:
    with make(lab, "10.77.0.1", 8000):
        assert len(kernel.events(kernel.next_deadline_ns())) == 1
        kernel._diag.events._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for _ in range(200):
            make(lab, "10.77.0.1", 8001).close()
        time.sleep(0.3)  # notifications come a moment after close, and now fill the buffer
    time.sleep(0.1)
    dumps = kernel.stats.dumps
    wait_for(kernel, lambda e: e.what is Happened.GONE and e.socket.tuple.local_port == 8000)
    assert kernel.stats.notifications_lost > 0
    assert kernel.stats.dumps > dumps
