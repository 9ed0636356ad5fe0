# SPDX-License-Identifier: Apache-2.0
"""Passive opens: a port, its backlog, and the connections that wait for accept()."""

from collections import deque

from ..endpoint import READ, WRITE, Endpoint
from ..errors import StackError
from ..shared import Held
from .conn import Connection


class Listener(Endpoint):
    """Half-open and not yet accepted connections together never exceed `backlog`."""

    __slots__ = ("backlog", "closed", "error", "granted", "half_open", "held", "local_ip", "port", "queue")

    def __init__(self, port: int, backlog: int, local_ip: int = 0) -> None:
        super().__init__()
        self.port = port
        self.local_ip = local_ip  # shared mode; 0 = all addresses
        self.backlog = backlog
        self.half_open: set[Connection] = set()
        self.queue: deque[Connection] = deque()
        self.closed = False
        self.granted = True  # shared mode: False until the registry has answered
        self.held: Held | None = None
        self.error: StackError | None = None  # why it does not listen (any more)

    @property
    def has_room(self) -> bool:
        return len(self.half_open) + len(self.queue) < self.backlog

    @property
    def key(self) -> int:
        """Its place in the layer's table."""
        return self.local_ip << 16 | self.port

    def poll(self) -> int:
        """READ: accept() returns or raises at once. WRITE: the port is ours."""
        return (READ if self.queue or self.closed else 0) | (WRITE if self.granted else 0)

    def describe(self) -> str:
        return f"tcp listener {self.port}"
