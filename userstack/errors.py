# SPDX-License-Identifier: Apache-2.0
"""Exceptions of the stack: the caller's mistakes, waiting, and what the network did to a connection."""

import errno as codes


class StackError(Exception):
    """Base of everything this package raises on purpose; `errno` as of the socket interface, 0 if none."""

    errno: int = 0


class LocalError(StackError):
    """The caller broke the contract; nothing was sent."""


class BadAddress(LocalError):
    """An address or a port is malformed or cannot be used here."""

    errno = codes.EADDRNOTAVAIL


class AddressInUse(LocalError):
    """The port, or the whole four-tuple, is taken."""

    errno = codes.EADDRINUSE


class PortsExhausted(LocalError):
    """No ephemeral port is free for that destination."""

    errno = codes.EADDRNOTAVAIL


class NoRoute(LocalError):
    """The destination is off-link and there is no gateway, or it is this host itself."""

    errno = codes.EHOSTUNREACH


class InvalidState(LocalError):
    """The call does not fit the socket's state (not connected, already bound, closed...)."""

    errno = codes.EINVAL


class MessageTooLong(LocalError):
    """A datagram does not fit into one packet; the stack does not fragment."""

    errno = codes.EMSGSIZE


class ClockError(LocalError):
    """Time given by the caller ran backwards."""


class WouldBlock(StackError):
    """The call cannot make progress now; poll() or await the socket."""

    errno = codes.EAGAIN


class TimedOut(StackError):
    """The caller's own time limit for an awaited call has passed."""

    errno = codes.ETIMEDOUT


class NetworkError(StackError):
    """The peer or the path ended the exchange."""


class ConnectionRefused(NetworkError):
    """The peer answered the SYN (or a datagram) with a refusal."""

    errno = codes.ECONNREFUSED


class ConnectionReset(NetworkError):
    """The peer sent a valid reset."""

    errno = codes.ECONNRESET


class ConnectionAborted(NetworkError):
    """The connection was aborted on this side."""

    errno = codes.ECONNABORTED


class ConnectionTimedOut(NetworkError):
    """Retransmissions went unanswered for R2 (RFC 9293 section 3.8.3), or keepalives did."""

    errno = codes.ETIMEDOUT


class HostUnreachable(NetworkError):
    """ARP got no answer, or ICMP says that the destination cannot be reached."""

    errno = codes.EHOSTUNREACH


class NetworkDown(NetworkError):
    """Shared mode: the address or the interface is away."""

    errno = codes.ENETDOWN


class TakenAway(NetworkError):
    """Shared mode: the port or the connection is another stack's now."""

    errno = codes.ECONNABORTED


class NotPermitted(LocalError):
    """Shared mode: the registry does not let this stack have that."""

    errno = codes.EACCES


class NoResources(LocalError):
    """Shared mode: a quota or a table is full."""

    errno = codes.ENOBUFS


class RegistryRefused(LocalError):
    """Shared mode: any other refusal; `errno` says which."""


REFUSALS: dict[int, type[StackError]] = {
    codes.EADDRINUSE: AddressInUse,
    codes.EEXIST: AddressInUse,
    codes.EADDRNOTAVAIL: BadAddress,
    codes.EACCES: NotPermitted,
    codes.EPERM: NotPermitted,
    codes.ENOBUFS: NoResources,
    codes.ENOMEM: NoResources,
    codes.EHOSTUNREACH: NoRoute,
    codes.ENETUNREACH: NoRoute,
    codes.ENETDOWN: NetworkDown,
    codes.ENXIO: NetworkDown,
}


def refusal(number: int, text: str) -> StackError:
    """What a refusal of the registry is for a program; `errno` stays the registry's."""
    error = REFUSALS.get(number, RegistryRefused)(text)
    error.errno = number
    return error
