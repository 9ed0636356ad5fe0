# SPDX-License-Identifier: Apache-2.0
"""Namespaces and programs of a lab: what they are, and that nothing stays behind, however the lab ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sim.build_flags import ROOT
from sim.linux.errors import LinuxError
from sim.linux.lab import TAP_NAME, Lab, LabConfig, SideConfig
from sim.linux.namespace import Namespace, Programs
from sim.linux.tests.conditions import TAP_MARKS, needs

pytestmark = TAP_MARKS
# A lab with a program in it that has made itself a daemon; says where they are, then waits to be ended.
PROGRAM = """
import subprocess, sys
from sim.linux.lab import Lab
DAEMON = '''
import os, time
os.fork() and os._exit(0)
os.setsid()
os.fork() and os._exit(0)
print(os.readlink("/proc/self"), flush=True)
time.sleep(600)
'''
with Lab() as lab:
    daemon = lab.host.namespace.popen([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE, text=True)
    print(lab.host.namespace.path, daemon.stdout.readline().strip(), flush=True)
    END
"""
ENDS = {
    "block": "pass",
    "exception": "raise RuntimeError",
    "exit": "import os; os._exit(3)",
    "abort": "import os; os.abort()",
    "SIGINT": "import time; time.sleep(600)",
    "SIGTERM": "import time; time.sleep(600)",
    "SIGKILL": "import time; time.sleep(600)",
}


@pytest.fixture
def witness() -> Iterator[Namespace]:
    """A namespace of the test's own, to hold one end of a cable whose other end is in the lab."""
    programs = Programs()
    with Namespace("witness", programs) as namespace:
        yield namespace
        programs.close()


def eventually(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def interfaces(namespace: Namespace) -> list[str]:
    lines = namespace.run(lambda: Path("/proc/thread-self/net/dev").read_text()).splitlines()[2:]
    return [line.split(":")[0].strip() for line in lines]


@needs("ip")
@pytest.mark.parametrize("end", list(ENDS))
def test_nothing_stays_behind(end: str, witness: Namespace) -> None:
    """The kernel itself takes back both namespaces, TAPs and every program, daemons included.

    A cable (veth pair) from the witness into the lab proves it: its end in the witness is removed with the
    other end, that is when the lab's namespace is really gone.
    """
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("END", "sys.stdin.readline(); " + ENDS[end])],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdin and child.stdout
    path, daemon = child.stdout.readline().split()
    cable = ["ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", path]
    assert witness.popen(cable).wait() == 0
    assert "near" in interfaces(witness)
    assert Path(f"/proc/{daemon}").exists()
    child.stdin.write("\n")
    child.stdin.flush()
    if end.startswith("SIG"):
        time.sleep(0.1)
        child.send_signal(getattr(signal, end))
    child.communicate()
    assert child.returncode != 0 or end == "block"
    eventually(lambda: "near" not in interfaces(witness), "the lab's namespace is still there")
    assert not Path(f"/proc/{daemon}").exists()


def test_sides_are_as_configured() -> None:
    config = LabConfig(
        host=SideConfig(("192.0.2.1/25", "2001:db8::1/64"), bytes.fromhex("02aabbccdd01"), offloads=True),
        remote=SideConfig(("192.0.2.2/25",), bytes.fromhex("02aabbccdd02")),
        mtu_bytes=4000,
    )
    with Lab(config) as lab:
        host = {link.name: link for link in lab.host.interfaces.state.links()}
        assert host["lo"].up
        assert (host[TAP_NAME].mtu_bytes, host[TAP_NAME].mac) == (4000, bytes.fromhex("02aabbccdd01"))
        assert host[TAP_NAME].up and host[TAP_NAME].running
        addresses = [(a.family, a.prefix, a.tentative) for a in lab.host.interfaces.state.addresses()]
        assert (4, 25, False) in addresses and (6, 64, False) in addresses
        assert all(a.family == 4 for a in lab.remote.interfaces.state.addresses())
        assert (lab.host.tap.offloads, lab.remote.tap.offloads) == (True, False)


def test_quiet_tap_sends_nothing() -> None:
    with Lab() as lab:
        time.sleep(1.0)
        assert lab.host.tap.recv_raw() == [] == lab.remote.tap.recv_raw()


def test_two_labs_do_not_meet() -> None:
    with Lab() as one, Lab() as two:
        assert os.stat(one.host.namespace.path).st_ino != os.stat(two.host.namespace.path).st_ino
        assert os.stat(one.host.namespace.path).st_ino != os.stat(one.remote.namespace.path).st_ino


def test_thread_comes_back_after_an_error_inside() -> None:
    before = os.readlink("/proc/thread-self/ns/net")

    def fail() -> None:
        assert os.readlink("/proc/thread-self/ns/net") != before
        raise KeyError("inside")

    with Namespace("one") as namespace:
        with pytest.raises(KeyError):
            namespace.run(fail)
        assert os.readlink("/proc/thread-self/ns/net") == before
    with pytest.raises(LinuxError, match="closed"):
        namespace.run(fail)


def test_descriptors_and_threads_are_given_back() -> None:
    def count() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    with Lab():
        pass
    before = count()
    for _ in range(20):
        with Lab() as lab:
            lab.host.namespace.popen(["true"])
    assert count() == before


def test_missing_program_and_bad_setting_are_said() -> None:
    with Lab() as lab:
        with pytest.raises(FileNotFoundError):
            lab.host.namespace.popen(["no-such-program"])
        with pytest.raises(LinuxError, match=r"host: sysctl net\.ipv4\.no_such"):
            lab.host.namespace.sysctl("ipv4.no_such", "1")
        assert lab.host.namespace.sysctl("ipv4.ip_forward") in "01"


def test_failed_setup_leaves_nothing() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LinuxError), Lab(LabConfig(mtu_bytes=1 << 20)):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
