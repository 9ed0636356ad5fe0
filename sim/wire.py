# SPDX-License-Identifier: Apache-2.0
"""What both harnesses offer at the wire side of the NIC."""

from collections.abc import Sequence
from typing import Protocol


class Wire(Protocol):
    """The far end of the NIC's wire. Frames are whole, without FCS."""

    def send(self, frames: Sequence[bytes], bad: bool = False) -> int:
        """Give frames to the NIC, in order; return how many were taken. bad: they carry the error flag."""
        ...

    def take(self) -> list[bytes]:
        """Return and forget the frames that the NIC has sent."""
        ...

    async def wait(self, timeout_ns: int | None = None) -> bool:
        """Wait until take() has a frame; False when timeout_ns of simulated time went by."""
        ...
