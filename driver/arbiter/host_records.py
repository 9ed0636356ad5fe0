# SPDX-License-Identifier: Apache-2.0
"""What the records of the host information pages mean, and their bytes: docs/host-info.md, "Records".

Addresses are integers with a family beside them, as in the registry. decode() takes a body that may be longer
than it knows (a later version appended to it), gives None for an empty record, and ValueError for nonsense.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct
from typing import ClassVar

MAX_ADDRESSES = 16  # of one interface
MAC_BYTES = 6


class InterfaceFlag(IntFlag):
    UP = 1  # the host means it to be used
    LINK = 2  # the other end is there
    DETACHING = 4  # no new flows


class Offload(IntFlag):
    """What the NIC does for a stack; bits may go while flows use them."""

    TX_CHECKSUM = 1
    RX_CHECKSUM = 2
    TSO4 = 4
    TSO6 = 8
    RSS = 16
    MERGEABLE = 32
    VLAN_FILTER = 64


class AdviceFlag(IntFlag):
    VALID = 1
    SUSPENDED = 2  # send nothing: what goes past this may be dropped


class RouteFlag(IntFlag):
    VALID = 1
    GATEWAY = 2
    SOURCE = 4
    REJECT = 8


class Reach(IntEnum):
    """State of a neighbour (RFC 4861 section 7.3.2, with the end states of others)."""

    NONE = 0
    INCOMPLETE = 1
    REACHABLE = 2
    STALE = 3
    PROBE = 4
    FAILED = 5
    PERMANENT = 6


@dataclass(frozen=True, slots=True)
class Address:
    """One address of an interface."""

    family: int  # 4 or 6
    address: int
    prefix_bits: int

    LAYOUT: ClassVar[Struct] = Struct("<16sBB6x")

    def __post_init__(self) -> None:
        check_address(self.family, self.address, self.prefix_bits)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.address.to_bytes(16, "little"), self.family, self.prefix_bits)


@dataclass(frozen=True, slots=True)
class Interface:
    """What a stack may know of an interface. speed 0 = unknown; mtu_bytes is of IP."""

    index: int
    name: str
    mac: bytes
    mtu_bytes: int
    speed_mbit_s: int
    flags: InterfaceFlag
    offloads: Offload
    queue_pairs: int
    addresses: tuple[Address, ...]

    LAYOUT: ClassVar[Struct] = Struct("<16s6sHIIIIQHH4x")
    BODY_BYTES: ClassVar[int] = 56 + MAX_ADDRESSES * 24

    def __post_init__(self) -> None:
        if len(self.mac) != MAC_BYTES or len(self.addresses) > MAX_ADDRESSES:
            raise ValueError(f"{len(self.mac)} bytes of MAC, {len(self.addresses)} addresses")
        if not 0 < len(self.name.encode()) <= 16 or "\0" in self.name:
            raise ValueError(f"name must be 1 to 16 bytes: {self.name!r}")

    def encode(self) -> bytes:
        head = self.LAYOUT.pack(
            self.name.encode(),
            self.mac,
            1,
            self.index,
            self.mtu_bytes,
            self.speed_mbit_s,
            self.flags,
            self.offloads,
            self.queue_pairs,
            len(self.addresses),
        )
        return (head + b"".join(a.encode() for a in self.addresses)).ljust(self.BODY_BYTES, b"\0")

    @classmethod
    def decode(cls, body: bytes) -> "Interface | None":
        name, mac, there, index, mtu, speed, flags, offloads, pairs, count = cls.LAYOUT.unpack_from(body)
        if not there:
            return None
        if count > MAX_ADDRESSES:
            raise ValueError(f"{count} addresses")
        addresses = []
        for place in range(count):
            raw, family, prefix = Address.LAYOUT.unpack_from(body, cls.LAYOUT.size + place * 24)
            addresses.append(Address(family, int.from_bytes(raw, "little"), prefix))
        text = name.rstrip(b"\0").decode()
        return cls(
            index, text, mac, mtu, speed, InterfaceFlag(flags), Offload(offloads), pairs, tuple(addresses)
        )


@dataclass(frozen=True, slots=True)
class FlowAdvice:
    """What the queue manager tells a flow. `token` is that of its registry entry: an advice about a flow
    that has gone says nothing about the next one in the same slot."""

    token: int
    flow_id: int
    flags: AdviceFlag = AdviceFlag.VALID
    ce_count: int = 0  # packets with "congestion experienced"
    packet_count: int = 0

    LAYOUT: ClassVar[Struct] = Struct("<QQQII")
    BODY_BYTES: ClassVar[int] = 32

    @property
    def suspended(self) -> bool:
        return bool(self.flags & AdviceFlag.SUSPENDED)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.token, self.ce_count, self.packet_count, self.flow_id, self.flags)

    @classmethod
    def decode(cls, body: bytes) -> "FlowAdvice | None":
        token, ce_count, packets, flow_id, flags = cls.LAYOUT.unpack_from(body)
        if not flags & AdviceFlag.VALID:
            return None
        return cls(token, flow_id, AdviceFlag(flags), ce_count, packets)


@dataclass(frozen=True, slots=True)
class Route:
    """One route. mtu_bytes 0 = the interface's; gateway None = on link; smaller metrics first."""

    family: int
    destination: int
    prefix_bits: int
    interface: int
    gateway: int | None = None
    source: int | None = None  # preferred local address
    metric: int = 0
    mtu_bytes: int = 0
    reject: bool = False

    LAYOUT: ClassVar[Struct] = Struct("<16s16s16sIIIHBB")
    BODY_BYTES: ClassVar[int] = 64

    def __post_init__(self) -> None:
        check_address(self.family, self.destination, self.prefix_bits)

    def encode(self) -> bytes:
        flags = RouteFlag.VALID | (RouteFlag.REJECT if self.reject else 0)
        flags |= RouteFlag.GATEWAY if self.gateway is not None else 0
        flags |= RouteFlag.SOURCE if self.source is not None else 0
        return self.LAYOUT.pack(
            self.destination.to_bytes(16, "little"),
            (self.gateway or 0).to_bytes(16, "little"),
            (self.source or 0).to_bytes(16, "little"),
            self.interface,
            self.metric,
            self.mtu_bytes,
            flags,
            self.family,
            self.prefix_bits,
        )

    @classmethod
    def decode(cls, body: bytes) -> "Route | None":
        raw = cls.LAYOUT.unpack_from(body)
        destination, gateway, source = (int.from_bytes(part, "little") for part in raw[:3])
        interface, metric, mtu, flags, family, prefix = raw[3:]
        if not flags & RouteFlag.VALID:
            return None
        return cls(
            family,
            destination,
            prefix,
            interface,
            gateway if flags & RouteFlag.GATEWAY else None,
            source if flags & RouteFlag.SOURCE else None,
            metric,
            mtu,
            bool(flags & RouteFlag.REJECT),
        )


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The link address of a neighbour, as far as the host knows it."""

    family: int
    address: int
    interface: int
    mac: bytes
    state: Reach

    LAYOUT: ClassVar[Struct] = Struct("<16sI6sBB4x")
    BODY_BYTES: ClassVar[int] = 32

    def __post_init__(self) -> None:
        check_address(self.family, self.address, 0)
        if len(self.mac) != MAC_BYTES or self.state is Reach.NONE:
            raise ValueError(f"not a neighbour: {self.mac.hex()} {self.state!r}")

    def encode(self) -> bytes:
        address = self.address.to_bytes(16, "little")
        return self.LAYOUT.pack(address, self.interface, self.mac, self.state, self.family)

    @classmethod
    def decode(cls, body: bytes) -> "Neighbour | None":
        address, interface, mac, state, family = cls.LAYOUT.unpack_from(body)
        if not state:
            return None
        return cls(family, int.from_bytes(address, "little"), interface, mac, Reach(state))


def check_address(family: int, address: int, prefix_bits: int) -> None:
    """ValueError for what is no address of the family, or no length of a prefix."""
    width = {4: 32, 6: 128}.get(family, 0)
    if not width or not 0 <= address < 1 << width or not 0 <= prefix_bits <= width:
        raise ValueError(f"not an address: {family=} {address=:#x} {prefix_bits=}")
