# SPDX-License-Identifier: Apache-2.0
"""How long a connection takes to be set up: registry, hardware entry, answer; wall time, without the network.

In process: request, the entry written to the RTL, the answer as an event. Across processes: `Link.ask` in a
program of its own, from the request to the answer in its hands.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from driver.arbiter import messages as msg
from sim.arbiter_rig import ArbiterRig
from sim.channel_client import connect
from sim.channel_host import ChannelHost
from sim.fast import FastHarness

ADDRESS, PEER, TCP = "10.0.0.1", bytes((10, 0, 0, 9)), 6
WARM_UP = 20
SOCKET_VARIABLE = "TUPELO_SOCKET"


async def run_program(host: ChannelHost, argv: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program with TUPELO_SOCKET set, serve it until it ends; its status and what it printed."""
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(
            argv, stdout=out, env={**os.environ, SOCKET_VARIABLE: str(host.server.path), **env}
        )
        ended = os.pidfd_open(child.pid)
        try:
            host.server.watch(ended)
            await host.run(lambda: child.poll() is not None)
        finally:
            os.close(ended)
            child.kill()
            child.wait()
        out.seek(0)
        return subprocess.CompletedProcess(list(argv), child.returncode, out.read())


async def measure(harness: FastHarness, folder: str, count: int, progress: str = "") -> dict[str, float]:
    """Both figures, in us: the median of `count` connections each. folder: with a short name."""
    rig = await ArbiterRig.start(harness, [ADDRESS], 24, 1)
    inside = await _inside(rig, count)
    host = ChannelHost(rig, Path(folder) / "control")
    argv = [sys.executable, "-m", "sim.bench_channels", str(count)]
    done = await run_program(host, argv)
    await host.close()
    await rig.nic.stop()
    if done.returncode:
        raise RuntimeError(f"the measuring program ended with status {done.returncode}")
    return {"flow_setup_in_process_us": inside, "flow_setup_across_us": json.loads(done.stdout)}


async def _inside(rig: ArbiterRig, count: int) -> float:
    seat, times = rig.attach(), []
    await rig.work()
    for number in range(WARM_UP + count):
        began_s = time.perf_counter()
        request = msg.Connect(number, TCP, PEER, 80)
        rig.arbiter.request(seat.client.stack, request, rig.harness.now_ns())
        await rig.work()
        answer = seat.told[-1]
        times.append(time.perf_counter() - began_s)
        assert isinstance(answer, msg.Granted) and not answer.software
        rig.arbiter.request(seat.client.stack, msg.Close(number, answer.token, False), rig.harness.now_ns())
        await rig.work()
    return median(times[WARM_UP:]) * 1e6


def _across(count: int) -> float:
    """The program's part."""
    times = []
    with connect(os.environ[SOCKET_VARIABLE]) as link:
        for number in range(WARM_UP + count):
            began_s = time.perf_counter()
            answer = link.ask(msg.Connect(2 * number + 1, TCP, PEER, 80))
            times.append(time.perf_counter() - began_s)
            assert isinstance(answer, msg.Granted) and not answer.software, answer
            link.ask(msg.Close(2 * number + 2, answer.token, False))
        link.ask(msg.Detach(0))
    return median(times[WARM_UP:]) * 1e6


if __name__ == "__main__":
    print(json.dumps(_across(int(sys.argv[1]))))
