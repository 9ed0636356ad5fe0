# SPDX-License-Identifier: Apache-2.0
"""A scripted peer: every segment in and out of one stack, at times that the test chooses."""

import random

from userstack import Stack, StackConfig, TcpConfig
from userstack.sockets import TcpSocket
from userstack.wire.addr import parse_ip, parse_mac
from userstack.wire.arp import REPLY, REQUEST, ArpPacket
from userstack.wire.ethernet import TYPE_ARP, TYPE_IPV4, EthernetFrame
from userstack.wire.ipv4 import ICMP, TCP, UDP, Ipv4Header
from userstack.wire.tcp import ACK, FIN, NO_OPTIONS, PSH, RST, SYN, Options, Segment

__all__ = ["ACK", "FIN", "MS", "PSH", "RST", "SECOND", "SYN", "US", "Options", "Peer"]

US, MS, SECOND = 1_000, 1_000_000, 1_000_000_000
STACK_IP, PEER_IP = "10.0.0.1", "10.0.0.2"
STACK_MAC, PEER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
PORT, PEER_PORT = 80, 40000
MOD = 1 << 32
PLAIN = Options(mss=1460, shift=0)  # scaling agreed on, by a factor of one


class Peer:
    """Speaks to a stack at 10.0.0.1 as 10.0.0.2. Sequence numbers given to send() are relative to the
    ISNs."""

    def __init__(self, resolve: bool = True, seed: int = 7, mtu_bytes: int = 1500, **tcp: object) -> None:
        config = TcpConfig(**tcp)  # type: ignore[arg-type]
        stack_config = StackConfig(STACK_MAC, STACK_IP, mtu_bytes=mtu_bytes, tcp=config)
        self.stack = Stack(stack_config, random.Random(seed))
        self.now = 0
        self.isn = 1000  # ours
        self.stack_isn = 0
        self.stack_port = PORT
        self.port = PEER_PORT
        self.src, self.dst = parse_ip(PEER_IP), parse_ip(STACK_IP)
        self.keep_arp = resolve  # stay resolved as the time passes
        self._arp_at = 0
        if resolve:
            self.arp(REQUEST)
            self.stack.take_frames()

    # Frames.

    def arp(self, operation: int = REPLY, sender_ip: str = PEER_IP, sender_mac: str = PEER_MAC) -> None:
        mac = parse_mac(sender_mac)
        packet = ArpPacket(operation, mac, parse_ip(sender_ip), parse_mac(STACK_MAC), self.dst)
        self.frame(EthernetFrame(parse_mac(STACK_MAC), mac, TYPE_ARP, packet.encode()).encode())

    def frame(self, raw: bytes) -> None:
        self.stack.on_frames([raw], self.now)

    def ip(self, protocol: int, payload: bytes, src: int | None = None, dst: int | None = None) -> bytes:
        header = Ipv4Header(src or self.src, dst or self.dst, protocol, len(payload))
        raw = header.encode() + payload
        return EthernetFrame(parse_mac(STACK_MAC), parse_mac(PEER_MAC), TYPE_IPV4, raw).encode()

    def take_ip(self) -> list[tuple[Ipv4Header, bytes]]:
        """All IPv4 packets that the stack sent; checks of the codecs included."""
        frames = [EthernetFrame.decode(raw) for raw in self.stack.take_frames()]
        assert all(frame.src == parse_mac(STACK_MAC) for frame in frames)
        return [Ipv4Header.decode(frame.payload) for frame in frames if frame.ethertype == TYPE_IPV4]

    def icmp(self, raw: bytes) -> None:
        self.frame(self.ip(ICMP, raw))

    def udp(self, raw: bytes) -> None:
        self.frame(self.ip(UDP, raw))

    # Segments.

    def segment(self, flags: int, seq: int = 0, ack: int = 0, data: bytes = b"", **more: object) -> bytes:
        window, options = more.get("window", 0xFFFF), more.get("options", NO_OPTIONS)
        absolute = (self.isn + seq) % MOD, (self.stack_isn + ack) % MOD if flags & ACK else 0
        ports = more.get("port", self.port), self.stack_port
        segment = Segment(*ports, *absolute, flags, window, data, options)  # type: ignore[arg-type]
        return self.ip(TCP, segment.encode(self.src, self.dst))

    def send(self, flags: int, seq: int = 0, ack: int = 0, data: bytes = b"", **more: object) -> None:
        self.frame(self.segment(flags, seq, ack, data, **more))

    def take(self) -> list[Segment]:
        """Segments sent by the stack since the last call, sequence numbers made relative to both ISNs."""
        found = []
        for header, payload in self.take_ip():
            assert header.protocol == TCP
            segment = Segment.decode(payload, header.src, header.dst)
            ack = (segment.ack - self.isn) % MOD if segment.flags & ACK else 0
            found.append(segment._replace(seq=(segment.seq - self.stack_isn) % MOD, ack=ack))
        return found

    def one(self) -> Segment:
        """The only segment sent since the last call."""
        found = self.take()
        assert len(found) == 1, found
        return found[0]

    def none(self) -> None:
        assert self.take() == []

    # Time.

    def at(self, now_ns: int) -> None:
        """Let the time pass, running every timer at its deadline."""
        while (due := self.stack.next_deadline_ns()) is not None and due <= now_ns:
            self._tick(max(self.now, due))
        self._tick(now_ns)

    def _tick(self, now_ns: int) -> None:
        self.now = now_ns
        if self.keep_arp and now_ns - self._arp_at > 30 * SECOND:
            self._arp_at = now_ns
            self.arp()
        self.stack.on_timer(now_ns)

    def wait(self, duration_ns: int) -> None:
        self.at(self.now + duration_ns)

    def due_in(self) -> int | None:
        """Time to the stack's next deadline."""
        deadline = self.stack.next_deadline_ns()
        return None if deadline is None else deadline - self.now

    def jump(self) -> None:
        """To the next deadline, which there must be."""
        due = self.stack.next_deadline_ns()
        assert due is not None
        self.at(due)

    # Whole exchanges.

    def listen(self, backlog: int = 16) -> TcpSocket:
        listener = TcpSocket(self.stack)
        listener.bind(("0.0.0.0", PORT))
        listener.listen(backlog)
        return listener

    def accepted(self, options: Options = PLAIN, window: int = 0xFFFF) -> TcpSocket:
        """A connection opened by the peer: relative 1 is the first byte in both directions."""
        listener = self.listen()
        self.send(SYN, 0, options=options, window=window)
        self.stack_isn = self.take()[0].seq
        self.send(ACK, 1, 1, window=window)
        return listener.accept()[0]

    def connecting(self, port: int = 0) -> TcpSocket:
        """A socket in SYN-SENT; its SYN has been taken and its ISN noted."""
        sock = TcpSocket(self.stack)
        if port:
            sock.bind(("0.0.0.0", port))
        sock.connect((PEER_IP, PEER_PORT))
        syn = self.one()
        assert syn.flags == SYN
        self.stack_isn, self.stack_port = syn.seq, syn.src_port
        return sock

    def connected(self, options: Options = PLAIN, window: int = 0xFFFF) -> TcpSocket:
        """A connection opened by the stack."""
        sock = self.connecting()
        self.send(SYN | ACK, 0, 1, options=options, window=window)
        assert self.one().flags == ACK
        return sock
