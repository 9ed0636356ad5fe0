# SPDX-License-Identifier: Apache-2.0
"""The reference model of the whole NIC: what may become of each frame, by models and what the BAR said."""

from dataclasses import dataclass, field

from cocotb_tests.frame_rules import MAX_FRAME, MIN_FRAME
from cocotb_tests.model import segment_model
from cocotb_tests.model.classify_model import Answer as Found
from cocotb_tests.model.classify_model import Outcome, classify, question
from cocotb_tests.model.guard_model import Features as Offloads
from cocotb_tests.model.guard_model import GuardModel, Request, Train
from cocotb_tests.model.parse_model import number
from cocotb_tests.model.steer_model import Tuple
from cocotb_tests.received import HEADER
from cocotb_tests.uvm.config_watch import ConfigWatch, Settings
from driver.registers import Stat

LOOKUP_CYCLES = 40  # from a frame's last beat to its look-up at the latest
CSUM, HOST_TSO4, HOST_TSO6, HOST_ECN = 0, 11, 12, 13  # feature bits, VIRTIO 1.2 section 5.1.3
COUNTERS = {
    "malformed": "rx_malformed",
    "fragment": "rx_fragments",
    "csum_ok": "rx_csum_ok",
    "csum_bad": "rx_csum_bad",
    **{kind: f"rx_steer_{kind}" for kind in ("flow", "listener", "any", "rss", "host")},
}


@dataclass(slots=True)
class Arrival:
    """A frame from the wire, and what may become of it (several: tables changed meanwhile)."""

    octets: bytes
    cycle: int
    outcomes: list[Outcome] = field(default_factory=list)
    unseen: bool = False  # a queue that it may be for failed: whether it was delivered cannot be seen

    @property
    def pairs(self) -> set[int | None]:
        """Queue pairs that may get it; None: dropped by a table."""
        return {None if outcome.drop else outcome.pair for outcome in self.outcomes}


@dataclass(slots=True)
class Departure:
    """One possible fate of a chain: the frames that leave, or the counter that says why none does."""

    frames: list[bytes]
    drop: str = ""


@dataclass(slots=True)
class Sending:
    """A chain offered on a transmit queue."""

    pair: int
    octets: bytes  # with header
    cycle: int
    fates: list[Departure] = field(default_factory=list)
    left: int = 0  # frames of it that are on the wire
    life: int = 0  # resets of its queue before it
    seen: int = -1  # changes of the settings that its fates take into account
    train: Train | None = None  # fragments before it
    cut: bool = False  # its queue failed or was reset: if it does not leave, no later one of its life does


class Predictor:
    """Knows the settings by the BAR alone."""

    def __init__(self, mac: bytes, pairs: int) -> None:
        self.watch = ConfigWatch()
        self.mac, self.pairs = mac, pairs
        self._trains: dict[int, Train] = {}

    def forget(self, pair: int) -> None:
        """A pair's transmit queue starts anew."""
        self._trains.pop(pair, None)

    def door(self, octets: bytes, bad: bool) -> str:
        """The counter under which a frame is refused at once, or an empty text."""
        if bad:
            return "rx_drop_bad"
        if len(octets) < MIN_FRAME:
            return "rx_drop_short"
        return "rx_drop_long" if len(octets) > MAX_FRAME else ""

    def steer(self, arrival: Arrival, now: int) -> None:
        """Fill in the outcomes; ask no earlier than something is known of the frame's fate."""
        if arrival.outcomes:
            return
        last = min(now, arrival.cycle + LOOKUP_CYCLES)
        for settings in self.watch.during(arrival.cycle, last):
            outcome = self._steer(arrival.octets, settings)
            if outcome not in arrival.outcomes:
                arrival.outcomes.append(outcome)

    def _steer(self, octets: bytes, settings: Settings) -> Outcome:
        asked, found = question(octets, self.mac), None
        if asked is not None:
            ends = number(asked.local), number(asked.remote), asked.local_port, asked.remote_port
            told = settings.tables.lookup(Tuple(int(asked.ipv6), asked.proto, *ends))
            found = Found(told.match, told.target, told.pair, bool(told.local_ok))
        return classify(octets, self.mac, self.pairs, settings.rss, found)

    def send(self, sending: Sending, features: int, header_bytes: int, now: int) -> None:
        """Fill in the fates, in the order of each queue; again when settings have changed since."""
        first = sending.seen < 0
        sending.seen = self.watch.changes
        if first:
            sending.train = self._trains.get(sending.pair)
        after = train = sending.train
        known: set[tuple[int, frozenset[int]]] = set()
        for settings in self.watch.during(sending.cycle, now):
            what = id(settings.tables), settings.guarded
            if what in known:  # they differ in something that has no say here
                continue
            known.add(what)
            fate, after = self._send(sending, settings, features, header_bytes, train)
            if fate not in sending.fates:
                sending.fates.append(fate)
        if first and after is None:
            self._trains.pop(sending.pair, None)
        elif first and after is not None:
            self._trains[sending.pair] = after

    def _send(
        self, sending: Sending, settings: Settings, features: int, header_bytes: int, train: Train | None
    ) -> tuple[Departure, Train | None]:
        octets, pair = sending.octets, sending.pair
        if len(octets) < header_bytes + MIN_FRAME:
            return Departure([], "tx_drop_short"), train
        flags, kind, hdr_len, gso_size, start, offset, _ = HEADER.unpack_from(octets)
        frame = octets[header_bytes:]
        request = Request(flags, kind, gso_size, start, offset, hdr_len)
        bits = (CSUM, HOST_TSO4, HOST_TSO6, HOST_ECN)
        offloads = Offloads(*(bool(features >> bit & 1) for bit in bits))
        trains = {} if train is None else {pair: train}
        guard = GuardModel(self.mac, settings.tables.lookup, offloads, trains)
        counter, _, found = guard.judge(pair, pair in settings.guarded, frame, request)
        after = guard.trains.get(pair)
        if counter:
            return Departure([], Stat(counter).name.lower()), after
        wanted = segment_model.Request(
            frame,
            csum=bool(flags & 1),
            csum_start=start,
            csum_offset=offset,
            tso=kind != 0,
            ipv6=found.ipv6,
            gso_size=gso_size,
            l3=found.l3_offset,
            l4=found.l4_offset,
            payload=found.payload_offset,
        )
        frames, fate = segment_model.outcome(wanted)
        return Departure(frames, "" if fate.sent else Stat(fate.drop_stat).name.lower()), after
