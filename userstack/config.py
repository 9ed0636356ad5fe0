# SPDX-License-Identifier: Apache-2.0
"""What a caller decides about a stack. All times in nanoseconds, all sizes in bytes."""

from dataclasses import dataclass, field
from typing import Protocol

from .errors import BadAddress
from .wire.addr import is_multicast, parse_ip, parse_mac

MS_NS = 1_000_000
SECOND_NS = 1_000_000_000
NEVER_NS = 1 << 63  # later than any deadline


class Rng(Protocol):
    """Source of randomness (`random.Random` fits); secrets and initial values come from it."""

    def getrandbits(self, k: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class TcpConfig:
    """Knobs of TCP; the defaults are those of the RFCs named."""

    recv_buffer_bytes: int = 1 << 18
    send_buffer_bytes: int = 1 << 18
    min_rto_ns: int = SECOND_NS  # RFC 6298 section 2.4
    max_rto_ns: int = 60 * SECOND_NS  # RFC 6298 section 2.5
    initial_rto_ns: int = SECOND_NS  # RFC 6298 section 2.1
    delayed_ack_ns: int = 40 * MS_NS  # RFC 9293 section 3.8.6.3: below 500 ms
    msl_ns: int = 30 * SECOND_NS  # TIME-WAIT lasts twice this
    syn_give_up_ns: int = 180 * SECOND_NS  # R2 of a SYN, RFC 9293 section 3.8.3
    data_give_up_ns: int = 100 * SECOND_NS  # R2 of data, the same
    orphan_ns: int = 60 * SECOND_NS  # FIN-WAIT-2 after close(): the peer may never send its FIN
    initial_window_segments: int = 10  # RFC 6928
    timestamps: bool = False  # RFC 7323; off saves 12 bytes a segment
    keepalive_idle_ns: int = 7200 * SECOND_NS  # RFC 9293 section 3.8.4: at least two hours by default
    keepalive_interval_ns: int = 75 * SECOND_NS
    keepalive_probes: int = 9
    ephemeral_ports: tuple[int, int] = (49152, 65535)  # RFC 6335, both ends included

    @property
    def shift(self) -> int:
        """Window scale that makes the receive buffer expressible (RFC 7323 section 2.3)."""
        return max(0, min(14, (self.recv_buffer_bytes >> 16).bit_length()))


@dataclass(frozen=True, slots=True)
class StackConfig:
    """One interface: MAC, address, prefix, gateway, MTU (IP bytes, no Ethernet header)."""

    mac: str
    ip: str
    prefix_bits: int = 24
    gateway: str | None = None
    mtu_bytes: int = 1500
    tcp: TcpConfig = field(default_factory=TcpConfig)

    def __post_init__(self) -> None:
        parse_mac(self.mac)
        ip = parse_ip(self.ip)
        if is_multicast(ip) or ip >> 24 in (0, 127) or ip >> 28 == 15:
            raise BadAddress(f"not a host address: {self.ip}")
        if not 0 <= self.prefix_bits <= 32 or not 576 <= self.mtu_bytes <= 9714:
            raise BadAddress(f"out of range: {self.prefix_bits=} {self.mtu_bytes=}")
        if self.gateway is not None and (parse_ip(self.gateway) ^ ip) & self.netmask:
            raise BadAddress(f"gateway {self.gateway} is not on {self.ip}/{self.prefix_bits}")

    @property
    def netmask(self) -> int:
        return 0xFFFF_FFFF ^ (1 << 32 - self.prefix_bits) - 1
