# SPDX-License-Identifier: Apache-2.0
"""What a program in another process shares with the simulator's: its arena, bells, wakes, and the clock.

The arena is a memfd that nobody can shrink: an access of the simulator's would end in SIGBUS. Bells and wakes
are pipes and not eventfds: both ends of an eventfd have one set of flags, so a program could make the
simulator's end block; the ends of a pipe have flags of their own.
"""

import errno
import fcntl
import mmap
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from driver.arbiter.arbiter import Arbiter
from driver.arbiter.clients import Credentials, Quota
from driver.bus import DmaRegion
from driver.channel import Shape
from driver.errors import ArbiterError
from driver.windows import Window
from sim.control_messages import PAGES, VERSION, Hello, Welcome
from sim.memory import HostMemory
from sim.shared_memory import SharedMemory, SharedMemoryError, map_read_only

ARENA_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
CLOCK_MAGIC = int.from_bytes(b"TupeloCK", "little")


def make_arena(size_bytes: int) -> tuple[int, memoryview]:
    """Zeroed memory for two processes, sealed at its size: a descriptor to hand on, and our own mapping."""
    fd = os.memfd_create("tupelo-arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size_bytes)
        memory = memoryview(mmap.mmap(fd, size_bytes))
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, ARENA_SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd, memory


class ClockPage:
    """Simulated time in a page that all programs can read: words of 64 bits, magic `TupeloCK` and ns."""

    def __init__(self) -> None:
        self.shared = SharedMemory("clock", mmap.PAGESIZE)
        self._words = self.shared.memory.cast("Q")
        self._words[0] = CLOCK_MAGIC

    def set(self, now_ns: int) -> None:
        """Publish the time; one aligned store, so nobody reads half of it (docs/host-info.md)."""
        self._words[1] = now_ns


class Clock:
    """A program's view of the ClockPage."""

    def __init__(self, fd: int) -> None:
        self._words = map_read_only(fd).cast("Q")
        if self._words[0] != CLOCK_MAGIC:
            raise SharedMemoryError(errno.EINVAL, f"descriptor {fd} is no clock")

    def now_ns(self) -> int:
        """Simulated time as of the simulator's last look at its programs."""
        return self._words[1]


class ArenaPairs(Protocol):
    """The part of driver.arbiter.pairs.ChannelPairs that is needed here."""

    def give_arena(self, stack: int, shape: Shape, region: DmaRegion) -> None: ...

    def shape(self, stack: int) -> Shape: ...

    def doorbells(self, stack: int) -> tuple[int, ...]: ...


@dataclass(slots=True)
class Seat:
    """What one program shares. `theirs` is closed here once the program has it."""

    region: DmaRegion
    arena: int
    bells: tuple[int, int]  # our ends, to read: receive, transmit
    wakes: int  # our end, to write
    theirs: list[int] = field(default_factory=list)

    @classmethod
    def make(cls, region: DmaRegion, arena: int) -> "Seat":
        """Three pipes; of ours none ever blocks. OSError with nothing left open, but the arena."""
        fds: list[int] = []
        try:
            for _ in range(3):
                fds += os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            _close_all(fds)
            raise
        rx_r, rx_w, tx_r, tx_w, wakes_r, wakes_w = fds
        return cls(region, arena, (rx_r, tx_r), wakes_w, [arena, rx_w, tx_w, wakes_r])

    def handed_over(self) -> None:
        """The program has its descriptors."""
        while self.theirs:
            os.close(self.theirs.pop())

    def hang_up(self) -> None:
        """Close all descriptors; the memory stays until the NIC has let go of it."""
        self.handed_over()
        _close_all((*self.bells, self.wakes))


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


class ChannelGround:
    """The Ground of sim.control_core: memory from `memory`, queue pairs by `pairs`."""

    def __init__(
        self,
        arbiter: Arbiter,
        memory: HostMemory,
        pairs: ArenaPairs,
        base: Shape,
        mac: bytes,
        pages: Mapping[str, SharedMemory] | None = None,
    ) -> None:
        """base: features and limits of the device. pages: of PAGES, those that programs may read."""
        self.clock = ClockPage()
        self.pairs = pairs
        self._arbiter, self._memory, self._base, self._mac = arbiter, memory, base, mac
        self._pages = {name: pages[name] for name in PAGES if name in pages} if pages else {}
        self._seats: dict[int, Seat] = {}
        self._regions: dict[int, DmaRegion] = {}

    def join(self, credentials: Credentials, hello: Hello, quota: Quota) -> int:
        """See sim.control_core.Ground. ENOMEM, EBUSY, EMFILE."""
        shape = replace(
            self._base, rx_slots=hello.rx_slots, tx_slots=hello.tx_slots, buffer_bytes=hello.buffer_bytes
        )
        if shape.arena_bytes > quota.arena_bytes:
            text = f"an arena of {shape.arena_bytes} bytes, at most {quota.arena_bytes} are given"
            raise ArbiterError(errno.ENOMEM, text)
        seat = self._make_seat(shape.arena_bytes)
        region = seat.region
        try:
            windows = [Window.of(region)]
            stack = self._arbiter.attach(credentials, windows, quota=quota).stack
        except ArbiterError:
            seat.hang_up()
            self._memory.free(region)
            raise
        self.pairs.give_arena(stack, shape, region)
        self._seats[stack], self._regions[stack] = seat, region
        return stack

    def _make_seat(self, size_bytes: int) -> Seat:
        try:
            fd, memory = make_arena(size_bytes)
        except OSError as error:
            raise ArbiterError(error.errno or errno.ENOMEM, f"no memory to share: {error}") from error
        region = self._memory.adopt(memory)
        try:
            return Seat.make(region, fd)
        except OSError as error:
            self._memory.free(region)
            os.close(fd)
            raise ArbiterError(error.errno or errno.EMFILE, f"nothing to wake by: {error}") from error

    def welcome(self, stack: int) -> Welcome:
        """See sim.control_core.Ground."""
        seat, shape = self._seats[stack], self.pairs.shape(stack)
        return Welcome(0, VERSION, stack, seat.region.iova, shape, self._mac, tuple(self._pages))

    def seat(self, stack: int) -> Seat:
        """The descriptors of a program that has joined."""
        return self._seats[stack]

    def open_rights(self, stack: int) -> list[int]:
        """Descriptors for a Welcome, in its order; those after the first four are to be closed when sent."""
        readers: list[int] = []
        try:
            for page in (self.clock.shared, *self._pages.values()):
                readers.append(page.open_reader())
        except OSError:
            _close_all(readers)
            raise
        return [*self._seats[stack].theirs, *readers]

    def hang_up(self, stack: int) -> None:
        """The program is gone or thrown out: its descriptors are closed, its memory waits for `release`."""
        if (seat := self._seats.pop(stack, None)) is not None:
            seat.hang_up()

    def release(self, stack: int) -> bool:
        """The NIC touches a stack's memory no more: unmap it. False if it is no program's of ours."""
        region = self._regions.pop(stack, None)
        if region is None:
            return False
        self._memory.free(region)
        return True

    def close(self) -> None:
        """Let go of everything; only when no NIC runs any more."""
        for stack in list(self._seats):
            self.hang_up(stack)
        for stack in list(self._regions):
            self.release(stack)
        self.clock.shared.close()
