# SPDX-License-Identifier: Apache-2.0
"""RSS, windows, guard, scheduler and moderation through the driver, against the registers' model."""

from ipaddress import ip_address

import pytest

from driver.errors import UsageError, WindowRefused
from driver.moderation import Moderation, get_moderation, set_moderation, time_register
from driver.rss import MICROSOFT_KEY, HashType, RssConfig, RssHash, get_rss, set_rss, spread, update_table
from driver.scheduling import TxShare, get_tx_share, rate_of, rate_register, set_tx_share
from driver.tests.model import run
from driver.tests.model_blocks import BlocksBus
from driver.windows import Guard, Window

# Microsoft, "Verifying the RSS hash calculation": destination, source, hash with ports, hash without.
VECTORS = [
    ("161.142.100.80:1766", "66.9.149.187:2794", 0x51CCC178, 0x323E8FC2),
    ("65.69.140.83:4739", "199.92.111.2:14230", 0xC626B0EA, 0xD718262A),
    ("12.22.207.184:38024", "24.19.198.95:12898", 0x5C2B394A, 0xD2D0A5DE),
    ("209.142.163.6:2217", "38.27.205.30:48228", 0xAFC7327F, 0x82989176),
    ("202.188.127.2:1303", "153.39.163.191:44251", 0x10E828A2, 0x5D1809C5),
    ("3ffe:2501:200:3::1 1766", "3ffe:2501:200:1fff::7 2794", 0x40207D3D, 0x2CC18CD5),
    ("ff02::1 4739", "3ffe:501:8::260:97ff:fe40:efab 14230", 0xDDE51BBF, 0x0F0C461C),
    ("fe80::200:f8ff:fe21:67cf 38024", "3ffe:1900:4545:3:200:f8ff:fe21:67cf 44251", 0x02D1FEEF, 0x4B61E985),
]


@pytest.mark.parametrize(("target", "source", "with_ports", "without"), VECTORS)
def test_rss_hashes_are_the_published_ones(target: str, source: str, with_ports: int, without: int) -> None:
    def split(text: str) -> tuple[str, int]:
        address, _, port = text.replace(" ", "#").rpartition("#" if " " in text else ":")
        return address, int(port)

    (to, to_port), (by, by_port) = split(target), split(source)
    hasher = RssHash(RssConfig(key=MICROSOFT_KEY, table=spread([3, 1])))
    assert hasher.hash(ip_address(by), ip_address(to), (by_port, to_port)) == with_ports
    assert hasher.hash(ip_address(by), ip_address(to)) == without
    assert hasher.pair(with_ports) == (1 if with_ports & 1 else 3)


def test_rss_is_written_in_memory_order_and_read_back() -> None:
    bus = BlocksBus()
    config = RssConfig(spread([0, 1, 2]), HashType.IPV4 | HashType.TCPV6, bytes(range(40)), True)
    run(set_rss(bus, config))
    words = bus.blocks.words
    assert words[0x9410] == 0x03020100 and words[0x9434] == 0x27262524
    assert words[0x9480] == 0x00020100 and words[0x94FC] == 0x01000201
    assert words[0x9404] == 0b010001 and words[0x9400] == 1
    assert run(get_rss(bus)) == config
    before = bus.accesses
    new = run(update_table(bus, config, (5, *config.table[1:])))
    assert bus.accesses == before + 1 and run(get_rss(bus)) == new


@pytest.mark.parametrize(
    "wrong",
    [{"key": bytes(39)}, {"table": (0,) * 127}, {"table": (64,) * 128}, {"types": HashType(64)}],
)
def test_a_wrong_rss_configuration_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="RSS"):
        RssConfig(**wrong)  # type: ignore[arg-type]


def test_windows_are_committed_and_read_back() -> None:
    bus = BlocksBus()
    guard = Guard(bus)
    windows = [Window(0x1_0000_0000, 0x1_0000_0FFF), Window(0x5000, (1 << 64) - 1, write=False)]
    run(guard.set_windows(2, windows))
    assert bus.blocks.ranges[2, 0] == (0x1_0000_0000, 0x1_0000_0FFF, 3)
    assert bus.blocks.ranges[2, 1] == (0x5000, (1 << 64) - 1, 1)
    assert (2, 2) not in bus.blocks.ranges and (2, 3) not in bus.blocks.ranges
    bus.blocks.enabled_pairs.add(2)
    run(guard.set_windows(2, windows))  # the same again, while the pair works
    with pytest.raises(WindowRefused):
        run(guard.set_windows(2, windows[:1]))
    bus.blocks.enabled_pairs.clear()
    rights = run(guard.read(2))
    assert rights.windows and not rights.guard and rights.ranges == tuple(windows)
    run(guard.guard(2))
    run(guard.check_windows(2, False))
    rights = run(guard.read(2))
    assert rights.guard and not rights.windows
    assert run(guard.read(3)).ranges == ()


def test_a_refused_range_is_an_error() -> None:
    bus = BlocksBus()
    guard = Guard(bus)
    run(guard.set_range(1, 0, Window(0, 4095)))
    bus.blocks.enabled_pairs.add(1)
    with pytest.raises(WindowRefused, match="pair 1: range 0"):
        run(guard.set_range(1, 0, None))
    run(guard.set_range(1, 3, Window(4096, 8191)))  # a free range may be given rights at any time
    assert bus.blocks.ranges[1, 0] == (0, 4095, 3)


def test_wrong_windows_are_refused_before_anything_is_written() -> None:
    bus = BlocksBus()
    guard = Guard(bus)
    with pytest.raises(UsageError, match="pair 0 is the privileged"):
        run(guard.guard(0))
    with pytest.raises(UsageError, match="5 windows, at most 4"):
        run(guard.set_windows(1, [Window(0, 1)] * 5))
    with pytest.raises(UsageError):
        run(guard.set_range(64, 0, None))
    with pytest.raises(UsageError, match="is none"):
        Window(5, 4)
    assert bus.accesses == 0
    window = Window(100, 199, write=False)
    assert window.covers(100, 100, write=False) and not window.covers(100, 101, write=False)
    assert not window.covers(150, 1, write=True)


def test_shares_are_set_for_each_pair() -> None:
    bus = BlocksBus()
    shares = {0: TxShare(), 5: TxShare(100, True, 125_000_000, 20_000)}
    for pair, share in shares.items():
        rate = run(set_tx_share(bus, pair, share))
        assert rate == pytest.approx(share.rate_bytes_per_s, rel=1e-3)
    for pair, share in shares.items():
        got = run(get_tx_share(bus, pair))
        assert (got.weight, got.high, got.burst_bytes) == (share.weight, share.high, share.burst_bytes)
        assert got.rate_bytes_per_s == pytest.approx(share.rate_bytes_per_s, rel=1e-3)


def test_rates_are_16ths_of_bytes_in_1024_cycles() -> None:
    assert rate_register(0) == 0
    assert rate_register(250_000_000) == 1024 * 16  # a byte a cycle
    assert rate_register(1) == 1 and rate_of(1) == pytest.approx(15258.8, rel=1e-3)
    assert rate_register(1_000_000, clock_hz=1_000_000) == 16384
    for wrong in ({"weight": 0}, {"weight": 65536}, {"rate_bytes_per_s": -1}, {"burst_bytes": 0}):
        with pytest.raises(UsageError):
            TxShare(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="too high"):
        rate_register(1 << 60)


def test_moderation_is_set_for_each_virtqueue() -> None:
    bus = BlocksBus()
    assert run(set_moderation(bus, 3, Moderation(8, 20_000))) == 20_224  # 79 units of 256 ns
    assert run(set_moderation(bus, 4, Moderation())) == 0
    assert run(get_moderation(bus, 3)) == Moderation(8, 20_224)
    assert run(get_moderation(bus, 4)) == Moderation()
    assert time_register(1) == 1
    with pytest.raises(UsageError, match="more than the device can count"):
        run(set_moderation(bus, 3, Moderation(1, 10_000_000_000)))
    with pytest.raises(UsageError):
        run(set_moderation(bus, 128, Moderation()))
