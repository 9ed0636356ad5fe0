# SPDX-License-Identifier: Apache-2.0
"""Netlink codecs against bytes that Linux 6.18 (x86-64) sent; what they mean is known from how they came
about: a host at 10.77.0.1 and fd77::1 with listeners at ports 8000 to 8003, `ip` and `ss` beside it."""

import contextlib
import ipaddress
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.linux import inet_diag, netlink, rtnetlink
from sim.linux.errors import NetlinkError
from sim.linux.inet_diag import TCP, UDP, KernelSocket, State, Tuple
from sim.linux.netlink import Flag, Message
from sim.linux.rtnetlink import Address, Kind, Link, Neighbour, Nud, Route

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="captured on a little-endian machine")


def ip(text: str) -> int:
    return int(ipaddress.ip_address(text))


HOST, REMOTE = ip("10.77.0.1"), ip("10.77.0.2")
LISTENER = (
    "020a00001f4000000a4d000100000000000000000000000000000000000000000000000000000000000000006e03000000000000"
    "0000000000000000800000000000000088390700050008000000000008000f00000000000c001500010000000000000006001600"
    "52000000"
)
CONNECTED = (
    "020100001f409c400a4d00010000000000000000000000000a4d0002000000000000000000000000000000006f03000000000000"
    "0000000000000000000000000000000090390700050008000000000008000f00000000000c001500010000000000000006001600"
    "52000000"
)
DUAL = (
    "0a0a00001f4100000000000000000000000000000000000000000000000000000000000000000000000000007003000000000000"
    "000000000000000080000000000000008a390700050008000000000005000b000000000008000f00000000000c00150001000000"
    "000000000600160012000000"
)
V6ONLY = (
    "0a0a00001f420000fd77000000000000000000000000000100000000000000000000000000000000000000007103000000000000"
    "000000000000000080000000000000008b390700050008000000000005000b000100000008000f00000000000c00150001000000"
    "000000000600160012000000"
)
MAPPED = (
    "0a0100001f419c4100000000000000000000ffff0a4d000100000000000000000000ffff0a4d0002000000007203000000000000"
    "0000000000000000000000000000000091390700050008000000000008000f00000000000c001500010000000000000006001600"
    "12000000"
)
TIME_WAIT = (
    "020603001f409c400a4d00010000000000000000000000000a4d0002000000000000000000000000000000006f03000000000000"
    "2ce900000000000000000000000000000000000008000f0000000000"
)
UDP_DESTROYED = (
    "020700001f4300000a4d000100000000000000000000000000000000000000000000000000000000000000007403000000000000"
    "0000000000000000ffffffff000000000000000005000a0011000000"
)


def test_listener() -> None:
    found = inet_diag.decode(bytes.fromhex(LISTENER), TCP)
    assert found == KernelSocket(
        878, Tuple(TCP, 4, HOST, 8000), State.LISTEN, None, 0, inet_diag.AF_INET, 0, 0, 0
    )
    assert found.inode == 473_480
    assert not found.dual


def test_connection_and_its_time_wait_have_one_cookie() -> None:
    open_, over = (inet_diag.decode(bytes.fromhex(raw), TCP) for raw in (CONNECTED, TIME_WAIT))
    assert open_.tuple == over.tuple == Tuple(TCP, 4, HOST, 8000, REMOTE, 40_000)
    assert (open_.state, over.state) == (State.ESTABLISHED, State.TIME_WAIT)
    assert open_.cookie == over.cookie
    assert over.expires_ms == 59_692


def test_dual_stack_listener_and_ipv6_only_one() -> None:
    dual, only = (inet_diag.decode(bytes.fromhex(raw), TCP) for raw in (DUAL, V6ONLY))
    assert dual.tuple == Tuple(TCP, 6, None, 8001) and dual.v6only is False and dual.dual
    assert only.tuple == Tuple(TCP, 6, ip("fd77::1"), 8002) and only.v6only is True and not only.dual


def test_ipv4_peer_of_an_ipv6_socket_counts_as_ipv4() -> None:
    found = inet_diag.decode(bytes.fromhex(MAPPED), TCP)
    assert found.tuple == Tuple(TCP, 4, HOST, 8001, REMOTE, 40_001)
    assert found.socket_family == inet_diag.AF_INET6


def test_destroy_notification_brings_its_own_protocol() -> None:
    found = inet_diag.decode(bytes.fromhex(UDP_DESTROYED))
    assert (found.tuple, found.cookie) == (Tuple(UDP, 4, HOST, 8003), 884)


def test_link_local_address_has_a_zone() -> None:
    raw = bytearray.fromhex(V6ONLY)
    raw[8:24] = ipaddress.ip_address("fe80::1").packed
    raw[40:44] = (3).to_bytes(4, "little")
    assert inet_diag.decode(bytes(raw), TCP).tuple == Tuple(TCP, 6, ip("fe80::1"), 8002, zone=3)


def test_exact_requests_name_the_ends_in_the_kernels_order() -> None:
    """TCP: own end first. UDP: the other end first (net/ipv4/udp_diag.c swaps them)."""
    tcp = inet_diag.exact_request(Tuple(TCP, 4, HOST, 80, REMOTE, 9))
    udp = inet_diag.exact_request(Tuple(UDP, 4, HOST, 80, REMOTE, 9), cookie=5)
    assert tcp.hex() == (
        "02060000fe3f0000" "00500009" "0a4d0001000000000000000000000000" "0a4d0002000000000000000000000000"
        "00000000" "ffffffffffffffff"
    )  # fmt: skip
    assert udp.hex() == (
        "02110000fe3f0000" "00090050" "0a4d0002000000000000000000000000" "0a4d0001000000000000000000000000"
        "00000000" "0500000000000000"
    )  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        "",
        LISTENER[:142],
        "05" + LISTENER[2:],
        LISTENER[:2] + "63" + LISTENER[4:],
        LISTENER[:144] + "0300" + LISTENER[148:],
    ],
    ids=["empty", "short", "family", "state", "attribute"],
)
def test_bad_answers_are_refused(raw: str) -> None:
    with pytest.raises(NetlinkError):
        inet_diag.decode(bytes.fromhex(raw), TCP)


# Framing ----------------------------------------------------------------------------------------------


def test_messages_of_a_datagram() -> None:
    first = netlink.encode(20, Flag.MULTI, 7, b"abcde")
    assert first.hex() == "15000000" "1400" "0200" "07000000" "00000000" "6162636465"  # fmt: skip
    raw = first + bytes(3) + netlink.encode(3, 0, 7, b"")
    assert list(netlink.decode(raw)) == [Message(20, 2, 7, b"abcde"), Message(3, 0, 7, b"")]


def test_error_message_gives_errno() -> None:
    assert Message(2, 0, 1, (-2).to_bytes(4, "little", signed=True) + bytes(16)).error == 2
    with pytest.raises(NetlinkError):
        _ = Message(3, 0, 1, bytes(4)).error


@pytest.mark.parametrize("raw", [bytes(15), netlink.encode(1, 0, 1, b"abcd")[:-1], bytes(16)])
def test_bad_framing_is_refused(raw: bytes) -> None:
    with pytest.raises(NetlinkError):
        list(netlink.decode(raw))


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_come_back(values: dict[int, bytes]) -> None:
    raw = b"".join(netlink.attribute(kind, value) for kind, value in values.items())
    assert len(raw) % 4 == 0
    assert netlink.attributes(raw) == values


@given(st.binary(max_size=120))
def test_any_bytes_decode_or_are_refused(raw: bytes) -> None:
    for read in (inet_diag.decode, lambda r: list(netlink.decode(r)), lambda r: netlink.attributes(r)):
        with contextlib.suppress(NetlinkError):
            read(raw)
    for kind in (*Kind, 17, 25, 99):
        with contextlib.suppress(NetlinkError):
            rtnetlink.decode(Message(kind, 0, 0, raw))


# rtnetlink --------------------------------------------------------------------------------------------

LINK = (
    "000001000200000043100100000000000c000300747570656c6f300008000400dc050000"  # header, name, MTU
    "0a00010002000077000100000a000200ffffffffffff0000"  # address, broadcast
)
ADDRESS4 = (
    "0218800002000000080001000a4d0001080002000a4d00010c000300747570656c6f30000800080080000000"
    "14000600ffffffffffffffff83d1250083d12500"
)
ADDRESS6 = "0a4082000200000014000100fd77000000000000000000000000000108000800c2000000"
ROUTE4 = "02180000fe02fd010000000008000f00fe000000080001000a4d0000080007000a4d00010800040002000000"
DEFAULT6 = (
    "0a000000fe0300010000000008000f00fe00000014000500fd7700000000000000000000000000020800060000040000"
    "0800040002000000"
)
NEIGHBOUR = "020000000200000008000001080001000a4d00020a0002000200007700020000"


@pytest.mark.parametrize(
    ("kind", "raw", "item"),
    [
        (Kind.LINK, LINK, Link(2, "tupelo0", True, True, 1500, bytes.fromhex("020000770001"))),
        (Kind.ADDRESS, ADDRESS4, Address(2, 4, HOST, 24)),
        (Kind.ADDRESS, ADDRESS6, Address(2, 6, ip("fd77::1"), 64, tentative=True)),
        (Kind.ROUTE, ROUTE4, Route(4, ip("10.77.0.0"), 24, None, 2, HOST, 0, 254, 1)),
        (Kind.ROUTE, DEFAULT6, Route(6, 0, 0, ip("fd77::2"), 2, None, 1024, 254, 1)),
        (Kind.NEIGHBOUR, NEIGHBOUR, Neighbour(2, 4, REMOTE, bytes.fromhex("020000770002"), Nud.DELAY)),
    ],
    ids=["link", "address4", "address6", "route4", "default6", "neighbour"],
)
def test_items(kind: Kind, raw: str, item: rtnetlink.Item) -> None:
    assert rtnetlink.decode(Message(kind, 0, 0, bytes.fromhex(raw))) == (False, item)
    assert rtnetlink.decode(Message(kind + 1, 0, 0, bytes.fromhex(raw))) == (True, item)


def test_link_counters() -> None:
    stats = b"".join(n.to_bytes(8, "little") for n in range(1, 25))
    raw = bytes.fromhex(LINK) + netlink.attribute(23, stats)
    found = rtnetlink.decode(Message(Kind.LINK, 0, 0, raw))
    assert found is not None and isinstance(found[1], Link)
    assert (found[1].rx_dropped, found[1].tx_dropped) == (7, 8)  # fields 7 and 8 of rtnl_link_stats64


@pytest.mark.parametrize("kind", list(Kind))
def test_short_items_are_refused(kind: Kind) -> None:
    with pytest.raises(NetlinkError):
        rtnetlink.decode(Message(kind, 0, 0, b"\x02\x00\x00"))


def test_requests_carry_what_they_say() -> None:
    """Read back by the decoder, which the captured bytes vouch for."""
    for item, body, kind in (
        (Address(2, 4, HOST, 24), rtnetlink.address_request(Address(2, 4, HOST, 24)), Kind.ADDRESS),
        (
            Route(6, 0, 0, ip("fd77::2"), 2, None, 5, 254, 1),
            rtnetlink.route_request(Route(6, 0, 0, ip("fd77::2"), 2, None, 5, 254, 1)),
            Kind.ROUTE,
        ),
        (
            Neighbour(2, 4, REMOTE, b"", Nud(0)),
            rtnetlink.neighbour_request(Neighbour(2, 4, REMOTE, b"", Nud(0)), use=True),
            Kind.NEIGHBOUR,
        ),
    ):
        assert rtnetlink.decode(Message(kind, 0, 0, body)) == (False, item)
    assert rtnetlink.set_link(2, up=True, mtu_bytes=9000).hex() == (
        "00000000" "02000000" "01000000" "01000000" "08000400" "28230000"
    )  # fmt: skip
