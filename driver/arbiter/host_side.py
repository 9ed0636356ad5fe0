# SPDX-License-Identifier: Apache-2.0
"""What the host stack does: its sockets, and what becomes of the interface and its addresses."""

from collections.abc import Iterable

from driver.arbiter import messages as msg
from driver.arbiter.addresses import family_of, number
from driver.arbiter.core import Core
from driver.arbiter.entries import HOST_STACK, Entry, EntryFlag
from driver.arbiter.entries import Request as Wish
from driver.tables import TO_HOST


class HostSide(Core):
    """The host stack's part of the arbiter."""

    def host_reserve(self, wish: Wish, *, ephemeral: bool = False) -> Entry:
        """A socket of the host's binds, listens or connects; its frames need no entry, so it is armed at
        once.
        """
        entry = self.registry.reserve_ephemeral(wish) if ephemeral else self.registry.reserve(wish)
        self.mirror.arm(entry, TO_HOST)
        return entry

    def host_rebind(
        self, token: int, *, family: int, local: int | None, remote: int | None = None, remote_port: int = 0
    ) -> Entry:
        """A socket of the host's gets another address or a peer; refused, the old entry stays as it was."""
        entry = self.registry.rebind(
            token, HOST_STACK, family=family, local=local, remote=remote, remote_port=remote_port
        )
        self._disarm(token)
        self.mirror.arm(entry, TO_HOST)
        return entry

    def host_release(self, token: int, now_ns: int) -> None:
        """A socket of the host's is gone; the host keeps its own TIME_WAIT, so nothing lingers here."""
        self.registry.release(token, HOST_STACK, now_ns, False)
        self._disarm(token)

    def host_offer(self, token: int, to: int) -> None:
        """Let a user-space stack take a tuple of the host's."""
        self.clients.get(to)
        self.registry.offer(token, HOST_STACK, to)

    def host_take(self, token: int, local_port: int = 0) -> Entry:
        """The host takes a tuple that a user-space stack has offered."""
        former = self.registry.get(token).stack
        entry = self.registry.take(token, HOST_STACK, local_port)
        self._lost(former, token, "the host has taken it")
        self.mirror.arm(entry, TO_HOST)
        return entry

    def add_address(self, address: bytes, zone: int = 0) -> None:
        """The interface has a new address; entries that waited for it come back."""
        self._back(self.registry.add_address(family_of(address), number(address), zone))

    def remove_address(self, address: bytes, zone: int = 0) -> None:
        """An address is away: entries at it stay reserved, their frames go to the host."""
        self._away(self.registry.remove_address(family_of(address), number(address), zone), "address removed")

    def detach_interface(self) -> None:
        """The interface is away; every tuple stays reserved."""
        self._away(self.registry.detach(), "interface detached")
        self.tell_all("detached")

    def attach_interface(self) -> None:
        """The interface is back."""
        self._back(self.registry.attach())
        self.tell_all("attached")

    def _away(self, entries: Iterable[Entry], why: str) -> None:
        for entry in entries:
            self._disarm(entry.token)
            if (client := self.clients.find(entry.stack)) is not None:
                self.tell(entry.stack, msg.Away(client.cookies.get(entry.token, 0), entry.token, why))

    def _back(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            client = self.clients.find(entry.stack)
            if entry.flags & EntryFlag.LINGERING:
                self.mirror.arm(entry, TO_HOST)
            elif client is not None:
                self._arm(entry, self._tell_back)

    def _tell_back(self, entry: Entry) -> None:
        client = self.clients.find(entry.stack)
        if client is not None:
            self.tell(entry.stack, msg.Back(client.cookies.get(entry.token, 0), entry.token))
