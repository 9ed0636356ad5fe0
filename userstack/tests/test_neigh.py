# SPDX-License-Identifier: Apache-2.0
"""ARP: answers, lookups, held frames, ageing."""

import random
from typing import Any

from userstack import Drop, Stack, StackConfig, UdpSocket
from userstack.neigh import FRESH_NS, MAX_ENTRIES, MAX_HELD
from userstack.tests.peer import PEER_IP, PEER_MAC, SECOND, STACK_MAC, Peer
from userstack.wire.addr import format_mac, parse_ip, parse_mac
from userstack.wire.arp import REPLY, REQUEST, ArpPacket
from userstack.wire.ethernet import TYPE_ARP, EthernetFrame


def arps(stack: Stack) -> Any:
    frames = [EthernetFrame.decode(raw) for raw in stack.take_frames()]
    return [(frame.dst, ArpPacket.decode(frame.payload)) for frame in frames if frame.ethertype == TYPE_ARP]


def drops(peer: Peer) -> Any:
    return dict(peer.stack.stats.drops)


def test_request_is_answered_to_the_asker() -> None:
    peer = Peer(resolve=False)
    peer.arp(REQUEST)
    ((dst, reply),) = arps(peer.stack)
    assert dst == parse_mac(PEER_MAC)
    assert reply == ArpPacket(REPLY, parse_mac(STACK_MAC), peer.dst, parse_mac(PEER_MAC), peer.src)
    assert peer.stack.ip.neigh.lookup(peer.src) == parse_mac(PEER_MAC), "RFC 826: the asker is learned"


def test_frames_wait_for_the_address_and_leave_in_order() -> None:
    peer = Peer(resolve=False)
    sock = UdpSocket(peer.stack)
    for number in range(5):
        sock.sendto(bytes([number]), (PEER_IP, 9))
    ((dst, request),) = arps(peer.stack)
    assert dst == b"\xff" * 6
    assert (request.operation, request.target_ip, request.target_mac) == (REQUEST, peer.src, bytes(6))
    peer.arp(REPLY)
    sent = peer.take_ip()
    assert [payload[8:] for _, payload in sent] == [bytes([number]) for number in range(5)]


def test_queue_is_bounded_and_the_oldest_gives_way() -> None:
    peer = Peer(resolve=False)
    sock = UdpSocket(peer.stack)
    for number in range(MAX_HELD + 3):
        sock.sendto(bytes([number]), (PEER_IP, 9))
    peer.stack.take_frames()
    peer.arp(REPLY)
    assert [payload[8] for _, payload in peer.take_ip()] == list(range(3, MAX_HELD + 3))
    assert peer.stack.stats.arp_queue_drops == 3


def test_one_request_a_second_then_unreachable() -> None:
    peer = Peer(resolve=False)
    UdpSocket(peer.stack).sendto(b"x", (PEER_IP, 9))
    times = []
    while (due := peer.stack.next_deadline_ns()) is not None:
        times += [peer.now] * len(arps(peer.stack))
        peer.at(due)
    assert times == [0, SECOND, 2 * SECOND]
    assert peer.now == 3 * SECOND
    assert peer.stack.stats.arp_queue_drops == 1
    UdpSocket(peer.stack).sendto(b"x", (PEER_IP, 9))
    assert len(arps(peer.stack)) == 1, "a later send asks again"


def test_many_sends_make_one_request() -> None:
    peer = Peer(resolve=False)
    for _ in range(10):
        UdpSocket(peer.stack).sendto(b"x", (PEER_IP, 9))
    assert len(arps(peer.stack)) == 1


def test_stale_entry_is_polled_by_unicast_while_in_use() -> None:
    peer = Peer()
    peer.keep_arp = False
    peer.at(FRESH_NS + 1)
    UdpSocket(peer.stack).sendto(b"x", (PEER_IP, 9))
    frames = [EthernetFrame.decode(raw) for raw in peer.stack.take_frames()]
    assert [frame.ethertype for frame in frames] == [TYPE_ARP, 0x0800]
    assert [frame.dst for frame in frames] == [parse_mac(PEER_MAC)] * 2
    peer.arp(REPLY)
    assert peer.due_in() is None


def test_a_changed_address_is_used_at_once() -> None:
    peer = Peer()
    sock = peer.accepted()
    peer.take()
    peer.arp(REQUEST, sender_mac="02:00:00:00:00:99")
    peer.stack.take_frames()
    sock.send(b"x")
    (frame,) = peer.stack.take_frames()
    assert format_mac(frame[:6]) == "02:00:00:00:00:99"


def test_conflict_is_counted_and_not_learned() -> None:
    peer = Peer()
    peer.arp(REPLY, sender_ip="10.0.0.1", sender_mac="02:00:00:00:00:99")
    assert drops(peer) == {Drop.ARP_CONFLICT: 1}
    assert peer.stack.ip.neigh.lookup(peer.dst) is None


def test_traffic_of_others_is_not_learned() -> None:
    peer = Peer(resolve=False)
    packet = ArpPacket(REQUEST, parse_mac(PEER_MAC), parse_ip("10.0.0.7"), bytes(6), parse_ip("10.0.0.8"))
    peer.frame(EthernetFrame(b"\xff" * 6, parse_mac(PEER_MAC), TYPE_ARP, packet.encode()).encode())
    assert drops(peer) == {Drop.ARP_NOT_OURS: 1}
    assert peer.stack.ip.neigh.lookup(parse_ip("10.0.0.7")) is None


def test_group_sender_is_refused() -> None:
    peer = Peer(resolve=False)
    peer.arp(REQUEST, sender_mac="02:00:00:00:00:02")
    packet = ArpPacket(REQUEST, b"\x01\0\0\0\0\x09", peer.src, bytes(6), peer.dst)
    peer.frame(EthernetFrame(b"\xff" * 6, parse_mac(PEER_MAC), TYPE_ARP, packet.encode()).encode())
    assert drops(peer) == {Drop.ARP_MALFORMED: 1}


def test_cache_is_bounded_against_a_flood() -> None:
    stack = Stack(StackConfig(STACK_MAC, "10.0.0.1", prefix_bits=8), random.Random(1))
    for host in range(2, MAX_ENTRIES + 100):
        sender = parse_ip("10.1.0.0") + host
        packet = ArpPacket(REQUEST, parse_mac(PEER_MAC), sender, bytes(6), parse_ip("10.0.0.1"))
        stack.on_frames(
            [EthernetFrame(b"\xff" * 6, parse_mac(PEER_MAC), TYPE_ARP, packet.encode()).encode()], 0
        )
    assert stack.ip.neigh.lookup(parse_ip("10.1.0.2")) is None
    assert stack.ip.neigh.lookup(parse_ip("10.1.0.0") + MAX_ENTRIES) is not None


def test_connect_fails_when_nobody_answers() -> None:
    import pytest

    from userstack import TcpSocket
    from userstack.errors import HostUnreachable

    peer = Peer(resolve=False)
    sock = TcpSocket(peer.stack)
    sock.connect((PEER_IP, 80))
    peer.at(3 * SECOND)
    with pytest.raises(HostUnreachable):
        sock.check_connected()
