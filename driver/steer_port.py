# SPDX-License-Identifier: Apache-2.0
"""The register interface of the device's look-up tables: staged keys, commands, the local address list.

One command at a time: a second coroutine that comes in between is refused, not queued.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from driver.bus import Bus
from driver.errors import DeviceTimeout, TableMismatch, UsageError
from driver.registers import STEER, Reg, SteerOp
from driver.tuples import KeyFields

POLLS_MAX = 10_000  # a command takes some cycles, a poll more; only a hard reset keeps it busy for long
WORD = 0xFFFF_FFFF
KEY_WORDS = 4
TABLE_KEY_WORDS = 12


@dataclass(frozen=True, slots=True)
class Slot:
    """Content of one valid slot."""

    key: KeyFields
    target: int
    pair: int
    entry_id: int
    generation: int


class SteerPort:
    """STEER's registers. Staged words are remembered, so equal ones are not written again."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._staged: dict[int, int] = {}
        self._open = (
            True  # a command may be going on: ours that was cut short, or the start after a hard reset
        )
        self._user = ""

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold the port for a sequence of commands; UsageError if another coroutine does."""
        if self._user:
            raise UsageError(f"{what}: another coroutine is in the middle of {self._user}")
        self._user = what
        try:
            yield
        finally:
            self._user = ""

    async def write_slot(self, op: SteerOp, slot: int, content: Slot) -> None:
        """Write all fields of a slot at once."""
        if self._open:
            await self._ready("an earlier command")
        key = content.key
        for regs, value in ((STEER.KEY_LOCAL, key.local), (STEER.KEY_REMOTE, key.remote)):
            for word in range(KEY_WORDS):
                await self._stage(regs.at(word), value >> 32 * (KEY_WORDS - 1 - word) & WORD)
        await self._stage(STEER.KEY_PORTS, key.ports)
        await self._stage(STEER.KEY_PROTO, key.proto)
        entry = STEER.ENTRY_TARGET.put(content.target) | STEER.ENTRY_PAIR.put(content.pair)
        await self._stage(STEER.ENTRY, entry)
        number = STEER.ENTRY_ID_ID.put(content.entry_id)
        await self._stage(STEER.ENTRY_ID, number | STEER.ENTRY_ID_GENERATION.put(content.generation))
        await self.command(op, slot)

    async def read_slot(self, op: SteerOp, slot: int) -> Slot | None:
        """Read a slot back; None if it is not valid."""
        self._staged.clear()  # a read fills the staging registers
        await self.command(op, slot)
        entry = await self._read(STEER.ENTRY)
        if not STEER.ENTRY_VALID.get(entry):
            return None
        numbers = await self._read(STEER.ENTRY_ID)
        local = remote = 0
        for word in range(KEY_WORDS):
            local = local << 32 | await self._read(STEER.KEY_LOCAL.at(word))
            remote = remote << 32 | await self._read(STEER.KEY_REMOTE.at(word))
        fields = KeyFields(
            local, remote, await self._read(STEER.KEY_PORTS), await self._read(STEER.KEY_PROTO)
        )
        return Slot(
            fields,
            STEER.ENTRY_TARGET.get(entry),
            STEER.ENTRY_PAIR.get(entry),
            STEER.ENTRY_ID_ID.get(numbers),
            STEER.ENTRY_ID_GENERATION.get(numbers),
        )

    async def read_hits(self, op: SteerOp, entry_id: int) -> int:
        """The hit counter of an id."""
        await self.command(op, entry_id)
        return await self._read(STEER.HITS.lo) | await self._read(STEER.HITS.hi) << 32

    async def command(self, op: SteerOp, index: int) -> None:
        """Run one command to its end; TableMismatch if the device calls it bad."""
        if self._open:
            await self._ready("an earlier command")
        self._open = True
        await self._write(STEER.COMMAND, STEER.COMMAND_OP.put(op) | STEER.COMMAND_INDEX.put(index))
        if STEER.STATUS_BAD.get(await self._ready(f"table command {op.name}")):
            raise TableMismatch(f"the device refuses {op.name} of {index}")

    async def _ready(self, what: str) -> int:
        """Wait until the device would take a command (it ignores one while it is busy); return the status."""
        start_ns = self.bus.now_ns()
        for _ in range(POLLS_MAX):
            status = await self._read(STEER.STATUS)
            if not STEER.STATUS_BUSY.get(status):
                self._open = False
                return status
        raise DeviceTimeout(what, self.bus.now_ns() - start_ns)

    # Settings -----------------------------------------------------------------------------------------

    async def capacities(self) -> tuple[int, int]:
        """Slots of the flow table and of the listener table."""
        return await self._read(STEER.FLOW_CAPACITY), await self._read(STEER.LISTENER_CAPACITY)

    async def enable(self, on: bool) -> None:
        """Let the tables decide about frames, or not."""
        await self._write(STEER.CONTROL, STEER.CONTROL_TABLES_ENABLE.put(int(on)))

    async def table_key(self) -> bytes:
        """The key of the tables' hash, first bit first."""
        words = [await self._read(STEER.TABLE_KEY.at(word)) for word in range(TABLE_KEY_WORDS)]
        return b"".join(word.to_bytes(4, "big") for word in words)

    async def set_table_key(self, key: bytes) -> None:
        """Another key; only while both tables are empty."""
        if len(key) != 4 * TABLE_KEY_WORDS:
            raise UsageError(f"table key of {len(key)} bytes, not {4 * TABLE_KEY_WORDS}")
        if self._open:
            await self._ready("an earlier command")
        for word in range(TABLE_KEY_WORDS):
            await self._write(STEER.TABLE_KEY.at(word), int.from_bytes(key[4 * word : 4 * word + 4], "big"))

    async def write_local(self, index: int, address: int, *, ipv6: bool, valid: bool) -> None:
        """Set one entry of the local address list."""
        await self._write(STEER.LOCAL_SELECT, index)
        for word in range(KEY_WORDS):
            await self._write(STEER.LOCAL_ADDR.at(word), address >> 32 * (KEY_WORDS - 1 - word) & WORD)
        control = STEER.LOCAL_CONTROL_VALID.put(int(valid)) | STEER.LOCAL_CONTROL_IPV6.put(int(ipv6))
        await self._write(STEER.LOCAL_CONTROL, control)

    async def _stage(self, reg: Reg, value: int) -> None:
        if self._staged.get(reg.offset_bytes) != value:
            self._staged.pop(reg.offset_bytes, None)  # unknown if this write is cut short
            await self._write(reg, value)
            self._staged[reg.offset_bytes] = value

    async def _write(self, reg: Reg, value: int) -> None:
        await self.bus.write(reg.offset_bytes, value)

    async def _read(self, reg: Reg) -> int:
        return await self.bus.read(reg.offset_bytes)
