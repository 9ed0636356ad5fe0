# SPDX-License-Identifier: Apache-2.0
"""Requests of user-space stacks: what each asks of the registry, and in whose name."""

import errno

from driver.arbiter import messages as msg
from driver.arbiter.addresses import family_of, number, number_or_any
from driver.arbiter.clients import Client, State
from driver.arbiter.core import Core
from driver.arbiter.entries import HOST_STACK, Entry, EntryFlag, Kind, StaleRequest
from driver.arbiter.entries import Request as Wish
from driver.arbiter.registry import Registry
from driver.errors import ArbiterError

MARKS = {
    "established": Registry.establish,
    "half_closed": Registry.half_close,
    "withdrawn": Registry.withdraw,
}


class Requests(Core):
    """The user-space stacks' part of the arbiter."""

    def request(self, stack: int, request: msg.Request, now_ns: int) -> None:
        """Serve one request; the answer comes as an event. ENXIO if there is no such stack."""
        client = self.clients.get(stack)
        try:
            if client.state is not State.ACTIVE:
                raise ArbiterError(errno.EAGAIN, f"{client} is {client.state.name.lower()}")
            self._serve(client, request, now_ns)
        except StaleRequest as error:
            self.tell(stack, msg.Refused(request.cookie, error.errno, str(error), error.generation))
        except ArbiterError as error:
            self.tell(stack, msg.Refused(request.cookie, error.errno, str(error)))

    def _serve(self, client: Client, request: msg.Request, now_ns: int) -> None:
        cookie = request.cookie
        if isinstance(request, msg.Listen):
            self._reserve(client, cookie, self._listen(client, request), request.port)
        elif isinstance(request, msg.Connect):
            self._reserve(client, cookie, self._connect(client, request), request.local_port)
        elif isinstance(request, msg.Accept):
            wish = self._accept(client, request)
            self._reserve(client, cookie, wish, wish.local_port)
        elif isinstance(request, msg.TakeProtocol):
            family = 6 if request.ipv6 else 4
            wish = Wish(client.stack, Kind.PROTOCOL, request.proto, family, rights=client.rights)
            self._quota(client)
            entry = self.registry.reserve(wish)
            self.protocols[request.proto, family] = entry
            self._grant(client, cookie, entry)
        elif isinstance(request, msg.Take):
            self._quota(client)
            self._take(client, cookie, request)
        elif isinstance(request, msg.Mark):
            mark = MARKS.get(request.state)
            if mark is None:
                raise ArbiterError(errno.EINVAL, f"mark {request.state!r}: not one of {', '.join(MARKS)}")
            mark(self.registry, request.token, client.stack)
            self.tell(client.stack, msg.Done(cookie))
        elif isinstance(request, msg.Close):
            self._release(client, request.token, now_ns, request.linger)
            self.tell(client.stack, msg.Done(cookie))
        elif isinstance(request, msg.Offer):
            if request.to != HOST_STACK:
                self.clients.get(request.to)
            self.registry.offer(request.token, client.stack, request.to)
            self.tell(client.stack, msg.Done(cookie))
        elif isinstance(request, msg.LeaseIds):
            block = self.registry.ip_ids.lease(client.stack, now_ns)
            self.tell(client.stack, msg.Ids(cookie, block.first, block.count, block.expires_ns))
        elif isinstance(request, msg.Resolve):
            self._resolve(client, request)
        elif isinstance(request, msg.Send):
            self._sent.append((client.stack, request))
        else:
            self.tell(client.stack, msg.Done(cookie))
            self._release_all(client, now_ns, died=False)
            self._close(client)

    def _quota(self, client: Client) -> None:
        if self.registry.count(client.stack) >= client.quota.entries:
            raise ArbiterError(errno.ENOBUFS, f"{client} has its {client.quota.entries} entries")

    def _listen(self, client: Client, request: msg.Listen) -> Wish:
        family = 6 if request.ipv6 or request.dual else 4
        if request.local is not None:
            family = family_of(request.local)
        flags = (EntryFlag.REUSE if request.reuse else EntryFlag(0)) | (
            EntryFlag.DUAL if request.dual else EntryFlag(0)
        )
        return Wish(
            client.stack, Kind.LISTENER, request.proto, family, number_or_any(request.local), request.port,
            flags=flags, zone=request.zone, generation=request.generation, rights=client.rights,
        )  # fmt: skip

    def _connect(self, client: Client, request: msg.Connect) -> Wish:
        family = family_of(request.remote)
        route = self.routes.lookup(request.remote, request.zone)
        local = request.local if request.local is not None else route.source
        if family_of(local) != family:
            raise ArbiterError(errno.EINVAL, "connect: local and remote address are of two families")
        return Wish(
            client.stack, Kind.FLOW, request.proto, family, number(local), request.local_port,
            number(request.remote), request.remote_port, zone=request.zone, generation=request.generation,
            reopen=request.reopen, rights=client.rights,
        )  # fmt: skip

    def _accept(self, client: Client, request: msg.Accept) -> Wish:
        listener = self.registry.get(request.listener)
        if listener.stack != client.stack or listener.kind is not Kind.LISTENER:
            raise ArbiterError(errno.EPERM, f"token {request.listener} is no listener of {client}")
        return Wish(
            client.stack, Kind.FLOW, listener.proto, family_of(request.local), number(request.local),
            listener.local_port, number(request.remote), request.remote_port, zone=listener.zone,
            reopen=request.reopen, rights=client.rights,
        )  # fmt: skip

    def _reserve(self, client: Client, cookie: int, wish: Wish, port: int) -> None:
        self._quota(client)
        if not port:
            self._grant(client, cookie, self.registry.reserve_ephemeral(wish))
            return
        former = self._former(wish) if wish.reopen else None
        entry = self.registry.reserve(wish)
        if former is not None:  # its place in the NIC goes to the new one, by one write
            self._over(former.token)
        self._grant(client, cookie, entry)

    def _former(self, wish: Wish) -> Entry | None:
        assert wish.local is not None and wish.remote is not None
        return self.registry.find_flow(
            wish.proto, wish.family, wish.local, wish.local_port, wish.remote, wish.remote_port, wish.zone
        )

    def _take(self, client: Client, cookie: int, request: msg.Take) -> None:
        former = self.registry.get(request.token).stack
        entry = self.registry.take(request.token, client.stack, request.port)
        self._lost(former, request.token, f"stack {client.stack} has taken it")
        self._grant(client, cookie, entry)

    def _release(self, client: Client, token: int, now_ns: int, linger: bool) -> None:
        left = self.registry.release(token, client.stack, now_ns, linger)
        client.cookies.pop(token, None)
        if left is not None:
            self._linger(left, died=False)
            return
        self._disarm(token)
        self.protocols = {key: entry for key, entry in self.protocols.items() if entry.token != token}

    def _resolve(self, client: Client, request: msg.Resolve) -> None:
        if request.remote not in client.watched and len(client.watched) >= client.quota.resolutions:
            raise ArbiterError(errno.ENOBUFS, f"{client} watches {len(client.watched)} addresses already")
        route = self.routes.lookup(request.remote, request.zone)
        client.watched[request.remote] = request.cookie
        self.routes.want(route.hop)
        self.resolved(route.hop, only=client.stack)

    def resolved(self, hop: bytes, *, only: int | None = None) -> None:
        """The MAC of a next hop is known, has changed or is lost: tell all stacks that send through it."""
        mac = self.routes.mac(hop)
        for client in self.clients:
            if only not in (None, client.stack):
                continue
            for remote, cookie in client.watched.items():
                route = self.routes.find(remote)
                if route is not None and route.hop == hop and (mac is not None or only is None):
                    text = msg.Resolved(cookie, remote, route.source, hop, mac, self.routes.generation)
                    self.tell(client.stack, text)
