# SPDX-License-Identifier: Apache-2.0
"""rtnetlink against `ip -json`, notifications of every kind of change, and the kernel's neighbour look-up."""

import ipaddress
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sim.linux.errors import LinuxError
from sim.linux.interfaces import Change, Interfaces, Resolved
from sim.linux.lab import TAP_NAME, Lab, LabConfig, SideConfig
from sim.linux.relay import Background, PlainWire
from sim.linux.rtnetlink import Address, Link, Neighbour, Nud, Route
from sim.linux.tests.conditions import TAP_MARKS, needs

pytestmark = [*TAP_MARKS, needs("ip")]
CONFIG = LabConfig(
    host=SideConfig(("10.77.0.1/24", "fd77::1/64"), bytes.fromhex("020000770001"), offloads=True),
    remote=SideConfig(("10.77.0.2/24", "fd77::2/64"), bytes.fromhex("020000770002")),
)
REMOTES = [(4, 0x0A4D0002), (6, (0xFD77 << 112) + 2)]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(CONFIG) as lab:
        yield lab


def ip(lab: Lab, *arguments: str) -> Any:
    done = lab.host.namespace.popen(["ip", "-json", *arguments], stdout=subprocess.PIPE, text=True)
    out, _ = done.communicate()
    assert done.returncode == 0, arguments
    return json.loads(out or "[]")


def number(text: str) -> int:
    return int(ipaddress.ip_address(text))


def changes(interfaces: Interfaces, wanted: Callable[[Change], bool]) -> list[Change]:
    """Changes up to and with a wanted one."""
    seen: list[Change] = []
    deadline = time.monotonic() + 10
    while not any(map(wanted, seen)):
        assert time.monotonic() < deadline, seen
        seen += interfaces.take_changes()[0]
        time.sleep(0.005)
    return seen


def test_snapshot_is_what_ip_shows(lab: Lab) -> None:
    ip(lab, "route", "add", "192.0.2.0/24", "via", "10.77.0.2", "metric", "7")
    ip(lab, "route", "add", "default", "via", "fd77::2")
    ip(lab, "neigh", "add", "10.77.0.9", "lladdr", "02:00:00:00:00:09", "dev", TAP_NAME)
    state = lab.host.interfaces.state
    lab.host.interfaces.snapshot()
    assert {(i.index, i.name, i.mtu_bytes, i.mac.hex(":"), i.up) for i in state.links()} == {
        (i["ifindex"], i["ifname"], i["mtu"], i["address"], "UP" in i["flags"]) for i in ip(lab, "link")
    }
    assert {(a.ifindex, a.family, a.address, a.prefix) for a in state.addresses()} == {
        (i["ifindex"], 4 if a["family"] == "inet" else 6, number(a["local"]), a["prefixlen"])
        for i in ip(lab, "address")
        for a in i["addr_info"]
    }
    expected = set()
    for family in (4, 6):
        for route in ip(lab, f"-{family}", "route", "show", "table", "main"):
            default = f"{'0.0.0.0' if family == 4 else '::'}/0"
            target = ipaddress.ip_network(default if route["dst"] == "default" else route["dst"])
            gateway = number(route["gateway"]) if "gateway" in route else None
            where = (family, int(target.network_address), target.prefixlen)
            expected.add((*where, gateway, route.get("metric", 0), route["dev"]))
    names = {link.index: link.name for link in state.links()}
    assert len(expected) == 5
    assert expected == {
        (r.family, r.address, r.prefix, r.gateway, r.metric, names[r.ifindex])
        for r in state.routes()
        if r.table == 254
    }
    assert (number("10.77.0.9"), bytes.fromhex("020000000009"), Nud.PERMANENT) in {
        (n.address, n.mac, n.state) for n in state.neighbours()
    }


def test_changes_of_every_kind_are_told(lab: Lab) -> None:
    interfaces, index = lab.host.interfaces, lab.host.ifindex
    interfaces.take_changes()
    ip(lab, "link", "set", TAP_NAME, "mtu", "1400")
    changes(interfaces, lambda c: isinstance(c.item, Link) and c.item.mtu_bytes == 1400)
    ip(lab, "link", "set", TAP_NAME, "address", "02:00:00:00:00:55")
    changes(interfaces, lambda c: isinstance(c.item, Link) and c.item.mac.hex() == "020000000055")
    address = Address(index, 4, number("10.77.0.55"), 24)
    ip(lab, "address", "add", "10.77.0.55/24", "dev", TAP_NAME)
    changes(interfaces, lambda c: c == Change(address))
    ip(lab, "address", "del", "10.77.0.55/24", "dev", TAP_NAME)
    changes(interfaces, lambda c: c == Change(address, removed=True))
    route = Route(4, number("192.0.2.0"), 24, number("10.77.0.2"), index, None, 0, 254, 1)
    ip(lab, "route", "add", "192.0.2.0/24", "via", "10.77.0.2")
    changes(interfaces, lambda c: c == Change(route))
    ip(lab, "route", "del", "192.0.2.0/24")
    changes(interfaces, lambda c: c == Change(route, removed=True))
    ip(lab, "link", "set", TAP_NAME, "down")
    seen = changes(interfaces, lambda c: isinstance(c.item, Link) and not c.item.up)
    assert any(isinstance(c.item, Route) and c.removed for c in seen), "of these nothing is notified"
    time.sleep(0.1)
    interfaces.take_changes()
    before = dict(interfaces.state.items)
    assert interfaces.snapshot() == [], "the notifications have told all that a dump tells"
    assert interfaces.state.items == before


def test_own_changes_are_seen_and_undone(lab: Lab) -> None:
    interfaces, index = lab.host.interfaces, lab.host.ifindex
    items: list[Address | Route | Neighbour] = [
        Address(index, 6, number("fd77::55"), 64),
        Route(4, number("192.0.2.0"), 24, number("10.77.0.2"), index, None, 0, 254, 1),
        Neighbour(index, 4, number("10.77.0.9"), b"\2" * 6, Nud.PERMANENT),
    ]
    for item in items:
        interfaces.add(item)
        with pytest.raises(LinuxError, match="File exists"):
            interfaces.add(item)
    interfaces.snapshot()
    assert all(item in interfaces.state.items.values() for item in items)
    for item in items:
        interfaces.remove(item)
        with pytest.raises(LinuxError):
            interfaces.remove(item)
    interfaces.snapshot()
    assert not any(item in interfaces.state.items.values() for item in items)
    with pytest.raises(LinuxError, match="No such device"):
        interfaces.link("none0")


def resolved(interfaces: Interfaces) -> Resolved:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        _, found = interfaces.take_changes()
        if found:
            assert len(found) == 1
            return found[0]
        time.sleep(0.005)
    raise AssertionError("nothing came")


@pytest.mark.parametrize(("family", "address"), REMOTES, ids=["ARP", "ND"])
def test_kernel_resolves_a_neighbour(lab: Lab, family: int, address: int) -> None:
    interfaces, index = lab.host.interfaces, lab.host.ifindex
    with Background(PlainWire(lab.host.tap, lab.remote.tap)):
        assert interfaces.resolve(index, family, address) is None
        answer = resolved(interfaces)
        assert answer == Resolved(index, family, address, CONFIG.remote.mac)
        assert interfaces.resolve(index, family, address) == answer  # known: at once


@pytest.mark.parametrize(("family", "address"), REMOTES, ids=["ARP", "ND"])
def test_neighbour_that_does_not_answer_is_told(lab: Lab, family: int, address: int) -> None:
    name = "ipv4" if family == 4 else "ipv6"
    lab.host.namespace.sysctl(f"{name}/neigh/{TAP_NAME}/retrans_time_ms", "20")
    assert lab.host.interfaces.resolve(lab.host.ifindex, family, address) is None
    assert resolved(lab.host.interfaces).mac is None
    lab.host.interfaces.resolve(lab.host.ifindex, family, address)  # a failed entry is asked for again
    assert resolved(lab.host.interfaces).mac is None
