# SPDX-License-Identifier: Apache-2.0
"""Sequences: restart of a listener, address change, hand-over, linger, detach, end of a stack, errors."""

import errno
from random import Random

import pytest

from driver.arbiter.entries import ArbiterError, Entry, EntryFlag, Kind, Request, StaleRequest
from driver.arbiter.linger import linger_ns
from driver.arbiter.registry import Registry

A, B, PEER = 0x0A000001, 0x0A000002, 0x0B000001
TCP, UDP = 6, 17
SECOND = 1_000_000_000
Flag = EntryFlag


def new_registry(msl_ns: int = 15 * SECOND, log_size: int = 64) -> Registry:
    registry = Registry(Random(1), host_protocols=(), msl_ns=msl_ns, log_size=log_size)
    registry.add_address(4, A)
    registry.add_address(4, B)
    return registry


def host(local: int | None, port: int = 80, peer_port: int = 0) -> Request:
    return Request(0, Kind.HOST, TCP, 4, local, port, PEER if peer_port else None, peer_port)


def listener(stack: int = 1, local: int | None = A, port: int = 80, reuse: bool = False) -> Request:
    return Request(stack, Kind.LISTENER, TCP, 4, local, port, flags=Flag.REUSE if reuse else Flag(0))


def flow(
    stack: int = 1, peer_port: int = 1000, proto: int = TCP, port: int = 80, reopen: bool = False
) -> Request:
    return Request(stack, Kind.FLOW, proto, 4, A, port, PEER, peer_port, reopen=reopen)


def armed(registry: Registry, wish: Request) -> Entry:
    return registry.arm(registry.reserve(wish).token, wish.stack)


def connected(registry: Registry, wish: Request) -> Entry:
    return registry.establish(armed(registry, wish).token, wish.stack)


def errno_of(registry: Registry, call: object, *args: object, **named: object) -> int:
    """The errno that a call is refused with; nothing has changed then."""
    before = registry.snapshot()
    with pytest.raises(ArbiterError) as caught:
        call(*args, **named)  # type: ignore[operator]
    assert registry.snapshot() == before
    assert str(caught.value)
    return caught.value.errno


@pytest.mark.parametrize("reuse", [True, False])
def test_a_listener_restarts_while_its_connections_live_only_under_reuse(reuse: bool) -> None:
    registry = new_registry()
    old = armed(registry, listener(reuse=reuse))
    survivor = connected(registry, flow())
    assert (survivor.flags & Flag.REUSE != 0) == reuse
    registry.release(old.token, 1, 0)
    assert errno_of(registry, registry.reserve, listener(2)) == errno.EADDRINUSE
    if not reuse:
        assert errno_of(registry, registry.reserve, listener(2, reuse=True)) == errno.EADDRINUSE
        return
    again = armed(registry, listener(2, reuse=True))
    assert registry.find_flow(TCP, 4, A, 80, PEER, 1000) == survivor
    assert registry.listener_for(TCP, 4, A, 80) == again
    # New connections are the new listener's; the tuple of the survivor is not free.
    assert armed(registry, flow(2, 1001)).stack == 2
    assert errno_of(registry, registry.reserve, flow(2, 1000)) == errno.EEXIST
    assert errno_of(registry, registry.reserve, flow(1, 1002)) == errno.EADDRINUSE


def test_a_refused_address_change_keeps_the_old_address() -> None:
    """GAP2: specific to wildcard against a flow on another address."""
    registry = new_registry()
    socket = registry.reserve(Request(0, Kind.HOST, TCP, 4, B, 80))
    connected(registry, flow())
    assert errno_of(registry, registry.rebind, socket.token, 0, family=4, local=None) == errno.EADDRINUSE
    assert registry.get(socket.token) == socket
    assert (
        errno_of(registry, registry.reserve, Request(1, Kind.FLOW, TCP, 4, B, 80, PEER, 1))
        == errno.EADDRINUSE
    )


def test_an_address_change_takes_the_new_and_frees_the_old_in_one_step() -> None:
    registry = new_registry()
    socket = registry.reserve(Request(0, Kind.HOST, TCP, 6, None, 80, flags=Flag.DUAL))
    assert errno_of(registry, registry.reserve, flow()) == errno.EADDRINUSE
    before = registry.generation
    moved = registry.rebind(socket.token, 0, family=4, local=B, remote=PEER, remote_port=7)
    assert (moved.token, moved.local, moved.remote_port, moved.flags) == (socket.token, B, 7, Flag(0))
    assert registry.generation == before + 1
    armed(registry, flow())
    user = registry.get(registry.find_flow(TCP, 4, A, 80, PEER, 1000).token)  # type: ignore[union-attr]
    assert errno_of(registry, registry.rebind, user.token, 1, family=4, local=B) == errno.EINVAL


def test_a_port_goes_from_a_stack_to_the_host_while_its_connections_go_on() -> None:
    registry = new_registry()
    token = armed(registry, listener()).token
    survivor = connected(registry, flow())
    assert errno_of(registry, registry.take, token, 0) == errno.EPERM
    assert errno_of(registry, registry.offer, token, 2, 0) == errno.EPERM
    registry.offer(token, 1, 0)
    assert errno_of(registry, registry.take, token, 2) == errno.EPERM
    assert errno_of(registry, registry.take, token, 0, 81) == errno.EINVAL
    taken = registry.take(token, 0, 80)
    assert (taken.kind, taken.stack, taken.flags, taken.flow_id) == (Kind.HOST, 0, Flag(0), 0)
    assert registry.get(survivor.token) == survivor
    assert errno_of(registry, registry.release, token, 1, 0) == errno.EPERM
    # The host accepts at the port, but not under a tuple that the survivor still has.
    registry.reserve(host(A, peer_port=1001))
    assert errno_of(registry, registry.reserve, host(A, peer_port=1000)) == errno.EEXIST
    assert errno_of(registry, registry.reserve, flow(1, 1002)) == errno.EADDRINUSE


def test_a_taken_entry_that_is_not_armed_goes_back() -> None:
    registry = new_registry()
    old = armed(registry, listener(reuse=True))
    registry.offer(old.token, 1, 2)
    taken = registry.take(old.token, 2)
    assert (taken.stack, taken.flags) == (2, Flag.RESERVED | Flag.REUSE)
    assert taken.flow_id == old.flow_id
    registry.cancel(old.token, 2)
    back = registry.get(old.token)
    assert (back.stack, back.kind, back.flags, back.flow_id) == (1, old.kind, old.flags, old.flow_id)
    registry.offer(old.token, 1, 2)
    registry.arm(registry.take(old.token, 2).token, 2)
    assert errno_of(registry, registry.cancel, old.token, 2) == errno.EINVAL


def test_a_taker_that_dies_gives_back_and_a_giver_that_dies_does_not_get_back() -> None:
    registry = new_registry()
    first, second = armed(registry, listener()), armed(registry, listener(port=81))
    for entry in (first, second):
        registry.offer(entry.token, 1, 2)
        registry.take(entry.token, 2)
    assert registry.release_stack(2, 0).gone == []
    assert {entry.stack for entry in (registry.get(first.token), registry.get(second.token))} == {1}
    registry.offer(first.token, 1, 2)
    registry.take(first.token, 2)
    assert [entry.token for entry in registry.release_stack(1, 0).gone] == [second.token]
    registry.cancel(first.token, 2)
    assert len(registry) == 0


def test_a_host_socket_becomes_a_stacks_listener_unless_the_host_has_more_there() -> None:
    registry = new_registry()
    socket = registry.reserve(host(A))
    child = registry.reserve(host(A, peer_port=5))
    registry.offer(socket.token, 0, 1)
    assert errno_of(registry, registry.take, socket.token, 1) == errno.EADDRINUSE
    registry.release(child.token, 0, 0)
    taken = registry.take(socket.token, 1)
    assert taken.kind is Kind.LISTENER and taken.flow_id >> 30 == 1


@pytest.mark.parametrize(("msl_s", "linger_s"), [(15, 30), (0, 1), (0.4, 1), (30, 60), (60, 120), (240, 120)])
def test_linger_is_twice_the_msl_within_limits(msl_s: float, linger_s: float) -> None:
    assert linger_ns(int(msl_s * SECOND)) == linger_s * SECOND
    registry = new_registry(msl_ns=int(msl_s * SECOND))
    kept = connected(registry, flow())
    now = 5 * SECOND
    lingering = registry.release(kept.token, 1, now)
    assert lingering is not None and lingering.flags & Flag.LINGERING
    end = now + int(linger_s * SECOND)
    assert registry.next_deadline_ns() == end
    assert registry.on_timer(end - 1) == []
    assert errno_of(registry, registry.reserve, listener(2)) == errno.EADDRINUSE
    assert errno_of(registry, registry.reserve, flow(2)) == errno.EADDRINUSE
    assert registry.on_timer(end) == [lingering]
    assert registry.next_deadline_ns() is None and len(registry.flow_ids) == 0
    armed(registry, listener(2))


def test_what_does_not_linger() -> None:
    registry = new_registry()
    never = armed(registry, flow())
    assert registry.release(never.token, 1, 0) is None
    udp = armed(registry, flow(proto=UDP))
    assert errno_of(registry, registry.establish, udp.token, 1) == errno.EINVAL
    assert registry.release(udp.token, 1, 0) is None
    unarmed = registry.reserve(flow())
    registry.establish(unarmed.token, 1)
    assert registry.release(unarmed.token, 1, 0) is None
    explicit = connected(registry, flow())
    assert registry.release(explicit.token, 1, 0, linger=False) is None
    assert registry.release(armed(registry, listener()).token, 1, 0) is None
    assert len(registry) == 0 and registry.next_deadline_ns() is None


def test_a_lingering_tuple_is_reopened_by_the_listener_alone_and_when_asked() -> None:
    """RFC 1122 section 4.2.2.13, RFC 6191: a SYN may end TIME_WAIT early."""
    registry = new_registry()
    armed(registry, listener())
    old = connected(registry, flow())
    assert errno_of(registry, registry.reserve, flow(reopen=True)) == errno.EEXIST  # alive
    registry.release(old.token, 1, 0)
    assert errno_of(registry, registry.reserve, flow()) == errno.EEXIST
    assert errno_of(registry, registry.reserve, flow(2, reopen=True)) == errno.EADDRINUSE
    new = connected(registry, flow(reopen=True))
    assert errno_of(registry, registry.get, old.token) == errno.ENOENT
    assert registry.on_timer(1000 * SECOND) == [] and registry.get(new.token) == new


def test_half_closed_and_withdrawn_ports_are_hidden_and_stay_taken() -> None:
    registry = new_registry()
    ports = {port: connected(registry, flow(port=port)) for port in (1, 2, 3, 4)}
    registry.half_close(ports[2].token, 1)
    registry.withdraw(ports[3].token, 1)
    registry.release(ports[4].token, 1, 0)
    assert {entry.local_port for entry in registry.offload_ports()} == {1, 2}
    assert {entry.local_port for entry in registry.offload_ports(active_only=True)} == {1}
    for port in ports:
        assert errno_of(registry, registry.reserve, host(A, port)) == errno.EADDRINUSE


def test_detach_and_attach_keep_every_entry() -> None:
    registry = new_registry()
    kept = armed(registry, listener())
    socket = registry.reserve(host(None, 22))
    assert [entry.token for entry in registry.detach()] == [kept.token]
    assert registry.get(kept.token).flags & Flag.UNBOUND and not registry.get(socket.token).flags
    assert errno_of(registry, registry.detach) == errno.ENXIO
    assert errno_of(registry, registry.reserve, listener(2, B, 81)) == errno.ENXIO
    assert errno_of(registry, registry.reserve, host(A)) == errno.EADDRINUSE
    registry.remove_address(4, A)
    assert registry.attach() == []
    assert errno_of(registry, registry.reserve, flow(1)) == errno.EADDRNOTAVAIL
    assert [entry.token for entry in registry.add_address(4, A)] == [kept.token]
    assert registry.get(kept.token).flags == kept.flags
    assert errno_of(registry, registry.attach) == errno.EINVAL
    assert errno_of(registry, registry.remove_address, 4, PEER) == errno.EADDRNOTAVAIL


def test_the_end_of_a_stack_frees_what_the_rules_free() -> None:
    registry = new_registry()
    gone = [armed(registry, listener()), registry.reserve(flow(1, 1)), armed(registry, flow(1, 2))]
    lingers = connected(registry, flow(1, 3))
    other = armed(registry, listener(2, B, 81))
    registry.offer(other.token, 2, 1)
    ended = registry.release_stack(1, 0)
    assert [entry.token for entry in ended.gone] == [entry.token for entry in gone]
    assert [entry.token for entry in ended.lingering] == [lingers.token]
    assert errno_of(registry, registry.take, other.token, 1) == errno.EPERM
    assert registry.release_stack(1, 0) == ([], [])
    assert errno_of(registry, registry.release_stack, 0, 0) == errno.EINVAL
    assert [entry.token for entry in registry.on_timer(30 * SECOND)] == [lingers.token]
    assert registry.count(1) == 0 and registry.of_stack(2) == [other]


def test_software_forwarded_entries_are_counted() -> None:
    registry = new_registry()
    first = registry.arm(registry.reserve(listener()).token, 1, software=True)
    second = armed(registry, flow())
    assert first.flags & Flag.SOFTWARE and not second.flags & Flag.SOFTWARE
    registry.set_software(second.token, True)
    assert (registry.software_now, registry.software_total) == (2, 2)
    registry.set_software(first.token, False)
    registry.release(second.token, 1, 0)
    assert (registry.software_now, registry.software_total) == (0, 2)


def test_a_stale_request_is_refused_with_the_news_and_a_current_one_without() -> None:
    registry = new_registry(log_size=4)
    old = registry.generation
    there = registry.reserve(listener())
    wish = Request(2, Kind.LISTENER, TCP, 4, A, 80, generation=old)
    with pytest.raises(StaleRequest) as caught:
        registry.reserve(wish)
    assert caught.value.errno == errno.ESTALE and caught.value.refusal.errno == errno.EADDRINUSE
    assert caught.value.news == [(registry.generation, there)]
    now = registry.generation
    knew = Request(2, Kind.LISTENER, TCP, 4, A, 80, generation=now)
    assert errno_of(registry, registry.reserve, knew) == errno.EADDRINUSE
    # What happens elsewhere, or to the state of what it knew of, is no news for it.
    registry.arm(there.token, 1)
    registry.reserve(host(B, 90))
    assert errno_of(registry, registry.reserve, knew) == errno.EADDRINUSE
    for port in range(100, 104):
        registry.reserve(host(B, port))
    with pytest.raises(StaleRequest) as caught:
        registry.reserve(wish)
    assert caught.value.news is None
    # A stale request that is still possible is served.
    registry.reserve(Request(2, Kind.LISTENER, TCP, 4, A, 8080, generation=old))
    ahead = Request(2, Kind.LISTENER, TCP, 4, A, 8081, generation=registry.generation + 1)
    assert errno_of(registry, registry.reserve, ahead) == errno.EINVAL


BAD = [
    (listener(0), errno.EINVAL),
    (Request(1, Kind.HOST, TCP, 4, A, 80), errno.EINVAL),
    (Request(-1, Kind.LISTENER, TCP, 4, A, 80), errno.EINVAL),
    (listener(port=0), errno.EINVAL),
    (listener(port=65_536), errno.EINVAL),
    (Request(1, Kind.LISTENER, 132, 4, A, 80), errno.ENOTSUP),
    (Request(1, Kind.LISTENER, TCP, 5, A, 80), errno.EINVAL),
    (listener(local=0), errno.EINVAL),
    (listener(local=1 << 32), errno.EINVAL),
    (listener(local=0xE0000001), errno.EADDRNOTAVAIL),
    (listener(local=0xFFFFFFFF), errno.EADDRNOTAVAIL),
    (listener(local=PEER), errno.EADDRNOTAVAIL),
    (Request(1, Kind.LISTENER, TCP, 6, 0xFFFF << 32 | A, 80), errno.EINVAL),
    (Request(1, Kind.LISTENER, TCP, 6, 0xFE80 << 112 | 1, 80), errno.EINVAL),
    (Request(1, Kind.LISTENER, TCP, 4, A, 80, zone=1), errno.EINVAL),
    (Request(1, Kind.LISTENER, TCP, 4, A, 80, PEER, 1), errno.EINVAL),
    (Request(1, Kind.FLOW, TCP, 4, A, 80), errno.EINVAL),
    (Request(1, Kind.FLOW, TCP, 4, None, 80, PEER, 1), errno.EINVAL),
    (Request(1, Kind.FLOW, TCP, 4, A, 80, PEER, 0), errno.EINVAL),
    (Request(1, Kind.FLOW, TCP, 4, A, 80, None, 1), errno.EINVAL),
    (Request(1, Kind.FLOW, TCP, 4, A, 80, 0xE0000001, 1), errno.EADDRNOTAVAIL),
    (Request(1, Kind.LISTENER, TCP, 4, None, 80, flags=Flag.DUAL), errno.EINVAL),
    (Request(0, Kind.HOST, TCP, 4, A, 80, flags=Flag.REUSE), errno.EINVAL),
    (Request(1, Kind.LISTENER, TCP, 4, A, 80, flags=Flag.LINGERING), errno.EINVAL),
    (Request(1, Kind.LISTENER, TCP, 4, A, 80, flow_id=7), errno.EINVAL),
    (Request(0, Kind.HOST, TCP, 4, A, 80, flow_id=7), errno.EINVAL),
    (Request(1, Kind.LISTENER, TCP, 4, A, 80, reopen=True), errno.EINVAL),
    (Request(1, Kind.PROTOCOL, TCP), errno.ENOTSUP),
    (Request(1, Kind.PROTOCOL, 50), errno.ENOTSUP),
    (Request(1, Kind.PROTOCOL, 256), errno.EINVAL),
    (Request(1, Kind.PROTOCOL, 132, local_port=1), errno.EINVAL),
    (Request(1, Kind.PROTOCOL, 132, 4, None, 0, PEER), errno.EINVAL),
]


@pytest.mark.parametrize(("wish", "expected"), BAD, ids=lambda value: str(value))
def test_what_is_no_request_is_refused_by_name(wish: Request, expected: int) -> None:
    registry = new_registry()
    assert errno_of(registry, registry.reserve, wish) == expected


def test_unknown_tokens_and_wrong_states_are_errors() -> None:
    registry = new_registry()
    entry = connected(registry, flow())
    for call in (registry.arm, registry.cancel, registry.establish, registry.half_close, registry.withdraw):
        assert errno_of(registry, call, 99, 1) == errno.ENOENT
        assert errno_of(registry, call, entry.token, 2) == errno.EPERM
    assert errno_of(registry, registry.arm, entry.token, 1) == errno.EINVAL
    registry.release(entry.token, 1, 0)
    assert errno_of(registry, registry.release, entry.token, 1, 0) == errno.EALREADY
    assert errno_of(registry, registry.withdraw, entry.token, 1) == errno.EINVAL
    assert errno_of(registry, registry.changes_since, registry.generation + 1) == errno.EINVAL
    assert errno_of(registry, registry.add_address, 4, 0) == errno.EINVAL
    assert errno_of(registry, registry.add_address, 6, 0xFE80 << 112 | 1) == errno.EINVAL
