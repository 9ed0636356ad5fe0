# SPDX-License-Identifier: Apache-2.0
"""Memory that one process writes and another can only read, with the pages of the arbiter in it."""

import ctypes
import errno
import fcntl
import mmap
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driver.arbiter.entries import TCP
from driver.arbiter.host_layout import HOST_SHAPE, STACK_SHAPE
from driver.arbiter.host_page import HostPage
from driver.arbiter.host_view import HostView
from driver.arbiter.parameters import DEFAULTS, INDEX
from driver.arbiter.registry_layout import size_bytes
from driver.arbiter.registry_page import RegistryPage
from driver.arbiter.registry_view import RegistryView
from driver.tests.page_model import plain
from sim.shared_memory import SharedMemory, SharedMemoryError, map_read_only
from userstack import Stack, StackConfig, TcpConfig
from userstack.host_info import FOLLOWED, config_from

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def shared() -> Iterator[SharedMemory]:
    with SharedMemory("test", HOST_SHAPE.size_bytes) as memory:
        yield memory


def child(code: str, fd: int) -> subprocess.CompletedProcess[str]:
    """Run code in a process that has nothing but the reader's descriptor, as `fd`."""
    return subprocess.run(
        [sys.executable, "-c", f"fd = {fd}\n{code}"],
        pass_fds=(fd,),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_the_writer_writes_the_reader_sees(shared: SharedMemory) -> None:
    assert shared.size_bytes % mmap.PAGESIZE == 0 and not shared.memory.readonly
    fd = shared.open_reader()
    view = map_read_only(fd)
    os.close(fd)
    shared.memory[5] = 77
    assert view[5] == 77 and view.readonly and len(view) == shared.size_bytes
    shared.close()
    shared.close()
    shared.memory[6] = 78
    assert view[6] == 78


def test_a_write_through_the_view_is_a_type_error(shared: SharedMemory) -> None:
    fd = shared.open_reader()
    result = child("from sim.shared_memory import map_read_only\nmap_read_only(fd)[0] = 1", fd)
    os.close(fd)
    assert result.returncode == 1 and "TypeError: cannot modify read-only memory" in result.stderr


WRITE_BY_POINTER = """
import ctypes
import numpy
from sim.shared_memory import map_read_only
view = map_read_only(fd)
address = numpy.frombuffer(view, numpy.uint8).ctypes.data
print(ctypes.string_at(address + 8, 1), flush=True)
ctypes.memset(address + 8, 1, 1)
print("written", flush=True)
"""


def test_a_write_by_a_pointer_kills_the_process_that_tries(shared: SharedMemory) -> None:
    shared.memory[8] = ord("x")
    fd = shared.open_reader()
    result = child(WRITE_BY_POINTER, fd)
    os.close(fd)
    assert (result.returncode, result.stdout) == (-signal.SIGSEGV, "b'x'\n")
    assert shared.memory[8] == ord("x")


def test_no_descriptor_can_be_turned_into_a_writable_one(shared: SharedMemory) -> None:
    """Not by mmap, mprotect, write or truncation; nor by opening it again, as its mode would allow."""
    reader = shared.open_reader()
    with pytest.raises(PermissionError):
        mmap.mmap(reader, 4096)
    again = os.open(f"/proc/self/fd/{reader}", os.O_RDWR)
    for attempt in (
        lambda: mmap.mmap(again, 4096),
        lambda: os.write(again, b"x"),
        lambda: os.ftruncate(again, 0),
        lambda: os.ftruncate(again, 1 << 20),
        lambda: fcntl.fcntl(again, fcntl.F_ADD_SEALS, 0),
    ):
        with pytest.raises(PermissionError):
            attempt()
    view = mmap.mmap(again, 4096, prot=mmap.PROT_READ)
    libc = ctypes.CDLL(None, use_errno=True)
    address = int(np.frombuffer(view, np.uint8).ctypes.data)
    assert libc.mprotect(ctypes.c_void_p(address), 4096, mmap.PROT_READ | mmap.PROT_WRITE) == -1
    assert ctypes.get_errno() == errno.EACCES
    os.close(again)
    os.close(reader)


def test_memory_that_its_owner_could_shrink_is_refused() -> None:
    fd = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)
    with pytest.raises(SharedMemoryError, match="not sealed"):
        map_read_only(fd)
    os.close(fd)
    with pytest.raises(SharedMemoryError):
        SharedMemory("none", 0)


FOLLOW = """
import random, sys
from driver.arbiter.host_view import HostView
from sim.shared_memory import map_read_only
from userstack import Stack, StackConfig
stack = Stack(StackConfig("02:00:00:00:00:01", "10.0.0.1"), random.Random(1), HostView(map_read_only(fd)))
for now_ns, line in enumerate(sys.stdin):
    stack.on_timer(now_ns)
    print(stack.tcp.config.keepalive_probes, stack.udp.ports, flush=True)
"""


def test_a_stack_in_another_process_takes_up_changes_while_it_runs(shared: SharedMemory) -> None:
    page = HostPage(shared.memory, HOST_SHAPE)
    fd = shared.open_reader()
    process = subprocess.Popen(
        [sys.executable, "-c", f"fd = {fd}\n{FOLLOW}"],
        pass_fds=(fd,),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(fd)
    assert process.stdin is not None and process.stdout is not None

    def ask() -> str:
        process.stdin.write("?\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        return process.stdout.readline()  # type: ignore[union-attr]

    try:
        assert ask() == "9 (49152, 65535)\n"
        page.set_parameters({"tcp_keepalive_probes": 3})
        assert ask() == "3 (49152, 65535)\n"
        page.set_parameters({"port_first": 32768, "port_last": 60999})
        assert ask() == "3 (32768, 60999)\n"
    finally:
        process.communicate(timeout=60)
    assert process.returncode == 0


READ_MANY = """
import sys
from driver.arbiter.host_view import HostView
from driver.arbiter.locked import NotConsistent
from sim.shared_memory import map_read_only
view = HostView(map_read_only(fd))
good = torn = busy = 0
values = set()
print("ready", flush=True)
while good < 20_000 or len(values) < 300:
    try:
        now = view.parameters().value
    except NotConsistent:
        busy += 1
        continue
    good += 1
    torn += now["tcp_recv_buffer_bytes"] * 2 != now["tcp_recv_buffer_max_bytes"]
    values.add(now["tcp_recv_buffer_bytes"])
print(torn, len(values), flush=True)
"""


def test_parameters_that_change_together_are_never_seen_apart(shared: SharedMemory) -> None:
    page = HostPage(shared.memory, HOST_SHAPE)
    page.set_parameters({"tcp_recv_buffer_bytes": 10_000, "tcp_recv_buffer_max_bytes": 20_000})
    fd = shared.open_reader()
    process = subprocess.Popen(
        [sys.executable, "-c", f"fd = {fd}\n{READ_MANY}"],
        pass_fds=(fd,),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(fd)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        size = 10_000
        while process.poll() is None:
            size = size + 1 if size < 1 << 28 else 10_000
            page.set_parameters({"tcp_recv_buffer_bytes": size, "tcp_recv_buffer_max_bytes": 2 * size})
    finally:
        text, _ = process.communicate(timeout=60)
    torn, values = map(int, text.split())
    assert torn == 0 and values >= 300


def test_registry_and_advice_reach_another_process() -> None:
    sizes = size_bytes(100), STACK_SHAPE.size_bytes
    with SharedMemory("registry", sizes[0]) as registry, SharedMemory("stack", sizes[1]) as own:
        page, advice = RegistryPage(registry.memory), HostPage(own.memory, STACK_SHAPE)
        views = []
        for memory in (registry, own):
            fd = memory.open_reader()
            views.append(map_read_only(fd))
            os.close(fd)
        page.put(entry := plain(1, 80))
        assert RegistryView(views[0]).holders(TCP, 80).entries == (entry,)
        slot = advice.open_flow(1, 7)
        advice.suspend_flow(slot, 1, True)
        found = HostView(views[1]).flow(slot, 1)
        assert found is not None and found.suspended


# What driver and userstack must agree on, though neither knows the other.


def test_stack_follows_parameters_that_the_table_has() -> None:
    assert set(INDEX) >= FOLLOWED


def test_the_defaults_of_the_table_are_those_of_the_stack() -> None:
    assert config_from(DEFAULTS, TcpConfig(), TcpConfig()) == TcpConfig()
    memory = memoryview(bytearray(HOST_SHAPE.size_bytes))
    HostPage(memory, HOST_SHAPE)
    config = StackConfig("02:00:00:00:00:01", "10.0.0.1")
    stack = Stack(config, random.Random(1), HostView(memory.toreadonly()))
    assert stack.config == config and stack.host is not None
    assert (stack.host.changes, stack.host.refused, stack.host.unread) == (0, 0, 0)
