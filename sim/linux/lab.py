# SPDX-License-Identifier: Apache-2.0
"""Two Linux kernels around a NIC: *host* is its host stack, *remote* is at the other end of the wire.

Each is a network namespace with one TAP. The TAP of *remote* is the wire: plain frames. That of *host* has
offloads, so that its kernel leaves checksums and segmentation to the NIC. Nothing outlives this process, see
sim/linux/namespace.py.
"""

import contextlib
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from sim.linux.errors import Unavailable
from sim.linux.interfaces import Interfaces
from sim.linux.namespace import Namespace, Programs, missing
from sim.linux.rtnetlink import Address
from sim.linux.tap import TapPort

TAP_NAME = "tupelo0"


@dataclass(frozen=True, slots=True)
class SideConfig:
    """One kernel: addresses with prefix (an IPv6 one turns IPv6 on), MAC, whether its TAP has offloads."""

    addresses: tuple[str, ...]
    mac: bytes
    offloads: bool = False


@dataclass(frozen=True, slots=True)
class LabConfig:
    """Both kernels. Without an IPv6 address IPv6 is off: the TAP sends nothing that nobody asked for."""

    host: SideConfig = SideConfig(("10.77.0.1/24",), bytes.fromhex("020000770001"), offloads=True)
    remote: SideConfig = SideConfig(("10.77.0.2/24",), bytes.fromhex("020000770002"))
    mtu_bytes: int = 1500


@dataclass(slots=True)
class Side:
    """One kernel of a lab that is open."""

    namespace: Namespace
    tap: TapPort
    interfaces: Interfaces
    ifindex: int


@dataclass(slots=True)
class Lab:
    """`with Lab() as lab:` has both kernels up; Unavailable says what this machine lacks."""

    config: LabConfig = LabConfig()
    host: Side = field(init=False)
    remote: Side = field(init=False)
    _undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> "Lab":
        if lack := missing():
            raise Unavailable(lack)
        with contextlib.ExitStack() as undo:
            programs = Programs()
            undo.callback(programs.close)
            self.host = self._side("host", self.config.host, programs, undo)
            self.remote = self._side("remote", self.config.remote, programs, undo)
            undo.callback(programs.close)  # first at the end: no program sees its network taken away
            self._undo = undo.pop_all()
        return self

    def _side(self, label: str, config: SideConfig, programs: Programs, undo: contextlib.ExitStack) -> Side:
        namespace = Namespace(label, programs)
        undo.callback(namespace.close)
        self._quiet(namespace, any(":" in a for a in config.addresses))
        tap = TapPort(namespace, TAP_NAME, config.offloads)
        undo.callback(tap.close)
        interfaces = Interfaces(namespace)
        undo.callback(interfaces.close)
        interfaces.set_link(interfaces.link("lo").index, up=True)
        index = interfaces.link(TAP_NAME).index
        interfaces.set_link(index, mtu_bytes=self.config.mtu_bytes, mac=config.mac)
        interfaces.set_link(index, up=True)
        for text in config.addresses:
            one = ipaddress.ip_interface(text)
            interfaces.add(Address(index, one.version, int(one.ip), one.network.prefixlen))
        interfaces.snapshot()
        return Side(namespace, tap, interfaces, index)

    @staticmethod
    def _quiet(namespace: Namespace, ipv6: bool) -> None:
        """Before the TAP is made: it takes over the defaults."""
        if not namespace.run(lambda: Path("/proc/sys/net/ipv6").exists()):
            if ipv6:
                raise Unavailable("IPv6 in this kernel")
            return
        namespace.sysctl("ipv6.conf.default.disable_ipv6", "0" if ipv6 else "1")
        namespace.sysctl("ipv6.conf.all.disable_ipv6", "0" if ipv6 else "1")
        for name in ("accept_dad", "accept_ra", "router_solicitations"):
            namespace.sysctl(f"ipv6.conf.default.{name}", "0")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()
