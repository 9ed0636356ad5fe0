# SPDX-License-Identifier: Apache-2.0
"""Holds fragments until their datagram is complete, so that all of them go where the first one's ports say.

They are not merged: a stack, the host's or another, does its own reassembly. Bounds are those of a host that
takes part in a hostile network: datagrams, fragments of each, bytes, and time (RFC 8200 section 4.5: 60
seconds). A fragment that overlaps others spoils its datagram (RFC 5722); one that came before, exactly, is
dropped alone.
"""

from collections import Counter
from dataclasses import dataclass, field

from driver.arbiter.frames import Packet

TIME_NS = 60_000_000_000
DATAGRAMS_MAX = 1024
PIECES_MAX = 128  # of a datagram
BYTES_MAX = 4 << 20
DATAGRAM_BYTES_MAX = 65535

Key = tuple[int, bytes, bytes, int, int]
Held = tuple[bytes, Packet]


@dataclass(slots=True)
class _Datagram:
    """What there is of one."""

    until_ns: int
    pieces: dict[int, Held] = field(default_factory=dict)  # by offset
    end: int | None = None  # its length, known with the last fragment
    held_bytes: int = 0
    spoiled: bool = False


class Fragments:
    """Datagrams that are not complete. `counts` has what was dropped, by reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._open: dict[Key, _Datagram] = {}  # the oldest first
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def next_deadline_ns(self) -> int | None:
        """When on_timer wants to be called."""
        return next(iter(self._open.values())).until_ns if self._open else None

    def on_timer(self, now_ns: int) -> None:
        """Let go of what has waited too long."""
        for key, datagram in list(self._open.items()):
            if datagram.until_ns > now_ns:
                return
            self._drop(key, "expired")

    def add(self, frame: bytes, packet: Packet, now_ns: int) -> list[Held]:
        """Take a fragment; return all of its datagram, in order, if it is complete now."""
        key = (packet.family, packet.src, packet.dst, packet.proto, packet.ident)
        datagram = self._open.get(key)
        if datagram is None:
            datagram = self._begin(key, now_ns)
        low, high = packet.fragment, packet.fragment + packet.end - packet.l4
        if datagram.spoiled:
            self.counts["of a spoiled datagram"] += 1
        elif high == low or (packet.more and (high - low) % 8) or high > DATAGRAM_BYTES_MAX:
            self._spoil(datagram, "impossible length")
        elif (same := datagram.pieces.get(low)) is not None and same[0] == frame:
            self.counts["duplicate"] += 1
        elif self._overlaps(datagram, low, high, packet.more):
            self._spoil(datagram, "overlap")
        elif len(datagram.pieces) == PIECES_MAX:
            self._spoil(datagram, "too many pieces")
        else:
            return self._keep(key, datagram, frame, packet, high)
        return []

    def _begin(self, key: Key, now_ns: int) -> _Datagram:
        if len(self._open) == DATAGRAMS_MAX:
            self._drop(next(iter(self._open)), "too many datagrams")
        self._open[key] = _Datagram(now_ns + TIME_NS)
        return self._open[key]

    @staticmethod
    def _overlaps(datagram: _Datagram, low: int, high: int, more: bool) -> bool:
        if datagram.end is not None and (high > datagram.end or not more):
            return True
        spans = [(at, at + held.end - held.l4) for at, (_, held) in datagram.pieces.items()]
        return any((low < end and start < high) or (not more and start >= high) for start, end in spans)

    def _keep(self, key: Key, datagram: _Datagram, frame: bytes, packet: Packet, high: int) -> list[Held]:
        datagram.pieces[packet.fragment] = (frame, packet)
        datagram.held_bytes += len(frame)
        self._bytes += len(frame)
        if not packet.more:
            datagram.end = high
        if datagram.end is not None and self._whole(datagram):
            pieces = [datagram.pieces[at] for at in sorted(datagram.pieces)]
            self._forget(key)
            return pieces
        while self._bytes > BYTES_MAX:
            self._drop(next(iter(self._open)), "too many bytes")
        return []

    @staticmethod
    def _whole(datagram: _Datagram) -> bool:
        at = 0
        while (held := datagram.pieces.get(at)) is not None:
            at += held[1].end - held[1].l4
        return at == datagram.end

    def _spoil(self, datagram: _Datagram, why: str) -> None:
        """Nothing of this datagram is believed any more; it stays known so that the rest is dropped, too."""
        self.counts[why] += 1 + len(datagram.pieces)
        self._bytes -= datagram.held_bytes
        datagram.pieces, datagram.held_bytes, datagram.spoiled = {}, 0, True

    def _drop(self, key: Key, why: str) -> None:
        self.counts[why] += len(self._open[key].pieces)
        self._forget(key)

    def _forget(self, key: Key) -> None:
        self._bytes -= self._open.pop(key).held_bytes
