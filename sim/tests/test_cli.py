# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it: help, exit statuses, one-line errors."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sim import cli, replay
from sim.build_flags import BuildError
from sim.capture import PcapWriter


def tupelo(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


def test_help_names_every_command() -> None:
    out = tupelo("--help").output
    assert all(f"\n  {name} " in out for name in ("demo", "replay", "stats", "bench", "test", "lint"))


@pytest.mark.parametrize("content", [b"", b"hello", bytes.fromhex("d4c3b2a1") + bytes(5)])
def test_replay_of_a_bad_file_is_one_line_and_status_2(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(content)
    result = tupelo("replay", path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"tupelo: {path}: ") and result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_replay_of_a_missing_file_or_a_wrong_option_is_status_2(tmp_path: Path) -> None:
    assert tupelo("replay", tmp_path / "none.pcap").exit_code == 2
    assert tupelo("replay", "--direction", "up", tmp_path).exit_code == 2


def outcome(ok: bool) -> dict[str, Any]:
    lost = 0 if ok else 1
    return {
        "ok": ok, "direction": "rx", "frames": 2, "equal": 2 - lost, "changed": 0, "lost": lost, "extra": 0,
        "bytes": 120, "drops": {} if ok else {"rx_drop_no_buffer": 1}, "sim_ns": 4000, "cycles": 1000,
        "problems": [] if ok else ["frame 2 (60 bytes) was lost"],
    }  # fmt: skip


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    with PcapWriter(tmp_path / "a.pcap") as writer:
        writer.write(0, bytes(60))
        writer.write(9, bytes(range(60)))
    return tmp_path / "a.pcap"


@pytest.mark.parametrize("ok", [True, False])
def test_replay_says_how_it_went(monkeypatch: pytest.MonkeyPatch, capture: Path, ok: bool) -> None:
    monkeypatch.setattr(replay, "build_fast", lambda: None)
    monkeypatch.setattr(replay, "in_fast", lambda *a: outcome(ok))
    result = tupelo("replay", capture)
    assert result.exit_code == (0 if ok else 1)
    last = result.stdout.splitlines()[-1]
    if ok:
        assert (
            last
            == "replay: OK, 2 frames into the wire, all received by the driver byte for byte and in order"
        )
    else:
        assert last == "replay: FAILED, 1 of 2 frames are not accounted for"
        assert "frame 2 (60 bytes) was lost" in result.stdout and "rx_drop_no_buffer" in result.stdout
    as_json = tupelo("replay", "--json", capture)
    assert as_json.exit_code == (0 if ok else 1) and json.loads(as_json.stdout) == outcome(ok)


def test_replay_does_not_write_over_its_input_or_into_nowhere(capture: Path) -> None:
    before = capture.read_bytes()
    assert tupelo("replay", capture, "--out", capture).exit_code == 2
    assert tupelo("replay", capture, "--out", capture.parent / "no" / "where.pcap").exit_code == 2
    assert capture.read_bytes() == before


def test_a_failed_build_is_a_message_and_status_1(monkeypatch: pytest.MonkeyPatch, capture: Path) -> None:
    def fail() -> None:
        raise BuildError("missing: g++")

    monkeypatch.setattr(replay, "build_fast", fail)
    result = tupelo("replay", capture)
    assert result.exit_code == 1 and result.stderr.endswith("tupelo: missing: g++\n")


STATS: dict[str, Any] = {
    "statistics": {"rx_frames": 7, "rx_drop_bad": 0, "rx0_frames": 7, "rx0_drops": 0, "tx0_frames": 2},
    "tables": [
        {
            "table": "flow", "proto": "tcp", "family": 4, "local": "10.0.0.1", "local_port": 80,
            "remote": "10.0.0.2", "remote_port": 5, "target": "QUEUE", "pair": 1, "id": 0, "generation": 3,
            "hits": 1234, "slot": 99,
        }
    ],
    "violations": [],
}  # fmt: skip


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    (tmp_path / "stats.json").write_text(json.dumps(STATS))
    return tmp_path / "stats.json"


def test_stats_look_like_those_of_ethtool(counted: Path) -> None:
    result = tupelo("stats", "--from", counted)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:-1] == [
        "NIC statistics:",
        "     rx_frames: 7",
        "     rx_drop_bad: 0",
        "     rx0_frames: 7",
        "     tx0_frames: 2",
    ]
    assert result.stdout.splitlines()[-1].startswith("stats: OK; ")
    assert "rx0_drops: 0" in tupelo("stats", "--from", counted, "--all").stdout
    of_one = json.loads(tupelo("stats", "--from", counted, "--json", "--queue", "rx0").stdout)
    assert of_one == {"statistics": {"rx0_frames": 7, "rx0_drops": 0}, "violations": []}
    of_pair = json.loads(tupelo("stats", "--from", counted, "--json", "--queue", "0").stdout)
    assert set(of_pair["statistics"]) == {"rx0_frames", "rx0_drops", "tx0_frames"}


def test_stats_show_the_flow_table(counted: Path) -> None:
    lines = tupelo("stats", "--from", counted, "--flows").stdout.splitlines()
    assert "Steering tables: 1 entries" in lines
    line = "flow     tcp    ipv4 10.0.0.1:80 <- 10.0.0.2:5 -> queue 1, id 0 gen 3 slot 99, hits 1,234"
    assert f"     {line}" in lines
    assert (
        json.loads(tupelo("stats", "--from", counted, "--flows", "--json").stdout)["tables"]
        == STATS["tables"]
    )


def test_stats_of_frames_that_vanished_are_status_1(counted: Path) -> None:
    counted.write_text(json.dumps({**STATS, "violations": ["a = b: 1 is not 2"]}))
    result = tupelo("stats", "--from", counted)
    assert result.exit_code == 1
    assert result.stderr == "stats: a = b: 1 is not 2\n"
    assert result.stdout.splitlines()[-1].startswith("stats: FAILED, 1 equations violated")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--queue", "x"), "no such queue: x"),
        (("--queue", "9"), "no such queue: 9"),
        (("--queue", "tx1"), "no such queue: tx1"),
    ],
)
def test_stats_of_a_queue_that_is_not_there_is_status_2(
    counted: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = tupelo("stats", "--from", counted, *arguments)
    assert result.exit_code == 2 and result.stderr.startswith(f"tupelo: {message}")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"statistics": {"a": "b"}}', '{"statistics": 5}'])
def test_stats_from_a_wrong_file_is_one_line_and_status_2(counted: Path, content: str) -> None:
    counted.write_text(content)
    result = tupelo("stats", "--from", counted)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert tupelo("stats", "--from", counted.parent / "none.json").exit_code == 2
