# SPDX-License-Identifier: Apache-2.0
"""`tupelo synth`: what the NIC costs in an FPGA, and how fast its clock can be; figures by name."""

import json
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sim import synth_flow, synth_read
from sim.report import number, print_table
from sim.synth_flow import Config, Ecp5Result, XilinxResult

# Two queues, and every table as small as makes sense with them: it has to leave the ECP5 room to route.
_SMALL = {"flows": 64, "listeners": 64, "rd_slots": 32, "desc_cache": 32, "queue_size_max": 256}
AREA_CONFIGS = (Config(8, 512), Config(1, 128, **_SMALL))  # the default, and the one whose clock is measured
CLOCK_CONFIG = AREA_CONFIGS[1]  # place and route takes minutes even so
SHOWN_MEMORY_BITS = 1024

# "module.array" -> why it may be more than 16 kbit of flip-flops. A waiver that nothing needs fails, too.
WAIVERS: dict[str, str] = {}

# End of an instance's path -> why it may take more than LUTRAM_LIMIT_BITS of LUTs. One not needed fails, too.
LUTRAM_LIMIT_BITS = 8 * 1024
LUTRAM_REASONS: dict[str, str] = {
    "u_guard.u_record.mem": "64 frames deep, read without a register; six block RAMs would be an eighth full",
    "u_guard.u_ask.mem": "64 look-ups deep, read without a register; five block RAMs would be an eighth full",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """All results of a run and what is wrong with them."""

    areas: list[XilinxResult]
    clock: Ecp5Result
    seconds: float
    peak_mb: float

    def large(self) -> list[tuple[Config, synth_read.Memory]]:
        """Memories and registers above the limit, waived or not."""
        return [
            (r.config, m) for r in self.areas for part in synth_read.oversized(_in_ffs(r), {}) for m in part
        ]

    def problems(
        self, waivers: Mapping[str, str] = WAIVERS, reasons: Mapping[str, str] = LUTRAM_REASONS
    ) -> list[str]:
        """Return what makes the run fail, a line each."""
        lines = [
            f"{config.label}: {memory.name} is in flip-flops: {shape(memory)} = {memory.bits:,} bits"
            f" ({memory.path})"
            for config, memory in self.large()
            if memory.name not in waivers
        ]
        needed = {memory.name for _, memory in self.large()}
        lines += [f"waiver of {name} is not needed: remove it" for name in waivers if name not in needed]
        return lines + self._lutram_problems(reasons)

    def _lutram_problems(self, reasons: Mapping[str, str]) -> list[str]:
        """Memories in LUTs above LUTRAM_LIMIT_BITS without a reason, and reasons of none."""
        large = [
            (r.config, m)
            for r in self.areas
            for m in r.memories
            if m.kind == "lutram" and m.bits > LUTRAM_LIMIT_BITS
        ]
        return [
            f"{config.label}: {m.path} is in LUTs without a reason: {shape(m)} = {m.bits:,} bits"
            for config, m in large
            if _reason(m, reasons) is None
        ] + [
            f"reason of {end} is not needed: remove it"
            for end in reasons
            if not any(m.path.endswith(end) for _, m in large)
        ]


def _reason(memory: synth_read.Memory, reasons: Mapping[str, str]) -> str | None:
    return next((text for end, text in reasons.items() if memory.path.endswith(end)), None)


def _in_ffs(result: XilinxResult) -> list[synth_read.Memory]:
    return result.memories + result.registers


def shape(memory: synth_read.Memory) -> str:
    """Return words x bits, or bits alone of a register."""
    return f"{memory.width_bits:,}" if memory.words == 1 else f"{memory.words:,} x {memory.width_bits:,}"


def run_synth(out: Path, folder: Path, jobs: int = 2) -> Outcome:
    """Run all configurations, `jobs` at a time, and write the figures to `out`.

    `folder` keeps scripts, logs and reports of the tools. The longest job starts first. BuildError if a
    tool fails.
    """
    start = time.perf_counter()
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        say = synth_flow.say_to_stderr(f"ecp5 {CLOCK_CONFIG.label}")
        clock = pool.submit(synth_flow.run_ecp5, CLOCK_CONFIG, folder, say)
        areas: list[Future[XilinxResult]] = []
        for config in AREA_CONFIGS:
            say = synth_flow.say_to_stderr(f"xc {config.label}")
            areas.append(pool.submit(synth_flow.run_xilinx, config, folder, say))
        outcome = Outcome(
            [area.result() for area in areas],
            clock.result(),
            time.perf_counter() - start,
            synth_flow.peak_mb(),
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures(outcome), indent=2) + "\n")
    return outcome


def figures(outcome: Outcome) -> dict[str, float]:
    """Return every figure by name: xc_8x512_lut, xc_8x512_tupelo_stats_ff, ecp5_2x128_fmax_mhz, ..."""
    found: dict[str, float] = {}
    for result in outcome.areas:
        prefix = f"xc_{result.config.label}"
        found |= _area_figures(prefix, synth_read.total(result.areas))
        for kind in ("ff", "lutram", "bram"):
            found[f"{prefix}_memory_{kind}_bits"] = sum(m.bits for m in result.memories if m.kind == kind)
        found[f"{prefix}_largest_ff_memory_bits"] = max(
            (m.bits for m in _in_ffs(result) if m.kind == "ff"), default=0
        )
        found[f"{prefix}_seconds"] = round(result.seconds, 1)
        for module, area in sorted(result.areas.items()):
            found |= _area_figures(f"{prefix}_{module}", area)
    clock = outcome.clock
    prefix = f"ecp5_{clock.config.label}"
    found[f"{prefix}_fmax_mhz"] = round(clock.fmax_mhz, 2)
    found |= {f"{prefix}_{key}": value for key, value in clock.used.items()}
    found[f"{prefix}_seconds"] = round(clock.seconds, 1)
    found["synth_seconds"] = round(outcome.seconds, 1)
    found["synth_peak_mb"] = round(outcome.peak_mb)
    return found


def _area_figures(prefix: str, area: synth_read.Area) -> dict[str, float]:
    return {
        f"{prefix}_lut": area.luts + area.lutram_luts,
        f"{prefix}_lut_logic": area.luts,
        f"{prefix}_lut_ram": area.lutram_luts,
        f"{prefix}_ff": area.ffs,
        f"{prefix}_bram36": area.bram36,
        f"{prefix}_dsp": area.dsps,
    }


def print_outcome(outcome: Outcome) -> None:
    """Print the tables: area by module, large memories, clock."""
    for result in outcome.areas:
        rows = [("all", *_cells(synth_read.total(result.areas)))]
        largest_first = sorted(result.areas.items(), key=lambda item: -item[1].luts - item[1].lutram_luts)
        rows += [(name, *_cells(area)) for name, area in largest_first]
        title = (
            f"UltraScale+, {result.config.label} (queue pairs x bits), {result.config.sizes}; "
            "a module without those below it"
        )
        print_table(title, rows, ("module", "LUT", "of them RAM", "FF", "BRAM36"))
        _print_memories(result)
    clock = outcome.clock
    start, end, logic_ns, wires_ns = clock.path
    rows = [
        ("clock", f"{clock.fmax_mhz:.1f} MHz"),
        ("slowest path from", start),
        ("to", end),
        ("in logic / in wires", f"{logic_ns:.1f} ns / {wires_ns:.1f} ns"),
        *((key, number(value)) for key, value in clock.used.items()),
    ]
    part = "LFE5U-85F speed grade 6, with the harness's registers"
    print_table(f"ECP5, {clock.config.label}, {clock.config.sizes}; {part}", rows)


def _cells(area: synth_read.Area) -> tuple[str, ...]:
    return (f"{area.luts + area.lutram_luts:,}", f"{area.lutram_luts:,}", f"{area.ffs:,}", f"{area.bram36:g}")


def _print_memories(result: XilinxResult) -> None:
    """Every memory of more than SHOWN_MEMORY_BITS that is not in block RAM, the largest first."""
    where = {"ff": "flip-flops", "lutram": "LUT RAM", "rom": "logic (never written)"}
    found = [m for m in _in_ffs(result) if m.kind != "bram" and m.bits >= SHOWN_MEMORY_BITS]
    rows = [
        (m.path, m.name, shape(m), f"{m.bits:,}", where[m.kind]) for m in sorted(found, key=lambda m: -m.bits)
    ]
    headings = ("instance", "module.array", "words x bits", "bits", "in")
    print_table(f"{result.config.label}: memories of 1 kbit and more outside block RAM", rows, headings)
    kept = [(m.path, why) for m in found if m.kind == "lutram" and (why := _reason(m, LUTRAM_REASONS))]
    title = f"{result.config.label}: why those above {LUTRAM_LIMIT_BITS:,} bits are in LUTs"
    print_table(title, kept, ("instance", "why"))
