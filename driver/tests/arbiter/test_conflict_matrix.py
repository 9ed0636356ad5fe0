# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501
"""The conflict matrix, cell by cell. Expected values are written here, never computed.

A line is `what exists | what is requested | outcome | source`. Addresses: W any, A and B two of the interface,
all of the base family; W' and X' the wildcard and an address of the other family. `dual` is [::] that takes IPv4.
Outcomes: ok, X (EADDRINUSE), EEXIST. Sources: section (b) of the behaviour tables that docs/arbiter.md starts from,
there [T] asserted by a test of the shipping system, [C] read in its code, [M] computed from its rules; D1.. are the
decisions of docs/arbiter.md.
"""

import errno
from random import Random

import pytest

from driver.arbiter.entries import ArbiterError, EntryFlag, Kind, Request
from driver.arbiter.registry import Registry

V6 = 0xFD00 << 112
LINK = 0xFE80 << 112 | 1
ADDRESSES = {4: {"A": 0x0A000001, "B": 0x0A000002}, 6: {"A": V6 | 1, "B": V6 | 2}}
PEERS = {4: 0x0B000000, 6: V6 | 0xB << 64}
OUTCOMES = {"ok": 0, "X": errno.EADDRINUSE, "EEXIST": errno.EEXIST}
PORT = 80

# Existing against requested, REUSE on neither, all user-space entries of one stack; for either base family.
TABLE = """
exists        | HOST W | HOST A | HOST B | HOST W' | HOST X' | LIS W | LIS A | LIS B | LIS W' | LIS X' | FLOW A | FLOW B | FLOW X'
HOST W        | ok M   | ok M   | ok M   | ok M    | ok M    | X M   | X M   | X M   | X T    | X M    | X M    | X M    | ok M
HOST A        | ok M   | ok M   | ok M   | ok M    | ok M    | X M   | X M   | X M   | X M    | X M    | X M    | ok M   | ok M
LIS W         | X M    | X M    | X M    | ok T    | ok M    | X M   | X M   | X M   | X M    | X M    | ok M   | ok M   | ok M
LIS A         | X M    | X M    | ok M   | ok M    | ok M    | X M   | X M   | X M   | X M    | X M    | ok M   | ok M   | ok M
FLOW A        | X M    | X M    | ok M   | ok M    | ok M    | X M   | X M   | X M   | X M    | X M    | X M    | ok M   | ok M
LIS A, FLOW A | X M    | X M    | ok M   | ok M    | ok M    | X M   | X M   | X M   | X M    | X M    | ok M   | ok M   | ok M
LIS W, FLOW A | X M    | X M    | X M    | ok M    | ok M    | X M   | X M   | X M   | X M    | X M    | ok M   | ok M   | ok M
"""

# base family | exists | requested | outcome | source
LINES = """
4 | LIS W' dual            | HOST W              | X      | D1 (GAP1)
4 | LIS W' dual            | HOST A              | X      | D1 (GAP1)
4 | LIS W' dual            | HOST W'             | X      | M
4 | LIS W' dual            | HOST X'             | X      | M
4 | LIS W' dual            | HOST W' dual        | X      | M
4 | LIS W' dual            | LIS W               | X      | M
4 | LIS W' dual            | FLOW A              | ok     | M
4 | LIS W' dual            | FLOW A @2           | X      | D2
4 | LIS W' dual, FLOW A    | FLOW A              | ok     | M
4 | LIS W' dual, FLOW A    | FLOW A again        | EEXIST | M
4 | LIS W' dual, FLOW A    | FLOW B              | ok     | M
4 | LIS W' dual, FLOW A    | HOST B              | X      | D1 (GAP1)
4 | LIS W'                 | HOST W              | ok     | D1 (GAP1): a listener of IPv6 only takes no IPv4
4 | LIS W'                 | HOST A              | ok     | D1 (GAP1)
4 | LIS W', FLOW A         | FLOW A              | X      | D1 (GAP1): nor do IPv4 flows belong to it
4 | HOST W                 | LIS W' dual         | X      | M
4 | HOST A                 | LIS W' dual         | X      | M
4 | HOST W' dual           | FLOW A              | X      | T
4 | HOST W' dual           | FLOW X'             | X      | M
4 | HOST W' dual           | LIS W               | X      | T
4 | HOST W' dual           | LIS A               | X      | T
4 | HOST W'                | FLOW A              | ok     | M
4 | HOST W'                | LIS W               | X      | T
4 | LIS W                  | HOST W' dual        | X      | T
4 | LIS A                  | HOST W' dual        | X      | T
4 | FLOW A                 | HOST W' dual        | X      | T
4 | LIS X'                 | HOST W' dual        | X      | M
4 | HOST W                 | HOST W' dual        | ok     | M
4 | HOST W' dual           | HOST A              | ok     | M
* | LIS A, FLOW A          | FLOW A again        | EEXIST | M
* | LIS W, FLOW A          | FLOW A again        | EEXIST | M
* | FLOW A                 | FLOW A again        | X      | M
* | LIS A                  | FLOW A @2           | X      | D2
* | LIS W                  | FLOW A @2           | X      | D2
* | LIS A                  | FLOW B @2           | ok     | M
* | FLOW A                 | FLOW B @2           | ok     | M
* | FLOW A                 | FLOW A @2           | X      | M
* | LIS W                  | LIS W @2            | X      | M
* | LIS A reuse            | LIS A reuse         | X      | T
* | LIS A reuse            | LIS A reuse @2      | X      | T
* | LIS W reuse            | LIS W reuse         | X      | T
* | LIS A reuse            | LIS B reuse         | ok     | M
* | LIS A reuse            | LIS W reuse         | ok     | M
* | LIS W reuse            | LIS A reuse @2      | ok     | M
* | LIS A reuse            | LIS W' reuse        | ok     | M
* | LIS A reuse            | LIS X' reuse        | ok     | M
* | FLOW A reuse           | LIS A reuse         | ok     | M
* | FLOW A reuse           | LIS A reuse @2      | ok     | M
* | FLOW A reuse           | LIS W reuse         | ok     | M
* | FLOW A reuse           | LIS A               | X      | D3
* | FLOW A                 | LIS A reuse         | X      | M
* | LIS A                  | LIS B reuse         | X      | M
* | LIS A reuse            | LIS B               | X      | D3
* | LIS A reuse, FLOW A    | LIS W reuse         | ok     | D3: the flow has the flag from its listener
* | FLOW A reuse, FLOW B   | LIS A reuse         | X      | D3: every entry there must have it
* | LIS A reuse            | HOST A              | X      | T
* | LIS A reuse            | HOST W              | X      | T
* | FLOW A reuse           | HOST A              | X      | T
* | HOST A                 | LIS A reuse         | X      | T
* | HOST A                 | LIS B reuse         | X      | M
* | FLOW A reuse           | FLOW A reuse        | X      | M
* | LIS W reuse, LIS A reuse @2 | FLOW A         | X      | D2: the more specific listener decides
* | LIS W reuse, LIS A reuse @2 | FLOW A @2      | ok     | D2
* | LIS W reuse, LIS A reuse @2 | FLOW B         | ok     | D2
4 | LIS W' dual reuse      | LIS W reuse         | X      | D1 (GAP1): the same place, [T] forbids it
4 | LIS W reuse            | LIS W' dual reuse   | X      | D1 (GAP1)
4 | LIS W' reuse           | LIS W reuse         | ok     | M
4 | LIS W' dual reuse      | LIS A reuse         | ok     | M
6 | HOST L1                | FLOW L2             | ok     | D4 (GAP3)
6 | HOST L1                | FLOW L1             | X      | M
6 | LIS L1                 | HOST L2             | ok     | D4 (GAP3)
6 | LIS L1                 | HOST L1             | X      | M
6 | FLOW L1                | HOST L2             | ok     | D4 (GAP3)
6 | FLOW L1                | FLOW L2             | ok     | D4 (GAP3)
6 | LIS W, FLOW L1         | FLOW L2 again       | ok     | D4 (GAP3): same tuple on another link
6 | LIS W, FLOW L1         | FLOW L1 again       | EEXIST | M
6 | LIS L1 reuse           | LIS L2 reuse        | ok     | D4 (GAP3)
6 | LIS L1                 | LIS L2              | X      | M
* | HOST A conn            | FLOW A              | X      | M
* | FLOW A                 | HOST A conn         | X      | M
* | LIS A                  | HOST A conn         | X      | M
* | HOST A conn            | HOST A conn         | ok     | M
"""

Case = tuple[int, str, str, str, str]


def cases() -> list[Case]:
    head, *rows = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
    found: list[Case] = []
    for row in rows:
        assert len(row) == len(head)
        for wish, cell in zip(head[1:], row[1:], strict=True):
            outcome, source = cell.split()
            found += [(base, row[0], wish, outcome, source) for base in (4, 6)]
    for line in LINES.strip().splitlines():
        base, exists, wish, outcome, source = (cell.strip() for cell in line.split("|"))
        bases = (4, 6) if base == "*" else (int(base),)
        found += [(family, exists, wish, outcome, source) for family in bases]
    return found


def request(base: int, text: str, proto: int, number: int, port: int = PORT) -> Request:
    """`LIS A reuse @2` and the like; connections differ in the peer's port unless they are `again`."""
    words = text.split()
    where, flags, stack = words[1], EntryFlag(0), 1
    if "reuse" in words:
        flags |= EntryFlag.REUSE
    if "dual" in words:
        flags |= EntryFlag.DUAL
    if "@2" in words:
        stack = 2
    family = 10 - base if where.endswith("'") else base
    zone, local = 0, None
    if where in ("L1", "L2"):
        zone, local = int(where[1]), LINK
    elif where[0] != "W":
        local = ADDRESSES[family][where[0].replace("X", "A")]
    kind = {"HOST": Kind.HOST, "LIS": Kind.LISTENER, "FLOW": Kind.FLOW}[words[0]]
    connected = kind is Kind.FLOW or "conn" in words
    peer = PEERS[family] if connected else None
    peer_port = (1000 if "again" in words else 1000 + number) if connected else 0
    stack = 0 if kind is Kind.HOST else stack
    return Request(stack, kind, proto, family, local, port, peer, peer_port, flags, zone)


def registry_with(base: int, exists: str, proto: int) -> Registry:
    registry = Registry(Random(1))
    for family, named in ADDRESSES.items():
        for address in named.values():
            registry.add_address(family, address)
    registry.add_address(6, LINK, 1)
    registry.add_address(6, LINK, 2)
    flows = 0
    for text in (one.strip() for one in exists.split(",")):
        registry.reserve(request(base, text, proto, flows))
        flows += "FLOW" in text
    return registry


def outcome_of(registry: Registry, wish: Request) -> int:
    before = registry.snapshot()
    try:
        entry = registry.reserve(wish)
    except ArbiterError as error:
        assert registry.snapshot() == before, "a refusal changed something"
        assert str(wish) in str(error)
        return error.errno
    assert registry.get(entry.token) == entry and len(registry) == len(before[1]) + 1
    return 0


@pytest.mark.parametrize("proto", [6, 17], ids=["tcp", "udp"])
@pytest.mark.parametrize(
    ("base", "exists", "wish", "outcome", "source"),
    [
        pytest.param(*case, id=f"v{case[0]}-{case[1]}-{case[2]}-{case[3]}-{case[4].split(':')[0]}")
        for case in cases()
    ],
)
def test_cell(base: int, exists: str, wish: str, outcome: str, source: str, proto: int) -> None:
    registry = registry_with(base, exists, proto)
    assert outcome_of(registry, request(base, wish, proto, 9)) == OUTCOMES[outcome], source
    # Another protocol and another port know nothing of it.
    for other in (
        request(base, wish, 23 - proto, 9),
        request(base, wish, proto, 9, PORT + 1),
    ):
        assert outcome_of(registry_with(base, exists, proto), other) == 0


@pytest.mark.parametrize("exists", ["HOST A", "LIS A", "FLOW A"])
def test_a_released_entry_is_in_nobodys_way(exists: str) -> None:
    for _, _, wish, _, _ in cases():
        registry = registry_with(4, exists, 6)
        for entry in list(registry.entries()):
            if entry.kind is not Kind.PROTOCOL:
                registry.release(entry.token, entry.stack, 0)
        if "L" not in wish.split()[1]:
            assert outcome_of(registry, request(4, wish, 6, 9)) == 0


def test_the_table_has_every_kind_of_source_and_outcome() -> None:
    assert {case[3] for case in cases()} == set(OUTCOMES)
    sources = " ".join(case[4] for case in cases())
    assert all(name in sources for name in ("M", "T", "D1", "D2", "D3", "D4", "GAP1", "GAP3"))
    assert len(set(cases())) == len(cases())


RAW = """
stack 1 proto 132 | stack 2 proto 132          | EEXIST | C
stack 1 proto 132 | stack 1 proto 132          | EEXIST | D5
stack 1 proto 132 | stack 1 proto 132 A        | ok     | C
stack 1 proto 132 | stack 1 proto 132 A peer   | ok     | C
stack 1 proto 132 A | stack 2 proto 132 B      | EEXIST | C
stack 1 proto 132 | stack 0 proto 132          | EEXIST | C
stack 1 proto 132 | stack 2 proto 133          | ok     | C
stack 1 proto 132 | stack 1 proto 1            | EEXIST | C: the host's from the start
stack 1 proto 132 | stack 1 proto 58           | EEXIST | C
stack 0 proto 132 | stack 1 proto 132          | EEXIST | C
"""


def raw(text: str) -> Request:
    words = text.split()
    local = ADDRESSES[4]["A" if "A" in words else "B"] if {"A", "B"} & set(words) else None
    peer = PEERS[4] if "peer" in words else None
    return Request(int(words[1]), Kind.PROTOCOL, int(words[3]), 4, local, 0, peer)


@pytest.mark.parametrize("line", RAW.strip().splitlines())
def test_raw_protocols(line: str) -> None:
    exists, wish, outcome, source = (cell.strip() for cell in line.split("|"))
    registry = registry_with(4, "HOST W", 6)
    registry.reserve(raw(exists))
    assert outcome_of(registry, raw(wish)) == OUTCOMES[outcome], source
