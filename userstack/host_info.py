# SPDX-License-Identifier: Apache-2.0
"""The host's parameters in a running stack: what is taken over, and what of it existing connections feel.

The stack knows no shared memory, only something that says one number, and the parameters by name when that
number has moved. Names it does not know are left alone, names that are missing leave a value as it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from .config import MS_NS, TcpConfig
from .tcp.conn import State

if TYPE_CHECKING:
    from .stack import Stack

RETRY_NS = MS_NS  # after parameters that could not be read
MIN_BUFFER_BYTES = 2048

# Parameter -> field of TcpConfig. Connections take most from there when they need it, so that a change is
# felt at once; what they copy when they are made (buffers, RTO bounds, congestion window) they keep.
FIELDS: Mapping[str, str] = {
    "tcp_recv_buffer_bytes": "recv_buffer_bytes",
    "tcp_send_buffer_bytes": "send_buffer_bytes",
    "tcp_initial_window_segments": "initial_window_segments",
    "tcp_initial_rto_ns": "initial_rto_ns",
    "tcp_min_rto_ns": "min_rto_ns",
    "tcp_max_rto_ns": "max_rto_ns",
    "tcp_delayed_ack_ns": "delayed_ack_ns",
    "tcp_msl_ns": "msl_ns",
    "tcp_fin_wait_ns": "orphan_ns",
    "tcp_syn_give_up_ns": "syn_give_up_ns",
    "tcp_data_give_up_ns": "data_give_up_ns",
    "tcp_keepalive_idle_ns": "keepalive_idle_ns",
    "tcp_keepalive_interval_ns": "keepalive_interval_ns",
    "tcp_keepalive_probes": "keepalive_probes",
}
# And those that need more than a copy: a mode, the two ends of a range, "buffers grow up to the maximum".
MORE = frozenset(
    (
        "tcp_timestamps",
        "port_first",
        "port_last",
        "tcp_moderate_buffers",
        "tcp_recv_buffer_max_bytes",
        "tcp_send_buffer_max_bytes",
    )
)
FOLLOWED = frozenset(FIELDS) | MORE


class HostInfo(Protocol):
    """Where parameters come from (`driver.arbiter.host_view.HostView` over a page that the kernel writes)."""

    def generation(self) -> int:
        """A number that moves whenever anything may have changed; asked for with every batch of frames."""
        ...

    def read_parameters(self) -> Mapping[str, int] | None:
        """All parameters as of one moment, the same object while they are the same; None if they cannot be
        read now."""
        ...


def config_from(values: Mapping[str, int], now: TcpConfig, own: TcpConfig) -> TcpConfig | None:
    """`now` with the host's values; None if they do not fit together, as no working host has them.

    own: what the program configured. Where the host grows buffers by itself, this stack, which does not,
    keeps its own size within the host's default and maximum.
    """
    fields: dict[str, int] = {field: values[name] for name, field in FIELDS.items() if name in values}
    if values.get("tcp_moderate_buffers", 0):
        for side in ("recv", "send"):
            least = fields.get(f"{side}_buffer_bytes", 0)
            most = values.get(f"tcp_{side}_buffer_max_bytes", least)
            fields[f"{side}_buffer_bytes"] = max(least, min(most, getattr(own, f"{side}_buffer_bytes")))
    first, last = now.ephemeral_ports
    ports = values.get("port_first", first), values.get("port_last", last)
    stamps = bool(values.get("tcp_timestamps", now.timestamps))
    new = replace(now, **fields, ephemeral_ports=ports, timestamps=stamps)
    small = min(fields.values(), default=1) < 1 or not 1 <= ports[0] <= ports[1] <= 0xFFFF
    buffers = min(new.recv_buffer_bytes, new.send_buffer_bytes)
    return None if small or new.min_rto_ns > new.max_rto_ns or buffers < MIN_BUFFER_BYTES else new


class HostFollower:
    """Keeps one stack's TCP configuration equal to the host's parameters."""

    def __init__(self, stack: "Stack", info: HostInfo) -> None:
        self._stack, self._info, self._own = stack, info, stack.config.tcp
        self._seen: int | None = None
        self._values: Mapping[str, int] | None = None
        self._retry_ns = 0
        self.changes = 0  # that had an effect
        self.refused = 0  # sets of parameters that made no sense
        self.unread = 0  # times that parameters could not be read

    def poll(self, now_ns: int) -> None:
        """Take over what has changed; costs one comparison if nothing has."""
        generation = self._info.generation()
        if generation == self._seen or now_ns < self._retry_ns:
            return
        values = self._info.read_parameters()
        if values is None:
            self.unread += 1
            self._retry_ns = now_ns + RETRY_NS
            return
        self._seen = generation  # from before the reading: what changes during it is seen next time
        if values is self._values:
            return
        self._values = values
        old = self._stack.config.tcp
        new = config_from(values, old, self._own)
        if new is None:
            self.refused += 1
        elif new != old:
            self.changes += 1
            self._apply(old, new)

    def _apply(self, old: TcpConfig, new: TcpConfig) -> None:
        stack = self._stack
        stack.config = replace(stack.config, tcp=new)
        stack.tcp.config = new
        stack.udp.ports = new.ephemeral_ports
        if old.keepalive_idle_ns != new.keepalive_idle_ns:
            self._rearm_keepalive()

    def _rearm_keepalive(self) -> None:
        """Connections whose program chose no time of its own follow the host's, from their last segment."""
        tcp, now_ns = self._stack.tcp, self._stack.now_ns
        for conn in tcp.connections.values():
            idle = State.ESTABLISHED <= conn.state < State.TIME_WAIT and conn.keep_on and not conn.keep_sent
            if idle and not conn.keep_idle_ns:
                conn.keep_ns = max(now_ns, conn.last_heard_ns + tcp.config.keepalive_idle_ns)
                tcp.timers.schedule(conn)
