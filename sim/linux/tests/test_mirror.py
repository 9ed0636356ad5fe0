# SPDX-License-Identifier: Apache-2.0
"""The mirror of the kernel's sockets, without a kernel."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sim.linux.inet_diag import AF_INET, AF_INET6, TCP, UDP, KernelSocket, State, Tuple
from sim.linux.mirror import Happened, Mirror, SocketEvent, may_linger


def sock(cookie: int, port: int = 80, state: State = State.LISTEN, remote_port: int = 0) -> KernelSocket:
    key = Tuple(TCP, 4, 1, port, 2 if remote_port else None, remote_port)
    return KernelSocket(cookie, key, state, None, 0, AF_INET, 0, 7, 0)


def test_dump_tells_what_is_new_different_and_gone() -> None:
    mirror = Mirror()
    a, b = sock(1), sock(2, 81)
    assert mirror.dump(TCP, AF_INET, [a, b]) == [
        SocketEvent(Happened.APPEARED, a),
        SocketEvent(Happened.APPEARED, b),
    ]
    assert mirror.dump(TCP, AF_INET, [a, replace(b, inode=9, expires_ms=5)]) == []
    moved = replace(b, state=State.CLOSE)
    assert mirror.dump(TCP, AF_INET, [moved]) == [
        SocketEvent(Happened.CHANGED, moved),
        SocketEvent(Happened.GONE, a),
    ]


def test_dump_speaks_for_its_own_table_only() -> None:
    mirror = Mirror()
    mirror.dump(TCP, AF_INET, [sock(1)])
    assert mirror.dump(TCP, AF_INET6, []) == []
    assert mirror.dump(UDP, AF_INET, []) == []
    assert list(mirror.sockets) == [1]


def test_unbound_sockets_and_placeholders_are_left_out() -> None:
    ours = {2}
    mirror = Mirror(ours)
    assert mirror.dump(TCP, AF_INET, [sock(1, 0, State.CLOSE), sock(2)]) == []
    ours.clear()
    assert len(mirror.dump(TCP, AF_INET, [sock(2)])) == 1


def test_destroyed_connection_stays_while_its_tuple_is_in_time_wait() -> None:
    mirror = Mirror()
    known = sock(1, 80, State.FIN_WAIT2, 9)
    mirror.dump(TCP, AF_INET, [known])
    assert may_linger(known) and not may_linger(sock(2))
    waits = replace(known, state=State.TIME_WAIT)
    assert mirror.settle(known, waits) == [SocketEvent(Happened.CHANGED, waits)]
    assert mirror.dump(TCP, AF_INET, []) == [SocketEvent(Happened.GONE, waits)]


def test_destroyed_socket_is_gone_though_another_has_its_tuple_now() -> None:
    mirror = Mirror()
    mirror.dump(TCP, AF_INET, [sock(1)])
    assert mirror.settle(sock(1), sock(5)) == [SocketEvent(Happened.GONE, sock(1))]
    assert mirror.settle(sock(1), None) == []
    assert mirror.known(1) is None


def test_sockets_at_a_port() -> None:
    mirror = Mirror()
    mirror.dump(TCP, AF_INET, [sock(1), sock(2, 80, State.ESTABLISHED, 9), sock(3, 81)])
    assert {s.cookie for s in mirror.at_port(TCP, 80)} == {1, 2}


@given(st.lists(st.dictionaries(st.integers(1, 6), st.sampled_from([State.LISTEN, State.CLOSE]))))
def test_events_retell_every_dump(dumps: list[dict[int, State]]) -> None:
    """Whoever keeps a copy from the events alone has what the kernel showed last."""
    mirror = Mirror()
    copy: dict[int, State] = {}
    for shown in dumps:
        for event in mirror.dump(TCP, AF_INET, [sock(c, state=s) for c, s in shown.items()]):
            if event.what is Happened.GONE:
                del copy[event.socket.cookie]
            else:
                assert (event.what is Happened.APPEARED) == (event.socket.cookie not in copy)
                copy[event.socket.cookie] = event.socket.state
        assert copy == shown
