# SPDX-License-Identifier: Apache-2.0
"""System control parameters of the host: the one table that layout, checks, defaults and docs come from.

The place of a parameter in PARAMETERS is its place in the page: append, never insert, remove or reorder. The
defaults are those of the user-space stack, so that a page nobody has written to changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from errno import EINVAL, ENOENT
from itertools import pairwise

from .entries import ArbiterError

US_NS, MS_NS, S_NS = 1_000, 1_000_000, 1_000_000_000
CONGESTION = ("reno", "cubic", "bbr", "dctcp")  # values of tcp_congestion; append only
PORTS = 1 << 16


class Unit(Enum):
    """What the number in the page counts."""

    FLAG = "0 or 1"
    MODE = "number of a mode"
    COUNT = "times"
    SEGMENTS = "segments"
    BYTES = "bytes"
    NS = "ns"
    PORT = "port"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number. `sysctl` is what it mirrors on Linux, the `part`-th word of it, times `scale`."""

    name: str
    unit: Unit
    default: int
    minimum: int
    maximum: int
    sysctl: str = ""
    part: int = 0
    scale: int = 1

    def check(self, value: int) -> int:
        """The value; ArbiterError EINVAL if it is out of range."""
        if not self.minimum <= value <= self.maximum:
            raise ArbiterError(EINVAL, f"{self.name}: {value} is not in {self.minimum}..{self.maximum}")
        return value


def _flag(name: str, default: int, sysctl: str = "") -> Parameter:
    return Parameter(name, Unit.FLAG, default, 0, 1, sysctl)


def _bytes(name: str, default: int, sysctl: str = "", part: int = 0) -> Parameter:
    return Parameter(name, Unit.BYTES, default, 1, 1 << 30, sysctl, part)


def _time(name: str, default: int, sysctl: str = "", scale: int = 1) -> Parameter:
    return Parameter(name, Unit.NS, default, 1, 1 << 56, sysctl, scale=scale)


def _count(name: str, default: int, maximum: int, sysctl: str = "", minimum: int = 0) -> Parameter:
    return Parameter(name, Unit.COUNT, default, minimum, maximum, sysctl)


T = "net.ipv4.tcp_"
PARAMETERS: tuple[Parameter, ...] = (
    _bytes("tcp_recv_buffer_min_bytes", 4096, T + "rmem", 0),
    _bytes("tcp_recv_buffer_bytes", 1 << 18, T + "rmem", 1),
    _bytes("tcp_recv_buffer_max_bytes", 1 << 23, T + "rmem", 2),
    _bytes("tcp_send_buffer_min_bytes", 4096, T + "wmem", 0),
    _bytes("tcp_send_buffer_bytes", 1 << 18, T + "wmem", 1),
    _bytes("tcp_send_buffer_max_bytes", 1 << 23, T + "wmem", 2),
    _flag("tcp_moderate_buffers", 0, T + "moderate_rcvbuf"),
    Parameter("tcp_congestion", Unit.MODE, 0, 0, len(CONGESTION) - 1, T + "congestion_control"),
    Parameter("tcp_initial_window_segments", Unit.SEGMENTS, 10, 1, 255),
    _time("tcp_initial_rto_ns", S_NS),
    _time("tcp_min_rto_ns", S_NS, T + "rto_min_us", US_NS),
    _time("tcp_max_rto_ns", 60 * S_NS, T + "rto_max_ms", MS_NS),
    _time("tcp_delayed_ack_ns", 40 * MS_NS),
    _time("tcp_msl_ns", 30 * S_NS),
    _time("tcp_fin_wait_ns", 60 * S_NS, T + "fin_timeout", S_NS),
    _time("tcp_syn_give_up_ns", 180 * S_NS, T + "syn_retries"),
    _time("tcp_data_give_up_ns", 100 * S_NS, T + "retries2"),
    _time("tcp_keepalive_idle_ns", 7200 * S_NS, T + "keepalive_time", S_NS),
    _time("tcp_keepalive_interval_ns", 75 * S_NS, T + "keepalive_intvl", S_NS),
    _count("tcp_keepalive_probes", 9, 127, T + "keepalive_probes", minimum=1),
    Parameter("tcp_timestamps", Unit.MODE, 0, 0, 2, T + "timestamps"),
    _flag("tcp_sack", 0, T + "sack"),
    _flag("tcp_window_scaling", 1, T + "window_scaling"),
    Parameter("tcp_ecn", Unit.MODE, 0, 0, 5, T + "ecn"),
    _flag("tcp_slow_start_after_idle", 1, T + "slow_start_after_idle"),
    Parameter("tcp_syn_cookies", Unit.MODE, 0, 0, 2, T + "syncookies"),
    _count("tcp_syn_backlog", 128, 1 << 20, T + "max_syn_backlog", minimum=1),
    _count("tcp_accept_backlog", 128, 1 << 20, "net.core.somaxconn", minimum=1),
    _count("tcp_challenge_acks_per_s", 10, (1 << 31) - 1, T + "challenge_ack_limit"),
    Parameter("tcp_reordering_segments", Unit.SEGMENTS, 3, 1, 300, T + "reordering"),
    _bytes("tcp_min_send_mss_bytes", 64, T + "min_snd_mss"),
    _bytes("tcp_base_mss_bytes", 1024, T + "base_mss"),
    Parameter("tcp_mtu_probing", Unit.MODE, 0, 0, 2, T + "mtu_probing"),
    _flag("tcp_rfc1337", 1, T + "rfc1337"),
    Parameter("tcp_reuse_time_wait", Unit.MODE, 1, 0, 2, T + "tw_reuse"),
    Parameter("ip_pmtu_discovery_off", Unit.MODE, 0, 0, 3, "net.ipv4.ip_no_pmtu_disc"),
    _bytes("ip_min_pmtu_bytes", 552, "net.ipv4.route.min_pmtu"),
    _count("ip_ttl", 64, 255, "net.ipv4.ip_default_ttl", minimum=1),
    Parameter("port_first", Unit.PORT, 49152, 1, PORTS - 1, "net.ipv4.ip_local_port_range", 0),
    Parameter("port_last", Unit.PORT, 65535, 1, PORTS - 1, "net.ipv4.ip_local_port_range", 1),
    _flag("port_randomize", 1),
    Parameter(
        "port_unprivileged_first", Unit.PORT, 1024, 0, PORTS - 1, "net.ipv4.ip_unprivileged_port_start"
    ),
    _bytes("udp_recv_buffer_bytes", 1 << 18, "net.core.rmem_default"),
    _bytes("udp_send_buffer_bytes", 1 << 18, "net.core.wmem_default"),
    _flag("icmp_echo_ignore_all", 0, "net.ipv4.icmp_echo_ignore_all"),
    _time("neighbour_reachable_ns", 30 * S_NS, "net.ipv4.neigh.default.base_reachable_time_ms", MS_NS),
)
INDEX: Mapping[str, int] = {parameter.name: place for place, parameter in enumerate(PARAMETERS)}
DEFAULTS: Mapping[str, int] = {parameter.name: parameter.default for parameter in PARAMETERS}

RESERVED_PORTS_SYSCTL = "net.ipv4.ip_local_reserved_ports"
# Linux counts retries where the page has a time: how long so many of them take, from this first timeout on.
RETRIES_FROM = {"tcp_syn_give_up_ns": "tcp_initial_rto_ns", "tcp_data_give_up_ns": "tcp_min_rto_ns"}
# Each must not exceed the next.
ORDERED = (
    ("tcp_recv_buffer_min_bytes", "tcp_recv_buffer_bytes", "tcp_recv_buffer_max_bytes"),
    ("tcp_send_buffer_min_bytes", "tcp_send_buffer_bytes", "tcp_send_buffer_max_bytes"),
    ("tcp_min_rto_ns", "tcp_max_rto_ns"),
    ("port_first", "port_last"),
)


def checked(changes: Mapping[str, int], before: Mapping[str, int] = DEFAULTS) -> dict[str, int]:
    """All values after a change; ArbiterError (ENOENT, EINVAL) for an unknown name or a value that does not
    fit."""
    for name, value in changes.items():
        if name not in INDEX:
            raise ArbiterError(ENOENT, f"no parameter is called {name!r}")
        PARAMETERS[INDEX[name]].check(value)
    after = {**before, **changes}
    for names in ORDERED:
        for smaller, larger in pairwise(names):
            if after[smaller] > after[larger]:
                raise ArbiterError(EINVAL, f"{smaller} {after[smaller]} exceeds {larger} {after[larger]}")
    return after


def give_up_ns(retries: int, first_ns: int, max_ns: int) -> int:
    """How long a first transmission and so many retries wait in all, each timeout twice the one before."""
    return sum(min(first_ns << count, max_ns) for count in range(retries + 1))


def from_sysctls(read: Callable[[str], str | None]) -> dict[str, int]:
    """Values of the parameters that mirror a sysctl; `read` gives its text, None where there is none.

    What a kernel says and this table cannot hold is left out: its old value stays.
    """
    values = dict(DEFAULTS)
    found: dict[str, int] = {}
    for parameter in PARAMETERS:
        text = read(parameter.sysctl) if parameter.sysctl else None
        words = (text or "").split()
        if parameter.part >= len(words):
            continue
        value = _value(parameter, words[parameter.part], values)
        if value is not None and parameter.minimum <= value <= parameter.maximum:
            values[parameter.name] = found[parameter.name] = value
    return found


def _value(parameter: Parameter, word: str, values: Mapping[str, int]) -> int | None:
    if parameter.name == "tcp_congestion":
        return CONGESTION.index(word) if word in CONGESTION else None
    if not word.isdecimal() or len(word) > 18:
        return None
    if parameter.name in RETRIES_FROM:
        first_ns = values[RETRIES_FROM[parameter.name]]
        return give_up_ns(min(int(word), 64), first_ns, values["tcp_max_rto_ns"])
    return int(word) * parameter.scale


def parse_ports(text: str) -> frozenset[int]:
    """Ports of a list like `8080,9148-9200` (ip_local_reserved_ports); ArbiterError EINVAL."""
    ports: set[int] = set()
    for item in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = item.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ArbiterError(EINVAL, f"not a list of ports: {item!r}")
        low, high = int(first), int(last or first)
        if not low <= high < PORTS:
            raise ArbiterError(EINVAL, f"not a range of ports: {item!r}")
        ports.update(range(low, high + 1))
    return frozenset(ports)


def bitmap_of(ports: Iterable[int]) -> bytes:
    """Ports as 65,536 bits, port p in bit p % 8 of byte p // 8; ArbiterError EINVAL."""
    bits = bytearray(PORTS // 8)
    for port in ports:
        if not 0 <= port < PORTS:
            raise ArbiterError(EINVAL, f"not a port: {port}")
        bits[port >> 3] |= 1 << (port & 7)
    return bytes(bits)


def ports_of(bitmap: bytes) -> frozenset[int]:
    """Inverse of bitmap_of."""
    return frozenset(
        8 * place + bit for place, byte in enumerate(bitmap) if byte for bit in range(8) if byte >> bit & 1
    )
