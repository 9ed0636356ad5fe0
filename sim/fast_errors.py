# SPDX-License-Identifier: Apache-2.0
"""Error responses of the fast harness's memory: made on demand, and the log of all that happened."""

import ctypes
from dataclasses import dataclass
from enum import IntEnum

from sim.fast_lib import ErrorRuleStruct, FaultStruct

FOR_EVER = 0xFFFF_FFFF


class Access(IntEnum):
    """Direction of a DMA access, as the NIC sees it."""

    READ = 1
    WRITE = 2
    BOTH = 3


class Response(IntEnum):
    """AXI4 response codes that are errors."""

    SLVERR = 2
    DECERR = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """A burst that got an error response."""

    cycle: int
    iova: int
    size_bytes: int
    access: Access
    queue: int  # virtqueue index that the NIC names in awuser / aruser
    axi_id: int
    response: Response


class ErrorInjection:
    """Error rules and the fault log of the memory model."""

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib = lib

    def inject(
        self,
        first_iova: int = 0,
        last_iova: int = (1 << 64) - 1,
        access: Access = Access.BOTH,
        chance: float = 1.0,
        times: int | None = None,
        response: Response = Response.SLVERR,
    ) -> None:
        """Answer bursts that touch first_iova..last_iova with an error. times None: until clear()."""
        if not 0.0 <= chance <= 1.0:
            raise ValueError(f"{chance=}: 0..1")
        count = FOR_EVER if times is None else times
        rule = ErrorRuleStruct(first_iova, last_iova, int(access), int(chance * 65536), count, int(response))
        self._lib.tupelo_error_rule(ctypes.byref(rule))

    def clear(self) -> None:
        """Forget all rules."""
        self._lib.tupelo_error_clear()

    def faults(self) -> list[Fault]:
        """Return and forget the logged faults, oldest first (at most 65,536 are kept)."""
        count = int(self._lib.tupelo_faults_count())
        room = (FaultStruct * max(count, 1))()
        self._lib.tupelo_faults(room, count)
        return [
            Fault(f.cycle, f.addr, f.bytes, Access(f.direction), f.queue, f.id, Response(f.response))
            for f in room[:count]
        ]
