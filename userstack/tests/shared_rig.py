# SPDX-License-Identifier: Apache-2.0
"""A stack in shared mode against a kernel that only notes what it is asked."""

import random
from typing import Any

from userstack import Host, Stack, StackConfig
from userstack.shared import Granted, Resolved
from userstack.tcp.conn import State
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.ipv4 import TCP, Ipv4Header
from userstack.wire.tcp import ACK, SYN, Options, Segment

HERE, THERE, PEER = 0x0A000001, 0x0A000002, 0x0A000009
PEER_MAC, MAC = bytes((2, 0, 0, 0, 0, 9)), bytes((2, 0, 0, 0, 0, 1))
SECOND_NS = 10**9


class Kernel:
    """Notes each call as (name, arguments); the cookie of the last question is `cookie`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.cookie = 0

    def __getattr__(self, name: str) -> Any:
        def note(*arguments: Any) -> None:
            self.calls.append((name, *arguments))
            if name in ("listen", "connect", "accept"):
                self.cookie = arguments[0]

        return note

    def take(self, *names: str) -> list[tuple[Any, ...]]:
        """Calls of these names (all without any) since the last take."""
        calls, self.calls = self.calls, []
        return [call for call in calls if not names or call[0] in names]


class Rig:
    def __init__(self, **config: Any) -> None:
        self.kernel = Kernel()
        self.stack = Stack(
            StackConfig(MAC.hex(":"), "10.0.0.1", **config), random.Random(1), shared=self.kernel
        )
        self.host = Host(self.stack)

    def tell(self, *events: Any, now_ns: int = 0) -> None:
        self.host.on_events(events, max(now_ns, self.stack.now_ns))

    def resolve(self, local: int = HERE, mac: bytes | None = PEER_MAC) -> None:
        self.tell(Resolved(PEER, local, mac))

    def grant(self, token: int, port: int, local: int | None = HERE, **more: Any) -> None:
        self.tell(Granted(self.kernel.cookie, token, local, port, **more))

    def out(self) -> list[tuple[Ipv4Header, bytes]]:
        """IPv4 packets of the frames to send."""
        return [Ipv4Header.decode(EthernetFrame.decode(raw).payload) for raw in self.stack.take_frames()]

    def segments(self) -> list[Segment]:
        return [Segment.decode(body, header.src, header.dst) for header, body in self.out()]

    def arrive(self, segment: Segment, dst: int = HERE, mac: bytes = MAC) -> None:
        body = segment.encode(PEER, dst)
        packet = Ipv4Header(PEER, dst, TCP, len(body), 7).encode() + body
        self.host.on_frames([EthernetFrame(mac, PEER_MAC, 0x0800, packet).encode()], self.stack.now_ns)

    def connected(self, token: int = 5) -> Any:
        """A socket in ESTABLISHED, and what the peer's next segment looks like."""
        sock = self.host.socket().raw
        sock.connect(("10.0.0.9", 80))
        self.grant(token, 5000, isn_offset=1000)
        self.resolve()
        (syn,) = self.segments()
        answer = Segment(80, 5000, 99, syn.seq + 1, SYN | ACK, 60000, b"", Options(mss=1460))
        self.arrive(answer)
        self.stack.take_frames()
        assert sock.state is State.ESTABLISHED
        self.kernel.take()
        return sock
