# SPDX-License-Identifier: Apache-2.0
"""May a frame be sent, and with which offload: the rules one after the other, as docs/steering.md lists them.

Frames are judged by what their first 128 bytes say. Each answer names the rule, so that tests can tell
whether all of them were met.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from cocotb_tests.model.parse_model import ICMP, ICMPV6, TCP, UDP, WINDOW, Parsed, number, parse
from cocotb_tests.model.steer_model import ANY, FLOW, NONE, QUEUE, Answer, Tuple

FRAME_MIN, FRAME_MAX = 14, 9728
GUARD_GSO_LEAST = 512  # a chain of smaller segments would hold up the wire for too long
TSO4, TSO6, ECN = 1, 4, 0x80
SHORT, HEADER, MAC, PROTO, FRAGMENT, OWNER, TUPLE = 12, 14, 32, 33, 34, 35, 36  # counters


@dataclass(frozen=True)
class Request:
    """struct virtio_net_hdr so far as it matters."""

    flags: int = 0
    gso_type: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    hdr_len: int = 0


@dataclass(frozen=True)
class Features:
    csum: bool = True
    tso4: bool = True
    tso6: bool = True
    ecn: bool = True


class Refused(Exception):
    """A rule says no: counter and name of the rule."""

    def __init__(self, counter: int, rule: str) -> None:
        super().__init__(counter, rule)
        self.counter, self.rule = counter, rule


@dataclass(frozen=True)
class Train:
    """What the next fragment must look like."""

    head: tuple[bool, int, bytes, bytes, int]
    offset: int


@dataclass
class GuardModel:
    """All pairs of one NIC."""

    mac: bytes
    lookup: Callable[[Tuple], Answer]
    features: Features = field(default_factory=Features)
    trains: dict[int, Train] = field(default_factory=dict)

    def judge(self, pair: int, guarded: bool, frame: bytes, request: Request) -> tuple[int, str, Parsed]:
        """Return (counter of the drop or 0, the rule, what was read)."""
        train = self.trains.pop(pair, None)
        found = parse(frame[:WINDOW], goes_on=len(frame) > WINDOW)
        try:
            if len(frame) < FRAME_MIN:
                raise Refused(SHORT, "short")
            self._offload(found, request, GUARD_GSO_LEAST if guarded else 1)
            rule = "unguarded"
            if guarded:
                self._protocol(found, request)
                self._piece(found)
                rule = self._follows(found, train) if found.later else self._owner(found, pair)
                if found.fragment and found.more:
                    self.trains[pair] = Train(head(found), found.fragment_offset + payload(found) // 8)
        except Refused as no:
            return no.counter, no.rule, found
        return 0, rule, found

    def _offload(self, found: Parsed, request: Request, least: int) -> None:
        """VIRTIO 1.2 section 5.1.6.2; what the device can do of it."""
        needs = request.flags & 1
        if request.gso_type == 0:
            if needs and not self.features.csum:
                raise Refused(HEADER, "csum not negotiated")
            return
        family = {TSO4: (self.features.tso4, False), TSO6: (self.features.tso6, True)}
        on, ipv6 = family.get(request.gso_type & 0x7F, (False, False))
        rules = (
            (on, "gso type"),
            (needs and self.features.csum, "tso without csum"),
            (self.features.ecn or not request.gso_type & ECN, "ecn"),
            (found.ip and found.tcp and not found.fragment and not found.malformed, "tso of what"),
            (found.ipv6 == ipv6, "tso family"),
            (request.csum_start == found.l4_offset and request.csum_offset == 16, "tso csum place"),
            (found.payload_offset <= WINDOW, "tso headers"),
            (1 <= request.gso_size <= FRAME_MAX - found.payload_offset, "tso size"),
            (request.gso_size >= least, "tso too small"),
        )
        for fine, rule in rules:
            if not fine:
                raise Refused(HEADER, rule)

    def _protocol(self, found: Parsed, request: Request) -> None:
        if found.src_mac != self.mac:
            raise Refused(MAC, "mac")
        transport = found.proto in (TCP, UDP)
        rules = (
            (found.ip, "not ip"),
            (found.vlans == 0, "tag"),
            (not found.options, "options"),
            (found.proto not in (ICMP, ICMPV6), "icmp"),
            (found.fragment or not found.malformed, "malformed"),
            (found.fragment or not transport or found.tcp or found.udp, "no header"),
        )
        for fine, rule in rules:
            if not fine:
                raise Refused(PROTO, rule)
        if request.flags & 1 and request.gso_type == 0:
            place = 16 if found.tcp else 6 if found.udp else None
            if (request.csum_start, request.csum_offset) != (found.l4_offset, place):
                raise Refused(PROTO, "csum elsewhere")

    def _piece(self, found: Parsed) -> None:
        if not found.fragment:
            return
        octets = payload(found)
        most = 65535 if found.ipv6 else 65535 - 20
        rules = (
            (found.later or found.tcp or found.udp, "tiny first"),
            (not found.malformed, "bad fragment"),
            (octets > 0, "empty fragment"),
            (not found.more or octets % 8 == 0, "odd fragment"),
            (8 * found.fragment_offset + octets <= most, "beyond the packet"),
        )
        for fine, rule in rules:
            if not fine:
                raise Refused(FRAGMENT, rule)

    def _follows(self, found: Parsed, train: Train | None) -> str:
        if train is None:
            raise Refused(FRAGMENT, "no train")
        if train.head != head(found):
            raise Refused(FRAGMENT, "other train")
        if train.offset != found.fragment_offset:
            raise Refused(FRAGMENT, "gap or overlap")
        return "follows"

    def _owner(self, found: Parsed, pair: int) -> str:
        answer = self.lookup(asked(found))
        if answer.match == NONE:
            raise Refused(TUPLE, "nobody's")
        if answer.match == ANY and not answer.local_ok:
            raise Refused(TUPLE, "any, but not ours")
        kind = "flow" if answer.match == FLOW else "listener"
        if answer.target != QUEUE:
            raise Refused(OWNER, f"{kind} of no queue")
        if answer.pair != pair:
            raise Refused(OWNER, f"{kind} of another")
        return f"own {kind}"


def asked(found: Parsed) -> Tuple:
    """The tuple of a frame to be sent: its source is local."""
    ports = found.sport, found.dport
    return Tuple(int(found.ipv6), found.proto, number(found.src), number(found.dst), *ports)


def head(found: Parsed) -> tuple[bool, int, bytes, bytes, int]:
    return found.ipv6, found.proto, found.src, found.dst, found.fragment_id


def payload(found: Parsed) -> int:
    """Bytes of the fragment."""
    return found.l3_bytes - (48 if found.ipv6 else 20)
