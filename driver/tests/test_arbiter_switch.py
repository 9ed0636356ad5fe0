# SPDX-License-Identifier: Apache-2.0
"""The switch at pair 0: every frame goes to its owner; frames are made by scapy, resets are read by it."""

import random
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from driver.arbiter import messages as msg
from driver.arbiter.clients import Client
from driver.arbiter.frames import parse
from driver.arbiter.resetter import FIRST_NS, PROBES_MAX, RESETS_MAX
from driver.arbiter.switch import Switch
from driver.tables import TO_DROP
from driver.tests.arbiter_bench import HERE, HERE6, PEER, PEER6, Bench
from driver.tests.arbiter_bench import TCP as TCP_PROTO
from driver.tests.arbiter_bench import UDP as UDP_PROTO
from driver.tuples import FlowKey

MAC, PEER_MAC = bytes((2, 0, 0, 0, 0, 1)), bytes((2, 0, 0, 0, 0, 9))
ETH: dict[str, Any] = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:09"}
FROM, TO = "10.0.0.9", "10.0.0.1"


def cut(datagram: Packet) -> list[Packet]:
    """Fragments of at most 1,000 octets."""
    return list(fragment(datagram, 1000))  # type: ignore[no-untyped-call]


class Rig:
    """An arbiter with one stack, its tables too small for more than one flow, and the switch."""

    def __init__(self, *, flows: int = 0) -> None:
        self.bench = Bench(3, flows=flows)
        self.switch = Switch(self.bench.arbiter, random.Random(4), MAC)
        self.stack = self.bench.attach()
        self.bench.routes.set_mac(PEER, PEER_MAC)

    def connect(self, proto: int = TCP_PROTO, port: int = 80, *, established: bool = False) -> msg.Granted:
        granted = self.bench.granted(self.stack, msg.Connect(port, proto, PEER, port))
        if established:
            self.bench.ask(self.stack, msg.Mark(1, granted.token, "established"))
        return granted

    def take(self, *packets: Packet) -> list[bytes]:
        """Frames from the NIC; what the host gets."""
        host = self.switch.from_nic([bytes(packet) for packet in packets], self.bench.now_ns)
        self.bench.work()
        return host

    def delivered(self, client: Client | None = None) -> list[bytes]:
        told = self.bench.told[(client or self.stack).stack]
        return [event.frame for event in told if isinstance(event, msg.Deliver)]

    def later(self, ns: int) -> list[Packet]:
        self.bench.pass_time(ns)
        return self.due()

    def due(self) -> list[Packet]:
        self.switch.on_timer(self.bench.now_ns)
        self.bench.work()
        return [Ether(frame) for frame in self.switch.take_out()]


def segment(to_port: int, **fields: Any) -> Packet:
    return Ether(**ETH) / IP(src=FROM, dst=TO) / TCP(sport=80, dport=to_port, **fields)


def test_what_has_no_place_in_the_nic_is_delivered_in_software() -> None:
    rig = Rig()
    granted = rig.connect()
    assert granted.software
    mine = segment(granted.local_port, flags="SA")
    host = rig.take(mine, segment(granted.local_port + 1), Ether(**ETH) / ARP())
    assert len(host) == 2 and rig.delivered() == [bytes(mine)]
    assert rig.switch.counts == {"host": 2, "delivered in software": 1}


def test_nobody_but_the_host_pays_nothing() -> None:
    rig = Rig()
    rig.bench.arbiter.vanish(rig.stack.stack, 0)
    rig.bench.work()
    pieces = cut(IP(src=FROM, dst=TO) / UDP(sport=1, dport=2) / Raw(bytes(3000)))
    assert len(rig.take(*[Ether(**ETH) / piece for piece in pieces])) == 4  # not held


@pytest.mark.parametrize("order", [1, -1])
def test_fragments_follow_the_ports_of_the_first(order: int) -> None:
    rig = Rig(flows=9)
    rig.bench.granted(rig.stack, msg.Listen(1, UDP_PROTO, 53))
    for port, mine in ((53, True), (54, False)):
        datagram = IP(src=FROM, dst=TO, id=port) / UDP(sport=9, dport=port) / Raw(bytes(range(250)) * 20)
        frames = [bytes(Ether(**ETH) / piece) for piece in cut(datagram)]
        assert len(frames) == 6
        host = rig.switch.from_nic(frames[::order], 0)
        rig.bench.work()
        assert (rig.delivered() if mine else host) == frames
        rig.bench.told.clear()
    assert len(rig.switch.fragments) == 0


def six(port: int, offset: int, more: int, octets: bytes) -> Packet:
    header = IPv6ExtHdrFragment(offset=offset, m=more, id=77, nh=17)
    return Ether(**ETH) / IPv6(src="2001:db8::9", dst="2001:db8::1") / header / Raw(octets)


def test_fragments_of_ipv6() -> None:
    rig = Rig(flows=9)
    rig.bench.granted(rig.stack, msg.Listen(1, UDP_PROTO, 53, ipv6=True))
    octets = bytes(UDP(sport=1, dport=53, len=40) / Raw(bytes(32)))
    frames = [six(53, 3, 0, octets[24:]), six(53, 0, 1, octets[:24])]
    assert rig.take(*frames) == [] and rig.delivered() == [bytes(frames[1]), bytes(frames[0])]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([(0, 1, 24), (2, 1, 24)], "overlap"),
        ([(0, 1, 20)], "impossible length"),
        ([(0, 1, 0)], "impossible length"),
        ([(0, 1, 24), (0, 1, 24)], "duplicate"),
        ([(3, 0, 8), (6, 0, 8)], "overlap"),  # behind the end
        ([(6, 1, 8), (3, 0, 8)], "overlap"),  # an end before what is there
        ([(8191, 1, 16)], "impossible length"),
    ],
)
def test_fragments_that_lie(pieces: list[tuple[int, int, int]], reason: str) -> None:
    rig = Rig()
    assert rig.take(*[six(1, at, more, bytes(size)) for at, more, size in pieces]) == []
    assert list(rig.switch.fragments.counts) == [reason]


def test_fragments_do_not_wait_for_ever_nor_without_bound() -> None:
    rig = Rig()
    for ident in range(2000):
        rig.take(Ether(**ETH) / IP(src=FROM, dst=TO, id=ident, flags="MF", proto=17) / Raw(bytes(64)))
    assert len(rig.switch.fragments) == 1024
    assert rig.switch.fragments.counts["too many datagrams"] == 2000 - 1024
    rig.later(61 * FIRST_NS)
    assert len(rig.switch.fragments) == 0 and rig.switch.fragments.counts["expired"] == 1024


def test_multicast_goes_to_the_listener_on_any_address_only() -> None:
    rig = Rig(flows=9)
    rig.bench.granted(rig.stack, msg.Listen(1, UDP_PROTO, 5353))
    rig.bench.granted(rig.stack, msg.Listen(2, UDP_PROTO, 5354, local=HERE))
    for port, count in ((5353, 1), (5354, 0)):
        rig.bench.told.clear()
        frame = (
            Ether(dst="01:00:5e:00:00:fb", src=ETH["src"]) / IP(src=FROM, dst="224.0.0.251") / UDP(dport=port)
        )
        assert len(rig.take(frame)) == 1 - count and len(rig.delivered()) == count


def test_icmp_errors_are_told_to_the_flow_they_are_about() -> None:
    rig = Rig(flows=9)
    granted = rig.connect()
    sent = IP(src=TO, dst=FROM) / TCP(sport=granted.local_port, dport=80, seq=0x12345678)
    error = Ether(**ETH) / IP(src="10.0.0.77", dst=TO) / ICMP(type=3, code=4, nexthopmtu=1300)
    assert rig.take(error / Raw(bytes(sent)[:28])) == []
    expected = msg.IcmpError(80, granted.token, 3, 4, 1300, 0x12345678)
    assert rig.bench.told[rig.stack.stack][-1] == expected
    other = IP(src=TO, dst=FROM) / TCP(sport=granted.local_port ^ 1, dport=80)
    assert len(rig.take(error / Raw(bytes(other)[:28]), Ether(**ETH) / IP(dst=TO) / ICMP())) == 2
    flow = rig.bench.granted(rig.stack, msg.Connect(5, UDP_PROTO, PEER6, 53))
    sent6 = IPv6(src="2001:db8::1", dst="2001:db8::9") / UDP(sport=flow.local_port, dport=53) / Raw(bytes(99))
    big = Ether(**ETH) / IPv6(src="2001:db8::7", dst="2001:db8::1") / ICMPv6PacketTooBig(mtu=1280)
    assert rig.take(big / Raw(bytes(sent6))) == []
    told = rig.bench.told[rig.stack.stack][-1]
    assert isinstance(told, msg.IcmpError) and (told.token, told.type, told.next_hop_mtu) == (
        flow.token,
        2,
        1280,
    )


def test_hostile_frames_end_at_the_host() -> None:
    rig = Rig()
    granted = rig.connect()
    good = bytes(segment(granted.local_port))
    rng = random.Random(5)
    for _ in range(3000):
        frame = bytearray(good if rng.random() < 0.5 else rng.randbytes(rng.randint(0, 90)))
        for _ in range(rng.randint(0, 3)):
            if frame:
                frame[rng.randrange(len(frame))] = rng.getrandbits(8)
        rig.switch.from_nic([bytes(frame[: rng.randint(0, len(frame))])], 0)
    lies = [Dot1Q(vlan=5) / IP(dst=TO), IP(dst=TO, ihl=15), IP(dst=TO, len=9999), IPv6(plen=999)]
    assert len(rig.take(*[Ether(**ETH) / lie for lie in lies])) == 4


def test_extension_headers_are_walked() -> None:
    frame = Ether(**ETH) / IPv6(dst="2001:db8::1") / IPv6ExtHdrDestOpt() / UDP(sport=5, dport=6)
    packet = parse(bytes(frame))
    assert packet is not None and (packet.proto, packet.src_port, packet.dst_port) == (17, 5, 6)


# ---- frames that stacks send


def test_a_stack_sends_by_the_control_channel_only_what_is_its_own() -> None:
    rig = Rig()
    granted = rig.connect()

    def frame(**change: Any) -> bytes:
        base: dict[str, Any] = {"mac": "02:00:00:00:00:01", "src": TO, "dst": FROM}
        base |= {"sport": granted.local_port, "dport": 80} | change
        ip = IP(src=base["src"], dst=base["dst"]) / TCP(sport=base["sport"], dport=base["dport"])
        return bytes(Ether(dst=ETH["src"], src=base["mac"]) / ip)

    wrong: list[dict[str, Any]] = [
        {"mac": "02:00:00:00:00:77"},
        {"src": "10.0.0.2"},
        {"dst": "10.0.0.8"},
        {"sport": granted.local_port ^ 1},
        {"dport": 81},
    ]
    for change in wrong:
        rig.bench.arbiter.request(rig.stack.stack, msg.Send(1, granted.token, frame(**change)), 0)
    other = rig.bench.attach()
    rig.bench.arbiter.request(other.stack, msg.Send(1, granted.token, frame()), 0)
    assert rig.switch.take_out() == [] and rig.switch.counts["dropped: not the sender's"] == len(wrong) + 1
    rig.bench.arbiter.request(rig.stack.stack, msg.Send(1, granted.token, frame()), 0)
    assert rig.switch.take_out() == [frame()]


# ---- peers of stacks that are gone


def dead_flow() -> tuple[Rig, msg.Granted, FlowKey]:
    rig = Rig(flows=9)
    granted = rig.connect(established=True)
    rig.bench.arbiter.vanish(rig.stack.stack, rig.bench.now_ns)
    rig.bench.work()
    return rig, granted, FlowKey.of(TCP_PROTO, HERE, granted.local_port, PEER, 80)


def check(packet: Packet) -> None:
    """The checksums are those that scapy would write."""
    again = packet.copy()
    del again[IP].chksum, again[TCP].chksum
    again = Ether(bytes(again))
    assert (packet[IP].chksum, packet[TCP].chksum) == (again[IP].chksum, again[TCP].chksum)
    assert (packet.src, packet.dst, len(packet)) == (ETH["dst"], ETH["src"], 60)


def test_a_silent_peer_is_asked_and_gets_one_reset() -> None:
    rig, granted, key = dead_flow()
    (probe,) = rig.due()
    check(probe)
    assert probe[TCP].flags == "A" and (probe[TCP].dport, probe[TCP].sport) == (80, granted.local_port)
    assert rig.due() == []
    answer = segment(granted.local_port, flags="A", seq=1000, ack=7777)
    assert rig.take(answer, answer, answer) == []
    (reset,) = rig.due()
    check(reset)
    assert reset[TCP].flags == "R" and reset[TCP].seq == 7777
    (again,) = rig.later(FIRST_NS)  # has it taken the reset?
    assert again[TCP].flags == "A"
    assert rig.take(segment(granted.local_port, flags="R", seq=again[TCP].ack)) == []  # yes: CLOSED says so
    assert rig.later(5 * FIRST_NS) == []  # it is not asked again
    rig.bench.check()
    assert rig.bench.hardware.tables[key] == TO_DROP


def test_a_peer_that_does_not_answer_is_asked_a_few_times_only() -> None:
    rig, _, key = dead_flow()
    times = []
    for second in range(29):
        times += [second] * len(rig.due())
        rig.bench.pass_time(FIRST_NS)
    assert times == [0, 1, 3, 7] and len(times) == PROBES_MAX
    rig.bench.pass_time(FIRST_NS)
    rig.due()
    assert key not in rig.bench.hardware.tables and len(rig.switch.resetter) == 0  # free after 2 MSL
    rig.bench.check()


def test_a_peer_that_only_receives_and_has_moved_on_gets_a_reset_that_fits() -> None:
    rig, granted, _ = dead_flow()
    rig.due()
    rig.take(segment(granted.local_port, flags="A", seq=1000, ack=7777))
    (stale,) = rig.due()  # data under way has moved the peer's window to 9999 meanwhile: it drops this one
    assert stale[TCP].seq == 7777
    (again,) = rig.later(FIRST_NS)
    assert again[TCP].flags == "A"
    rig.take(segment(granted.local_port, flags="A", seq=1000, ack=9999))
    (reset,) = rig.due()
    assert (reset[TCP].flags, reset[TCP].seq) == ("R", 9999)


def test_a_peer_that_lost_the_reset_gets_another_but_no_storm() -> None:
    rig, granted, key = dead_flow()
    resets = 0
    for _ in range(200):  # ten segments a second
        rig.take(segment(granted.local_port, flags="A", seq=1, ack=50))
        resets += sum(packet[TCP].flags == "R" for packet in rig.due())
        rig.bench.pass_time(FIRST_NS // 10)
    assert resets == RESETS_MAX
    assert rig.bench.hardware.tables[key] == TO_DROP  # the NIC drops the rest
    rig.bench.check()


def test_a_reset_of_the_peer_is_not_answered() -> None:
    rig, granted, key = dead_flow()
    rig.due()
    rig.take(segment(granted.local_port, flags="R", seq=1))
    assert rig.due() == [] and rig.bench.hardware.tables[key] == TO_DROP


def test_closed_in_order_a_late_fin_is_acknowledged() -> None:
    rig = Rig(flows=9)
    granted = rig.connect(established=True)
    rig.bench.ask(rig.stack, msg.Close(5, granted.token))
    assert rig.due() == []  # nobody is asked
    rig.take(segment(granted.local_port, flags="FA", seq=500, ack=900))
    (ack,) = rig.due()
    assert (ack[TCP].flags, ack[TCP].seq, ack[TCP].ack) == ("A", 900, 501)
    rig.take(segment(granted.local_port, flags="PA", seq=500, ack=900) / Raw(b"more"))
    (reset,) = rig.due()
    assert (reset[TCP].flags, reset[TCP].seq) == ("R", 900)


def test_a_reset_waits_for_the_way_to_the_peer() -> None:
    rig = Rig(flows=9)
    rig.bench.routes.set_mac(PEER, None)
    rig.connect(established=True)
    rig.bench.arbiter.vanish(rig.stack.stack, 0)
    assert rig.due() == [] and rig.bench.routes.take_wanted() == [PEER]
    rig.bench.routes.set_mac(PEER, PEER_MAC)
    rig.switch.resolved(PEER)
    (probe,) = rig.due()
    check(probe)


def test_ipv6_reset() -> None:
    rig = Rig(flows=9)
    rig.bench.routes.set_mac(PEER6, PEER_MAC)
    granted = rig.bench.granted(rig.stack, msg.Connect(1, TCP_PROTO, PEER6, 80))
    rig.bench.ask(rig.stack, msg.Mark(1, granted.token, "established"))
    rig.bench.arbiter.vanish(rig.stack.stack, 0)
    (probe,) = rig.due()
    assert granted.local == HERE6 and probe[IPv6].dst == "2001:db8::9"
    chksum = probe[TCP].chksum
    del probe[TCP].chksum
    assert Ether(bytes(probe))[TCP].chksum == chksum
