# SPDX-License-Identifier: Apache-2.0
"""Exceptions of the stack: the caller's mistakes, waiting, and what the network did to a connection."""


class StackError(Exception):
    """Base of everything this package raises on purpose."""


class LocalError(StackError):
    """The caller broke the contract; nothing was sent."""


class BadAddress(LocalError):
    """An address or a port is malformed or cannot be used here."""


class AddressInUse(LocalError):
    """The port, or the whole four-tuple, is taken."""


class PortsExhausted(LocalError):
    """No ephemeral port is free for that destination."""


class NoRoute(LocalError):
    """The destination is off-link and there is no gateway, or it is this host itself."""


class InvalidState(LocalError):
    """The call does not fit the socket's state (not connected, already bound, closed...)."""


class MessageTooLong(LocalError):
    """A datagram does not fit into one packet; the stack does not fragment."""


class ClockError(LocalError):
    """Time given by the caller ran backwards."""


class WouldBlock(StackError):
    """The call cannot make progress now; poll() or await the socket."""


class TimedOut(StackError):
    """The caller's own time limit for an awaited call has passed."""


class NetworkError(StackError):
    """The peer or the path ended the exchange."""


class ConnectionRefused(NetworkError):
    """The peer answered the SYN (or a datagram) with a refusal."""


class ConnectionReset(NetworkError):
    """The peer sent a valid reset."""


class ConnectionAborted(NetworkError):
    """The connection was aborted on this side."""


class ConnectionTimedOut(NetworkError):
    """Retransmissions went unanswered for R2 (RFC 9293 section 3.8.3), or keepalives did."""


class HostUnreachable(NetworkError):
    """ARP got no answer, or ICMP says that the destination cannot be reached."""
