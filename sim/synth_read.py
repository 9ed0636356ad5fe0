# SPDX-License-Identifier: Apache-2.0
"""What yosys and nextpnr wrote -> numbers. Pure functions over text and parsed JSON; no tool runs here.

Three sources about memories are joined, because none of them is enough: the netlist just before memories are
mapped (names, sizes, ports), the log of `memory_libmap` (what each was mapped to), and the flip-flops of that
netlist (arrays that the frontend had already turned into registers, of which `memory_libmap` says nothing).
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim.build_flags import BuildError

Json = Mapping[str, Any]
FF_LIMIT_BITS = 16 * 1024
_FF_MAPPED = re.compile(r"^using FF mapping for memory (\S+)$", re.MULTILINE)
_MAPPED = re.compile(r"^mapping memory (\S+) via (\S+)$", re.MULTILINE)
# LUTs that one distributed RAM cell of UltraScale+ occupies (UG574, "Distributed RAM").
_LUTRAM_LUTS = {
    "RAM32X1S": 1,
    "RAM32X1D": 2,
    "RAM64X1S": 1,
    "RAM64X1D": 2,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM512X1S": 8,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "SRL16E": 1,
    "SRLC32E": 1,
}
_BRAM36 = {"RAMB36E2": 1.0, "RAMB18E2": 0.5}
_FREE = (
    "BUF",
    "CARRY",
    "GND",
    "INV",
    "MUXF",
    "VCC",
    "$scopeinfo",
)  # INV is absorbed by the cell that it feeds


@dataclass(frozen=True, slots=True)
class Memory:
    """One array of the RTL and what became of it."""

    module: str  # RTL name
    path: str  # instance path and name of the array
    words: int
    width_bits: int
    kind: str  # "ff", "lutram", "bram", "rom" (logic that holds no state)

    @property
    def bits(self) -> int:
        return self.words * self.width_bits

    @property
    def name(self) -> str:
        """Module and array, the same in every configuration: what a waiver names."""
        return f"{self.module}.{self.path.rsplit('.', 1)[-1]}"


@dataclass(slots=True)
class Area:
    """Cells of a module, all instances of it together, without what is instantiated below it."""

    luts: int = 0
    lutram_luts: int = 0
    ffs: int = 0
    bram36: float = 0.0
    dsps: int = 0

    def add(self, other: "Area") -> None:
        self.luts += other.luts
        self.lutram_luts += other.lutram_luts
        self.ffs += other.ffs
        self.bram36 += other.bram36
        self.dsps += other.dsps


def rtl_name(module: str) -> str:
    """Return the RTL's name of a yosys module: `\\tupelo_fifo$tupelo_nic.u_rx.u_cmd` is a tupelo_fifo."""
    return module.lstrip("\\").split("$", 1)[0]


def _path(module: str) -> str:
    """Return the instance path of a yosys module; the top has its own name."""
    return module.lstrip("\\").split("$", 1)[-1]


def instances(children: Mapping[str, Mapping[str, int]], top: str) -> Counter[str]:
    """Return how often each module stands in the design, from module -> {child module: how often in it}."""
    found: Counter[str] = Counter()

    def visit(module: str, times: int) -> None:
        found[module] += times
        for child, count in children.get(module, {}).items():
            visit(child, times * count)

    visit(top, 1)
    return found


def xilinx_area(stat: Json, top: str) -> dict[str, Area]:
    """Return RTL module -> area from `stat -json`; BuildError when a cell's type is not known here."""
    modules = {name.lstrip("\\"): m.get("num_cells_by_type", {}) for name, m in stat["modules"].items()}
    if top not in modules:
        raise BuildError(f"yosys's statistics do not know the module {top}")
    cells = {name: {kind.lstrip("\\"): n for kind, n in found.items()} for name, found in modules.items()}
    children = {name: {kind: n for kind, n in c.items() if kind in cells} for name, c in cells.items()}
    areas: dict[str, Area] = {}
    for module, times in instances(children, top).items():
        area = areas.setdefault(rtl_name(module), Area())
        for kind, count in cells[module].items():
            if kind not in cells:
                area.add(_cell(kind, count * times))
    return areas


def _cell(kind: str, count: int) -> Area:
    if re.fullmatch(r"LUT[1-6]", kind):
        return Area(luts=count)
    if re.fullmatch(r"FD[RSCP]E(_1)?", kind):
        return Area(ffs=count)
    if kind in _LUTRAM_LUTS:
        return Area(lutram_luts=count * _LUTRAM_LUTS[kind])
    if kind in _BRAM36:
        return Area(bram36=count * _BRAM36[kind])
    if kind.startswith("DSP48"):
        return Area(dsps=count)
    if kind.startswith(_FREE):
        return Area()
    raise BuildError(f"the netlist has {count} cells {kind}, which sim/synth_read.py does not know")


def total(areas: Mapping[str, Area]) -> Area:
    """Return the sum over all modules."""
    whole = Area()
    for area in areas.values():
        whole.add(area)
    return whole


def memory_log(text: str) -> dict[str, str]:
    """Return memory -> "ff", "lutram" or "bram" from the log of memory_libmap; BuildError on another kind."""
    kinds = dict.fromkeys(_FF_MAPPED.findall(text), "ff")
    for memory, via in _MAPPED.findall(text):
        if "BLOCKRAM" in via or "DP16KD" in via or "PDPW16KD" in via or "URAM" in via:
            kinds[memory] = "bram"
        elif "LUTRAM" in via or "TRELLIS_DPR16X4" in via:
            kinds[memory] = "lutram"
        else:
            raise BuildError(f"memory {memory} was mapped to {via}, which sim/synth_read.py does not know")
    return kinds


def memories(netlist: Json, log: str) -> list[Memory]:
    """Return every memory of the netlist that was about to be mapped, with its mapping from the log.

    A memory without a line in the log, or a line without its memory, is a BuildError: then the tool's words
    have changed and silence would pass for a good result.
    """
    kinds = memory_log(log)
    found: list[Memory] = []
    for module, content in netlist["modules"].items():
        for cell in content["cells"].values():
            if cell["type"] not in ("$mem", "$mem_v2"):
                continue
            values = cell["parameters"]
            array = values["MEMID"].lstrip("\\")
            kind = kinds.pop(f"{module}.{array}", None)
            if kind is None:
                raise BuildError(f"the log does not say how memory {module}.{array} was mapped")
            if kind == "ff" and _integer(values["WR_PORTS"]) == 0:
                kind = "rom"  # yosys says FF, but an array that is never written becomes logic
            words, width = _integer(values["SIZE"]), _integer(values["WIDTH"])
            found.append(Memory(rtl_name(module), f"{_path(module)}.{array}", words, width, kind))
    if kinds:
        raise BuildError(f"mapped memories that the netlist does not have: {', '.join(sorted(kinds))}")
    return found


def registers(netlist: Json, least_bits: int) -> list[Memory]:
    """Return the registers of at least `least_bits`, the elements of an array taken together."""
    found: list[Memory] = []
    for module, content in netlist["modules"].items():
        names = _public_names(content["netnames"])
        bits: Counter[str] = Counter()
        for cell in content["cells"].values():
            if re.fullmatch(r"\$_?[a-zA-Z]*(dff|DFF|ff|FF)[a-zA-Z]*(_[A-Z0-9]+_)?", cell["type"]):
                bits.update(names.get(bit, "unnamed") for bit in cell["connections"].get("Q", ()))
        for name, count in bits.items():
            if count >= least_bits:
                found.append(Memory(rtl_name(module), f"{_path(module)}.{name}", 1, count, "ff"))
    return found


def _public_names(netnames: Json) -> dict[int | str, str]:
    """Return bit -> the name of its signal without indexes; a name of the RTL wins over one of the tool."""
    names: dict[int | str, str] = {}
    for hidden in (1, 0):
        for name, net in netnames.items():
            if net.get("hide_name", 0) == hidden:
                base = re.sub(r"(\[\d+\])+$", "", name)
                names.update(dict.fromkeys(net["bits"], base))
    return names


def _integer(value: int | str) -> int:
    """A parameter of a JSON netlist: a number, or its bits as text."""
    return value if isinstance(value, int) else int(value, 2)


def oversized(found: list[Memory], waivers: Mapping[str, str]) -> tuple[list[Memory], list[Memory]]:
    """Return (forbidden, waived): what takes more than FF_LIMIT_BITS flip-flops, the largest first."""
    large = sorted((m for m in found if m.kind == "ff" and m.bits > FF_LIMIT_BITS), key=lambda m: -m.bits)
    return [m for m in large if m.name not in waivers], [m for m in large if m.name in waivers]


def fmax_mhz(report: Json) -> float:
    """Return the slowest clock's frequency from nextpnr's JSON report; BuildError when it times no clock."""
    clocks = report.get("fmax") or {}
    if not clocks:
        raise BuildError("nextpnr timed no clock")
    return min(float(clock["achieved"]) for clock in clocks.values())


def critical_path(report: Json) -> tuple[str, str, float, float]:
    """Return (from, to, ns in logic, ns in wires) of the slowest path between registers of one clock."""
    slowest: tuple[str, str, float, float] = ("", "", 0.0, 0.0)
    for path in report.get("critical_paths", ()):
        steps = path["path"]
        if not steps or path["from"].split(" ")[-1] != path["to"].split(" ")[-1]:
            continue
        wires = sum(float(s["delay"]) for s in steps if s["type"] == "routing")
        logic = sum(float(s["delay"]) for s in steps) - wires
        if logic + wires > slowest[2] + slowest[3]:
            slowest = (steps[0]["from"]["cell"], steps[-1]["to"]["cell"], logic, wires)
    return slowest


def ecp5_used(report: Json) -> dict[str, int]:
    """Return the cells that nextpnr placed: {"lut4": ..., "ff": ..., "ebr": ...}."""
    used = report["utilization"]
    names = {"lut4": "TRELLIS_COMB", "ff": "TRELLIS_FF", "ebr": "DP16KD"}
    return {key: int(used[cell]["used"]) for key, cell in names.items()}
