# SPDX-License-Identifier: Apache-2.0
"""TupeloNic end to end on the model: frames, back-pressure, waiting, moderation, reset, leaks."""

from collections.abc import Collection

import numpy as np
import pytest

from driver.descriptors import NET_HEADER_BYTES
from driver.errors import DeviceError, DeviceNeedsReset, Fault, QueueQuarantined, QueueStopped, UsageError
from driver.nic import NicConfig, TupeloNic
from driver.registers import Feature, QueueStat, Stat, StopReason
from driver.tests.model import Manners, ModelBus, run
from driver.tests.model_queue import DESC, ENABLE


def started(config: NicConfig | None = None, **manners: object) -> tuple[ModelBus, TupeloNic]:
    bus = ModelBus()
    bus.manners = Manners(**manners)  # type: ignore[arg-type]
    nic = TupeloNic(bus)
    run(nic.start(config))
    return bus, nic


def frame(k: int, size: int = 60) -> bytes:
    return k.to_bytes(4, "little") * (size // 4) + bytes(size % 4)


@pytest.mark.parametrize("mode", [ENABLE, DESC])
@pytest.mark.parametrize("event_idx", [False, True])
@pytest.mark.parametrize("slots", [1, 2, 3, 5, 256])
def test_frames_go_out_and_come_in_over_many_wraps(slots: int, event_idx: bool, mode: int) -> None:
    config = NicConfig(tx_ring_slots=slots, rx_ring_slots=slots, event_idx=event_idx)
    bus, nic = started(config, doorbell_mode=mode, delay_steps=3)
    sizes = [14, 60, 61, 1514, 1515]
    frames = [frame(k, sizes[k % 5]) for k in range(600)]
    assert run(nic.send_all(frames)) == 600
    bus.step()
    assert bus.wire_out == frames

    async def receive() -> list[bytes]:
        bus.wire_in.extend(frames)
        got: list[bytes] = []
        while len(got) < 600:
            assert await nic.wait_rx() == {0}
            got += nic.recv()
        return got

    assert run(receive()) == frames
    run(nic.stop())
    assert bus.regions == [] and nic.leaked == {}


def test_send_reports_back_pressure_and_wait_tx_space_ends_it() -> None:
    bus, nic = started(NicConfig(tx_ring_slots=4), delay_steps=50)
    assert run(nic.send([frame(k) for k in range(6)])) == 4
    assert run(nic.send([frame(9)])) == 0
    assert not run(nic.wait_tx_space(timeout_ns=1000))
    assert run(nic.wait_tx_space(slots=3))
    assert run(nic.send([frame(k) for k in range(4, 6)])) == 2
    assert bus.wire_out[:5] == [frame(k) for k in range(5)]


def test_frames_longer_than_a_buffer_are_sent_as_chains() -> None:
    bus, nic = started(NicConfig(tx_ring_slots=9, buffer_bytes=256), delay_steps=5, shuffle=True)
    frames = [frame(k, size) for k, size in enumerate([60, 1514, 60, 245, 244, 1000] * 20)]
    assert run(nic.send_all(frames)) == len(frames)
    bus.step()
    assert bus.wire_out == frames
    with pytest.raises(UsageError, match="frame 1 needs a chain of 40 slots, at most 9"):
        run(nic.send([frame(0), frame(0, 9728)]))
    assert len(bus.wire_out) == len(frames)
    assert run(nic.wait_tx_space(slots=9))
    assert nic.tx[0].pool.free_count == 9 and not nic.tx[0]._chain_of


def test_chained_frames_leave_no_dirt_in_the_headers_of_later_ones() -> None:
    bus, nic = started(NicConfig(tx_ring_slots=8, buffer_bytes=256))
    frames = [b"\xff" * size for size in (1514, 60, 800, 244, 245)]
    for one in frames * 5:
        assert run(nic.send_all([one])) == 1
    bus.step()
    assert bus.wire_out == frames * 5  # the model refuses a header that is not zero


@pytest.mark.parametrize("size", [13, 9729])
def test_illegal_frame_length_is_refused_before_anything_is_sent(size: int) -> None:
    bus, nic = started()
    with pytest.raises(UsageError, match=f"queue tx0: frame 1 has {size} bytes"):
        run(nic.send([frame(0), bytes(size)]))
    bus.step()
    assert bus.wire_out == []


def test_every_transmit_pair_sends() -> None:
    bus, nic = started(NicConfig(queue_pairs=2))
    assert [run(nic.send([frame(pair)], pair)) for pair in (0, 1)] == [1, 1]
    assert bus.wire_out == [frame(0), frame(1)]
    with pytest.raises(UsageError, match="send: no queue pair 2, there are 2"):
        run(nic.send([frame(0)], 2))


def test_wait_rx_times_out_in_bus_time() -> None:
    bus, nic = started()
    before = bus.now_ns()
    assert run(nic.wait_rx(timeout_ns=5000)) == frozenset()
    assert 5000 <= bus.now_ns() - before < 6000


def test_moderation_delivers_the_tail_without_its_own_interrupt() -> None:
    bus, nic = started(NicConfig(rx_interrupt_after=8))
    bus.wire_in.extend(frame(k) for k in range(3))
    assert run(nic.wait_rx()) == {0}
    assert nic.recv() == [frame(k) for k in range(3)]
    assert run(nic.wait_rx(timeout_ns=100_000)) == frozenset()


def test_an_idle_wait_with_moderation_sleeps_instead_of_polling() -> None:
    bus, nic = started(NicConfig(rx_interrupt_after=8))
    asleep: list[int | None] = []
    plain_wait = bus.wait_irq

    async def counted(vectors: Collection[int], timeout_ns: int | None = None) -> frozenset[int]:
        asleep.append(timeout_ns)
        return await plain_wait(vectors, timeout_ns)

    bus.wait_irq = counted  # type: ignore[method-assign]
    assert run(nic.wait_rx(timeout_ns=1_000_000)) == frozenset()
    assert len(asleep) == 2 and asleep[0] == 20_000


@pytest.mark.parametrize("event_idx", [False, True])
def test_no_interrupt_comes_while_nobody_waits(event_idx: bool) -> None:
    bus, nic = started(NicConfig(event_idx=event_idx))
    for _ in range(3):
        bus.wire_in.extend(frame(k) for k in range(5))
        run(nic.send([frame(k) for k in range(5)]))
        bus.step()
        assert not bus._fired
        assert run(nic.wait_rx()) == {0}
        assert len(nic.recv()) == 5


def test_poll_yields_within_budget_until_idle() -> None:
    bus, nic = started()
    bus.wire_in.extend(frame(k) for k in range(10))

    async def collect() -> list[int]:
        return [len(frames) async for _, frames in nic.poll(budget=4, idle_ns=1000)]

    assert run(collect()) == [4, 4, 2]


def test_raw_path_moves_buffers_without_copying() -> None:
    bus, nic = started(NicConfig(tx_ring_slots=64, rx_ring_slots=64), doorbell_mode=DESC)
    tx, rx = nic.tx[0], nic.rx[0]
    bufs = tx.pool.take(32)
    tx.pool.view[bufs, NET_HEADER_BYTES : NET_HEADER_BYTES + 60] = np.arange(32, dtype=np.uint8)[:, None]
    for _ in range(5):
        tx.post_raw(bufs, 60)
        run(tx.kick())
        bus.wire_in.extend(bus.wire_out)
        bus.wire_out.clear()
        bus.step()
        bufs = tx.reap_raw()
        assert len(bufs) == 32
        got, lens = rx.reap_raw()
        assert lens.tolist() == [60] * 32
        assert rx.pool.view[got, NET_HEADER_BYTES].tolist() == list(range(32))
        rx.repost(got)
        run(rx.kick())
    run(nic.stop())
    assert nic.leaked == {"tx0": 32}  # the caller kept them


@pytest.mark.parametrize(("spoil", "fault"), [("id", Fault.UNKNOWN_ID), ("length", Fault.LENGTH)])
def test_a_nonsense_used_descriptor_quarantines_the_queue(spoil: str, fault: Fault) -> None:
    bus, nic = started()
    bus.manners.spoil = spoil
    bus.wire_in.append(frame(1))
    run(nic.wait_rx())
    with pytest.raises(DeviceError, match="queue rx0, position 0") as caught:
        nic.recv()
    assert caught.value.fault is fault
    with pytest.raises(QueueQuarantined):
        nic.recv()
    bus.manners.spoil = ""
    run(nic.reset_queue(0))
    bus.wire_in.append(frame(2))
    run(nic.wait_rx())
    assert nic.recv() == [frame(2)]


@pytest.mark.parametrize("header", [b"\x01" + bytes(9) + b"\x01\x00", bytes(12)])
def test_a_receive_header_with_offloads_not_negotiated_is_a_device_error(header: bytes) -> None:
    bus, nic = started(None, header=header)
    bus.wire_in.append(frame(1))
    run(nic.wait_rx())
    with pytest.raises(DeviceError, match="receive header"):
        nic.recv()


def test_a_stopped_queue_is_named_with_its_reason_and_reset_revives_it() -> None:
    bus, nic = started(NicConfig(queue_pairs=2))
    run(nic.send([frame(1)]))
    bus.stop_queue(0, StopReason.DATA_WRITE)
    with pytest.raises(QueueStopped, match="virtqueue 0: DATA_WRITE at slot 5, address 0x1234"):
        run(nic.wait_rx())
    assert [error.index for error in run(nic.queue_errors())] == [0]
    assert run(nic.send([frame(2)], 1)) == 1
    run(nic.reset_queue(0))
    assert run(nic.queue_errors()) == []
    bus.wire_in.append(frame(3))
    assert run(nic.wait_rx()) == {0}
    assert nic.recv() == [frame(3)]


def test_needs_reset_is_raised_and_restart_recovers() -> None:
    bus, nic = started(NicConfig(ring_reset=False))
    bus.stop_queue(1, StopReason.DESC_LENGTH)
    with pytest.raises(DeviceNeedsReset, match="virtqueue 1: DESC_LENGTH"):
        run(nic.wait_rx())
    with pytest.raises(UsageError, match="RING_RESET"):
        run(nic.reset_queue(1))
    run(nic.restart())
    assert run(nic.send([frame(1)])) == 1
    assert bus.wire_out == [frame(1)]


def test_start_stop_start_with_traffic_in_flight_leaves_no_memory_behind() -> None:
    bus = ModelBus()
    bus.manners = Manners(delay_steps=1000)
    nic = TupeloNic(bus)
    for k in range(20):
        run(nic.start(NicConfig(refuse=frozenset({Feature.NET_MTU}))))
        assert run(nic.send([frame(k)])) == 1
        run(nic.stop())
        assert bus.regions == [] and nic.leaked == {}
    assert bus.wire_out == [frame(k) for k in range(20)]


def test_wrong_use_says_what_is_wrong() -> None:
    nic = TupeloNic(ModelBus())
    with pytest.raises(UsageError, match="recv: the NIC is not started"):
        nic.recv()
    with pytest.raises(UsageError, match="3 queue pairs, the device has 2"):
        run(nic.start(NicConfig(queue_pairs=3)))
    run(nic.start())
    with pytest.raises(UsageError, match="already started"):
        run(nic.start())


def test_statistics_have_names_and_types() -> None:
    _, nic = started()
    run(nic.send([frame(1)]))
    before = run(nic.statistics())
    run(nic.send([frame(2)]))
    stats = run(nic.statistics())
    assert stats["tx_frames"] == stats.total(Stat.TX_FRAMES) == 2
    assert stats["tx_bytes"] == 3 << 32
    assert stats["tx0_kicks"] == stats.queue(1, QueueStat.KICKS) > 0
    assert len(stats) == len(Stat) + 2 * len(QueueStat)
    assert stats.since(before)["tx_frames"] == 1
    assert stats.rx_drops() == {}
