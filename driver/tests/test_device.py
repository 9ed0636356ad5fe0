# SPDX-License-Identifier: Apache-2.0
"""Initialisation as a list of register accesses, against the order of VIRTIO 1.2 section 3.1.1."""

from typing import Any

import pytest

from driver import registers as R
from driver.device import VirtioDevice
from driver.errors import DeviceTimeout, InitError, UsageError
from driver.msix import Msix
from driver.nic import NicConfig, TupeloNic
from driver.registers import COMMON, NET, VENDOR, DeviceStatus, Feature
from driver.tests.model import ModelBus, run

ACK, DRIVER, OK, LIVE, FAILED = 0x01, 0x02, 0x08, 0x04, 0x80
# What the driver takes unless told otherwise: no offload (VIRTIO 1.2 sections 5.1.3 and 6).
PLAIN = 0x0000_0117_2001_0028
LOW, HIGH = PLAIN & 0xFFFF_FFFF, PLAIN >> 32
OFFERED = R.FEATURES_DEFAULT


def names(log: list[tuple[str, int, int, int]]) -> list[tuple[str, str, int]]:
    """The log with register names in the place of offsets."""
    known: dict[int, str] = {R.ISR.offset_bytes: "ISR"}
    for block in (COMMON, NET, VENDOR):
        for name, reg in vars(block).items():
            if isinstance(reg, R.Reg | R.RegArray):
                known[reg.offset_bytes] = name
                if reg.width_bytes == 8:
                    known[reg.offset_bytes + 4] = name + "_HI"
    for index in range(4):
        known[R.NOTIFY.at(index).offset_bytes] = f"NOTIFY[{index}]"
    return [(kind, known.get(at, hex(at)), value) for kind, at, _, value in log]


def widths_are_natural(log: list[tuple[str, int, int, int]]) -> bool:
    sized = {
        reg.offset_bytes: min(reg.width_bytes, 4) for reg in vars(COMMON).values() if isinstance(reg, R.Reg)
    }
    return all(sized.get(at, width) == width for _, at, width, _ in log)


def test_the_steps_come_in_the_order_of_the_specification() -> None:
    bus = ModelBus(pairs=1)
    nic = TupeloNic(bus)
    run(nic.start(NicConfig(tx_ring_slots=3, rx_ring_slots=5)))
    log = names(bus.log)
    assert widths_are_natural(bus.log)  # section 4.1.3.1
    status = [(kind, value) for kind, name, value in log if name == "DEVICE_STATUS"]
    assert status == [
        ("w", 0), ("r", 0),  # 1 reset, until it reads 0
        ("w", ACK),  # 2
        ("w", ACK | DRIVER),  # 3
        ("w", ACK | DRIVER | OK), ("r", ACK | DRIVER | OK),  # 5, 6
        ("w", ACK | DRIVER | OK | LIVE),  # 8
    ]  # fmt: skip
    features = [entry for entry in log if "FEATURE" in entry[1]]
    assert features == [
        ("w", "DEVICE_FEATURE_SELECT", 0), ("r", "DEVICE_FEATURE", OFFERED & 0xFFFF_FFFF),
        ("w", "DEVICE_FEATURE_SELECT", 1), ("r", "DEVICE_FEATURE", OFFERED >> 32),
        ("w", "DRIVER_FEATURE_SELECT", 0), ("w", "DRIVER_FEATURE", LOW),
        ("w", "DRIVER_FEATURE_SELECT", 1), ("w", "DRIVER_FEATURE", HIGH),
    ]  # fmt: skip
    where = [(kind, name, value) for kind, name, value in log]
    features_at = where.index(features[0])
    assert where.index(("w", "DEVICE_STATUS", ACK | DRIVER)) < features_at
    ok_at, live_at = (
        where.index(status_entry(ACK | DRIVER | OK)),
        where.index(status_entry(ACK | DRIVER | OK | LIVE)),
    )
    assert where.index(features[-1]) < ok_at
    queue_writes = [k for k, (kind, name, _) in enumerate(where) if kind == "w" and name.startswith("QUEUE_")]
    assert ok_at < queue_writes[0] and queue_writes[-1] < live_at
    doorbells = [k for k, (_, name, _) in enumerate(where) if name.startswith("NOTIFY")]
    assert doorbells and doorbells[0] > live_at


def status_entry(value: int) -> tuple[str, str, int]:
    return ("w", "DEVICE_STATUS", value)


def test_a_queue_is_configured_as_the_specification_says() -> None:
    bus = ModelBus(pairs=1)
    nic = TupeloNic(bus)
    run(nic.start(NicConfig(rx_ring_slots=5)))
    log = [entry for entry in names(bus.log) if entry[1].startswith("QUEUE_")]
    queue = nic.rx[0].queue
    start = log.index(("w", "QUEUE_SIZE", 5))
    assert log[start - 2 : start] == [("w", "QUEUE_SELECT", 0), ("r", "QUEUE_SIZE", 1024)]
    expected: list[Any] = [("w", "QUEUE_SIZE", 5)]
    areas = {"DESC": queue.desc_iova, "DRIVER": queue.driver_iova, "DEVICE": queue.device_iova}
    for name, iova in areas.items():
        expected += [("w", f"QUEUE_{name}", iova & 0xFFFF_FFFF), ("w", f"QUEUE_{name}_HI", iova >> 32)]
    expected += [("w", "QUEUE_MSIX_VECTOR", 1), ("r", "QUEUE_MSIX_VECTOR", 1)]
    expected += [("r", "QUEUE_NOTIFY_OFF", 0), ("w", "QUEUE_ENABLE", 1)]
    assert log[start : start + len(expected)] == expected


def test_a_feature_that_is_refused_is_not_negotiated() -> None:
    bus = ModelBus()
    nic = TupeloNic(bus)
    run(nic.start(NicConfig(event_idx=False, refuse=frozenset({Feature.NET_MTU, Feature.NET_MAC}))))
    gone = {Feature.RING_EVENT_IDX, Feature.NET_MTU, Feature.NET_MAC}
    assert bus.accepted == PLAIN & ~sum(1 << feature for feature in gone)
    assert nic.net is not None and nic.net.mac is None and nic.net.mtu is None
    assert not any(name in ("MAC", "MTU") for _, name, _ in names(bus.log))


def test_unknown_features_of_a_newer_device_are_left_alone() -> None:
    bus = ModelBus()
    bus.offered |= 1 << 63 | 1 << 17
    run(TupeloNic(bus).start())
    assert bus.accepted == PLAIN


@pytest.mark.parametrize("missing", [Feature.VERSION_1, Feature.RING_PACKED])
def test_a_missing_feature_ends_in_failed(missing: Feature) -> None:
    bus = ModelBus()
    bus.offered &= ~(1 << missing)
    with pytest.raises(InitError, match=f"does not offer feature {missing.name}"):
        run(TupeloNic(bus).start())
    assert bus.status & DeviceStatus.FAILED and not bus.status & DeviceStatus.FEATURES_OK
    assert bus.regions == []


def test_features_ok_that_does_not_stick_ends_in_failed_and_a_later_start_works() -> None:
    bus = ModelBus()
    bus.manners.refuse_features = True
    nic = TupeloNic(bus)
    with pytest.raises(InitError, match="the device refuses the features"):
        run(nic.start())
    assert [value for kind, name, value in names(bus.log) if name == "DEVICE_STATUS" and kind == "w"][-1] == (
        ACK | DRIVER | OK | FAILED
    )
    bus.manners.refuse_features = False
    run(nic.start())
    run(nic.stop())


def test_a_reset_that_never_ends_is_reported_in_time() -> None:
    bus = ModelBus()
    nic = TupeloNic(bus)
    run(nic.start())
    bus.manners.reset_polls = -1
    with pytest.raises(DeviceTimeout, match="device reset: not finished after 1000000 ns"):
        run(nic.stop())
    assert bus.now_ns() < 2_000_000


@pytest.mark.parametrize("vectors", [0, 2])
def test_vectors_that_the_device_lacks_are_noticed_by_the_read_back(vectors: int) -> None:
    bus = ModelBus()
    bus.manners.vectors = vectors
    with pytest.raises(InitError, match="the device took no vector"):
        run(TupeloNic(bus).start())
    assert bus.status & DeviceStatus.FAILED and bus.regions == []


def test_configuration_is_read_again_until_its_generation_holds_still() -> None:
    bus = ModelBus()
    bus.manners.config_changes = 3
    nic = TupeloNic(bus)
    run(nic.start())
    assert nic.net is not None and nic.net.mac == bytes([2, 3, 3, 3, 3, 3])
    assert (nic.net.mtu, nic.net.link_up, nic.net.max_pairs) == (1500, True, 2)
    bus.manners.config_changes = 1000
    with pytest.raises(InitError, match="changed 16 times"):
        run(nic.device.net_config())


def test_rings_beyond_the_limit_are_refused_with_the_limit() -> None:
    bus = ModelBus(size_max=64)
    with pytest.raises(UsageError, match=r"rx0 ring of 65 slots, the device takes 1\.\.64"):
        run(TupeloNic(bus).start(NicConfig(rx_ring_slots=65)))
    assert bus.regions == []


def test_another_device_is_left_alone() -> None:
    bus = ModelBus()
    bus._plain[VENDOR.MAGIC.offset_bytes] = 0
    with pytest.raises(InitError, match="no Tupelo here"):
        run(TupeloNic(bus).start())
    bus._plain[VENDOR.MAGIC.offset_bytes] = R.MAGIC
    bus._plain[VENDOR.VERSION.offset_bytes] = 2 << 16
    with pytest.raises(InitError, match="register map version 2"):
        run(TupeloNic(bus).start())
    assert not [entry for entry in bus.log if entry[0] == "w"]


def test_queue_reset_waits_for_the_device() -> None:
    bus = ModelBus()
    nic = TupeloNic(bus)
    run(nic.start())
    bus.log.clear()
    run(nic.device.reset_queue(1))
    assert names(bus.log) == [
        ("w", "QUEUE_SELECT", 1), ("w", "QUEUE_RESET", 1),
        ("r", "QUEUE_RESET", 1), ("r", "QUEUE_RESET", 0), ("r", "QUEUE_ENABLE", 0),
    ]  # fmt: skip


def test_msix_entries_are_written_behind_the_function_mask() -> None:
    bus = ModelBus()
    run(Msix(bus, 5).enable([0, 3]))
    assert bus.log[0][3] == 0xC000 and bus.log[-1][3] == 0x8000
    assert [bus.table[3, k] for k in range(4)] == [0xFEE0_0000, 0, 3, 0]
    with pytest.raises(UsageError, match=r"vectors 0\.\.5, but the device has 5"):
        run(Msix(bus, 5).enable([0, 5]))
    assert not run(Msix(bus, 5).pending(3))


def test_queue_errors_reads_every_word_of_the_bitmap() -> None:
    bus = ModelBus(pairs=64)
    device = VirtioDevice(bus)
    for index in (0, 31, 32, 127):
        bus.queues[index].reason = R.StopReason.CHAIN_LONG
    assert [error.index for error in run(device.queue_errors(128))] == [0, 31, 32, 127]
