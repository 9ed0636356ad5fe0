# SPDX-License-Identifier: Apache-2.0
"""ICMP: echo replies, errors out (rate limited), errors in handed to the protocol they are about."""

from typing import Protocol

from .config import MS_NS
from .drops import Drop
from .ip import IpLayer
from .limiter import Limiter
from .wire import icmp, ipv4
from .wire.errors import WireError

QUOTE_BYTES = 8  # of the offending payload, RFC 792; more is allowed, less is not useful


class ErrorSink(Protocol):
    """A transport that learns of errors about what it sent; returns False if it knows no such exchange."""

    def on_icmp(self, remote_ip: int, quote: bytes, message: icmp.IcmpMessage) -> bool: ...


class IcmpLayer:
    def __init__(self, ip: IpLayer) -> None:
        self._ip = ip
        self._limit = Limiter(interval_ns=10 * MS_NS, burst=50)  # RFC 1122 section 3.2.2 allows a limit
        self.sinks: dict[int, ErrorSink] = {}  # by IP protocol

    def on_packet(self, header: ipv4.Ipv4Header, payload: bytes, broadcast: bool) -> Drop | None:
        try:
            message = icmp.IcmpMessage.decode(payload)
        except WireError as error:
            return error.reason
        if message.kind == icmp.ECHO_REQUEST:
            if broadcast:  # RFC 1122 section 3.2.2.6 allows silence, which ends amplification
                return Drop.ICMP_BROADCAST
            reply = icmp.IcmpMessage(icmp.ECHO_REPLY, 0, message.word, message.payload)
            if len(payload) + ipv4.HEADER_BYTES > self._ip.path(header.src).mtu_bytes:
                return Drop.ICMP_TYPE
            self._ip.send(header.src, ipv4.ICMP, reply.encode())
            return None
        if message.kind in icmp.ERROR_TYPES:
            return self._on_error(message)
        return Drop.ICMP_STRAY if message.kind == icmp.ECHO_REPLY else Drop.ICMP_TYPE

    def _on_error(self, message: icmp.IcmpMessage) -> Drop | None:
        """RFC 1122 section 3.2.2: find the exchange by the quoted header; its lengths are not to be
        trusted."""
        quote = message.payload
        if len(quote) < ipv4.HEADER_BYTES + QUOTE_BYTES or quote[0] >> 4 != 4:
            return Drop.ICMP_SHORT
        head = (quote[0] & 15) * 4
        src, dst = int.from_bytes(quote[12:16], "big"), int.from_bytes(quote[16:20], "big")
        if head < ipv4.HEADER_BYTES or len(quote) < head + QUOTE_BYTES:
            return Drop.ICMP_SHORT
        sink = self.sinks.get(quote[9])
        if src != self._ip.ip or sink is None or not sink.on_icmp(dst, quote[head:], message):
            return Drop.ICMP_STRAY
        return None

    def send_unreachable(self, code: int, header: ipv4.Ipv4Header, payload: bytes) -> None:
        """Destination unreachable about a received packet, within the rate limit (RFC 1122 section
        3.2.2.1)."""
        if self._limit.allow(self._ip.now_ns):
            message = icmp.IcmpMessage(icmp.UNREACHABLE, code, 0, header.encode() + payload[:QUOTE_BYTES])
            self._ip.send(header.src, ipv4.ICMP, message.encode())
            self._ip.stats.icmp_errors_out += 1
