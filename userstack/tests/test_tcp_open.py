# SPDX-License-Identifier: Apache-2.0
"""Opening connections (RFC 9293 sections 3.5, 3.10.7.1 to 3.10.7.3)."""

import pytest

from userstack import Drop, Option, TcpSocket
from userstack.errors import (
    AddressInUse,
    BadAddress,
    ConnectionRefused,
    ConnectionTimedOut,
    InvalidState,
    PortsExhausted,
    WouldBlock,
)
from userstack.sockets import ANY
from userstack.tcp.conn import State
from userstack.tests.peer import ACK, FIN, MS, PEER_IP, PSH, RST, SECOND, SYN, Options, Peer


def test_passive_open() -> None:
    peer = Peer()
    listener = peer.listen()
    peer.send(SYN, 0, options=Options(mss=1400, shift=7))
    answer = peer.one()
    peer.stack_isn = answer.seq
    assert answer.flags == SYN | ACK and answer.ack == 1
    assert answer.options == Options(mss=1460, shift=3)
    with pytest.raises(WouldBlock):
        listener.accept()
    peer.send(ACK, 1, 1)
    sock, address = listener.accept()
    assert sock.state is State.ESTABLISHED and address == (PEER_IP, 40000)
    peer.none()


def test_active_open() -> None:
    peer = Peer()
    sock = peer.connecting()
    assert not sock.check_connected()
    peer.send(SYN | ACK, 0, 1, options=Options(mss=1000, shift=2))
    answer = peer.one()
    assert (answer.flags, answer.seq, answer.ack) == (ACK, 1, 1)
    assert answer.window == 2**18 >> 3, "scaled, as both sides offered it"
    assert sock.check_connected()


def test_window_scale_is_not_used_unless_both_offer_it() -> None:
    peer = Peer()
    peer.listen()
    peer.send(SYN, 0, options=Options(mss=1460))
    assert peer.one().options == Options(mss=1460)


def test_peer_without_mss_option_gets_536_byte_segments() -> None:
    peer = Peer()
    sock = peer.accepted(options=Options())
    sock.send(bytes(1072))
    assert [len(segment.payload) for segment in peer.take()] == [536, 536]


def test_absurdly_small_mss_is_raised_to_64() -> None:
    peer = Peer()
    sock = peer.accepted(options=Options(mss=1))
    sock.send(bytes(128))
    assert [len(segment.payload) for segment in peer.take()] == [64, 64]


def test_simultaneous_open() -> None:
    peer = Peer()
    sock = peer.connecting()
    peer.send(SYN, 0, options=Options(mss=1460, shift=0))
    answer = peer.one()
    assert (answer.flags, answer.seq, answer.ack) == (SYN | ACK, 0, 1)
    peer.send(SYN | ACK, 0, 1, options=Options(mss=1460, shift=0))  # figure 8, line 6
    assert sock.state is State.ESTABLISHED
    sock.send(b"hello")
    peer.send(ACK | PSH, 1, 1, b"world")
    assert sock.recv(9) == b"world"
    assert peer.take()[0].payload == b"hello"


def test_refused_by_reset() -> None:
    peer = Peer()
    sock = peer.connecting()
    peer.send(RST | ACK, 0, 1)
    assert sock.state is State.CLOSED
    with pytest.raises(ConnectionRefused):
        sock.check_connected()
    with pytest.raises(ConnectionRefused):
        sock.send(b"x")


def test_reset_with_wrong_ack_does_not_refuse() -> None:
    peer = Peer()
    sock = peer.connecting()
    peer.send(RST | ACK, 0, 2)
    peer.send(RST, 0)
    assert sock.state is State.SYN_SENT
    assert dict(peer.stack.stats.drops) == {Drop.TCP_BAD_ACK: 1, Drop.TCP_BAD_RST: 1}
    peer.none()


def test_wrong_ack_in_syn_sent_is_answered_by_a_reset() -> None:
    peer = Peer()
    sock = peer.connecting()
    peer.send(SYN | ACK, 0, 77)
    reset = peer.one()
    assert (reset.flags, reset.seq) == (RST, 77)
    assert sock.state is State.SYN_SENT


def test_closed_port_resets_a_syn() -> None:
    peer = Peer()
    peer.send(SYN, 0, options=Options(mss=1460))
    reset = peer.one()
    assert (reset.flags, reset.seq, reset.ack) == (RST | ACK, 0, 1)


def test_closed_port_resets_by_the_ack_number_and_counts_the_length() -> None:
    peer = Peer()
    peer.send(ACK, 5, 1234, b"abc")
    reset = peer.one()
    assert (reset.flags, reset.seq) == (RST, 1234)
    peer.send(FIN | PSH, 5, 0, b"abc")
    assert peer.one().ack == 9


def test_resets_are_never_answered() -> None:
    peer = Peer()
    peer.send(RST, 0)
    peer.send(RST | ACK, 0, 1)
    peer.listen()
    peer.send(RST, 0)
    peer.none()
    assert dict(peer.stack.stats.drops) == {Drop.TCP_NO_CONNECTION: 3}


def test_listener_resets_an_ack_and_ignores_what_is_no_syn() -> None:
    peer = Peer()
    peer.listen()
    peer.send(ACK, 1, 99)
    assert (peer.one().flags, peer.stack.stats.drops[Drop.TCP_NO_CONNECTION]) == (RST, 1)
    peer.send(PSH, 1, 0, b"x")
    peer.none()


def test_backlog_overflow_is_silent_and_heals() -> None:
    peer = Peer()
    listener = peer.listen(backlog=2)
    for port in (1, 2, 3):
        peer.send(SYN, 0, port=port, options=Options(mss=1460))
    first, second = peer.take()
    assert peer.stack.stats.drops[Drop.TCP_BACKLOG_FULL] == 1
    for answer in (first, second):
        peer.stack_isn = answer.seq
        peer.send(ACK, 1, 1, port=answer.dst_port)
    peer.send(SYN, 0, port=3, options=Options(mss=1460))
    peer.none()
    listener.accept()
    peer.send(SYN, 0, port=3, options=Options(mss=1460))
    assert peer.one().flags == SYN | ACK


def test_lost_syn_ack_is_sent_again_on_the_repeated_syn_and_by_the_timer() -> None:
    peer = Peer()
    peer.listen()
    peer.send(SYN, 0, options=Options(mss=1460))
    peer.stack_isn = peer.one().seq
    peer.send(SYN, 0, options=Options(mss=1460))
    assert peer.one().flags == SYN | ACK
    peer.wait(SECOND)
    assert peer.one().flags == SYN | ACK


def test_half_open_connections_time_out_and_free_the_backlog() -> None:
    peer = Peer()
    listener = peer.listen(backlog=1)
    peer.send(SYN, 0)
    peer.at(400 * SECOND)
    assert peer.stack.tcp.connections == {}
    peer.take()
    peer.send(SYN, 0, port=7)
    assert peer.one().flags == SYN | ACK
    with pytest.raises(WouldBlock):
        listener.accept()


def test_reset_of_a_half_open_connection_returns_to_listen() -> None:
    peer = Peer()
    peer.listen(backlog=1)
    peer.send(SYN, 0)
    peer.stack_isn = peer.one().seq
    peer.send(RST, 1)
    assert peer.stack.tcp.connections == {}
    peer.send(SYN, 0, port=9)
    assert peer.one().flags == SYN | ACK


def test_reset_before_accept_takes_the_connection_out_of_the_queue() -> None:
    peer = Peer()
    listener = peer.listen()
    peer.send(SYN, 0)
    peer.stack_isn = peer.one().seq
    peer.send(ACK, 1, 1)
    peer.send(RST, 1)
    with pytest.raises(WouldBlock):
        listener.accept()


def test_closing_a_listener_resets_what_was_not_accepted() -> None:
    peer = Peer()
    listener = peer.listen()
    for port in (1, 2):
        peer.send(SYN, 0, port=port)
    half, whole = peer.take()
    peer.stack_isn = whole.seq
    peer.send(ACK, 1, 1, port=2)
    listener.close()
    resets = peer.take()
    assert [segment.flags & RST for segment in resets] == [RST, RST]
    assert {segment.dst_port for segment in resets} == {1, 2} == {half.dst_port, whole.dst_port}


def test_ack_with_wrong_number_in_syn_received_is_reset() -> None:
    peer = Peer()
    peer.listen()
    peer.send(SYN, 0)
    peer.stack_isn = peer.one().seq
    peer.send(ACK, 1, 500)
    reset = peer.one()
    assert (reset.flags, reset.seq) == (RST, 500)


def test_data_with_the_handshake_ack_is_delivered() -> None:
    peer = Peer()
    listener = peer.listen()
    peer.send(SYN, 0)
    peer.stack_isn = peer.one().seq
    peer.send(ACK | PSH, 1, 1, b"early")
    assert listener.accept()[0].recv(99) == b"early"


def test_data_on_the_syn_ack_is_delivered() -> None:
    peer = Peer()
    sock = peer.connecting()
    peer.send(SYN | ACK, 0, 1, b"hello")
    assert sock.recv(9) == b"hello"
    assert peer.take()[-1].ack == 6


def test_data_queued_while_connecting_leaves_with_the_handshake_ack() -> None:
    peer = Peer()
    sock = peer.connecting()
    sock.send(b"GET")
    peer.none()
    peer.send(SYN | ACK, 0, 1, options=Options(mss=1460))
    answer = peer.one()
    assert (answer.payload, answer.ack) == (b"GET", 1)


def test_syn_is_retried_with_backoff_and_given_up_after_three_minutes() -> None:
    peer = Peer()
    sock = TcpSocket(peer.stack)
    sock.connect((PEER_IP, 80))
    times = []
    while (due := peer.stack.next_deadline_ns()) is not None:
        times += [peer.now // SECOND] * len(peer.take())
        peer.at(due)
    assert times == [0, 1, 3, 7, 15, 31, 63, 123]
    assert peer.now == 183 * SECOND
    with pytest.raises(ConnectionTimedOut):
        sock.check_connected()


def test_lost_syn_means_a_window_of_one_segment_and_an_rto_of_three_seconds() -> None:
    peer = Peer()
    sock = peer.connecting()
    peer.wait(SECOND)
    assert peer.one().flags == SYN
    peer.wait(200 * MS)  # a sample of 1.2 s would give 3.6 s
    peer.send(SYN | ACK, 0, 1, options=Options(mss=1460))
    peer.take()
    sock.send(bytes(14600))
    assert len(peer.take()) == 1, "RFC 5681 section 3.1"
    assert peer.due_in() == 3 * SECOND, "RFC 6298 section 5.7"


def test_initial_window_is_ten_segments() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(bytes(30000))
    assert len(peer.take()) == 10, "RFC 6928"


def test_isn_differs_by_tuple_and_grows_with_time() -> None:
    peer = Peer()
    first = peer.connecting(port=1000).getsockname()
    isn_first = peer.stack_isn
    peer.connecting(port=1001)
    assert isn_first != peer.stack_isn and first[1] == 1000
    from userstack.tcp.isn import initial_seq

    args = ((1, 2), (3, 4))
    start = initial_seq(bytes(32), 0, *args)
    assert (initial_seq(bytes(32), 4 * MS, *args) - start) % 2**32 == 1000
    assert initial_seq(b"x" * 32, 0, *args) != start


def test_ephemeral_ports_are_distinct_and_run_out() -> None:
    peer = Peer(ephemeral_ports=(50000, 50003))
    socks = [TcpSocket(peer.stack) for _ in range(5)]
    for sock in socks[:4]:
        sock.connect((PEER_IP, 80))
    assert {sock.getsockname()[1] for sock in socks[:4]} == {50000, 50001, 50002, 50003}
    with pytest.raises(PortsExhausted):
        socks[4].connect((PEER_IP, 80))
    socks[4].connect((PEER_IP, 81))  # another destination: the four-tuple is new


def test_port_conflicts() -> None:
    peer = Peer()
    peer.listen()
    other = TcpSocket(peer.stack)
    with pytest.raises(AddressInUse):
        other.bind((ANY, 80))
    other.bind((ANY, 0))
    assert 49152 <= other.getsockname()[1] <= 65535
    third = TcpSocket(peer.stack)
    with pytest.raises(AddressInUse):
        third.bind((ANY, other.getsockname()[1]))
    other.close()
    third.bind((ANY, other.getsockname()[1]))


def test_same_four_tuple_twice() -> None:
    peer = Peer()
    peer.connecting(port=1234)
    again = TcpSocket(peer.stack)
    again.bind((ANY, 1234))
    with pytest.raises(AddressInUse):
        again.connect((PEER_IP, 40000))


def test_wrong_use_is_a_local_error() -> None:
    peer = Peer()
    sock = TcpSocket(peer.stack)
    for call in (sock.accept, sock.poll, lambda: sock.send(b"x"), lambda: sock.recv(1), sock.getpeername):
        with pytest.raises(InvalidState):
            call()
    for address in ((PEER_IP, 0), (PEER_IP, 70000), ("10.0.0.255", 80), ("224.0.0.1", 80), ("x", 80)):
        with pytest.raises(BadAddress):
            sock.connect(address)
    with pytest.raises(BadAddress):
        sock.bind(("10.0.0.7", 80))
    sock.connect((PEER_IP, 80))
    with pytest.raises(InvalidState):
        sock.listen()
    with pytest.raises(InvalidState):
        sock.connect((PEER_IP, 80))
    with pytest.raises(InvalidState):
        sock.bind((ANY, 1))
    with pytest.raises(InvalidState):
        sock.setsockopt(Option.RECV_BUFFER, 4096)


def test_receive_buffer_option_shows_in_the_window() -> None:
    peer = Peer()
    sock = TcpSocket(peer.stack)
    sock.setsockopt(Option.RECV_BUFFER, 8192)
    sock.connect((PEER_IP, 40000))
    assert peer.one().window == 8192
