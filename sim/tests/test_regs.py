# SPDX-License-Identifier: Apache-2.0
"""The generated register files are what the RDL gives, and the RDL is what VIRTIO 1.2 and PCIe 6.0 say."""

from pathlib import Path

import pytest

from driver import registers as regs
from sim.regs.__main__ import ROOT, differing, generate, main, outputs

# struct virtio_pci_common_cfg (VIRTIO 1.2 4.1.4.3), typed from the specification: name -> (offset, bytes)
COMMON_CFG = {
    "device_feature_select": (0, 4),
    "device_feature": (4, 4),
    "driver_feature_select": (8, 4),
    "driver_feature": (12, 4),
    "config_msix_vector": (16, 2),
    "num_queues": (18, 2),
    "device_status": (20, 1),
    "config_generation": (21, 1),
    "queue_select": (22, 2),
    "queue_size": (24, 2),
    "queue_msix_vector": (26, 2),
    "queue_enable": (28, 2),
    "queue_notify_off": (30, 2),
    "queue_desc": (32, 8),
    "queue_driver": (40, 8),
    "queue_device": (48, 8),
    "queue_notify_data": (56, 2),
    "queue_reset": (58, 2),
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return outputs()


def test_committed_files_are_what_the_rdl_gives(texts: dict[str, str]) -> None:
    assert differing(texts) == [], "run `python -m sim.regs generate`"


def test_check_notices_an_edited_and_a_missing_file(texts: dict[str, str], tmp_path: Path) -> None:
    generate(texts, tmp_path)
    assert differing(texts, tmp_path) == []
    for name in texts:
        path = tmp_path / name
        good = path.read_bytes()
        path.write_bytes(good.replace(b"0", b"1", 1))
        assert differing(texts, tmp_path) == [name]
        path.write_bytes(good.replace(b"\n", b"\r\n"))
        assert differing(texts, tmp_path) == [name]
        path.unlink()
        assert differing(texts, tmp_path) == [name]
        path.write_bytes(good)


def test_command_line_says_what_differs(
    texts: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check"]) == 0
    monkeypatch.setattr("sim.regs.__main__.outputs", lambda: {**texts, "docs/registers.md": "other"})
    assert main(["check"]) == 1
    assert "docs/registers.md: differs" in capsys.readouterr().err


def test_common_configuration_has_the_layout_of_the_specification() -> None:
    got = {n: r for n, r in vars(regs.COMMON).items() if isinstance(r, regs.Reg)}
    assert {n.lower(): (r.offset_bytes, r.width_bytes) for n, r in got.items()} == COMMON_CFG


def test_blocks_are_where_the_design_puts_them() -> None:
    assert regs.ISR.offset_bytes == 0x1000
    assert [regs.NET.MAC.at(i).offset_bytes for i in (0, 5)] == [0x2000, 0x2005]
    assert (regs.NET.STATUS.offset_bytes, regs.NET.MAX_VIRTQUEUE_PAIRS.offset_bytes) == (0x2006, 0x2008)
    assert regs.NET.MTU.offset_bytes == 0x200A
    assert regs.NOTIFY.at(127) == regs.Reg(0x31FC, 4)
    entry = (regs.MSIX_TABLE.ADDR_LO, regs.MSIX_TABLE.ADDR_HI, regs.MSIX_TABLE.DATA, regs.MSIX_TABLE.CONTROL)
    assert [r.at(128).offset_bytes for r in entry] == [0x4800, 0x4804, 0x4808, 0x480C]
    assert regs.MSIX_PBA.at(0).offset_bytes == 0x5000
    assert regs.VENDOR.MAGIC.offset_bytes == 0x8000
    assert regs.STAT.TX_FRAMES.offset_bytes == 0x10000
    # struct virtio_net_config, VIRTIO 1.2 5.1.4
    rss = (
        regs.NET.RSS_MAX_KEY_SIZE,
        regs.NET.RSS_MAX_INDIRECTION_TABLE_LENGTH,
        regs.NET.SUPPORTED_HASH_TYPES,
    )
    assert [(r.offset_bytes - 0x2000, r.width_bytes) for r in rss] == [(17, 1), (18, 2), (20, 4)]
    blocks = (
        regs.STEER.CONTROL,
        regs.RSS.CONTROL,
        regs.GUARD.SELECT,
        regs.SCHED.SELECT,
        regs.MODERATION.SELECT,
    )
    assert [r.offset_bytes for r in blocks] == [0x9000, 0x9400, 0x9800, 0x9C00, 0xA000]


def test_values_are_those_of_the_specifications() -> None:
    status = {f.name: f.value for f in regs.DeviceStatus}
    assert status == {
        "ACKNOWLEDGE": 1,
        "DRIVER": 2,
        "DRIVER_OK": 4,
        "FEATURES_OK": 8,
        "DEVICE_NEEDS_RESET": 64,
        "FAILED": 128,
    }
    assert sorted(regs.Feature) == [0, 1, 3, 5, 11, 12, 13, 15, 16, 28, 29, 32, 33, 34, 36, 38, 40, 57]
    assert sum(1 << f for f in regs.Feature) == regs.FEATURES_OFFERED
    assert regs.FEATURES_OFFERED ^ regs.FEATURES_DEFAULT == 1 << 57  # needs a control queue, so it is off
    assert regs.MAGIC.to_bytes(4, "little") == b"TUPL"
    assert list(regs.StopReason) == list(range(14))
    assert regs.VENDOR.MSIX_CONTROL_ENABLE.put(1) == 0x8000
    assert regs.VENDOR.MSIX_CONTROL_FUNCTION_MASK.put(1) == 0x4000


def test_counters_have_the_offset_of_their_index() -> None:
    for stat in regs.Stat:
        assert getattr(regs.STAT, stat.name) == regs.Reg(0x10000 + 8 * stat, 8)
    for counter in regs.QueueStat:
        for queue in (0, 1, 127):
            want = regs.Reg(0x10000 + 8 * (64 + 8 * queue + counter), 8)
            assert getattr(regs.STAT_QUEUE, counter.name).at(queue) == want


def test_arrays_and_fields_refuse_what_does_not_exist() -> None:
    for index in (-1, 128):
        with pytest.raises(IndexError):
            regs.NOTIFY.at(index)
    assert regs.VENDOR.VERSION_MAJOR.get(0x0001_0002) == 1
    assert regs.VENDOR.VERSION_MINOR.get(0x0001_0002) == 2
    with pytest.raises(ValueError, match="does not fit"):
        regs.VENDOR.MSIX_CONTROL_ENABLE.put(2)


def test_halves_of_a_64_bit_register() -> None:
    assert (regs.COMMON.QUEUE_DESC.lo, regs.COMMON.QUEUE_DESC.hi) == (regs.Reg(0x20, 4), regs.Reg(0x24, 4))


def test_systemverilog_names_the_same_values(texts: dict[str, str]) -> None:
    package = (ROOT / "rtl/tupelo_regs_pkg.sv").read_text()
    for line in (
        "localparam logic [17:0] REG_COMMON_QUEUE_RESET = 18'h0003a;",
        "localparam logic [17:0] REG_VENDOR_VQ_ERR_ADDR = 18'h08050;",
        "localparam integer FEATURE_RING_RESET = 40;",
        "localparam integer STAT_QUEUE_BASE = 64;",
        "STOP_REASON_CHAIN_LONG = 8'd11",
    ):
        assert line in package
