# SPDX-License-Identifier: Apache-2.0
"""What all parts of the arbiter share: its state, the second phase of a grant, what is told to whom."""

from collections import deque
from collections.abc import Callable

from driver.arbiter import messages as msg
from driver.arbiter.addresses import octets
from driver.arbiter.clients import Client, Clients, ClosePair, OpenPair, State
from driver.arbiter.entries import TCP, Entry, EntryFlag, Kind
from driver.arbiter.mirror import Key, Mirror, keys_of
from driver.arbiter.registry import Registry
from driver.arbiter.routes import Routes
from driver.errors import ArbiterError
from driver.tables import TO_DROP, TO_HOST, Action, to_queue

NOT_IN_NIC = EntryFlag.UNBOUND | EntryFlag.RESERVED | EntryFlag.LINGERING


class Core:
    """Registry, mirror and clients of one interface, and the queues between them and the world."""

    def __init__(self, registry: Registry, mirror: Mirror, clients: Clients, routes: Routes) -> None:
        self.registry = registry
        self.mirror = mirror
        self.clients = clients
        self.routes = routes
        self._events: deque[tuple[int, msg.Event]] = deque()
        self._pair_jobs: deque[OpenPair | ClosePair] = deque()
        self.protocols: dict[tuple[int, int], Entry] = {}  # (protocol, family) -> entry of a stack
        self._sent: list[tuple[int, msg.Send]] = []  # frames that stacks send by the control channel
        self._lingering: set[int] = set()  # tokens
        self._silent: set[int] = set()  # of those: their peers have been answered
        self._left: list[tuple[Entry, bool]] = []  # TCP flows that began to linger; whether the stack died
        self._free: list[int] = []  # tokens that do not linger any more
        self._software: dict[int, type[Key]] = {}  # token that waits for room -> table, oldest first
        self._cover: dict[int, int] = {}  # flow without a place of its own -> listener that brings its frames
        self._undone: set[Key] = set()  # keys on their way out because the entry's other key has no room

    def tell(self, stack: int, event: msg.Event) -> None:
        """Put down an event for a stack."""
        self._events.append((stack, event))

    def entry(self, token: int) -> Entry | None:
        """The entry of this token, or None."""
        try:
            return self.registry.get(token)
        except ArbiterError:
            return None

    def _lost(self, stack: int, token: int, why: str) -> None:
        """Tell a stack that an entry is another one's now."""
        self._uncover(token)
        client = self.clients.find(stack)
        if client is not None:
            self.tell(stack, msg.Gone(client.cookies.pop(token, 0), token, why))

    def tell_all(self, change: str) -> None:
        """Tell every stack that the interface changed; the values are in the host information pages."""
        for client in self.clients:
            self.tell(client.stack, msg.Interface(0, change, self.registry.generation))

    # The hardware's half of an entry ------------------------------------------------------------------

    def action_of(self, entry: Entry) -> Action:
        """What the NIC must do with an entry's frames."""
        client = self.clients.find(entry.stack)
        if client is None or entry.flags & EntryFlag.LINGERING:
            return TO_DROP if entry.token in self._silent else TO_HOST
        if client.pair is None or client.state is not State.ACTIVE:
            return TO_DROP  # a peer must not be told by the host that nobody is there
        return to_queue(client.pair)

    def _grant(self, client: Client, cookie: int, entry: Entry) -> None:
        """The second phase: the NIC, then the registry's word for it, then the stack's."""
        client.cookies[entry.token] = cookie
        self._arm(entry, lambda now: self.tell(now.stack, self._granted(cookie, now)))

    def _arm(self, entry: Entry, then: Callable[[Entry], None] | None = None) -> None:
        """Bring an entry into the NIC or, where that has no room, have it forwarded in software."""
        token, stack = entry.token, entry.stack
        self.mirror.arm(entry, self.action_of(entry), lambda ok: self._armed(token, stack, ok, then))

    def _armed(self, token: int, stack: int, ok: bool, then: Callable[[Entry], None] | None) -> None:
        entry = self.entry(token)
        if entry is None or entry.stack != stack:
            return  # released meanwhile, which has taken it out of the tables, or taken over and armed anew
        self._cover.pop(token, None)
        software = not ok
        if not ok:
            self._undone.update(self.mirror.disarm(token))  # an entry of two keys may have one
            listener = self._covering(entry)
            if listener is not None:
                self._cover[token] = listener.token
                software = False
            elif keys := keys_of(entry):
                self._software[token] = type(keys[0])
        if entry.flags & EntryFlag.RESERVED:
            entry = self.registry.arm(token, stack, software=software)
        elif bool(entry.flags & EntryFlag.SOFTWARE) != software:
            entry = self.registry.set_software(token, software)
            if (client := self.clients.find(stack)) is not None:
                self.tell(stack, msg.Path(client.cookies.get(token, 0), token, software))
        if then is not None:
            then(entry)

    def _promote(self, left: Key) -> None:
        """A key has left the NIC: its table may have room for an entry that is forwarded in software."""
        if left in self._undone:  # it was the half of one that has no room
            self._undone.remove(left)
            return
        for token in [token for token, table in self._software.items() if table is type(left)]:
            del self._software[token]
            entry = self.entry(token)
            if entry is not None and entry.flags & EntryFlag.SOFTWARE and not entry.flags & NOT_IN_NIC:
                self._arm(entry)
                return

    def _covering(self, entry: Entry) -> Entry | None:
        """The listener of the same stack, in the NIC, that brings a flow's frames all the same."""
        if entry.kind is not Kind.FLOW or entry.local is None:
            return None
        listener = self.registry.listener_for(
            entry.proto, entry.family, entry.local, entry.local_port, entry.zone
        )
        if listener is None or listener.stack != entry.stack or not self.mirror.knows(listener.token):
            return None
        return listener

    def _disarm(self, token: int) -> None:
        """Take an entry out of the NIC; flows that live on it get places of their own before."""
        self._uncover(token)
        self._cover.pop(token, None)
        self.mirror.disarm(token)

    def _uncover(self, listener: int) -> None:
        for token in [flow for flow, cover in self._cover.items() if cover == listener]:
            del self._cover[token]
            entry = self.entry(token)
            if entry is not None and not entry.flags & NOT_IN_NIC:
                self._arm(entry)

    def _granted(self, cookie: int, entry: Entry) -> msg.Granted:
        secrets = self.registry.tcp_secrets
        tcp = entry.proto == TCP
        pair = secrets.flow(entry) if tcp and entry.kind is Kind.FLOW else None
        return msg.Granted(
            cookie,
            entry.token,
            octets(entry.family, entry.local),
            entry.local_port,
            octets(entry.family, entry.remote),
            entry.remote_port,
            entry.flow_id,
            entry.generation,
            bool(entry.flags & EntryFlag.SOFTWARE),
            pair.isn_offset if pair else 0,
            pair.ts_offset if pair else 0,
            secrets.listener(entry) if tcp and entry.kind is Kind.LISTENER else b"",
        )

    def _divert(self, entry: Entry) -> None:
        """Its stack or its state has changed: the NIC, if it has the entry, does what action_of says now."""
        if self.mirror.knows(entry.token):
            self.mirror.divert(entry.token, self.action_of(entry))

    # Queue pairs --------------------------------------------------------------------------------------

    def _open(self, client: Client) -> None:
        assert client.pair is not None
        client.state = State.OPENING
        self._pair_jobs.append(OpenPair(client.pair, client.stack, client.windows, self.mirror.wishes))

    def _close(self, client: Client) -> None:
        client.cookies.clear()
        client.watched.clear()
        had, client.state = client.state, State.CLOSING
        if had is State.SUSPENDED:
            self.clients.remove(client)
        elif had is not State.SUSPENDING:
            assert client.pair is not None
            self._pair_jobs.append(ClosePair(client.pair, client.stack))

    def _release_all(self, client: Client, now_ns: int, *, died: bool) -> None:
        released = self.registry.release_stack(client.stack, now_ns)
        for entry in released.gone:
            self._disarm(entry.token)
            self.protocols.pop((entry.proto, entry.family), None)
        for entry in released.lingering:
            self._linger(entry, died)

    def _linger(self, entry: Entry, died: bool) -> None:
        """The tuple is kept for 2 MSL; the host side answers what still comes for it."""
        self._cover.pop(entry.token, None)
        self._lingering.add(entry.token)
        if entry.proto == TCP:
            self._left.append((entry, died))
        self._divert(entry)

    def _over(self, token: int) -> None:
        """A tuple does not linger any more: it is free, or it is taken again."""
        self._silent.discard(token)
        if token in self._lingering:
            self._lingering.remove(token)
            self._free.append(token)
        self._disarm(token)
