# SPDX-License-Identifier: Apache-2.0
"""Whole transfers over good and bad wires, checked by SHA-256; scapy as the judge of every byte sent;
speed."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from userstack import Host, http
from userstack.testing import Impairment, Link
from userstack.tests.net import NAME, SERVER_IP, body, contexts, digest, fetch, host, pair, serve_once
from userstack.wire.ethernet import EthernetFrame

MIB = 1 << 20
BAD = [
    Impairment(loss=0.05),
    Impairment(duplicate=0.3),
    Impairment(reorder=0.3, reorder_ns=300_000),
    Impairment(corrupt=0.05),
    Impairment(loss=0.03, duplicate=0.03, reorder=0.1, corrupt=0.02),
    Impairment(loss=0.2),
    Impairment(rate_bits_per_s=10**9, delay_ns=5_000_000, loss=0.001),
]


def transfer(seed: int, how: Impairment, size: int, **tcp: Any) -> Any:
    server, client, link = pair(seed, how, **tcp)
    link.capture = []
    server.spawn(serve_once(server, body(size)))
    task = client.spawn(fetch(client))
    link.run()
    assert task.result() == digest(body(size))
    for on in (server, client):
        stats = on.stack.stats
        assert stats.frames_in == stats.frames_accepted + sum(stats.drops.values())
    return server, client, link


@pytest.mark.parametrize("how", BAD, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_lossy_wire(seed: int, how: Impairment) -> None:
    transfer(seed, how, 300_000)


@pytest.mark.parametrize("seed", range(3))
def test_lossy_wire_with_timestamps(seed: int) -> None:
    transfer(seed, BAD[4], 300_000, timestamps=True)


@pytest.mark.parametrize("size", [0, 1, 1459, 1460, 1461, 2920, 65536])
def test_sizes_around_segment_boundaries(size: int) -> None:
    transfer(0, Impairment(), size)


@pytest.mark.parametrize("buffers", [2048, 5000, 65535, 65536, MIB])
def test_buffer_sizes(buffers: int) -> None:
    transfer(0, Impairment(), 300_000, recv_buffer_bytes=buffers, send_buffer_bytes=buffers)


@pytest.mark.parametrize("mtu_bytes", [576, 9000, 9714])
def test_mtu_sizes(mtu_bytes: int) -> None:
    server, client = host(1, mtu_bytes=mtu_bytes), host(2, mtu_bytes=mtu_bytes)
    link = Link(server, client, random.Random(0))
    link.capture = []
    server.spawn(serve_once(server, body(300_000)))
    task = client.spawn(fetch(client))
    link.run()
    assert task.result() == digest(body(300_000))
    assert max(len(raw) for _, raw in link.capture) == mtu_bytes + 14


def test_unequal_mtus_meet_at_the_smaller() -> None:
    server, client = host(1, mtu_bytes=9000), host(2)
    link = Link(server, client, random.Random(0))
    link.capture = []
    server.spawn(serve_once(server, body(100_000)))
    client.spawn(fetch(client))
    link.run()
    assert max(len(raw) for _, raw in link.capture) == 1514


def test_sequence_numbers_wrap_in_a_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("userstack.tcp.isn.initial_seq", lambda *args: 2**32 - 100_000)
    transfer(1, BAD[4], 300_000)


def test_a_clean_wire_needs_no_retransmission_and_drops_nothing() -> None:
    server, client, link = transfer(0, Impairment(), MIB)
    for on in (server, client):
        assert on.stack.stats.tcp_retransmits == 0 and not on.stack.stats.drops
    acks = client.stack.stats.tcp_acks_out
    assert acks < 1.05 * MIB / 1460 / 2 + 20, "one ACK for two segments"
    assert link.carried < 1.6 * MIB / 1460


def test_slow_reader_stops_the_sender_and_nothing_is_lost() -> None:
    server, client, link = pair(0)

    async def slow(on: Host) -> Any:
        sock = on.socket()
        await sock.connect((SERVER_IP, 80))
        parts = []
        while data := await sock.recv(20_000):
            parts.append(data)
            await on.sleep_ns(50_000_000)
        await sock.aclose()
        return digest(b"".join(parts))

    server.spawn(serve_once(server, body(MIB)))
    task = client.spawn(slow(client))
    link.run()
    assert task.result() == digest(body(MIB))
    assert server.stack.stats.tcp_retransmits == 0


def test_both_directions_at_once() -> None:
    server, client, link = pair(5, BAD[4])

    async def both(on: Host, sock: Any) -> Any:
        async def pump() -> None:
            await sock.sendall(body(200_000))

        task = on.spawn(pump())
        data = await sock.recv_exactly(200_000)
        await task
        await sock.aclose(60 * 10**9)
        return digest(data)

    async def serve(on: Host) -> Any:
        listener = on.socket()
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        return await both(on, (await listener.accept())[0])

    async def connect(on: Host) -> Any:
        sock = on.socket()
        await sock.connect((SERVER_IP, 80))
        return await both(on, sock)

    tasks = [server.spawn(serve(server)), client.spawn(connect(client))]
    link.run()
    assert [task.result() for task in tasks] == [digest(body(200_000))] * 2


def judge(raw: bytes) -> Any:
    """None, or what scapy finds wrong: it dissects the frame, recomputes all lengths and checksums,
    compares."""
    from scapy.layers.inet import ICMP, IP, TCP, UDP  # their import also teaches Ether what follows it
    from scapy.layers.l2 import Ether

    parsed = Ether(raw)
    again = parsed.copy()
    for layer in (IP, TCP, UDP, ICMP):
        if layer in again:
            for name in ("chksum", "len", "dataofs", "ihl"):
                if name in again[layer].fields:
                    delattr(again[layer], name)  # clears scapy's cached bytes, which fields.pop() does not
    rebuilt = bytes(again)
    return None if rebuilt == raw else f"{parsed.summary()}: {raw.hex()} should be {rebuilt.hex()}"


@pytest.mark.parametrize("timestamps", [False, True])
def test_scapy_agrees_with_every_frame_of_a_session(timestamps: bool) -> None:
    server, client, link = pair(2, Impairment(loss=0.02, reorder=0.05), timestamps=timestamps)
    link.capture = []
    server.spawn(serve_once(server, body(150_001)))
    client.spawn(fetch(client))
    udp = client.udp_socket()
    udp.sendto(b"anyone?", (SERVER_IP, 9))
    link.run()
    frames = [raw for _, raw in link.capture]
    assert [verdict for raw in frames if (verdict := judge(raw))] == []
    kinds = {EthernetFrame.decode(raw).ethertype for raw in frames}
    protocols = {raw[23] for raw in frames if raw[12:14] == b"\x08\x00"}
    assert kinds == {0x0800, 0x0806} and protocols == {1, 6, 17}
    assert all(60 <= len(raw) <= 1514 for raw in frames)


@pytest.mark.parametrize("at", [16, 24, 30, 40, 50])
def test_the_judge_sees_a_changed_byte(at: int) -> None:
    server, client, link = pair(0)
    link.capture = []
    server.spawn(serve_once(server, b"x" * 100))
    client.spawn(fetch(client))
    link.run()
    raw = bytearray(next(raw for _, raw in link.capture if len(raw) > 100))
    assert judge(bytes(raw)) is None
    raw[at] ^= 0x10
    assert judge(bytes(raw)) is not None


def https(tmp_path: Path, data: bytes, how: Impairment | None = None) -> Any:
    """Seconds of wall time for one GET over TLS between two hosts, and the link."""
    server, client, link = pair(0, how)
    server_context, client_context = contexts(tmp_path)
    web = http.Server(server, http.files({"/file": data}), server_context)
    web.listen(443)
    server.spawn(web.run())

    async def get(on: Host) -> Any:
        session = await http.connect(on, (SERVER_IP, 443), NAME, client_context)
        response = await session.get("/file")
        got = digest(await response.read())
        await session.aclose()
        web.close()
        return got

    task = client.spawn(get(client))
    start = time.perf_counter()
    link.run()
    assert task.result() == digest(data)
    return time.perf_counter() - start, link


def test_https_4_mib_in_a_second(tmp_path: Path) -> None:
    """The demo's budget is 0.25 ms of CPU a full segment with its share of ACKs; this is four times
    stricter."""
    times = [https(tmp_path, body(4 * MIB))[0] for _ in range(3)]
    print(f"4 MiB over HTTPS: {min(times):.3f} s")
    assert min(times) < 1.0


def test_https_one_frame_at_a_time(tmp_path: Path) -> None:
    """On a wire with a rate, frames come one by one: no batch hides a cost."""
    times = [https(tmp_path, body(MIB), Impairment(rate_bits_per_s=10**10))[0] for _ in range(2)]
    print(f"1 MiB over HTTPS, frame by frame: {min(times):.3f} s")
    assert min(times) < 0.5
