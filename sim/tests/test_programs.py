# SPDX-License-Identifier: Apache-2.0
"""`tupelo demo` and `tupelo replay` as a user runs them, through the RTL; other tools judge the results."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import PcapNgWriter, RawPcapReader

from sim.capture import PcapWriter, read_frames

pytestmark = [pytest.mark.sim, pytest.mark.xdist_group("programs")]

DEMO_BYTES = 300_001
RUN_LIMIT_S = 600  # a cold build is part of the first run


def tupelo(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sim.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_LIMIT_S)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder and output of one demo."""
    folder = tmp_path_factory.mktemp("demo")
    done = tupelo("demo", "--bytes", DEMO_BYTES, "--seed", 5, "--out", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_under_xdist_these_tests_share_one_worker(request: pytest.FixtureRequest) -> None:
    """The demo is made once a worker. With a pytest that xdist does not know, marks have no effect."""
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@programs")


def test_the_demo_ends_with_the_right_file(demo: tuple[Path, str]) -> None:
    folder, out = demo
    assert out.splitlines()[-1].startswith(f"demo: OK, {DEMO_BYTES:,} bytes over HTTPS, SHA-256 equal; ")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["ok"] is True and summary["sha256_ok"] is True and summary["bytes"] == DEMO_BYTES
    assert summary["drops"] == {} and summary["cycles"] > 0 and summary["wall_s"] > 0


def test_the_capture_has_every_frame_at_the_wire_in_order_of_time(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    summary = json.loads((folder / "summary.json").read_text())
    with RawPcapReader(str(folder / "wire.pcap")) as reader:
        times = [meta.sec * 10**9 + meta.usec for _, meta in reader]
    assert len(times) == summary["frames_tx"] + summary["frames_rx"]
    assert times == sorted(times) and times[0] > 0 and times[-1] < summary["sim_ns"] + 1_000_000


def test_scapy_makes_the_same_headers(demo: tuple[Path, str]) -> None:
    """scapy builds each frame again with its own lengths and checksums: not a bit may differ."""
    folder, _ = demo
    kinds = set()
    for frame in read_frames(folder / "wire.pcap"):
        packet = Ether(frame)
        for layer in (IP, TCP, UDP, ICMP):
            if layer in packet:
                kinds.add(layer.__name__)
                for field in ("chksum", "len", "ihl", "dataofs"):
                    if field in packet[layer].fields:
                        delattr(packet[layer], field)
        kinds |= {"ARP"} if ARP in packet else set()
        assert bytes(packet) == frame
    assert {"ARP", "IP", "TCP"} <= kinds


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_finds_no_malformed_frame_and_no_bad_checksum(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    options = [f"{name}.check_checksum:TRUE" for name in ("ip", "tcp", "udp")]
    command = ["tshark", "-n", "-r", str(folder / "wire.pcap")]
    command += [word for option in options for word in ("-o", option)]
    fields = (
        "frame.number",
        "_ws.malformed",
        "_ws.expert.severity",
        "_ws.expert.message",
        "ip.checksum.status",
    )
    command += ["-T", "fields", *(w for f in (*fields, "tcp.checksum.status") for w in ("-e", f))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == sum(1 for _ in read_frames(folder / "wire.pcap"))
    warning = 0x00600000  # PI_WARN of Wireshark's expert severities; chats and notes are below
    for number, malformed, severity, message, *checksums in rows:
        assert malformed == "", f"frame {number}: malformed"
        worst = max((int(s, 0) for s in severity.split(",") if s), default=0)
        assert worst < warning, f"frame {number}: {message}"
        assert set(checksums) <= {"1", ""}, f"frame {number}: checksum status {checksums}, 1 is good"


@pytest.fixture
def mixed() -> list[bytes]:
    """Frames of every kind of length, of no protocol at all."""
    rng = random.Random(11)
    sizes = [14, 15, 59, 60, 64, 65, 590, 1514, 1518, 4096, 9727, 9728]
    return [rng.randbytes(rng.choice(sizes)) for _ in range(150)]


@pytest.mark.parametrize("direction", ["rx", "tx"])
def test_replay_takes_each_frame_through_and_keeps_it(
    tmp_path: Path, mixed: list[bytes], direction: str
) -> None:
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcap"
    with PcapNgWriter(str(source)) as writer:
        writer.write([Ether(frame) for frame in mixed])
    done = tupelo("replay", source, "--direction", direction, "--out", out, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["ok"] and result["frames"] == result["equal"] == len(mixed) and result["drops"] == {}
    assert list(read_frames(out)) == mixed


def test_replay_of_the_demos_own_capture(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    done = tupelo("replay", folder / "wire.pcap")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("replay: OK, ")


def test_replay_of_an_empty_capture_is_fine(tmp_path: Path) -> None:
    PcapWriter(tmp_path / "empty.pcap").close()
    done = tupelo("replay", tmp_path / "empty.pcap")
    assert done.returncode == 0 and "replay: OK, 0 frames" in done.stdout
