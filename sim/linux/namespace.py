# SPDX-License-Identifier: Apache-2.0
"""Network namespaces without a name, and a process namespace that takes its programs along when it goes.

A namespace is held by nothing but file descriptors and the processes in it, so that the kernel itself removes
it when this process ends, whatever ended it: there is no name to clean up. Programs run in a process
namespace whose first process reads a pipe from us; when the pipe closes it ends, and the kernel kills the
rest, also those that have made themselves daemons (pid_namespaces(7)).
"""

import contextlib
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from sim.linux.errors import LinuxError, Unavailable

T = TypeVar("T")
CLONE_NEWNET = 0x4000_0000  # linux/sched.h
CLONE_NEWPID = 0x2000_0000
NEEDED_CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}  # linux/capability.h
TUN_DEVICE = Path("/dev/net/tun")
_libc = ctypes.CDLL(None, use_errno=True)


def _capabilities() -> set[int]:
    """The effective capabilities of this process."""
    text = Path("/proc/self/status").read_text()
    bits = int(next(line.split()[1] for line in text.splitlines() if line.startswith("CapEff:")), 16)
    return {bit for bit in range(bits.bit_length()) if bits >> bit & 1}


def missing() -> str:
    """What this machine lacks for namespaces and TAPs, in words; empty if nothing."""
    if os.geteuid() != 0:
        return "needs root (namespaces, TAP devices, socket diagnosis)"
    if lack := sorted(set(NEEDED_CAPABILITIES) - _capabilities()):
        return (
            f"needs {', '.join(NEEDED_CAPABILITIES[bit] for bit in lack)} (root of a container without them?)"
        )
    if not TUN_DEVICE.exists():
        return f"needs {TUN_DEVICE} (kernel module tun)"
    if not Path("/proc/self/ns/net").exists():
        return "needs a kernel with network namespaces and /proc"
    return ""


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        raise LinuxError(ctypes.get_errno(), f"{name}{arguments}")


def _own(kind: str) -> int:
    return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def _in_thread(work: Callable[[], T]) -> T:
    """Run work in a thread that ends with it: what it unshares is no other thread's."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to the caller
            errors.append(error)

    thread = threading.Thread(target=body, name="namespace")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Programs:
    """A process namespace. close() kills every process in it, and so does the end of this process."""

    def __init__(self) -> None:
        def make() -> subprocess.Popen[bytes]:
            _call("unshare", CLONE_NEWPID)
            # Its own session: neither Ctrl-C nor a closed terminal reaches it before the pipe does.
            return subprocess.Popen(
                ["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )

        self._first = _in_thread(make)
        self._started: list[subprocess.Popen[Any]] = []
        self._outside = _own("pid")
        self.fd = os.open(f"/proc/{self._first.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def popen(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """subprocess.Popen, with the process in this namespace; FileNotFoundError without the program."""
        _call("setns", self.fd, CLONE_NEWPID)
        try:
            process = subprocess.Popen(arguments, **options)
        finally:
            _call("setns", self._outside, CLONE_NEWPID)
        self._started = [p for p in self._started if p.poll() is None]
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill all processes in here, at once, and wait until they are gone. A second call does nothing."""
        if self.fd < 0:
            return
        self._first.kill()
        if self._first.stdin:
            self._first.stdin.close()
        # The first process ends only when all others are reaped, and those are our children, not its.
        for process in self._started:
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):  # unwritten input of a process that is gone
                        stream.close()
        self._first.wait()
        os.close(self.fd)
        os.close(self._outside)
        self.fd = -1


class Namespace:
    """A new network namespace with its loopback up. `label` is for messages; it is no name in the system.

    `nsenter --net=PATH program`, with `path`, runs a program in it from another terminal.
    """

    def __init__(self, label: str, programs: Programs | None = None) -> None:
        self.label = label
        self._programs = programs
        self._outside = _own("net")

        def make() -> int:
            _call("unshare", CLONE_NEWNET)
            return _own("net")

        try:
            self.fd = _in_thread(make)
        except LinuxError as error:
            os.close(self._outside)
            raise Unavailable(f"namespace {label!r}: {missing() or error}") from error

    @property
    def path(self) -> str:
        """A path to the namespace, good while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def run(self, work: Callable[[], T]) -> T:
        """Run work in the calling thread, inside the namespace: sockets that it makes belong there."""
        if self.fd < 0:
            raise LinuxError(9, f"namespace {self.label!r} is closed")
        _call("setns", self.fd, CLONE_NEWNET)
        try:
            return work()
        finally:
            _call("setns", self._outside, CLONE_NEWNET)

    def popen(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program inside; it ends with the lab, also if this process is killed."""
        if self._programs is None:
            raise LinuxError(1, f"namespace {self.label!r} has no place for programs")
        programs = self._programs
        return self.run(lambda: programs.popen(arguments, **options))

    def sysctl(self, name: str, value: str | None = None) -> str:
        """Read net.NAME (dots or slashes), after setting it if a value is given; LinuxError if refused."""
        path = Path("/proc/sys/net") / (name if "/" in name else name.replace(".", "/"))

        def work() -> str:
            if value is not None:
                path.write_text(value)
            return path.read_text().strip()

        try:
            return self.run(work)
        except OSError as error:
            raise LinuxError(error.errno or 22, f"{self.label}: sysctl net.{name}={value}") from error

    def close(self) -> None:
        """Let go of it; the kernel removes it when no process and no descriptor is left in it."""
        if self.fd >= 0:
            os.close(self.fd)
            os.close(self._outside)
            self.fd = -1

    def __enter__(self) -> "Namespace":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
