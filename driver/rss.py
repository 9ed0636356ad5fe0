# SPDX-License-Identifier: Apache-2.0
"""Receive-side scaling: key, hash types and indirection table. VIRTIO 1.2 section 5.1.6.4.3."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from driver.bus import Bus
from driver.errors import UsageError
from driver.registers import RSS, HashType
from driver.toeplitz import Toeplitz
from driver.tuples import Address

__all__ = [
    "ALL_TYPES", "MICROSOFT_KEY", "HashReport", "HashType", "RssConfig", "RssHash", "get_rss", "set_rss",
    "spread", "update_table",
]  # fmt: skip

KEY_BYTES = 40
TABLE_ENTRIES = 128
HASH_INPUT_BYTES = 36  # two IPv6 addresses and two ports
# The key of Microsoft's published verification suite ("Verifying the RSS hash calculation").
MICROSOFT_KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)


ALL_TYPES = HashType(0x3F)


class HashReport(IntEnum):
    """What a received frame's hash was made of, VIRTIO 1.2 section 5.1.6.4.4."""

    NONE = 0
    IPV4 = 1
    TCPV4 = 2
    UDPV4 = 3
    IPV6 = 4
    TCPV6 = 5
    UDPV6 = 6


def spread(pairs: Sequence[int]) -> tuple[int, ...]:
    """An indirection table that gives each of these queue pairs its turn; repeat one for a larger share."""
    if not pairs:
        raise UsageError("RSS: no queue pair to spread over")
    return tuple(pairs[k % len(pairs)] for k in range(TABLE_ENTRIES))


@dataclass(frozen=True, slots=True)
class RssConfig:
    """How frames without an entry are spread over queue pairs."""

    table: tuple[int, ...] = (0,) * TABLE_ENTRIES  # queue pair by the hash's low 7 bits
    types: HashType = ALL_TYPES
    key: bytes = MICROSOFT_KEY
    enable: bool = True  # False: hashes are still made and reported, but steer nothing

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise UsageError(f"RSS: key of {len(self.key)} bytes, not {KEY_BYTES}")
        if len(self.table) != TABLE_ENTRIES:
            raise UsageError(f"RSS: table of {len(self.table)} entries, not {TABLE_ENTRIES}")
        if not all(0 <= pair < 64 for pair in self.table):
            raise UsageError("RSS: a queue pair of the table is not in 0..63")
        if int(self.types) & ~int(ALL_TYPES):
            raise UsageError(f"RSS: unknown hash types {self.types:#x}")


async def set_rss(bus: Bus, config: RssConfig) -> None:
    """Write key, types and table; steering by them is off meanwhile."""
    await bus.write(RSS.CONTROL.offset_bytes, 0)
    for word, value in enumerate(_words(config.key)):
        await bus.write(RSS.KEY.at(word).offset_bytes, value)
    for word, value in enumerate(_words(bytes(config.table))):
        await bus.write(RSS.TABLE.at(word).offset_bytes, value)
    await bus.write(RSS.HASH_TYPES.offset_bytes, int(config.types))
    await bus.write(RSS.CONTROL.offset_bytes, RSS.CONTROL_RSS_ENABLE.put(int(config.enable)))


async def get_rss(bus: Bus) -> RssConfig:
    """What the device has now."""
    key = [await bus.read(RSS.KEY.at(word).offset_bytes) for word in range(KEY_BYTES // 4)]
    table = [await bus.read(RSS.TABLE.at(word).offset_bytes) for word in range(TABLE_ENTRIES // 4)]
    control = await bus.read(RSS.CONTROL.offset_bytes)
    return RssConfig(
        tuple(_bytes(table)),
        HashType(await bus.read(RSS.HASH_TYPES.offset_bytes)),
        _bytes(key),
        bool(RSS.CONTROL_RSS_ENABLE.get(control)),
    )


async def update_table(bus: Bus, old: RssConfig, table: Iterable[int]) -> RssConfig:
    """Change the indirection table alone, word by word while it is in use; return the new configuration."""
    new = RssConfig(tuple(table), old.types, old.key, old.enable)
    words = zip(_words(bytes(old.table)), _words(bytes(new.table)), strict=True)
    for word, (before, after) in enumerate(words):
        if before != after:
            await bus.write(RSS.TABLE.at(word).offset_bytes, after)
    return new


class RssHash:
    """The hash that the device makes with a configuration; for predictions and software queues."""

    def __init__(self, config: RssConfig) -> None:
        self.config = config
        self._hash = Toeplitz(config.key, HASH_INPUT_BYTES)

    def hash(self, source: Address, target: Address, ports: tuple[int, int] | None = None) -> int:
        """32-bit hash over both addresses and, if given, source and destination port."""
        data = source.packed + target.packed
        if ports is not None:
            data += ports[0].to_bytes(2, "big") + ports[1].to_bytes(2, "big")
        return self._hash.hash(data)

    def pair(self, value: int) -> int:
        """The queue pair for a hash."""
        return self.config.table[value % TABLE_ENTRIES]


def _words(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]


def _bytes(words: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in words)
