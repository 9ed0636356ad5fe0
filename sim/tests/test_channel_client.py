# SPDX-License-Identifier: Apache-2.0
"""Programs in other processes: frames through a shared arena, requests, time, death. The NIC is a model."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from driver.arbiter import messages as msg
from driver.tests.arbiter_bench import PEER, TCP
from sim.channel_client import ChannelClosed, ChannelRefused, ChannelTimeout, connect
from sim.tests.channel_bench import Raw, Served, open_descriptors

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    before = open_descriptors()
    host = Served(tmp_path / "s")
    yield host
    host.turns()
    host.check_empty()
    host.close()
    assert open_descriptors() == before and not (tmp_path / "s").exists()


def program(path: Path, code: str) -> subprocess.Popen[str]:
    """Start a process that has connected as `link`."""
    head = (
        "import sys\nfrom driver.arbiter import messages as msg\nfrom sim.channel_client import *\n"
        f"link = connect({str(path)!r}, rx_slots=32, tx_slots=32)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_frames_and_requests_in_this_process(served: Served) -> None:
    """Each frame comes back from the other side of the shared arena, whatever the number and the size."""
    seed = int(os.environ.get("SEED") or 1)
    print(f"SEED={seed}")
    rng = random.Random(seed)
    with served.running(), connect(served.path, rx_slots=32, tx_slots=32) as link:
        granted = link.ask(msg.Listen(link.cookie(), TCP, 80))
        assert isinstance(granted, msg.Granted) and granted.local_port == 80
        assert link.mac == bytes.fromhex("020000000001")
        for _ in range(50):
            frames = [rng.randbytes(rng.randint(60, 1514)) for _ in range(rng.randint(1, 30))]
            sent, back = 0, list[bytes]()
            while len(back) < len(frames):
                sent += link.send(frames[sent:])
                assert link.wait(10**12, tx_slots=1)
                back += link.recv()
            assert back == frames


REFLECT = """
answer = link.ask(msg.Connect(1, 6, bytes((10, 0, 0, 9)), 80))
print(type(answer).__name__, answer.local_port, flush=True)
total = 0
for turn in range(20):
    link.send([bytes([turn]) * 100] * 8)
    got = 0
    while got < 8:
        assert link.wait(10**12)
        frames = link.recv()
        assert all(frame == bytes([turn]) * 100 for frame in frames)
        got += len(frames)
    total += got
print(total, flush=True)
answer = link.ask(msg.Detach(2))
print(type(answer).__name__, flush=True)
"""


def test_a_process_of_its_own(served: Served) -> None:
    with served.running():
        child = program(served.path, REFLECT)
        out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    name, port = out.splitlines()[0].split()
    assert name == "Granted" and 49152 <= int(port) <= 65535
    assert out.splitlines()[1:] == ["160", "Done"]
    served.turns()
    served.check_empty()


ENDLESS = """
link.ask(msg.Listen(1, 6, 80))
flow = link.ask(msg.Connect(2, 6, bytes((10, 0, 0, 9)), 5000))
link.ask(msg.Mark(3, flow.token, "established"))
print(flow.token, flush=True)
while True:
    link.send([bytes(1000)] * 16)
    link.wait(10**9)
    link.recv()
"""


@pytest.mark.parametrize("turn", range(3))
def test_killed_in_mid_traffic(served: Served, turn: int) -> None:
    """Drained, then freed; the established flow lingers, the rest is free, others notice nothing."""
    with served.running(), connect(served.path) as other:
        kept = other.ask(msg.Listen(other.cookie(), TCP, 81))
        child = program(served.path, ENDLESS)
        assert child.stdout is not None
        token = int(child.stdout.readline())
        time.sleep(0.05 * turn)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.communicate()
        again = other.ask(msg.Listen(other.cookie(), TCP, 80))
        while isinstance(again, msg.Refused):  # the end is noticed at the simulator's next look
            again = other.ask(msg.Listen(other.cookie(), TCP, 80))
        assert isinstance(kept, msg.Granted) and isinstance(again, msg.Granted)
        other.send([b"x" * 60])
        assert other.wait(10**12) and other.recv() == [b"x" * 60]
    served.turns()
    assert served.nic.journal[:2] == ["closed 2", "freed 2"]
    assert [(entry.token, died) for entry, died in served.arbiter.take_left()] == [(token, True)]
    assert served.core.counts["hung up"] == 2
    served.check_empty()


@pytest.mark.parametrize(
    "how", ["import os; os._exit(3)", "raise SystemExit(3)", "link.close(); raise SystemExit(3)"]
)
def test_an_exit_and_a_close_are_as_a_kill(served: Served, how: str) -> None:
    with served.running():
        child = program(served.path, "link.ask(msg.Listen(1, 6, 80))\n" + how)
        child.communicate(timeout=60)
    assert child.returncode == 3
    served.turns()
    served.check_empty()


def test_a_wait_ends_at_its_simulated_time(served: Served) -> None:
    """Nothing happens and everybody sleeps: simulated time jumps, wall time does not go by."""
    with served.running(), connect(served.path) as link:
        began_ns, began_s = link.now_ns(), time.monotonic()
        assert not link.wait(60_000_000_000)
        assert link.now_ns() - began_ns == 60_000_000_000
        assert time.monotonic() - began_s < 10


def test_an_event_ends_a_wait(served: Served) -> None:
    with served.running(), connect(served.path) as link:
        link.request(msg.Connect(7, TCP, PEER, 80))
        assert link.wait(10**15)
        assert [event.cookie for event in link.events()] == [7]


def test_refused_with_the_reason(tmp_path: Path) -> None:
    host = Served(tmp_path / "s", pairs=2)
    with host.running(), connect(host.path):
        with pytest.raises(ChannelRefused) as caught:
            connect(host.path)
        assert caught.value.errno == errno.EBUSY
        with pytest.raises(ChannelRefused) as caught:
            connect(host.path, rx_slots=4096)
        assert caught.value.errno == errno.EINVAL
    host.turns()
    host.close()
    strict = Served(tmp_path / "s", allowed=lambda credentials: credentials.pid != os.getpid())
    with strict.running(), pytest.raises(ChannelRefused) as caught:
        connect(strict.path)
    assert caught.value.errno == errno.EPERM
    strict.close()


def test_a_simulator_that_ends_is_told_of(served: Served) -> None:
    with served.running():
        link = connect(served.path)
    for session in served.core:
        served.core.end(session, errno.ENETDOWN, "the simulation ends", served.now_ns)
    served.turn()
    with pytest.raises(ChannelClosed, match="the simulation ends"):
        while True:
            link.wait(1000)
            link.events()
    link.close()
    link.close()


def test_a_server_that_does_not_answer(served: Served) -> None:
    with pytest.raises(ChannelTimeout):
        connect(served.path, timeout_s=0.05)
    served.turns()
    with served.running():
        link = connect(served.path)
    with link, pytest.raises(ChannelTimeout):
        link.ask(msg.LeaseIds(1), timeout_s=0.05)
    served.turns()
    served.check_empty()


def test_credentials_are_the_kernels(served: Served) -> None:
    with Raw(served.path) as raw:
        raw.hello()
        served.turns()
        (client,) = served.arbiter.clients
        assert (client.credentials.uid, client.credentials.pid) == (os.getuid(), os.getpid())
    served.turns()
