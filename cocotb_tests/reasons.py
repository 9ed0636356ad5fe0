# SPDX-License-Identifier: Apache-2.0
"""What the NIC counts as a drop or an error, and why it stops queues, from the register description."""

import re

from driver.registers import Stat, StopReason

# Counters of what goes well. All others tell of a frame, an access or a doorbell that was wrong.
TRAFFIC = frozenset(
    (
        *("tx_frames", "tx_bytes", "rx_frames", "rx_bytes", "rx_wire_frames", "msix_sent", "desc_fetches"),
        *("rx_steer_flow", "rx_steer_listener", "rx_steer_any", "rx_steer_rss", "rx_steer_host"),
        *("rx_csum_ok", "tx_csum_frames", "tx_tso_frames", "tx_tso_segments", "rx_buffers"),
        *("indirect_tables", "tx_chains", "irq_moderated"),
    )
)
# The vendor block's own counter.
COUNTERS = (*(stat.name.lower() for stat in Stat if stat.name.lower() not in TRAFFIC), "bad_doorbell_count")
STOPS = tuple(reason.name for reason in StopReason if reason is not StopReason.NONE)
_OF_A_QUEUE = re.compile(r"[rt]x\d+_(drops|reason)")


def is_reason(name: str) -> bool:
    """Whether a counter (`rx_drop_bad`), or a queue's (`tx1_drops`, `tx1_reason`), is of a drop or error."""
    return name in COUNTERS or _OF_A_QUEUE.fullmatch(name) is not None
