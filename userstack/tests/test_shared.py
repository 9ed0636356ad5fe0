# SPDX-License-Identifier: Apache-2.0
"""Shared mode against a kernel that only notes what it is asked: nothing happens before it is granted."""

import errno
import random

import pytest

from userstack import Drop, NetworkError, Stack, StackConfig, WouldBlock
from userstack.errors import AddressInUse, ConnectionAborted, InvalidState, NetworkDown, TakenAway, refusal
from userstack.neigh import MAX_HELD
from userstack.shared import (
    Away,
    Back,
    Deliver,
    Gone,
    Granted,
    IcmpError,
    Interface,
    PathChanged,
    Refused,
    Resolved,
)
from userstack.tcp.conn import State
from userstack.tests.shared_rig import HERE, MAC, PEER, PEER_MAC, SECOND_NS, THERE, Rig
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.ipv4 import DONT_FRAGMENT, TCP, UDP, Ipv4Header
from userstack.wire.tcp import ACK, RST, SYN, Segment


def test_no_syn_before_the_tuple_is_granted_and_the_way_is_known() -> None:
    rig = Rig()
    sock = rig.host.socket().raw
    sock.connect(("10.0.0.9", 80))
    assert rig.kernel.take() == [("connect", 1, TCP, None, 0, PEER, 80), ("resolve", 2, PEER)]
    rig.host.run(30 * SECOND_NS)
    assert rig.out() == [] and not sock.check_connected()
    rig.grant(5, 5000, THERE, isn_offset=1000)
    assert rig.out() == []
    rig.resolve(THERE)
    ((header, body),) = rig.out()
    assert (header.src, header.fragment) == (THERE, DONT_FRAGMENT)
    syn = Segment.decode(body, header.src, header.dst)
    assert (syn.src_port, syn.seq) == (5000, 1000 + 30 * SECOND_NS // 4000)
    assert sock.getsockname() == ("10.0.0.2", 5000)


def test_a_refused_connect_fails_with_the_registrys_errno() -> None:
    rig = Rig()
    sock = rig.host.socket().raw
    sock.connect(("10.0.0.9", 80))
    rig.tell(Refused(rig.kernel.cookie, errno.EEXIST, "taken"))
    with pytest.raises(AddressInUse, match="taken") as caught:
        sock.check_connected()
    assert caught.value.errno == errno.EEXIST and rig.out() == []


def test_what_is_granted_after_the_socket_is_closed_is_given_back() -> None:
    rig = Rig()
    for sock in (rig.host.socket().raw, rig.host.socket().raw):
        sock.bind(("0.0.0.0", 80))
        sock.listen() if sock.stack.tcp.listeners else sock.connect(("10.0.0.9", 80))
        sock.close()
        rig.kernel.take()
        rig.grant(5, 80)
        assert rig.kernel.take() == [("close", 5, False)]
    rig.tell(Granted(999, 6, HERE, 1))
    assert rig.kernel.take() == [("close", 6, False)]


def test_a_listener_listens_when_it_is_granted_and_resets_only_what_is_its_own() -> None:
    rig = Rig()
    sock = rig.host.socket().raw
    sock.bind(("0.0.0.0", 80))
    sock.listen()
    assert rig.kernel.take() == [("listen", 1, TCP, None, 80)]
    rig.resolve()
    rig.arrive(Segment(9, 80, 50, 0, SYN, 1000))
    assert rig.out() == [] and rig.stack.stats.drops == {Drop.TCP_NO_CONNECTION: 1}
    assert rig.stack.stats.tcp_resets_out == 0
    assert not sock.check_bound()
    rig.grant(5, 80, None, key=bytes(32))
    assert sock.check_bound()
    rig.arrive(Segment(9, 80, 50, 77, ACK, 1000))
    rig.arrive(Segment(9, 81, 50, 77, ACK, 1000))
    rig.tell(Resolved(PEER, HERE, PEER_MAC))
    (reset,) = rig.segments()
    assert (reset.flags, reset.src_port, reset.seq) == (RST, 80, 77)


def test_accept_has_a_connection_when_its_entry_is_granted() -> None:
    rig = Rig()
    sock = rig.host.socket().raw
    sock.bind(("0.0.0.0", 80))
    sock.listen()
    rig.grant(5, 80, None, key=bytes(32))
    rig.kernel.take()
    rig.arrive(Segment(9, 80, 50, 0, SYN, 1000), THERE)
    assert rig.kernel.take() == [("resolve", 2, PEER)]  # the registry is not asked for a mere SYN
    rig.resolve()
    (answer,) = rig.segments()
    rig.arrive(Segment(9, 80, 51, answer.seq + 1, ACK, 1000), THERE)
    assert rig.kernel.take() == [("accept", 3, 5, THERE, PEER, 9)]
    with pytest.raises(WouldBlock):
        sock.accept()
    rig.grant(6, 80, THERE)
    child, address = sock.accept()
    assert address == ("10.0.0.9", 9) and child.getsockname() == ("10.0.0.2", 80)
    assert rig.kernel.take() == [("mark", 6, "established")]
    child.abort()
    assert rig.kernel.take() == [("close", 6, False)]
    assert [segment.flags & RST for segment in rig.segments()] == [RST]


def test_marks_and_the_end_of_a_connection() -> None:
    rig = Rig()
    sock = rig.connected()
    sock.close()
    (fin,) = rig.segments()
    rig.arrive(Segment(80, 5000, 100, fin.seq + 1, ACK, 1000))
    assert rig.kernel.take() == [("mark", 5, "half_closed")]
    rig.arrive(Segment(80, 5000, 100, fin.seq + 1, ACK | 1, 1000))
    assert rig.kernel.take() == [("mark", 5, "withdrawn")]
    assert sock.state is State.TIME_WAIT
    rig.host.run(59 * SECOND_NS)
    assert rig.kernel.take() == []  # the stack keeps TIME-WAIT itself
    rig.host.run(61 * SECOND_NS)
    assert rig.kernel.take() == [("close", 5, False)]


def test_at_its_end_the_stack_leaves_time_wait_to_the_kernel() -> None:
    rig = Rig()
    sock = rig.connected()
    sock.close()
    (fin,) = rig.segments()
    rig.arrive(Segment(80, 5000, 100, fin.seq + 1, ACK | 1, 1000))
    rig.kernel.take()
    rig.stack.shared.leave()
    assert rig.kernel.take() == [("close", 5, True)]


@pytest.mark.parametrize("granted_first", [True, False])
@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.2"])
def test_frames_wait_for_port_and_way_in_order_and_bounded(address: str, granted_first: bool) -> None:
    rig = Rig()
    sock = rig.host.udp_socket().raw
    sock.bind((address, 7))
    local = None if address == "0.0.0.0" else THERE
    if granted_first:
        rig.grant(5, 7, local)
    for number in range(MAX_HELD + 3):
        sock.sendto(bytes([number]), ("10.0.0.9", 9))
    if not granted_first:
        rig.grant(5, 7, local)
    rig.resolve(THERE)
    packets = rig.out()
    assert [body[8] for _, body in packets] == list(range(3, MAX_HELD + 3))
    assert {(header.src, header.fragment) for header, _ in packets} == {(THERE, DONT_FRAGMENT)}
    assert rig.stack.stats.arp_queue_drops == 3
    rig.resolve(THERE, None)
    sock.sendto(b"x", ("10.0.0.9", 9))
    assert rig.out() == [] and rig.kernel.take("resolve")
    rig.resolve(THERE)
    assert len(rig.out()) == 1


def test_a_refused_udp_port_fails_every_call_after_it() -> None:
    rig = Rig()
    sock = rig.host.udp_socket().raw
    sock.bind(("0.0.0.0", 7))
    sock.sendto(b"x", ("10.0.0.9", 9))
    rig.tell(Refused(rig.kernel.cookie, errno.EADDRINUSE, "taken"))
    for _ in range(2):
        with pytest.raises(AddressInUse):
            sock.recvfrom()
    assert rig.out() == []


def test_connected_udp_takes_the_connection_alone_or_on_top_of_its_port() -> None:
    rig = Rig()
    alone, bound = rig.host.udp_socket().raw, rig.host.udp_socket().raw
    alone.connect(("10.0.0.9", 9))
    assert rig.kernel.take() == [("connect", 1, UDP, None, 0, PEER, 9)]
    rig.grant(5, 6000)
    assert alone.getsockname() == ("10.0.0.1", 6000)
    bound.bind(("0.0.0.0", 0))
    bound.connect(("10.0.0.9", 9))
    assert rig.kernel.take() == [("listen", 2, UDP, None, 0)]
    rig.grant(6, 6001, None)
    assert rig.kernel.take() == [("connect", 3, UDP, None, 6001, PEER, 9)]
    rig.grant(7, 6001)
    rig.tell(IcmpError(7, 3, 3, 0, 0))
    with pytest.raises(NetworkError):
        bound.send(b"x")
    bound.close()
    assert rig.kernel.take() == [("close", 7, False), ("close", 6, False)]
    alone.connect(("10.0.0.9", 10))
    assert rig.kernel.take() == [("close", 5, False), ("connect", 4, UDP, HERE, 6000, PEER, 10)]


def test_away_and_back() -> None:
    rig = Rig()
    sock = rig.connected()
    rig.tell(Away(5, "gone"))
    sock.send(b"hello")
    assert rig.out() == [] and rig.stack.stats.away_drops == 1
    rig.host.run(SECOND_NS // 2)
    rig.tell(Back(5), now_ns=SECOND_NS // 2)
    (again,) = rig.segments()
    assert again.payload == b"hello"
    opening = rig.host.socket().raw
    opening.connect(("10.0.0.9", 81))
    rig.grant(6, 5001)
    rig.tell(Away(6, "gone"))
    with pytest.raises(NetworkDown) as caught:
        opening.check_connected()
    assert caught.value.errno == errno.ENETDOWN


def test_what_another_stack_has_taken_is_left_alone() -> None:
    rig = Rig()
    sock = rig.connected()
    rig.tell(Gone(5, "taken"), Gone(5, "taken"), PathChanged(77, True))
    with pytest.raises(TakenAway):
        sock.recv(1)
    sock.close()
    assert rig.out() == [] and rig.kernel.take() == []
    assert rig.stack.shared.sharing.late == 2


def test_a_listener_that_is_taken_away_falls_silent() -> None:
    rig = Rig()
    sock = rig.host.socket().raw
    sock.bind(("0.0.0.0", 80))
    sock.listen()
    rig.grant(5, 80, None, key=bytes(32))
    rig.resolve()
    rig.arrive(Segment(9, 80, 50, 0, SYN, 1000))
    rig.resolve()
    assert len(rig.segments()) == 1
    rig.kernel.take()
    rig.tell(Gone(5, "taken"))
    assert rig.out() == [] and rig.kernel.take() == []
    with pytest.raises(TakenAway):
        sock.accept()


def test_a_syn_that_ends_time_wait_keeps_the_tuple() -> None:
    rig = Rig()
    sock = rig.host.socket().raw
    sock.bind(("0.0.0.0", 80))
    sock.listen()
    rig.grant(5, 80, None, key=bytes(32))
    rig.arrive(Segment(9, 80, 50, 0, SYN, 1000))
    rig.resolve()
    (answer,) = rig.segments()
    rig.arrive(Segment(9, 80, 51, answer.seq + 1, ACK, 1000))
    rig.grant(6, 80)
    child, _ = sock.accept()
    child.close()
    rig.arrive(Segment(9, 80, 51, answer.seq + 2, ACK | 1, 1000))
    assert child.state is State.TIME_WAIT
    rig.kernel.take()
    rig.out()
    rig.host.run(SECOND_NS)
    rig.arrive(Segment(9, 80, 5000, 0, SYN, 1000))
    (again,) = rig.segments()
    assert again.seq == (answer.seq + SECOND_NS // 4000) % 2**32
    rig.arrive(Segment(9, 80, 5001, again.seq + 1, ACK, 1000))
    assert sock.accept()[1] == ("10.0.0.9", 9)
    assert rig.kernel.take() == []  # it is the same entry


def test_in_software_frames_go_by_the_kernel_and_come_as_events() -> None:
    rig = Rig()
    sock = rig.connected()
    rig.tell(PathChanged(5, True))
    sock.send(b"hello")
    ((_, token, frame),) = rig.kernel.take("send_software")
    assert token == 5 and frame[:12] == PEER_MAC + MAC and rig.out() == []
    body = Segment(80, 5000, 100, 0, ACK, 1000, b"data")._replace(ack=_ack(frame)).encode(PEER, HERE)
    packet = Ipv4Header(PEER, HERE, TCP, len(body), 7).encode() + body
    rig.tell(Deliver(EthernetFrame(MAC, PEER_MAC, 0x0800, packet).encode()))
    assert sock.recv(10) == b"data"
    rig.tell(PathChanged(5, False))
    sock.send(b"more")
    assert len(rig.out()) == 1


def _ack(frame: bytes) -> int:
    return int.from_bytes(frame[38:42], "big") + len(frame.rstrip(b"\0")) - 54


def test_addresses_and_sizes_of_the_interface_change_at_once() -> None:
    rig = Rig()
    sock = rig.connected()
    new, other = bytes((2, 0, 0, 0, 1, 1)), bytes((2, 0, 0, 0, 9, 9))
    rig.tell(Interface(new, 1000), Resolved(PEER, HERE, other))
    sock.send(bytes(536))
    (frame,) = rig.stack.take_frames()
    assert frame[:12] == other + new
    sock.send(bytes(2000))
    assert max(len(frame) for frame in rig.stack.take_frames()) <= 1014
    assert rig.stack.shared.sharing.late == 0


def test_no_arp_and_no_icmp() -> None:
    rig = Rig()
    arp = EthernetFrame(b"\xff" * 6, PEER_MAC, 0x0806, bytes(28)).encode()
    ping = Ipv4Header(PEER, HERE, 1, 8, 7).encode() + bytes((8, 0, 0xF7, 0xFF, 0, 0, 0, 0))
    udp = Ipv4Header(PEER, HERE, UDP, 8, 7).encode() + bytes((0, 9, 0, 7, 0, 8, 0, 0))
    frames = [arp, *(EthernetFrame(MAC, PEER_MAC, 0x0800, packet).encode() for packet in (ping, udp))]
    rig.host.on_frames(frames, 0)
    assert rig.out() == [] and rig.kernel.take() == []
    assert rig.stack.stats.drops == {Drop.ETH_TYPE: 1, Drop.IP_PROTOCOL: 1, Drop.UDP_NO_PORT: 1}


def test_a_stack_that_shares_nothing_says_so() -> None:
    with pytest.raises(InvalidState):
        _ = Stack(StackConfig(MAC.hex(":"), "10.0.0.1"), random.Random(1)).shared


@pytest.mark.parametrize("number", [errno.EADDRINUSE, errno.EACCES, errno.ENOBUFS, errno.EIO])
def test_a_refusal_keeps_its_errno(number: int) -> None:
    assert refusal(number, "why").errno == number
    assert ConnectionAborted().errno == errno.ECONNABORTED


def test_random_answers_and_news_in_any_order_leave_nothing_behind() -> None:
    for seed in range(30):
        rng, rig = random.Random(seed), Rig()
        tokens, socks, asked = 0, [], []
        for _ in range(200):
            what = rng.randrange(8)
            if what < 2:
                sock = rig.host.socket().raw if what else rig.host.udp_socket().raw
                sock.connect(("10.0.0.9", rng.randint(1, 9)))
                socks.append(sock)
            elif what == 2 and socks:
                socks.pop(rng.randrange(len(socks))).close()
            asked += [call[1] for call in rig.kernel.take("connect")]
            token = rng.randint(1, max(tokens, 1))
            if what == 3 and asked:
                tokens += 1
                cookie = asked.pop(rng.randrange(len(asked)))
                rig.tell(Granted(cookie, tokens, HERE, 5000 + tokens))
            elif what == 4 and asked:
                rig.tell(Refused(asked.pop(0), errno.ENOBUFS, "full"))
            elif what == 5:
                rig.tell(Gone(token, "taken"), Away(token, "late"))
            elif what == 6:
                rig.resolve(mac=rng.choice((None, PEER_MAC)))
            elif what == 7:
                rig.tell(PathChanged(token, True), Refused(token, errno.EHOSTUNREACH, "no way"))
        rig.stack.take_frames()
        for sock in socks:
            sock.abort() if hasattr(sock, "abort") else sock.close()
        for cookie in asked:
            tokens += 1
            rig.tell(Granted(cookie, tokens, HERE, 5000 + tokens))
        assert rig.stack.shared.sharing.held == {}, seed
        assert rig.stack.tcp.connections == {}
