# SPDX-License-Identifier: Apache-2.0
"""The tables through the driver, on a model of the registers: what would a frame find, at any moment?"""

import random
import time
from ipaddress import IPv4Address, IPv6Address

import pytest

from driver.errors import EntryExists, StaleHandle, TableFull, TableMismatch, UsageError
from driver.steering import (
    TO_DROP,
    TO_HOST,
    FlowKey,
    Found,
    ListenerKey,
    Proto,
    Steering,
    Target,
    dump_lines,
    to_queue,
)
from driver.tests.model import run
from driver.tests.model_blocks import TABLE_KEY, BlocksBus, SlotImage, bits, flow_key, listener_key, toeplitz
from driver.toeplitz import Toeplitz


def attached(flows: int = 64, listeners: int = 16, **options: object) -> tuple[BlocksBus, Steering]:
    bus = BlocksBus(flows, listeners)
    options = {"state": Found.EMPTY, **options}
    return bus, run(Steering.attach(bus, **options))  # type: ignore[arg-type]


def random_flow(rng: random.Random) -> FlowKey:
    ipv6 = rng.random() < 0.3
    kind, width = (IPv6Address, 128) if ipv6 else (IPv4Address, 32)
    local, remote = kind(rng.getrandbits(width)), kind(rng.getrandbits(width))
    return FlowKey(rng.choice((6, 17)), local, rng.getrandbits(16), remote, rng.getrandbits(16))


def seen(bus: BlocksBus, key: FlowKey) -> SlotImage | None:
    """What the device would find for a frame of this flow."""
    ipv6 = key.local.version == 6
    return bus.blocks.flows.lookup(
        flow_key(key.proto, ipv6, int(key.local), key.local_port, int(key.remote), key.remote_port)
    )


def test_the_fast_hash_equals_the_bit_loop() -> None:
    rng = random.Random(1)
    for size, width in ((1, 1), (4, 32), (12, 32), (36, 32), (20, 64), (38, 64)):
        key = rng.randbytes(size + width // 8 + 1)
        key_bits = "".join(bits(byte, 8) for byte in key)
        fast = Toeplitz(key, size, width)
        for _ in range(50):
            data = rng.randbytes(rng.randint(0, size))
            assert fast.hash(data) == toeplitz(key_bits, "".join(bits(byte, 8) for byte in data), width)


def test_a_key_too_short_or_data_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="need a key of 335 bits, not 320"):
        Toeplitz(bytes(40), 38)
    with pytest.raises(UsageError, match="5 bytes, at most 4"):
        Toeplitz(bytes(40), 4).hash(bytes(5))


def test_at_least_20000_keys_a_second_are_hashed() -> None:
    _, steering = attached()
    rng = random.Random(2)
    keys = [random_flow(rng) for _ in range(2000)]
    start = time.perf_counter()
    for key in keys:
        steering.flows.hash(key)
    per_s = len(keys) / (time.perf_counter() - start)
    print(f"{per_s:,.0f} flow keys hashed a second")
    assert per_s > 20_000


def test_keys_are_packed_as_the_hardware_does() -> None:
    flow = FlowKey.of(Proto.TCP, "10.0.0.1", 80, "10.0.0.2", 1234)
    wanted = flow_key(6, False, 0x0A000001, 80, 0x0A000002, 1234)
    assert "".join(bits(byte, 8) for byte in flow.packed()) == wanted.ljust(304, "0")
    for local in ("fe80::1", None):
        listener = ListenerKey.of(Proto.UDP, local, 53, ipv6=True)
        number = None if local is None else int(IPv6Address(local))
        wanted = listener_key(17, True, number, 53)
        assert "".join(bits(byte, 8) for byte in listener.packed()) == wanted.ljust(160, "0")


def test_insert_redirect_delete_are_seen_by_the_device() -> None:
    bus, steering = attached()
    key = FlowKey.of(Proto.TCP, "10.0.0.1", 443, "10.0.0.2", 5555)
    handle = run(steering.flows.insert(key, to_queue(3)))
    slot = seen(bus, key)
    assert slot is not None and (slot.target, slot.pair, slot.entry_id) == (Target.QUEUE, 3, handle.id)
    run(steering.flows.redirect(handle, TO_DROP))
    slot = seen(bus, key)
    assert slot is not None and slot.target == Target.DROP
    run(steering.flows.redirect(handle, TO_HOST))
    slot = seen(bus, key)
    assert slot is not None and slot.target == Target.HOST
    assert steering.flows.lookup(key) == steering.flows.get(handle) == steering.flows.by_id(handle.id)
    run(steering.flows.delete(handle))
    assert seen(bus, key) is None and steering.flows.lookup(key) is None and len(steering.flows) == 0


def test_a_redirect_writes_one_slot_once() -> None:
    bus, steering = attached()
    key = random_flow(random.Random(3))
    handle = run(steering.flows.insert(key, to_queue(1)))
    pairs: list[int] = []

    def watch() -> None:
        slot = seen(bus, key)
        assert slot is not None
        pairs.append(slot.pair)

    bus.after_write = watch
    run(steering.flows.redirect(handle, to_queue(2)))
    assert pairs == sorted(pairs) and set(pairs) <= {1, 2} and pairs[-1] == 2


def test_stale_handles_are_refused_also_when_the_id_is_in_use_again() -> None:
    _, steering = attached(flows=8)
    rng = random.Random(4)
    key = random_flow(rng)
    old = run(steering.flows.insert(key, TO_HOST))
    run(steering.flows.delete(old))
    for _ in range(40):  # every id comes by, with another generation each time
        again = run(steering.flows.insert(key, TO_HOST))
        assert (again.id, again.generation) != (old.id, old.generation)
        for call in (
            steering.flows.redirect(old, TO_DROP),
            steering.flows.delete(old),
            steering.flows.hits(old),
        ):
            with pytest.raises(StaleHandle, match="is gone"):
                run(call)
        run(steering.flows.delete(again))
        old = again
    assert old.generation == 5


def test_an_id_starts_with_a_hit_counter_at_zero_and_keeps_it_through_moves() -> None:
    bus, steering = attached(flows=8)
    rng = random.Random(5)
    handles = []
    with pytest.raises(TableFull):
        for k in range(9):
            handles.append(run(steering.flows.insert(random_flow(rng), TO_HOST)))
            assert run(steering.flows.hits(handles[-1])) == 0
            bus.blocks.flows.hits[handles[-1].id] = 1000 + (k << 33)
    for k, handle in enumerate(handles):
        assert run(steering.flows.hits(handle)) == 1000 + (k << 33)
    run(steering.flows.clear_hits(handles[0]))
    assert run(steering.flows.hits(handles[0])) == 0


def test_a_second_entry_for_a_key_is_refused() -> None:
    _, steering = attached()
    key = ListenerKey.of(Proto.TCP, None, 80)
    run(steering.listeners.insert(key, to_queue(1)))
    with pytest.raises(EntryExists):
        run(steering.listeners.insert(key, to_queue(2)))
    run(steering.listeners.insert(ListenerKey.of(Proto.TCP, None, 80, ipv6=True), to_queue(2)))
    run(steering.listeners.insert(ListenerKey.of(Proto.TCP, "0.0.0.0", 80), to_queue(2)))
    assert len(steering.listeners) == 3


@pytest.mark.parametrize("capacity", [64, 512])
def test_no_established_flow_ever_misses_while_others_are_inserted(capacity: int) -> None:
    bus, steering = attached(capacity)
    rng = random.Random(capacity)
    pairs: dict[FlowKey, int] = {}
    sample: list[FlowKey] = []

    def watch() -> None:
        for key in sample:
            slot = seen(bus, key)
            assert slot is not None and slot.pair == pairs[key], f"{key} missed"

    for _ in range(int(capacity * 0.95)):
        key = random_flow(rng)
        sample = rng.sample(list(pairs), min(len(pairs), 4))
        # Those that would move are the ones at risk.
        plan = steering.flows._placement.plan(steering.flows._placement.choices(steering.flows.hash(key)))
        assert plan is not None
        sample += [steering.flows._keys[move.entry] for move in plan.moves]
        bus.after_write = watch
        run(steering.flows.insert(key, to_queue(len(pairs) % 8)))
        bus.after_write = lambda: None
        pairs[key] = len(pairs) % 8
    assert steering.flows.moves > 0
    for key in pairs:
        slot = seen(bus, key)
        assert slot is not None and slot.pair == pairs[key]
    owners = [slot.entry_id for slot in bus.blocks.flows.slots.values()]
    assert len(owners) == len(set(owners)) == len(pairs)  # nothing left behind in an old slot


def test_a_full_size_table_takes_95_percent_and_says_when_it_is_full() -> None:
    _, steering = attached(4096)
    rng = random.Random(7)
    with pytest.raises(TableFull, match="of 4096 slots in use"):
        while True:
            run(steering.flows.insert(random_flow(rng), TO_HOST))
    print(f"full at {len(steering.flows) / 4096:.1%}, {steering.flows.moves} moves")
    assert len(steering.flows) >= 0.95 * 4096
    victim = next(iter(steering.flows))
    run(steering.flows.delete(victim.handle))
    run(steering.flows.insert(victim.key, TO_HOST))  # full is not for ever


def test_rebuild_takes_over_what_the_device_holds() -> None:
    bus, steering = attached(256)
    rng = random.Random(8)
    for k in range(200):
        run(steering.flows.insert(random_flow(rng), (TO_HOST, TO_DROP, to_queue(k % 64))[k % 3]))
    for entry in list(steering.flows)[::5]:
        run(steering.flows.delete(entry.handle))
    run(steering.listeners.insert(ListenerKey.of(Proto.UDP, None, 53, ipv6=True), to_queue(9)))
    second = run(Steering.attach(bus))
    assert set(second.flows) == set(steering.flows)
    assert set(second.listeners) == set(steering.listeners)
    run(second.flows.insert(random_flow(rng), TO_HOST))
    handles = [run(second.flows.insert(random_flow(rng), TO_HOST)) for _ in range(20)]
    assert {handle.generation for handle in handles} == {1}  # above all that were seen


def test_rebuild_clears_what_an_interrupted_move_left_behind() -> None:
    bus, steering = attached(64)
    handle = run(steering.flows.insert(random_flow(random.Random(9)), to_queue(1)))
    entry = steering.flows.get(handle)
    image = bus.blocks.flows.slots[entry.slot]
    twin = next(
        s for first in bus.blocks.flows.buckets(image.key) for s in range(first, first + 4) if s != entry.slot
    )
    elsewhere = next(s for s in range(64) if s - s % 4 not in bus.blocks.flows.buckets(image.key))
    bus.blocks.flows.slots |= {twin: image, elsewhere: image}
    found = run(steering.flows.rebuild())
    assert (found.entries, found.cleared) == (1, 2)
    assert list(bus.blocks.flows.slots.values()) == [image]


class Cut(Exception):
    """A cancelled task."""


def test_a_change_that_was_cut_short_asks_for_a_rebuild() -> None:
    bus, steering = attached(64)

    def cut() -> None:
        raise Cut

    bus.after_write = cut
    with pytest.raises(Cut):
        run(steering.flows.insert(random_flow(random.Random(1)), TO_HOST))
    bus.after_write = lambda: None
    with pytest.raises(UsageError, match="rebuild first"):
        run(steering.flows.insert(random_flow(random.Random(2)), TO_HOST))
    run(steering.rebuild())
    run(steering.flows.insert(random_flow(random.Random(2)), TO_HOST))


def test_two_coroutines_do_not_mix_their_commands() -> None:
    bus, steering = attached()
    handle = run(steering.flows.insert(random_flow(random.Random(1)), TO_HOST))

    def intrude() -> None:
        with pytest.raises(UsageError, match="in the middle of flow redirect"):
            run(steering.listeners.insert(ListenerKey.of(6, None, 80), TO_HOST))

    bus.after_write = intrude
    run(steering.flows.redirect(handle, TO_DROP))
    assert len(steering.listeners) == 0


def test_verify_finds_a_device_that_loses_writes() -> None:
    bus, steering = attached(verify=True)
    run(steering.flows.insert(random_flow(random.Random(1)), to_queue(63)))
    bus.blocks.lie = lambda slot: True
    with pytest.raises(TableMismatch, match="read None"):
        run(steering.flows.insert(random_flow(random.Random(2)), TO_HOST))


def test_clear_forgets_unknown_content() -> None:
    bus, steering = attached()
    run(steering.flows.insert(random_flow(random.Random(1)), TO_HOST))
    other = run(Steering.attach(bus, state=Found.CLEAR))
    assert bus.blocks.flows.slots == {} and len(other.flows) == 0


def test_local_addresses() -> None:
    bus, steering = attached()
    run(steering.locals.set(["10.0.0.1", "2001:db8::5"]))
    run(steering.locals.add("10.0.0.2"))
    assert bus.blocks.locals == {
        0: (0x0A000001, False),
        1: (int(IPv6Address("2001:db8::5")), True),
        2: (0x0A000002, False),
    }
    run(steering.locals.remove("10.0.0.1"))
    assert 0 not in bus.blocks.locals and len(steering.locals) == 2
    for k in range(6):
        run(steering.locals.add(f"10.1.0.{k}"))
    assert len(list(steering.locals)) == 8
    with pytest.raises(UsageError, match="full"):
        run(steering.locals.add("10.2.0.1"))
    with pytest.raises(UsageError, match="already"):
        run(steering.locals.add("2001:db8::5"))
    with pytest.raises(UsageError, match="is not a local address"):
        run(steering.locals.remove("10.9.9.9"))


def test_the_dump_is_readable() -> None:
    _, steering = attached()
    run(steering.flows.insert(FlowKey.of(Proto.TCP, "10.0.0.1", 80, "10.0.0.2", 1234), to_queue(3)))
    run(steering.flows.insert(FlowKey.of(132, "2001:db8::1", 80, "2001:db8::2", 1234), TO_DROP))
    run(steering.listeners.insert(ListenerKey.of(Proto.UDP, None, 53), TO_HOST))
    entries = run(steering.dump())
    lines = dump_lines(entries)
    assert lines[0].startswith(
        "flow     tcp    ipv4 10.0.0.1:80 <- 10.0.0.2:1234 -> queue 3, id 0 gen 0 slot "
    )
    assert lines[0].endswith(", hits 0")
    assert "132    ipv6 [2001:db8::1]:80 <- [2001:db8::2]:1234 -> drop" in lines[1]
    assert "listener udp    ipv4 *:53 -> host" in lines[2]
    assert entries[0]["pair"] == 3 and entries[2]["local"] is None


def test_the_table_key_changes_only_while_the_tables_are_empty() -> None:
    _, steering = attached()
    handle = run(steering.flows.insert(random_flow(random.Random(1)), TO_HOST))
    with pytest.raises(UsageError, match="empty"):
        run(steering.set_table_key(bytes(48)))
    run(steering.flows.delete(handle))
    before = steering.flows.hash(handle.key)
    run(steering.set_table_key(bytes(range(48))))
    assert steering.flows.hash(handle.key) != before
    assert len(TABLE_KEY) * 4 == 48


@pytest.mark.parametrize(
    "make",
    [
        lambda: FlowKey.of(6, "10.0.0.1", 80, "::1", 1),
        lambda: FlowKey.of(256, "10.0.0.1", 80, "10.0.0.2", 1),
        lambda: FlowKey.of(6, "10.0.0.1", 65536, "10.0.0.2", 1),
        lambda: FlowKey.of(6, "10.0.0.300", 1, "10.0.0.2", 1),
        lambda: FlowKey.of(6, "fe80::1%eth0", 1, "fe80::2", 1),
        lambda: ListenerKey.of(6, "10.0.0.1", 80, ipv6=True),
        lambda: to_queue(64),
    ],
)
def test_what_cannot_be_is_refused_at_once(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]
