# SPDX-License-Identifier: Apache-2.0
"""A user-space TCP/IP stack without I/O: frames and time in, frames out; programs as coroutines on top."""

from .asock import AsyncTcpSocket, AsyncUdpSocket
from .config import StackConfig, TcpConfig
from .drops import Drop
from .errors import LocalError, NetworkError, StackError, TimedOut, WouldBlock
from .runtime import Event, Host, Task, TaskCancelled, TaskFailed
from .sockets import Option, Shutdown, TcpSocket, UdpSocket
from .stack import Stack
from .stats import Stats

__all__ = [
    "AsyncTcpSocket",
    "AsyncUdpSocket",
    "Drop",
    "Event",
    "Host",
    "LocalError",
    "NetworkError",
    "Option",
    "Shutdown",
    "Stack",
    "StackConfig",
    "StackError",
    "Stats",
    "Task",
    "TaskCancelled",
    "TaskFailed",
    "TcpConfig",
    "TcpSocket",
    "TimedOut",
    "UdpSocket",
    "WouldBlock",
]
