# SPDX-License-Identifier: Apache-2.0
"""Ephemeral, reserved and restricted ports; how many UDP ports must remain."""

import errno
from collections import Counter
from random import Random

import pytest

from driver.arbiter.entries import ArbiterError, EntryFlag, Kind, Request
from driver.arbiter.ephemeral import PortPolicy, PortRange
from driver.arbiter.registry import Registry

A, B, PEER = 0x0A000001, 0x0A000002, 0x0B000001
TCP, UDP = 6, 17


def new_registry(policy: PortPolicy, seed: int = 1) -> Registry:
    registry = Registry(Random(seed), policy=policy)
    registry.add_address(4, A)
    registry.add_address(4, B)
    return registry


def connect(proto: int = TCP, local: int = A, stack: int = 1) -> Request:
    return Request(stack, Kind.FLOW, proto, 4, local, 0, PEER, 443)


def port_of(registry: Registry, wish: Request, ports: PortRange | None = None) -> int:
    return registry.reserve_ephemeral(wish, ports).local_port


def refused(registry: Registry, wish: Request, ports: PortRange | None = None) -> int:
    before = registry.snapshot()
    with pytest.raises(ArbiterError) as caught:
        if wish.local_port:
            registry.reserve(wish)
        else:
            registry.reserve_ephemeral(wish, ports)
    assert registry.snapshot() == before
    return caught.value.errno


def test_sequential_ports_go_up_each_address_by_itself() -> None:
    registry = new_registry(PortPolicy(PortRange(100, 103), randomize=False))
    assert [port_of(registry, connect()) for _ in range(2)] == [100, 101]
    assert port_of(registry, connect(local=B)) == 100
    assert port_of(registry, connect(UDP)) == 100
    registry.release(registry.find_flow(TCP, 4, A, 100, PEER, 443).token, 1, 0)  # type: ignore[union-attr]
    # Behind the last one, not the lowest that is free; then round to the start.
    assert [port_of(registry, connect()) for _ in range(3)] == [102, 103, 100]


def test_a_range_the_other_way_round_is_searched_downwards() -> None:
    registry = new_registry(PortPolicy(PortRange(103, 100), randomize=False))
    assert [port_of(registry, connect()) for _ in range(4)] == [103, 102, 101, 100]


def test_a_full_circle_without_a_free_port_is_eaddrnotavail() -> None:
    registry = new_registry(PortPolicy(PortRange(100, 199)))
    assert sorted(port_of(registry, connect()) for _ in range(100)) == list(range(100, 200))
    assert refused(registry, connect()) == errno.EADDRNOTAVAIL
    token = registry.find_flow(TCP, 4, A, 150, PEER, 443).token  # type: ignore[union-attr]
    registry.release(token, 1, 0)
    assert port_of(registry, connect()) == 150


def test_random_starts_are_spread_over_the_range() -> None:
    starts = Counter(
        port_of(new_registry(PortPolicy(PortRange(100, 109)), seed), connect()) for seed in range(1000)
    )
    assert set(starts) == set(range(100, 110))
    assert max(starts.values()) < 150  # of 100 expected: five sigma


def test_a_search_meets_nobody_though_rules_would_allow_it() -> None:
    registry = new_registry(PortPolicy(PortRange(100, 105), randomize=False))
    reuse = EntryFlag.REUSE
    registry.reserve(Request(1, Kind.LISTENER, TCP, 4, None, 100))
    registry.reserve(Request(1, Kind.LISTENER, TCP, 6, None, 101, flags=EntryFlag.DUAL | reuse))
    registry.reserve(Request(0, Kind.HOST, TCP, 4, None, 102))
    registry.reserve(Request(0, Kind.HOST, TCP, 4, B, 103))
    assert [port_of(registry, connect()) for _ in range(3)] == [103, 104, 105]
    assert refused(registry, connect()) == errno.EADDRNOTAVAIL
    listener = Request(2, Kind.LISTENER, TCP, 4, B, 0, flags=reuse)
    assert refused(registry, listener) == errno.EADDRNOTAVAIL
    assert port_of(registry, Request(0, Kind.HOST, TCP, 4, B)) == 104


@pytest.mark.parametrize(("first", "last"), [(0, 10), (10, 0), (1, 65_536), (-1, 5)])
def test_a_range_with_port_0_or_beyond_65535_is_einval(first: int, last: int) -> None:
    policy = PortPolicy()
    with pytest.raises(ArbiterError) as caught:
        policy.set_range(first, last)
    assert caught.value.errno == errno.EINVAL and policy.ephemeral == PortRange(49_152, 65_535)


def test_a_range_of_one_port_is_tried_once() -> None:
    registry = new_registry(PortPolicy())
    one = PortRange(7, 7)
    assert port_of(registry, connect(), one) == 7
    assert refused(registry, connect(), one) == errno.EADDRNOTAVAIL


def test_ports_at_the_ends_of_the_numbers() -> None:
    registry = new_registry(PortPolicy(PortRange(1, 65_535), randomize=False))
    assert port_of(registry, connect(), PortRange(65_535, 65_535)) == 65_535
    assert port_of(registry, connect()) == 1


def test_restricted_ports_are_restricted_for_their_protocol_only() -> None:
    policy = PortPolicy(PortRange(55_555, 55_556), randomize=False)
    policy.restrict(TCP, 55_555, "test")
    registry = new_registry(policy)
    assert port_of(registry, connect(TCP)) == 55_556
    assert port_of(registry, connect(UDP)) == 55_555  # where another system skips it for UDP too
    listener = Request(1, Kind.LISTENER, TCP, 4, B, 55_555)
    assert refused(registry, listener) == errno.EADDRINUSE
    with_right = Request(1, Kind.LISTENER, TCP, 4, B, 55_555, rights=frozenset({"test"}))
    registry.reserve(with_right)
    # Connections to the listener, and the host's sockets, have been judged elsewhere.
    registry.reserve(Request(1, Kind.FLOW, TCP, 4, B, 55_555, PEER, 1))
    policy.restrict(TCP, 80, "test")
    registry.reserve(Request(0, Kind.HOST, TCP, 4, A, 80))
    policy.restrict(TCP, 81, "test")
    policy.restrict(TCP, 81, None)
    registry.reserve(Request(1, Kind.LISTENER, TCP, 4, A, 81))


def test_reserved_ports_go_to_those_who_name_them_only() -> None:
    policy = PortPolicy(PortRange(100, 101), randomize=False)
    policy.reserve(TCP, 100)
    registry = new_registry(policy)
    assert port_of(registry, connect(TCP)) == 101
    assert port_of(registry, connect(UDP)) == 100
    registry.reserve(Request(1, Kind.LISTENER, TCP, 4, A, 100))
    policy.reserve(TCP, 100, on=False)
    assert port_of(registry, connect(TCP, B)) == 100
    for proto, port in ((TCP, 0), (UDP, 65_536), (132, 1)):
        with pytest.raises(ArbiterError):
            policy.reserve(proto, port)


def test_some_udp_ports_must_remain() -> None:
    policy = PortPolicy(PortRange(1000, 1999), randomize=False, udp_floor=65_535 - 10)
    registry = new_registry(policy)
    for _ in range(11):  # 10 are used when the last one asks: 65,525 remain
        registry.reserve_ephemeral(connect(UDP))
    assert refused(registry, connect(UDP)) == errno.EADDRNOTAVAIL
    assert port_of(registry, connect(TCP)) == 1000  # no floor for TCP
    assert port_of(registry, connect(UDP, B)) == 1000  # nor at an address with ports left
    # The host's explicit binds meet the same floor, but not at a port that is taken there already.
    policy.udp_floor = 65_535
    registry.reserve(Request(0, Kind.HOST, UDP, 4, None, 53))
    assert refused(registry, Request(0, Kind.HOST, UDP, 4, None, 54)) == errno.EADDRNOTAVAIL
    registry.reserve(Request(0, Kind.HOST, UDP, 4, None, 53))
    registry.reserve(Request(1, Kind.LISTENER, UDP, 4, A, 5000))  # a user-space stack that names its port
    assert PortPolicy().udp_floor == 4096


def test_an_ephemeral_request_names_no_port() -> None:
    registry = new_registry(PortPolicy())
    with pytest.raises(ArbiterError) as caught:
        registry.reserve_ephemeral(Request(1, Kind.LISTENER, TCP, 4, A, 80))
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(ArbiterError) as caught:
        registry.reserve_ephemeral(Request(1, Kind.PROTOCOL, 132))
    assert caught.value.errno == errno.EINVAL
