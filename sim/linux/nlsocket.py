# SPDX-License-Identifier: Apache-2.0
"""A netlink socket in a namespace: requests with their answers, and notifications."""

import errno
import socket
from collections.abc import Iterator
from types import TracebackType

from sim.linux import netlink
from sim.linux.errors import LinuxError
from sim.linux.namespace import Namespace
from sim.linux.netlink import Control, Flag, Message

SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
EVENT_BUFFER_BYTES = 8 << 20
RECV_BYTES = 1 << 16  # the kernel fills at most 32 KiB a datagram
DUMP_TRIES = 8


class _Receiver:
    """Receives datagrams into one buffer: a new one each time costs more than a look-up."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._buffer = bytearray(RECV_BYTES)
        self._view = memoryview(self._buffer)

    def messages(self) -> Iterator[Message]:
        """The messages of the next datagram."""
        size = self._source.recv_into(self._buffer, RECV_BYTES, socket.MSG_TRUNC)
        return netlink.decode(bytes(self._view[:size]))


class NetlinkSocket:
    """One protocol's socket; it stays in its namespace whichever thread uses it."""

    def __init__(self, namespace: Namespace, protocol: int) -> None:
        self._name = f"netlink {protocol} in {namespace.label}"
        self._sequence = 0
        self._socket = namespace.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol))
        self._socket.bind((0, 0))
        self._receiver = _Receiver(self._socket)

    def request(self, kind: int, flags: int, body: bytes, what: str) -> list[Message]:
        """Send one request, return its answers; LinuxError if the kernel refuses, `what` tells where.

        Without ACK or DUMP in flags exactly one answer is awaited.
        """
        for _ in range(DUMP_TRIES):
            answers = self._request(kind, flags, body, what)
            if not any(m.flags & Flag.DUMP_INTERRUPTED for m in answers):
                return answers
        raise LinuxError(errno.EAGAIN, f"{self._name}: {what} changed during each of {DUMP_TRIES} dumps")

    def _request(self, kind: int, flags: int, body: bytes, what: str) -> list[Message]:
        self._sequence += 1
        self._socket.send(netlink.encode(kind, flags | Flag.REQUEST, self._sequence, body))
        answers: list[Message] = []
        while True:
            for message in self._receiver.messages():
                if message.sequence != self._sequence:
                    continue  # of a request that was given up
                if message.kind == Control.ERROR:
                    if message.error:
                        raise LinuxError(message.error, f"{self._name}: {what}")
                    return answers
                if message.kind == Control.DONE:
                    return answers
                answers.append(message)
            if answers and not flags & (Flag.DUMP | Flag.ACK):
                return answers

    def close(self) -> None:
        self._socket.close()


class NetlinkEvents:
    """Notifications of some groups of a protocol, without waiting."""

    def __init__(self, namespace: Namespace, protocol: int, groups: tuple[int, ...]) -> None:
        self._socket = namespace.run(
            lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        )
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, EVENT_BUFFER_BYTES)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        self._receiver = _Receiver(self._socket)
        self.lost = 0  # times that the kernel had to throw notifications away

    def fileno(self) -> int:
        """For select and poll."""
        return self._socket.fileno()

    def take(self) -> tuple[list[Message], bool]:
        """What has come, and whether something was lost before it, so that only a dump tells the truth."""
        messages: list[Message] = []
        lost = False
        while True:
            try:
                messages += self._receiver.messages()
            except BlockingIOError:
                return messages, lost
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                lost = True

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "NetlinkEvents":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
