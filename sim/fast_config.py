# SPDX-License-Identifier: Apache-2.0
"""Settings of the fast harness's models, with their units; the C++ side gets them as one structure."""

import ctypes
from dataclasses import dataclass, field
from typing import Any

from sim.fast_lib import ConfigStruct, MemoryStruct, WireStruct

MAX_LATENCY_CYCLES = 8191


class ConfigError(ValueError):
    """A setting is out of range."""


def _chance(name: str, value: float) -> int:
    """Return a probability as a count of 65536ths."""
    if not 0.0 <= value < 1.0:
        raise ConfigError(f"{name}={value}: a probability below 1")
    return int(value * 65536)


@dataclass(frozen=True, slots=True)
class MemoryConfig:
    """Host memory: latencies in cycles from the handshake to the first possible answer."""

    read_latency_cycles: int = 250
    write_latency_cycles: int = 250
    read_jitter_cycles: int = 0  # added: uniform in 0..jitter
    write_jitter_cycles: int = 0
    reorder: bool = False  # answers of different IDs pass each other
    interleave: bool = False  # beats of reads of different IDs mix
    random_moment: bool = False  # touch memory at a random moment of the latency, not in its middle
    stall_aw: float = 0.0  # chance that a channel does nothing in a cycle
    stall_w: float = 0.0
    stall_ar: float = 0.0
    stall_b: float = 0.0
    stall_r: float = 0.0

    def struct(self) -> MemoryStruct:
        """Return the C++ form; ConfigError when a value is out of range."""
        for name in (
            "read_latency_cycles",
            "write_latency_cycles",
            "read_jitter_cycles",
            "write_jitter_cycles",
        ):
            least = 2 if "latency" in name else 0
            if not least <= getattr(self, name) <= MAX_LATENCY_CYCLES:
                raise ConfigError(f"{name}={getattr(self, name)}: {least}..{MAX_LATENCY_CYCLES}")
        return MemoryStruct(
            self.read_latency_cycles,
            self.write_latency_cycles,
            self.read_jitter_cycles,
            self.write_jitter_cycles,
            int(self.reorder),
            int(self.interleave),
            int(self.random_moment),
            *(
                _chance(n, getattr(self, n))
                for n in ("stall_aw", "stall_w", "stall_ar", "stall_b", "stall_r")
            ),
        )


@dataclass(frozen=True, slots=True)
class WireConfig:
    """The wire: loopback, or frames to and from Python."""

    loopback: bool = False
    delay_cycles: int = 100  # from the last beat in to the first beat out
    queue_frames: int = 65536  # bound of the queue towards the NIC; the rest is dropped and counted
    stall_tx: float = 0.0
    stall_rx: float = 0.0
    gap_cycles: int = 0  # after each frame towards the NIC
    keep_frames: bool = False  # loopback gives Python a copy of each frame as well

    def struct(self) -> WireStruct:
        """Return the C++ form; ConfigError when a value is out of range."""
        if min(self.delay_cycles, self.gap_cycles) < 0 or self.queue_frames < 1:
            raise ConfigError(f"wire: negative time or empty queue: {self}")
        return WireStruct(
            int(self.loopback),
            self.delay_cycles,
            self.queue_frames,
            _chance("stall_tx", self.stall_tx),
            _chance("stall_rx", self.stall_rx),
            self.gap_cycles,
            int(self.keep_frames),
        )


@dataclass(frozen=True, slots=True)
class FastConfig:
    """All settings of a fast harness."""

    memory: MemoryConfig = field(default_factory=MemoryConfig)
    wire: WireConfig = field(default_factory=WireConfig)
    idle_cycles: int = 1024  # quiet cycles after which the clock may stand still; 0: never
    stall_msix: float = 0.0

    def struct(self, seed: int) -> ConfigStruct:
        """Return the C++ form; seed: any integer."""
        return ConfigStruct(
            self.memory.struct(),
            self.wire.struct(),
            self.idle_cycles,
            _chance("stall_msix", self.stall_msix),
            seed & 0xFFFF_FFFF_FFFF_FFFF,
        )


def stressed(stall: float = 0.2, jitter_cycles: int = 200) -> FastConfig:
    """Return settings that reorder, interleave and stall everything, for tests of ordering."""
    stalls = {f"stall_{name}": stall for name in ("aw", "w", "ar", "b", "r")}
    return FastConfig(
        memory=MemoryConfig(
            read_jitter_cycles=jitter_cycles,
            write_jitter_cycles=jitter_cycles,
            reorder=True,
            interleave=True,
            random_moment=True,
            **stalls,  # type: ignore[arg-type]  # floats only
        ),
        wire=WireConfig(stall_tx=stall, stall_rx=stall),
        stall_msix=stall,
    )


def as_dict(struct: ctypes.Structure) -> dict[str, Any]:
    """Return the fields of a flat C structure by name."""
    return {entry[0]: getattr(struct, entry[0]) for entry in struct._fields_}
