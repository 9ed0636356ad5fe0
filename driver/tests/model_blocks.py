# SPDX-License-Identifier: Apache-2.0
"""The device's control blocks (tables, RSS, guard, scheduler, moderation) by the book, slow and plain.

Shares only register constants with the driver. Keys are strings of bits, the hash is a loop over them.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from driver import registers as R
from driver.bus import DmaRegion

TABLE_KEY = [(0x9E3779B9 * (k + 1) ^ 0x5BD1E995 * k * k) & 0xFFFF_FFFF for k in range(12)]


def bits(value: int, width: int) -> str:
    return f"{value:0{width}b}"


def toeplitz(key: str, data: str, width: int) -> int:
    """The hash, bit by bit: each set bit of data adds the window of the key that starts at its place."""
    value = 0
    for place, bit in enumerate(data):
        if bit == "1":
            value ^= int(key[place : place + width].ljust(width, "0"), 2)
    return value


@dataclass(frozen=True)
class SlotImage:
    """What one slot holds."""

    key: str
    words: tuple[int, ...]  # staging registers KEY_LOCAL .. KEY_PROTO as written
    target: int
    pair: int
    entry_id: int
    generation: int


@dataclass
class TableModel:
    """One table: slots, hit counters, look-up by hash."""

    size: int
    slots: dict[int, SlotImage] = field(default_factory=dict)
    hits: dict[int, int] = field(default_factory=dict)

    def buckets(self, key: str) -> list[int]:
        width = (self.size // 8).bit_length() - 1
        hashed = bits(toeplitz("".join(bits(word, 32) for word in TABLE_KEY), key, 64), 64)
        numbers = [int(half[:width] or "0", 2) for half in (hashed[:32], hashed[32:])]
        return [numbers[0] * 4, self.size // 2 + numbers[1] * 4]

    def lookup(self, key: str) -> SlotImage | None:
        """As the device does for a frame."""
        for first in self.buckets(key):
            for slot in range(first, first + 4):
                if slot in self.slots and self.slots[slot].key == key:
                    return self.slots[slot]
        return None


def flow_key(proto: int, ipv6: bool, local: int, lport: int, remote: int, rport: int) -> str:
    head = bits(ipv6, 1) + bits(proto, 8) + bits(local, 128) + bits(remote, 128)
    return head + bits(lport, 16) + bits(rport, 16)


def listener_key(proto: int, ipv6: bool, local: int | None, port: int) -> str:
    return bits(local is None, 1) + bits(ipv6, 1) + bits(proto, 8) + bits(local or 0, 128) + bits(port, 16)


class Blocks:
    """Registers from STEER to MODERATION."""

    def __init__(self, flows: int = 64, listeners: int = 16) -> None:
        self.flows, self.listeners = TableModel(flows), TableModel(listeners)
        self.words: dict[int, int] = {}
        self.locals: dict[int, tuple[int, bool]] = {}
        self.ranges: dict[tuple[int, int], tuple[int, int, int]] = {}  # pair, range -> base, last, rights
        self.enabled_pairs: set[int] = set()
        self.refused = 0
        self.banked: dict[tuple[int, int], int] = {}  # offset, selected -> value
        self.status = 0
        self.busy_polls = 5  # it empties its tables first
        self.lie: Callable[[int], bool] = lambda slot: False  # writes to such slots get lost

    def read(self, at: int) -> int | None:
        """A register's value; None if it belongs to no block here."""
        s, g = R.STEER, R.GUARD
        if not s.CONTROL.offset_bytes <= at < 0xA400:
            return None
        if at == s.STATUS.offset_bytes:
            if self.busy_polls:
                self.busy_polls -= 1
                return 1
            return self.status
        if s.TABLE_KEY.offset_bytes <= at < s.TABLE_KEY.offset_bytes + 48:
            return TABLE_KEY[(at - s.TABLE_KEY.offset_bytes) // 4]
        if g.WIN_BASE.offset_bytes <= at <= g.WIN_RIGHTS.offset_bytes:
            base, last, rights = self.ranges.get(self._range(), (0, 0, 0))
            return {8: base & 0xFFFF_FFFF, 12: base >> 32, 16: last & 0xFFFF_FFFF, 20: last >> 32}.get(
                at - g.SELECT.offset_bytes, rights
            )
        fixed = {
            s.FLOW_CAPACITY.offset_bytes: self.flows.size,
            s.LISTENER_CAPACITY.offset_bytes: self.listeners.size,
            g.STATUS.offset_bytes: self.refused,
        }
        if at in fixed:
            return fixed[at]
        return self.banked.get((at, self._selected(at) or 0), self.words.get(at, 0))

    def write(self, at: int, value: int) -> bool:
        """Whether the register belongs to a block here."""
        s, g = R.STEER, R.GUARD
        if not s.CONTROL.offset_bytes <= at < 0xA400:
            return False
        staging = s.COMMAND.offset_bytes <= at < R.RSS.CONTROL.offset_bytes
        assert not (staging and self.busy_polls), "a busy device ignores this write"
        self.words[at] = value
        if at == s.COMMAND.offset_bytes:
            self._command(value & 15, value >> 16)
        elif at == s.LOCAL_CONTROL.offset_bytes:
            words = [self.words.get(s.LOCAL_ADDR.at(k).offset_bytes, 0) for k in range(4)]
            index = self.words.get(s.LOCAL_SELECT.offset_bytes, 0)
            self.locals.pop(index, None)
            if value & 1:
                self.locals[index] = (int("".join(bits(word, 32) for word in words), 2), bool(value & 2))
        elif at == g.WIN_RIGHTS.offset_bytes:
            self._commit(value)
        elif self._selected(at) is not None:
            pair_zero = at == g.PAIR_CONTROL.offset_bytes and self._range()[0] == 0
            self.banked[at, self._selected(at) or 0] = value & ~1 if pair_zero else value
        return True

    def _range(self) -> tuple[int, int]:
        value = self.words.get(R.GUARD.SELECT.offset_bytes, 0)
        return value & 0xFF, value >> 8 & 3

    def _selected(self, at: int) -> int | None:
        """Which instance a banked register means; None for one that has no instances."""
        if at == R.GUARD.PAIR_CONTROL.offset_bytes:
            return self._range()[0]
        if R.SCHED.SELECT.offset_bytes < at < R.SCHED.SELECT.offset_bytes + 0x20:
            return self.words.get(R.SCHED.SELECT.offset_bytes, 0)
        if R.MODERATION.SELECT.offset_bytes < at < R.MODERATION.SELECT.offset_bytes + 0x20:
            return self.words.get(R.MODERATION.SELECT.offset_bytes, 0)
        return None

    def _commit(self, rights: int) -> None:
        g = R.GUARD
        base, last = (
            self.words.get(reg.lo.offset_bytes, 0) | self.words.get(reg.hi.offset_bytes, 0) << 32
            for reg in (g.WIN_BASE, g.WIN_LAST)
        )
        where = self._range()
        had = self.ranges.get(where, (0, 0, 0))[2]
        self.refused = int(had != 0 and where[0] in self.enabled_pairs)
        if not self.refused:
            self.ranges[where] = (base, last, rights)

    def _command(self, op: int, index: int) -> None:
        flow = op in (1, 2, 3, 7, 8)
        table = self.flows if flow else self.listeners
        self.busy_polls, self.status = 2, 0
        if not 1 <= op <= 10 or index >= table.size:
            self.status = 2
        elif op in (1, 4) and not self.lie(index):
            table.slots[index] = self._staged(flow)
        elif op in (2, 5):
            table.slots.pop(index, None)
        elif op in (3, 6):
            self._show(table.slots.get(index))
        elif op in (7, 9):
            count = table.hits.get(index, 0xDEAD_BEEF_0000)  # not cleared yet: rubbish
            self.words[R.STEER.HITS.lo.offset_bytes] = count & 0xFFFF_FFFF
            self.words[R.STEER.HITS.hi.offset_bytes] = count >> 32
        elif op in (8, 10):
            table.hits[index] = 0

    _KEY = tuple(range(R.STEER.KEY_LOCAL.offset_bytes, R.STEER.KEY_PROTO.offset_bytes + 4, 4))

    def _staged(self, flow: bool) -> SlotImage:
        words = tuple(self.words.get(at, 0) for at in self._KEY)
        local = int("".join(bits(word, 32) for word in words[:4]), 2)
        remote = int("".join(bits(word, 32) for word in words[4:8]), 2)
        ports, proto = words[8], words[9]
        ipv6, lport, rport = bool(proto >> 8 & 1), ports >> 16, ports & 0xFFFF
        if flow:
            key = flow_key(proto & 0xFF, ipv6, local, lport, remote, rport)
        else:
            key = listener_key(proto & 0xFF, ipv6, None if proto >> 9 & 1 else local, lport)
        entry = self.words.get(R.STEER.ENTRY.offset_bytes, 0)
        number = self.words.get(R.STEER.ENTRY_ID.offset_bytes, 0)
        return SlotImage(key, words, entry >> 1 & 3, entry >> 8 & 63, number & 0xFFFF, number >> 16)

    def _show(self, slot: SlotImage | None) -> None:
        words = (0xBAD,) * 10 if slot is None else slot.words
        self.words.update(zip(self._KEY, words, strict=True))
        entry = 0 if slot is None else 1 | slot.target << 1 | slot.pair << 8
        self.words[R.STEER.ENTRY.offset_bytes] = entry
        number = 0 if slot is None else slot.entry_id | slot.generation << 16
        self.words[R.STEER.ENTRY_ID.offset_bytes] = number


class BlocksBus:
    """A Bus with nothing but the blocks; `after_write` sees the device after each register write."""

    def __init__(self, flows: int = 64, listeners: int = 16) -> None:
        self.blocks = Blocks(flows, listeners)
        self.after_write: Callable[[], None] = lambda: None
        self.accesses = 0

    async def read(self, offset_bytes: int, width_bytes: int = 4) -> int:
        self.accesses += 1
        value = self.blocks.read(offset_bytes)
        assert value is not None and width_bytes == 4, hex(offset_bytes)
        return value

    async def write(self, offset_bytes: int, value: int, width_bytes: int = 4) -> None:
        self.accesses += 1
        assert 0 <= value < 1 << 32 and width_bytes == 4
        assert self.blocks.write(offset_bytes, value), hex(offset_bytes)
        self.after_write()

    def dma_alloc(self, size_bytes: int, align_bytes: int = 64) -> DmaRegion:
        raise NotImplementedError

    def dma_free(self, region: DmaRegion) -> None:
        raise NotImplementedError

    async def wait_irq(self, vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        raise NotImplementedError

    def now_ns(self) -> int:
        return 0
