# SPDX-License-Identifier: Apache-2.0
"""A control socket with an arbiter whose NIC is a model of dicts and queues: no simulator.

The NIC sends each frame of a pair back to the same pair: enough to see rings, bells and wakes work.
"""

import gc
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from driver.arbiter.clients import ClosePair, OpenPair
from driver.bus import DmaRegion
from driver.channel import Arena, Shape
from driver.registers import Feature
from driver.tests.arbiter_bench import Bench
from driver.tests.model_queue import ENABLE, BusError, DeviceQueue
from sim.control_core import ControlCore, Limits
from sim.control_ground import ChannelGround
from sim.control_messages import PACKET_BYTES, VERSION, Hello, ToProgram, decode_to_program, encode
from sim.control_server import ControlServer
from sim.memory import HostMemory
from sim.pacing import Hold, Pacing

FEATURES = (1 << Feature.VERSION_1) | (1 << Feature.RING_PACKED)
BASE = Shape(0, 8, 8, 2048, FEATURES, 1514, 8)
MAC = bytes.fromhex("020000000001")
HEADER_BYTES = 12
RX_HEADER = bytes(10) + b"\x01\x00"  # one buffer
LOOK_NS = 5_000_000  # the thread looks that often whether it is to end


class Pair:
    """One queue pair of the model, in an arena."""

    def __init__(self, shape: Shape, region: DmaRegion, memory: HostMemory) -> None:
        arena = Arena(shape, region)

        def access(iova: int, size: int) -> memoryview:
            found = memory.find(iova, size)
            if found is None or found[0] is not region:
                raise BusError(f"{iova:#x}, {size} bytes")
            return found[0].view[found[1] : found[1] + size].data

        rings = [
            DeviceQueue(access, ring.size, ring.desc_iova, ring.driver_iova, ring.device_iova)
            for ring in (arena.rx_ring, arena.tx_ring)
        ]
        self.rx, self.tx = rings
        self.stopped = False
        for ring in rings:
            ring.ask(ENABLE)

    def move(self) -> bool:
        """Loop what there is back; return whether to interrupt."""
        wanted = False
        while not self.stopped:
            try:
                sent = self.tx.take() if self.rx.available() else None
                received = self.rx.take() if sent else None
                if sent is None or received is None:
                    break
                frame = self.tx.gather(sent)[HEADER_BYTES:]
                self.rx.scatter(received, RX_HEADER + frame)
                wanted |= self.tx.use(sent)
                wanted |= self.rx.use(received, HEADER_BYTES + len(frame))
            except (AssertionError, BusError):
                self.stopped = True  # a broken ring stops its own queue
        return wanted


class FakeNic:
    """The ArenaPairs of a ChannelGround, with a register of what happened."""

    def __init__(self, memory: HostMemory) -> None:
        self.memory = memory
        self.arenas: dict[int, tuple[Shape, DmaRegion]] = {}
        self.open: dict[int, Pair] = {}  # by stack
        self.journal: list[str] = []

    def give_arena(self, stack: int, shape: Shape, region: DmaRegion) -> None:
        self.arenas[stack] = (shape, region)

    def shape(self, stack: int) -> Shape:
        return self.arenas[stack][0]

    def doorbells(self, stack: int) -> tuple[int, ...]:
        return self.arenas[stack][0].doorbells if stack in self.arenas else ()

    def do(self, job: OpenPair | ClosePair) -> None:
        """Open or close a pair."""
        if isinstance(job, OpenPair):
            shape, region = self.arenas[job.stack]
            shape = replace(shape, pair=job.pair, doorbells=(0x1000 + 8 * job.pair, 0x1004 + 8 * job.pair))
            self.open[job.stack] = Pair(shape, region, self.memory)
            self.arenas[job.stack] = (shape, region)
        else:
            self.open.pop(job.stack)
            assert self.memory.find(self.arenas.pop(job.stack)[1].iova), "memory went before the pair"
            self.journal.append(f"closed {job.stack}")


class Served:
    """One arbiter with its control socket; `turn` is a look of the simulation's loop."""

    def __init__(self, path: Path, *, pairs: int = 4, seed: int = 1, **options: Any) -> None:
        self.bench = Bench(seed, pairs=pairs)
        self.arbiter = self.bench.arbiter
        self.memory = HostMemory()
        self.nic = FakeNic(self.memory)
        self.now_ns = 1
        self.pacing = Pacing()
        self.core_limits = options.pop("limits", Limits())
        self.ground = ChannelGround(
            self.arbiter, self.memory, self.nic, BASE, MAC, options.pop("pages", None)
        )
        self.core = ControlCore(self.arbiter, self.ground, self.core_limits)
        self.server = ControlServer(path, self.core, self.ground, **options)
        self.path = path
        self.longest_s = 0.0  # turn, waiting left out

    def turn(self, wait_ns: int = 0) -> None:
        """Take what came in, do all jobs, tell what is to be told; wait so long at most for something."""
        began_s = time.monotonic()
        self.server.poll(self.now_ns)
        for stack, _ in self.server.take_bells():
            if stack in self.nic.open and self.nic.open[stack].move():
                self.core.interrupt(stack)
        self._jobs()
        self.server.flush(self.now_ns)
        self.longest_s = max(self.longest_s, time.monotonic() - began_s)
        step = self.pacing.next(
            self.now_ns, time.monotonic_ns(), quiet=True, at_work=self.core.at_work,
            wanted_ns=self.core.next_deadline_ns(), kept_ns=self.arbiter.next_deadline_ns(),
        )  # fmt: skip
        if not isinstance(step, Hold):
            self.now_ns += step.for_ns
            self.ground.clock.set(self.now_ns)
            self.arbiter.on_timer(self.now_ns)
            wait_ns = 0
        elif step.wall_ns is not None:
            wait_ns = min(wait_ns, step.wall_ns)
        self.server.poll(self.now_ns, wait_ns)

    def _jobs(self) -> None:
        while (job := self.arbiter.next_job()) is not None:
            done = self.bench.hardware.do(job)
            if isinstance(job, OpenPair | ClosePair):
                self.nic.do(job)
            self.arbiter.job_done(job, done)
        for stack, event in self.arbiter.take_events():
            self.core.tell(stack, event, self.now_ns)
        for stack in self.arbiter.take_released():
            assert self.ground.release(stack)
            self.nic.journal.append(f"freed {stack}")
            self.core.released(stack, self.now_ns)

    def turns(self, count: int = 5) -> None:
        """A few looks, for things that take more than one."""
        for _ in range(count):
            self.turn()

    @contextmanager
    def running(self) -> Iterator["Served"]:
        """The loop in a thread of its own, for programs that wait."""
        end = threading.Event()
        failed: list[BaseException] = []

        def loop() -> None:
            try:
                while not end.is_set():
                    self.turn(LOOK_NS)
            except BaseException as error:
                failed.append(error)
                raise

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield self
        finally:
            end.set()
            thread.join(20)
            assert not thread.is_alive() and not failed, failed

    def check_alive(self) -> None:
        """A newcomer is served."""
        with Raw(self.path) as raw:
            raw.hello()
            self.turns()
            assert type(raw.read()[0]).__name__ == "Welcome"
        self.turns()

    def check_empty(self) -> None:
        """Nothing is left of any program."""
        self.bench.check()
        assert not list(self.core) and len(self.arbiter.clients) == 0
        assert not self.memory.regions() and not self.nic.open and not self.nic.arenas

    def close(self) -> None:
        """End of the test."""
        self.server.close()
        self.ground.close()


class Raw:
    """A program that says whatever it likes."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self.rights: list[int] = []
        try:
            self.sock.connect(os.fspath(path))
        except OSError:
            self.sock.close()
            raise

    def say(self, message: Any) -> None:
        self.sock.send(message if isinstance(message, bytes) else encode(message))

    def hello(self, **more: int) -> None:
        self.say(Hello(0, VERSION, **{"rx_slots": 8, "tx_slots": 8, **more}))

    def read(self) -> list[ToProgram]:
        """All packets that are there; the descriptors go to `rights`."""
        found: list[ToProgram] = []
        while True:
            try:
                raw, rights, _, _ = socket.recv_fds(self.sock, PACKET_BYTES, 16)
            except BlockingIOError:
                return found
            except ConnectionResetError:
                continue
            self.rights += rights
            if not raw:
                return found
            found.append(decode_to_program(raw))

    @property
    def closed(self) -> bool:
        """Whether the other side has hung up."""
        self.read()
        try:
            return self.sock.recv(1) == b""
        except BlockingIOError:
            return False

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()
        while self.rights:
            os.close(self.rights.pop())


def open_descriptors() -> list[str]:
    """What this process has open. A mapping has one of its own until it is garbage; a test's clock is not."""
    gc.collect()
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists them
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    return sorted(re.sub(r"\d+", "", link) for link in links if "tupelo-clock" not in link)
