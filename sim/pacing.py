# SPDX-License-Identifier: Apache-2.0
"""How far simulated time goes on while programs in other processes exist; decided here and nowhere else.

- While something moves in the NIC, on the bus or on the wire, it goes on, in slices; after each slice the
  simulation looks at the programs.
- While all is quiet and every program sleeps, it jumps to the first deadline that somebody waits for.
- While all is quiet and a program is awake (nobody knows what it will do next), or only the arbiter's own
  timers are left, it stands still; a deadline comes when so much wall time has been spent like this, and some
  patience more. So a program that computes for long, or never sleeps, delays others and does not stop them.
- While all is quiet and there is no deadline it stands still, and the process sleeps.
"""

from dataclasses import dataclass

SLICE_NS = 500  # simulated: 125 cycles take about 1 ms of wall time, and a look about a tenth of that
PATIENCE_NS = 20_000_000  # wall


@dataclass(frozen=True, slots=True)
class Run:
    """Simulate so long, or up to an interrupt."""

    for_ns: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep simulated time where it is, for so much wall time (None: no limit) or until a program acts."""

    wall_ns: int | None


class Pacing:
    """Tells the simulation's loop what to do next. Knows no clock: both times are arguments."""

    def __init__(self, slice_ns: int = SLICE_NS, patience_ns: int = PATIENCE_NS) -> None:
        self._slice_ns, self._patience_ns = slice_ns, patience_ns
        self._held_ns = 0  # wall time on hold since a deadline was reached or nobody was awake
        self._since_ns: int | None = None  # wall time at which it was put on hold

    def next(
        self,
        now_ns: int,
        wall_ns: int,
        *,
        quiet: bool,
        at_work: bool,
        wanted_ns: int | None,
        kept_ns: int | None,
    ) -> Run | Hold:
        """What to do next.

        quiet: nothing moves. at_work: a program is awake. wanted_ns: the first deadline that a program or a
        peer waits for; kept_ns: that of timers which nobody waits for (both simulated time, not passed yet).
        """
        if self._since_ns is not None:
            self._held_ns += wall_ns - self._since_ns
            self._since_ns = None
        first_ns = min((at for at in (wanted_ns, kept_ns) if at is not None), default=None)
        if first_ns is None:
            self._held_ns = 0
            return Hold(None) if quiet else Run(self._slice_ns)
        ahead_ns = max(1, first_ns - now_ns)
        if not quiet:
            return Run(min(ahead_ns, self._slice_ns))
        left_ns = self._patience_ns + ahead_ns - self._held_ns
        if (at_work or wanted_ns is None) and left_ns > 0:
            self._since_ns = wall_ns
            return Hold(left_ns)
        self._held_ns = 0
        return Run(ahead_ns)
