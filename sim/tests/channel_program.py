# SPDX-License-Identifier: Apache-2.0
"""The programs of test_channel_fast.py: a stack in a process of its own, on the RTL. Run as a script, the
process's part.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cocotb
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from driver.arbiter import messages as msg
from sim.arbiter_rig import ArbiterRig
from sim.bench_channels import SOCKET_VARIABLE, run_program
from sim.channel_client import Link, connect, step
from sim.channel_host import ChannelHost
from sim.fast import FastHarness

HERE, PEER, PEER_MAC = "10.0.0.1", "10.0.0.9", "02:00:00:00:00:09"
UDP_PROTO, ECHO = 17, 7
FRAMES, BATCH = 256, 16
LOOKS = 200  # of the loop, while a victim has its channel, until it is killed


def script(*arguments: str) -> list[str]:
    """How the process is started."""
    return [sys.executable, "-m", "sim.tests.channel_program", *arguments]


async def echo(harness: FastHarness) -> None:
    """The other end of the wire: each frame goes back."""
    while True:
        await harness.wire.wait()
        frames = [Ether(raw) for raw in harness.wire.take()]
        back = []
        for frame in frames:
            ip, udp = frame[IP], frame[UDP]
            answer = Ether(dst=frame.src, src=frame.dst) / IP(src=ip.dst, dst=ip.src)
            back.append(bytes(answer / UDP(sport=udp.dport, dport=udp.sport) / bytes(udp.payload)))
        harness.wire.send(back)


async def started(harness: FastHarness, folder: str) -> tuple[ArbiterRig, ChannelHost]:
    """A rig with a control socket and a peer."""
    rig = await ArbiterRig.start(harness, [HERE], 24, 1)
    return rig, ChannelHost(rig, Path(folder) / "control")


async def alone(harness: FastHarness, folder: str) -> dict[str, Any]:
    """A program that sends, receives, sleeps in simulated time and leaves in order."""
    rig, host = await started(harness, folder)
    regions = len(harness.memory.regions())
    peer = cocotb.start_soon(echo(harness))
    done = await run_program(host, script("talk"))
    await rig.work()
    peer.cancel()
    seen = {
        "status": done.returncode,
        "said": done.stdout.split(),
        "left": len(harness.memory.regions()) - regions,
        "differences": await rig.differences(),
    }
    await host.close()
    await rig.nic.stop()
    return seen


async def killed(harness: FastHarness, folder: str, victim: str, times: int) -> dict[str, Any]:
    """Programs are killed while they are at it; another one's echoes all come."""
    rig, host = await started(harness, folder)
    regions = len(harness.memory.regions())
    peer = cocotb.start_soon(echo(harness))
    victims: list[subprocess.Popen[bytes]] = []
    env = {**os.environ, SOCKET_VARIABLE: str(host.server.path)}
    good = subprocess.Popen(script("talk"), env=env, stdout=subprocess.PIPE, text=True)
    ended = os.pidfd_open(good.pid)
    host.server.watch(ended)
    looks = 0

    def over() -> bool:
        nonlocal looks
        looks += rig.arbiter.clients.find(good_stack + len(victims)) is not None
        if victims and victims[-1].returncode is None and looks > LOOKS:
            victims[-1].send_signal(signal.SIGKILL)
            victims[-1].wait()
        if not victims or (victims[-1].returncode is not None and len(victims) < times):
            looks = 0
            victims.append(subprocess.Popen(script(victim), env=env))
        return good.poll() is not None and victims[-1].returncode is not None

    await host.run(lambda: len(rig.arbiter.clients) > 0)
    good_stack = next(iter(rig.arbiter.clients)).stack
    await host.run(over)
    os.close(ended)
    assert good.stdout is not None
    seen = {"status": good.returncode, "said": good.stdout.read().split(), "killed": len(victims)}
    good.stdout.close()
    peer.cancel()
    await harness.sleep(100_000)
    await host.close()
    seen["left"] = len(harness.memory.regions()) - regions
    seen["differences"] = await rig.differences()
    await rig.nic.stop()
    return seen


# ---- in the process


def _frame(link: Link, port: int, payload: bytes) -> bytes:
    link_layer = Ether(dst=PEER_MAC, src=link.mac.hex(":"))
    return bytes(link_layer / IP(src=HERE, dst=PEER) / UDP(sport=port, dport=ECHO) / payload)


def _flow(link: Link) -> int:
    granted = link.ask(msg.Connect(link.cookie(), UDP_PROTO, bytes((10, 0, 0, 9)), ECHO))
    assert isinstance(granted, msg.Granted), granted
    return granted.local_port


def talk() -> None:
    """Send in batches, wait for each batch's echo, sleep, detach; say what was seen."""
    with connect(os.environ[SOCKET_VARIABLE], rx_slots=64, tx_slots=64) as link:
        port, got = _flow(link), 0
        for first in range(0, FRAMES, BATCH):
            payloads = [bytes([first & 255, n]) * 100 for n in range(BATCH)]
            assert link.send([_frame(link, port, payload) for payload in payloads]) == BATCH
            back: list[bytes] = []
            while len(back) < BATCH:
                assert link.wait(1_000_000_000), f"echoes are missing: {first=}, {len(back)}"
                back += link.recv()
            assert [bytes(Ether(raw)[UDP].payload) for raw in back] == payloads
            got += len(back)
        began_ns = link.now_ns()
        assert not link.wait(5_000_000_000)
        print(got, link.now_ns() - began_ns >= 5_000_000_000, type(link.ask(msg.Detach(1))).__name__)


def flood() -> None:
    """Send and receive without end."""
    link = connect(os.environ[SOCKET_VARIABLE], rx_slots=64, tx_slots=64)
    frame = _frame(link, _flow(link), bytes(500))
    while True:
        link.send([frame] * 32)
        link.wait(1_000_000)
        link.recv()


def vandal() -> None:
    """Random bytes into the arena, rings and buffers alike, bells and requests without end."""
    rng = random.Random(1)
    link = connect(os.environ[SOCKET_VARIABLE], rx_slots=64, tx_slots=64)
    arena = link.arena
    step(link.port.ring(link.channel.shape.doorbells[0], 0, 2))
    while True:
        at = rng.randrange(4096 * 2) if rng.random() < 0.5 else rng.randrange(arena.size_bytes - 64)
        arena.view[at : at + 64] = list(rng.randbytes(64))
        for doorbell in link.channel.shape.doorbells:
            step(link.port.ring(doorbell, 0, 2))
        link.request(msg.Mark(1, rng.getrandbits(8), "x"))
        link.events()


if __name__ == "__main__":
    {"talk": talk, "flood": flood, "vandal": vandal}[sys.argv[1]]()
