# SPDX-License-Identifier: Apache-2.0
"""TAP ports: what the kernel asks for in headers, what is dropped, what is an error."""

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from driver.descriptors import NetHeader
from driver.offload import Gso, TxOffload, request_checksum, request_tso
from sim.linux.errors import LinuxError
from sim.linux.lab import TAP_NAME, Lab, LabConfig
from sim.linux.rtnetlink import Neighbour, Nud
from sim.linux.soft_offload import checksum, complete
from sim.linux.tap import TapPort, request_of
from sim.linux.tests.conditions import TAP_MARKS

FRAME = bytes(range(6)) + bytes.fromhex("0200007700ff") + b"\x88\xb5" + bytes(46)  # a local experiment's type


def tap_test(test: Callable[..., None]) -> Callable[..., None]:
    """Mark one test, where the others of the file need no kernel."""
    for mark in TAP_MARKS:
        test = mark(test)
    return test


# Headers, without a kernel ----------------------------------------------------------------------------


def test_header_without_a_request() -> None:
    assert request_of(NetHeader(flags=2).encode() + FRAME) is None


def test_checksum_request() -> None:
    assert request_of(NetHeader(1, 0, 0, 0, 34, 6).encode() + FRAME) == TxOffload(34, 6)


def test_segmentation_request_takes_the_header_length_from_tcp() -> None:
    """hdr_len is what the kernel has in one piece: 2,000 here, of which 54 + 12 are headers."""
    raw = bytes(46) + b"\x80" + bytes(3000)
    assert request_of(NetHeader(1, 0x81, 2000, 1448, 34, 16).encode() + raw) == TxOffload(
        34, 16, Gso.TCPV4, 1448, 66, True
    )


@pytest.mark.parametrize(
    "header",
    [
        NetHeader(0, 1, 54, 1448),  # to cut, not to sum
        NetHeader(1, 3, 42, 1448, 34, 6),  # UDP fragments: not asked for by TUNSETOFFLOAD
        NetHeader(1, 1, 54, 1448, 60, 16),  # headers outside the frame
        NetHeader(1, 1, 54, 0, 34, 16),  # no size
    ],
    ids=["no checksum", "udp", "outside", "no size"],
)
def test_requests_that_nobody_can_do_are_refused(header: NetHeader) -> None:
    with pytest.raises(ValueError):
        request_of(header.encode() + FRAME)


# The software stand-in for the NIC's offloads, judged by scapy ----------------------------------------


@given(st.binary(max_size=99))
def test_checksum_is_rfc_1071(raw: bytes) -> None:
    words = [int.from_bytes((raw + b"\0")[at : at + 2], "big") for at in range(0, len(raw), 2)]
    total = 0
    for word in words:
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    assert checksum(raw) == total ^ 0xFFFF


def tcp_frame(six: bool, vlan: bool, size_bytes: int) -> Packet:
    network = IPv6(src="fd77::1", dst="fd77::2") if six else IP(src="10.77.0.1", dst="10.77.0.2", id=0xFFFF)
    ether = Ether(src="02:00:00:77:00:01", dst="02:00:00:77:00:02")
    tcp = TCP(sport=1, dport=2, seq=0xFFFFFF00, flags="CPAF", options=[("Timestamp", (1, 2))])
    return (
        (ether / Dot1Q(vlan=5) if vlan else ether)
        / network
        / tcp
        / Raw(bytes(i % 251 for i in range(size_bytes)))
    )


def resummed(raw: bytes) -> bytes:
    """The frame with every length and checksum computed anew by scapy."""
    packet = Ether(raw)
    for layer in (IP, TCP, UDP):
        if layer in packet:
            del packet[layer].chksum
    return bytes(Ether(bytes(packet)))


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("vlan", [False, True])
@pytest.mark.parametrize("size_bytes", [1, 1000, 1001, 5000])
def test_segments(six: bool, vlan: bool, size_bytes: int) -> None:
    packet = tcp_frame(six, vlan, size_bytes)
    payload = bytes(packet[TCP].payload)
    frames = complete(*request_tso(bytes(packet), 1000, ecn=True))
    got = [Ether(f) for f in frames]
    assert b"".join(bytes(p[TCP].payload) for p in got) == payload
    assert [len(p[TCP].payload) for p in got[:-1]] == [1000] * (len(got) - 1)
    assert [p[TCP].seq for p in got] == [(0xFFFFFF00 + 1000 * n) % 2**32 for n in range(len(got))]
    assert all(resummed(f) == f for f in frames)
    flags = [str(p[TCP].flags) for p in got]
    whole, first, middle, last = "FPAC", "AC", "A", "FPA"
    expected = [whole] if len(got) == 1 else [first, *[middle] * (len(got) - 2), last]
    assert [set(f) for f in flags] == [set(f) for f in expected]
    if not six:
        assert [p[IP].id for p in got] == [(0xFFFF + n) % 2**16 for n in range(len(got))]


@pytest.mark.parametrize(("layer", "expected"), [(TCP, 0x0000), (UDP, 0xFFFF)])
def test_sum_of_zero_is_changed_for_udp_only(layer: type[Packet], expected: int) -> None:
    """RFC 768: transmitted as all ones, since zero means none. RFC 9293 says nothing of the kind for TCP."""
    packet = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / layer(sport=1, dport=2) / b"\0\0"
    at = len(bytes(packet)) - 2
    raw = bytes(packet)[:at] + Ether(bytes(packet))[layer].chksum.to_bytes(2, "big")  # makes it ~0
    (frame,) = complete(*request_checksum(raw))
    assert Ether(frame)[layer].chksum == expected


def test_checksum_alone_and_nothing() -> None:
    frame = bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"abc")
    assert complete(*request_checksum(frame)) == [frame]
    assert complete(FRAME, None) == [FRAME]


# With the kernel --------------------------------------------------------------------------------------


@tap_test
@pytest.mark.parametrize("offloads", [False, True])
def test_kernel_leaves_work_to_a_port_with_offloads_only(offloads: bool) -> None:
    config = LabConfig()
    with Lab(replace(config, host=replace(config.host, offloads=offloads))) as lab:
        remote = Neighbour(lab.host.ifindex, 4, 0x0A4D0002, config.remote.mac, Nud.PERMANENT)
        lab.host.interfaces.add(remote)
        with lab.host.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.sendto(b"hello", ("10.77.0.2", 9))
        if offloads:
            (frame,), (wish,) = lab.host.tap.recv_offload()
            assert wish == TxOffload(34, 6)
            assert resummed(frame) != frame
            (frame,) = complete(frame, wish)
        else:
            (frame,) = lab.host.tap.recv()
        assert resummed(frame) == frame


@tap_test
def test_frames_to_a_port_that_is_down_are_counted() -> None:
    with Lab() as lab:
        lab.host.interfaces.set_link(lab.host.ifindex, up=False)
        assert lab.host.tap.send([FRAME] * 3) == 3
        assert lab.host.tap.counters.in_dropped_down == 3
        lab.host.interfaces.set_link(lab.host.ifindex, up=True)
        lab.host.tap.send([FRAME])
        assert (lab.host.tap.counters.in_frames, lab.host.tap.counters.in_bytes) == (1, len(FRAME))


@tap_test
def test_frames_that_the_kernel_refuses_are_counted() -> None:
    with Lab() as lab:
        bad = NetHeader(1, 0, 0, 0, 2000, 6).encode() + FRAME  # a sum that starts behind the frame
        assert lab.host.tap.send_raw([bad, NetHeader().encode() + FRAME]) == 2
        assert (lab.host.tap.counters.in_refused, lab.host.tap.counters.in_frames) == (1, 1)
        assert lab.remote.tap.send([b"\0" * 5]) == 1
        assert lab.remote.tap.counters.in_refused == 1


@tap_test
def test_full_queue_drops_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes nothing for a while, as a full socket buffer would have it."""
    with Lab() as lab:
        port = TapPort(lab.host.namespace, "other0", queue_frames=4)
        lab.host.interfaces.set_link(lab.host.interfaces.link("other0").index, up=True)

        def full(fd: int, raw: bytes) -> int:
            raise BlockingIOError(11, "again")

        with monkeypatch.context() as patch:
            patch.setattr("sim.linux.tap.os.write", full)
            assert port.send([FRAME] * 3) == 3
            assert port.send([FRAME] * 3) == 1
            assert (port.pending, port.counters.in_dropped_full) == (4, 2)
        assert port.flush() == 0
        assert port.counters.in_frames == 4
        port.close()


@tap_test
def test_port_of_a_removed_interface_is_an_error() -> None:
    with Lab() as lab:
        removed = lab.host.namespace.popen(["ip", "link", "del", TAP_NAME]).wait()
        assert removed == 0
        with pytest.raises(LinuxError, match="is gone"):
            lab.host.tap.recv_raw()
        with pytest.raises(LinuxError, match="is gone"):
            lab.host.tap.send([FRAME])


@tap_test
def test_wrong_use_is_refused() -> None:
    with Lab() as lab:
        with pytest.raises(LinuxError, match="recv_offload"):
            lab.host.tap.recv()
        with pytest.raises(LinuxError, match="interface name"):
            TapPort(lab.host.namespace, "much-too-long-a-name")
        with pytest.raises(LinuxError):
            TapPort(lab.host.namespace, TAP_NAME)  # there is one already
