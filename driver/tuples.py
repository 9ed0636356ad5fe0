# SPDX-License-Identifier: Apache-2.0
"""What a frame belongs to, seen from this host: exact flows and listeners. Values only, no I/O."""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from driver.errors import UsageError
from driver.registers import STEER

Address = IPv4Address | IPv6Address
AnyAddress = Address | str | bytes

# Bits of the keys that the device hashes, the first named one most significant.
FLOW_KEY_BITS = 1 + 8 + 128 + 128 + 16 + 16  # ipv6, proto, local, remote, local port, remote port
LISTENER_KEY_BITS = 1 + 1 + 8 + 128 + 16  # any, ipv6, proto, local, local port
FLOW_KEY_BYTES = -(-FLOW_KEY_BITS // 8)
LISTENER_KEY_BYTES = -(-LISTENER_KEY_BITS // 8)


class Proto(IntEnum):
    """The protocols that entries are usually made for; any other number 0..255 works too."""

    ICMP = 1
    TCP = 6
    UDP = 17
    ICMPV6 = 58


def proto_name(proto: int) -> str:
    """`tcp`, `udp`, ... or the number."""
    return Proto(proto).name.lower() if proto in Proto.__members__.values() else str(proto)


def to_address(value: AnyAddress) -> Address:
    """An address from its text, its bytes, or itself; UsageError if it is none. Zones are refused."""
    try:
        address = ip_address(value)
    except ValueError as error:
        raise UsageError(f"not an IP address: {value!r}") from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise UsageError(f"{value!r}: an address with a zone has no meaning at the wire")
    return address


def endpoint(address: Address | None, port: int) -> str:
    """`10.0.0.1:80`, `[2001:db8::1]:80`, or `*:80` for any address."""
    if address is None:
        return f"*:{port}"
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


@dataclass(frozen=True, slots=True)
class KeyFields:
    """A key as the staging registers hold it."""

    local: int
    remote: int
    ports: int
    proto: int


@dataclass(frozen=True, slots=True)
class FlowKey:
    """An exact 5-tuple; `local` is this host's side in both directions."""

    proto: int
    local: Address
    local_port: int
    remote: Address
    remote_port: int

    def __post_init__(self) -> None:
        _check(self.proto, self.local_port, self.remote_port)
        if self.local.version != self.remote.version:
            raise UsageError(f"a flow between {self.local} and {self.remote}: two families")

    @classmethod
    def of(
        cls, proto: int, local: AnyAddress, local_port: int, remote: AnyAddress, remote_port: int
    ) -> "FlowKey":
        """The same from texts: FlowKey.of(Proto.TCP, "10.0.0.1", 80, "10.0.0.2", 1234)."""
        return cls(int(proto), to_address(local), local_port, to_address(remote), remote_port)

    def packed(self) -> bytes:
        """The bits that the device hashes, first bit first, zeros behind them."""
        bits = (int(self.local.version == 6) << 8 | self.proto) << 128 | int(self.local)
        bits = (bits << 128 | int(self.remote)) << 32 | self.local_port << 16 | self.remote_port
        return (bits << 8 * FLOW_KEY_BYTES - FLOW_KEY_BITS).to_bytes(FLOW_KEY_BYTES, "big")

    def fields(self) -> KeyFields:
        proto = STEER.KEY_PROTO_PROTO.put(self.proto) | STEER.KEY_PROTO_IPV6.put(int(self.local.version == 6))
        ports = STEER.KEY_PORTS_LOCAL.put(self.local_port) | STEER.KEY_PORTS_REMOTE.put(self.remote_port)
        return KeyFields(int(self.local), int(self.remote), ports, proto)

    @classmethod
    def from_fields(cls, fields: KeyFields) -> "FlowKey":
        """Inverse of fields."""
        ipv6 = bool(STEER.KEY_PROTO_IPV6.get(fields.proto))
        return cls(
            STEER.KEY_PROTO_PROTO.get(fields.proto),
            _address(fields.local, ipv6),
            STEER.KEY_PORTS_LOCAL.get(fields.ports),
            _address(fields.remote, ipv6),
            STEER.KEY_PORTS_REMOTE.get(fields.ports),
        )

    def __str__(self) -> str:
        there = endpoint(self.remote, self.remote_port)
        return f"{proto_name(self.proto)} {endpoint(self.local, self.local_port)} <- {there}"


@dataclass(frozen=True, slots=True)
class ListenerKey:
    """A protocol and port on one local address, or (`local` None) on any address of one family."""

    proto: int
    local: Address | None
    local_port: int
    ipv6: bool

    def __post_init__(self) -> None:
        _check(self.proto, self.local_port)
        if self.local is not None and self.ipv6 != (self.local.version == 6):
            raise UsageError(f"a listener on {self.local}: another family than ipv6={self.ipv6} says")

    @classmethod
    def of(
        cls, proto: int, local: AnyAddress | None, local_port: int, *, ipv6: bool | None = None
    ) -> "ListenerKey":
        """From texts. `local` None listens on any address: then `ipv6` (default False) says which family."""
        address = None if local is None else to_address(local)
        family = bool(ipv6) if address is None else address.version == 6
        if ipv6 is not None and ipv6 != family:
            raise UsageError(f"a listener on {address}: another family than ipv6={ipv6} says")
        return cls(int(proto), address, local_port, family)

    def packed(self) -> bytes:
        """The bits that the device hashes, first bit first, zeros behind them."""
        address = 0 if self.local is None else int(self.local)
        bits = int(self.local is None) << 1 | int(self.ipv6)
        bits = ((bits << 8 | self.proto) << 128 | address) << 16 | self.local_port
        return (bits << 8 * LISTENER_KEY_BYTES - LISTENER_KEY_BITS).to_bytes(LISTENER_KEY_BYTES, "big")

    def fields(self) -> KeyFields:
        proto = STEER.KEY_PROTO_PROTO.put(self.proto) | STEER.KEY_PROTO_IPV6.put(int(self.ipv6))
        proto |= STEER.KEY_PROTO_ANY.put(int(self.local is None))
        address = 0 if self.local is None else int(self.local)
        return KeyFields(address, 0, STEER.KEY_PORTS_LOCAL.put(self.local_port), proto)

    @classmethod
    def from_fields(cls, fields: KeyFields) -> "ListenerKey":
        """Inverse of fields."""
        ipv6 = bool(STEER.KEY_PROTO_IPV6.get(fields.proto))
        everywhere = bool(STEER.KEY_PROTO_ANY.get(fields.proto))
        return cls(
            STEER.KEY_PROTO_PROTO.get(fields.proto),
            None if everywhere else _address(fields.local, ipv6),
            STEER.KEY_PORTS_LOCAL.get(fields.ports),
            ipv6,
        )

    def __str__(self) -> str:
        family = "6" if self.ipv6 and self.local is None else ""
        return f"{proto_name(self.proto)}{family} {endpoint(self.local, self.local_port)}"


def _check(proto: int, *ports: int) -> None:
    if not 0 <= proto <= 255:
        raise UsageError(f"protocol {proto} is not in 0..255")
    for port in ports:
        if not 0 <= port <= 65535:
            raise UsageError(f"port {port} is not in 0..65535")


def _address(value: int, ipv6: bool) -> Address:
    return IPv6Address(value) if ipv6 else IPv4Address(value & 0xFFFF_FFFF)
