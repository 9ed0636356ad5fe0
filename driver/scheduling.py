# SPDX-License-Identifier: Apache-2.0
"""How transmit queues share the wire: a weight, one of two priority classes, and a rate limit for each.

Within a class, backlogged queues share by deficit round robin in bytes, each by its weight; a high class is
served first. The limit is a token bucket. The device counts cycles; here rates are bytes a second.
"""

from dataclasses import dataclass

from driver.bus import Bus
from driver.errors import UsageError
from driver.registers import SCHED

CLOCK_HZ = 250_000_000
WEIGHT_MAX = 65535
RATE_CYCLES = 1024  # the rate register counts 16ths of bytes in so many cycles
RATE_FRACTION = 16
WORD_MAX = 0xFFFF_FFFF
PAIRS_MAX = 64
READ_COST_MAX = 255
READ_COST_BYTES = 128  # two beats of a 512-bit bus: what a short read takes


@dataclass(frozen=True, slots=True)
class TxShare:
    """What one transmit queue gets; the defaults are those of the device after its reset."""

    weight: int = 32  # 1..65535; the quantum of a round is weight * 64 bytes
    high: bool = False  # the class that is served first
    rate_bytes_per_s: int = 0  # 0: no limit
    burst_bytes: int = 65536  # how much may go at once after a pause; at least one frame

    def __post_init__(self) -> None:
        if not 1 <= self.weight <= WEIGHT_MAX:
            raise UsageError(f"weight {self.weight} is not in 1..{WEIGHT_MAX}")
        if self.rate_bytes_per_s < 0:
            raise UsageError(f"rate of {self.rate_bytes_per_s} bytes a second")
        if not 1 <= self.burst_bytes <= WORD_MAX:
            raise UsageError(f"burst of {self.burst_bytes} bytes")


def rate_register(rate_bytes_per_s: int, clock_hz: int = CLOCK_HZ) -> int:
    """The register value nearest to a rate; never 0, which means no limit, for a rate above 0."""
    if rate_bytes_per_s == 0:
        return 0
    value = max(1, round(rate_bytes_per_s * RATE_CYCLES * RATE_FRACTION / clock_hz))
    if value > WORD_MAX:
        raise UsageError(
            f"rate of {rate_bytes_per_s} bytes a second: too high at {clock_hz} Hz; 0 is no limit"
        )
    return value


def rate_of(register: int, clock_hz: int = CLOCK_HZ) -> float:
    """Bytes a second that a register value means; 0 for no limit."""
    return register * clock_hz / (RATE_CYCLES * RATE_FRACTION)


async def set_tx_share(bus: Bus, pair: int, share: TxShare, clock_hz: int = CLOCK_HZ) -> float:
    """Set what the transmit queue of a pair gets; return the rate limit as it came out, bytes a second."""
    rate = rate_register(share.rate_bytes_per_s, clock_hz)
    await _select(bus, pair)
    await bus.write(SCHED.WEIGHT.offset_bytes, share.weight)
    await bus.write(SCHED.CLASS.offset_bytes, SCHED.CLASS_HIGH.put(int(share.high)))
    await bus.write(SCHED.BURST.offset_bytes, share.burst_bytes)
    await bus.write(SCHED.RATE.offset_bytes, rate)
    return rate_of(rate, clock_hz)


async def get_tx_share(bus: Bus, pair: int, clock_hz: int = CLOCK_HZ) -> TxShare:
    """What the transmit queue of a pair has; the rate rounded to whole bytes a second."""
    await _select(bus, pair)
    return TxShare(
        await bus.read(SCHED.WEIGHT.offset_bytes),
        bool(SCHED.CLASS_HIGH.get(await bus.read(SCHED.CLASS.offset_bytes))),
        round(rate_of(await bus.read(SCHED.RATE.offset_bytes), clock_hz)),
        await bus.read(SCHED.BURST.offset_bytes),
    )


async def set_read_cost(bus: Bus, cost_bytes: int) -> None:
    """Set the least charge of a read, for all queues: 0..255 bytes, 0 after a hard reset.

    A chain counts its bytes, at least 60, or this for each read of up to 256 bytes, one descriptor, or an
    indirect table, whichever is more. Two beats of the bus (READ_COST_BYTES) make a queue pay for the time
    that it takes; where queues do not trust each other this is what keeps their shares. 0 shares bytes,
    whatever they cost.
    """
    if not 0 <= cost_bytes <= READ_COST_MAX:
        raise UsageError(f"a read's cost of {cost_bytes} bytes is not in 0..{READ_COST_MAX}")
    await bus.write(SCHED.READ_COST.offset_bytes, SCHED.READ_COST_BYTES.put(cost_bytes))


async def get_read_cost(bus: Bus) -> int:
    """The least charge of a read, in bytes."""
    return int(SCHED.READ_COST_BYTES.get(await bus.read(SCHED.READ_COST.offset_bytes)))


async def _select(bus: Bus, pair: int) -> None:
    if not 0 <= pair < PAIRS_MAX:
        raise UsageError(f"queue pair {pair} is not in 0..{PAIRS_MAX - 1}")
    await bus.write(SCHED.SELECT.offset_bytes, pair)
