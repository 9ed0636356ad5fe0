# SPDX-License-Identifier: Apache-2.0
"""Flow ids, IPv4 identifications, offsets of sequence numbers and timestamps, over all stacks."""

import errno
from collections.abc import Callable
from hashlib import blake2s
from random import Random

import pytest

from driver.arbiter.entries import ArbiterError, Kind, Request
from driver.arbiter.identifiers import Domain, FlowIds, IpIds, TcpSecrets, TupleSecrets, derive
from driver.arbiter.registry import Registry

SECOND = 1_000_000_000
A, PEER, TCP = 0x0A000001, 0x0B000001, 6


def refused(call: Callable[[], object]) -> int:
    with pytest.raises(ArbiterError) as caught:
        call()
    return caught.value.errno


class Scripted:
    """Gives the numbers it was told to give."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)

    def getrandbits(self, k: int, /) -> int:
        return self.numbers.pop(0)


def test_flow_ids_have_their_domain_and_clashes_are_tried_again() -> None:
    ids = FlowIds(Scripted(5, 5, 5, 6, 0, 9))
    assert ids.allocate(Domain.SWITCH) == 1 << 30 | 5
    assert ids.allocate(Domain.FILTER) == 3 << 30 | 5
    assert ids.allocate(Domain.SWITCH) == 1 << 30 | 6  # 5 clashed
    assert ids.allocate(Domain.IPSEC) == 9  # 0 is none
    assert len(ids) == 4


def test_five_clashes_are_an_error() -> None:
    ids = FlowIds(Scripted(*[5] * 6))
    ids.allocate(Domain.SWITCH)
    assert refused(lambda: ids.allocate(Domain.SWITCH)) == errno.ENOBUFS


def test_the_hosts_own_ids_are_claimed() -> None:
    registry = Registry(Random(1))
    wish = Request(0, Kind.HOST, TCP, 4, A, 80, PEER, 1, flow_id=2 << 30 | 7)
    entry = registry.reserve(wish)
    assert entry.flow_id == 2 << 30 | 7
    assert refused(lambda: registry.reserve(wish)) == errno.EEXIST
    registry.release(entry.token, 0, 0)
    assert registry.reserve(wish).flow_id == entry.flow_id
    assert refused(lambda: registry.flow_ids.claim(1 << 30)) == errno.EINVAL


def test_blocks_of_identifications_never_overlap_and_rest_between_owners() -> None:
    ids = IpIds(lease_ns=60 * SECOND, rest_ns=120 * SECOND, block=16_384, per_stack=2)
    held = [ids.lease(stack, 0) for stack in (1, 1, 2, 2)]
    numbers = [number for block in held for number in range(block.first, block.first + block.count)]
    assert sorted(numbers) == list(range(65_536))
    assert refused(lambda: ids.lease(1, 0)) == errno.ENOBUFS
    assert refused(lambda: ids.lease(3, 0)) == errno.EAGAIN
    ids.give_back(1, held[0].first, 10 * SECOND)
    assert refused(lambda: ids.lease(3, 130 * SECOND - 1)) == errno.EAGAIN
    assert ids.lease(3, 130 * SECOND).first == held[0].first


def test_leases_end_unless_renewed() -> None:
    ids = IpIds(block=32_768)
    first, second = ids.lease(1, 0), ids.lease(2, 0)
    assert first.expires_ns == 60 * SECOND == ids.next_deadline_ns()
    assert ids.renew(1, first.first, 59 * SECOND).expires_ns == 119 * SECOND
    assert refused(lambda: ids.renew(2, first.first, 59 * SECOND)) == errno.EPERM
    assert ids.on_timer(60 * SECOND) == [(2, second.first)]
    assert refused(lambda: ids.renew(2, second.first, 61 * SECOND)) == errno.ENOENT
    assert refused(lambda: ids.give_back(2, second.first, 61 * SECOND)) == errno.ENOENT
    assert refused(lambda: ids.lease(3, 179 * SECOND)) == errno.EAGAIN
    assert ids.lease(3, 180 * SECOND).first == second.first


def test_the_end_of_a_stack_ends_its_leases() -> None:
    registry = Registry(Random(1))
    block = registry.ip_ids.lease(1, 0)
    registry.release_stack(1, 5 * SECOND)
    assert refused(lambda: registry.ip_ids.renew(1, block.first, 6 * SECOND)) == errno.ENOENT
    assert registry.next_deadline_ns() == 125 * SECOND
    registry.on_timer(125 * SECOND)
    assert registry.next_deadline_ns() is None


@pytest.mark.parametrize(
    "bad", [{"block": 0}, {"block": 3}, {"lease_ns": 0}, {"rest_ns": -1}, {"per_stack": 0}]
)
def test_bad_settings_are_refused(bad: dict[str, int]) -> None:
    assert refused(lambda: IpIds(**bad)) == errno.EINVAL


def test_a_tuple_keeps_its_offsets_when_it_changes_its_owner() -> None:
    registry = Registry(Random(1))
    registry.add_address(4, A)
    listener = registry.reserve(Request(1, Kind.LISTENER, TCP, 4, None, 80))
    wish = Request(1, Kind.FLOW, TCP, 4, A, 80, PEER, 999)
    first = registry.reserve(wish)
    of_first = registry.tcp_secrets.flow(first)
    key = registry.tcp_secrets.listener(listener)
    assert derive(key, 4, A, 80, PEER, 999) == of_first
    registry.release_stack(1, 0)
    second = registry.reserve(Request(2, Kind.FLOW, TCP, 4, A, 80, PEER, 999))
    of_second = registry.tcp_secrets.flow(second)
    # RFC 6528: rising from one life of a tuple to the next; RFC 7323: so are timestamps.
    later = 3 * SECOND
    assert (of_second.isn(later) - of_first.isn(0)) % (1 << 32) == 750_000  # a step each 4 us
    assert (of_second.timestamp(later) - of_first.timestamp(0)) % (1 << 32) == 3_000  # a step a ms


def test_offsets_differ_between_tuples_ports_and_interfaces() -> None:
    secrets, others = TcpSecrets(Random(1)), TcpSecrets(Random(2))
    registry = Registry(Random(1))
    registry.add_address(4, A)
    entries = [
        registry.reserve(Request(1, Kind.FLOW, TCP, 4, A, port, PEER + peer, 9))
        for port, peer in ((80, 0), (81, 0), (82, 1))
    ]
    seen = {secrets.flow(entry) for entry in entries} | {others.flow(entry) for entry in entries}
    assert len({one.isn_offset for one in seen}) == len({one.ts_offset for one in seen}) == 6
    host = registry.reserve(Request(0, Kind.HOST, 17, 4, A, 80))
    assert refused(lambda: secrets.flow(host)) == errno.EINVAL
    assert refused(lambda: secrets.listener(entries[0])) == errno.EINVAL


def test_the_derivation_is_the_one_that_the_page_states() -> None:
    key = bytes(range(16))
    data = b"\x04" + bytes(12) + b"\x0a\0\0\1" + bytes(12) + b"\x0b\0\0\1" + b"\0\x50" + b"\3\xe7"
    digest = blake2s(data, digest_size=8, key=key, person=b"tup-conn").digest()
    expected = TupleSecrets(int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little"))
    assert derive(key, 4, A, 80, PEER, 999) == expected
