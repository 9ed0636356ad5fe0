# SPDX-License-Identifier: Apache-2.0
"""Which queue a received frame goes to: the steering order, step by step."""

from dataclasses import dataclass, field

from cocotb_tests.model.parse_model import EXTENSIONS, TCP, UDP, Parsed, parse
from cocotb_tests.model.rss_model import hash_and_report

HOST = 0
FLOW, LISTENER, ANY = 1, 2, 3
TO_QUEUE, TO_HOST, TO_DROP = 0, 1, 2


@dataclass(frozen=True)
class Question:
    """What a table is asked; addresses as octets, `local` is this side."""

    ipv6: bool
    proto: int
    local: bytes
    remote: bytes
    local_port: int
    remote_port: int


@dataclass(frozen=True)
class Answer:
    """What a table says; match 0: nothing found."""

    match: int = 0
    target: int = 0
    pair: int = 0
    local_ok: bool = False


@dataclass
class Rss:
    """The registers of the RSS block."""

    enable: bool = False
    types: int = 0
    key: bytes = bytes(40)
    table: bytes = bytes(128)


@dataclass
class Outcome:
    """What becomes of a frame."""

    pair: int = HOST
    drop: bool = False
    csum_ok: bool = False
    hash: int = 0
    report: int = 0
    counted: set[str] = field(default_factory=set)


def is_ours(found: Parsed, mac: bytes) -> bool:
    return found.dst_mac == mac or bool(found.dst_mac[0] & 1)


def may_leave_host(found: Parsed, mac: bytes) -> bool:
    """Only whole, sane IP packets for this interface go anywhere but to the host."""
    return is_ours(found, mac) and found.ip and not (found.malformed or found.fragment or found.icmp)


def question(frame: bytes, mac: bytes) -> Question | None:
    """Return what the tables are asked about a frame, if they are."""
    found = parse(frame)
    if not may_leave_host(found, mac) or found.vlans:
        return None
    if not (found.tcp or found.udp) and (
        found.proto in (TCP, UDP) or (found.ipv6 and found.proto in EXTENSIONS)
    ):
        return None  # the ports are hidden
    return Question(found.ipv6, found.proto, found.dst, found.src, found.dport, found.sport)


def is_group_address(found: Parsed) -> bool:
    if found.ipv6:
        return found.dst[0] == 0xFF
    return found.dst[0] >> 4 == 0xE or found.dst == b"\xff\xff\xff\xff"


def classify(frame: bytes, mac: bytes, pairs: int, rss: Rss, answer: Answer | None) -> Outcome:
    """Return what becomes of a frame, given the tables' answer to its question."""
    found = parse(frame)
    outcome = Outcome(csum_ok=found.csum == "ok")
    outcome.hash, outcome.report = hash_and_report(found, rss.types, rss.key)
    if found.malformed:
        outcome.counted.add("malformed")
    if found.fragment:
        outcome.counted.add("fragment")
    if found.csum:
        outcome.counted.add(f"csum_{found.csum}")
    hit = answer is not None and answer.match != 0
    if hit and answer is not None and answer.match == ANY:
        hit = answer.local_ok or is_group_address(found)
    if hit and answer is not None:
        outcome.counted.add({FLOW: "flow", LISTENER: "listener", ANY: "any"}[answer.match])
        outcome.drop = answer.target == TO_DROP
        outcome.pair = answer.pair if answer.target == TO_QUEUE else HOST
    elif rss.enable and outcome.report and may_leave_host(found, mac):
        outcome.counted.add("rss")
        outcome.pair = rss.table[outcome.hash & 127]
    else:
        outcome.counted.add("host")
    if outcome.pair >= pairs:
        outcome.pair = HOST
    return outcome
