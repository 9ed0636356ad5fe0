# SPDX-License-Identifier: Apache-2.0
"""Stacks in shared mode with the arbiter: transfers, refusals, addresses that change, death, no room in the
NIC."""

import errno
import random
from collections.abc import Iterator
from typing import Any

import pytest

from driver.arbiter import messages as msg
from driver.arbiter.entries import HOST_STACK, Kind, Request
from driver.arbiter.frames import parse
from driver.arbiter.identifiers import derive
from driver.tests.arbiter_bench import HERE, PEER
from sim.shared_stack import ArbiterKernel
from sim.tests.shared_bench import HERE_IP, HERE_TOO_IP, MAC, PEER_IP, PEER_MAC, SharedNet
from sim.tests.shared_programs import (
    FILE,
    MS_NS,
    SECOND_NS,
    ask,
    binds,
    download,
    echo,
    error_of,
    listens,
    serve,
)
from userstack import LocalError, NetworkError
from userstack.drops import Drop
from userstack.errors import (
    AddressInUse,
    BadAddress,
    ConnectionAborted,
    ConnectionRefused,
    ConnectionReset,
    NoResources,
    NoRoute,
)
from userstack.tcp.isn import offsets
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ipv4 import ICMP, Ipv4Header

TCP_PROTO, ICMP_PROTO = 6, 1


@pytest.fixture(autouse=True)
def _programs_end() -> Iterator[None]:
    yield
    SharedNet.end_all()


@pytest.mark.parametrize(("flows", "listeners"), [(1000, 100), (0, 0), (1, 100), (1, 1)])
def test_two_stacks_serve_at_one_address(flows: int, listeners: int) -> None:
    net = SharedNet(flows=flows, listeners=listeners)
    web, udp = net.seat(), net.seat()
    serve(web.host)
    udp.host.spawn(echo(udp.host, 7))
    net.run(limit_ns=MS_NS)
    files = [net.peer.spawn(download(net.peer)) for _ in range(2)]
    right = net.peer.spawn(ask(net.peer, 7, 50))
    net.run(lambda: right.done and all(task.done for task in files))
    assert [task.result() == FILE for task in files] == [True, True]
    assert right.result() == 50
    assert net.resets() == []
    in_software = web.host.stack.stats.software_out + udp.host.stack.stats.software_out
    assert (in_software > 0) == (listeners < 2)
    net.check()
    net.run(limit_ns=121 * SECOND_NS)
    assert net.bench.registry.count(web.client.stack) == 1  # the listener
    net.check()


def test_ports_of_others_are_refused_with_the_usual_errors() -> None:
    net = SharedNet()
    one, two = net.seat(), net.seat()
    net.bench.arbiter.host_reserve(_host_wish(22))
    held = [one.host.spawn(listens(one.host, 80)), one.host.spawn(binds(one.host, 53, HERE_IP))]
    net.run(limit_ns=MS_NS)
    assert [task.result() for task in held] == [(HERE_IP, 80), (HERE_IP, 53)]
    tries = {
        "tcp": listens(two.host, 80),
        "tcp at the address": listens(two.host, 80, HERE_IP),
        "udp": binds(two.host, 53),
        "the host's": listens(two.host, 22),
        "not here": listens(two.host, 81, "10.9.9.9"),
        "own, twice": listens(one.host, 80),
        "group": binds(two.host, 81, "224.0.0.1"),
    }
    tasks = {name: (one if "own" in name else two).host.spawn(error_of(work)) for name, work in tries.items()}
    free = [two.host.spawn(listens(two.host, 0)), two.host.spawn(binds(two.host, 0))]
    net.run(limit_ns=MS_NS)
    errors = {name: task.result() for name, task in tasks.items()}
    used = {name: error for name, error in errors.items() if error.errno == errno.EADDRINUSE}
    assert set(used) == {"tcp", "tcp at the address", "udp", "the host's", "own, twice"}
    assert {type(error) for error in used.values()} == {AddressInUse}
    assert {type(errors[name]) for name in ("not here", "group")} == {BadAddress}
    assert {errors[name].errno for name in ("not here", "group")} == {errno.EADDRNOTAVAIL}
    assert all(task.result()[1] > 1023 for task in free)
    net.check()


def _host_wish(port: int) -> Any:
    return Request(HOST_STACK, Kind.HOST, TCP_PROTO, 4, None, port)


def test_a_thief_at_a_running_server_changes_nothing() -> None:
    net = SharedNet()
    web, thief = net.seat(), net.seat()
    serve(web.host)
    net.run(limit_ns=MS_NS)
    file = net.peer.spawn(download(net.peer))
    net.run(lambda: len(net.wire) > 100)
    theft = thief.host.spawn(error_of(listens(thief.host, 80)))
    net.run(lambda: file.done)
    assert file.result() == FILE and isinstance(theft.result(), AddressInUse)
    net.check()


def test_the_host_alone_answers_pings_and_resets() -> None:
    net = SharedNet()
    one, two = net.seat(), net.seat()
    serve(one.host)
    two.host.spawn(echo(two.host, 7))
    net.run(limit_ns=MS_NS)
    message = IcmpMessage(8, 0, 0x00010001, b"ping" * 8).encode()
    net.inject(_frame(ICMP, message))
    refused = net.peer.spawn(error_of(download(net.peer, port=81)))
    net.run(lambda: refused.done)
    assert isinstance(refused.result(), ConnectionRefused)
    assert len(net.sent(ICMP_PROTO)) == 1 and len(net.resets()) == 1
    # What has lost its way to a stack is counted there, and answered by nobody.
    stray = next(frame for _, _, frame in net.wire if (p := parse(frame)) and p.dst_port == 81)
    one.host.on_frames([stray], net.now_ns)
    ping = _frame(ICMP, message)
    one.host.on_frames([ping], net.now_ns)
    drops = {reason.name: n for reason, n in one.host.stack.stats.drops.items()}
    assert drops == {"TCP_NO_CONNECTION": 1, "IP_PROTOCOL": 1}
    assert one.host.take_frames() == []
    net.check()


def _frame(proto: int, payload: bytes, src: bytes = PEER, dst: bytes = HERE) -> bytes:
    header = Ipv4Header(int.from_bytes(src, "big"), int.from_bytes(dst, "big"), proto, len(payload), 1)
    return (MAC + PEER_MAC + b"\x08\x00" + header.encode() + payload).ljust(60, b"\0")


def test_a_killed_stack_leaves_one_reset() -> None:
    net = SharedNet()
    web, other = net.seat(), net.seat()
    serve(web.host)
    other.host.spawn(echo(other.host, 7))
    net.run(limit_ns=MS_NS)
    file = net.peer.spawn(error_of(download(net.peer)))
    right = net.peer.spawn(ask(net.peer, 7, 50))
    net.run(lambda: len(net.wire) > 150)
    net.kill(web)
    net.run(lambda: file.done and right.done)
    net.run(limit_ns=100 * SECOND_NS)
    assert right.result() == 50
    assert isinstance(file.result(), ConnectionReset)
    # Data under way when the stack died may move the peer's window past the first reset: it drops that one.
    assert len(net.resets()) - net.peer.stack.stats.drops[Drop.TCP_BAD_RST] == 1
    assert len(net.resets()) <= 2
    heir = net.seat()
    serve(heir.host)
    again = net.peer.spawn(download(net.peer))
    net.run(lambda: again.done)
    assert again.result() == FILE
    net.check()


def test_an_address_goes_and_comes_back() -> None:
    net = SharedNet()
    web = net.seat()
    serve(web.host)
    net.run(limit_ns=MS_NS)
    file = net.peer.spawn(download(net.peer))
    net.run(lambda: len(net.wire) > 150)
    net.bench.arbiter.remove_address(HERE)
    net.run(limit_ns=5 * SECOND_NS)
    assert not file.done and web.host.stack.stats.away_drops > 0
    away = web.host.spawn(error_of(download(web.host, PEER_IP)))
    other = net.peer.spawn(download(net.peer, HERE_TOO_IP))  # the listener is at any address
    net.run(lambda: away.done and other.done)
    assert away.result().errno == errno.EADDRNOTAVAIL and other.result() == FILE
    before_ns = net.now_ns
    net.bench.arbiter.add_address(HERE)
    net.run(lambda: file.done)
    assert file.result() == FILE
    assert net.now_ns - before_ns < SECOND_NS  # not the timeout of five silent seconds
    net.check()


def test_a_neighbour_changes_its_mac_is_lost_and_found() -> None:
    net = SharedNet()
    web = net.seat()
    serve(web.host)
    net.run(limit_ns=MS_NS)
    file = net.peer.spawn(download(net.peer))
    net.run(lambda: len(net.wire) > 100)
    new = bytes((2, 0, 0, 0, 9, 9))
    net.peer.stack.ip.mac = net.peer.stack.ip.neigh._mac = new
    net.set_mac(PEER, new)
    at = len(net.wire)
    net.run(lambda: len(net.wire) > at + 60)
    late = [frame for _, _, frame in net.wire[at + 2 :] if frame[6:12] == MAC]
    assert late and {frame[:6] for frame in late} <= {new, b"\xff" * 6}
    net.set_mac(PEER, None)
    at = len(net.wire)
    net.run(lambda: file.done)
    assert file.result() == FILE
    asked = [frame for _, _, frame in net.wire[at:] if frame[:6] == b"\xff" * 6]
    assert asked  # the host looked for it again
    net.check()


def test_a_connection_out_and_its_secrets() -> None:
    net = SharedNet(timestamps=True)
    one = net.seat()
    serve(net.peer)
    net.run(limit_ns=7 * SECOND_NS)
    file = one.host.spawn(download(one.host, PEER_IP))
    net.run(lambda: file.done)
    assert file.result() == FILE
    frame, packet = net.sent(TCP_PROTO)[0]
    entry = net.bench.registry.find_flow(
        6, 4, int.from_bytes(HERE, "big"), packet.src_port, int.from_bytes(PEER, "big"), 80
    )
    assert entry is not None
    secrets = net.bench.registry.tcp_secrets.flow(entry)
    sequence = int.from_bytes(frame[packet.l4 + 4 : packet.l4 + 8], "big")
    sent_ns = next(at for at, _, other in net.wire if other == frame)
    behind = ((secrets.isn_offset + sent_ns // 4000) - sequence) % 2**32
    assert behind <= 10  # the SYN waited for the neighbour: 40 us at most
    options = frame[packet.l4 + 20 : packet.end]
    stamp = int.from_bytes(options[options.index(b"\x08\x0a") + 2 :][:4], "big")
    assert (secrets.ts_offset + sent_ns // MS_NS - stamp) % 2**32 <= 1


def test_a_listeners_offsets_are_the_registrys() -> None:
    rng = random.Random(3)
    for _ in range(100):
        key, here, peer = rng.randbytes(32), rng.getrandbits(32), rng.getrandbits(32)
        ports = rng.getrandbits(16), rng.getrandbits(16)
        theirs = derive(key, 4, here, ports[0], peer, ports[1])
        assert offsets(key, (here, ports[0]), (peer, ports[1])) == (theirs.isn_offset, theirs.ts_offset)


def test_a_connection_that_the_registry_refuses_is_reset() -> None:
    net = SharedNet()
    web = net.seat(entries=2)
    serve(web.host)
    net.run(limit_ns=MS_NS)
    tasks = [net.peer.spawn(error_of(download(net.peer))) for _ in range(2)]
    net.run(lambda: all(task.done for task in tasks))
    assert sorted(type(task.result()).__name__ for task in tasks) == ["ConnectionReset", "NoneType"]
    assert web.host.stack.stats.accepts_refused == 1 and len(net.resets()) == 1
    outgoing = web.host.spawn(error_of(listens(web.host, 90)))
    net.run(lambda: outgoing.done)
    assert isinstance(outgoing.result(), NoResources) and outgoing.result().errno == errno.ENOBUFS
    net.check()


def test_a_stack_that_leaves_resets_what_lives_and_lets_the_rest_linger() -> None:
    net = SharedNet()
    web = net.seat()
    serve(web.host)
    serve(net.peer)
    net.run(limit_ns=MS_NS)
    done = web.host.spawn(download(web.host, PEER_IP))  # closes first: TIME-WAIT is here
    net.run(lambda: done.done)
    file = net.peer.spawn(error_of(download(net.peer)))
    at = len(net.wire)
    net.run(lambda: len(net.wire) > at + 150)
    web.host.stack.shared.leave()
    net.run(lambda: file.done)
    assert isinstance(file.result(), ConnectionReset) and len(net.resets()) == 1
    left = list(net.bench.registry.of_stack(web.client.stack))
    assert len(left) == 1 and left[0].remote_port == 80
    net.run(limit_ns=61 * SECOND_NS)
    assert list(net.bench.registry.of_stack(web.client.stack)) == []
    net.check()


def test_promoted_from_software_in_mid_transfer() -> None:
    net = SharedNet(flows=1)
    one, two = net.seat(), net.seat()
    serve(net.peer)
    net.run(limit_ns=MS_NS)

    async def hold() -> None:
        sock = two.host.socket()
        await sock.connect((PEER_IP, 80))
        await two.host.sleep_ns(20 * MS_NS)
        sock.abort()

    two.host.spawn(hold())
    net.run(limit_ns=MS_NS)
    file = one.host.spawn(download(one.host, PEER_IP))
    net.run(lambda: one.host.stack.stats.software_out > 20)
    assert one.host.stack.stats.frames_out == 0
    net.run(lambda: file.done)
    assert file.result() == FILE
    net.check()


@pytest.mark.parametrize("right", [True, False])
def test_path_mtu_by_an_icmp_error_that_quotes_what_is_in_flight(right: bool) -> None:
    net = SharedNet()
    web = net.seat()
    serve(web.host)
    net.run(limit_ns=MS_NS)
    file = net.peer.spawn(download(net.peer))
    net.run(lambda: any(len(frame) == 1514 for _, _, frame in net.wire))
    frame = next(frame for _, _, frame in net.wire if len(frame) == 1514)
    sequence = int.from_bytes(frame[38:42], "big") + (0 if right else 2**31)
    quote = frame[14:38] + (sequence % 2**32).to_bytes(4, "big")
    router = bytes((10, 0, 0, 77))
    net.inject(_frame(ICMP, IcmpMessage(3, 4, 1000, quote).encode(), src=router))
    at = len(net.wire)
    net.run(lambda: file.done)
    assert file.result() == FILE
    later = max(len(other) for _, way, other in net.wire[at + 40 :] if way == 1)
    assert later == (1014 if right else 1514)
    net.check()


def test_connects_that_cannot_be() -> None:
    net = SharedNet()
    one = net.seat()
    net.bench.routes.set([])
    task = one.host.spawn(error_of(download(one.host, "192.0.2.1")))
    net.run(lambda: task.done)
    error = task.result()
    assert isinstance(error, NoRoute) and error.errno == errno.EHOSTUNREACH
    assert isinstance(error, LocalError) and net.sent(TCP_PROTO) == []


def test_a_port_that_another_stack_takes_goes_with_its_connections_left_alone() -> None:
    net = SharedNet()
    web, heir = net.seat(), net.seat()
    server = web.host.socket()
    server.bind(("0.0.0.0", 80))
    server.listen()
    net.run(limit_ns=MS_NS)
    waiting = web.host.spawn(error_of(server.accept()))
    net.run(limit_ns=MS_NS)
    entry = next(iter(net.bench.registry.of_stack(web.client.stack)))
    arbiter = net.bench.arbiter
    arbiter.request(web.client.stack, msg.Offer(1 << 60, entry.token, heir.client.stack), net.now_ns)
    arbiter.request(heir.client.stack, msg.Take(1 << 60, entry.token), net.now_ns)
    net.run(lambda: waiting.done)
    error = waiting.result()
    assert isinstance(error, NetworkError) and error.errno == errno.ECONNABORTED
    assert not isinstance(error, ConnectionAborted)


def test_a_close_waits_for_frames_and_holds_what_is_behind_it() -> None:
    handed: list[msg.Request] = []
    kernel = ArbiterKernel(handed.append)
    kernel.mark(5, "withdrawn")
    kernel.close(5, False)
    kernel.listen(1, TCP_PROTO, None, 80)
    assert kernel.flush(sent=False) == 1 and isinstance(handed[0], msg.Mark)
    assert kernel.flush(sent=True) == 2 and not kernel.waiting
    kernel.send_software(6, bytes(60))
    kernel.close(6, False)
    assert kernel.flush(sent=True) == 1  # the switch has yet to look at the frame
    assert kernel.flush(sent=True) == 1 and isinstance(handed[-1], msg.Close)
