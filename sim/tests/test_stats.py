# SPDX-License-Identifier: Apache-2.0
"""`tupelo stats` for real: the traffic runs, every decision and offload is counted, and all adds up."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim import cli

# What the traffic of sim.stats_sim must leave a trace in.
COUNTED = (
    "rx_steer_flow", "rx_steer_listener", "rx_steer_any", "rx_steer_rss", "rx_steer_host", "rx_drop_filter",
    "rx_csum_ok", "rx_csum_bad", "rx_buffers", "tx_csum_frames", "tx_tso_frames", "tx_tso_segments",
    "tx_drop_guard_tuple", "indirect_tables", "tx_chains",
)  # fmt: skip


@pytest.mark.sim
def test_stats_show_all_that_the_nic_did(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.main, ["stats", "--json", "--flows", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["violations"] == []
    assert [name for name in COUNTED if not found["statistics"][name]] == []
    hits = {
        (entry["table"], entry["local_port"], entry["remote"]): entry["hits"] for entry in found["tables"]
    }
    assert hits["listener", 53, None] == found["statistics"]["rx_steer_listener"]
    again = CliRunner().invoke(
        cli.main, ["stats", "--json", "--flows", "--from", str(tmp_path / "stats.json")]
    )
    assert json.loads(again.stdout) == found
