# SPDX-License-Identifier: Apache-2.0
"""What a queue pair may touch and send: I/O address windows, and the flow guard on its transmit side.

Both belong to the privileged side: a program that owns a queue pair alone has no way to these registers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from driver.bus import Bus, DmaRegion
from driver.errors import UsageError, WindowRefused
from driver.registers import GUARD

RANGES = 4  # a pair has so many
PAIRS_MAX = 64
ADDRESS_END = 1 << 64


@dataclass(frozen=True, slots=True)
class Window:
    """Bytes base..last of I/O address space, and what the device may do there for the pair."""

    base: int
    last: int  # inclusive
    read: bool = True
    write: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.base <= self.last < ADDRESS_END:
            raise UsageError(f"window {self.base:#x}..{self.last:#x} is none")

    @classmethod
    def of(cls, region: DmaRegion, *, read: bool = True, write: bool = True) -> "Window":
        """The window over one region of memory."""
        return cls(region.iova, region.iova + region.size_bytes - 1, read, write)

    def covers(self, addr: int, size_bytes: int, *, write: bool) -> bool:
        """Whether it allows this access as a whole."""
        inside = self.base <= addr and addr + size_bytes - 1 <= self.last
        return inside and (self.write if write else self.read)

    def __str__(self) -> str:
        rights = ("r" if self.read else "-") + ("w" if self.write else "-")
        return f"{self.base:#x}..{self.last:#x} {rights}"


NOTHING = Window(0, 0, read=False, write=False)


@dataclass(frozen=True, slots=True)
class PairRights:
    """Everything that the GUARD block says of one pair."""

    guard: bool
    windows: bool
    ranges: tuple[Window, ...]


class Guard:
    """The GUARD block of one device."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def set_range(self, pair: int, number: int, window: Window | None) -> None:
        """Set or (None) clear range 0..3 of a pair.

        WindowRefused if the range has rights and a virtqueue of the pair is enabled: widen by using a free
        range, take rights away only with the queues off.
        """
        _check(pair, number)
        window = window or NOTHING
        await self._select(pair, number)
        for reg, value in ((GUARD.WIN_BASE, window.base), (GUARD.WIN_LAST, window.last)):
            await self._bus.write(reg.lo.offset_bytes, value & 0xFFFF_FFFF)
            await self._bus.write(reg.hi.offset_bytes, value >> 32)
        rights = GUARD.WIN_RIGHTS_READ.put(int(window.read)) | GUARD.WIN_RIGHTS_WRITE.put(int(window.write))
        await self._bus.write(GUARD.WIN_RIGHTS.offset_bytes, rights)
        status = await self._bus.read(GUARD.STATUS.offset_bytes)
        if GUARD.STATUS_REFUSED.get(status):
            raise WindowRefused(f"pair {pair}: range {number} has rights and a queue of the pair is enabled")

    async def set_windows(self, pair: int, windows: Iterable[Window], *, on: bool = True) -> None:
        """Give a pair exactly these windows, at most 4, and switch their checking on (or off).

        A range that has what it shall have is not written, so this may be repeated while the pair works.
        """
        wanted = list(windows)
        if len(wanted) > RANGES:
            raise UsageError(f"pair {pair}: {len(wanted)} windows, at most {RANGES}")
        for number in range(RANGES):
            window = wanted[number] if number < len(wanted) else None
            if await self._range(pair, number) != window:
                await self.set_range(pair, number, window)
        await self._control(pair, windows=on)

    async def check_windows(self, pair: int, on: bool) -> None:
        """Switch the checking of a pair's windows on or off; without it the pair may touch everything."""
        await self._control(pair, windows=on)

    async def guard(self, pair: int, on: bool = True) -> None:
        """Switch the flow guard of a pair on or off. UsageError for pair 0, which is the privileged one."""
        if pair == 0 and on:
            raise UsageError("pair 0 is the privileged side's: it has no flow guard")
        await self._control(pair, guard=on)

    async def read(self, pair: int) -> PairRights:
        """What the device has for a pair."""
        ranges = [await self._range(pair, number) for number in range(RANGES)]
        control = await self._bus.read(GUARD.PAIR_CONTROL.offset_bytes)
        return PairRights(
            bool(GUARD.PAIR_CONTROL_GUARD.get(control)),
            bool(GUARD.PAIR_CONTROL_WINDOWS.get(control)),
            tuple(window for window in ranges if window is not None),
        )

    async def _range(self, pair: int, number: int) -> Window | None:
        """A range as committed; None if it has no rights."""
        _check(pair, number)
        await self._select(pair, number)
        rights = await self._bus.read(GUARD.WIN_RIGHTS.offset_bytes)
        read, write = GUARD.WIN_RIGHTS_READ.get(rights), GUARD.WIN_RIGHTS_WRITE.get(rights)
        if not read and not write:
            return None
        base = await self._bus.read(GUARD.WIN_BASE.lo.offset_bytes)
        base |= await self._bus.read(GUARD.WIN_BASE.hi.offset_bytes) << 32
        last = await self._bus.read(GUARD.WIN_LAST.lo.offset_bytes)
        last |= await self._bus.read(GUARD.WIN_LAST.hi.offset_bytes) << 32
        return Window(base, last, bool(read), bool(write))

    async def _control(self, pair: int, *, guard: bool | None = None, windows: bool | None = None) -> None:
        _check(pair, 0)
        await self._select(pair, 0)
        old = await self._bus.read(GUARD.PAIR_CONTROL.offset_bytes)
        new_guard = GUARD.PAIR_CONTROL_GUARD.get(old) if guard is None else int(guard)
        new_windows = GUARD.PAIR_CONTROL_WINDOWS.get(old) if windows is None else int(windows)
        value = GUARD.PAIR_CONTROL_GUARD.put(new_guard) | GUARD.PAIR_CONTROL_WINDOWS.put(new_windows)
        await self._bus.write(GUARD.PAIR_CONTROL.offset_bytes, value)

    async def _select(self, pair: int, number: int) -> None:
        value = GUARD.SELECT_PAIR.put(pair) | GUARD.SELECT_RANGE.put(number)
        await self._bus.write(GUARD.SELECT.offset_bytes, value)


def _check(pair: int, number: int) -> None:
    if not 0 <= pair < PAIRS_MAX:
        raise UsageError(f"queue pair {pair} is not in 0..{PAIRS_MAX - 1}")
    if not 0 <= number < RANGES:
        raise UsageError(f"range {number} is not in 0..{RANGES - 1}")
