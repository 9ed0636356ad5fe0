# SPDX-License-Identifier: Apache-2.0
"""A running stack follows the host's parameters: new connections in all, existing ones where they can."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from userstack import Option, Stack, StackConfig, TcpConfig
from userstack.endpoint import WRITE
from userstack.host_info import RETRY_NS, HostFollower, config_from
from userstack.tcp.conn import State
from userstack.tests.peer import ACK, MS, SECOND, Peer


class Host:
    """Parameters as a page gives them; `busy` as when its writer is in the middle of a change."""

    def __init__(self, **values: int) -> None:
        self.number, self.values, self.busy, self.reads = 1, dict(values), False, 0

    def set(self, **values: int) -> None:
        self.number += 1
        self.values = {**self.values, **values}

    def generation(self) -> int:
        return self.number

    def read_parameters(self) -> Mapping[str, int] | None:
        self.reads += 1
        return None if self.busy else self.values


def stack_on(host: Host, **tcp: Any) -> Stack:
    config = StackConfig("02:00:00:00:00:01", "10.0.0.1", tcp=TcpConfig(**tcp))
    return Stack(config, random.Random(1), host)


def following(peer: Peer, **values: int) -> Host:
    """Make the peer's stack follow a new host."""
    host = Host(**values)
    peer.stack.host = HostFollower(peer.stack, host)
    return host


def test_parameters_are_taken_over_at_the_start_and_when_they_change() -> None:
    host = Host(tcp_msl_ns=5 * SECOND, tcp_timestamps=1)
    stack = stack_on(host)
    assert (stack.tcp.config.msl_ns, stack.tcp.config.timestamps) == (5 * SECOND, True)
    host.set(tcp_msl_ns=6 * SECOND, port_first=1000, port_last=1001)
    stack.on_timer(1)
    assert stack.tcp.config.msl_ns == 6 * SECOND == stack.config.tcp.msl_ns
    assert {stack.udp.bind(0).local_port for _ in range(2)} == {1000, 1001}
    assert 1000 <= stack.tcp.bind(0) <= 1001
    assert stack.host is not None and stack.host.changes == 2


def test_nothing_is_read_while_the_number_stands_still() -> None:
    host = Host()
    stack = stack_on(host)
    for now_ns in range(100):
        stack.on_frames([], now_ns)
    assert host.reads == 1
    host.number += 1  # something else changed
    stack.on_frames([], 100)
    assert host.reads == 2 and stack.host is not None and stack.host.changes == 0


def test_parameters_that_cannot_be_read_are_tried_again_after_a_while() -> None:
    host = Host()
    stack = stack_on(host)
    host.set(tcp_keepalive_probes=2)
    host.busy = True
    for now_ns in (10, 11, 12, 9 + RETRY_NS):
        stack.on_timer(now_ns)
    assert host.reads == 2 and stack.host is not None and stack.host.unread == 1
    host.busy = False
    stack.on_timer(10 + RETRY_NS)
    assert stack.tcp.config.keepalive_probes == 2


@pytest.mark.parametrize(
    "values",
    [
        {"port_first": 5, "port_last": 4},
        {"port_first": 0},
        {"port_last": 65536},
        {"tcp_min_rto_ns": 61 * SECOND},
        {"tcp_send_buffer_bytes": 1},
        {"tcp_keepalive_interval_ns": 0},
        {"tcp_initial_window_segments": 0},
    ],
)
def test_parameters_that_no_stack_can_run_with_are_refused_whole(values: dict[str, int]) -> None:
    host = Host()
    stack = stack_on(host)
    host.set(tcp_msl_ns=SECOND, **values)
    stack.on_timer(1)
    assert stack.tcp.config == TcpConfig()
    assert stack.host is not None and stack.host.refused == 1
    host.set(**dict.fromkeys(values, 1 << 15))
    host.values = {"tcp_msl_ns": SECOND}
    stack.on_timer(2)
    assert stack.tcp.config.msl_ns == SECOND


def test_unknown_names_are_left_alone_and_missing_ones_keep_their_value() -> None:
    own = TcpConfig(msl_ns=7)
    assert config_from({"tcp_of_tomorrow": 1}, own, own) == own


def test_where_the_host_grows_buffers_the_stack_keeps_its_size_within_the_limits() -> None:
    own = TcpConfig(send_buffer_bytes=1 << 18, recv_buffer_bytes=1 << 18)
    linux = {
        "tcp_moderate_buffers": 1,
        "tcp_send_buffer_bytes": 16384,
        "tcp_send_buffer_max_bytes": 4 << 20,
        "tcp_recv_buffer_bytes": 131072,
        "tcp_recv_buffer_max_bytes": 200_000,
    }
    grown = config_from(linux, own, own)
    assert grown is not None
    assert (grown.send_buffer_bytes, grown.recv_buffer_bytes) == (1 << 18, 200_000)
    fixed = config_from({**linux, "tcp_moderate_buffers": 0}, own, own)
    assert fixed is not None
    assert (fixed.send_buffer_bytes, fixed.recv_buffer_bytes) == (16384, 131072)


def test_new_connections_have_the_new_values_and_old_ones_keep_what_they_copied() -> None:
    peer = Peer()
    host = following(peer)
    peer.accepted()
    (old,) = peer.stack.tcp.connections.values()
    host.set(
        tcp_send_buffer_bytes=5000, tcp_recv_buffer_bytes=6000, tcp_min_rto_ns=MS, tcp_initial_rto_ns=2 * MS
    )
    peer.wait(MS)
    assert (old.send_limit, old.recv_limit, old.rtt.min_ns) == (1 << 18, 1 << 18, SECOND)
    new = peer.stack.tcp.new_connection(peer.src, 9, 9)
    assert (new.send_limit, new.recv_limit, new.rtt.min_ns, new.rtt.rto_ns) == (5000, 6000, MS, 2 * MS)


def test_existing_connections_wait_with_their_acks_as_long_as_the_host_says_now() -> None:
    peer = Peer()
    host = following(peer)
    peer.accepted()
    host.set(tcp_delayed_ack_ns=7 * MS)
    peer.wait(MS)
    peer.send(ACK, 1, 1, data=b"a")
    assert peer.due_in() == 7 * MS


def test_keepalive_of_existing_connections_moves_with_the_host_unless_the_program_chose_it() -> None:
    for chosen, due in ((0, 20 * SECOND), (50 * SECOND, 50 * SECOND)):
        peer = Peer()
        host = following(peer)
        sock = peer.accepted()
        if chosen:
            sock.setsockopt(Option.KEEPALIVE_IDLE_NS, chosen)
        sock.setsockopt(Option.KEEPALIVE, 1)
        began = peer.now
        host.set(tcp_keepalive_idle_ns=20 * SECOND)
        peer.wait(10 * SECOND)
        deadline_ns = peer.stack.next_deadline_ns()
        assert deadline_ns is not None and deadline_ns - began == due
        peer.take()
        peer.jump()
        assert len(peer.take()) == 1, "a probe"


def test_a_shorter_keepalive_that_is_over_already_probes_at_once_and_gives_up_as_the_host_says() -> None:
    peer = Peer()
    host = following(peer)
    sock = peer.accepted()
    sock.setsockopt(Option.KEEPALIVE, 1)
    peer.wait(100 * SECOND)
    peer.take()
    host.set(tcp_keepalive_idle_ns=SECOND, tcp_keepalive_interval_ns=SECOND, tcp_keepalive_probes=2)
    peer.wait(1)
    assert len(peer.take()) == 1
    peer.wait(SECOND)
    assert len(peer.take()) == 1 and sock.poll() == WRITE, "alive"
    peer.wait(SECOND)
    assert sock.state is State.CLOSED
