# SPDX-License-Identifier: Apache-2.0
"""The table of system control parameters, and what is taken from a Linux kernel's."""

from errno import EINVAL
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.arbiter.parameters import (
    CONGESTION,
    DEFAULTS,
    INDEX,
    PARAMETERS,
    Unit,
    bitmap_of,
    checked,
    from_sysctls,
    give_up_ns,
    parse_ports,
    ports_of,
)
from driver.errors import ArbiterError

DOC = Path(__file__).resolve().parents[2] / "docs" / "host-info.md"
S = 10**9
# A page in use keeps its layout: what is here may get longer, and never change.
FIRST_NAMES = [
    "tcp_recv_buffer_min_bytes",
    "tcp_recv_buffer_bytes",
    "tcp_recv_buffer_max_bytes",
    "tcp_send_buffer_min_bytes",
    "tcp_send_buffer_bytes",
    "tcp_send_buffer_max_bytes",
    "tcp_moderate_buffers",
    "tcp_congestion",
    "tcp_initial_window_segments",
    "tcp_initial_rto_ns",
    "tcp_min_rto_ns",
    "tcp_max_rto_ns",
    "tcp_delayed_ack_ns",
    "tcp_msl_ns",
    "tcp_fin_wait_ns",
    "tcp_syn_give_up_ns",
    "tcp_data_give_up_ns",
    "tcp_keepalive_idle_ns",
    "tcp_keepalive_interval_ns",
    "tcp_keepalive_probes",
    "tcp_timestamps",
    "tcp_sack",
    "tcp_window_scaling",
    "tcp_ecn",
    "tcp_slow_start_after_idle",
    "tcp_syn_cookies",
    "tcp_syn_backlog",
    "tcp_accept_backlog",
    "tcp_challenge_acks_per_s",
    "tcp_reordering_segments",
    "tcp_min_send_mss_bytes",
    "tcp_base_mss_bytes",
    "tcp_mtu_probing",
    "tcp_rfc1337",
    "tcp_reuse_time_wait",
    "ip_pmtu_discovery_off",
    "ip_min_pmtu_bytes",
    "ip_ttl",
    "port_first",
    "port_last",
    "port_randomize",
    "port_unprivileged_first",
    "udp_recv_buffer_bytes",
    "udp_send_buffer_bytes",
    "icmp_echo_ignore_all",
    "neighbour_reachable_ns",
]


def test_the_order_of_version_1_stays() -> None:
    assert [parameter.name for parameter in PARAMETERS][: len(FIRST_NAMES)] == FIRST_NAMES
    assert CONGESTION[:4] == ("reno", "cubic", "bbr", "dctcp")


def test_names_units_and_ranges_agree() -> None:
    assert len(INDEX) == len(PARAMETERS)
    for parameter in PARAMETERS:
        assert 0 <= parameter.minimum <= parameter.default <= parameter.maximum < 1 << 63
        assert (parameter.unit is Unit.NS) == parameter.name.endswith("_ns")
        assert (parameter.unit is Unit.BYTES) == parameter.name.endswith("_bytes")
        assert parameter.unit is not Unit.FLAG or parameter.maximum == 1
    assert checked({}) == dict(DEFAULTS)


def test_the_documentation_has_every_parameter() -> None:
    text = DOC.read_text()
    for place, parameter in enumerate(PARAMETERS):
        sysctl = f"`{parameter.sysctl}`" if parameter.sysctl else "-"
        row = f"| {place} | `{parameter.name}` | {parameter.unit.value} | {parameter.default} | {sysctl} |"
        assert row in text, f"docs/host-info.md needs: {row}"


LINUX = {
    "net.ipv4.tcp_rmem": "4096\t131072\t6291456",
    "net.ipv4.tcp_wmem": "4096\t16384\t4194304",
    "net.ipv4.tcp_congestion_control": "cubic",
    "net.ipv4.tcp_keepalive_time": "7200",
    "net.ipv4.tcp_keepalive_probes": "9",
    "net.ipv4.tcp_fin_timeout": "60",
    "net.ipv4.tcp_rto_min_us": "200000",
    "net.ipv4.tcp_rto_max_ms": "120000",
    "net.ipv4.tcp_syn_retries": "6",
    "net.ipv4.tcp_retries2": "15",
    "net.ipv4.ip_local_port_range": "32768\t60999",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.neigh.default.base_reachable_time_ms": "30000",
}


def test_values_of_linux_in_our_units() -> None:
    found = from_sysctls(LINUX.get)
    assert found == {
        "tcp_recv_buffer_min_bytes": 4096,
        "tcp_recv_buffer_bytes": 131072,
        "tcp_recv_buffer_max_bytes": 6291456,
        "tcp_send_buffer_min_bytes": 4096,
        "tcp_send_buffer_bytes": 16384,
        "tcp_send_buffer_max_bytes": 4194304,
        "tcp_congestion": CONGESTION.index("cubic"),
        "tcp_min_rto_ns": 200_000_000,
        "tcp_max_rto_ns": 120 * S,
        "tcp_fin_wait_ns": 60 * S,
        "tcp_syn_give_up_ns": 127 * S,  # ip-sysctl of the kernel: "final timeout ... after 127 seconds"
        "tcp_data_give_up_ns": 924_600_000_000,  # the same: "a hypothetical timeout of 924.6 seconds"
        "tcp_keepalive_idle_ns": 7200 * S,
        "tcp_keepalive_probes": 9,
        "tcp_timestamps": 1,
        "port_first": 32768,
        "port_last": 60999,
        "neighbour_reachable_ns": 30 * S,
    }
    assert checked(found)["port_last"] == 60999


@pytest.mark.parametrize("text", ["", "x", "-5", "9" * 30, "1.5", "vegas", "0 0 0"])
def test_what_a_kernel_says_and_the_table_cannot_hold_is_left_out(text: str) -> None:
    found = from_sysctls(lambda name: text)
    checked({name: value for name, value in found.items() if not name.startswith(("tcp_m", "port"))})
    assert "tcp_congestion" not in found and "tcp_recv_buffer_bytes" not in found


@given(st.dictionaries(st.sampled_from([p.sysctl for p in PARAMETERS]), st.text(max_size=20)))
def test_no_text_of_a_kernel_raises(texts: dict[str, str]) -> None:
    for name, value in from_sysctls(texts.get).items():
        PARAMETERS[INDEX[name]].check(value)


def test_time_of_retries() -> None:
    assert give_up_ns(0, S, 60 * S) == S
    assert give_up_ns(6, S, 120 * S) == 127 * S
    assert give_up_ns(8, S, 60 * S) == (63 + 3 * 60) * S


@given(st.frozensets(st.integers(0, 65535), max_size=50))
def test_port_sets_survive_the_bitmap_and_the_list(ports: frozenset[int]) -> None:
    assert ports_of(bitmap_of(ports)) == ports
    assert parse_ports(",".join(map(str, ports))) == ports


def test_port_lists_as_linux_writes_them() -> None:
    assert parse_ports("8080,9148-9150\n") == {8080, 9148, 9149, 9150}
    assert parse_ports("\n") == frozenset()
    for bad in ("x", "5-", "-5", "9-8", "65536", "1-70000", "1--2"):
        with pytest.raises(ArbiterError) as caught:
            parse_ports(bad)
        assert caught.value.errno == EINVAL
