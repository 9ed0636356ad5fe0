# SPDX-License-Identifier: Apache-2.0
"""Closing and resetting, in every state (RFC 9293 sections 3.6, 3.10.7.4; RFC 5961)."""

from typing import Any

import pytest

from userstack import Drop, Shutdown
from userstack.errors import ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidState, WouldBlock
from userstack.tcp.conn import State
from userstack.tests.peer import ACK, FIN, MS, PSH, RST, SECOND, SYN, Options, Peer


def in_state(state: State) -> Any:
    """(peer, socket, next relative sequence number of the peer, of the stack)."""
    peer = Peer()
    if state is State.SYN_SENT:
        return peer, peer.connecting(), 0, 1
    if state is State.SYN_RECEIVED:
        sock = peer.connecting()
        peer.send(SYN, 0, options=Options(mss=1460))
        peer.take()
        return peer, sock, 1, 1
    sock = peer.accepted()
    seq, ack = 1, 1
    if state in (State.CLOSE_WAIT, State.LAST_ACK):
        peer.send(FIN | ACK, 1, 1)
        seq = 2
    if state in (State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.LAST_ACK, State.TIME_WAIT):
        sock.shutdown(Shutdown.WR)
        ack = 2
    if state in (State.FIN_WAIT_2, State.TIME_WAIT):
        peer.send(ACK, 1, 2)
    if state in (State.CLOSING, State.TIME_WAIT):
        peer.send(FIN | ACK, 1, 1 if state is State.CLOSING else 2)
        seq = 2
    peer.take()
    assert sock.state is state
    return peer, sock, seq, ack


SYNCHRONIZED = [state for state in State if state >= State.ESTABLISHED]


def test_active_close() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.close()
    fin = peer.one()
    assert (fin.flags, fin.seq, sock.state) == (FIN | ACK, 1, State.FIN_WAIT_1)
    peer.send(ACK, 1, 2)
    assert sock.state is State.FIN_WAIT_2
    peer.send(FIN | ACK, 1, 2)
    last = peer.one()
    assert (last.flags, last.seq, last.ack, sock.state) == (ACK, 2, 2, State.TIME_WAIT)


def test_passive_close() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(FIN | ACK, 1, 1)
    assert (peer.one().ack, sock.state, sock.recv(9)) == (2, State.CLOSE_WAIT, b"")
    sock.close()
    assert (peer.one().flags, sock.state) == (FIN | ACK, State.LAST_ACK)
    peer.send(ACK, 2, 2)
    assert sock.state is State.CLOSED and not peer.stack.tcp.connections


def test_simultaneous_close() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.close()
    peer.take()
    peer.send(FIN | ACK, 1, 1)
    assert (peer.one().ack, sock.state) == (2, State.CLOSING)
    peer.send(ACK, 2, 2)
    assert sock.state is State.TIME_WAIT


def test_fin_that_acknowledges_our_fin_goes_straight_to_time_wait() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.close()
    peer.take()
    peer.send(FIN | ACK, 1, 2)
    assert sock.state is State.TIME_WAIT


def test_half_close_still_receives() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(b"request")
    sock.shutdown(Shutdown.WR)
    assert [segment.flags & FIN for segment in peer.take()][-1] == FIN
    with pytest.raises(InvalidState):
        sock.send(b"more")
    peer.send(ACK, 1, 9)
    peer.send(ACK | PSH, 1, 9, b"late answer")
    assert sock.recv(99) == b"late answer"
    peer.send(FIN | ACK, 12, 9)
    assert sock.recv(99) == b"" and sock.state is State.TIME_WAIT


def test_half_closed_peer_still_gets_data() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(FIN | ACK | PSH, 1, 1, b"that is all")
    assert sock.recv(99) == b"that is all"
    assert sock.recv(99) == b""
    peer.take()
    sock.send(b"answer")
    assert peer.one().payload == b"answer"


def test_fin_waits_behind_the_data_and_the_window() -> None:
    peer = Peer()
    sock = peer.accepted(window=1000)
    sock.send(bytes(1500))
    sock.close()
    assert [segment.flags & FIN for segment in peer.take()] == [0]
    peer.send(ACK, 1, 1001, window=1000)
    last = peer.one()
    assert (len(last.payload), last.flags & FIN) == (500, FIN)


def test_fin_out_of_order_waits_for_the_hole() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(FIN | ACK, 4, 1, b"def")
    assert sock.state < State.CLOSE_WAIT
    peer.send(ACK, 1, 1, b"abc")
    assert sock.state is State.CLOSE_WAIT
    assert peer.take()[-1].ack == 8
    assert sock.recv(9) + sock.recv(9) == b"abcdef"


def test_data_behind_a_fin_is_ignored() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(FIN | ACK, 4, 1)
    peer.send(ACK, 1, 1, b"abcdefgh")
    assert sock.recv(99) == b"abc"
    assert sock.recv(99) == b""


def test_window_probe_of_a_fin_alone() -> None:
    peer = Peer()
    sock = peer.accepted(window=0)
    sock.close()
    peer.none()
    peer.wait(SECOND)
    assert peer.one().flags & FIN
    peer.send(ACK, 1, 2)
    assert sock.state is State.FIN_WAIT_2


def test_close_with_unread_data_resets() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(ACK, 1, 1, b"never read")
    sock.close()
    assert peer.take()[-1].flags & RST and sock.state is State.CLOSED


def test_data_after_close_resets() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.close()
    peer.take()
    peer.send(ACK, 1, 2, b"for whom?")
    assert peer.one().flags & RST and sock.state is State.CLOSED


def test_orphaned_fin_wait_2_ends() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.close()
    peer.send(ACK, 1, 2)
    peer.wait(60 * SECOND)
    assert sock.state is State.CLOSED


def test_half_closed_fin_wait_2_does_not_end() -> None:
    peer, sock, _, _ = in_state(State.FIN_WAIT_2)
    peer.wait(1000 * SECOND)
    assert sock.state is State.FIN_WAIT_2


def test_abort_sends_a_reset() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.abort()
    reset = peer.one()
    assert (reset.flags & RST, reset.seq) == (RST, 1)
    with pytest.raises(ConnectionAborted):
        sock.send(b"x")


def test_close_in_syn_sent_forgets_the_connection() -> None:
    peer, sock, _, _ = in_state(State.SYN_SENT)
    sock.close()
    assert peer.stack.tcp.connections == {}
    assert peer.due_in() is None


def test_close_in_syn_received_sends_the_fin_once_open() -> None:
    peer, sock, _, _ = in_state(State.SYN_RECEIVED)
    sock.close()
    peer.none()
    peer.send(ACK, 1, 1)
    assert (peer.one().flags, sock.state) == (FIN | ACK, State.FIN_WAIT_1)


def test_close_twice_is_harmless() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.close()
    sock.close()
    assert len(peer.take()) == 1


# Resets, RFC 5961 section 3.


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_exact_reset_closes(state: State) -> None:
    peer, sock, seq, _ = in_state(state)
    peer.send(RST, seq)
    peer.none()
    assert sock.state is State.CLOSED and not peer.stack.tcp.connections
    if state < State.CLOSING:
        with pytest.raises(ConnectionReset):
            sock.recv(1)
    assert not peer.stack.stats.drops


def test_exact_reset_refuses_a_simultaneous_open() -> None:
    peer, sock, seq, _ = in_state(State.SYN_RECEIVED)
    peer.send(RST, seq)
    with pytest.raises(ConnectionRefused):
        sock.check_connected()


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_reset_inside_the_window_is_challenged(state: State) -> None:
    peer, sock, seq, ack = in_state(state)
    peer.send(RST, seq + 100)
    challenge = peer.one()
    assert (challenge.flags, challenge.seq, challenge.ack) == (ACK, ack, seq)
    assert sock.state is state
    assert dict(peer.stack.stats.drops) == {Drop.TCP_BAD_RST: 1}


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_reset_outside_the_window_is_ignored(state: State) -> None:
    peer, sock, seq, _ = in_state(state)
    peer.send(RST, seq - 1)
    peer.send(RST, seq + 400_000)
    peer.none()
    assert sock.state is state


@pytest.mark.parametrize("state", [state for state in SYNCHRONIZED if state is not State.TIME_WAIT])
def test_syn_in_a_synchronized_state_is_challenged(state: State) -> None:
    peer, sock, seq, ack = in_state(state)
    peer.send(SYN, seq + 50)
    challenge = peer.one()
    assert (challenge.flags, challenge.seq, challenge.ack) == (ACK, ack, seq)
    assert sock.state is state


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_ack_of_what_was_never_sent_is_challenged(state: State) -> None:
    peer, sock, seq, ack = in_state(state)
    peer.send(ACK | PSH, seq, ack + 5000, b"injected" if state < State.CLOSE_WAIT else b"")
    assert peer.one().flags == ACK
    assert sock.state is state
    with pytest.raises((WouldBlock, AssertionError)):
        assert sock.recv(9) == b"injected"


def test_ancient_ack_is_challenged() -> None:
    """RFC 5961 section 5: older than the largest window ever offered."""
    peer = Peer()
    sock = peer.accepted()
    peer.send(ACK | PSH, 1, 1 - 70000, b"injected")
    assert peer.one().flags == ACK
    with pytest.raises(WouldBlock):
        sock.recv(9)


def test_challenges_are_throttled() -> None:
    peer = Peer()
    peer.accepted()
    for number in range(100):
        peer.send(RST, 100 + number)
    assert len(peer.take()) == 10
    peer.wait(100 * MS)
    peer.send(RST, 100)
    peer.one()


def test_segment_without_ack_is_dropped() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(PSH, 1, 0, b"no ack")
    assert peer.stack.stats.drops[Drop.TCP_NO_ACK_FLAG] == 1
    with pytest.raises(WouldBlock):
        sock.recv(9)


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_old_segment_is_acknowledged(state: State) -> None:
    peer, sock, seq, _ = in_state(state)
    peer.send(ACK, seq - 3 if state < State.CLOSE_WAIT else seq - 1, 1, b"x")
    assert peer.one().ack == seq
    assert sock.state is state
