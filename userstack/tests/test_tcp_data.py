# SPDX-License-Identifier: Apache-2.0
"""Data transfer: order, windows, acknowledgments, small segments (RFC 9293 section 3.8)."""

import pytest

from userstack import Drop, Option, Shutdown
from userstack.endpoint import READ, WRITE
from userstack.errors import InvalidState, WouldBlock
from userstack.tests.peer import ACK, FIN, MS, PSH, SECOND, Options, Peer


def test_in_order_data_is_delivered_and_ack_is_delayed_by_40_ms() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(ACK | PSH, 1, 1, b"hello")
    assert sock.poll() & READ and sock.recv(3) == b"hel" and sock.recv(9) == b"lo"
    peer.none()
    assert peer.due_in() == 40 * MS
    peer.wait(40 * MS)
    assert (peer.one().ack, peer.due_in()) == (6, None)


def test_every_second_full_segment_is_acknowledged_at_once() -> None:
    peer = Peer()
    peer.accepted()
    acks = []
    for number in range(6):
        peer.send(ACK, 1 + 1460 * number, 1, bytes(1460))
        acks.append([segment.ack for segment in peer.take()])
    assert acks == [[], [2921], [], [5841], [], [8761]]


def test_ack_rides_on_data_of_ours() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(ACK | PSH, 1, 1, b"question")
    sock.send(b"answer")
    answer = peer.one()
    assert (answer.payload, answer.ack, answer.flags) == (b"answer", 9, ACK | PSH)
    assert peer.due_in() == SECOND, "only the retransmission timer is left"


def test_out_of_order_data_is_held_and_acknowledged_at_once() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(ACK, 4, 1, b"def")
    assert peer.one().ack == 1
    peer.send(ACK, 7, 1, b"ghi")
    assert peer.one().ack == 1
    peer.send(ACK, 1, 1, b"abc")
    assert peer.one().ack == 10
    assert sock.recv(99) == b"abcdefghi"


@pytest.mark.parametrize(
    "pieces",
    [
        [(1, b"abcdef"), (3, b"cdefgh"), (9, b"ij")],
        [(5, b"efgh"), (3, b"cdefghij"), (1, b"abcd")],
        [(3, b"cd"), (7, b"gh"), (2, b"bcdefghi"), (1, b"abcdefghij")],
        [(9, b"ij"), (1, b"abcdefghij")],
        [(1, b"abc"), (1, b"abcdefg"), (2, b"bcdefghij")],
    ],
)
def test_overlapping_segments(pieces: list[tuple[int, bytes]]) -> None:
    peer = Peer()
    sock = peer.accepted()
    for seq, data in pieces:
        peer.send(ACK, seq, 1, data)
    assert sock.recv(99) == b"abcdefghij"


def test_duplicate_data_is_acknowledged_and_counted() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(ACK, 1, 1, b"abc")
    peer.send(ACK, 1, 1, b"abc")
    assert peer.one().ack == 4
    assert sock.recv(99) == b"abc"
    assert peer.stack.stats.drops[Drop.TCP_OUT_OF_WINDOW] == 1


def test_sequence_numbers_wrap_on_receive() -> None:
    peer = Peer()
    peer.isn = 2**32 - 4
    sock = peer.accepted()
    peer.send(ACK, 6, 1, b"fgh")
    peer.send(ACK, 1, 1, b"abcde")
    assert peer.take()[-1].ack == 9
    assert sock.recv(99) == b"abcdefgh"


def test_sequence_numbers_wrap_on_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("userstack.tcp.isn.initial_seq", lambda *args: 2**32 - 1000)
    peer = Peer()
    sock = peer.accepted()
    assert peer.stack_isn == 2**32 - 1000
    sock.setsockopt(Option.NODELAY, True)
    sent = bytes(range(256)) * 20
    sock.send(sent)
    segments = peer.take()
    assert b"".join(segment.payload for segment in segments) == sent[: sum(len(s.payload) for s in segments)]
    peer.send(ACK, 1, 1 + 1460)
    peer.send(ACK, 1, 1 + len(sent))
    peer.send(ACK, 1, 1 + len(sent))
    assert sock.stack.tcp.next_deadline_ns() == 1 << 63, "all acknowledged, nothing pending"
    assert sum(len(s.payload) for s in segments + peer.take()) == len(sent)


def test_advertised_window_closes_as_data_waits_and_opens_on_read() -> None:
    peer = Peer(recv_buffer_bytes=8000)
    sock = peer.accepted()
    for number in range(4):
        peer.send(ACK, 1 + 2000 * number, 1, bytes(2000))
    assert peer.take()[-1].window == 0
    assert sock.recv(1000) == bytes(1000)
    peer.none()  # less than a segment: not worth an update, and silly
    assert sock.recv(1000) == bytes(1000)
    update = peer.one()
    assert (update.window, update.ack) == (2000, 8001)


def test_data_beyond_the_window_is_cut() -> None:
    peer = Peer(recv_buffer_bytes=4000)
    sock = peer.accepted()
    peer.send(ACK, 1, 1, bytes(4000) + b"beyond")
    assert len(sock.recv(9999)) == 4000


def test_window_probe_is_answered_and_its_byte_refused() -> None:
    peer = Peer(recv_buffer_bytes=4000)
    sock = peer.accepted()
    peer.send(ACK, 1, 1, bytes(4000))
    peer.take()
    peer.send(ACK, 4001, 1, b"?")
    answer = peer.one()
    assert (answer.ack, answer.window) == (4001, 0)
    sock.recv(500)
    peer.send(ACK, 4001, 1, b"?")
    assert peer.one().window == 0, "500 bytes would be a silly window"
    sock.recv(9999)
    assert peer.one().window == 4000


def test_ack_on_a_window_probe_counts() -> None:
    peer = Peer(recv_buffer_bytes=4000)
    sock = peer.accepted()
    sock.send(b"x")
    peer.send(ACK, 1, 1, bytes(4000))
    peer.take()
    peer.send(ACK, 4001, 2, b"?")
    peer.take()
    peer.wait(5 * SECOND)
    peer.none()  # nothing to retransmit


def test_peers_window_is_obeyed_with_scaling() -> None:
    peer = Peer()
    sock = peer.accepted(options=Options(mss=1460, shift=4), window=1000)
    sock.send(bytes(40000))
    sent = peer.take()
    assert sum(len(segment.payload) for segment in sent) == 14600, "the handshake's ACK said 1000 << 4"


def test_nagle_holds_a_small_segment_while_data_is_in_flight() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(b"a")
    sock.send(b"b")
    sock.send(b"c")
    assert peer.one().payload == b"a"
    peer.send(ACK, 1, 2)
    assert peer.one().payload == b"bc"


def test_nodelay_sends_at_once() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.setsockopt(Option.NODELAY, True)
    sock.send(b"a")
    sock.send(b"b")
    assert [segment.payload for segment in peer.take()] == [b"a", b"b"]
    assert sock.getsockopt(Option.NODELAY) == 1


def test_setting_nodelay_releases_what_nagle_held() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(b"a")
    sock.send(b"b")
    sock.setsockopt(Option.NODELAY, True)
    assert [segment.payload for segment in peer.take()] == [b"a", b"b"]


def test_sender_avoids_silly_windows() -> None:
    peer = Peer()
    sock = peer.accepted(window=10000)
    sock.send(bytes(20000))
    assert [len(s.payload) for s in peer.take()] == [1460] * 6
    peer.send(ACK, 1, 8761, window=100)
    peer.none()  # 100 bytes are offered; a segment of 100 would be silly
    peer.send(ACK, 1, 8761, window=1460)
    assert len(peer.one().payload) == 1460


def test_half_of_the_largest_window_is_not_silly() -> None:
    peer = Peer()
    sock = peer.accepted(window=1000)
    sock.send(bytes(5000))
    assert len(peer.one().payload) == 1000
    peer.send(ACK, 1, 1001, window=500)
    assert len(peer.one().payload) == 500


def test_send_buffer_is_bounded_and_writable_again_at_a_third() -> None:
    peer = Peer(send_buffer_bytes=9000)
    sock = peer.accepted(window=1)
    assert sock.send(bytes(10000)) == 9000
    with pytest.raises(WouldBlock):
        sock.send(b"x")
    assert not sock.poll() & WRITE
    peer.take()
    peer.send(ACK, 1, 1, window=9000)
    total = sum(len(segment.payload) for segment in peer.take())
    peer.send(ACK, 1, 1461, window=9000)
    assert not sock.poll() & WRITE and sock.send(b"but it takes some") == 17
    peer.send(ACK, 1, 1 + total, window=9000)
    assert sock.poll() & WRITE


def test_push_flag_marks_the_end_of_the_buffer() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(bytes(1460 * 2))
    assert [segment.flags for segment in peer.take()] == [ACK, ACK | PSH]


def test_reassembly_is_bounded_against_one_byte_segments() -> None:
    peer = Peer()
    sock = peer.accepted()
    for number in range(600):
        peer.send(ACK, 3 + 2 * number, 1, b"x")
    assert peer.stack.stats.drops[Drop.TCP_REASSEMBLY_FULL] == 600 - 512
    peer.send(ACK, 1, 1, bytes(1300))
    assert len(sock.recv(9999)) == 1300


def test_old_ack_and_window_do_not_move_the_window_back() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(bytes(1000))
    peer.take()
    peer.send(ACK | PSH, 1, 1001, b"new", window=60000)
    peer.send(ACK, 1, 1, window=0)  # an old segment, reordered
    sock.send(b"go on")
    assert peer.take()[-1].payload == b"go on"


def test_window_bookkeeping_follows_received_data() -> None:
    """SND.WL1 left behind by 2 GiB of received data would make every window update look old."""
    peer = Peer()
    peer.accepted()
    for number in range(3):
        peer.send(ACK, 1 + number, 1, b"x")
    (conn,) = peer.stack.tcp.connections.values()
    assert conn.snd_wl1 == (conn.rcv_nxt - 1) % 2**32


def test_shutdown_read_drops_what_comes() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.send(ACK, 1, 1, b"abc")
    sock.shutdown(Shutdown.RD)
    assert sock.recv(9) == b""
    peer.send(ACK, 4, 1, b"def")
    assert sock.recv(9) == b""
    peer.send(FIN | ACK, 7, 1)
    assert peer.take()[-1].ack == 8


def test_recv_needs_a_positive_size() -> None:
    sock = Peer().accepted()
    with pytest.raises(InvalidState):
        sock.recv(0)
    with pytest.raises(WouldBlock):
        sock.recv(1)
