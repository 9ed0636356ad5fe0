# SPDX-License-Identifier: Apache-2.0
"""The namespace registry: who owns which tuple of the interface's addresses; docs/arbiter.md.

Pure state: no clock (times come in as `now_ns`), no I/O. Callers are not trusted: what they do wrong is an
ArbiterError with an errno, and a refusal changes nothing. `stack` is who asks; ENOENT for a token that is
none, EPERM for another stack's.
"""

from collections.abc import Callable, Iterable, Iterator
from errno import EADDRINUSE, EADDRNOTAVAIL, EALREADY, EINVAL, ENXIO
from typing import NamedTuple

from .changes import LOG_SIZE, Change
from .conflicts import Conflict, conflict, vacant
from .entries import HOST_STACK, TCP, ArbiterError, Entry, EntryFlag, Kind, Request, StaleRequest
from .ephemeral import PortPolicy, PortRange, Randomness
from .handover import Handover
from .identifiers import IpIds, TcpSecrets
from .linger import MSL_NS, Lingers, linger_ns
from .records import flow_key, pack_flow
from .store import Store
from .validate import check

HOST, LISTENER, FLOW, PROTOCOL = Kind.HOST, Kind.LISTENER, Kind.FLOW, Kind.PROTOCOL
RESERVED, UNBOUND = int(EntryFlag.RESERVED), int(EntryFlag.UNBOUND)
LINGERING, ESTABLISHED = int(EntryFlag.LINGERING), int(EntryFlag.ESTABLISHED)
SOFTWARE, REUSE = int(EntryFlag.SOFTWARE), int(EntryFlag.REUSE)
HALF_CLOSED, WITHDRAWN = int(EntryFlag.HALF_CLOSED), int(EntryFlag.WITHDRAWN)
# ICMP, IGMP, IPv4 in IPv4, IPv6 in IPv4, GRE, ICMPv6: what a host's stack registers by itself.
HOST_PROTOCOLS = (1, 2, 4, 41, 47, 58)
NEWS_MAX = 256  # changes that a refusal carries at most


class Released(NamedTuple):
    """What became of the entries of a stack that is gone, each list oldest first."""

    gone: list[Entry]
    lingering: list[Entry]


class Registry(Handover):
    """All entries of one interface. It starts attached, without addresses and with the host's protocols."""

    def __init__(
        self,
        rng: Randomness,
        *,
        policy: PortPolicy | None = None,
        host_protocols: Iterable[int] = HOST_PROTOCOLS,
        msl_ns: int = MSL_NS,
        log_size: int = LOG_SIZE,
    ) -> None:
        super().__init__(Store(rng, log_size))
        self.policy = policy or PortPolicy()
        self.msl_ns = msl_ns  # a change holds for what is released later
        self.ip_ids = IpIds()
        self.tcp_secrets = TcpSecrets(rng)
        self._rng = rng
        self._lingers = Lingers()
        for proto in host_protocols:
            self.reserve(Request(HOST_STACK, PROTOCOL, proto, 6, flags=EntryFlag.DUAL))

    # Reserving

    def reserve(self, wish: Request) -> Entry:
        """Take what a request asks for; the entry is RESERVED until arm() or cancel(). Entries of the host
        stack are complete at once.

        EINVAL, ENOTSUP: no valid request. ENXIO: the interface is detached. EADDRNOTAVAIL: not an address of
        the interface, or too few UDP ports left. EADDRINUSE: the matrix, or a restricted port. EEXIST: the
        same 5-tuple, or another owner of the protocol. ESTALE: StaleRequest.
        """
        check(wish)
        if wish.generation is not None and not 0 <= wish.generation <= self.generation:
            raise ArbiterError(EINVAL, f"{wish}: generation {wish.generation} has not been reached")
        self._admit(wish)
        found = conflict(self._store.records, wish)
        if found is not None:
            raise self._refusal(wish, found)
        listener = self._own_listener(wish) if wish.kind is FLOW else None
        if listener is None and wish.kind in (LISTENER, FLOW):
            right = self.policy.missing_right(wish.proto, wish.local_port, wish.rights)
            if right is not None:
                raise ArbiterError(EADDRINUSE, f"{wish}: the port is restricted to those with {right!r}")
        flags = int(wish.flags)
        if listener is not None:
            flags |= int(listener.flags) & REUSE  # so that connections survive as the listener meant it
        flow_id = self._store.identify(wish)
        if wish.reopen and (token := self._store.records.flows.get(flow_key(wish))) is not None:
            self._forget(self.get(token))
        return self._store.insert(wish, wish.local_port, flags | (RESERVED if wish.stack else 0), flow_id)

    def reserve_ephemeral(self, wish: Request, ports: PortRange | None = None) -> Entry:
        """The same at a port of the registry's choice, of `ports` or of the policy's range: one where nobody
        is whom this could meet, not even with REUSE. EADDRNOTAVAIL if there is none."""
        check(wish, ephemeral=True)
        self._admit(wish)
        records = self._store.records
        port = self.policy.pick(wish, ports, lambda port: vacant(records, wish, port), self._rng)
        # Nobody is there: no rule has a say, and no listener whose flow this could be.
        flow_id = self._store.identify(wish)
        return self._store.insert(wish, port, int(wish.flags) | (RESERVED if wish.stack else 0), flow_id)

    def arm(self, token: int, stack: int, software: bool = False) -> Entry:
        """Hardware has the entry now, or (`software`) has no room and frames are forwarded in software.
        EINVAL if it is not RESERVED."""
        entry = self._reserved(token, stack)
        flags = int(entry.flags) & ~(RESERVED | SOFTWARE) | (SOFTWARE if software else 0)
        if self._former:
            self._settle(token)
        return self._store.reflag(entry, flags)

    def cancel(self, token: int, stack: int) -> None:
        """Undo a reservation that is not armed: it is gone; if it was taken over, its former owner has it as
        before. EINVAL if it is not RESERVED."""
        entry = self._reserved(token, stack)
        if not self._return(entry):
            self._forget(entry)

    def set_software(self, token: int, on: bool) -> Entry:
        """Note that an armed entry lost its place in hardware, or got one. For the arbiter itself. EINVAL
        for entries of the host, and those RESERVED or LINGERING."""
        entry = self.get(token)
        if not entry.stack or int(entry.flags) & (RESERVED | LINGERING):
            raise ArbiterError(EINVAL, f"{entry}: not an armed entry of a user-space stack")
        return self._store.reflag(entry, int(entry.flags) & ~SOFTWARE | (SOFTWARE if on else 0))

    def rebind(
        self,
        token: int,
        stack: int,
        *,
        family: int,
        local: int | None,
        zone: int = 0,
        remote: int | None = None,
        remote_port: int = 0,
    ) -> Entry:
        """Other addresses for a HOST entry (bind, connect, change of address): same port, same token. If it
        is refused the old ones stay. Errors as reserve, EINVAL for other kinds. DUAL goes with [::]."""
        entry = self.owned(token, stack)
        if entry.kind is not HOST:
            raise ArbiterError(EINVAL, f"{entry}: only sockets of the host change their addresses")
        kept = EntryFlag.DUAL if family == 6 and local is None else EntryFlag(0)
        flags = entry.flags & kept
        wish = Request(
            entry.stack, HOST, entry.proto, family, local, entry.local_port, remote, remote_port, flags, zone
        )
        check(wish)
        self._admit(wish)
        # The old addresses are still held: reserve the new ones, then release the old.
        found = conflict(self._store.records, wish)
        if found is not None:
            raise self._refusal(wish, found)
        flags = flags | entry.flags & ~EntryFlag.DUAL
        return self._store.move(
            entry, family=family, local=local, zone=zone, remote=remote, remote_port=remote_port, flags=flags
        )

    def _admit(self, wish: Request) -> None:
        """What depends on the interface and its addresses."""
        if wish.stack != HOST_STACK:
            if not self.attached:
                raise ArbiterError(ENXIO, f"{wish}: the interface is detached")
            self._check_local(wish)
        elif wish.kind is HOST and self.policy.udp_floor:
            records = self._store.records
            if self.policy.too_few_left(wish.proto, records.ports_used(wish)) and not records.place(
                wish.proto, wish.family, wish.local, self._zone(wish), wish.local_port
            ):
                raise self._too_few(wish)
        if wish.local_port == 0 and self.policy.too_few_left(
            wish.proto, self._store.records.ports_used(wish)
        ):
            raise self._too_few(wish)

    def _too_few(self, wish: Request) -> ArbiterError:
        return ArbiterError(
            EADDRNOTAVAIL, f"{wish}: fewer than {self.policy.udp_floor} UDP ports remain at this address"
        )

    def _own_listener(self, wish: Request) -> Entry | None:
        return self._store.records.listener_for(
            wish.proto, wish.family, wish.local, self._zone(wish), wish.local_port
        )

    def _refusal(self, wish: Request, found: Conflict) -> ArbiterError:
        refusal = ArbiterError(found.errno, f"{wish}: {found.text}")
        if wish.generation is None or found.since <= wish.generation:
            return refusal
        return StaleRequest(self.generation, self._store.log.since(wish.generation, NEWS_MAX), refusal)

    # States

    def establish(self, token: int, stack: int) -> Entry:
        """A TCP flow got as far as ESTABLISHED: it will linger. EINVAL for anything else."""
        return self._mark(token, stack, ESTABLISHED)

    def half_close(self, token: int, stack: int) -> Entry:
        """One end of a flow is closed: not an active port any more. EINVAL for what is no flow."""
        return self._mark(token, stack, HALF_CLOSED)

    def withdraw(self, token: int, stack: int) -> Entry:
        """Take the port out of the lists of ports; the tuple stays taken."""
        return self._mark(token, stack, WITHDRAWN)

    def _mark(self, token: int, stack: int, flag: int) -> Entry:
        entry = self.owned(token, stack)
        flow = entry.kind is FLOW and (flag != ESTABLISHED or entry.proto == TCP)
        if int(entry.flags) & LINGERING or not (flow or flag == WITHDRAWN):
            raise ArbiterError(EINVAL, f"{entry}: cannot become {FLAG_TEXT[flag]}")
        return self._store.reflag(entry, int(entry.flags) | flag)

    # Releasing

    def release(self, token: int, stack: int, now_ns: int, linger: bool = True) -> Entry | None:
        """Give an entry back. An armed TCP flow that was ESTABLISHED lingers (and is returned) unless told
        not to; everything else is gone (None). EALREADY for one that lingers, unless `linger` is False."""
        entry = self.owned(token, stack)
        if linger and int(entry.flags) & LINGERING:
            raise ArbiterError(EALREADY, f"{entry}: released already, it lingers")
        return self._release(entry, now_ns, linger and int(entry.flags) & ESTABLISHED != 0)

    def release_stack(
        self, stack: int, now_ns: int, linger_if: Callable[[Entry], bool] | None = None
    ) -> Released:
        """Give everything of a stack back, as its end demands: flows linger as with release(), what it had
        taken and not armed is its former owner's again, offers and leases of identifications end.

        linger_if: decides for armed TCP flows instead of the ESTABLISHED flag. EINVAL for the host's stack.
        """
        if stack == HOST_STACK:
            raise ArbiterError(EINVAL, "the host's stack does not end")
        self._withdraw_offers(stack)
        lingers = linger_if or _established
        ended = Released([], [])
        for entry in list(self._store.records.of_stack(stack)):
            if int(entry.flags) & LINGERING or (int(entry.flags) & RESERVED and self._return(entry)):
                continue
            kept = self._release(entry, now_ns, entry.kind is FLOW and lingers(entry))
            (ended.gone if kept is None else ended.lingering).append(kept or entry)
        self.ip_ids.release_stack(stack, now_ns)
        return ended

    def _release(self, entry: Entry, now_ns: int, linger: bool) -> Entry | None:
        flags = int(entry.flags)
        if not linger or entry.kind is not FLOW or entry.proto != TCP or flags & RESERVED:
            self._forget(entry)
            return None
        self._lingers.start(entry.token, now_ns + linger_ns(self.msl_ns))
        self._withdraw_offer(entry.token)
        return self._store.reflag(entry, flags & ~SOFTWARE | LINGERING)

    def _forget(self, entry: Entry) -> None:
        """The end of an entry, wherever it is noted."""
        if int(entry.flags) & LINGERING:
            self._lingers.stop(entry.token)
        if self._former:
            self._settle(entry.token)
        if self._offers:
            self._withdraw_offer(entry.token)
        self._store.drop(entry)

    def next_deadline_ns(self) -> int | None:
        """When on_timer is to be called next."""
        ends = (self._lingers.next_deadline_ns(), self.ip_ids.next_deadline_ns())
        return min((end for end in ends if end is not None), default=None)

    def on_timer(self, now_ns: int) -> list[Entry]:
        """End what is due; the entries whose linger is over, now gone."""
        self.ip_ids.on_timer(now_ns)
        over = [self.get(token) for token in self._lingers.due(now_ns)]
        for entry in over:
            self._forget(entry)
        return over

    # Looking

    def entries(self) -> Iterator[Entry]:
        """All entries; do not change the registry meanwhile."""
        return iter(self._store.records.entries.values())

    def __len__(self) -> int:
        return len(self._store.records.entries)

    def of_stack(self, stack: int) -> list[Entry]:
        """Entries of a stack, oldest first."""
        return list(self._store.records.of_stack(stack))

    def count(self, stack: int) -> int:
        """How many entries a stack has, lingering ones too."""
        return len(self._store.records.stacks.get(stack, ()))

    def find_flow(
        self,
        proto: int,
        family: int,
        local: int,
        local_port: int,
        remote: int,
        remote_port: int,
        zone: int = 0,
    ) -> Entry | None:
        """The FLOW with this tuple, also if it lingers."""
        key = pack_flow(proto, family, local, local_port, remote, remote_port, zone)
        token = self._store.records.flows.get(key)
        return None if token is None else self.get(token)

    def listener_for(
        self, proto: int, family: int, local: int, local_port: int, zone: int = 0
    ) -> Entry | None:
        """The LISTENER that takes what comes to a local address: its own, else the wildcard's, for IPv4 also
        that of a DUAL one."""
        return self._store.records.listener_for(proto, family, local, zone, local_port)

    def offload_ports(self, active_only: bool = False) -> Iterator[Entry]:
        """Entries whose ports a sleeping host's device should wake it for: not those WITHDRAWN, LINGERING or
        UNBOUND, nor (`active_only`) those HALF_CLOSED."""
        hidden = WITHDRAWN | LINGERING | UNBOUND | (HALF_CLOSED if active_only else 0)
        return (e for e in self.entries() if e.kind is not PROTOCOL and not int(e.flags) & hidden)

    def changes_since(self, generation: int) -> list[Change] | None:
        """One record a generation; None if the log does not reach back: take a snapshot. EINVAL for a
        generation that has not been reached."""
        return self._store.log.since(generation)

    def snapshot(self) -> tuple[int, list[Entry]]:
        """The generation and all its entries."""
        return self.generation, list(self.entries())


def _established(entry: Entry) -> bool:
    return int(entry.flags) & ESTABLISHED != 0


FLAG_TEXT = {ESTABLISHED: "ESTABLISHED", HALF_CLOSED: "HALF_CLOSED", WITHDRAWN: "WITHDRAWN"}
