# SPDX-License-Identifier: Apache-2.0
"""Congestion control and recovery (RFC 5681, RFC 6582, RFC 3042), the building blocks and the whole."""

from typing import Any

import pytest

from userstack.limiter import Limiter
from userstack.tcp.congestion import Congestion
from userstack.tcp.reassembly import Reassembly
from userstack.tcp.seq import diff
from userstack.tests.peer import ACK, SECOND, Options, Peer

MSS = 1460


def conn_of(peer: Peer) -> Any:
    return next(iter(peer.stack.tcp.connections.values()))


def started(total: int = 60000) -> Any:
    """A connection with `total` bytes queued, of which ten segments have been sent."""
    peer = Peer()
    sock = peer.accepted()
    sock.send(bytes(total))
    assert len(peer.take()) == 10
    return peer, sock


def test_slow_start_grows_by_a_segment_an_ack() -> None:
    peer, _ = started()
    peer.send(ACK, 1, 1 + 2 * MSS)
    assert [segment.seq for segment in peer.take()] == [1 + (10 + i) * MSS for i in range(3)]


def test_unused_window_does_not_grow() -> None:
    peer = Peer()
    sock = peer.accepted()
    for number in range(20):
        sock.send(bytes(MSS))
        peer.take()
        peer.send(ACK, 1, 1 + MSS * (number + 1))
    assert conn_of(peer).cc.cwnd == 10 * MSS


def test_congestion_avoidance_grows_by_about_a_segment_a_round_trip() -> None:
    cc = Congestion(MSS, 20 * MSS, ssthresh=10 * MSS)
    for _ in range(20):
        cc.on_progress(MSS, flight=cc.cwnd)
    assert 20.9 * MSS < cc.cwnd < 21.1 * MSS


def test_first_two_duplicates_send_new_data() -> None:
    peer, _ = started()
    peer.send(ACK, 1, 1)
    assert peer.one().seq == 1 + 10 * MSS
    peer.send(ACK, 1, 1)
    assert peer.one().seq == 1 + 11 * MSS


def test_third_duplicate_retransmits_and_halves() -> None:
    peer, _ = started()
    for _ in range(2):
        peer.send(ACK, 1, 1)
    peer.take()
    peer.send(ACK, 1, 1)
    assert [segment.seq for segment in peer.take()] == [1]
    cc = conn_of(peer).cc
    assert (cc.ssthresh, cc.cwnd) == (6 * MSS, 9 * MSS), "half of the 12 segments in flight, plus three"
    assert peer.stack.stats.tcp_fast_retransmits == 1


def test_further_duplicates_inflate_and_a_full_ack_deflates() -> None:
    peer, _ = started()
    for _ in range(3 + 6):
        peer.send(ACK, 1, 1)
    sent = peer.take()
    assert sent[-1].seq > 1 + 11 * MSS, "the inflated window lets new data out"
    peer.send(ACK, 1, 1 + 15 * MSS)
    cc = conn_of(peer).cc
    assert not cc.recovering and cc.cwnd <= 6 * MSS


def test_partial_ack_retransmits_the_next_hole_at_once() -> None:
    peer, _ = started()
    for _ in range(3):
        peer.send(ACK, 1, 1)
    peer.take()
    peer.send(ACK, 1, 1 + 4 * MSS)
    assert peer.take()[0].seq == 1 + 4 * MSS
    assert conn_of(peer).cc.recovering


def test_duplicates_with_data_or_a_new_window_do_not_count() -> None:
    peer, _ = started()
    for number in range(5):
        peer.send(ACK, 1 + number, 1, b"x")
        peer.send(ACK, 2 + number, 1, window=60000 - number)
    assert peer.stack.stats.tcp_duplicate_acks == 0


def test_no_second_recovery_for_the_loss_that_a_timeout_already_handled() -> None:
    peer, _ = started()
    peer.wait(SECOND)
    peer.take()
    for _ in range(5):
        peer.send(ACK, 1, 1)
    assert peer.stack.stats.tcp_fast_retransmits == 0, "RFC 6582 section 4"


def test_repeated_timeouts_lower_ssthresh_once() -> None:
    peer, _ = started()
    peer.wait(SECOND)
    first = conn_of(peer).cc.ssthresh
    peer.wait(2 * SECOND)
    assert conn_of(peer).cc.ssthresh == first == 5 * MSS


def test_window_restarts_after_idleness() -> None:
    peer, sock = started(total=14600)
    for number in range(10):
        peer.send(ACK, 1, 1 + MSS * (number + 1))
    grown = conn_of(peer).cc.cwnd
    assert grown > 10 * MSS
    peer.wait(5 * SECOND)
    sock.send(bytes(60000))
    assert len(peer.take()) == 10, "RFC 5681 section 4.1"


@pytest.mark.parametrize("mss", [64, 536, 1460, 8960])
def test_initial_window_of_rfc_6928(mss: int) -> None:
    assert Congestion.initial(mss, 10).cwnd == min(10 * mss, max(2 * mss, 14600))


def test_sequence_comparison_wraps() -> None:
    assert diff(5, 0xFFFF_FFFB) == 10
    assert diff(0xFFFF_FFFB, 5) == -10
    assert diff(7, 7) == 0
    assert diff(0x8000_0000, 0) == -(2**31)


def test_reassembly_keeps_the_first_bytes_and_fills_gaps() -> None:
    held = Reassembly()
    assert held.add(10, b"CD") and held.add(14, b"GH") and held.add(8, b"abcdefghij")
    assert len(held) == 10
    assert held.take(7) == b""
    assert held.take(8) == b"abCDefGHij"
    assert not held


def test_reassembly_against_a_byte_map() -> None:
    """Seeded random pieces; the model writes each byte once."""
    import random

    for seed in range(200):
        rng = random.Random(seed)
        held = Reassembly()
        model: dict[int, int] = {}
        for _ in range(30):
            start, size, mark = rng.randrange(60), rng.randrange(1, 12), rng.randrange(256)
            held.add(start, bytes([mark]) * size)
            for at in range(start, start + size):
                model.setdefault(at, mark)
        want = bytearray()
        while len(want) in model:
            want.append(model[len(want)])
        assert held.take(0) == bytes(want), f"{seed=}"


def test_limiter_allows_a_burst_and_then_the_rate() -> None:
    limit = Limiter(interval_ns=100, burst=3)
    assert [limit.allow(0) for _ in range(5)] == [True, True, True, False, False]
    assert [limit.allow(100), limit.allow(100)] == [True, False]
    assert [limit.allow(10_000) for _ in range(4)] == [True, True, True, False]


def test_lost_fin_is_sent_again() -> None:
    peer = Peer()
    sock = peer.accepted(options=Options(mss=1460))
    sock.send(b"last")
    sock.close()
    first = peer.take()
    peer.send(ACK, 1, 5)
    peer.wait(SECOND)
    fin = peer.one()
    assert fin.flags & 1 and fin.seq == 5 and not fin.payload
    assert first[-1].flags & 1
