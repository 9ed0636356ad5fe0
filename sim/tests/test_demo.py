# SPDX-License-Identifier: Apache-2.0
"""The demo's programs, back to back without a NIC, and what a run shows."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sim import demo, demo_sim
from sim.report import Bar
from userstack.runtime import Host

DELAY_NS = 5_000


def carry(server: Host, client: Host, got: demo_sim.Download, lose: int | None = None) -> int:
    """Move frames between two hosts, in DELAY_NS, until the client has ended; return the time.

    lose: each frame of this number, and every multiple, is lost.
    """
    now_ns = count = 0
    while not got.finished:
        for host in (server, client):
            host.run(now_ns)
        to_client, to_server = server.take_frames(), client.take_frames()
        if to_client or to_server:
            now_ns += DELAY_NS
            for host, frames in ((client, to_client), (server, to_server)):
                kept = [f for i, f in enumerate(frames, count + 1) if lose is None or i % lose]
                count += len(frames)
                host.on_frames(kept, now_ns)
        else:
            waits = [t for t in (server.next_deadline_ns(), client.next_deadline_ns()) if t is not None]
            assert waits, "both sides wait for ever"
            now_ns = max(now_ns + 1, min(waits))
    return now_ns


def downloaded(tmp_path: Path, size_bytes: int, seed: int, **link: int) -> demo_sim.Download:
    server_context, client_context = demo_sim.certificates(tmp_path)
    server = demo_sim.make_host("02:00:00:00:00:01", demo_sim.SERVER_IP, seed)
    client = demo_sim.make_host(demo_sim.CLIENT_MAC, demo_sim.CLIENT_IP, seed)
    got = demo_sim.Download()
    demo_sim.serve(server, server_context, seed, size_bytes)
    client.spawn(demo_sim.fetch(client, client_context, got, lambda: None))
    carry(server, client, got, **link)
    return got


@pytest.mark.parametrize("size_bytes", [1, 65_536, 300_001])
def test_the_client_gets_the_file_that_the_seed_makes(tmp_path: Path, size_bytes: int) -> None:
    got = downloaded(tmp_path, size_bytes, 7)
    assert got.error == "" and got.size_bytes == size_bytes
    assert got.digest.hexdigest() == demo_sim.file_sha256(7, size_bytes)
    assert got.protocol.startswith("TLSv1.3, ")


def test_the_file_survives_loss(tmp_path: Path) -> None:
    got = downloaded(tmp_path, 300_001, 7, lose=17)
    assert got.error == "" and got.digest.hexdigest() == demo_sim.file_sha256(7, 300_001)


def test_a_client_without_a_server_ends_with_an_error(tmp_path: Path) -> None:
    _, context = demo_sim.certificates(tmp_path)
    server = demo_sim.make_host("02:00:00:00:00:01", demo_sim.SERVER_IP, 1)
    client = demo_sim.make_host(demo_sim.CLIENT_MAC, demo_sim.CLIENT_IP, 1)
    got = demo_sim.Download()
    client.spawn(demo_sim.fetch(client, context, got, lambda: None))
    carry(server, client, got)
    assert got.finished and "refused" in got.error.lower()


def test_the_file_depends_on_the_seed_and_nothing_else() -> None:
    assert (
        demo_sim.file_sha256(1, 100_000)
        == hashlib.sha256(b"".join(demo_sim.file_chunks(1, 100_000))).hexdigest()
    )
    assert demo_sim.file_sha256(1, 100_000) != demo_sim.file_sha256(2, 100_000)


RESULT: dict[str, Any] = {
    "ok": True, "bytes": 1000, "sha256_ok": True, "sha256": "ab", "error": "", "protocol": "TLSv1.3, X",
    "seed": 1, "frames_tx": 30, "frames_rx": 20, "wire_bytes": 5000, "drops": {},
    "cycles": 9000, "sim_ns": 36_000, "retransmits": 0,
}  # fmt: skip


def test_the_summary_has_the_keys_that_programs_rely_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake_run(function: str, arguments: Any, folder: Path, show: Any, seed: int) -> dict[str, Any]:
        assert function == "sim.demo_sim:main" and seed == 1
        show({"bytes": 500, "frames": 10, "sim_ns": 4_000, "cycles": 1000})
        return RESULT

    monkeypatch.setattr(demo, "build_fast", lambda: None)
    monkeypatch.setattr(demo, "in_fast", fake_run)
    summary = demo.run_demo(tmp_path, 1000, 1)
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written == summary
    assert {
        "ok",
        "bytes",
        "sha256_ok",
        "frames_tx",
        "frames_rx",
        "drops",
        "cycles",
        "sim_ns",
        "wall_s",
    } <= set(written)
    demo.print_summary({**summary, "drops": {"rx_drop_no_buffer": 3}})
    out = capsys.readouterr().out
    assert "1,000 bytes over TLSv1.3" in out and "dropped: rx_drop_no_buffer" in out


def test_the_bar_is_silent_without_a_terminal() -> None:
    demo._show(Bar(None, None), 10, {"bytes": 1, "frames": 2, "sim_ns": 3, "cycles": 4}, 0.0)
