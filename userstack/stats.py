# SPDX-License-Identifier: Apache-2.0
"""Counters of a stack. frames_in == frames_accepted + sum(drops.values()) at any time between calls."""

from collections import Counter, deque
from dataclasses import dataclass, field

from .drops import Drop


@dataclass(frozen=True, slots=True)
class DropEvent:
    """One dropped frame, for diagnosis."""

    now_ns: int
    reason: Drop
    head: bytes  # first 64 bytes of the frame


@dataclass(slots=True)
class Stats:
    frames_in: int = 0
    frames_accepted: int = 0
    bytes_in: int = 0
    frames_out: int = 0
    bytes_out: int = 0
    drops: Counter[Drop] = field(default_factory=Counter)
    recent_drops: deque[DropEvent] = field(default_factory=lambda: deque(maxlen=32), repr=False)
    arp_requests: int = 0
    arp_replies: int = 0
    arp_queue_drops: int = 0  # frames of ours that waited for an address in vain
    icmp_errors_out: int = 0
    away_drops: int = 0  # shared mode: frames of ours whose address or interface was away
    software_out: int = 0  # shared mode: frames handed to the kernel, not to the device
    accepts_refused: int = 0  # shared mode: connections reset because the registry did not grant them
    tcp_active_opens: int = 0
    tcp_passive_opens: int = 0
    tcp_retransmits: int = 0  # segments sent again, for whatever cause
    tcp_fast_retransmits: int = 0
    tcp_timeouts: int = 0
    tcp_zero_window_probes: int = 0
    tcp_out_of_order: int = 0
    tcp_duplicate_acks: int = 0
    tcp_challenge_acks: int = 0
    tcp_resets_out: int = 0
    tcp_acks_out: int = 0  # segments without payload, SYN, FIN or RST

    def drop(self, reason: Drop, frame: bytes, now_ns: int) -> None:
        self.drops[reason] += 1
        self.recent_drops.append(DropEvent(now_ns, reason, frame[:64]))
