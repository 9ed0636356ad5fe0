# SPDX-License-Identifier: Apache-2.0
"""The C++ models without a simulator: a shared library of them, driven cycle by cycle as the top does."""

import ctypes
import shutil
import subprocess
from ctypes import POINTER, byref, c_int, c_uint, c_uint8, c_uint32, c_uint64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim import build_objects, fast_lib
from sim.build_flags import ROOT
from sim.fast_build import MODELS
from sim.fast_config import FastConfig
from sim.fast_errors import ErrorInjection
from sim.fast_wire import FastWire
from sim.memory import HostMemory

BEAT_BYTES = 64
SIZE_LOG2 = 6
INCR = 1
FLAG_R, FLAG_B, FLAG_RX, FLAG_BAR, FLAG_EVENT, FLAG_FATAL = (1 << n for n in range(6))
FLAG_MAY_STOP = 1 << 11
Beat = c_uint8 * BEAT_BYTES


def library(folder: Path) -> Path:
    """Return a fresh copy of the models' shared library: each copy that is loaded has a state of its own."""
    parts = build_objects.compile_all([ROOT / name for name in MODELS], ["-fPIC"])
    path = folder / "models.so"
    subprocess.run(["g++", "-shared", "-o", str(path), *map(str, parts)], check=True)
    return path


@dataclass(frozen=True, slots=True)
class ReadBeat:
    """One beat of read data; cycle is the one of its handshake."""

    cycle: int
    axi_id: int
    response: int
    last: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class WriteAnswer:
    cycle: int
    axi_id: int
    response: int


@dataclass(slots=True)
class Models:
    """One set of models. step() is a clock cycle; the NIC's side is always ready unless said otherwise."""

    lib: ctypes.CDLL
    reads: list[ReadBeat] = field(default_factory=list)
    answers: list[WriteAnswer] = field(default_factory=list)
    rx: list[tuple[bytes, bool, bool]] = field(default_factory=list)  # valid bytes, last, bad
    events: list[int] = field(default_factory=list)  # cycles
    flags: int = 0

    @classmethod
    def load(cls, path: Path, config: FastConfig | None = None, seed: int = 1) -> "Models":
        copy = path.with_name(f"models{len(list(path.parent.iterdir()))}.so")
        shutil.copy(path, copy)
        lib = fast_lib.load(str(copy))
        lib.fast_read.argtypes = lib.fast_write.argtypes = [c_uint64, *[c_int] * 5]
        lib.fast_write_data.argtypes = lib.fast_tx.argtypes = [Beat, c_uint64, c_int]
        lib.fast_read_data.argtypes = [Beat, *[POINTER(c_uint)] * 3]
        lib.fast_write_response.argtypes = [POINTER(c_uint)] * 2
        lib.fast_rx.argtypes = [Beat, POINTER(c_uint64), POINTER(c_uint), POINTER(c_uint)]
        lib.fast_msix.argtypes = [c_uint64, c_uint32]
        lib.fast_bar_next.argtypes = [POINTER(c_uint)] * 4
        lib.fast_bar_done.argtypes = [c_uint, c_int, c_int]
        lib.fast_resume.argtypes = [c_uint64]
        lib.fast_fatal_text.restype = ctypes.c_char_p
        lib.fast_stop.restype = ctypes.c_int64
        lib.fast_begin(BEAT_BYTES)
        lib.tupelo_configure(byref((config or FastConfig()).struct(seed)))
        return cls(lib)

    def memory(self) -> HostMemory:
        """Return a host memory whose regions these models know."""
        return HostMemory(_Table(self.lib))

    def errors(self) -> ErrorInjection:
        return ErrorInjection(self.lib)

    def wire(self) -> FastWire:
        async def never(timeout_ns: int | None) -> None:
            raise AssertionError("no test waits here")

        return FastWire(self.lib, False, never)

    @property
    def cycle(self) -> int:
        """The cycle that the next step() will be."""
        return int(self.status.cycle)

    @property
    def status(self) -> Any:
        return self.lib.tupelo_status().contents

    @property
    def violation(self) -> str:
        text: bytes = self.lib.fast_fatal_text()
        return text.decode()

    def read(self, addr: int, beats: int = 1, axi_id: int = 0, queue: int = 0, size: int = SIZE_LOG2) -> None:
        """Hand a read address over in this cycle."""
        self.lib.fast_read(addr, axi_id, beats - 1, size, INCR, queue)

    def write(
        self, addr: int, data: bytes, axi_id: int = 0, queue: int = 0, strobe: int | None = None
    ) -> None:
        """Hand a write address and all its beats over in this cycle; strobe None: every byte of each beat."""
        beats = len(data) // BEAT_BYTES
        self.lib.fast_write(addr, axi_id, beats - 1, SIZE_LOG2, INCR, queue)
        for k in range(beats):
            beat = Beat.from_buffer_copy(data, k * BEAT_BYTES)
            self.lib.fast_write_data(beat, (1 << 64) - 1 if strobe is None else strobe, int(k == beats - 1))

    def send(self, frame: bytes) -> None:
        """The NIC puts a frame on the wire, a beat a cycle."""
        for at in range(0, len(frame), BEAT_BYTES):
            part = frame[at : at + BEAT_BYTES]
            beat = Beat.from_buffer_copy(part.ljust(BEAT_BYTES, b"\0"))
            self.lib.fast_tx(beat, (1 << len(part)) - 1, int(at + BEAT_BYTES >= len(frame)))
            self.step(busy=True)

    def step(self, cycles: int = 1, busy: bool = False) -> None:
        """Let cycles go by; what the models hand out is kept in reads, answers and rx."""
        for _ in range(cycles):
            cycle = self.cycle
            self.flags = self.lib.fast_tick(int(busy))
            if self.flags & FLAG_EVENT:
                self.events.append(cycle)
            if self.flags & FLAG_R:
                self._pop_read(cycle + 1)
            if self.flags & FLAG_B:
                axi_id, response = c_uint(), c_uint()
                self.lib.fast_write_response(byref(axi_id), byref(response))
                self.answers.append(WriteAnswer(cycle + 1, axi_id.value, response.value))
            if self.flags & FLAG_RX:
                self._pop_rx()

    def _pop_read(self, cycle: int) -> None:
        data, axi_id, response, last = Beat(), c_uint(), c_uint(), c_uint()
        self.lib.fast_read_data(data, byref(axi_id), byref(response), byref(last))
        self.reads.append(ReadBeat(cycle, axi_id.value, response.value, bool(last.value), bytes(data)))

    def _pop_rx(self) -> None:
        data, keep, last, bad = Beat(), c_uint64(), c_uint(), c_uint()
        self.lib.fast_rx(data, byref(keep), byref(last), byref(bad))
        valid = bytes(data)[: keep.value.bit_count()]
        self.rx.append((valid, bool(last.value), bool(bad.value)))


class _Table:
    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib = lib

    def region_added(self, iova: int, size_bytes: int, pointer: int) -> None:
        self._lib.tupelo_region_add(iova, size_bytes, pointer)

    def region_removed(self, iova: int) -> None:
        self._lib.tupelo_region_remove(iova)
