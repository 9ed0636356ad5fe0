# SPDX-License-Identifier: Apache-2.0
"""Hostile input: nothing that comes from the wire raises, hangs, or goes uncounted."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from userstack.tests.peer import ACK, FIN, PSH, RST, SYN, Options, Peer
from userstack.wire.icmp import ECHO_REQUEST, UNREACHABLE, IcmpMessage
from userstack.wire.ipv4 import ICMP, TCP, UDP, Ipv4Header
from userstack.wire.tcp import Segment
from userstack.wire.udp import UdpDatagram


def check(peer: Peer) -> None:
    stats = peer.stack.stats
    assert stats.frames_in == stats.frames_accepted + sum(stats.drops.values())
    for raw in peer.stack.take_frames():
        assert 60 <= len(raw) <= 1514


def valid_frames(peer: Peer) -> Any:
    """One good frame of every kind that the stack understands."""
    quote = Ipv4Header(peer.dst, peer.src, TCP, 20).encode() + bytes(8)
    yield peer.segment(SYN, 0, options=Options(1460, 7, True, (1, 2)))
    yield peer.segment(ACK | PSH, 1, 1, b"some data here", options=Options(timestamps=(1, 2)))
    yield peer.segment(FIN | ACK, 20, 1)
    yield peer.ip(ICMP, IcmpMessage(ECHO_REQUEST, 0, 1, b"abc").encode())
    yield peer.ip(ICMP, IcmpMessage(UNREACHABLE, 4, 1000, quote).encode())
    yield peer.ip(UDP, UdpDatagram(5, 6, b"abc").encode(peer.src, peer.dst))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_random_bytes(frames: list[bytes]) -> None:
    peer = Peer()
    for raw in frames:
        peer.frame(raw)
    check(peer)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([0x0800, 0x0806, 0x8100]))
def test_random_payloads_behind_a_good_ethernet_header(payload: bytes, kind: int) -> None:
    peer = Peer()
    peer.frame(bytes.fromhex("020000000001020000000002") + kind.to_bytes(2, "big") + payload)
    check(peer)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([1, 6, 17, 41]))
def test_random_payloads_behind_a_good_ip_header(payload: bytes, protocol: int) -> None:
    peer = Peer()
    peer.listen()
    peer.frame(peer.ip(protocol, payload))
    check(peer)


def test_every_truncation_of_every_kind() -> None:
    for index, whole in enumerate(valid_frames(Peer())):
        for size in range(len(whole)):
            peer = Peer()
            peer.accepted()
            peer.frame(whole[:size])
            check(peer)
        assert index < 6


@pytest.mark.parametrize("seed", range(10))
def test_flipped_bits(seed: int) -> None:
    print(f"{seed=}")
    rng = random.Random(seed)
    peer = Peer()
    peer.accepted()
    for _ in range(300):
        raw = bytearray(rng.choice(list(valid_frames(peer))))
        for _ in range(rng.randrange(4)):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        peer.frame(bytes(raw))
    check(peer)


FLAGS = [SYN, ACK, FIN | ACK, RST, RST | ACK, SYN | ACK, PSH | ACK, 0, FIN, 0xFF, SYN | FIN, FIN | PSH]


@pytest.mark.parametrize("seed", range(40))
def test_random_segments_with_good_checksums(seed: int) -> None:
    """Sequence numbers near all edges, any flags, while the program acts at random too: the state machine
    itself."""
    print(f"{seed=}")
    rng = random.Random(seed)
    peer = Peer(timestamps=bool(seed & 1))
    sock = peer.accepted() if seed % 3 else peer.connecting()
    for step in range(300):
        conn = next(iter(peer.stack.tcp.connections.values()), None)
        base = conn.rcv_nxt if conn is not None else rng.getrandbits(32)
        una = conn.snd_una if conn is not None else rng.getrandbits(32)
        seq = (base + rng.choice([0, 0, 0, 1, -1, 5, 70_000, 300_000, 2**31, rng.getrandbits(32)])) % 2**32
        ack = (una + rng.choice([0, 0, 1, 2, 1460, -1, 100_000, 2**31, rng.getrandbits(32)])) % 2**32
        stamps = rng.choice([None, (step, 0), (rng.getrandbits(32), rng.getrandbits(32))])
        options = Options(rng.choice([None, 0, 1, 1460, 65535]), rng.choice([None, 0, 14]), False, stamps)
        port = sock.getsockname()[1]
        data = bytes(rng.choice([0, 0, 1, 100, 1400]))
        window = rng.choice([0, 1, 100, 65535])
        segment = Segment(40000, port, seq, ack, rng.choice(FLAGS), window, data, options)
        peer.frame(peer.ip(TCP, segment.encode(peer.src, peer.dst)))
        if rng.random() < 0.2:
            peer.wait(rng.choice([10**6, 10**9, 5 * 10**9]))
        act(rng, sock)
        check(peer)
    peer.keep_arp = False
    for _ in range(200):  # it all comes to an end: no timer fires for ever
        if peer.due_in() is None:
            break
        peer.jump()
    check(peer)


def act(rng: random.Random, sock: Any) -> None:
    from userstack.errors import StackError

    try:
        what = rng.random()
        if what < 0.1:
            sock.send(bytes(rng.choice([1, 3000])))
        elif what < 0.2:
            sock.recv(10_000)
        elif what < 0.21:
            sock.close()
    except StackError:
        pass  # refused, reset, would block: all legal answers here


def test_the_checker_sees_an_uncounted_frame() -> None:
    peer = Peer()
    peer.stack.stats.frames_in += 1
    with pytest.raises(AssertionError):
        check(peer)


def test_answers_to_noise_do_not_echo_for_ever() -> None:
    """Two ends out of step, each answering the other's ACKs, must fall silent."""
    peer = Peer()
    peer.accepted()
    for _ in range(1000):
        peer.send(ACK, 5_000_000, 1)
    assert len(peer.take()) == 10
