# SPDX-License-Identifier: Apache-2.0
"""What random lives ask for: few addresses, few ports, so that entries meet."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

from driver.arbiter.entries import ArbiterError, Entry, EntryFlag, Kind, Request
from driver.tests.arbiter.model import FLOW, HOST, LISTENER, PROTOCOL, Item, Space

T = TypeVar("T")
TCP, UDP = 6, 17
V6 = 0xFD00 << 112
LOCAL = 0xFE80 << 112
PLACES: Sequence[Space] = [
    (4, 0x0A000001, 0),
    (4, 0x0A000002, 0),
    (6, V6 | 1, 0),
    (6, LOCAL | 1, 1),
    (6, LOCAL | 1, 2),
]
ANY: Sequence[Space] = [(4, None, 0), (6, None, 0)]
PORTS = [1, 2, 3]
REMOTES = {4: 0x0B000000, 6: V6 | 0xB << 64}
RAW = [132, 47]  # 47 is the host's from the start
BITS = {flag.name or "": int(flag) for flag in EntryFlag}


STEPS: Sequence[tuple[str, int]] = [
    ("reserve", 20),
    ("reserve_again", 10),
    ("beside", 15),
    ("close_and_reopen", 3),
    ("reserve_stale", 6),
    ("ephemeral", 6),
    ("arm", 18),
    ("cancel", 2),
    ("set_software", 2),
    ("mark", 12),
    ("rebind", 5),
    ("release", 7),
    ("release_stack", 1),
    ("hand_over", 8),
    ("take", 2),
    ("pass_time", 4),
    ("interface", 3),
    ("restrict", 2),
]


class Chooser(Protocol):
    """Where a step's choices come from."""

    def below(self, bound: int, /) -> int: ...


class Dice:
    """Choices from a seed."""

    def __init__(self, seed: int) -> None:
        self.below = Random(seed).randrange


def one(choose: Chooser, of: Sequence[T]) -> T:
    return of[choose.below(len(of))]


def attempt(call: Callable[[], object]) -> tuple[int, object]:
    """(errno or 0, what came of it)"""
    try:
        return 0, call()
    except ArbiterError as error:
        return error.errno, error


def random_item(choose: Chooser) -> Item:
    """Something that a stack may ask for; mostly valid, not always possible."""
    kind = one(choose, [HOST, HOST, LISTENER, LISTENER, FLOW, FLOW, FLOW, PROTOCOL])
    stack = 0 if kind == HOST else choose.below(3) + (kind != PROTOCOL)
    proto = one(choose, RAW) if kind == PROTOCOL else one(choose, [TCP, TCP, UDP])
    wide = kind != FLOW and choose.below(2)
    family, local, zone = one(choose, ANY if wide else PLACES)
    item = Item(stack, kind, proto, family, local, zone, 0 if kind == PROTOCOL else one(choose, PORTS))
    if kind == FLOW or (kind in (HOST, PROTOCOL) and not wide and choose.below(2)):
        item.remote = REMOTES[family] + choose.below(2)
        item.remote_port = 0 if kind == PROTOCOL else 1000
    if kind in (LISTENER, FLOW) and choose.below(2):
        item.flags |= {"REUSE"}
    if family == 6 and wide and choose.below(2):
        item.flags |= {"DUAL"}
    return item


def request(item: Item, generation: int | None = None, **more: Any) -> Request:
    flags = EntryFlag(sum(BITS[name] for name in item.flags))
    values = (item.proto, item.family, item.local, item.port, item.remote, item.remote_port)
    return Request(item.stack, Kind[item.kind], *values, flags, item.zone, generation, **more)


def same(entry: Entry, item: Item, flags: frozenset[str]) -> bool:
    return (
        entry.stack == item.stack
        and entry.kind.name == item.kind
        and entry.proto == item.proto
        and entry.family == item.family
        and entry.local == item.local
        and entry.zone == item.zone
        and entry.local_port == item.port
        and entry.remote == item.remote
        and entry.remote_port == item.remote_port
        and int(entry.flags) == sum(BITS[name] for name in flags)
        and (entry.flow_id != 0) == (entry.stack != 0)
    )


def touches(what: Entry | int, item: Item) -> bool:
    """Whether a change can be news for who wants an item; a token that went may have come and gone since."""
    return isinstance(what, int) or (what.proto, what.local_port) == (item.proto, item.port)
