# SPDX-License-Identifier: Apache-2.0
"""Memory that one process writes and others can only read: a sealed memfd (Linux 5.1 or later).

The writer maps it before the seal F_SEAL_FUTURE_WRITE, which leaves that one mapping alone and refuses every
later way to write: another writable mapping, mprotect, write(), by any descriptor, also by one opened again
through /proc. So a reader that is handed a descriptor cannot get more than read access out of it.
"""

import fcntl
import mmap
import os
import sys
from types import TracebackType

F_SEAL_FUTURE_WRITE = 0x10  # linux/fcntl.h; in Python's fcntl module from 3.13 on
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL


class SharedMemoryError(OSError):
    """Memory cannot be shared as asked."""


class SharedMemory:
    """Zeroed memory of at least `size_bytes`, whole pages; writable here, by `memory`, and nowhere else."""

    def __init__(self, name: str, size_bytes: int) -> None:
        if sys.platform != "linux":
            raise SharedMemoryError(f"{name}: needs the memfds of Linux, this is {sys.platform}")
        if size_bytes < 1:
            raise SharedMemoryError(f"{name}: size must be positive: {size_bytes=}")
        self.name = name
        self.size_bytes = -(-size_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._fd = os.memfd_create(f"tupelo-{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._fd, self.size_bytes)
            self.memory = memoryview(mmap.mmap(self._fd, self.size_bytes))
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, SEALS)
        except OSError as error:
            os.close(self._fd)
            raise SharedMemoryError(
                error.errno, f"{name}, {self.size_bytes:,} bytes: {error.strerror}"
            ) from error

    def open_reader(self) -> int:
        """A new read-only descriptor to hand to a reader (SCM_RIGHTS, pass_fds); the caller closes it."""
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give up the descriptor; mappings live on, `memory` too, until nobody uses them."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "SharedMemory":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def map_read_only(fd: int) -> memoryview:
    """All of a descriptor from open_reader, read-only; the descriptor may be closed afterwards.

    A write through the view raises TypeError, by a pointer it is SIGSEGV. SharedMemoryError if the owner
    could still shrink the memory: a read would then be SIGBUS.
    """
    if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
        raise SharedMemoryError(f"descriptor {fd} is not sealed: its owner could shrink it under the reader")
    return memoryview(mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ))
