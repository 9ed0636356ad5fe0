# SPDX-License-Identifier: Apache-2.0
"""Retransmission timeout from measured round trips (RFC 6298)."""

from dataclasses import dataclass

from ..config import TcpConfig

GRANULARITY_NS = 1
AFTER_SYN_LOSS_NS = 3_000_000_000  # RFC 6298 section 5.7


@dataclass(slots=True)
class RttEstimator:
    """Times in ns. srtt_ns is 0 until the first sample."""

    rto_ns: int
    min_ns: int
    max_ns: int
    srtt_ns: int = 0
    rttvar_ns: int = 0

    @classmethod
    def from_config(cls, config: TcpConfig) -> "RttEstimator":
        return cls(config.initial_rto_ns, config.min_rto_ns, config.max_rto_ns)

    def sample(self, rtt_ns: int) -> None:
        """One measurement of a segment that was sent once (Karn), or by timestamps (sections 2.2, 2.3)."""
        rtt_ns = max(rtt_ns, GRANULARITY_NS)
        if not self.srtt_ns:
            self.srtt_ns, self.rttvar_ns = rtt_ns, rtt_ns // 2
        else:
            self.rttvar_ns = (3 * self.rttvar_ns + abs(self.srtt_ns - rtt_ns)) // 4
            self.srtt_ns = (7 * self.srtt_ns + rtt_ns) // 8
        wanted = self.srtt_ns + max(GRANULARITY_NS, 4 * self.rttvar_ns)
        self.rto_ns = min(max(wanted, self.min_ns), self.max_ns)

    def back_off(self) -> None:
        """Section 5.5; lasts until the next sample, which Karn's rule takes from segments sent once."""
        self.rto_ns = min(self.rto_ns * 2, self.max_ns)
