# SPDX-License-Identifier: Apache-2.0
"""Congestion window (RFC 5681) with NewReno recovery (RFC 6582). Sizes in bytes."""

from dataclasses import dataclass

from .seq import diff

INFINITE = 1 << 30
DUP_THRESHOLD = 3


@dataclass(slots=True)
class Congestion:
    """cwnd, ssthresh and the state of fast recovery; the caller says what is in flight."""

    mss: int
    cwnd: int
    ssthresh: int = INFINITE  # RFC 5681 section 3.1: arbitrarily high at first
    dup_acks: int = 0
    recovering: bool = False
    recover: int = 0  # RFC 6582: highest sequence sent when recovery or a timeout began
    recover_valid: bool = False

    @classmethod
    def initial(cls, mss: int, segments: int) -> "Congestion":
        return cls(mss, cls.window(mss, segments))

    @staticmethod
    def window(mss: int, segments: int) -> int:
        """RFC 6928 section 2 with its 10 as a parameter."""
        return min(segments * mss, max(2 * mss, segments * 1460))

    def on_progress(self, acked: int, flight: int) -> None:
        """New data acknowledged outside recovery; an unused window does not grow (RFC 7661's concern)."""
        self.dup_acks = 0
        if flight + self.mss < self.cwnd:
            return
        if self.cwnd < self.ssthresh:
            self.cwnd += min(acked, self.mss)  # RFC 5681 equation 2
        else:
            self.cwnd += max(1, self.mss * self.mss // self.cwnd)  # equation 3

    def may_recover(self, una: int) -> bool:
        """RFC 6582 section 3.2 step 2: not for duplicates of what a former loss already covers."""
        return not self.recover_valid or diff(una, self.recover) > 0

    def enter_recovery(self, flight: int, snd_max: int) -> None:
        """Third duplicate ACK."""
        self.ssthresh = max(flight // 2, 2 * self.mss)
        self.cwnd = self.ssthresh + DUP_THRESHOLD * self.mss
        self.recovering, self.recover, self.recover_valid = True, snd_max, True

    def inflate(self) -> None:
        """A further duplicate ACK: one more segment has left the network."""
        self.cwnd += self.mss

    def partial(self, acked: int) -> None:
        """A partial ACK: deflate by what it covers, add back one segment (RFC 6582 section 3.2)."""
        self.cwnd = max(self.cwnd - acked + (self.mss if acked >= self.mss else 0), self.mss)

    def exit_recovery(self, flight: int) -> None:
        """Full ACK: RFC 6582 section 3.2, the variant that avoids a burst."""
        self.cwnd = min(self.ssthresh, max(flight, self.mss) + self.mss)
        self.recovering, self.dup_acks = False, 0

    def on_timeout(self, flight: int, first: bool, snd_max: int) -> None:
        """RFC 5681 section 3.1: loss window of one segment; ssthresh falls once a loss, not once a retry."""
        if first:
            self.ssthresh = max(flight // 2, 2 * self.mss)
        self.cwnd = self.mss
        self.recovering, self.dup_acks = False, 0
        self.recover, self.recover_valid = snd_max, True

    def restart(self, segments: int) -> None:
        """After idleness of an RTO the clocking by ACKs is gone (RFC 5681 section 4.1)."""
        self.cwnd = min(self.cwnd, self.window(self.mss, segments))
