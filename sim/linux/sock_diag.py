# SPDX-License-Identifier: Apache-2.0
"""The kernel's socket tables by netlink: dumps, exact look-ups, notifications of destroyed sockets."""

import errno

from sim.linux import inet_diag
from sim.linux.errors import LinuxError
from sim.linux.inet_diag import NO_COOKIE, KernelSocket, Tuple
from sim.linux.namespace import Namespace
from sim.linux.netlink import Flag
from sim.linux.nlsocket import NetlinkEvents, NetlinkSocket


class SockDiag:
    """TCP and UDP sockets of one namespace. Listening costs the kernel a little for every closed socket."""

    def __init__(self, namespace: Namespace) -> None:
        self._netlink = NetlinkSocket(namespace, inet_diag.NETLINK_SOCK_DIAG)
        # Answers of the last dumps: most sockets stay as they are, and need not be decoded again.
        self._dumps: dict[tuple[int, int], dict[bytes, KernelSocket]] = {}
        self.events = NetlinkEvents(namespace, inet_diag.NETLINK_SOCK_DIAG, inet_diag.DESTROY_GROUPS)

    def dump(self, proto: int, socket_family: int, local_port: int = 0) -> list[KernelSocket]:
        """All sockets of an IP protocol and AF_INET or AF_INET6, or those bound to a port.

        TCP sockets that are bound and do nothing else are told from Linux 6.8 on. A socket may come twice.
        """
        body = inet_diag.request(proto, socket_family, local_port=local_port)
        answers = self._netlink.request(inet_diag.SOCK_DIAG_BY_FAMILY, Flag.DUMP, body, "socket dump")
        known = self._dumps.get((proto, socket_family), {})
        current: dict[bytes, KernelSocket] = {}
        for message in answers:
            current[message.body] = known.get(message.body) or inet_diag.decode(message.body, proto)
        if not local_port:
            self._dumps[proto, socket_family] = current
        return list(current.values())

    def lookup(self, key: Tuple, cookie: int = NO_COOKIE, ifindex: int = 0) -> KernelSocket | None:
        """The socket that a frame from key.remote to key.local reaches: the connection, else the listener.

        With a cookie: that socket, or None if another one has the tuple. ifindex: of the arriving interface,
        for sockets that are bound to one.
        """
        body = inet_diag.exact_request(key, cookie, ifindex)
        try:
            answers = self._netlink.request(inet_diag.SOCK_DIAG_BY_FAMILY, 0, body, f"look-up of {key}")
        except LinuxError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return None
            raise
        return inet_diag.decode(answers[0].body, key.proto)

    def take_destroyed(self) -> tuple[list[KernelSocket], bool]:
        """Sockets that were destroyed since the last call, and whether notifications were lost.

        An entry's remote end may be empty already; the cookie says which socket it was. A TCP connection's
        tuple may live on in TIME_WAIT after its socket is destroyed, under the same cookie.
        """
        messages, lost = self.events.take()
        kind = inet_diag.SOCK_DIAG_BY_FAMILY
        return [inet_diag.decode(m.body) for m in messages if m.kind == kind], lost

    def close(self) -> None:
        self._netlink.close()
        self.events.close()
