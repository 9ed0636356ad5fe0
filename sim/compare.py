# SPDX-License-Identifier: Apache-2.0
"""Frames that went in against frames that came out: byte for byte, in order, each accounted for once."""

from collections import deque
from dataclasses import dataclass, field
from itertools import zip_longest

PROBLEMS_SHOWN = 10


@dataclass(slots=True)
class Comparison:
    """Fed with what was sent and what arrived; numbers count frames from 1."""

    sent: int = 0
    equal: int = 0
    changed: int = 0  # arrived in its place, with other bytes
    lost: int = 0
    extra: int = 0  # arrived and was never sent
    equal_bytes: int = 0
    problems: list[str] = field(default_factory=list)  # the first few, one line each
    _waiting: deque[bytes] = field(default_factory=deque)
    _last: bytes = b""  # the one that arrived before

    @property
    def ok(self) -> bool:
        """Whether all that was sent arrived unchanged, in order, and nothing else did."""
        return self.equal == self.sent and not self.extra

    @property
    def waiting(self) -> int:
        """Frames sent and neither arrived nor given up."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        return sum(map(len, self._waiting))

    def expect(self, frame: bytes) -> None:
        """This frame was sent."""
        self._waiting.append(frame)
        self.sent += 1

    def arrived(self, frame: bytes) -> None:
        """This frame came out; the next expected one, or a later one if those between are lost."""
        waiting = self._waiting
        if waiting and waiting[0] == frame:
            waiting.popleft()
        elif frame in waiting:
            while waiting[0] != frame:
                self._lose()
            waiting.popleft()
        elif waiting and frame != self._last:
            self.changed += 1
            self._note(
                f"frame {self._number()} came out changed: {first_difference(waiting.popleft(), frame)}"
            )
            return
        else:
            self.extra += 1
            again = "a second time" if frame == self._last else "that was not sent"
            self._note(f"a frame of {len(frame)} bytes came out {again}: {frame[:16].hex(' ')}...")
            return
        self._last = frame
        self.equal += 1
        self.equal_bytes += len(frame)

    def give_up(self) -> None:
        """Nothing more comes: all that is waited for is lost."""
        while self._waiting:
            self._lose()

    def _number(self) -> int:
        return self.sent - len(self._waiting) + 1

    def _lose(self) -> None:
        self.lost += 1
        number, frame = self._number(), self._waiting.popleft()
        self._note(f"frame {number} ({len(frame)} bytes) was lost")

    def _note(self, text: str) -> None:
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(text)


def first_difference(want: bytes, got: bytes) -> str:
    """Where two frames part, for a person."""
    at = next((i for i, (a, b) in enumerate(zip_longest(want, got)) if a != b), None)
    if at is None:
        return "equal"
    if at >= len(got):
        return f"it ends after {len(got)} of {len(want)} bytes"
    if at >= len(want):
        return f"it has {len(got)} bytes instead of {len(want)}"
    return f"byte {at} is {got[at]:02x}, was {want[at]:02x}"
