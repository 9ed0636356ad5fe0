# SPDX-License-Identifier: Apache-2.0
"""Shared mode, the middle: cookies of open requests, entries by token, events handed to their owners."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .drops import Drop
from .endpoint import Endpoint
from .errors import refusal
from .shared import (
    Answer,
    Away,
    Back,
    Deliver,
    Event,
    Gone,
    Granted,
    Held,
    Holder,
    IcmpError,
    Interface,
    Kernel,
    PathChanged,
    Refused,
    Resolved,
)
from .wire import fast

if TYPE_CHECKING:
    from .shared_udp import SharedUdpLayer
    from .stack import Stack
    from .tcp.shared import SharedTcpLayer


class Sharing:
    """What one stack has asked for and holds."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.held: dict[int, Held] = {}  # by token
        self.late = 0  # events about what is not here any more
        self._pending: dict[int, Callable[[Answer], None]] = {}
        self._cookie = 0

    def ask(self, then: Callable[[Answer], None]) -> int:
        """A cookie for a request whose answer `then` takes."""
        self._cookie += 1
        self._pending[self._cookie] = then
        return self._cookie

    def drop_question(self, cookie: int) -> None:
        """A question that is answered otherwise."""
        self._pending.pop(cookie, None)

    def hold(self, holder: Holder, owner: Endpoint, granted: Granted) -> Held:
        """Note an entry that has been granted."""
        held = self.held[granted.token] = Held(
            holder, owner, granted.token, granted.local, granted.local_port, granted.software,
            granted.isn_offset, granted.ts_offset, granted.key,
        )  # fmt: skip
        return held

    def let_go(self, held: Held, linger: bool = False) -> None:
        """Give an entry back."""
        del self.held[held.token]
        self.kernel.close(held.token, linger)

    def return_unwanted(self, answer: Answer) -> None:
        """What was asked for is not wanted any more."""
        if isinstance(answer, Granted):
            self.kernel.close(answer.token, False)

    def on_answer(self, event: Answer) -> None:
        """Granted or Refused: goes to whoever asked."""
        then = self._pending.pop(event.cookie, None)
        if then is not None:
            then(event)
        elif isinstance(event, Granted):
            self.return_unwanted(event)
        else:
            self.late += 1

    def on_news(self, event: Gone | Away | Back | PathChanged | IcmpError) -> None:
        """News about an entry; late ones are counted."""
        held = self.held.get(event.token)
        if held is None:
            self.late += 1
        elif isinstance(event, Gone):
            del self.held[event.token]
            held.away = True  # what still is to be sent is not ours to send
            held.holder.on_gone(held, event.why)
        elif isinstance(event, Away):
            held.away = True
            held.holder.on_away(held, event.why)
        elif isinstance(event, Back):
            held.away = False
            held.holder.on_back(held)
        elif isinstance(event, PathChanged):
            held.software = event.software
        else:
            held.holder.on_icmp_error(held, event)


class SharedSide:
    """The entrance of a stack in shared mode: frames and events."""

    def __init__(
        self, stack: "Stack", sharing: Sharing, tcp: "SharedTcpLayer", udp: "SharedUdpLayer"
    ) -> None:
        self.sharing = sharing
        self._stack, self._tcp, self._udp = stack, tcp, udp
        self._ip = tcp.shared_ip

    def on_frames(self, frames: list[bytes]) -> None:
        """As Stack.on_frames; the address that a frame is for is part of what it is looked up by."""
        stats, ip, tcp = self._stack.stats, self._ip, self._tcp
        connections = tcp.connections
        for frame in frames:
            stats.frames_in += 1
            stats.bytes_in += len(frame)
            local = int.from_bytes(frame[30:34], "big")
            plain = fast.decode_tcp(frame, ip.mac, local)
            drop: Drop | None
            if plain is not None:
                src, segment = plain
                peer = local << 32 | src
                conn = connections.get(peer << 32 | segment.src_port << 16 | segment.dst_port)
                other = self._stack.on_other_frame
                drop = other(frame) if conn is None else tcp.on_known(conn, peer, segment)
            else:
                drop = self._stack.on_other_frame(frame)
            if drop is None:
                stats.frames_accepted += 1
            else:
                stats.drop(drop, frame, ip.now_ns)

    def on_event(self, event: Event) -> None:
        """One answer or one piece of news."""
        if isinstance(event, Granted | Refused):
            self.sharing.on_answer(event)
        elif isinstance(event, Deliver):
            self.on_frames([event.frame])
        elif isinstance(event, Resolved):
            self._ip.resolver.on_resolved(event)
            self._udp.on_resolved()
        elif isinstance(event, Interface):
            self._ip.on_interface(event)
            self._tcp.on_mtu()
        else:
            self.sharing.on_news(event)
        for remote, answer in self._ip.resolver.take_unreachable():
            error = refusal(answer.errno, answer.text)
            self._tcp.on_no_way(remote, error)
            self._udp.on_no_way(remote, error)

    def leave(self) -> None:
        """End it all: connections are aborted, those in TIME-WAIT linger at the kernel, all is given back."""
        self._tcp.leave()
        self._udp.leave()
