# SPDX-License-Identifier: Apache-2.0
"""Codecs against literal hex, round trips, and refusal of what is malformed."""

from collections.abc import Callable
from typing import Any

import pytest

from userstack.drops import Drop
from userstack.errors import BadAddress
from userstack.wire import addr, checksum
from userstack.wire.arp import REQUEST, ArpPacket
from userstack.wire.errors import EncodeError, WireError
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.icmp import ECHO_REQUEST, IcmpMessage
from userstack.wire.ipv4 import DONT_FRAGMENT, MORE_FRAGMENTS, UDP, Ipv4Header
from userstack.wire.udp import UdpDatagram


def reason(call: Callable[..., object], *args: object) -> Any:
    with pytest.raises(WireError) as caught:
        call(*args)
    return caught.value.reason


def test_checksum_of_rfc_1071_section_3() -> None:
    data = bytes.fromhex("0001 f203 f4f5 f6f7")
    assert checksum.word_sum(data) == 0xDDF2
    assert checksum.checksum(data) == 0x220D
    assert checksum.is_valid(data + bytes.fromhex("220d"))


def test_checksum_zero_cases() -> None:
    assert checksum.checksum(bytes(4)) == 0xFFFF
    assert checksum.checksum(b"\xff\xff") == 0
    assert not checksum.is_valid(bytes(8)), "+0 is not a valid sum"
    assert checksum.is_valid(b"\xff\xff" * 3)


@pytest.mark.parametrize("size", [1, 2, 3, 20, 1459, 1460])
def test_checksum_equals_the_word_loop_of_rfc_1071(size: int) -> None:
    data = bytes((7 * i + size) & 0xFF for i in range(size))
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, size, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert checksum.checksum(data) == total ^ 0xFFFF


def test_addresses() -> None:
    assert addr.parse_ip("192.168.0.199") == 0xC0A800C7
    assert addr.format_ip(0xC0A800C7) == "192.168.0.199"
    assert addr.parse_mac("02:00:00:00:00:2a") == b"\x02\0\0\0\0\x2a"
    assert addr.multicast_mac(addr.parse_ip("224.129.2.3")) == bytes.fromhex("01005e010203")


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "1.2.3.x", "1.2.3.-4", "٣.1.1.1", "1.2.3.0004"]
)
def test_bad_ip_text(text: str) -> None:
    with pytest.raises(BadAddress):
        addr.parse_ip(text)


@pytest.mark.parametrize("text", ["", "02:00", "01:00:00:00:00:00", "02:00:00:00:00:gg", "020000000001"])
def test_bad_mac_text(text: str) -> None:
    with pytest.raises(BadAddress):
        addr.parse_mac(text)


def test_ethernet_hex_and_padding() -> None:
    raw = bytes.fromhex("ffffffffffff 020000000001 0806") + b"abc"
    frame = EthernetFrame.decode(raw)
    assert frame == EthernetFrame(b"\xff" * 6, b"\x02\0\0\0\0\x01", 0x0806, b"abc")
    assert frame.encode() == raw.ljust(60, b"\0")


def test_ethernet_vlan_tag() -> None:
    raw = bytes.fromhex("020000000001 020000000002 8100 a064 0800") + bytes(46)
    frame = EthernetFrame.decode(raw)
    assert (frame.vlan_tci, frame.ethertype, len(frame.payload)) == (0xA064, 0x0800, 46)
    assert frame.encode() == raw


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (bytes(13), Drop.ETH_SHORT),
        (bytes(12) + b"\x81\0\0", Drop.ETH_SHORT),
        (bytes(12) + b"\0\x2e", Drop.ETH_TYPE),
    ],
)
def test_ethernet_malformed(raw: bytes, why: Drop) -> None:
    assert reason(EthernetFrame.decode, raw) is why


ARP_HEX = "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002"


def test_arp_hex_and_round_trip() -> None:
    packet = ArpPacket(REQUEST, b"\x02\0\0\0\0\x01", 0x0A000001, bytes(6), 0x0A000002)
    assert packet.encode() == bytes.fromhex(ARP_HEX)
    assert ArpPacket.decode(bytes.fromhex(ARP_HEX) + bytes(18)) == packet


@pytest.mark.parametrize("at", [0, 2, 4, 5, 7])
def test_arp_malformed(at: int) -> None:
    raw = bytearray.fromhex(ARP_HEX)
    raw[at] ^= 0x40
    assert reason(ArpPacket.decode, bytes(raw)) is Drop.ARP_MALFORMED


def test_arp_short() -> None:
    assert reason(ArpPacket.decode, bytes.fromhex(ARP_HEX)[:27]) is Drop.ARP_MALFORMED


# A header often used as the worked example of the checksum: 192.168.0.1 to 192.168.0.199, UDP, 115 bytes.
IP_HEX = "4500 0073 0000 4000 4011 b861 c0a80001 c0a800c7"


def test_ipv4_hex_and_round_trip() -> None:
    header = Ipv4Header(0xC0A80001, 0xC0A800C7, UDP, 95, fragment=DONT_FRAGMENT)
    assert header.encode() == bytes.fromhex(IP_HEX)
    assert Ipv4Header.decode(bytes.fromhex(IP_HEX) + bytes(100)) == (header, bytes(95))


def test_ipv4_options_round_trip() -> None:
    header = Ipv4Header(1, 2, 6, 3, options=bytes.fromhex("01010794 04000000"[:8]) + b"\x01\x01\x01\x00")
    with pytest.raises(WireError):  # record route of length 0x94 runs out of the header
        Ipv4Header.decode(header.encode() + b"abc")
    good = Ipv4Header(1, 2, 6, 3, options=bytes.fromhex("0707040000000000"))
    assert Ipv4Header.decode(good.encode() + b"abc") == (good, b"abc")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({0: 0x65}, Drop.IP_VERSION),
        ({0: 0x44}, Drop.IP_HEADER),
        ({2: 0, 3: 19}, Drop.IP_HEADER),
        ({2: 0x10}, Drop.IP_SHORT),
        ({8: 0x41}, Drop.IP_CHECKSUM),
    ],
)
def test_ipv4_malformed(change: dict[Any, Any], why: Drop) -> None:
    raw = bytearray(bytes.fromhex(IP_HEX) + bytes(95))
    for at, value in change.items():
        raw[at] = value
    assert reason(Ipv4Header.decode, bytes(raw)) is why


def test_ipv4_short() -> None:
    assert reason(Ipv4Header.decode, bytes.fromhex(IP_HEX)[:19]) is Drop.IP_SHORT


def test_ipv4_open_source_route_is_refused() -> None:
    open_route = Ipv4Header(1, 2, 6, 0, options=bytes.fromhex("8307040a00000900"))
    assert reason(Ipv4Header.decode, open_route.encode()) is Drop.IP_SOURCE_ROUTE
    used_up = Ipv4Header(1, 2, 6, 0, options=bytes.fromhex("8307080a00000900"))
    assert Ipv4Header.decode(used_up.encode())[0] == used_up


def test_ipv4_fragments_are_recognised() -> None:
    assert Ipv4Header(1, 2, 6, 0, fragment=MORE_FRAGMENTS).is_fragment
    assert Ipv4Header(1, 2, 6, 0, fragment=5).is_fragment
    assert not Ipv4Header(1, 2, 6, 0, fragment=DONT_FRAGMENT).is_fragment


def test_icmp_hex_and_round_trip() -> None:
    message = IcmpMessage(ECHO_REQUEST, 0, 0x00010002, b"abcdefgh")
    raw = bytes.fromhex("0800 6667 0001 0002 6162636465666768")
    assert message.encode() == raw
    assert IcmpMessage.decode(raw) == message


def test_icmp_malformed() -> None:
    assert reason(IcmpMessage.decode, bytes(7)) is Drop.ICMP_SHORT
    assert reason(IcmpMessage.decode, bytes(8)) is Drop.ICMP_CHECKSUM


def test_udp_hex_and_round_trip() -> None:
    datagram = UdpDatagram(0x1234, 53, b"hi!")
    raw = bytes.fromhex("1234 0035 000b 5003 686921")
    assert datagram.encode(0x0A000001, 0x0A000002) == raw
    assert UdpDatagram.decode(raw + bytes(9), 0x0A000001, 0x0A000002) == datagram


def test_udp_checksum_zero_means_none_and_is_never_sent() -> None:
    raw = bytes.fromhex("1234 0035 000b 0000 686921")
    assert UdpDatagram.decode(raw, 1, 2).payload == b"hi!"
    payload = (-(1 + 2 + 17 + 10 + 5 + 6 + 10) % 0xFFFF).to_bytes(2, "big")  # makes the sum 0xffff
    assert UdpDatagram(5, 6, payload).encode(1, 2)[6:8] == b"\xff\xff"


@pytest.mark.parametrize("raw", ["1234 0035 000b 00", "1234 0035 0007 0000", "1234 0035 000c 0000 686921"])
def test_udp_bad_length(raw: str) -> None:
    assert reason(UdpDatagram.decode, bytes.fromhex(raw), 1, 2) is Drop.UDP_SHORT


def test_udp_bad_checksum() -> None:
    assert reason(UdpDatagram.decode, bytes.fromhex("1234 0035 000b 1111 686921"), 1, 2) is Drop.UDP_CHECKSUM


@pytest.mark.parametrize(
    "build",
    [
        lambda: EthernetFrame(b"", b"", 0x800, b""),
        lambda: EthernetFrame(bytes(6), bytes(6), 5, b""),
        lambda: ArpPacket(3, bytes(6), 0, bytes(6), 0),
        lambda: Ipv4Header(0, 0, 0, 65530),
        lambda: Ipv4Header(0, 0, 0, 0, options=b"abc"),
    ],
)
def test_values_without_encoding_cannot_be_built(build: Callable[[], object]) -> None:
    with pytest.raises(EncodeError):
        build()
