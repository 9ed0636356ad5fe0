# SPDX-License-Identifier: Apache-2.0
"""The wire of the fast harness: frames cross between Python and C++ in batches, one call each."""

import ctypes
from array import array
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sim.fast_lib import WireCountersStruct

CLK_NS = 4


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A frame that the NIC sent, and when its last beat went over the wire."""

    raw: bytes
    time_ns: int


@dataclass(slots=True)
class WireWish:
    """Wake when `frames` have gathered, or the oldest is `max_age_cycles` old; frames 0: do not wake."""

    frames: int = 0
    max_age_cycles: int = 0


class FastWire:
    """Far end of the wire; see sim.wire.Wire. In loopback mode what the NIC sends comes back by itself."""

    def __init__(
        self, lib: ctypes.CDLL, loopback: bool, wait: Callable[[int | None], Awaitable[None]]
    ) -> None:
        self._lib = lib
        self._wait = wait  # of the harness: until woken by the wire or a timeout
        self.loopback = loopback
        self.wish = WireWish()

    def send(self, frames: Sequence[bytes], bad: bool = False) -> int:
        """Queue frames towards the NIC in order; return how many fit in the wire's queue."""
        if not frames:
            return 0
        sizes = array("I", map(len, frames))
        if min(sizes) == 0:
            raise ValueError("an empty frame cannot be sent")
        address, _ = sizes.buffer_info()
        return int(self._lib.tupelo_wire_send(b"".join(frames), address, len(frames), int(bad)))

    def take(self) -> list[bytes]:
        """Return and forget the frames that the NIC has sent (in loopback mode only with keep_frames)."""
        return self._take()[0]

    def take_timed(self) -> list[TimedFrame]:
        """Same as take(), with the simulated time of each frame's end."""
        frames, cycles = self._take()
        return [TimedFrame(raw, (int(c) + 1) * CLK_NS) for raw, c in zip(frames, cycles, strict=True)]

    def waiting(self) -> tuple[int, int]:
        """Return how many frames, and bytes, take() would return."""
        frames, size = ctypes.c_uint64(), ctypes.c_uint64()
        self._lib.tupelo_wire_waiting(ctypes.byref(frames), ctypes.byref(size))
        return frames.value, size.value

    def towards(self) -> int:
        """Return how many frames have not entered the NIC yet."""
        return int(self._lib.tupelo_wire_towards())

    async def wait(self, timeout_ns: int | None = None, frames: int = 1, max_age_ns: int = 0) -> bool:
        """Wait until `frames` are there to take, or one has waited for max_age_ns; False after timeout_ns.

        Larger `frames` with a max_age_ns wakes Python less often. One waiter at a time.
        """
        if self.waiting()[0] >= frames:
            return True
        if timeout_ns == 0:
            return self.waiting()[0] > 0
        self.wish = WireWish(frames, -(-max_age_ns // CLK_NS) if frames > 1 else 0)
        try:
            await self._wait(timeout_ns)
        finally:
            self.wish = WireWish()
        return self.waiting()[0] > 0

    def counters(self) -> dict[str, int]:
        """Return tx_frames, tx_bytes (from the NIC), rx_frames, rx_bytes (into it), dropped, underruns."""
        out = WireCountersStruct()
        self._lib.tupelo_wire_counters(ctypes.byref(out))
        return {entry[0]: int(getattr(out, entry[0])) for entry in out._fields_}

    def _take(self) -> tuple[list[bytes], np.ndarray[tuple[int], np.dtype[np.uint64]]]:
        count, total = self.waiting()
        raw = np.empty(total, np.uint8)
        sizes = np.empty(count, np.uint32)
        cycles = np.empty(count, np.uint64)
        if count:
            self._lib.tupelo_wire_take(raw.ctypes.data, sizes.ctypes.data, cycles.ctypes.data, count)
        text = raw.tobytes()
        ends = np.cumsum(sizes, dtype=np.int64).tolist()
        return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)], cycles
