# SPDX-License-Identifier: Apache-2.0
"""Ports that are held in the host's kernel for user-space stacks, and its silence there."""

import errno
import itertools
import socket
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from sim.linux import inet_diag
from sim.linux.errors import LinuxError
from sim.linux.host_kernel import HostKernel, PortTaken
from sim.linux.inet_diag import Tuple
from sim.linux.lab import Lab
from sim.linux.placeholder import OWNER_UID, Place, ephemeral_range, reserve_ranges
from sim.linux.tests.conditions import TAP_MARKS, needs
from sim.linux.tests.host_lab import CONFIG, HOST4, HOST6, REMOTE4, REUSE, REUSEPORT, make

pytestmark = TAP_MARKS
ADDRESSES = {
    "10.77.0.1": (4, HOST4),
    "127.0.0.1": (4, 0x7F000001),
    "0.0.0.0": (4, None),
    "fd77::1": (6, HOST6),
    "::1": (6, 1),
    "::": (6, None),
}
FLAGS = ((), (REUSE,), (REUSEPORT,), (REUSE, REUSEPORT))


def overlap(held: str, dual: bool, wanted: str) -> bool:
    """Whether a kernel socket at `wanted` would take frames of a stack that holds `held` (bind(2), ipv6(7));
    a program's "::" takes IPv4 as well."""
    if held == wanted:
        return True
    four = {a for a in ADDRESSES if ":" not in a}
    covers = {"0.0.0.0": four, "::": set(ADDRESSES)}
    held_covers = {"0.0.0.0": four, "::": set(ADDRESSES) if dual else set(ADDRESSES) - four}
    return wanted in held_covers.get(held, ()) or held in covers.get(wanted, ())


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
@pytest.mark.parametrize(("held", "dual"), [*((a, False) for a in ADDRESSES), ("::", True)])
def test_kernel_sockets_are_refused_with_any_reuse_flag(
    lab: Lab, kernel: HostKernel, held: str, dual: bool, kind: int
) -> None:
    family, local = ADDRESSES[held]
    proto = 6 if kind == socket.SOCK_STREAM else 17
    # A port each: what was bound before leaves traces at a port, see the test of the known hole.
    for port, (wanted, flags) in enumerate(itertools.product(ADDRESSES, FLAGS), 8000):
        place = Place(proto, family, local, port, dual)
        kernel.reserve(place)
        if overlap(held, dual, wanted):
            with pytest.raises(OSError) as refused:
                make(lab, wanted, port, kind, flags).close()
            assert refused.value.errno == errno.EADDRINUSE, (wanted, flags)
        else:
            make(lab, wanted, port, kind, flags).close()
        assert kernel.intruders() == []
        kernel.release(place)
        make(lab, held, port, kind).close()


@pytest.mark.parametrize("held", ["::", "fd77::1"])
def test_known_hole_of_the_kernel_is_seen(lab: Lab, kernel: HostKernel, held: str) -> None:
    """A program's 0.0.0.0 with SO_REUSEPORT beside an IPv6 placeholder lets its "::" in after it: Linux
    compares the second with the first alone (sk_reuseport_match). Then the mirror names the intruder."""
    kernel.reserve(Place(6, *ADDRESSES[held], 8000))
    with make(lab, "0.0.0.0", 8000, options=(REUSEPORT,)):
        assert kernel.intruders() == []
        try:
            second = make(lab, "::", 8000, options=(REUSEPORT,))
        except OSError:
            return  # this kernel has no such hole
        with second:
            kernel.events(kernel.next_deadline_ns())
            assert [s.tuple for s in kernel.intruders()] == [Tuple(6, 6, None, 8000)]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("owner", ADDRESSES)
def test_place_is_refused_where_a_kernel_socket_is(
    lab: Lab, kernel: HostKernel, owner: str, flags: tuple[int, ...], kind: int
) -> None:
    proto = 6 if kind == socket.SOCK_STREAM else 17
    with make(lab, owner, 8000, kind, flags):
        for wanted, (family, local) in ADDRESSES.items():
            place = Place(proto, family, local, 8000, dual=wanted == "::")
            if overlap(wanted, True, owner):
                with pytest.raises(PortTaken) as refused:
                    kernel.reserve(place)
                assert [s.tuple.local_port for s in refused.value.owners] == [8000]
                with pytest.raises(LinuxError) as unheld:
                    kernel.release(place)
                assert unheld.value.errno == errno.ENOENT
            else:
                kernel.reserve(place)
                kernel.release(place)


@pytest.mark.parametrize("proto", [6, 17])
@pytest.mark.parametrize("order", list(itertools.permutations(("10.77.0.1", "0.0.0.0", "::"))))
def test_our_places_may_overlap_and_stay_closed_to_others(
    lab: Lab, kernel: HostKernel, order: tuple[str, ...], proto: int
) -> None:
    """A listener at every address over flows at one, and the other way round (restart of a listener)."""
    kind = socket.SOCK_STREAM if proto == 6 else socket.SOCK_DGRAM
    places = [Place(proto, *ADDRESSES[a], 8000, dual=a == "::") for a in order]
    for count, place in enumerate(places, 1):
        kernel.reserve(place)
        for flags in FLAGS:
            for wanted in order[:count]:
                with pytest.raises(OSError):
                    make(lab, wanted, 8000, kind, flags).close()
    for count, place in enumerate(places, 1):
        kernel.release(place)
        for wanted in order[count:]:
            with pytest.raises(OSError):
                make(lab, wanted, 8000, kind, (REUSE, REUSEPORT)).close()
    make(lab, "::", 8000, kind).close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_moment_of_sharing_lets_in_nobody_else(lab: Lab, kernel: HostKernel, kind: int) -> None:
    """Overlapping places of ours are bound with SO_REUSEPORT for a moment; here the moment lasts."""
    proto = 6 if kind == socket.SOCK_STREAM else 17
    kernel.reserve(Place(proto, 4, HOST4, 8000))
    kernel.reserve(Place(proto, 4, None, 8000))
    for held in kernel._places._held[proto, 8000].values():
        assert not held.socket.getsockopt(socket.SOL_SOCKET, REUSEPORT)
        held.socket.setsockopt(socket.SOL_SOCKET, REUSEPORT, 1)
    for address in ("10.77.0.1", "0.0.0.0", "::"):
        with pytest.raises(OSError):
            make(lab, address, 8000, kind, (REUSE, REUSEPORT)).close()


def test_place_is_counted(lab: Lab, kernel: HostKernel) -> None:
    place = Place(6, 4, HOST4, 8000)
    kernel.reserve(place)
    kernel.reserve(place)
    kernel.release(place)
    with pytest.raises(OSError):
        make(lab, "10.77.0.1", 8000)
    kernel.release(place)
    make(lab, "10.77.0.1", 8000).close()


def test_placeholders_are_no_sockets_of_the_host(lab: Lab, kernel: HostKernel) -> None:
    kernel.reserve(Place(6, 4, HOST4, 8000))
    kernel.reserve(Place(17, 6, HOST6, 8000))
    assert kernel.events(kernel.next_deadline_ns()) == []
    assert kernel.lookup(Tuple(6, 4, HOST4, 8000, REMOTE4, 9)) is None
    assert kernel.find_port(6, 8000) == []
    raw = kernel._diag.dump(6, inet_diag.AF_INET, 8000)
    assert [s.uid for s in raw] == [OWNER_UID]


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (Place(6, 4, REMOTE4, 80), errno.EADDRNOTAVAIL),
        (Place(6, 4, HOST4, 0), errno.EINVAL),
        (Place(17, 6, None, 1 << 16), errno.EINVAL),
    ],
    ids=["foreign", "zero", "large"],
)
def test_impossible_places_are_refused(kernel: HostKernel, place: Place, code: int) -> None:
    with pytest.raises(LinuxError) as refused:
        kernel.reserve(place)
    assert refused.value.errno == code


def test_connecting_programs_pass_over_held_ports(lab: Lab, kernel: HostKernel) -> None:
    """The kernel picks from three ports, two of them held: it picks the third, then none."""
    namespace = lab.host.namespace
    before = ephemeral_range(namespace)
    namespace.sysctl("ipv4.ip_local_port_range", "50001 50003")
    try:
        for port in (50001, 50003):
            kernel.reserve(Place(6, 4, HOST4, port))
        with namespace.run(socket.socket) as one, namespace.run(socket.socket) as two:
            for each in (one, two):
                each.setblocking(False)
            assert one.connect_ex(("10.77.0.2", 9)) == errno.EINPROGRESS
            assert one.getsockname()[1] == 50002
            assert two.connect_ex(("10.77.0.2", 9)) == errno.EADDRNOTAVAIL
        with pytest.raises(LinuxError):
            kernel.reserve(Place(6, 4, HOST4, 0))
    finally:
        namespace.sysctl("ipv4.ip_local_port_range", f"{before[0]} {before[1]}")


def test_reserved_ranges_are_not_chosen(lab: Lab) -> None:
    namespace = lab.host.namespace
    before = ephemeral_range(namespace)
    try:
        namespace.sysctl("ipv4.ip_local_port_range", "50000 50009")
        reserve_ranges(namespace, [(50000, 50003), (50005, 50009)])
        with make(lab, "10.77.0.1", 0) as one:
            assert one.getsockname()[1] == 50004
    finally:
        reserve_ranges(namespace, [])
        namespace.sysctl("ipv4.ip_local_port_range", f"{before[0]} {before[1]}")


# Silence ----------------------------------------------------------------------------------------------

SEGMENTS = ["S", "SA", "A", "PA", "FA", "FPU", ""]


def answers(lab: Lab, packet: Packet) -> list[Packet]:
    """What the host's kernel sends on one frame from the wire."""
    lab.host.tap.recv()
    ether = Ether(src=CONFIG.remote.mac.hex(":"), dst=CONFIG.host.mac.hex(":"))
    lab.host.tap.send([bytes(ether / packet)])
    # The kernel works on a frame within the write, so its answer is there when that returns.
    got = [Ether(raw) for raw in lab.host.tap.recv()]
    return [p for p in got if TCP in p or ICMP in p or ICMPv6DestUnreach in p]


def network(six: bool) -> Packet:
    return IPv6(src="fd77::2", dst="fd77::1") if six else IP(src="10.77.0.2", dst="10.77.0.1")


@pytest.mark.parametrize("six", [False, True])
def test_no_reset_for_a_held_port_and_always_one_for_a_closed_port(
    lab: Lab, kernel: HostKernel, six: bool
) -> None:
    place = Place(6, 6, HOST6, 8000) if six else Place(6, 4, HOST4, 8000)
    kernel.reserve(place)
    for flags in SEGMENTS:
        segment = network(six) / TCP(sport=999, dport=8000, seq=5, ack=7, flags=flags)
        assert answers(lab, segment) == [], flags
        segment[TCP].dport = 8001
        (reset,) = answers(lab, segment)
        assert "R" in str(reset[TCP].flags)
    kernel.release(place)
    (reset,) = answers(lab, network(six) / TCP(sport=999, dport=8000, flags="S"))
    assert "R" in str(reset[TCP].flags)


def connect_local(lab: Lab, address: str, port: int) -> int:
    """errno of a program of the host that connects to the host itself."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with lab.host.namespace.run(lambda: socket.socket(family)) as program:
        program.settimeout(0.3)
        try:
            return program.connect_ex((address, port))
        except TimeoutError:
            return errno.ETIMEDOUT


@needs("nft")
@pytest.mark.parametrize("address", ["10.77.0.1", "fd77::1"])
def test_program_of_the_host_is_refused_at_a_held_port_at_once(
    lab: Lab, kernel: HostKernel, address: str
) -> None:
    assert kernel.lacks == ""
    kernel.reserve(Place(6, 6, None, 8000, dual=True))
    assert connect_local(lab, address, 8000) == errno.ECONNREFUSED
    with make(lab, address, 8001):
        assert connect_local(lab, address, 8001) == 0


def test_missing_firewall_is_named_and_costs_a_time_out_only(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    kernel = HostKernel(lab.host.namespace)
    assert kernel.lacks == "nft (Debian package nftables)"
    kernel.reserve(Place(6, 4, HOST4, 8000))
    assert connect_local(lab, "10.77.0.1", 8000) in (errno.ETIMEDOUT, errno.EAGAIN)
    kernel.close()


@pytest.mark.parametrize("six", [False, True])
def test_no_port_unreachable_for_a_held_udp_port(lab: Lab, kernel: HostKernel, six: bool) -> None:
    lab.host.namespace.sysctl("ipv4.icmp_ratemask", "0")
    lab.host.namespace.sysctl("ipv6.icmp.ratelimit", "0")
    kernel.reserve(Place(17, 6, None, 8000, dual=True))
    for _ in range(3000):  # more than a socket buffer holds: nothing piles up
        assert answers(lab, network(six) / UDP(sport=999, dport=8000) / bytes(1000)) == []
    (unreachable,) = answers(lab, network(six) / UDP(sport=999, dport=8001) / b"x")
    assert ICMP in unreachable or ICMPv6DestUnreach in unreachable
    (held,) = kernel._places._held[17, 8000].values()
    with pytest.raises(BlockingIOError):
        held.socket.recv(1, socket.MSG_DONTWAIT)


def test_no_protocol_unreachable_for_a_held_protocol(lab: Lab, kernel: HostKernel) -> None:
    lab.host.namespace.sysctl("ipv4.icmp_ratemask", "0")
    (unreachable,) = answers(lab, IP(src="10.77.0.2", dst="10.77.0.1", proto=253) / b"x")
    assert (unreachable[ICMP].type, unreachable[ICMP].code) == (3, 2)
    kernel.reserve(Place(253, 4, HOST4, 0))
    assert answers(lab, IP(src="10.77.0.2", dst="10.77.0.1", proto=253) / b"x") == []
