# SPDX-License-Identifier: Apache-2.0
"""What changed in the registry, one record a generation, as far back as the log reaches."""

from errno import EINVAL
from typing import NamedTuple

from .entries import ArbiterError, Entry

LOG_SIZE = 16_384


class Change(NamedTuple):
    """The registry came to `generation` when this entry appeared or changed, or this token went."""

    generation: int
    what: Entry | int


class ChangeLog:
    """The last `size` changes; the generation counts all of them, from 0."""

    __slots__ = ("_ring", "_size", "generation")

    def __init__(self, size: int = LOG_SIZE) -> None:
        if size < 1:
            raise ArbiterError(EINVAL, f"a log of {size} changes")
        self._ring: list[Entry | int] = []
        self._size = size
        self.generation = 0

    def add(self, what: Entry | int) -> None:
        """Record the change that leads to the next generation; an entry must carry that already."""
        if len(self._ring) < self._size:
            self._ring.append(what)
        else:
            self._ring[self.generation % self._size] = what
        self.generation += 1

    def since(self, generation: int, at_most: int | None = None) -> list[Change] | None:
        """Changes after a generation, oldest first; None if they are more than the log or `at_most` has.

        ArbiterError EINVAL for a generation that has not been reached.
        """
        if not 0 <= generation <= self.generation:
            raise ArbiterError(EINVAL, f"generation {generation}: the registry is at {self.generation}")
        count = self.generation - generation
        if count > len(self._ring) or (at_most is not None and count > at_most):
            return None
        return [
            Change(number + 1, self._ring[number % self._size])
            for number in range(generation, self.generation)
        ]
