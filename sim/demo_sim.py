# SPDX-License-Identifier: Apache-2.0
"""The demo inside the simulator: an HTTPS server behind the NIC, a client at the other end of the wire."""

import hashlib
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import trustme

from driver.nic import NicConfig, TupeloNic
from sim.adapters import NicCarrier, WireCarrier, pump
from sim.capture import PcapWriter
from sim.fast import FastHarness
from sim.job import Progress
from userstack import http, tls
from userstack.config import StackConfig
from userstack.runtime import Host
from userstack.stack import Stack

NAME = "server.tupelo.test"
SERVER_IP, CLIENT_IP = "10.0.0.1", "10.0.0.2"
CLIENT_MAC = "02:00:00:00:00:02"
TARGET = "/file.bin"
CHUNK_BYTES = 1 << 16
PATIENCE_NS = 10_000_000_000  # without a byte for ten simulated seconds, the client gives up
SETTLE_NS = 100_000  # for the last frames after both programs have ended
NIC_CONFIG = NicConfig(rx_interrupt_after=16, rx_moderation_ns=4_000)


def file_chunks(seed: int, size_bytes: int) -> Iterator[bytes]:
    """The file that `seed` makes, in pieces; the same on every machine."""
    rng = random.Random(f"file {seed}")
    for at in range(0, size_bytes, CHUNK_BYTES):
        yield rng.randbytes(min(CHUNK_BYTES, size_bytes - at))


def file_sha256(seed: int, size_bytes: int) -> str:
    """SHA-256 of that file, in hexadecimal."""
    digest = hashlib.sha256()
    for chunk in file_chunks(seed, size_bytes):
        digest.update(chunk)
    return digest.hexdigest()


@dataclass(slots=True)
class Download:
    """What the client has so far."""

    size_bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    protocol: str = ""
    error: str = ""
    finished: bool = False


def serve(host: Host, context: Any, seed: int, size_bytes: int) -> http.Server:
    """Start the server program: one file at TARGET, over TLS, on port 443."""

    async def handle(request: http.Request) -> http.Response:
        if request.target != TARGET:
            return http.text(404, "not found")
        return http.Response(200, file_chunks(seed, size_bytes), length_bytes=size_bytes)

    server = http.Server(host, handle, context)
    server.listen(443)
    host.spawn(server.run(), "server")
    return server


async def fetch(host: Host, context: Any, got: Download, report: Callable[[], None]) -> None:
    """The client program: get the file, hash it as it comes. Errors end up in `got.error`."""
    try:
        client = await http.connect(host, (SERVER_IP, 443), NAME, context, PATIENCE_NS)
        got.protocol = f"{client.stream.version}, {client.stream.cipher}"  # type: ignore[attr-defined]
        response = await client.get(TARGET)
        if response.status != 200:
            raise http.HttpError(f"status {response.status}")
        async for chunk in response.chunks():
            got.digest.update(chunk)
            got.size_bytes += len(chunk)
            report()
        await client.aclose()
    except Exception as error:
        got.error = f"{type(error).__name__}: {error}"
    got.finished = True


def certificates(folder: Path) -> tuple[Any, Any]:
    """Contexts of server and client with a CA made for this run."""
    authority = trustme.CA()
    issued = authority.issue_cert(NAME)
    certificate, key = folder / "server.pem", folder / "server.key"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(certificate), append=True)
    issued.private_key_pem.write_to_path(str(key))
    server = tls.server_context(str(certificate), str(key))
    return server, tls.client_context(authority.cert_pem.bytes())


def make_host(mac: str, ip: str, seed: int) -> Host:
    return Host(Stack(StackConfig(mac=mac, ip=ip), random.Random(f"{ip} {seed}")))


async def main(
    harness: FastHarness, seed: int, size_bytes: int, pcap: str, progress: str | None = None
) -> dict[str, Any]:
    """Do one download, capturing the wire in file `pcap`; return the summary but for the wall time."""
    tell = Progress(progress)
    nic = TupeloNic(harness)
    await nic.start(NIC_CONFIG)
    mac = nic.net.mac if nic.net is not None and nic.net.mac is not None else b""
    server_host = make_host(mac.hex(":"), SERVER_IP, seed)
    client_host = make_host(CLIENT_MAC, CLIENT_IP, seed)
    got = Download()

    def report() -> None:
        counters = harness.wire.counters()
        frames = counters["tx_frames"] + counters["rx_frames"]
        tell(bytes=got.size_bytes, frames=frames, sim_ns=harness.now_ns(), cycles=harness.cycles)

    with tempfile.TemporaryDirectory() as folder, PcapWriter(Path(pcap)) as writer:
        server_context, client_context = certificates(Path(folder))
        server = serve(server_host, server_context, seed, size_bytes)
        client_host.spawn(fetch(client_host, client_context, got, report), "client")
        behind = cocotb.start_soon(pump(server_host, NicCarrier(nic), lambda: False))
        end = WireCarrier(harness.wire, harness.now_ns, writer.write_unsorted)
        await pump(client_host, end, lambda: got.finished)
        sim_ns = harness.now_ns()
        server.close()
        await harness.sleep(SETTLE_NS)
        behind.cancel()
        end.recv()
    summary = await _summary(harness, nic, [server_host, client_host])
    sha256 = got.digest.hexdigest()
    sha256_ok = sha256 == file_sha256(seed, size_bytes)
    complete = got.size_bytes == size_bytes and not got.error
    return {
        "ok": sha256_ok and complete and not harness.bad_messages,
        "bytes": got.size_bytes,
        "sha256_ok": sha256_ok,
        **summary,
        "sim_ns": sim_ns,
        "sha256": sha256,
        "protocol": got.protocol,
        "seed": seed,
        "error": got.error,
    }


async def _summary(harness: FastHarness, nic: TupeloNic, hosts: list[Host]) -> dict[str, Any]:
    """What the device, the wire and the stacks counted; stops the NIC."""
    seen = await nic.statistics()
    cycles = harness.cycles
    await nic.stop()
    wire = harness.wire.counters()
    drops = {**seen.rx_drops(), **seen.tx_drops()}
    drops |= {"wire_" + name: wire[name] for name in ("dropped", "underruns") if wire[name]}
    for name, host in zip(("server", "client"), hosts, strict=True):
        drops |= {f"{name}_{why.name.lower()}": n for why, n in host.stack.stats.drops.items() if n}
    return {
        "frames_tx": seen["tx_frames"],
        "frames_rx": seen["rx_frames"],
        "wire_bytes": wire["tx_bytes"] + wire["rx_bytes"],
        "retransmits": sum(host.stack.stats.tcp_retransmits for host in hosts),
        "drops": drops,
        "cycles": cycles,
    }
