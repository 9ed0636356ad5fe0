# SPDX-License-Identifier: Apache-2.0
"""Deadlines of all connections in one heap with at most one live entry a connection.

A deadline that moves later leaves its entry alone; the entry is corrected when it reaches the top. So the
retransmission timer, restarted by every ACK, costs nothing on the way.
"""

from heapq import heappop, heappush

from ..config import NEVER_NS
from ..wire.tcp import ACK
from . import recovery, send
from .conn import Connection, State


class TimerHeap:
    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Connection]] = []
        self._count = 0

    def schedule(self, conn: Connection) -> None:
        """Take note of the connection's earliest deadline."""
        deadline_ns = conn.deadline_ns()
        if deadline_ns < conn.heap_ns:
            conn.heap_ns = deadline_ns
            self._count += 1
            heappush(self._heap, (deadline_ns, self._count, conn))

    def next_deadline_ns(self) -> int:
        """Earliest true deadline; corrects stale entries on the way."""
        while self._heap:
            entry_ns, _, conn = self._heap[0]
            if entry_ns == conn.heap_ns == conn.deadline_ns():
                return entry_ns
            heappop(self._heap)
            if entry_ns == conn.heap_ns:
                conn.heap_ns = NEVER_NS
                self.schedule(conn)
        return NEVER_NS

    def take_due(self, now_ns: int) -> list[Connection]:
        """Connections with a deadline at or before now, each once, in order of deadline."""
        due: list[Connection] = []
        while self.next_deadline_ns() <= now_ns:
            conn = heappop(self._heap)[2]
            conn.heap_ns = NEVER_NS
            due.append(conn)
        return due


def fire(conn: Connection, now_ns: int) -> None:
    """Run every timer of the connection that is due."""
    if conn.delack_ns <= now_ns:
        send.ack(conn)
    if conn.rto_ns <= now_ns:
        recovery.on_retransmission_timeout(conn)
    if conn.persist_ns <= now_ns:
        recovery.on_persist_timeout(conn)
    if conn.keep_ns <= now_ns:
        _on_keepalive(conn, now_ns)
    if conn.wait_ns <= now_ns:
        conn.layer.forget(conn)


def _on_keepalive(conn: Connection, now_ns: int) -> None:
    """RFC 9293 section 3.8.4: an old sequence number provokes an ACK from a peer that still knows us."""
    config = conn.layer.config
    idle_until_ns = conn.last_heard_ns + conn.idle_limit_ns
    if conn.state < State.ESTABLISHED or (not conn.keep_sent and now_ns < idle_until_ns):
        conn.keep_ns = max(idle_until_ns, now_ns + config.keepalive_interval_ns)
    elif conn.keep_sent >= config.keepalive_probes:
        conn.layer.fail(conn, conn.layer.timed_out(conn))
    else:
        conn.keep_sent += 1
        conn.keep_ns = now_ns + config.keepalive_interval_ns
        send.emit(conn, ACK, (conn.snd_una - 1) & 0xFFFF_FFFF)
