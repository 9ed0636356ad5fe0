# SPDX-License-Identifier: Apache-2.0
"""Programs of the host and a user-space stack race for a port: exactly one side wins, every time."""

import mmap
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from sim.build_flags import ROOT
from sim.linux.host_kernel import HostKernel, PortTaken
from sim.linux.lab import Lab
from sim.linux.namespace import Namespace
from sim.linux.placeholder import Place
from sim.linux.tests import contender
from sim.linux.tests.conditions import TAP_MARKS
from sim.linux.tests.contender import How

pytestmark = TAP_MARKS
HOST4 = 0x0A4D0001
CONTENDERS = 2
# Of these the kernel itself lets several programs share a port.
SHARED = {How.TCP_REUSE, How.TCP_REUSEPORT, How.UDP_REUSE, How.TCP_CONNECT, How.UDP_CONNECT}
STUCK_S = 60


class Race:
    """Contenders in processes of their own, all let go by one store to shared memory."""

    def __init__(self, namespace: Namespace, path: Path, rng: random.Random) -> None:
        path.write_bytes(bytes(contender.FILE_BYTES))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), contender.FILE_BYTES)
        self._namespace, self._rng, self._round = namespace, rng, 0
        self._handicap_us = dict.fromkeys(How, 0.0)  # the stack waits so long; less than 0: the programs do
        self.programs: list[subprocess.Popen[bytes]] = [
            namespace.popen([sys.executable, "-m", contender.__name__, str(path), str(n)], cwd=ROOT)
            for n in range(CONTENDERS)
        ]

    def run(self, kernel: HostKernel, how: How, port: int) -> tuple[bool, int]:
        """One race: whether the stack has the port, and how many programs."""
        if how in (How.TCP_CONNECT, How.UDP_CONNECT):
            self._namespace.sysctl("ipv4.ip_local_port_range", f"{port} {port}")
        place = Place(17 if how >= How.UDP else 6, 4, HOST4, port)
        handicap_us = self._handicap_us[how] + self._rng.gauss(0, 20)
        contender.ORDER.pack_into(self._shared, contender.ORDER_AT, port, how, int(max(0, -handicap_us)), 0)
        self._go()
        contender.wait(handicap_us)
        try:
            kernel.reserve(place)
            ours = True
        except PortTaken:
            ours = False
        self._wait()
        # Whoever wins starts later the next time: that keeps the race as close as it can be.
        step_us = max(2.0, abs(self._handicap_us[how]) / 8)
        self._handicap_us[how] += step_us if ours else -step_us
        results = [self._word(n, 4) for n in range(CONTENDERS)]
        self._go()
        self._wait()
        if ours:
            kernel.release(place)
        return ours, sum(results)

    def stop(self) -> None:
        contender.WORD.pack_into(self._shared, contender.ROUND_AT, contender.STOP)
        for program in self.programs:
            assert program.wait() == 0
        self._shared.close()

    def _go(self) -> None:
        self._round += 1
        contender.WORD.pack_into(self._shared, contender.ROUND_AT, self._round)

    def _wait(self) -> None:
        deadline = time.monotonic() + STUCK_S
        while any(self._word(n, 0) != self._round for n in range(CONTENDERS)):
            os.sched_yield()
            assert time.monotonic() < deadline, f"round {self._round}: a program is stuck or dead"

    def _word(self, place: int, at: int) -> int:
        where = contender.RESULTS_AT + contender.RESULT_BYTES * place + at
        return int(contender.WORD.unpack_from(self._shared, where)[0])


def races(rounds: int, seed: int, path: Path) -> Counter[tuple[How, bool]]:
    """Run races, each way in turn; the count of wins by way and side."""
    rng = random.Random(seed)
    wins: Counter[tuple[How, bool]] = Counter()
    with Lab() as lab:
        kernel = HostKernel(lab.host.namespace)
        race = Race(lab.host.namespace, path, rng)
        for number in range(rounds):
            how = list(How)[number % len(How)]
            ours, programs = race.run(kernel, how, 20_000 + number % 20_000)
            where = f"round {number} of seed {seed}, {how.name}: stack {ours}, programs {programs}"
            assert ours != (programs > 0), where
            assert programs <= 1 or how in SHARED, where
            wins[how, ours] += 1
            lab.host.tap.recv_raw()  # what connecting programs have sent
        race.stop()
        kernel.close()
    return wins


def check(wins: Counter[tuple[How, bool]]) -> None:
    """It was a race: each side has won, whatever the program did."""
    print({f"{how.name} {'stack' if ours else 'program'}": n for (how, ours), n in sorted(wins.items())})
    assert {ours for _, ours in wins} == {False, True}


def test_one_side_wins_every_race(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    check(races(400, seed, tmp_path / "shared"))


@pytest.mark.slow
def test_one_side_wins_ten_thousand_races(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    wins = races(10_000, seed, tmp_path / "shared")
    check(wins)
    assert all(wins[how, ours] for how in How for ours in (False, True))
