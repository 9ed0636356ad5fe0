# SPDX-License-Identifier: Apache-2.0
"""Receive steering: the flow table, the listener table and the local addresses of one device.

    steering = await Steering.attach(bus, state=Found.EMPTY)
    web = await steering.listeners.insert(ListenerKey.of(Proto.TCP, None, 80), to_queue(1))
    await steering.enable()

A frame is looked up as an exact flow, then as a listener on its own address, then as one on any address (if
its address is a local one); what nothing matches goes on to RSS (driver.rss) or to the host's pair 0.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from driver.bus import Bus
from driver.errors import UsageError
from driver.registers import SteerTarget as Target
from driver.steer_port import SteerPort
from driver.tables import (
    TO_DROP,
    TO_HOST,
    Action,
    Entry,
    FlowTable,
    Handle,
    ListenerTable,
    Rebuilt,
    to_queue,
)
from driver.toeplitz import Toeplitz
from driver.tuples import (
    FLOW_KEY_BYTES,
    LISTENER_KEY_BYTES,
    Address,
    AnyAddress,
    FlowKey,
    ListenerKey,
    Proto,
    endpoint,
    to_address,
)

__all__ = [
    "TO_DROP", "TO_HOST", "Action", "Entry", "FlowKey", "FlowTable", "Found", "Handle", "ListenerKey",
    "ListenerTable", "LocalAddresses", "Proto", "Rebuilt", "Steering", "Target", "dump_lines", "to_address",
    "to_queue",
]  # fmt: skip

HASH_BITS = 64
LOCAL_ADDRESSES_MAX = 8


class Found(Enum):
    """What is known of the device's tables when a driver attaches."""

    EMPTY = "they are empty, as after the device's hard reset"
    CLEAR = "not known, and not wanted: clear every slot"
    REBUILD = "not known: read every slot and go on with what is there"


class LocalAddresses:
    """The interface's own addresses: a listener on any address gets only frames to one of these."""

    def __init__(self, port: SteerPort) -> None:
        self._port = port
        self._at: list[Address | None] = [None] * LOCAL_ADDRESSES_MAX

    def __iter__(self) -> Iterator[Address]:
        return iter([address for address in self._at if address is not None])

    def __len__(self) -> int:
        return sum(address is not None for address in self._at)

    async def add(self, address: AnyAddress) -> None:
        """Add an address; UsageError if it is there or the list is full."""
        wanted = to_address(address)
        if wanted in self._at:
            raise UsageError(f"{wanted} is a local address already")
        if None not in self._at:
            raise UsageError(f"{wanted}: the list of local addresses is full ({LOCAL_ADDRESSES_MAX})")
        index = self._at.index(None)
        with self._port.alone("local address"):
            await self._port.write_local(index, int(wanted), ipv6=wanted.version == 6, valid=True)
        self._at[index] = wanted

    async def remove(self, address: AnyAddress) -> None:
        """Remove an address; UsageError if it is not there."""
        gone = to_address(address)
        if gone not in self._at:
            raise UsageError(f"{gone} is not a local address")
        index = self._at.index(gone)
        with self._port.alone("local address"):
            await self._port.write_local(index, 0, ipv6=False, valid=False)
        self._at[index] = None

    async def set(self, addresses: Iterable[AnyAddress]) -> None:
        """Write the whole list, all entries of the device, whatever they held."""
        wanted = list(dict.fromkeys(to_address(address) for address in addresses))
        if len(wanted) > LOCAL_ADDRESSES_MAX:
            raise UsageError(f"{len(wanted)} local addresses, at most {LOCAL_ADDRESSES_MAX}")
        self._at = [*wanted, *[None] * (LOCAL_ADDRESSES_MAX - len(wanted))]
        with self._port.alone("local addresses"):
            for index, address in enumerate(self._at):
                ipv6 = address is not None and address.version == 6
                await self._port.write_local(index, int(address or 0), ipv6=ipv6, valid=address is not None)


class Steering:
    """Both tables and the local addresses of one device. Changes one at a time; looking costs no access."""

    def __init__(self, port: SteerPort, capacities: tuple[int, int], key: bytes, verify: bool) -> None:
        self._port = port
        self.locals = LocalAddresses(port)
        flow_hash = Toeplitz(key, FLOW_KEY_BYTES, HASH_BITS)
        listener_hash = Toeplitz(key, LISTENER_KEY_BYTES, HASH_BITS)
        self.flows = FlowTable(port, capacities[0], flow_hash, verify=verify)
        self.listeners = ListenerTable(port, capacities[1], listener_hash, verify=verify)

    @classmethod
    async def attach(cls, bus: Bus, *, state: Found = Found.REBUILD, verify: bool = False) -> "Steering":
        """Take over the device's tables. verify: read every written slot back.

        REBUILD costs three accesses a slot, CLEAR two, EMPTY none. The local addresses are set anew (none)
        except with EMPTY.
        """
        port = SteerPort(bus)
        steering = cls(port, await port.capacities(), await port.table_key(), verify)
        if state is Found.REBUILD:
            await steering.rebuild()
        elif state is Found.CLEAR:
            await steering.flows.clear_all_slots()
            await steering.listeners.clear_all_slots()
        if state is not Found.EMPTY:
            await steering.locals.set(())
        return steering

    async def enable(self, on: bool = True) -> None:
        """Let the tables decide about frames; off: all of them miss."""
        await self._port.enable(on)

    async def rebuild(self) -> tuple[Rebuilt, Rebuilt]:
        """Read both tables back from the device (flows, listeners)."""
        return await self.flows.rebuild(), await self.listeners.rebuild()

    async def set_table_key(self, key: bytes) -> None:
        """Place entries by another key, 48 bytes; UsageError unless both tables are empty."""
        if len(self.flows) or len(self.listeners):
            raise UsageError("the table key changes only while both tables are empty")
        flow_hash = Toeplitz(key, FLOW_KEY_BYTES, HASH_BITS)
        await self._port.set_table_key(key)
        self.flows.use_hash(flow_hash)
        self.listeners.use_hash(Toeplitz(key, LISTENER_KEY_BYTES, HASH_BITS))

    async def dump(self) -> list[dict[str, str | int | None]]:
        """Every entry of both tables with its hits, as plain values fit for JSON."""
        return [*await self.flows.dump(), *await self.listeners.dump()]


def dump_lines(entries: Iterable[Mapping[str, str | int | None]]) -> list[str]:
    """One readable line for each entry of a dump."""
    return [_line(entry) for entry in entries]


def _line(entry: Mapping[str, str | int | None]) -> str:
    local = _shown(entry["local"], entry["local_port"])
    remote = _shown(entry["remote"], entry["remote_port"]) if entry["table"] == "flow" else ""
    family = f"ipv{entry['family']}"
    target = str(entry["target"]).lower() + (f" {entry['pair']}" if entry["pair"] is not None else "")
    where = f"id {entry['id']} gen {entry['generation']} slot {entry['slot']}"
    ends = f"{local} <- {remote}" if remote else local
    what = f"{entry['table']:<8} {entry['proto']:<6} {family}"
    return f"{what} {ends} -> {target}, {where}, hits {entry['hits']:,}"


def _shown(address: str | int | None, port: str | int | None) -> str:
    return endpoint(None if address is None else to_address(str(address)), int(port or 0))
