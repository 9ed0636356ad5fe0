# SPDX-License-Identifier: Apache-2.0
"""IPv4 and Ethernet filtering, routing, ICMP: every refused frame is counted under one reason."""

import random
from typing import Any

import pytest

from userstack import Drop, Stack, StackConfig, TcpSocket, UdpSocket
from userstack.errors import BadAddress, ClockError, HostUnreachable, MessageTooLong, NoRoute
from userstack.sockets import ANY
from userstack.tests.peer import ACK, PEER_IP, PEER_MAC, SECOND, STACK_MAC, SYN, Peer
from userstack.wire.addr import parse_ip, parse_mac
from userstack.wire.ethernet import TYPE_IPV4, EthernetFrame
from userstack.wire.icmp import ECHO_REPLY, ECHO_REQUEST, UNREACHABLE, IcmpMessage
from userstack.wire.ipv4 import ICMP, MORE_FRAGMENTS, TCP, UDP, Ipv4Header
from userstack.wire.udp import UdpDatagram

ECHO = IcmpMessage(ECHO_REQUEST, 0, 0x12340001, b"ping data!").encode()


def only_drop(peer: Peer, reason: Drop) -> None:
    assert dict(peer.stack.stats.drops) == {reason: 1}
    stats = peer.stack.stats
    assert stats.frames_in == stats.frames_accepted + 1
    assert stats.recent_drops[-1].reason is reason


def test_echo_reply_mirrors_identifier_sequence_and_data() -> None:
    peer = Peer()
    peer.icmp(ECHO)
    ((header, payload),) = peer.take_ip()
    assert (header.src, header.dst, header.protocol) == (peer.dst, peer.src, ICMP)
    assert IcmpMessage.decode(payload) == IcmpMessage(ECHO_REPLY, 0, 0x12340001, b"ping data!")


def test_echo_reaches_through_a_priority_tag_and_ip_options() -> None:
    peer = Peer()
    header = Ipv4Header(peer.src, peer.dst, ICMP, len(ECHO), options=bytes.fromhex("0101010100000000"))
    body = header.encode() + ECHO
    peer.frame(EthernetFrame(parse_mac(STACK_MAC), parse_mac(PEER_MAC), TYPE_IPV4, body, 0xE000).encode())
    assert len(peer.take_ip()) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dst": "02:00:00:00:00:77"}, Drop.ETH_NOT_OURS),
        ({"dst": "01:00:5e:00:00:01"}, Drop.ETH_MULTICAST),
        ({"src": "03:00:00:00:00:02", "protocol": UDP}, Drop.ETH_BAD_SOURCE),
        ({"tci": 5}, Drop.ETH_VLAN),
        ({"kind": 0x86DD}, Drop.ETH_TYPE),
        ({"dst_ip": "10.0.0.9"}, Drop.IP_NOT_OURS),
        ({"src_ip": "10.0.0.1"}, Drop.IP_BAD_SOURCE),
        ({"src_ip": "10.0.0.255"}, Drop.IP_BAD_SOURCE),
        ({"src_ip": "224.0.0.1"}, Drop.IP_BAD_SOURCE),
        ({"src_ip": "127.0.0.1"}, Drop.IP_BAD_SOURCE),
        ({"src_ip": "255.255.255.255"}, Drop.IP_BAD_SOURCE),
        ({"src_ip": "11.0.0.1"}, Drop.IP_NO_RETURN),
        ({"src_ip": "0.0.0.0"}, Drop.IP_NO_RETURN),
        ({"dst_ip": "224.0.0.1"}, Drop.ETH_MULTICAST),
        ({"fragment": MORE_FRAGMENTS}, Drop.IP_FRAGMENT),
        ({"fragment": 3}, Drop.IP_FRAGMENT),
        ({"protocol": 99}, Drop.IP_PROTOCOL),
        ({"dst": "ff:ff:ff:ff:ff:ff", "dst_ip": "10.0.0.255"}, Drop.ICMP_BROADCAST),
    ],
)
def test_refused_frames(change: dict[Any, Any], reason: Drop) -> None:
    peer = Peer()
    change = dict(change)
    if "dst_ip" in change:
        change["dst_"] = parse_ip(change.pop("dst_ip"))
    if "src_ip" in change:
        change["src_"] = parse_ip(change.pop("src_ip"))
    header = {"src": change.pop("src_", peer.src), "dst": change.pop("dst_", peer.dst)}
    ethernet = {key: change.pop(key) for key in ("dst", "src", "kind", "tci") if key in change}
    fields = {"protocol": ICMP, "payload_bytes": len(ECHO), **header, **change}
    raw = Ipv4Header(**fields).encode() + ECHO
    mac = {"dst": STACK_MAC, "src": PEER_MAC, "kind": TYPE_IPV4, "tci": None, **ethernet}
    to, by = (bytes.fromhex(mac[key].replace(":", "")) for key in ("dst", "src"))
    peer.frame(EthernetFrame(to, by, mac["kind"], raw, mac["tci"]).encode())
    only_drop(peer, reason)


def test_unknown_protocol_is_answered_with_protocol_unreachable() -> None:
    peer = Peer()
    peer.frame(peer.ip(99, b"whatever"))
    ((_, payload),) = peer.take_ip()
    message = IcmpMessage.decode(payload)
    assert (message.kind, message.code) == (UNREACHABLE, 2)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x08\0", Drop.ICMP_SHORT),
        (b"\x08\0\0\0\0\0\0\0", Drop.ICMP_CHECKSUM),
        (IcmpMessage(ECHO_REPLY, 0, 1, b"").encode(), Drop.ICMP_STRAY),
        (IcmpMessage(13, 0, 1, bytes(12)).encode(), Drop.ICMP_TYPE),
        (IcmpMessage(UNREACHABLE, 3, 0, b"E" * 10).encode(), Drop.ICMP_SHORT),
        (IcmpMessage(UNREACHABLE, 3, 0, b"\x4f" + bytes(30)).encode(), Drop.ICMP_SHORT),
        (IcmpMessage(UNREACHABLE, 3, 0, b"\x45" + bytes(30)).encode(), Drop.ICMP_STRAY),
    ],
)
def test_refused_icmp(raw: bytes, reason: Drop) -> None:
    peer = Peer()
    peer.icmp(raw)
    only_drop(peer, reason)


def test_errors_are_never_sent_about_errors() -> None:
    peer = Peer()
    peer.icmp(IcmpMessage(UNREACHABLE, 3, 0, b"\x45" + bytes(30)).encode())
    assert peer.take_ip() == []


def test_unreachable_messages_are_rate_limited() -> None:
    peer = Peer()
    for _ in range(200):
        peer.udp(UdpDatagram(1, 2, b"x").encode(peer.src, peer.dst))
    assert len(peer.take_ip()) == 50
    peer.wait(SECOND)
    peer.udp(UdpDatagram(1, 2, b"x").encode(peer.src, peer.dst))
    assert len(peer.take_ip()) == 1


def test_off_link_traffic_goes_to_the_gateway() -> None:
    stack = Stack(StackConfig(STACK_MAC, "10.0.0.1", gateway=PEER_IP), random.Random(1))
    UdpSocket(stack).sendto(b"x", ("8.8.8.8", 53))
    frame = EthernetFrame.decode(stack.take_frames()[0])
    assert frame.payload[24:28] == bytes([10, 0, 0, 2])


def test_no_route_without_gateway_or_to_oneself() -> None:
    peer = Peer()
    for ip in ("8.8.8.8", "10.0.0.1", "127.0.0.1"):
        with pytest.raises(NoRoute):
            UdpSocket(peer.stack).sendto(b"x", (ip, 53))
        with pytest.raises(NoRoute):
            TcpSocket(peer.stack).connect((ip, 53))


def test_point_to_point_prefix_has_no_broadcast_address() -> None:
    stack = Stack(StackConfig(STACK_MAC, "10.0.0.1", prefix_bits=31), random.Random(1))
    UdpSocket(stack).sendto(b"x", ("10.0.0.0", 9))
    assert stack.stats.arp_requests == 1, "RFC 3021"
    assert not stack.ip.is_broadcast(parse_ip("10.0.0.0"))


def test_broadcast_and_multicast_need_no_arp() -> None:
    peer = Peer()
    sock = UdpSocket(peer.stack)
    for ip, mac in (("255.255.255.255", "ff" * 6), ("10.0.0.255", "ff" * 6), ("224.0.0.5", "01005e000005")):
        sock.sendto(b"x", (ip, 9))
        assert peer.stack.take_frames()[0][:6].hex() == mac


def test_path_mtu_is_learned_from_icmp_about_a_segment_in_flight() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(bytes(1460))
    first = peer.one()
    quote = (
        Ipv4Header(peer.dst, peer.src, TCP, 1480).encode()
        + first._replace(seq=(first.seq + peer.stack_isn) % 2**32).encode(peer.dst, peer.src)[:8]
    )
    peer.icmp(IcmpMessage(UNREACHABLE, 4, 1000, quote).encode())
    again = peer.take()
    assert [len(segment.payload) for segment in again] == [960, 500]


def test_path_mtu_lies_about_other_numbers_are_ignored() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(bytes(1460))
    first = peer.one()
    quote = (
        Ipv4Header(peer.dst, peer.src, TCP, 1480).encode()
        + first._replace(seq=(first.seq + peer.stack_isn + 5000) % 2**32).encode(peer.dst, peer.src)[:8]
    )
    peer.icmp(IcmpMessage(UNREACHABLE, 4, 1000, quote).encode())
    peer.none()
    only_drop(peer, Drop.ICMP_STRAY)


def test_clock_must_not_run_backwards() -> None:
    peer = Peer()
    peer.at(10)
    with pytest.raises(ClockError):
        peer.stack.on_frames([], 9)


@pytest.mark.parametrize(
    "bad",
    [
        {"ip": "224.0.0.1"},
        {"ip": "127.0.0.1"},
        {"mac": "01:00:00:00:00:00"},
        {"prefix_bits": 33},
        {"mtu_bytes": 100},
        {"gateway": "11.0.0.1"},
    ],
)
def test_bad_configuration(bad: dict[str, Any]) -> None:
    with pytest.raises(BadAddress):
        StackConfig(**{"mac": STACK_MAC, "ip": "10.0.0.1", **bad})


# UDP.


def test_udp_both_ways() -> None:
    peer = Peer()
    sock = UdpSocket(peer.stack)
    sock.bind((ANY, 5353))
    peer.udp(UdpDatagram(4000, 5353, b"question").encode(peer.src, peer.dst))
    assert sock.recvfrom() == (b"question", (PEER_IP, 4000))
    sock.sendto(b"answer", (PEER_IP, 4000))
    ((header, payload),) = peer.take_ip()
    assert UdpDatagram.decode(payload, header.src, header.dst) == UdpDatagram(5353, 4000, b"answer")


def test_udp_closed_port_is_answered_with_the_quoted_header() -> None:
    peer = Peer()
    raw = UdpDatagram(4000, 9, b"12345678").encode(peer.src, peer.dst)
    peer.udp(raw)
    ((_, payload),) = peer.take_ip()
    message = IcmpMessage.decode(payload)
    assert (message.kind, message.code) == (UNREACHABLE, 3)
    assert message.payload[20:] == raw[:8]
    only_drop(peer, Drop.UDP_NO_PORT)


def test_udp_refusal_reaches_a_connected_socket_once() -> None:
    peer = Peer()
    sock = UdpSocket(peer.stack)
    sock.connect((PEER_IP, 9))
    sock.send(b"x")
    ((header, payload),) = peer.take_ip()
    peer.icmp(IcmpMessage(UNREACHABLE, 3, 0, header.encode() + payload[:8]).encode())
    from userstack.errors import ConnectionRefused, WouldBlock

    with pytest.raises(ConnectionRefused):
        sock.recvfrom()
    with pytest.raises(WouldBlock):
        sock.recvfrom()


def test_udp_host_unreachable_reaches_a_connected_socket() -> None:
    peer = Peer()
    sock = UdpSocket(peer.stack)
    sock.connect((PEER_IP, 9))
    sock.send(b"x")
    ((header, payload),) = peer.take_ip()
    peer.icmp(IcmpMessage(UNREACHABLE, 1, 0, header.encode() + payload[:8]).encode())
    with pytest.raises(HostUnreachable):
        sock.send(b"y")


def test_udp_queue_is_bounded() -> None:
    peer = Peer()
    sock = UdpSocket(peer.stack)
    sock.bind((ANY, 5))
    for _ in range(400):
        peer.udp(UdpDatagram(4000, 5, bytes(1000)).encode(peer.src, peer.dst))
    assert peer.stack.stats.drops[Drop.UDP_QUEUE_FULL] == 400 - 2**18 // 1064
    sock.recvfrom()
    peer.udp(UdpDatagram(4000, 5, b"fits again").encode(peer.src, peer.dst))
    assert peer.stack.stats.drops[Drop.UDP_QUEUE_FULL] == 400 - 2**18 // 1064


def test_udp_message_too_long() -> None:
    with pytest.raises(MessageTooLong):
        UdpSocket(Peer().stack).sendto(bytes(1473), (PEER_IP, 5))
    UdpSocket(Peer().stack).sendto(bytes(1472), (PEER_IP, 5))


def test_tcp_to_a_broadcast_address_is_ignored() -> None:
    peer = Peer()
    peer.listen()
    raw = bytearray(peer.segment(SYN))
    raw[:6] = b"\xff" * 6
    peer.frame(bytes(raw))
    only_drop(peer, Drop.TCP_BROADCAST)
    peer.none()


def test_icmp_error_in_syn_sent_refuses_the_connection() -> None:
    from userstack.errors import ConnectionRefused

    peer = Peer()
    sock = peer.connecting()
    quoted = (
        sock.getsockname()[1].to_bytes(2, "big")
        + (40000).to_bytes(2, "big")
        + peer.stack_isn.to_bytes(4, "big")
    )
    peer.icmp(
        IcmpMessage(UNREACHABLE, 3, 0, Ipv4Header(peer.dst, peer.src, TCP, 20).encode() + quoted).encode()
    )
    with pytest.raises(ConnectionRefused):
        sock.check_connected()


def test_icmp_error_in_established_is_only_a_hint() -> None:
    peer = Peer()
    sock = peer.accepted()
    sock.send(b"x")
    seq = (peer.one().seq + peer.stack_isn) % 2**32
    quoted = (80).to_bytes(2, "big") + (40000).to_bytes(2, "big") + seq.to_bytes(4, "big")
    peer.icmp(
        IcmpMessage(UNREACHABLE, 3, 0, Ipv4Header(peer.dst, peer.src, TCP, 20).encode() + quoted).encode()
    )
    peer.send(ACK, 1, 2)
    sock.send(b"still alive")
    assert peer.one().payload == b"still alive"
