# SPDX-License-Identifier: Apache-2.0
"""User-space stacks as the arbiter knows them: who they are, what they may have, which pair they use."""

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from driver.arbiter.entries import HOST_STACK
from driver.errors import ArbiterError
from driver.windows import Window


class State(Enum):
    """Where a client stands. A pair is in hardware from OPENING to the end of CLOSING or SUSPENDING."""

    OPENING = auto()  # its queue pair is being set up
    ACTIVE = auto()
    SUSPENDING = auto()  # its queue pair is being stopped and drained; the entries stay
    SUSPENDED = auto()  # it has no queue pair
    CLOSING = auto()  # its queue pair is being stopped and drained; the entries are gone or linger


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who is at the other end, as the operating system says it, never as the client does."""

    uid: int
    gid: int
    pid: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What one client may have at most."""

    entries: int = 4096  # of the registry, lingering ones included
    resolutions: int = 64  # addresses that it watches
    arena_bytes: int = 64 << 20


@dataclass(slots=True)
class Client:
    """One stack. `windows` is all that its queue pair may touch; it is set while the pair is closed."""

    stack: int
    credentials: Credentials
    quota: Quota
    rights: frozenset[str]
    windows: tuple[Window, ...]
    pair: int | None = None
    state: State = State.OPENING
    cookies: dict[int, int] = field(default_factory=dict)  # token -> cookie that it was asked for with
    watched: dict[bytes, int] = field(default_factory=dict)  # remote address -> cookie

    def __str__(self) -> str:
        return f"stack {self.stack} (pid {self.credentials.pid})"


@dataclass(frozen=True, slots=True)
class OpenPair:
    """For the worker: windows, guard and virtqueues of a pair, in this order; only then does it run."""

    pair: int
    stack: int
    windows: tuple[Window, ...]
    wishes: int  # these wishes of the mirror come first: then nothing of a former owner leads to the pair


@dataclass(frozen=True, slots=True)
class ClosePair:
    """For the worker: reset both virtqueues (the device drains them), then take the windows away."""

    pair: int
    stack: int


class Clients:
    """All stacks but the host's, and the queue pairs that they share out; pair 0 is the host's."""

    def __init__(self, pairs: int) -> None:
        self._free = list(range(1, pairs))  # the one free for the longest time first
        self._of: dict[int, Client] = {}
        self._next = HOST_STACK + 1  # numbers are never used again

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._of.values()))

    def __len__(self) -> int:
        return len(self._of)

    def get(self, stack: int) -> Client:
        """The client of this number; ENXIO if there is none (any more)."""
        client = self._of.get(stack)
        if client is None:
            raise ArbiterError(errno.ENXIO, f"stack {stack} is not attached")
        return client

    def find(self, stack: int) -> Client | None:
        """The client of this number, or None."""
        return self._of.get(stack)

    def add(
        self, credentials: Credentials, quota: Quota, rights: Iterable[str], windows: Iterable[Window]
    ) -> Client:
        """A new client with a queue pair of its own; EBUSY if all are taken, ENOMEM if the arena is too
        large.
        """
        owned = tuple(windows)
        size = sum(window.last - window.base + 1 for window in owned)
        if size > quota.arena_bytes:
            raise ArbiterError(
                errno.ENOMEM, f"an arena of {size} bytes, pid {credentials.pid} may have {quota.arena_bytes}"
            )
        client = Client(self._next, credentials, quota, frozenset(rights), owned)
        self.take_pair(client)
        self._next += 1
        self._of[client.stack] = client
        return client

    def take_pair(self, client: Client) -> None:
        """Give a client a free queue pair; EBUSY if there is none."""
        if not self._free:
            raise ArbiterError(errno.EBUSY, f"no queue pair is free for pid {client.credentials.pid}")
        client.pair = self._free.pop(0)

    def give_pair(self, client: Client) -> None:
        """Its queue pair is closed in hardware: others may have it."""
        if client.pair is not None:
            self._free.append(client.pair)
            client.pair = None

    def remove(self, client: Client) -> None:
        """It is gone; its number is not used again."""
        del self._of[client.stack]
