# SPDX-License-Identifier: Apache-2.0
"""The program of test_steering_fast.py: frames without a pause while tables and RSS change all the time.

One coroutine gives frames to the wire and takes them from all rings; another one makes one change after the
other, through the driver. sim.tests.steering_judge says what each frame may do.
"""

import random
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import cocotb

from cocotb_tests.model.classify_model import TO_DROP, TO_HOST, TO_QUEUE, Rss
from cocotb_tests.model.rss_model import MICROSOFT_KEY
from cocotb_tests.model.steer_model import Info, Listener, Tuple
from driver.conservation import violations
from driver.errors import TableFull
from driver.nic import NicConfig, TupeloNic
from driver.registers import COMMON
from driver.rss import HashType, RssConfig, set_rss, update_table
from driver.stats import Statistics, read_statistics
from driver.steering import Action, FlowKey, Found, Handle, ListenerKey, Steering, Target
from sim.bench_sim import CYCLE_NS
from sim.fast import FastHarness
from sim.fast_config import FastConfig, WireConfig
from sim.tests.steering_frames import LOCAL4, LOCAL6, UNKNOWN_TYPE, Frames, flow_keys, listener_keys
from sim.tests.steering_judge import History, Judge, JudgeError

config = FastConfig(wire=WireConfig(delay_cycles=1), idle_cycles=0)
POLL_CYCLES = 64
PATIENCE_POLLS = 400  # without a frame, with frames inside
SETTLE_NS = 40_000
TABLE_KEY_BYTES = 48
FLOWS, FLOWS_PUT, FLOW_BUCKETS = 180, 90, 12  # known; in the table at most; these buckets hold 96
LISTENERS, LISTENERS_PUT, LISTENER_BUCKETS = 64, 30, 4
WINDOW_BEATS, BATCH, BEAT_BYTES = 320, 24, 64  # inside the NIC at most: less than its FIFO holds
UNKNOWN = UNKNOWN_TYPE.to_bytes(2, "big")
HOT = 6  # flows at a time that are changed most


def address(number: int, ipv6: int) -> IPv4Address | IPv6Address:
    return IPv6Address(number) if ipv6 else IPv4Address(number)


def to_flow(key: Tuple) -> FlowKey:
    ends = address(key.local, key.ipv6), address(key.remote, key.ipv6)
    return FlowKey(key.proto, ends[0], key.local_port, ends[1], key.remote_port)


def to_listener(key: Listener) -> ListenerKey:
    local = None if key.local is None else address(key.local, key.ipv6)
    return ListenerKey.of(key.proto, local, key.local_port, ipv6=bool(key.ipv6))


class Changer:
    """Makes random changes, and tells the history before and after each."""

    def __init__(
        self, harness: FastHarness, rng: random.Random, steering: Steering, history: History, frames: Frames
    ) -> None:
        self._harness, self._rng, self._steering = harness, rng, steering
        self._history, self._frames = history, frames
        self._flows: dict[Tuple, Handle[FlowKey]] = {}
        self._listeners: dict[Listener, Handle[ListenerKey]] = {}
        self._rss = RssConfig(enable=False)
        self.made: dict[str, int] = {}
        self.ended = False

    async def fill(self, flows: list[Tuple], listeners: list[Listener]) -> None:
        """Fill both tables as far as they will be."""
        for key in flows[:FLOWS_PUT]:
            await self._flow(key)
        for listener in listeners[::2]:
            await self._listener(listener)
        await self._settle()

    async def run(self, flows: list[Tuple], listeners: list[Listener]) -> None:
        """Change until told to end."""
        rng = self._rng
        while not self.ended:
            kind = rng.random()
            if kind < 0.01:
                await self._new_rss()
            elif kind < 0.12:
                await self._new_table()
            elif kind < 0.30:
                await self._listener(rng.choice(listeners))
            else:
                await self._flow(rng.choice(self._frames.hot if rng.random() < 0.5 else flows))
                if rng.random() < 0.05:
                    self._frames.hot = rng.sample(flows, HOT)
            await self._settle()

    async def _settle(self) -> None:
        """A read comes behind all writes."""
        await self._harness.read(COMMON.DEVICE_STATUS.offset_bytes, 1)
        self._history.settle()

    async def _flow(self, key: Tuple) -> None:
        table, handle = self._steering.flows, self._flows.get(key)
        info, action = self._verdict()
        if handle is None:
            if len(self._flows) >= FLOWS_PUT:
                key = self._rng.choice(list(self._flows))
                await self._drop_flow(key)
                return
            self._history.flow(key, info)
            try:
                self._flows[key] = await table.insert(to_flow(key), action)
                self._count("flow inserted")
            except TableFull:
                self._history.flow(key, None)
                self._count("flow refused")
        elif self._rng.random() < 0.5:
            self._history.flow(key, info)
            await table.redirect(handle, action)
            self._count("flow redirected")
        elif len(self._flows) > FLOWS_PUT - 15 or self._rng.random() < 0.3:
            await self._drop_flow(key)

    async def _drop_flow(self, key: Tuple) -> None:
        self._history.flow(key, None)
        await self._steering.flows.delete(self._flows.pop(key))
        self._count("flow deleted")

    async def _listener(self, key: Listener) -> None:
        table, handle = self._steering.listeners, self._listeners.get(key)
        info, action = self._verdict()
        if handle is None and len(self._listeners) >= LISTENERS_PUT:
            key = self._rng.choice(list(self._listeners))
            handle = self._listeners[key]
        if handle is None:
            self._history.listener(key, info)
            try:
                self._listeners[key] = await table.insert(to_listener(key), action)
                self._count("listener inserted")
            except TableFull:
                self._history.listener(key, None)
                self._count("listener refused")
        elif self._rng.random() < 0.5:
            self._history.listener(key, info)
            await table.redirect(handle, action)
            self._count("listener redirected")
        else:
            self._history.listener(key, None)
            await table.delete(self._listeners.pop(key))
            self._count("listener deleted")

    async def _new_rss(self) -> None:
        """Key, types and table; the driver turns RSS off meanwhile."""
        rng = self._rng
        self._rss = RssConfig(
            tuple(self._pair() for _ in range(128)),
            HashType(rng.choice((0x3F, 0x3F, rng.getrandbits(6)))),
            rng.choice((MICROSOFT_KEY, rng.randbytes(40))),
            rng.random() < 0.9,
        )
        self._history.spreading(replace(self._history.rss[-1], enable=False), self._said())
        await set_rss(self._harness, self._rss)
        self._count("rss set")

    async def _new_table(self) -> None:
        """A word or two of the indirection table, in use."""
        table, steps, old = list(self._rss.table), [], self._rss
        for word in sorted(self._rng.sample(range(32), 2)):
            table[4 * word : 4 * word + 4] = [self._pair() for _ in range(4)]
            self._rss = replace(self._rss, table=tuple(table))
            steps.append(self._said())
        self._history.spreading(*steps)
        await update_table(self._harness, old, table)
        self._count("rss table changed")

    def _said(self) -> Rss:
        return Rss(self._rss.enable, int(self._rss.types), self._rss.key, bytes(self._rss.table))

    def _verdict(self) -> tuple[Info, Action]:
        """A random target, for the model and for the driver."""
        target = self._rng.choices((TO_QUEUE, TO_HOST, TO_DROP), (8, 1, 1))[0]
        pair = self._pair()
        return Info(target, pair, 0, 0), Action(Target(target), pair)

    def _pair(self) -> int:
        """A queue pair, once in a while one that does not exist."""
        pairs = self._history.pairs
        return self._rng.randrange(pairs) if self._rng.random() < 0.97 else self._rng.randrange(pairs, 64)

    def _count(self, what: str) -> None:
        self.made[what] = self.made.get(what, 0) + 1


class Traffic:
    """Gives frames to the wire and what comes out to the judge."""

    def __init__(
        self, harness: FastHarness, nic: TupeloNic, judge: Judge, frames: Frames, lie_at: int
    ) -> None:
        self._harness, self._nic, self._judge, self._frames = harness, nic, judge, frames
        self._lie_at = lie_at
        self._ends = 0  # of the frames given, in beats; a frame that was decided has left
        self._beats = [0]

    async def run(self, count: int) -> None:
        quiet = 0
        while self._judge.open < count:
            await self._harness.sleep(POLL_CYCLES * CYCLE_NS)
            quiet = 0 if await self.reap() else quiet + 1
            if quiet > PATIENCE_POLLS:
                raise JudgeError(f"no frame comes any more; {self._judge.open} of {len(self._judge.sent)}")
            inside = self._beats[len(self._judge.sent)] - self._beats[self._judge.open]
            left = count - len(self._judge.sent)
            if left and inside < WINDOW_BEATS // 2:
                self._give(min(BATCH, left))

    def _give(self, count: int) -> None:
        frames = self._frames.some(count)
        self._judge.offer(frames)
        for frame in frames:
            self._beats.append(self._beats[-1] - -len(frame) // BEAT_BYTES)
        if self._harness.wire.send(frames) != count:
            raise JudgeError("the wire did not take all frames")

    async def reap(self) -> int:
        """Take what has come; from frame `lie_at` on claim a wrong queue for those that nobody knows."""
        arrivals: list[tuple[int, bytes]] = []
        for pair in range(len(self._nic.rx)):
            for frame in self._nic.recv(pair):
                lie = 0 <= self._lie_at <= self._judge.arrived and frame[12:14] == UNKNOWN
                arrivals.append((pair ^ 1 if lie else pair, frame))
        self._judge.take(arrivals)
        await self._nic.flush()
        return len(arrivals)


async def main(harness: FastHarness, count: int, lie_at: int = -1) -> dict[str, Any]:
    """Run `count` frames; return what was done. JudgeError if a frame went wrong."""
    rng = random.Random(harness.seed)
    nic = TupeloNic(harness)
    pairs = (await nic.device.identify()).queue_pairs
    await nic.start(NicConfig(queue_pairs=pairs))
    mac = nic.net.mac if nic.net is not None and nic.net.mac is not None else bytes(6)
    steering = await Steering.attach(harness, state=Found.EMPTY)
    table_key = rng.randbytes(TABLE_KEY_BYTES)
    await steering.set_table_key(table_key)
    await steering.locals.set([IPv4Address(LOCAL4), IPv6Address(LOCAL6)])
    await steering.enable()
    flows = flow_keys(rng, table_key, steering.flows.capacity, FLOW_BUCKETS, FLOWS)
    listeners = listener_keys(rng, table_key, steering.listeners.capacity, LISTENER_BUCKETS, LISTENERS)
    frames = Frames(random.Random(rng.random()), mac, flows, listeners)
    history = History(mac, pairs)
    history.model.local = {0: (0, LOCAL4), 1: (1, LOCAL6)}
    judge = Judge(history)
    changer = Changer(harness, random.Random(rng.random()), steering, history, frames)
    await changer.fill(flows, listeners)
    before = await read_statistics(harness, range(2 * pairs), snapshot=True)
    traffic = Traffic(harness, nic, judge, frames, lie_at)
    changing = cocotb.start_soon(changer.run(flows, listeners))
    await traffic.run(count)
    changer.ended = True
    await changing
    await harness.sleep(SETTLE_NS)
    await traffic.reap()
    filtered = judge.finish()
    seen = (await read_statistics(harness, range(2 * pairs), snapshot=True)).since(before)
    await nic.stop()
    return {
        "frames": len(judge.sent),
        "filtered": filtered,
        "free": judge.free,
        "malformed": judge.malformed,
        "fragments": judge.fragments,
        "kinds": frames.kinds,
        "counted": judge.counted,
        "changes": changer.made,
        "moves": steering.flows.moves + steering.listeners.moves,
        "violations": [str(found) for found in violations(seen)],
        "drops": {name: value for name, value in seen.rx_drops().items() if value},
        "statistics": _short(seen),
        "cycles": harness.cycles,
    }


def _short(seen: Statistics) -> dict[str, int]:
    names = [name for name in seen if name.startswith("rx_steer_")]
    return {
        name: seen[name] for name in ["rx_wire_frames", "rx_frames", "rx_malformed", "rx_fragments", *names]
    }
