# SPDX-License-Identifier: Apache-2.0
"""Both kernels talk over the plain wire: ping, curl both ways, iperf3, every checksum on the wire judged by
tshark. The same programs run through the NIC later."""

import hashlib
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sim.capture import PcapWriter
from sim.linux.interfaces import Interfaces
from sim.linux.lab import Lab, LabConfig, Side, SideConfig
from sim.linux.namespace import Namespace
from sim.linux.relay import Background, PlainWire
from sim.linux.tests.conditions import TAP_MARKS, needs

pytestmark = TAP_MARKS
CONFIG = LabConfig(
    host=SideConfig(("10.77.0.1/24", "fd77::1/64"), bytes.fromhex("020000770001"), offloads=True),
    remote=SideConfig(("10.77.0.2/24", "fd77::2/64"), bytes.fromhex("020000770002")),
)
FILE_BYTES = 3 << 20
Seen = list[tuple[int, bytes]]


def run(namespace: Namespace, *arguments: str) -> str:
    done = namespace.popen(arguments, stdout=subprocess.PIPE, text=True)
    out, _ = done.communicate(timeout=60)
    assert done.returncode == 0, f"{arguments}: {out}"
    return str(out)


def listening(namespace: Namespace, port: int) -> Callable[[], bool]:
    def check() -> bool:
        lines = namespace.run(
            lambda: (
                Path("/proc/thread-self/net/tcp").read_text() + Path("/proc/thread-self/net/tcp6").read_text()
            )
        )
        return f":{port:04X} 0" in lines

    return check


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def judge(seen: Seen, file: Path) -> Counter[str]:
    """Every checksum that tshark finds in the frames: good, or the names of the bad ones."""
    with PcapWriter(file) as pcap:
        for time_ns, frame in seen:
            pcap.write(time_ns, frame)
    layers = ("ip", "tcp", "udp", "icmp", "icmpv6")
    options = [f"-o{x}.check_checksum:TRUE" for x in ("ip", "tcp", "udp")]
    fields = [f"-e{x}.checksum.status" for x in layers]
    lines = subprocess.run(
        ["tshark", "-r", str(file), *options, "-Tfields", "-Eoccurrence=f", *fields],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(lines) == len(seen)
    found: Counter[str] = Counter()
    for line in lines:
        for layer, status in zip(layers, line.split("\t"), strict=True):
            if status:
                found[f"{layer} {'good' if status in ('1', 'Good') else 'bad ' + status}"] += 1
    return found


@needs("ping")
@pytest.mark.parametrize("address", ["10.77.0.1", "fd77::1"])
def test_ping(address: str) -> None:
    with Lab(CONFIG) as lab, Background(PlainWire(lab.host.tap, lab.remote.tap)):
        out = run(lab.remote.namespace, "ping", "-c", "5", "-i", "0.05", "-s", "1400", address)
        assert "5 received" in out


def download(server: Side, client: Side, address: str, path: Path) -> None:
    """`python -m http.server` on one side, `curl` on the other; the file arrives whole."""
    data = random.Random(5).randbytes(FILE_BYTES)
    path.mkdir(exist_ok=True)
    (path / "file").write_bytes(data)
    bind = ["-m", "http.server", "8000", "--bind", address, "--directory", str(path)]
    program = server.namespace.popen(["python3", *bind], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(listening(server.namespace, 8000))
    host = f"[{address}]" if ":" in address else address
    run(
        client.namespace,
        "curl",
        "-sf",
        "--max-time",
        "50",
        "-o",
        str(path / "got"),
        f"http://{host}:8000/file",
    )
    program.kill()
    program.wait()
    assert hashlib.sha256((path / "got").read_bytes()).digest() == hashlib.sha256(data).digest()


@needs("curl", "tshark")
@pytest.mark.parametrize("six", [False, True], ids=["v4", "v6"])
def test_curl_both_ways_with_every_checksum_right(six: bool, tmp_path: Path) -> None:
    """The host's kernel sums and cuts nothing itself here: the wire in the NIC's place does all of it."""
    seen: Seen = []
    host, remote = ("fd77::1", "fd77::2") if six else ("10.77.0.1", "10.77.0.2")
    with Lab(CONFIG) as lab:
        wire = PlainWire(lab.host.tap, lab.remote.tap, see=lambda t, f: seen.append((t, f)))
        with Background(wire):
            download(lab.host, lab.remote, host, tmp_path / "there")
            download(lab.remote, lab.host, remote, tmp_path / "back")
        assert lab.host.tap.counters.in_dropped_full == lab.host.tap.counters.out_bad_header == 0
    found = judge(seen, tmp_path / "wire.pcap")
    assert max(len(frame) for _, frame in seen) <= 1514
    assert found["tcp good"] > 2 * FILE_BYTES // 1460
    assert [name for name in found if "bad" in name] == []


@needs("tshark", "ping")
def test_a_wrong_checksum_is_found(tmp_path: Path) -> None:
    """The judge can say no: both ports with offloads, so that what the kernel leaves undone stays undone."""
    seen: Seen = []
    config = replace(CONFIG, remote=replace(CONFIG.remote, offloads=True))
    with Lab(config) as lab:
        wire = PlainWire(lab.host.tap, lab.remote.tap, see=lambda t, f: seen.append((t, f)))
        with Background(wire):
            client = lab.remote.namespace.popen(["python3", "-c", UDP_SEND])
            assert client.wait() == 0
            until(lambda: len(seen) >= 1 and any(b"hello" in f for _, f in seen))
    assert judge(seen, tmp_path / "wire.pcap")["udp bad 0"] >= 1


UDP_SEND = "import socket; socket.socket(2, 2).sendto(b'hello', ('10.77.0.1', 9))"


@needs("iperf3")
@pytest.mark.parametrize("pair", ["plain", "host offloads", "both offloads"])
def test_iperf3(pair: str, tmp_path: Path) -> None:
    """Figures for docs/linux.md; the bound is far below them, for a machine that is busy."""
    config = replace(
        CONFIG,
        host=replace(CONFIG.host, offloads=pair != "plain"),
        remote=replace(CONFIG.remote, offloads=pair == "both offloads"),
    )
    with Lab(config) as lab, Background(PlainWire(lab.host.tap, lab.remote.tap)):
        for reverse in ([], ["--reverse"]):
            server = lab.host.namespace.popen(["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
            until(listening(lab.host.namespace, 5201))
            out = run(lab.remote.namespace, "iperf3", "-c", "10.77.0.1", "-t", "2", "--json", *reverse)
            # The client has its figure; a server that it left in mid-sending may sit in its last write.
            server.kill()
            server.wait(timeout=30)
            for counters in (lab.host.tap.counters, lab.remote.tap.counters):
                assert counters.in_refused == counters.out_bad_header == 0
            rate = json.loads(out)["end"]["sum_received"]["bits_per_second"]
            drops = kernel_drops(lab.host.interfaces) + kernel_drops(lab.remote.interfaces)
            way = "to remote" if reverse else "to host"
            print(f"iperf3, {pair}, {way}: {rate / 1e6:,.0f} Mbit/s, {drops} dropped by the TAPs so far")
            assert rate > 10e6


def kernel_drops(interfaces: Interfaces) -> int:
    interfaces.snapshot()
    return sum(link.tx_dropped for link in interfaces.state.links())
