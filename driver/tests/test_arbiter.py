# SPDX-License-Identifier: Apache-2.0
"""The arbiter: grants in two phases, software forwarding, hand-over, suspension and death of a stack."""

import errno

import pytest

from driver.arbiter import messages as msg
from driver.arbiter.clients import State
from driver.arbiter.entries import HOST_STACK, Kind
from driver.arbiter.entries import Request as Wish
from driver.errors import ArbiterError
from driver.tables import TO_DROP, TO_HOST, to_queue
from driver.tests.arbiter_bench import HERE, HERE6, HERE_TOO, PEER, PEER6, TCP, UDP, Bench
from driver.tuples import FlowKey, ListenerKey

LONG_NS = 200_000_000_000


def listener_key(port: int, local: str | None = None, *, ipv6: bool = False) -> ListenerKey:
    return ListenerKey.of(TCP, local, port, ipv6=ipv6)


def flow_key(local_port: int, remote_port: int) -> FlowKey:
    return FlowKey.of(TCP, HERE, local_port, PEER, remote_port)


def connect(cookie: int, local_port: int = 0, remote_port: int = 80, **more: object) -> msg.Connect:
    return msg.Connect(cookie, TCP, PEER, remote_port, local_port=local_port, **more)  # type: ignore[arg-type]


def test_a_listener_is_granted_when_its_frames_come() -> None:
    bench = Bench(1)
    stack = bench.attach()
    bench.arbiter.request(stack.stack, msg.Listen(7, TCP, 80), 0)
    assert bench.arbiter.take_events() == []  # reserved, not armed
    bench.work()
    assert bench.hardware.tables == {listener_key(80): to_queue(1)}
    granted = bench.told[stack.stack][-1]
    assert isinstance(granted, msg.Granted) and (granted.cookie, granted.local_port) == (7, 80)
    assert not granted.software and granted.local is None
    bench.check()


def test_dual_listener_takes_both_families() -> None:
    bench = Bench(1)
    stack = bench.attach()
    bench.granted(stack, msg.Listen(1, TCP, 443, dual=True))
    assert bench.hardware.tables == {
        listener_key(443): to_queue(1),
        listener_key(443, ipv6=True): to_queue(1),
    }
    assert bench.refused(bench.attach(), msg.Listen(2, TCP, 443, local=HERE)) == errno.EADDRINUSE
    bench.check()


def test_half_a_dual_listener_is_none() -> None:
    """Room for one of its two keys: in software as a whole, promoted when there is room for both."""
    bench = Bench(1, listeners=2)
    stack = bench.attach()
    first = bench.granted(stack, msg.Listen(1, TCP, 1))
    both = bench.granted(stack, msg.Listen(2, TCP, 2, dual=True))
    assert both.software and list(bench.hardware.tables) == [listener_key(1)]
    bench.check()
    bench.ask(stack, msg.Close(3, first.token))
    bench.check()
    assert listener_key(2) in bench.hardware.tables and bench.registry.software_now == 0


def test_connect_takes_source_and_port_from_the_host() -> None:
    bench = Bench(1)
    stack = bench.attach()
    granted = bench.granted(stack, connect(1))
    assert granted.local == HERE and 49152 <= granted.local_port <= 65535 and granted.flow_id
    assert bench.hardware.tables == {flow_key(granted.local_port, 80): to_queue(1)}
    six = bench.granted(stack, msg.Connect(2, UDP, PEER6, 53))
    assert six.local == HERE6
    bench.check()


@pytest.mark.parametrize(
    ("remote", "error"),
    [
        (bytes((224, 0, 0, 1)), errno.EADDRNOTAVAIL),
        (b"\xff" * 4, errno.EADDRNOTAVAIL),
        (bytes(4), errno.EADDRNOTAVAIL),
        (b"\xff\x02" + bytes(13) + b"\x01", errno.EADDRNOTAVAIL),
        (bytes((1, 2, 3, 4, 5)), errno.EINVAL),
        (b"\x30" + bytes(14) + b"\x01", errno.EHOSTUNREACH),
    ],
)
def test_no_flow_to_what_is_no_peer(remote: bytes, error: int) -> None:
    bench = Bench(1)
    assert bench.refused(bench.attach(), msg.Connect(1, TCP, remote, 80)) == error
    assert not bench.hardware.tables


def test_a_full_table_forwards_in_software_and_promotes_later() -> None:
    bench = Bench(1, flows=2)
    stack = bench.attach()
    granted = [bench.granted(stack, connect(n, remote_port=n)) for n in range(1, 5)]
    assert [one.software for one in granted] == [False, False, True, True]
    assert bench.registry.software_now == 2
    bench.check()
    bench.ask(stack, msg.Close(9, granted[0].token))
    assert bench.registry.software_now == 1  # the oldest has got the place
    assert flow_key(granted[2].local_port, 3) in bench.hardware.tables
    bench.check()


def test_a_listener_of_ones_own_covers_what_has_no_room() -> None:
    bench = Bench(1, flows=1)
    stack = bench.attach()
    listener = bench.granted(stack, msg.Listen(1, TCP, 80))
    for port in (1000, 1001):
        child = bench.granted(stack, msg.Accept(port, listener.token, HERE, PEER, port))
        assert not child.software
    assert len(bench.hardware.tables) == 2
    assert bench.arbiter.mirror.refusals == 1
    bench.check()
    bench.ask(stack, msg.Close(9, listener.token))  # nothing covers it any more
    assert bench.registry.software_now == 1
    assert msg.Path(1001, child.token, True) in bench.told[stack.stack]
    bench.check()


def test_host_entries_make_room() -> None:
    bench = Bench(1, flows=2)
    for port in (1, 2):
        bench.arbiter.host_reserve(
            Wish(HOST_STACK, Kind.HOST, TCP, local=int.from_bytes(HERE, "big"), local_port=22,
                 remote=int.from_bytes(PEER, "big"), remote_port=port)
        )  # fmt: skip
    bench.work()
    assert set(bench.hardware.tables.values()) == {TO_HOST}
    granted = bench.granted(bench.attach(), connect(1))
    assert not granted.software and bench.arbiter.mirror.evictions == 1
    bench.check()


def test_a_port_goes_from_stack_to_stack_by_one_write() -> None:
    bench = Bench(1)
    one, two = bench.attach(), bench.attach()
    granted = bench.granted(one, msg.Listen(1, TCP, 80))
    assert bench.refused(two, msg.Take(2, granted.token)) == errno.EPERM
    bench.ask(one, msg.Offer(3, granted.token, two.stack))
    writes = len(bench.hardware.tables)
    taken = bench.granted(two, msg.Take(4, granted.token))
    assert taken.token == granted.token and len(bench.hardware.tables) == writes
    assert bench.hardware.tables == {listener_key(80): to_queue(2)}
    assert isinstance(bench.told[one.stack][-1], msg.Gone)
    assert bench.refused(one, msg.Close(5, granted.token)) == errno.EPERM
    bench.check()


def test_host_and_stack_hand_over_a_port() -> None:
    bench = Bench(1)
    stack = bench.attach()
    granted = bench.granted(stack, msg.Listen(1, TCP, 80))
    bench.ask(stack, msg.Offer(2, granted.token, HOST_STACK))
    bench.arbiter.host_take(granted.token)
    bench.work()
    assert bench.hardware.tables == {listener_key(80): TO_HOST}
    bench.arbiter.host_offer(granted.token, stack.stack)
    bench.granted(stack, msg.Take(3, granted.token))
    assert bench.hardware.tables == {listener_key(80): to_queue(1)}
    bench.check()


def test_killed_stack_lets_go_in_the_right_order() -> None:
    """Established flows linger at the host, the others are free; memory goes after the pair is closed."""
    bench = Bench(1)
    stack, other = bench.attach(), bench.attach()
    bench.granted(stack, msg.Listen(1, TCP, 80))
    young = bench.granted(stack, connect(2, remote_port=1))
    old = bench.granted(stack, connect(3, remote_port=2))
    bench.ask(stack, msg.Mark(4, old.token, "established"))
    kept = bench.granted(other, connect(5, remote_port=3))
    bench.arbiter.vanish(stack.stack, bench.now_ns)
    bench.arbiter.vanish(stack.stack, bench.now_ns)  # twice is once
    assert bench.arbiter.take_released() == []
    bench.work()
    assert bench.arbiter.take_released() == [stack.stack] and list(bench.hardware.open) == [2]
    assert bench.hardware.tables == {
        flow_key(old.local_port, 2): TO_HOST,
        flow_key(kept.local_port, 3): to_queue(2),
    }
    assert [(entry.token, died) for entry, died in bench.arbiter.take_left()] == [(old.token, True)]
    bench.check()
    again = bench.attach()
    assert bench.refused(again, connect(6, old.local_port, 2)) in (errno.EADDRINUSE, errno.EEXIST)
    bench.granted(again, connect(7, young.local_port, 1))
    bench.granted(again, msg.Listen(8, TCP, 80))
    bench.pass_time(LONG_NS)
    bench.granted(again, connect(9, old.local_port, 2))
    bench.check()


def test_a_pair_is_not_given_on_while_old_entries_lead_to_it() -> None:
    bench = Bench(1, pairs=2)
    stack = bench.attach()
    for port in range(5):
        bench.granted(stack, msg.Listen(port, UDP, 1000 + port))
    bench.arbiter.vanish(stack.stack, 0)
    while bench.arbiter.clients.find(stack.stack) is not None:
        bench.work(1)
    bench.attach()  # the hardware would complain
    bench.check()


def test_suspended_and_resumed_in_another_place() -> None:
    bench = Bench(1)
    stack = bench.attach()
    granted = bench.granted(stack, msg.Listen(1, TCP, 80))
    bench.arbiter.suspend(stack.stack)
    bench.work()
    assert bench.hardware.tables == {listener_key(80): TO_DROP} and not bench.hardware.open
    assert bench.arbiter.take_released() == [stack.stack] and stack.state is State.SUSPENDED
    assert bench.refused(stack, msg.Listen(2, TCP, 81)) == errno.EAGAIN
    bench.check()
    other = bench.attach()
    assert other.pair == 2
    bench.arbiter.resume(stack.stack, stack.windows)
    bench.work()
    assert stack.pair == 3 and bench.hardware.tables == {listener_key(80): to_queue(3)}
    assert bench.refused(other, msg.Listen(3, TCP, 80)) == errno.EADDRINUSE
    bench.ask(stack, msg.Close(4, granted.token))
    bench.check()


def test_address_away_and_back() -> None:
    bench = Bench(1)
    stack = bench.attach()
    there = bench.granted(stack, msg.Listen(1, TCP, 80, local=HERE_TOO))
    bench.granted(stack, msg.Listen(2, TCP, 81))
    bench.arbiter.remove_address(HERE_TOO)
    bench.work()
    assert list(bench.hardware.tables) == [listener_key(81)]
    away = bench.told[stack.stack][-1]
    assert isinstance(away, msg.Away) and (away.cookie, away.token) == (1, there.token)
    assert bench.refused(bench.attach(), msg.Listen(3, TCP, 80, local=HERE_TOO)) in (
        errno.EADDRNOTAVAIL,
        errno.EADDRINUSE,
    )
    bench.check()
    bench.arbiter.add_address(HERE_TOO)
    bench.work()
    assert bench.hardware.tables[listener_key(80, "10.0.0.2")] == to_queue(1)
    assert bench.told[stack.stack][-1] == msg.Back(1, there.token)
    bench.check()


def test_quota_and_pairs_run_out() -> None:
    bench = Bench(1, pairs=2)
    stack = bench.attach(entries=2)
    first = bench.granted(stack, msg.Listen(1, TCP, 1))
    bench.granted(stack, msg.Listen(2, TCP, 2))
    assert bench.refused(stack, msg.Listen(3, TCP, 3)) == errno.ENOBUFS
    bench.ask(stack, msg.Close(4, first.token))
    bench.granted(stack, msg.Listen(5, TCP, 3))
    with pytest.raises(ArbiterError) as caught:
        bench.attach()
    assert caught.value.errno == errno.EBUSY


def test_resolution_is_told_and_told_again() -> None:
    bench = Bench(1)
    stack = bench.attach(resolutions=1)
    bench.arbiter.request(stack.stack, msg.Resolve(5, bytes((8, 8, 8, 8))), 0)
    gateway = bytes((10, 0, 0, 254))
    assert bench.routes.take_wanted() == [gateway]
    bench.work()
    assert not isinstance(bench.told[stack.stack][-1], msg.Resolved)
    for mac in (b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02", None):
        assert bench.routes.set_mac(gateway, mac)
        bench.arbiter.resolved(gateway)
        bench.work()
        told = bench.told[stack.stack][-1]
        assert isinstance(told, msg.Resolved) and (told.cookie, told.hop, told.mac) == (5, gateway, mac)
    assert bench.refused(stack, msg.Resolve(6, PEER)) == errno.ENOBUFS
