# SPDX-License-Identifier: Apache-2.0
"""What the tables, RSS and the guard are set to, decoded from the BAR accesses on the pins.

A change takes effect at some moment between its write and the moment when the device must be done with it, so
the answer to "what held then" is a list of versions. The offsets are typed in from docs/registers.md on
purpose, as in bar_watch.
"""

from collections import deque
from dataclasses import dataclass, field, replace

from cocotb_tests.agents.bar import BarAccess
from cocotb_tests.model.classify_model import Rss
from cocotb_tests.model.steer_model import Info, Listener, SteerModel, Table, Tuple

CONTROL, LOCAL_SELECT, LOCAL_ADDR, LOCAL_CONTROL = 0x9000, 0x900C, 0x9010, 0x9020
COMMAND, STATUS, KEY_LOCAL, KEY_REMOTE, KEY_PORTS = 0x9028, 0x902C, 0x9030, 0x9040, 0x9050
KEY_PROTO, ENTRY, ENTRY_ID = 0x9054, 0x9058, 0x905C
FLOW_WRITE, FLOW_CLEAR, LISTENER_WRITE, LISTENER_CLEAR = 1, 2, 4, 5
RSS_CONTROL, RSS_TYPES, RSS_KEY, RSS_TABLE = 0x9400, 0x9404, 0x9410, 0x9480
GUARD_SELECT, GUARD_CONTROL = 0x9800, 0x9804
SETTLE_CYCLES = 64  # after which a plain register write surely holds
KEPT = 4096  # versions; one setting of RSS makes forty


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it at one moment."""

    tables: SteerModel = field(default_factory=SteerModel)
    rss: Rss = field(default_factory=Rss)
    guarded: frozenset[int] = frozenset()


@dataclass(slots=True)
class Version:
    """Settings that hold from some cycle in since..settled on (None: not known yet to be settled)."""

    since: int
    settled: int | None
    settings: Settings


def copy_of(tables: SteerModel) -> SteerModel:
    return SteerModel(
        tables.enabled,
        Table(dict(tables.flows.slots), {key: set(slots) for key, slots in tables.flows.places.items()}),
        Table(dict(tables.listeners.slots), {k: set(slots) for k, slots in tables.listeners.places.items()}),
        dict(tables.local),
    )


class ConfigWatch:
    """Feed it each access with its cycle."""

    def __init__(self) -> None:
        self.versions: deque[Version] = deque([Version(0, 0, Settings())], maxlen=KEPT)
        self.changes = 0
        self._staged: dict[int, int] = {}

    def during(self, first: int, last: int) -> list[Settings]:
        """The settings that may have held at some moment in first..last."""
        found: list[Settings] = []
        for version in reversed(self.versions):
            if version.since <= last:
                found.append(version.settings)
                if version.settled is not None and version.settled < first:
                    break
        return found[::-1]

    def access(self, access: BarAccess, cycle: int) -> None:
        """Take one access."""
        offset, data = access.offset_bytes, access.data
        if not 0x9000 <= offset < 0x9A00:
            return
        if not access.write:
            if offset == STATUS and not data & 1:
                self._settle(cycle)
            return
        self._staged[offset] = data
        if offset == COMMAND:
            self._command(data & 15, data >> 16, cycle)
        elif offset in (CONTROL, LOCAL_CONTROL):
            tables = copy_of(self.now.tables)
            if offset == CONTROL:
                tables.enabled = bool(data & 1)
            elif data & 1:
                tables.local[self._get(LOCAL_SELECT) & 7] = int(bool(data & 2)), self._words(LOCAL_ADDR)
            else:
                tables.local.pop(self._get(LOCAL_SELECT) & 7, None)
            self._change(replace(self.now, tables=tables), cycle, cycle + SETTLE_CYCLES)
        elif RSS_CONTROL <= offset < GUARD_SELECT:
            self._change(replace(self.now, rss=self._rss()), cycle, cycle + SETTLE_CYCLES)
        elif offset == GUARD_CONTROL:
            pair = self._get(GUARD_SELECT) & 0xFF
            guarded = self.now.guarded - {pair} | ({pair} if data & 1 and pair else set())
            self._change(replace(self.now, guarded=frozenset(guarded)), cycle, cycle + SETTLE_CYCLES)

    @property
    def now(self) -> Settings:
        """The newest settings."""
        return self.versions[-1].settings

    def _get(self, offset: int) -> int:
        return self._staged.get(offset, 0)

    def _words(self, offset: int) -> int:
        """Four words, the first the most significant."""
        value = 0
        for word in range(4):
            value = value << 32 | self._get(offset + 4 * word)
        return value

    def _rss(self) -> Rss:
        key = b"".join(self._get(RSS_KEY + 4 * n).to_bytes(4, "little") for n in range(10))
        table = b"".join(self._get(RSS_TABLE + 4 * n).to_bytes(4, "little") for n in range(32))
        return Rss(bool(self._get(RSS_CONTROL) & 1), self._get(RSS_TYPES) & 0x3F, key, table)

    def _command(self, op: int, index: int, cycle: int) -> None:
        if op not in (FLOW_WRITE, FLOW_CLEAR, LISTENER_WRITE, LISTENER_CLEAR):
            return
        tables = copy_of(self.now.tables)
        proto, ports, numbers = self._get(KEY_PROTO), self._get(KEY_PORTS), self._get(ENTRY_ID)
        entry = self._get(ENTRY)
        info = Info(entry >> 1 & 3, entry >> 8 & 63, numbers & 0xFFFF, numbers >> 16)
        local, ipv6 = self._words(KEY_LOCAL), proto >> 8 & 1
        if op == FLOW_WRITE:
            ends = local, self._words(KEY_REMOTE), ports >> 16, ports & 0xFFFF
            tables.flows.write(index, Tuple(ipv6, proto & 0xFF, *ends), info)
        elif op == FLOW_CLEAR:
            tables.flows.clear(index)
        elif op == LISTENER_WRITE:
            where = None if proto >> 9 & 1 else local
            tables.listeners.write(index, Listener(ipv6, proto & 0xFF, where, ports >> 16), info)
        else:
            tables.listeners.clear(index)
        self._change(replace(self.now, tables=tables), cycle, None)

    def _change(self, settings: Settings, since: int, settled: int | None) -> None:
        self.changes += 1
        self.versions.append(Version(since, settled, settings))

    def _settle(self, cycle: int) -> None:
        for version in reversed(self.versions):
            if version.settled is None:
                version.settled = cycle
