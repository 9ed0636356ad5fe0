# SPDX-License-Identifier: Apache-2.0
"""Passive opens: a port, its backlog, and the connections that wait for accept()."""

from collections import deque

from ..endpoint import READ, Endpoint
from .conn import Connection


class Listener(Endpoint):
    """Half-open and not yet accepted connections together never exceed `backlog`."""

    __slots__ = ("backlog", "closed", "half_open", "port", "queue")

    def __init__(self, port: int, backlog: int) -> None:
        super().__init__()
        self.port = port
        self.backlog = backlog
        self.half_open: set[Connection] = set()
        self.queue: deque[Connection] = deque()
        self.closed = False

    @property
    def has_room(self) -> bool:
        return len(self.half_open) + len(self.queue) < self.backlog

    def poll(self) -> int:
        return READ if self.queue or self.closed else 0

    def describe(self) -> str:
        return f"tcp listener {self.port}"
