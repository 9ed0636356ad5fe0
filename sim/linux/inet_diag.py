# SPDX-License-Identifier: Apache-2.0
"""Socket diagnosis of TCP and UDP: linux/inet_diag.h, linux/sock_diag.h, sock_diag(7). Bytes only, no I/O.

Written by hand because a general library costs more than the kernel's own work here; docs/linux.md has the
figures. Ports and addresses in messages are big-endian, all else in the machine's order.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from sim.linux.errors import NetlinkError

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
DESTROY_GROUPS = (1, 2, 3, 4)  # TCP and UDP over IPv4, TCP and UDP over IPv6
TCP, UDP = 6, 17
AF_INET, AF_INET6 = 2, 10
NO_COOKIE = (1 << 64) - 1
SKV6ONLY, PROTOCOL = 11, 10  # attributes
_MAPPED = (0xFFFF).to_bytes(12, "big")
_LINK_LOCAL = 0xFE80 >> 6
# family, protocol, extensions, pad, states, then struct inet_diag_sockid
_REQUEST = struct.Struct("=BBBxI2s2s16s16sIQ")
_ANSWER = struct.Struct("=BBBB2s2s16s16sIQIIIII")
ANSWER_BYTES = _ANSWER.size


class State(IntEnum):
    """include/net/tcp_states.h; UDP uses ESTABLISHED (connected) and CLOSE (not connected)."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12
    BOUND_INACTIVE = 13  # bound, neither listening nor connected; told from Linux 6.8 on


ALL_STATES = sum(1 << state for state in State)
_STATES = {int(state): state for state in State}


@dataclass(frozen=True, slots=True)
class Tuple:
    """What a socket is bound and connected to. Addresses are ints, None: any; family is 4 or 6."""

    proto: int
    family: int
    local: int | None
    local_port: int
    remote: int | None = None
    remote_port: int = 0
    zone: int = 0  # interface index if an address is link-local (fe80::/10), else 0

    def __str__(self) -> str:
        name = {TCP: "tcp", UDP: "udp"}.get(self.proto, str(self.proto))
        return f"{name}{self.family} {self._end(self.local, self.local_port)} <- " + self._end(
            self.remote, self.remote_port
        )

    def _end(self, address: int | None, port: int) -> str:
        return f"{'*' if address is None else format(address, 'x')}:{port}"


@dataclass(frozen=True, slots=True)
class KernelSocket:
    """A socket of the kernel. Reuse flags are not here: sock_diag does not tell them."""

    cookie: int  # unique in the system since boot
    tuple: Tuple
    state: State
    v6only: bool | None  # of an IPv6 listener or unconnected UDP socket; None: IPv4, or not told
    uid: int
    socket_family: int  # AF_INET or AF_INET6; an IPv6 socket may talk IPv4
    ifindex: int  # bound to this interface; 0: to none
    inode: int = field(compare=False)  # 0 once no process holds it
    expires_ms: int = field(compare=False)  # of its running timer, e.g. the end of TIME_WAIT

    @property
    def dual(self) -> bool:
        """It takes IPv4 as well as IPv6."""
        return self.socket_family == AF_INET6 and self.tuple.local is None and self.v6only is False


def request(
    proto: int,
    socket_family: int,
    states: int = ALL_STATES,
    *,
    local: bytes = b"",
    local_port: int = 0,
    remote: bytes = b"",
    remote_port: int = 0,
    ifindex: int = 0,
    cookie: int = NO_COOKIE,
) -> bytes:
    """struct inet_diag_req_v2. In a dump, ports that are not 0 choose; addresses do not."""
    ports = (local_port.to_bytes(2, "big"), remote_port.to_bytes(2, "big"))
    return _REQUEST.pack(socket_family, proto, 0, states, *ports, local, remote, ifindex, cookie)


def exact_request(key: Tuple, cookie: int = NO_COOKIE, ifindex: int = 0) -> bytes:
    """A request for the socket that a frame from key.remote to key.local would reach.

    The kernel reads the ends of a UDP request the other way round than those of a TCP request.
    """
    size = 4 if key.family == 4 else 16
    local = ((key.local or 0).to_bytes(size, "big"), key.local_port)
    remote = ((key.remote or 0).to_bytes(size, "big"), key.remote_port)
    (src, src_port), (dst, dst_port) = (remote, local) if key.proto == UDP else (local, remote)
    family = AF_INET if key.family == 4 else AF_INET6
    return request(
        key.proto,
        family,
        local=src,
        local_port=src_port,
        remote=dst,
        remote_port=dst_port,
        ifindex=ifindex or key.zone,
        cookie=cookie,
    )


def decode(body: bytes, proto: int = 0) -> KernelSocket:
    """One answer or destroy notification. proto: as asked for; 0 takes it from the notification itself."""
    if len(body) < ANSWER_BYTES:
        raise NetlinkError(f"an inet_diag_msg of {len(body)} bytes")
    (
        family,
        state,
        _timer,
        _retransmits,
        local_port,
        remote_port,
        src,
        dst,
        ifindex,
        cookie,
        expires_ms,
        _rqueue,
        _wqueue,
        uid,
        inode,
    ) = _ANSWER.unpack_from(body)
    v6only, told = _options(body)
    known = _STATES.get(state)
    if known is None or family not in (AF_INET, AF_INET6) or not (proto or told):
        raise NetlinkError(f"an inet_diag_msg of family {family}, state {state}, protocol {proto or told}")
    ip, local, remote = _addresses(family, src, dst)
    zone = ifindex if ip == 6 and ifindex and _is_link_local(local, remote) else 0
    key = Tuple(
        proto or told,
        ip,
        local,
        int.from_bytes(local_port, "big"),
        remote,
        int.from_bytes(remote_port, "big"),
        zone,
    )
    return KernelSocket(cookie, key, known, v6only, uid, family, ifindex, inode, expires_ms)


def _options(body: bytes) -> tuple[bool | None, int]:
    """V6ONLY and the protocol, from the attributes behind the message."""
    v6only, proto, at = None, 0, ANSWER_BYTES
    while at + 4 <= len(body):
        size, kind = struct.unpack_from("=HH", body, at)
        if size < 5 or at + size > len(body):
            if size != 4:
                raise NetlinkError(f"an attribute of {size} bytes at byte {at} of {len(body)}")
        elif kind == SKV6ONLY:
            v6only = body[at + 4] != 0
        elif kind == PROTOCOL:
            proto = body[at + 4]
        at += (size + 3) & ~3
    return v6only, proto


def _addresses(family: int, src: bytes, dst: bytes) -> tuple[int, int | None, int | None]:
    """IP version and both addresses; an IPv6 socket that talks to an IPv4 peer counts as IPv4."""
    if family == AF_INET:
        return 4, int.from_bytes(src[:4], "big") or None, int.from_bytes(dst[:4], "big") or None
    if src[:12] == _MAPPED:
        return 4, int.from_bytes(src[12:], "big") or None, int.from_bytes(dst[12:], "big") or None
    return 6, int.from_bytes(src, "big") or None, int.from_bytes(dst, "big") or None


def _is_link_local(*addresses: int | None) -> bool:
    return any(address is not None and address >> 118 == _LINK_LOCAL for address in addresses)
