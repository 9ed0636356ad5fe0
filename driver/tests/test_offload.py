# SPDX-License-Identifier: Apache-2.0
"""Requests and receive headers end to end on the model; checksums against scapy."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from driver import registers as R
from driver.errors import DeviceError, Fault, InitError, QueueQuarantined, UsageError
from driver.nic import NicConfig, TupeloNic
from driver.offload import Gso, TxOffload, request_checksum, request_tso
from driver.registers import Feature
from driver.tests.model import Manners, ModelBus, run

ALL_ON = NicConfig(
    tx_csum=True, tso4=True, tso6=True, tso_ecn=True, rx_csum=True, mergeable=True, hash_report=True,
    indirect_over=2, notification_data=True, tx_ring_slots=64, rx_ring_slots=64, buffer_bytes=2048,
)  # fmt: skip
MACS: dict[str, Any] = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}


def started(config: NicConfig | None = None, **manners: object) -> tuple[ModelBus, TupeloNic]:
    bus = ModelBus()
    if config is not None and config.hash_report:
        manners.setdefault("header", bytes(10) + b"\x01\x00" + bytes(8))
    bus.manners = Manners(**manners)  # type: ignore[arg-type]
    nic = TupeloNic(bus)
    run(nic.start(config))
    return bus, nic


def build(packet: Packet) -> bytes:
    return bytes(packet)


def tcp4(payload: int) -> bytes:
    ip = IP(src="10.0.0.1", dst="10.0.0.2")
    return build(
        Ether(**MACS) / ip / TCP(sport=1, dport=2, flags="PA") / Raw(bytes(n % 251 for n in range(payload)))
    )


FRAMES = {
    "tcp4": Ether(**MACS) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=80) / b"hello",
    "udp4": Ether(**MACS) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=53) / b"odd",
    "vlan": Ether(**MACS) / Dot1Q(vlan=7) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP() / b"x",
    "two vlans": Ether(**MACS, type=0x88A8)
    / Dot1Q(vlan=7)
    / Dot1Q(vlan=8)
    / IP(dst="10.0.0.2")
    / UDP()
    / b"yz",
    "options": Ether(**MACS) / IP(dst="10.0.0.2", options=[IPOption(b"\x94\x04\0\0")]) / TCP() / b"abc",
    "tcp6": Ether(**MACS) / IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP() / b"hello",
    "udp6": Ether(**MACS) / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP() / b"hello!",
    "hop by hop": Ether(**MACS) / IPv6(dst="2001:db8::2") / IPv6ExtHdrHopByHop() / UDP() / b"hello",
}


def without_checksum(packet: Packet) -> bytes:
    copy = Ether(build(packet))
    layer = copy[TCP] if TCP in copy else copy[UDP]
    layer.chksum = 0
    return build(copy)


@pytest.mark.parametrize("name", list(FRAMES))
def test_a_requested_checksum_comes_out_as_scapy_makes_it(name: str) -> None:
    whole = build(FRAMES[name])
    frame, offload = request_checksum(without_checksum(FRAMES[name]))
    bus, nic = started(NicConfig(tx_csum=True))
    assert run(nic.send_offload([frame], [offload])) == 1
    assert bus.wire_out == [whole]
    assert bus.requests[0][0] == 1


def test_requests_and_plain_frames_mix_and_leave_clean_headers() -> None:
    bus, nic = started(NicConfig(tx_csum=True, tx_ring_slots=8, buffer_bytes=256), delay_steps=3)
    frame, offload = request_checksum(without_checksum(FRAMES["tcp4"]))
    long_frame, long_offload = request_checksum(tcp4(1000))
    wanted: list[bytes] = []

    async def laps() -> None:
        for _ in range(20):
            frames = [frame, bytes(60), long_frame, frame]
            requests = [offload, None, long_offload, None]
            done = 0
            while done < 4:
                done += await nic.send_offload(frames[done:], requests[done:])
                await nic.wait_tx_space(slots=5)
            await nic.send_all([b"\xff" * 300, b"\xee" * 60])
            wanted.extend([bytes(60), frame, b"\xff" * 300, b"\xee" * 60])

    run(laps())
    bus.step()
    assert len(bus.wire_out) == 120
    plain = [out for out, header in zip(bus.wire_out, bus.requests, strict=True) if not any(header)]
    assert plain == wanted  # the model refuses a plain header that is not zero
    run(nic.stop())
    assert nic.leaked == {} and bus.regions == []


def test_a_request_that_was_not_negotiated_or_lies_is_refused() -> None:
    frame, offload = request_checksum(without_checksum(FRAMES["tcp4"]))
    bus, nic = started()
    with pytest.raises(UsageError, match="NET_CSUM was not negotiated"):
        run(nic.send_offload([frame], [offload]))
    assert run(nic.send_offload([frame], [None])) == 1
    bus, nic = started(NicConfig(tx_csum=True))
    for request, match in (
        (TxOffload(34, 16, Gso.TCPV4, 1448, 54), "TCPV4 was not negotiated"),
        (TxOffload(len(frame), 0), "frame 0 has"),
    ):
        with pytest.raises(UsageError, match=match):
            run(nic.send_offload([frame], [request]))
    with pytest.raises(UsageError, match="1 frames but 0 requests"):
        run(nic.send_offload([frame], []))
    bus, nic = started(NicConfig(tx_csum=True, tso4=True))
    with pytest.raises(UsageError, match="HOST_ECN"):
        run(nic.send_offload([frame], [TxOffload(34, 16, Gso.TCPV4, 1448, 54, ecn=True)]))
    with pytest.raises(UsageError, match=r"frame 0 has 9729 bytes, not 14\.\.9728"):
        run(nic.send_offload([bytes(9729)], [offload]))
    assert bus.wire_out == []


@pytest.mark.parametrize("indirect_over", [0, 4])
@pytest.mark.parametrize("family", [4, 6])
def test_a_frame_of_64_kib_is_sent_with_one_request(family: int, indirect_over: int) -> None:
    config = NicConfig(
        tx_csum=True, tso4=True, tso6=True, tso_ecn=True, indirect_over=indirect_over, tx_ring_slots=128
    )
    bus, nic = started(config)
    ip = IP(dst="10.0.0.2", len=65535) if family == 4 else IPv6(dst="2001:db8::2", plen=65535 - 40)
    head = build(Ether(**MACS) / ip / TCP(flags="CPA", chksum=0))
    raw = head + bytes(n % 251 for n in range(14 + 65535 - len(head)))
    frame, offload = request_tso(raw, 1448, ecn=True)
    for _ in range(5):
        assert run(nic.send_offload([frame, bytes(60)], [offload, None])) == 2
    assert bus.wire_out == [frame, bytes(60)] * 5
    header = struct.unpack("<BBHHHHH", bus.requests[0][:12])
    kind = {4: 1, 6: 4}[family] | 0x80
    l4 = 34 if family == 4 else 54
    assert header == (1, kind, l4 + 20, 1448, l4, 16, 0)
    ring = bus.queues[1].ring
    assert ring is not None and ring.tables == (5 if indirect_over else 0)


def test_the_partial_sum_is_that_of_the_pseudo_header() -> None:
    frame, offload = request_tso(tcp4(11), 5)
    pseudo = bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 31])
    total = sum(struct.unpack(">6H", pseudo))
    assert struct.unpack(">H", frame[50:52])[0] == (total & 0xFFFF) + (total >> 16)
    assert offload == TxOffload(34, 16, Gso.TCPV4, 5, 54)


@pytest.mark.parametrize(
    "raw",
    [
        bytes(60),
        build(Ether(**MACS) / ARP()),
        build(Ether(**MACS) / IP(dst="10.0.0.2", proto=1) / b"12345678"),
        build(Ether(**MACS) / IP(dst="10.0.0.2", flags="MF") / UDP() / b"12345678"),
        build(FRAMES["tcp4"])[:50],
        build(FRAMES["tcp4"]) + bytes(3),
        build(FRAMES["tcp6"])[:40],
        b"",
    ],
)
def test_what_has_no_checksum_to_leave_is_refused(raw: bytes) -> None:
    with pytest.raises(UsageError):
        request_checksum(raw)


def test_only_tcp_is_segmented() -> None:
    with pytest.raises(UsageError, match="only TCP"):
        request_tso(build(FRAMES["udp4"]), 100)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"tso4": True}, "NET_HOST_TSO4 needs NET_CSUM"),
        ({"tx_csum": True, "tso_ecn": True}, "NET_HOST_ECN needs NET_HOST_TSO4 or NET_HOST_TSO6"),
        ({"tx_csum": True, "refuse": frozenset({Feature.NET_CSUM})}, "NET_CSUM is asked for and refused"),
    ],
)
def test_dependencies_of_features_are_checked_before_the_device_is_touched(
    fields: dict[str, object], match: str
) -> None:
    bus = ModelBus()
    with pytest.raises(UsageError, match=match):
        run(TupeloNic(bus).start(NicConfig(**fields)))  # type: ignore[arg-type]
    assert bus.log == []


def test_what_is_asked_for_must_be_offered() -> None:
    bus = ModelBus()
    bus.offered &= ~(1 << Feature.NET_MRG_RXBUF)
    with pytest.raises(InitError, match="NET_MRG_RXBUF"):
        run(TupeloNic(bus).start(NicConfig(mergeable=True)))


def test_everything_on_negotiates_all_and_moves_frames() -> None:
    bus, nic = started(ALL_ON)
    assert bus.accepted == R.FEATURES_OFFERED and nic.mode.header_bytes == 20
    frames = [bytes([k]) * size for k, size in enumerate([60, 9728, 14, 5000, 2029, 2028, 2027] * 20)]

    async def loop() -> list[bytes]:
        got: list[bytes] = []
        for at in range(0, len(frames), 4):
            batch = frames[at : at + 4]
            assert await nic.send_all(batch) == len(batch)
            bus.step()
            bus.wire_in.extend(bus.wire_out)
            bus.wire_out.clear()
            while len(got) < at + len(batch):
                assert await nic.wait_rx(100_000)
                got += nic.recv()
        return got

    assert run(loop()) == frames
    assert bus.queues[1].ring is not None and bus.queues[1].ring.tables > 0
    run(nic.stop())
    assert nic.leaked == {} and bus.regions == []


@pytest.mark.parametrize("part_by_part", [False, True])
@pytest.mark.parametrize("limit", [None, 1, 3])
def test_frames_over_several_buffers_are_put_together(part_by_part: bool, limit: int | None) -> None:
    config = NicConfig(mergeable=True, buffer_bytes=128, rx_ring_slots=32)
    bus, nic = started(config, part_by_part=part_by_part)
    sizes = [60, 116, 117, 244, 245, 1514, 14, 2000]
    frames = [bytes((k + n) % 256 for n in range(size)) for k, size in enumerate(sizes)] * 5
    bus.wire_in.extend(frames)

    async def receive() -> list[tuple[bytes, int]]:
        got: list[tuple[bytes, int]] = []
        while len(got) < len(frames):
            assert await nic.wait_rx(1_000_000) == {0}
            got += [(frame, meta.num_buffers) for frame, meta in nic.recv_meta(limit=limit)]
        return got

    got = run(receive())
    assert [frame for frame, _ in got] == frames
    assert [count for _, count in got] == [-(-(12 + len(frame)) // 128) for frame in frames]
    run(nic.stop())
    assert nic.leaked == {}


@pytest.mark.parametrize(
    ("manners", "fault"),
    [
        ({"extra_buffers": 1}, Fault.TRUNCATED),
        ({"extra_buffers": -1}, Fault.HEADER),
        ({"extra_buffers": -3}, Fault.NUM_BUFFERS),
        ({"extra_buffers": 40}, Fault.NUM_BUFFERS),
        ({"short_part": True}, Fault.TRUNCATED),
        ({"header": b"\x02" + bytes(9) + b"\x01\x00"}, Fault.HEADER),
        ({"header": b"\x00\x01" + bytes(8) + b"\x01\x00"}, Fault.HEADER),
    ],
)
def test_a_number_of_buffers_that_cannot_be_is_a_device_error(
    manners: dict[str, object], fault: Fault
) -> None:
    bus, nic = started(NicConfig(mergeable=True, buffer_bytes=128, rx_ring_slots=32))
    good = [bytes([9]) * 60, bytes([8]) * 200]
    bus.wire_in.extend(good)
    run(nic.wait_rx())
    bus.manners = Manners(**manners)  # type: ignore[arg-type]
    bus.wire_in.extend([bytes([7]) * 350, bytes([6]) * 60])
    bus.step()
    assert nic.recv()[:2] == good  # what is sound comes first
    with pytest.raises(DeviceError) as caught:
        for _ in range(3):
            nic.recv()
    assert caught.value.fault is fault
    with pytest.raises(QueueQuarantined):
        nic.recv()
    bus.manners = Manners()
    run(nic.reset_queue(0))
    bus.wire_in.extend(good)
    assert run(nic.wait_rx()) == {0}
    assert nic.recv() == good
    run(nic.stop())
    assert nic.leaked == {}


def test_reap_raw_is_refused_with_mergeable_buffers() -> None:
    _, nic = started(NicConfig(mergeable=True))
    with pytest.raises(UsageError, match="use reap_frames"):
        nic.rx[0].reap_raw()


@pytest.mark.parametrize("mergeable", [False, True])
def test_receive_results_are_typed(mergeable: bool) -> None:
    header = struct.pack("<BBHHHHHIHH", 2, 0, 0, 0, 0, 0, 1, 0xDEADBEEF, 2, 0)
    config = NicConfig(rx_csum=True, hash_report=True, mergeable=mergeable)
    bus, nic = started(config, header=header)
    bus.wire_in.extend([bytes(60), bytes(61)])
    run(nic.wait_rx())
    batch = nic.recv_meta()
    assert batch.frames == [bytes(60), bytes(61)] and len(batch) == 2
    assert batch.hash.tolist() == [0xDEADBEEF] * 2 and batch.report.tolist() == [2, 2]
    assert batch.data_valid.all() and batch.num_buffers.tolist() == [1, 1]
    meta = batch.meta(0)
    assert (meta.data_valid, meta.needs_csum, meta.hash, meta.hash_report) == (True, False, 0xDEADBEEF, 2)
    assert nic.recv_meta().frames == []


def test_plain_frames_have_empty_results() -> None:
    bus, nic = started()
    bus.wire_in.append(bytes(60))
    run(nic.wait_rx())
    ((frame, meta),) = list(nic.recv_meta())
    assert frame == bytes(60) and not meta.data_valid and meta.hash_report == 0 and meta.num_buffers == 1


def test_windows_of_a_pair_cover_all_that_its_descriptors_name() -> None:
    bus, nic = started(ALL_ON)
    windows = nic.windows_of(0)
    assert len(windows) == 4
    accesses: list[tuple[int, int]] = []
    plain = bus.memory

    def memory(iova: int, size: int) -> memoryview:
        accesses.append((iova, size))
        return plain(iova, size)

    for queue in bus.queues[:2]:
        assert queue.ring is not None
        queue.ring.memory = memory
    run(nic.send([bytes(9728)] * 3))
    bus.wire_in.extend([bytes(9000)] * 2)
    run(nic.wait_rx())
    assert accesses
    for iova, size in accesses:
        assert any(window.base <= iova and iova + size - 1 <= window.last for window in windows)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(14, 9728), min_size=1, max_size=30),
    buffer_bytes=st.integers(64, 2048).map(lambda n: n // 8 * 8),
    slots=st.integers(33, 160),
    over=st.integers(0, 6),
    tables=st.integers(1, 4),
    data=st.booleans(),
)
def test_any_sizes_come_back_whole(
    sizes: list[int], buffer_bytes: int, slots: int, over: int, tables: int, data: bool
) -> None:
    longest = 33 * (buffer_bytes - 12)
    frames = [bytes((k * 7 + n) % 251 for n in range(min(size, longest))) for k, size in enumerate(sizes)]
    config = NicConfig(
        mergeable=True, buffer_bytes=buffer_bytes, tx_ring_slots=slots, rx_ring_slots=slots,
        indirect_over=over, indirect_tables=tables, notification_data=data,
    )  # fmt: skip
    bus, nic = started(config, delay_steps=2)

    async def loop() -> list[bytes]:
        got: list[bytes] = []
        for k, frame in enumerate(frames):
            assert await nic.send_all([frame]) == 1
            bus.wire_in.extend(bus.wire_out)
            bus.wire_out.clear()
            while len(got) <= k:
                assert await nic.wait_rx(1_000_000)
                got += nic.recv()
        return got

    assert run(loop()) == frames
    run(nic.stop())
    assert nic.leaked == {} and bus.regions == []
