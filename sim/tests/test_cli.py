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
    assert all(f"\n  {name} " in out for name in ("demo", "replay", "bench", "test", "lint"))


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
