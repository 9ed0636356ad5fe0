# SPDX-License-Identifier: Apache-2.0
"""Everything that the driver raises. `UsageError`: the caller's fault. `DeviceError`: the device's fault."""

from enum import Enum
from errno import ESTALE
from typing import Any


class DriverError(Exception):
    """Base of every error of this package."""


class UsageError(DriverError, ValueError):
    """The caller broke a rule of the API; nothing was changed."""


class InitError(DriverError):
    """The device cannot be used: wrong identity, a feature is missing, a step was refused."""


class DeviceTimeout(DriverError):
    """The device did not finish a step within its bound."""

    def __init__(self, step: str, bound_ns: int) -> None:
        super().__init__(f"{step}: not finished after {bound_ns} ns")
        self.step = step
        self.bound_ns = bound_ns


class DeviceNeedsReset(DriverError):
    """The device set DEVICE_NEEDS_RESET (VIRTIO 1.2 section 2.1.1); only a re-initialisation helps."""


class Fault(Enum):
    """What a device did to a ring that no correct device does."""

    UNKNOWN_ID = "used descriptor names a buffer id that was never given"
    ID_NOT_POSTED = "used descriptor names a buffer id that the device does not hold"
    LENGTH = "used length is larger than the writable part of the buffer"
    USED_TWICE = "more used descriptors than posted buffers"
    SKIP = "used descriptor names a buffer whose descriptors do not lie here"
    HEADER = "receive header asks for what was not negotiated"
    NUM_BUFFERS = "receive header names a number of buffers that cannot be"
    TRUNCATED = "a received frame ends before the last buffer that its header promised"


class DeviceError(DriverError):
    """The device broke the ring protocol; the queue is quarantined and keeps the state from before."""

    def __init__(self, queue: str, fault: Fault, slot: int, wrap: int, value: int, bound: int) -> None:
        super().__init__(
            f"queue {queue}, position {slot} (wrap {wrap}): {fault.value}: {value} (bound {bound})"
        )
        self.queue = queue
        self.fault = fault
        self.slot = slot
        self.wrap = wrap
        self.value = value
        self.bound = bound


class QueueQuarantined(DriverError):
    """An earlier DeviceError stopped this queue; reset it (`reset_queue`) or the device."""


class QueueStopped(DriverError):
    """The device stopped this queue and gave a reason; reset it (`reset_queue`) or the device."""

    def __init__(self, error: object) -> None:
        super().__init__(f"queue stopped by the device: {error}")
        self.error = error


class TableFull(DriverError):
    """No arrangement of the entries has room for one more."""


class EntryExists(UsageError):
    """The table has an entry for this key already; redirect it instead."""


class StaleHandle(UsageError):
    """The entry that this handle was given for has been deleted; its id may be in use for another."""


class TableMismatch(DriverError):
    """The device's table does not hold what was written: the read-back differs, or it refused a command."""


class WindowRefused(DriverError):
    """The device refused a window: a range with rights changes only while both queues of its pair are off."""


class ArbiterError(DriverError):
    """The arbiter refused; nothing was changed. `errno` is what a system call would return."""

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(message)
        self.errno = errno


class StaleRequest(ArbiterError):
    """The request was decided on an old state of the registry and would now be decided otherwise (ESTALE).

    `news` has the changes since, oldest first; None if they are too many: take a new snapshot ("resync").
    `refusal` is the error that a request without a generation gets.
    """

    def __init__(self, generation: int, news: "list[Any] | None", refusal: ArbiterError) -> None:
        super().__init__(ESTALE, f"decided on an old state; the registry is at {generation} now: {refusal}")
        self.generation = generation
        self.news = news
        self.refusal = refusal
