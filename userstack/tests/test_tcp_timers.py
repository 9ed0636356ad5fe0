# SPDX-License-Identifier: Apache-2.0
"""Exact times: retransmission (RFC 6298), zero-window probes, keepalive, TIME-WAIT, timestamps (RFC 7323)."""

from typing import Any

import pytest

from userstack import Drop, Option
from userstack.config import TcpConfig
from userstack.errors import ConnectionTimedOut
from userstack.tcp.conn import State
from userstack.tcp.rtt import RttEstimator
from userstack.tests.peer import ACK, FIN, MS, PSH, RST, SECOND, SYN, US, Options, Peer
from userstack.wire.tcp import Segment


def sends(peer: Peer, until_ns: int) -> Any:
    """Times in ns at which the stack sent segments, and the segments."""
    found = [(peer.now, segment) for segment in peer.take()]
    while (due := peer.stack.next_deadline_ns()) is not None and due <= until_ns:
        peer.at(due)
        found += [(due, segment) for segment in peer.take()]
    peer.at(until_ns)
    return found


def test_estimator_follows_rfc_6298_section_2() -> None:
    rtt = RttEstimator.from_config(TcpConfig(min_rto_ns=1))
    assert rtt.rto_ns == SECOND
    rtt.sample(100 * MS)
    assert (rtt.srtt_ns, rtt.rttvar_ns, rtt.rto_ns) == (100 * MS, 50 * MS, 300 * MS)
    rtt.sample(180 * MS)
    assert (rtt.srtt_ns, rtt.rttvar_ns) == (110 * MS, 57_500_000)
    assert rtt.rto_ns == 110 * MS + 4 * 57_500_000
    rtt.back_off()
    assert rtt.rto_ns == 2 * (110 * MS + 4 * 57_500_000)


def test_estimator_bounds() -> None:
    rtt = RttEstimator.from_config(TcpConfig())
    rtt.sample(US)
    assert rtt.rto_ns == SECOND, "section 2.4"
    for _ in range(10):
        rtt.back_off()
    assert rtt.rto_ns == 60 * SECOND, "section 2.5"


def test_unanswered_data_is_sent_again_with_doubling_and_given_up_after_100_s() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(b"lost")
    times = [now // SECOND for now, segment in sends(peer, 1000 * SECOND) if segment.payload == b"lost"]
    assert times == [0, 1, 3, 7, 15, 31, 63]
    assert sock.state is State.CLOSED
    with pytest.raises(ConnectionTimedOut):
        sock.recv(1)


def test_measured_round_trip_sets_the_timer() -> None:
    peer = Peer(min_rto_ns=1)
    sock = peer.connecting()
    peer.wait(8 * MS)
    peer.send(SYN | ACK, 0, 1, options=Options(mss=1460))
    sock.send(b"a")
    assert peer.due_in() == 24 * MS, "SRTT 8 ms, RTTVAR 4 ms"
    peer.wait(16 * MS)
    peer.send(ACK, 1, 2)
    sock.send(b"b")
    assert peer.due_in() == 9 * MS + 4 * 5 * MS


def test_retransmission_timer_is_restarted_by_progress_and_off_when_all_is_acknowledged() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(bytes(2920))
    peer.wait(600 * MS)
    peer.send(ACK, 1, 1461)
    assert peer.due_in() == SECOND, "RFC 6298 section 5.3"
    peer.wait(300 * MS)
    peer.send(ACK, 1, 2921)
    assert peer.due_in() is None, "section 5.2"


def test_karn_no_sample_from_what_was_sent_twice() -> None:
    peer = Peer(min_rto_ns=1, initial_rto_ns=100 * MS)
    sock = peer.accepted()
    conn = next(iter(peer.stack.tcp.connections.values()))
    conn.rtt.sample(50 * MS)
    srtt = conn.rtt.srtt_ns
    sock.send(b"a")
    peer.jump()
    backed_off = conn.rtt.rto_ns
    peer.send(ACK, 1, 2)
    assert conn.rtt.srtt_ns == srtt
    assert conn.rtt.rto_ns == backed_off, "the back-off stays until a clean sample"
    sock.send(b"b")
    peer.wait(10 * MS)
    peer.send(ACK, 1, 3)
    assert conn.rtt.srtt_ns != srtt and conn.rtt.rto_ns < backed_off


def test_timeout_collapses_the_window_to_one_segment_and_goes_back() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(bytes(14600))
    assert len(peer.take()) == 10
    peer.wait(SECOND)
    again = peer.one()
    assert (again.seq, len(again.payload)) == (1, 1460)
    peer.send(ACK, 1, 1461)
    assert [segment.seq for segment in peer.take()] == [1461, 2921], "slow start from one segment"
    peer.send(ACK, 1, 14601)
    assert peer.due_in() is None


def test_zero_window_is_probed_with_backoff_for_as_long_as_probes_are_answered() -> None:
    peer = Peer()
    sock = peer.accepted(window=0)
    sock.send(b"abc")
    times = []
    for _ in range(12):
        peer.jump()
        (probe,) = peer.take()
        assert (probe.seq, probe.payload) == (1, b"a")
        times.append(peer.now // SECOND)
        peer.send(ACK, 1, 1, window=0)
    assert times == [1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423]
    assert sock.state is State.ESTABLISHED
    peer.send(ACK, 1, 1, window=1000)
    assert peer.one().payload == b"abc"


def test_unanswered_probes_are_given_up() -> None:
    peer = Peer()
    sock = peer.accepted(window=0)
    sock.send(b"abc")
    sends(peer, 400 * SECOND)
    with pytest.raises(ConnectionTimedOut):
        sock.recv(1)


def test_a_probe_byte_that_is_accepted_is_not_sent_again() -> None:
    peer = Peer()
    sock = peer.accepted(window=0)
    sock.send(b"abc")
    peer.wait(SECOND)
    assert peer.one().payload == b"a"
    peer.send(ACK, 1, 2, window=500)
    assert (peer.one().payload, peer.stack.stats.tcp_zero_window_probes) == (b"bc", 1)


def test_window_closed_over_data_in_flight_turns_retransmission_into_probing() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(b"abc")
    peer.take()
    peer.send(ACK, 1, 1, window=0)
    found = sends(peer, 90 * SECOND)
    assert sock.state is State.ESTABLISHED
    assert {segment.payload for _, segment in found} == {b"a"}
    peer.send(ACK, 1, 1, window=100)
    assert peer.take()[-1].payload == b"abc"


def test_silly_window_is_overridden_by_the_persist_timer() -> None:
    peer = Peer()
    sock = peer.accepted(window=10000)
    sock.send(bytes(12000))
    sent = sum(len(segment.payload) for segment in peer.take())
    peer.send(ACK, 1, 1 + sent, window=300)
    peer.none()
    peer.wait(SECOND)
    assert len(peer.one().payload) == 300


def test_keepalive_probes_an_idle_peer_and_gives_up() -> None:
    peer = Peer(keepalive_idle_ns=100 * SECOND, keepalive_interval_ns=10 * SECOND, keepalive_probes=3)
    sock = peer.accepted()
    sock.setsockopt(Option.KEEPALIVE, True)
    found = sends(peer, 1000 * SECOND)
    assert [(now // SECOND, segment.seq, segment.payload) for now, segment in found] == [
        (100, 0, b""),
        (110, 0, b""),
        (120, 0, b""),
    ]
    with pytest.raises(ConnectionTimedOut):
        sock.recv(1)


def test_keepalive_is_content_with_an_answer_and_off_by_default() -> None:
    peer = Peer(keepalive_interval_ns=10 * SECOND)
    sock = peer.accepted()
    assert peer.due_in() is None
    sock.setsockopt(Option.KEEPALIVE_IDLE_NS, 100 * SECOND)
    sock.setsockopt(Option.KEEPALIVE, True)
    for probe in range(1, 4):
        ((now, _),) = sends(peer, probe * 100 * SECOND)
        assert now == probe * 100 * SECOND
        peer.send(ACK, 1, 1)
    sock.setsockopt(Option.KEEPALIVE, False)
    assert peer.due_in() is None


def test_keepalive_of_the_peer_is_answered() -> None:
    peer = Peer()
    peer.accepted()
    peer.send(ACK, 0, 1)
    assert peer.one().ack == 1


def closed_by_us(peer: Peer) -> Any:
    sock = peer.accepted()
    sock.close()
    peer.take()
    peer.send(FIN | ACK, 1, 2)
    peer.one()
    assert sock.state is State.TIME_WAIT
    return sock


def test_time_wait_lasts_two_msl_and_is_restarted_by_a_repeated_fin() -> None:
    peer = Peer()
    sock = closed_by_us(peer)
    assert peer.due_in() == 60 * SECOND
    peer.wait(50 * SECOND)
    peer.send(FIN | ACK, 1, 2)
    assert peer.one().ack == 2
    assert peer.due_in() == 60 * SECOND
    peer.wait(60 * SECOND)
    assert sock.state is State.CLOSED and peer.stack.tcp.connections == {}


def test_a_syn_beyond_the_old_numbers_reopens_time_wait() -> None:
    peer = Peer()
    closed_by_us(peer)
    peer.send(SYN, 100, options=Options(mss=1460))
    answer = peer.one()
    assert (answer.flags, answer.ack) == (SYN | ACK, 101)


def test_an_old_syn_does_not_reopen_time_wait() -> None:
    peer = Peer()
    sock = closed_by_us(peer)
    peer.send(SYN, 0, options=Options(mss=1460))
    assert peer.one().flags == ACK
    assert sock.state is State.TIME_WAIT


def test_exact_reset_ends_time_wait() -> None:
    peer = Peer()
    sock = closed_by_us(peer)
    peer.send(RST, 2)
    assert sock.state is State.CLOSED


def stamps(segment: Segment) -> tuple[int, int]:
    found = segment.options.timestamps
    assert found is not None
    return found


def stamped(value: int, echo: int = 0) -> Any:
    return Options(timestamps=(value, echo))


def test_timestamps_are_negotiated_echoed_and_shrink_the_segment() -> None:
    peer = Peer(timestamps=True)
    listener = peer.listen()
    peer.send(SYN, 0, options=Options(mss=1460, timestamps=(500, 0)))
    answer = peer.one()
    assert stamps(answer)[1] == 500
    peer.stack_isn = answer.seq
    peer.send(ACK, 1, 1, options=stamped(501, stamps(answer)[0]))
    sock = listener.accept()[0]
    sock.send(bytes(1448 * 2))
    first, second = peer.take()
    assert len(first.payload) == len(second.payload) == 1448
    assert stamps(first)[1] == 501
    peer.send(ACK | PSH, 1, 1, b"x", options=stamped(600))
    sock.recv(1)
    peer.wait(40 * MS)
    assert stamps(peer.take()[-1])[1] == 600


def test_timestamps_are_not_used_unless_both_offer_them() -> None:
    peer = Peer(timestamps=True)
    sock = peer.connecting()
    peer.send(SYN | ACK, 0, 1, options=Options(mss=1460))
    assert peer.one().options.timestamps is None
    sock.send(b"x")
    assert peer.one().options.timestamps is None


def ts_connection(peer: Peer) -> Any:
    sock = peer.connecting()
    peer.send(SYN | ACK, 0, 1, options=Options(mss=1460, timestamps=(1000, 0)))
    peer.take()
    return sock


def test_paws_refuses_an_old_timestamp_and_a_missing_one() -> None:
    peer = Peer(timestamps=True)
    sock = ts_connection(peer)
    peer.send(ACK | PSH, 1, 1, b"new", options=stamped(1001))
    peer.send(ACK | PSH, 4, 1, b"old", options=stamped(999))
    assert peer.one().ack == 4
    peer.send(ACK | PSH, 4, 1, b"bare")
    assert sock.recv(99) == b"new"
    assert peer.stack.stats.drops[Drop.TCP_PAWS] == 2


def test_timestamps_give_a_sample_even_for_retransmitted_data() -> None:
    peer = Peer(timestamps=True, min_rto_ns=MS)
    sock = ts_connection(peer)
    conn = next(iter(peer.stack.tcp.connections.values()))
    sock.send(b"a")
    sent = stamps(peer.one())[0]
    peer.wait(1500 * MS)
    peer.send(ACK, 1, 2, options=stamped(1002, sent))
    assert conn.rtt.srtt_ns >= 1500 * MS // 8


def test_delayed_ack_timer_is_a_knob() -> None:
    peer = Peer(delayed_ack_ns=MS)
    peer.accepted()
    peer.send(ACK, 1, 1, b"x")
    assert peer.due_in() == MS
