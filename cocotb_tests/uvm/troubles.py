# SPDX-License-Identifier: Apache-2.0
"""What else happens to the NIC while frames fly: settings that change, queues that fail and are reset."""

import random
from collections.abc import Callable

from cocotb_tests.agents.axi_memory import READ
from cocotb_tests.uvm.host import Host
from driver.moderation import Moderation, set_moderation
from driver.registers import HashType, StopReason
from driver.rss import RssConfig, set_rss, spread
from driver.scheduling import TxShare, set_tx_share
from driver.windows import Guard, Window

BYTES_A_CYCLE = 250_000_000  # of a rate limit, a second
PATIENCE_CYCLES = 20_000
EVENT_BYTES = 4
AIMS = (StopReason.DESC_READ, StopReason.EVENT_READ, StopReason.USED_WRITE, StopReason.EVENT_WRITE)
Hit = Callable[[str, str], None]


class SettingChanges:
    """Weights, classes, rate limits, moderation, RSS, guard and windows, until `over`.

    Everything is inside the windows: they are there to be switched on and off. Pairs of `unguarded` stay so.
    """

    def __init__(self, rng: random.Random, host: Host, hit: Hit, unguarded: set[int]) -> None:
        self.rng, self.host, self.hit, self.unguarded = rng, host, hit, unguarded
        self.guard = Guard(host.device.bus)
        self.done = 0
        self.over = False

    async def begin(self) -> None:
        """Before the queues are enabled."""
        for pair in range(self.host.pairs):
            await self.guard.set_windows(pair, [Window(0, (1 << 64) - 1)], on=self.rng.random() < 0.5)

    async def run(self) -> None:
        rng, bus, pairs = self.rng, self.host.device.bus, self.host.pairs
        while not self.over:
            await self.host.scene.cycles(rng.randrange(600))
            pair, on = rng.randrange(pairs), rng.random() < 0.5
            deed = rng.choice(("share", "share", "moderation", "rss", "guard", "windows"))
            if deed == "share":
                rate = rng.choice((0, 0, rng.randint(2, 40))) * BYTES_A_CYCLE
                share = TxShare(rng.choice((1, 8, 32, 200)), on, rate, rng.choice((2000, 65536)))
                await set_tx_share(bus, pair, share)
                for name in ("class", "rate") if on and rate else ("class",) if on else ():
                    self.hit("setting", name)
            elif deed == "moderation":
                wanted = Moderation(rng.choice((0, 1, 4, 100)), rng.choice((0, 256, 4096)))
                await set_moderation(bus, rng.randrange(2 * pairs), wanted)
            elif deed == "rss":
                table = spread(rng.sample(range(pairs + 1), pairs))  # one that does not exist, too
                await set_rss(bus, RssConfig(table, HashType(rng.getrandbits(6)), rng.randbytes(40), on))
            elif deed == "windows":
                await self.guard.check_windows(pair, on)
            elif pair not in self.unguarded:
                await self.guard.guard(pair, on)
            self.hit("setting", f"{deed} {'on' if on else 'off'}" if deed in ("guard", "windows") else deed)
            self.done += 1


class Troubles:
    """One queue after the other is reset, or gets errors from memory, stops, and is reset; others go on."""

    def __init__(self, rng: random.Random, host: Host, hit: Hit, pause_cycles: int = 1200) -> None:
        self.rng, self.host, self.hit, self.pause = rng, host, hit, pause_cycles
        self.over = False
        self.done = 0
        self._failed: set[StopReason] = set()  # what the accesses that failed account for

    async def run(self) -> None:
        """Until `over`."""
        rng, host = self.rng, self.host
        while True:
            await host.scene.cycles(rng.randrange(self.pause))
            if self.over:
                return
            side = rng.randrange(2)
            queue = rng.choice([queue for queue in host.mortal if queue & 1 == side])
            name = "tx" if side else "rx"
            if rng.random() < 0.5:
                reason = await self.fail(queue)
                state = "stopped" if reason else "unharmed"
                if reason:
                    self.hit("stop", f"{name} {reason.name}")
            else:
                state = "busy" if host.outstanding(queue) else "idle"
            await host.restart(queue)
            self.hit("reset", f"{name} {state}")
            self.done += 1

    async def fail(self, queue: int) -> StopReason:
        """Let accesses of a queue fail until it stops; return why it did, NONE if it had nothing to do."""
        memory = self.host.harness.memory
        chance = self.rng.choice((0.1, 0.5, 1.0))
        data = StopReason.DATA_READ if queue & 1 else StopReason.DATA_WRITE
        aim = self.rng.choice((*AIMS, data, None))  # what shall fail; None: anything
        self._failed.clear()

        def fault(kind: str, addr: int, size: int, who: int) -> bool:
            if who != queue or self.rng.random() > chance:
                return False
            reason = self._reason(queue, kind, addr, size)
            if aim not in (None, reason):
                return False
            self._failed.add(reason)
            return True

        memory.fault = fault
        try:
            return await self._stop(queue)
        finally:
            memory.fault = None

    async def _stop(self, queue: int) -> StopReason:
        host, since = self.host, self.host.harness.loop.cycle
        first: int | None = None
        while True:
            told = await host.device.stopped(queue)
            now = host.harness.loop.cycle
            if told.stopped:
                assert told.reason in self._failed, f"queue {queue}: {told}, failed were {self._failed}"
                return told.reason
            if self._failed and first is None:
                first = now
            assert first is None or now - first < PATIENCE_CYCLES, f"queue {queue} goes on: {self._failed}"
            if first is None and now - since > self.pause:
                return StopReason.NONE

    def _reason(self, queue: int, kind: str, addr: int, size: int) -> StopReason:
        raw = self.host.device.queues[queue]

        def touches(low: int, length: int) -> bool:
            return addr < low + length and low < addr + size

        reads = kind == READ
        if touches(raw.desc.iova, 16 * raw.size_slots):
            return StopReason.DESC_READ if reads else StopReason.USED_WRITE
        if touches(raw.driver.iova, EVENT_BYTES) and reads:
            return StopReason.EVENT_READ
        if touches(raw.device.iova, EVENT_BYTES) and not reads:
            return StopReason.EVENT_WRITE
        tables = self.host.device.regions[queue][3:]
        if any(touches(region.iova, region.size_bytes) for region in tables):
            return StopReason.DESC_READ
        return StopReason.DATA_READ if reads else StopReason.DATA_WRITE
