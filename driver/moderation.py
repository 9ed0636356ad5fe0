# SPDX-License-Identifier: Apache-2.0
"""Interrupt moderation in the device, per virtqueue: by count and by time, whichever is reached first.

It comes after event suppression: what the driver's event structure does not ask for is not counted. For the
driver's own moderation by ring position see NicConfig.rx_interrupt_after.
"""

from dataclasses import dataclass

from driver.bus import Bus
from driver.errors import UsageError
from driver.registers import MODERATION

CLOCK_HZ = 250_000_000
TIME_CYCLES = 64  # unit of the time register
COUNT_MAX = 65535
TIME_MAX = 65535
VIRTQUEUES_MAX = 128


@dataclass(frozen=True, slots=True)
class Moderation:
    """When a virtqueue's interrupt leaves; the defaults mean at once."""

    count: int = 0  # used descriptors until then; 0 and 1: at once
    time_ns: int = 0  # from the first event held back; 0: at once, whatever `count` says

    def __post_init__(self) -> None:
        if not 0 <= self.count <= COUNT_MAX:
            raise UsageError(f"moderation: count {self.count} is not in 0..{COUNT_MAX}")
        if self.time_ns < 0:
            raise UsageError(f"moderation: time of {self.time_ns} ns")


def time_register(time_ns: int, clock_hz: int = CLOCK_HZ) -> int:
    """The time in units of the register, rounded up."""
    units = -(-time_ns * clock_hz // (TIME_CYCLES * 1_000_000_000))
    if units > TIME_MAX:
        raise UsageError(f"moderation: {time_ns} ns is more than the device can count at {clock_hz} Hz")
    return units


async def set_moderation(bus: Bus, index: int, wanted: Moderation, clock_hz: int = CLOCK_HZ) -> int:
    """Set virtqueue `index` (2 * pair, + 1 for transmit); return the time as it came out, in ns."""
    units = time_register(wanted.time_ns, clock_hz)
    await _select(bus, index)
    await bus.write(MODERATION.COUNT.offset_bytes, wanted.count)
    await bus.write(MODERATION.TIME.offset_bytes, units)
    return _time_ns(units, clock_hz)


async def get_moderation(bus: Bus, index: int, clock_hz: int = CLOCK_HZ) -> Moderation:
    """What virtqueue `index` has."""
    await _select(bus, index)
    count = await bus.read(MODERATION.COUNT.offset_bytes)
    return Moderation(count, _time_ns(await bus.read(MODERATION.TIME.offset_bytes), clock_hz))


def _time_ns(units: int, clock_hz: int) -> int:
    return units * TIME_CYCLES * 1_000_000_000 // clock_hz


async def _select(bus: Bus, index: int) -> None:
    if not 0 <= index < VIRTQUEUES_MAX:
        raise UsageError(f"virtqueue {index} is not in 0..{VIRTQUEUES_MAX - 1}")
    await bus.write(MODERATION.SELECT.offset_bytes, index)
