# SPDX-License-Identifier: Apache-2.0
"""How long a closed connection keeps its tuple (TIME-WAIT, RFC 9293 section 3.6.1): 2 MSL, within limits."""

from heapq import heapify, heappop, heappush

SECOND_NS = 1_000_000_000
MSL_NS = 15 * SECOND_NS
SHORTEST_NS, LONGEST_NS = 1 * SECOND_NS, 120 * SECOND_NS
SLACK = 64  # dead records that the heap may hold before it is made anew


def linger_ns(msl_ns: int) -> int:
    """2 * MSL, not below 1 s and not above 120 s."""
    return min(max(2 * msl_ns, SHORTEST_NS), LONGEST_NS)


class Lingers:
    """Deadlines of lingering tokens."""

    def __init__(self) -> None:
        self._until: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []  # (deadline, token); dead if _until says otherwise

    def __len__(self) -> int:
        return len(self._until)

    def start(self, token: int, until_ns: int) -> None:
        """Let a token linger."""
        self._until[token] = until_ns
        heappush(self._heap, (until_ns, token))

    def stop(self, token: int) -> None:
        """Forget a token, whether it lingers or not."""
        if self._until.pop(token, None) is not None and len(self._heap) > 2 * len(self._until) + SLACK:
            self._heap = [(until, token) for token, until in self._until.items()]
            heapify(self._heap)

    def due(self, now_ns: int) -> list[int]:
        """Tokens whose time is over, first the one that ended first; they linger no more."""
        done = []
        while self._heap and self._heap[0][0] <= now_ns:
            until, token = heappop(self._heap)
            if self._until.get(token) == until:
                del self._until[token]
                done.append(token)
        return done

    def next_deadline_ns(self) -> int | None:
        """When the next one ends."""
        while self._heap and self._until.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None
