# SPDX-License-Identifier: Apache-2.0
"""ctypes prototypes of sim/cpp/fast_api.cpp.

cocotb runs Python in the simulator's process, so no call leaves it.
"""

import ctypes
from ctypes import POINTER, c_int, c_int64, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any

VECTORS = 256
IrqMask = c_uint64 * 4


class MemoryStruct(ctypes.Structure):
    """struct MemoryConfig in memory_model.h."""

    _fields_ = [
        ("read_latency", c_uint32),
        ("write_latency", c_uint32),
        ("read_jitter", c_uint32),
        ("write_jitter", c_uint32),
        ("reorder", c_uint32),
        ("interleave", c_uint32),
        ("random_sample", c_uint32),
        ("stall_aw", c_uint32),
        ("stall_w", c_uint32),
        ("stall_ar", c_uint32),
        ("stall_b", c_uint32),
        ("stall_r", c_uint32),
    ]


class WireStruct(ctypes.Structure):
    """struct WireConfig in wire_model.h."""

    _fields_ = [
        ("loopback", c_uint32),
        ("delay", c_uint32),
        ("queue_frames", c_uint32),
        ("stall_tx", c_uint32),
        ("stall_rx", c_uint32),
        ("gap", c_uint32),
        ("keep_frames", c_uint32),
    ]


class ConfigStruct(ctypes.Structure):
    """struct TupeloConfig in fast_api.cpp."""

    _fields_ = [
        ("memory", MemoryStruct),
        ("wire", WireStruct),
        ("idle_cycles", c_uint32),
        ("stall_msix", c_uint32),
        ("seed", c_uint64),
    ]


class StatusStruct(ctypes.Structure):
    """struct Status in fast_model.h; read in place."""

    _fields_ = [
        ("cycle", c_uint64),
        ("clocked", c_uint64),
        ("wakes", c_uint64),
        ("bar_done", c_uint64),
        ("msix_bad", c_uint64),
        ("irq_pending", c_uint64 * 4),
        ("stopped", c_uint32),
        ("fatal", c_uint32),
    ]


class ErrorRuleStruct(ctypes.Structure):
    """struct ErrorRule in memory_model.h."""

    _fields_ = [
        ("first", c_uint64),
        ("last", c_uint64),
        ("directions", c_uint32),
        ("chance", c_uint32),
        ("remaining", c_uint32),
        ("response", c_uint32),
    ]


class FaultStruct(ctypes.Structure):
    """struct Fault in memory_model.h."""

    _fields_ = [
        ("cycle", c_uint64),
        ("addr", c_uint64),
        ("bytes", c_uint32),
        ("direction", c_uint8),
        ("queue", c_uint8),
        ("id", c_uint8),
        ("response", c_uint8),
    ]


class MemoryCountersStruct(ctypes.Structure):
    """struct MemoryCounters in memory_model.h."""

    _fields_ = [
        (name, c_uint64)
        for name in (
            "reads",
            "read_beats",
            "writes",
            "write_beats",
            "read_errors",
            "write_errors",
            "max_reads",
            "max_writes",
        )
    ]


class WireCountersStruct(ctypes.Structure):
    """struct WireCounters in wire_model.h."""

    _fields_ = [
        (name, c_uint64)
        for name in ("tx_frames", "tx_bytes", "rx_frames", "rx_bytes", "dropped", "underruns")
    ]


PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "tupelo_configure": (None, [POINTER(ConfigStruct)]),
    "tupelo_status": (POINTER(StatusStruct), []),
    "tupelo_poll": (None, []),
    "tupelo_quiet": (c_int, []),
    "tupelo_set_deadline": (None, [c_uint64]),
    "tupelo_reset": (None, [c_uint32]),
    "tupelo_straps": (None, [c_uint64, c_uint32, c_uint32]),
    "tupelo_region_add": (None, [c_uint64, c_uint64, c_void_p]),
    "tupelo_region_remove": (c_int, [c_uint64]),
    "tupelo_error_rule": (None, [POINTER(ErrorRuleStruct)]),
    "tupelo_error_clear": (None, []),
    "tupelo_memory_counters": (None, [POINTER(MemoryCountersStruct)]),
    "tupelo_faults": (c_uint64, [POINTER(FaultStruct), c_uint64]),
    "tupelo_faults_count": (c_uint64, []),
    "tupelo_bar_push": (None, [c_uint32, c_uint32, c_uint32, c_uint32]),
    "tupelo_bar_answer": (c_int64, []),
    "tupelo_irq_want": (None, [POINTER(c_uint64)]),
    "tupelo_irq_take": (c_int, [POINTER(c_uint64), POINTER(c_uint64)]),
    "tupelo_wire_want": (None, [c_uint32, c_uint64]),
    "tupelo_wire_send": (c_uint32, [ctypes.c_char_p, c_void_p, c_uint32, c_uint32]),
    "tupelo_wire_waiting": (None, [POINTER(c_uint64), POINTER(c_uint64)]),
    "tupelo_wire_take": (None, [c_void_p, c_void_p, c_void_p, c_uint64]),
    "tupelo_wire_towards": (c_uint64, []),
    "tupelo_wire_counters": (None, [POINTER(WireCountersStruct)]),
}


def load(path: str | None = None) -> ctypes.CDLL:
    """Return the library with its prototypes set; path None: this process is the simulator.

    Raises AttributeError when the models are not linked into this process.
    """
    library = ctypes.CDLL(path)
    for name, (result, arguments) in PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
