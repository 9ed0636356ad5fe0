# SPDX-License-Identifier: Apache-2.0
"""The steering tables alone: look-ups at full rate on both ports while entries come, go, change and move."""

import itertools
import os
import random
from collections.abc import Iterator
from typing import Any

import cocotb
import pytest

from cocotb_tests.conftest import RunBench
from cocotb_tests.model.steer_model import ANY, DROP, FLOW, HOST, LISTENER, NONE, QUEUE, Info, Listener, Tuple
from cocotb_tests.model.table_hash import FLOW_BITS, LISTENER_BITS, slots_of
from cocotb_tests.table_bench import TableBench, addresses
from driver.registers import STEER, SteerOp

TIMEOUT = {"timeout_time": 20, "timeout_unit": "ms"}
PARTS = ("way", "match", "store", "lookup", "count", "hits", "ctl")
SOURCES = [
    "rtl/tupelo_regs_pkg.sv",
    "rtl/tupelo_pkg.sv",
    "rtl/tupelo_axil_pkg.sv",
    "rtl/tupelo_table_pkg.sv",
    "rtl/tupelo_toeplitz.sv",
    *(f"rtl/tupelo_table_{part}.sv" for part in PARTS),
    "rtl/tupelo_tables.sv",
]
PORTS = (0, 1, 53, 443, 0x8000, 0xFFFF)


class Owner:
    """Does to the tables what a driver does, and makes tuples that are worth asking for."""

    def __init__(
        self, bench: TableBench, rng: random.Random, capacities: tuple[int, int], key: bytes
    ) -> None:
        self.bench, self.rng, self.key = bench, rng, key
        self.capacity = dict(zip((Tuple, Listener), capacities, strict=True))
        self.at: dict[type, dict[Any, int]] = {Tuple: {}, Listener: {}}  # where an entry lies
        self.info: dict[Any, Info] = {}
        self.ids = {kind: rng.sample(range(n), n) for kind, n in self.capacity.items()}
        self.addresses = list(addresses(rng))
        self.focus: Tuple | None = None  # asked for in most cycles
        self.full = self.moved = 0

    def slots(self, key: Tuple | Listener) -> list[int]:
        width = FLOW_BITS if isinstance(key, Tuple) else LISTENER_BITS
        return slots_of(self.key, key.packed(), width, self.capacity[type(key)])

    def free(self, key: Tuple | Listener) -> list[int]:
        taken = set(self.at[type(key)].values())
        return [slot for slot in self.slots(key) if slot not in taken]

    def random_tuple(self) -> Tuple:
        rng = self.rng
        ipv6, local = rng.choice(self.addresses)
        remote = rng.getrandbits(128 if ipv6 else 32)
        return Tuple(ipv6, rng.choice((6, 17)), local, remote, rng.choice(PORTS), rng.choice(PORTS))

    def random_info(self, kind: type) -> Info:
        rng = self.rng
        target = rng.choices((QUEUE, HOST, DROP), (8, 1, 1))[0]
        return Info(target, rng.randrange(64), self.ids[kind].pop(), rng.getrandbits(16))

    def ask(self) -> Tuple | None:
        """Return the next look-up: of a flow, of something close to one, of a listener, of nothing."""
        rng, flows = self.rng, self.at[Tuple]
        kind = rng.random()
        if self.focus and kind < 0.4:
            return self.focus
        if kind > 0.97:
            return None
        if flows and kind < 0.8:
            asked = rng.choice(self.flow_list)
            if rng.random() < 0.15:  # one bit off
                field = rng.choice(("local_port", "remote_port", "remote", "proto", "local", "ipv6"))
                asked = asked._replace(**{field: getattr(asked, field) ^ 1})
            return asked
        return self.random_tuple()

    async def put(self, key: Any) -> bool:
        """Insert an entry, if need be by moving another out of the way; False if there is no room."""
        kind = type(key)
        free = self.free(key)
        if not free:
            for other in [k for k, slot in self.at[kind].items() if slot in self.slots(key)]:
                if self.free(other):
                    await self.move(other)
                    break
            free = self.free(key)
        if not free or not self.ids[kind]:
            self.full += 1
            return False
        info = self.random_info(kind)
        slot = self.rng.choice(free)
        await self.bench.write_slot(slot, key, info)
        self.at[kind][key], self.info[key] = slot, info
        self.refresh()
        return True

    async def move(self, key: Any) -> None:
        """Write the new slot, clear the old one: the entry answers all the time, with the same words."""
        kind = type(key)
        old, new = self.at[kind][key], self.rng.choice(self.free(key))
        self.focus = key if kind is Tuple else self.focus
        await self.bench.write_slot(new, key, self.info[key], hurry=True)
        await self.bench.clear_slot(kind, old)
        self.at[kind][key] = new
        self.moved += 1

    async def redirect(self, key: Any) -> None:
        old = self.info[key]
        info = Info(
            self.rng.choice((QUEUE, HOST, DROP)), self.rng.randrange(64), old.id, old.generation ^ 0xFFFF
        )
        self.focus = key if isinstance(key, Tuple) else self.focus
        await self.bench.write_slot(self.at[type(key)][key], key, info)
        self.info[key] = info

    async def drop(self, key: Any) -> None:
        kind = type(key)
        self.focus = key if kind is Tuple else self.focus
        await self.bench.clear_slot(kind, self.at[kind].pop(key))
        self.ids[kind].insert(0, self.info.pop(key).id)
        self.refresh()

    async def check(self, kind: type) -> None:
        """Read a slot: what lies there is what was written."""
        known = {slot: (key, self.info[key]) for key, slot in self.at[kind].items()}
        slot = self.rng.choice([*known, self.rng.randrange(self.capacity[kind])])
        assert await self.bench.read_slot(kind, slot) == known.get(slot)

    def refresh(self) -> None:
        self.flow_list = list(self.at[Tuple])

    def random_listener(self) -> Listener:
        asked = self.random_tuple()
        local = None if self.rng.random() < 0.4 else asked.local
        return Listener(asked.ipv6, asked.proto, local, asked.local_port)

    async def step(self, level: float) -> None:
        """One random change."""
        rng = self.rng
        kind = rng.choice((Tuple, Tuple, Listener))
        entries = list(self.at[kind])
        what = rng.random()
        fill = len(entries) / self.capacity[kind]
        if not entries or (what < 0.45 and fill < level):
            key = self.random_tuple() if kind is Tuple else self.random_listener()
            if key not in self.at[kind]:
                await self.put(key)
        elif what < 0.6 or fill >= level:
            await self.drop(rng.choice(entries))
        elif what < 0.75:
            await self.redirect(rng.choice(entries))
        elif what < 0.92:
            movable = [key for key in rng.sample(entries, min(8, len(entries))) if self.free(key)]
            if movable:
                await self.move(movable[0])
        else:
            await self.check(kind)


async def begin(dut: Any) -> tuple[TableBench, Owner, random.Random]:
    """Reset, wait for the walk, list some local addresses, enable; look-ups run from then on."""
    rng = random.Random(cocotb.RANDOM_SEED)
    bench = TableBench(dut, rng)
    await bench.start()
    assert not await bench.quiet()
    capacities = await bench.read(STEER.FLOW_CAPACITY), await bench.read(STEER.LISTENER_CAPACITY)
    table_key = (await bench.words(STEER.TABLE_KEY, 12)).to_bytes(48, "big")
    owner = Owner(bench, rng, capacities, table_key)
    for index, (ipv6, address) in enumerate(owner.addresses[:7]):
        await bench.set_local(index, ipv6, address)
    owner.refresh()
    bench.ask = owner.ask
    await bench.enable(True)
    return bench, owner, rng


async def all_hits(bench: TableBench, owner: Owner) -> None:
    """Compare every hit counter with what the answers were."""
    bench.ask = lambda: None
    await bench.clock(20)
    for kind, match in ((Tuple, FLOW), (Listener, LISTENER)):
        ids = range(owner.capacity[kind])
        if len(ids) > 300:
            ids = sorted({*bench.hits[match], *owner.rng.sample(ids, 50), len(ids) - 1})
        for entry_id in ids:
            assert await bench.count(kind, entry_id) == bench.hits[match][entry_id], (kind, entry_id)


@cocotb.test(**TIMEOUT)
async def churn(dut: Any) -> None:
    """Random changes under random look-ups; each answer is the old or the new entry; hits are counted."""
    bench, owner, rng = await begin(dut)
    goal = int(os.environ.get("LOOKUPS", "100000"))
    steps = 0
    while bench.lookups < goal:
        await owner.step(level=0.5 + 0.45 * (steps // 200 % 2))
        steps += 1
        if steps % 40 == 0:
            index, (ipv6, address) = rng.randrange(8), rng.choice(owner.addresses)
            await bench.set_local(index, ipv6, address, valid=rng.random() < 0.7)
        if steps % 300 == 0:
            await bench.enable(False)
            await bench.enable(True)
    dut._log.info(
        f"{bench.lookups} look-ups, {steps} changes, {owner.moved} moves, {owner.full} without room, "
        f"{bench.changed} met a change, {bench.held} waited, answers {dict(bench.answers)}"
    )
    assert set(bench.answers) == {NONE, FLOW, LISTENER, ANY}
    assert min(owner.moved, bench.changed, bench.held) > goal // 1000
    await all_hits(bench, owner)


@cocotb.test(**TIMEOUT)
async def full_buckets_and_counters(dut: Any) -> None:
    """All eight slots of a key's buckets are found, in any order; a cleared counter counts on from zero."""
    bench, owner, rng = await begin(dut)
    bench.ask = lambda: None
    first = owner.random_tuple()._replace(remote_port=0)
    target, key, crowd = set(owner.slots(first)), first, [first]
    while len(crowd) < 8:  # keys that share both buckets, in either bank
        key = key._replace(remote=rng.getrandbits(128 if key.ipv6 else 32))
        if set(owner.slots(key)) & target and key not in crowd and owner.free(key):
            crowd.append(key)
    placed = []
    for key in crowd:
        free = [slot for slot in owner.free(key) if slot in target]
        if free and await owner.put(key):
            placed.append(key)
    assert len(placed) >= 5
    sequence = [rng.choice(placed) for _ in range(400)]
    sequence += [key for key in placed for _ in range(40)]  # the same id again and again
    bench.ask = lambda: sequence.pop() if sequence else None
    while sequence:
        await bench.clock(10)
    await all_hits(bench, owner)
    entry_id = owner.info[placed[0]].id
    assert not await bench.command(SteerOp.FLOW_HITS_CLEAR, entry_id)
    bench.hits[FLOW][entry_id] = 0
    sequence += [placed[0]] * 3
    bench.ask = lambda: sequence.pop() if sequence else None
    await bench.clock(30)
    await all_hits(bench, owner)


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(flows=[1, 2, 3])
async def commands_end_in_a_flood(dut: Any, flows: int) -> None:
    """Frames of some flows in every cycle, all counted in one memory: commands on it end, nothing is lost."""
    bench, owner, rng = await begin(dut)
    bench.ask = lambda: None
    lane = [entry_id for entry_id in owner.ids[Tuple] if entry_id % 8 == 5]
    keys: list[Tuple] = []
    for entry_id in lane[:flows]:
        owner.ids[Tuple].remove(entry_id)
        owner.ids[Tuple].append(entry_id)
        key = owner.random_tuple()
        while key in keys or not owner.free(key):
            key = owner.random_tuple()
        assert await owner.put(key)
        keys.append(key)
    found = itertools.cycle(keys)
    bench.ask = lambda: next(found) if rng.random() < 0.9 else rng.choice(keys)
    bench.tx_rate = 0.0
    await bench.clock(20)
    for _ in range(100):
        before = bench.lookups
        count = await bench.count(Tuple, rng.choice(lane))
        assert bench.lookups - before < 40 and count <= bench.lookups
    await all_hits(bench, owner)


def flipped(key: Any) -> Iterator[Any]:
    """Yield the key with each of its bits inverted."""
    for name, width in (
        ("ipv6", 1), ("proto", 8), ("local", 128), ("remote", 128), ("local_port", 16), ("remote_port", 16)
    ):  # fmt: skip
        for bit in range(width if hasattr(key, name) else 0):
            yield key._replace(**{name: getattr(key, name) ^ 1 << bit})


@cocotb.test(**TIMEOUT)
async def every_bit_of_a_key_counts(dut: Any) -> None:
    """A look-up finds nothing in its buckets that differs in one bit: such entries are put there."""
    bench, owner, rng = await begin(dut)
    queue: list[Tuple] = []
    bench.ask = lambda: queue.pop() if queue else None
    flow = owner.random_tuple()
    listener = Listener(flow.ipv6, flow.proto, flow.local, flow.local_port)
    for key, info in ((flow, Info(0, 1, 2, 3)), (listener, Info(0, 4, 5, 6))):
        for other in flipped(key):
            slot = rng.choice(owner.slots(other))
            await bench.write_slot(slot, key, info)
            asked = other if isinstance(other, Tuple) else flow._replace(**other._asdict())
            queue += [asked] * 4
            await bench.clock(12)
            assert not queue
            await bench.clear_slot(type(key), slot)
    assert bench.answers == {NONE: bench.answers[NONE]} and bench.answers[NONE] > 3 * (297 + 153) // 2


@cocotb.test(**TIMEOUT)
async def bad_commands_change_nothing(dut: Any) -> None:
    """What is out of range is refused; what is wrongly placed is never found; busy ignores writes."""
    bench, owner, _ = await begin(dut)
    flow, listener = owner.random_tuple(), owner.random_listener()._replace(local=None)
    assert await owner.put(flow) and await owner.put(listener)
    flows, listeners = owner.capacity[Tuple], owner.capacity[Listener]
    wrong = [(op, 0) for op in (0, 11, 12, 13, 14, 15)]
    wrong += [(op, n) for op in (1, 2, 3, 7, 8) for n in (flows, 0xFFFF) if flows <= n]
    wrong += [(op, n) for op in (4, 5, 6, 9, 10) for n in (listeners, 0xFFFF)]
    for op, index in wrong:
        assert await bench.command(op, index) == 1, (op, index)
    for info in (Info(3, 0, 0, 0), Info(0, 0, flows, 0)):
        if info.id <= 0xFFFF:
            await bench.stage(flow, info)
            assert await bench.command(SteerOp.FLOW_WRITE, 0) == 1
    for key, info in ((listener._replace(local=0), Info(0, 0, listeners, 0)), (listener, Info(3, 0, 0, 0))):
        await bench.stage(key, info)
        assert await bench.command(SteerOp.LISTENER_WRITE, 0) == 1
    await bench.stage(listener, Info(0, 0, 0, 0))
    await bench.write(STEER.KEY_LOCAL.at(3), 1)
    assert await bench.command(SteerOp.LISTENER_WRITE, 0) == 1
    assert not await bench.command(SteerOp.FLOW_READ, 0), "bad is of the last command"
    for kind in (Tuple, Listener):
        for slot in range(min(owner.capacity[kind], 64)):
            known = {place: (key, owner.info[key]) for key, place in owner.at[kind].items()}
            assert await bench.read_slot(kind, slot) == known.get(slot)
    stray = owner.random_tuple()
    place = next(slot for slot in range(flows) if slot not in owner.slots(stray))
    await bench.stage(stray, Info(0, 1, 2, 3))
    assert not await bench.command(SteerOp.FLOW_WRITE, place)
    owner.focus = stray
    await bench.clock(50)
    await bench.clear_slot(Tuple, place)
    await bench.write(
        STEER.COMMAND, SteerOp.FLOW_CLEAR | owner.at[Tuple][flow] << 16, strobes=14
    )  # no op byte
    await bench.write(STEER.COMMAND, SteerOp.FLOW_READ | owner.at[Tuple][flow] << 16)
    await bench.write(STEER.COMMAND, SteerOp.FLOW_CLEAR | owner.at[Tuple][flow] << 16)
    owner.focus = flow
    await bench.clock(100)
    assert bench.answers[FLOW] > 20


@cocotb.test(**TIMEOUT)
async def rst_empties_everything(dut: Any) -> None:
    """While the walk goes on nothing is found and commands wait; then all is empty."""
    bench, owner, _ = await begin(dut)
    for _ in range(30):
        await owner.step(level=0.9)
    await bench.clock(200)
    bench.blind = True
    bench.ask = lambda: None
    await bench.clock(10)
    dut.rst.value = 1
    await bench.clock(2)
    dut.rst.value = 0
    assert await bench.read(STEER.CONTROL) == 0
    for model in (bench.early, bench.late):
        model.local.clear()
    await bench.write(STEER.CONTROL, 1)
    await bench.write(STEER.COMMAND, SteerOp.FLOW_WRITE)
    assert await bench.read(STEER.STATUS) == STEER.STATUS_BUSY.put(1)
    owner.refresh()
    bench.ask = owner.ask
    old = dict(bench.answers)
    cycles = 0
    while STEER.STATUS_BUSY.get(await bench.read(STEER.STATUS)):
        cycles += 2
    assert abs(cycles - max(owner.capacity.values()) // 8) < 20, cycles
    await bench.clock(100)
    assert {n: c for n, c in bench.answers.items() if n} == {n: c for n, c in old.items() if n}
    for match in bench.hits.values():
        match.clear()
    await all_hits(bench, owner)
    for kind in (Tuple, Listener):
        for slot in (*range(16), owner.capacity[kind] - 1):
            assert await bench.read_slot(kind, slot) is None


@pytest.mark.sim
@pytest.mark.parametrize(
    ("flows", "listeners", "lookups"), [(64, 32, 100_000), (16, 64, 10_000), (16384, 1024, 30_000)]
)
def test_tables(run_bench: RunBench, flows: int, listeners: int, lookups: int) -> None:
    cases = ["churn", "full_buckets_and_counters", "commands_end_in_a_flood"]
    cases += ["every_bit_of_a_key_counts"]
    cases += ["bad_commands_change_nothing", "rst_empties_everything"]
    env = {"LOOKUPS": str(lookups)}
    run_bench("tupelo_tables", cases, sources=SOURCES, env=env, FLOWS=flows, LISTENERS=listeners)
