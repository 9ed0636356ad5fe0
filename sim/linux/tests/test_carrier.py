# SPDX-License-Identifier: Apache-2.0
"""A user-space stack on a cable to a real kernel: files by HTTP both ways, ping, a closed port."""

import hashlib
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.adapters import pump
from sim.linux.carrier import TapCarrier
from sim.linux.lab import Lab
from sim.linux.tap import TapPort
from sim.linux.tests.conditions import TAP_MARKS, needs
from sim.linux.tests.test_traffic import listening, run, until
from sim.tests.stepping import finish
from userstack import Host, Stack, StackConfig, http

pytestmark = TAP_MARKS
FILE = random.Random(3).randbytes(1 << 20)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def stack_host() -> Host:
    return Host(Stack(StackConfig(mac="02:00:00:77:00:01", ip="10.77.0.1"), random.Random(1)))


class Pumped:
    """Pumps a host over a port in a thread while the block runs."""

    def __init__(self, host: Host, port: TapPort) -> None:
        self._end = threading.Event()
        self._error: list[BaseException] = []

        def work() -> None:
            try:
                finish(pump(host, TapCarrier(port), self._end.is_set))
            except BaseException as error:  # handed to the block
                self._error.append(error)

        self._thread = threading.Thread(target=work)

    def __enter__(self) -> "Pumped":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self._error:
            raise self._error[0]


@needs("curl")
def test_curl_gets_a_file_from_a_user_space_stack(lab: Lab, tmp_path: Path) -> None:
    host = stack_host()
    web = http.Server(host, http.files({"/file": FILE}))
    web.listen(80)
    host.spawn(web.run(), name="web server")
    with Pumped(host, lab.remote.tap):
        for _ in range(3):
            got = tmp_path / "got"
            address = "http://10.77.0.1/file"
            run(lab.remote.namespace, "curl", "-sf", "--max-time", "50", "-o", str(got), address)
            assert hashlib.sha256(got.read_bytes()).digest() == hashlib.sha256(FILE).digest()
        closed = lab.remote.namespace.popen(["curl", "-s", "--max-time", "5", "http://10.77.0.1:81/"])
        assert closed.wait() == 7  # refused: the stack has answered with RST


@needs("ping")
def test_kernel_pings_a_user_space_stack(lab: Lab) -> None:
    with Pumped(stack_host(), lab.remote.tap):
        out = run(lab.remote.namespace, "ping", "-c", "5", "-i", "0.05", "-s", "1000", "10.77.0.1")
    assert "5 received" in out


def test_user_space_stack_gets_a_file_from_a_kernel(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FILE)
    program = lab.remote.namespace.popen(
        ["python3", "-m", "http.server", "8000", "--bind", "10.77.0.2", "--directory", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(listening(lab.remote.namespace, 8000))
    host = stack_host()

    async def download() -> bytes:
        client = await http.connect(host, ("10.77.0.2", 8000), "server.test")
        response = await client.get("/file")
        body = b"".join([chunk async for chunk in response.chunks()])
        await client.aclose()
        return body

    task = host.spawn(download(), name="download")
    with Pumped(host, lab.remote.tap):
        until(lambda: task.done)
    assert task.result() == FILE
    program.kill()
    program.wait()
