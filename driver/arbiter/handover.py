# SPDX-License-Identifier: Apache-2.0
"""What happens to entries that stay: the interface and its addresses come and go, owners change."""

from dataclasses import replace
from errno import EADDRNOTAVAIL, EEXIST, EINVAL, ENXIO, EPERM

from .conflicts import conflict, other_listener
from .entries import HOST_STACK, ArbiterError, Entry, EntryFlag, Kind, Request, is_link_local
from .identifiers import Domain, FlowIds
from .records import DUAL, local_zone
from .store import FLAGS, Store
from .validate import BITS, check

HOST, LISTENER, FLOW, PROTOCOL = Kind.HOST, Kind.LISTENER, Kind.FLOW, Kind.PROTOCOL
RESERVED, UNBOUND = int(EntryFlag.RESERVED), int(EntryFlag.UNBOUND)
LINGERING, REUSE, ESTABLISHED = (
    int(EntryFlag.LINGERING),
    int(EntryFlag.REUSE),
    int(EntryFlag.ESTABLISHED),
)


class Handover:
    """The part of the registry that binds entries to the interface and hands them over. See Registry."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.attached = True
        self._addresses: set[tuple[int, int, int]] = set()  # family, address, zone
        self._offers: dict[int, int] = {}  # token -> stack that may take it
        self._former: dict[int, Entry] = {}  # token -> what it was before it was taken, until it is armed

    @property
    def generation(self) -> int:
        """Of the whole registry, one more with every change."""
        return self._store.log.generation

    @property
    def flow_ids(self) -> FlowIds:
        """The ids of all flows; also for flows that are no entries (IPsec, packet filter)."""
        return self._store.flow_ids

    @property
    def software_now(self) -> int:
        """Entries that are forwarded in software."""
        return self._store.software_now

    @property
    def software_total(self) -> int:
        """How often an entry came to be forwarded in software."""
        return self._store.software_total

    def get(self, token: int) -> Entry:
        """The entry of a token; ENOENT."""
        return self._store.get(token)

    def owned(self, token: int, stack: int) -> Entry:
        """The entry of a token, which must be this stack's; ENOENT, EPERM."""
        return self._store.owned(token, stack)

    # The interface

    def add_address(self, family: int, address: int, zone: int = 0) -> list[Entry]:
        """The interface has an address; returns the entries that are bound again and must be armed in
        hardware. EINVAL for no address or a wrong zone; one that is there already changes nothing."""
        if family not in BITS or not 0 < address < 1 << BITS.get(family, 0):
            raise ArbiterError(EINVAL, f"address {address:#x} of family {family}: there is none such")
        if is_link_local(family, address) != (zone > 0):
            raise ArbiterError(EINVAL, "a link-local IPv6 address needs its zone, and nothing else has one")
        self._addresses.add((family, address, zone))
        return self._bind_again()

    def remove_address(self, family: int, address: int, zone: int = 0) -> list[Entry]:
        """The interface has lost an address; returns the entries of user-space stacks at it. They stay
        reserved, UNBOUND, and come back with the address. EADDRNOTAVAIL if it was not there."""
        if (family, address, zone) not in self._addresses:
            raise ArbiterError(EADDRNOTAVAIL, f"address {address:#x} is not on the interface")
        self._addresses.discard((family, address, zone))
        return self._unbind()

    def addresses(self) -> list[tuple[int, int, int]]:
        """(family, address, zone) of the interface, sorted."""
        return sorted(self._addresses)

    def detach(self) -> list[Entry]:
        """The interface is away: user-space entries stay reserved, UNBOUND; returns them. ENXIO if it was."""
        if not self.attached:
            raise ArbiterError(ENXIO, "the interface is detached already")
        self.attached = False
        return self._unbind()

    def attach(self) -> list[Entry]:
        """The interface is back; returns the entries that are bound again. EINVAL if it was never away."""
        if self.attached:
            raise ArbiterError(EINVAL, "the interface is attached already")
        self.attached = True
        return self._bind_again()

    def _away(self, entry: Entry) -> bool:
        if entry.stack == HOST_STACK:
            return False
        place = (entry.family, entry.local or 0, local_zone(entry))
        return not self.attached or (entry.local is not None and place not in self._addresses)

    def _unbind(self) -> list[Entry]:
        gone = [e for e in self._store.records.entries.values() if not int(e.flags) & UNBOUND]
        return [self._store.reflag(e, int(e.flags) | UNBOUND) for e in gone if self._away(e)]

    def _bind_again(self) -> list[Entry]:
        away = [e for e in self._store.records.entries.values() if int(e.flags) & UNBOUND]
        return [self._store.reflag(e, int(e.flags) & ~UNBOUND) for e in away if not self._away(e)]

    def _zone(self, wish: Request) -> int:
        return local_zone(wish)

    def _check_local(self, wish: Request) -> None:
        if wish.local is not None and (wish.family, wish.local, local_zone(wish)) not in self._addresses:
            raise ArbiterError(EADDRNOTAVAIL, f"{wish}: not an address of the interface")

    # Owners

    def offer(self, token: int, stack: int, to: int) -> None:
        """Allow another stack to take an entry; the last offer counts. EINVAL for oneself, and for entries
        that linger or have been taken and not armed."""
        entry = self.owned(token, stack)
        if to == stack or to < 0 or int(entry.flags) & LINGERING or token in self._former:
            raise ArbiterError(EINVAL, f"{entry}: cannot be offered to stack {to}")
        self._offers[token] = to

    def take(self, token: int, stack: int, local_port: int = 0) -> Entry:
        """Become the owner of an entry that was offered: with its token, at its port, without a moment in
        which it is free. It is HOST for the host's stack, else LISTENER or FLOW, and RESERVED until hardware
        is redirected and it is armed (the host's at once); cancel() gives it back.

        EPERM: not offered to this stack. EINVAL: `local_port` is neither 0 nor the entry's. EADDRINUSE,
        EEXIST: what surrounds it excludes it as what it would become. EADDRNOTAVAIL, ENXIO: as reserve.
        """
        entry = self.get(token)
        if self._offers.get(token) != stack:
            raise ArbiterError(EPERM, f"{entry}: not offered to stack {stack}")
        if local_port not in (0, entry.local_port):
            raise ArbiterError(EINVAL, f"{entry}: has port {entry.local_port}, not {local_port}")
        kind = self._kind_for(entry, stack)
        flags = int(entry.flags) & ((DUAL | REUSE | ESTABLISHED | UNBOUND) if stack else DUAL)
        taken = replace(entry, stack=stack, kind=kind, flags=FLAGS[flags | (RESERVED if stack else 0)])
        self._check_taken(entry, taken)
        flow_id = entry.flow_id
        if not stack:
            self._store.flow_ids.free(flow_id)
            flow_id = 0
        elif not entry.stack:
            flow_id = self._store.flow_ids.allocate(Domain.SWITCH)
        del self._offers[token]
        if stack:
            self._former[token] = entry
        return self._store.move(entry, stack=stack, kind=kind, flags=taken.flags, flow_id=flow_id)

    def _kind_for(self, entry: Entry, stack: int) -> Kind:
        if entry.kind is PROTOCOL:
            return PROTOCOL
        if stack == HOST_STACK:
            return HOST
        return LISTENER if entry.remote is None else FLOW

    def _check_taken(self, entry: Entry, taken: Entry) -> None:
        """ArbiterError if the entry cannot be what it would become."""
        records = self._store.records
        if entry.kind is PROTOCOL and len(records.protocols[entry.proto]) > 1:
            raise ArbiterError(EEXIST, f"{entry}: its owner has more entries of this protocol")
        if entry.stack and taken.stack:
            return  # the same place in another user-space stack's hands
        wish = Request(
            taken.stack,
            taken.kind,
            taken.proto,
            taken.family,
            taken.local,
            taken.local_port,
            taken.remote,
            taken.remote_port,
            EntryFlag(int(taken.flags) & (DUAL | REUSE)),
            taken.zone,
        )
        check(wish)
        if taken.stack:
            if not self.attached:
                raise ArbiterError(ENXIO, f"{wish}: the interface is detached")
            self._check_local(wish)
        if entry.kind is PROTOCOL:
            return
        with records.without(entry):
            found = other_listener(records, taken) if entry.kind is LISTENER else conflict(records, wish)
        if found is not None:
            raise ArbiterError(found.errno, f"{wish}: {found.text}")

    def _return(self, entry: Entry) -> bool:
        """Give an entry that was taken and not armed back to its former owner; False if there is none."""
        former = self._former.pop(entry.token, None)
        if former is None:
            return False
        if entry.flow_id != former.flow_id:
            self._store.flow_ids.free(entry.flow_id)
        flags = int(former.flags) & ~UNBOUND
        former = replace(former, flags=FLAGS[flags | (UNBOUND if self._away(former) else 0)])
        self._store.move(
            entry, stack=former.stack, kind=former.kind, flags=former.flags, flow_id=former.flow_id
        )
        return True

    def _settle(self, token: int) -> None:
        """An entry is its new owner's for good, or gone."""
        former = self._former.pop(token, None)
        if former is not None and former.flow_id != self.get(token).flow_id:
            self._store.flow_ids.free(former.flow_id)

    def _reserved(self, token: int, stack: int) -> Entry:
        entry = self.owned(token, stack)
        if not int(entry.flags) & RESERVED:
            raise ArbiterError(EINVAL, f"{entry}: armed already")
        return entry

    def _withdraw_offer(self, token: int) -> None:
        self._offers.pop(token, None)

    def _withdraw_offers(self, stack: int) -> None:
        """A stack ends: nobody gets anything from it, and it gets nothing."""
        owned = self._store.records.stacks.get(stack, set())
        for token in [t for t, to in self._offers.items() if to == stack or t in owned]:
            del self._offers[token]
        for token in [t for t, former in self._former.items() if former.stack == stack]:
            self._settle(token)
