# SPDX-License-Identifier: Apache-2.0
"""driver/registers.py from the register model."""

from sim.regs.model import COUNTER_BYTES, BlockInfo, Model, RegInfo

HEADER = '''\
# SPDX-License-Identifier: Apache-2.0
"""Register map of the BAR; docs/registers.md has the same as tables.

Generated from rtl/regs/tupelo.rdl by `python -m sim.regs generate`; do not edit.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final


@dataclass(frozen=True, slots=True)
class Reg:
    """One register: BAR offset and natural width (1, 2, 4 or 8 bytes; 8 is accessed as lo, then hi)."""

    offset_bytes: int
    width_bytes: int

    @property
    def lo(self) -> "Reg":
        """Low half of a 64-bit register."""
        return Reg(self.offset_bytes, 4)

    @property
    def hi(self) -> "Reg":
        """High half of a 64-bit register."""
        return Reg(self.offset_bytes + 4, 4)


@dataclass(frozen=True, slots=True)
class RegArray:
    """Equal registers, stride_bytes apart; count is the largest that any build has."""

    offset_bytes: int
    width_bytes: int
    stride_bytes: int
    count: int

    def at(self, index: int) -> Reg:
        """Register number index; IndexError outside 0..count-1."""
        if not 0 <= index < self.count:
            raise IndexError(f"register index {index} is not in 0..{self.count - 1}")
        return Reg(self.offset_bytes + index * self.stride_bytes, self.width_bytes)


@dataclass(frozen=True, slots=True)
class Field:
    """Bits lsb .. lsb + width_bits - 1 of a register."""

    lsb: int
    width_bits: int

    def get(self, value: int) -> int:
        """Field of a register value."""
        return value >> self.lsb & (1 << self.width_bits) - 1

    def put(self, field: int) -> int:
        """Register value with this field set and all else 0; ValueError if it does not fit."""
        if not 0 <= field < 1 << self.width_bits:
            raise ValueError(f"{field} does not fit {self.width_bits} bits")
        return field << self.lsb
'''


def camel(name: str) -> str:
    """stop_reason -> StopReason."""
    return "".join(part.capitalize() for part in name.split("_"))


def _literal(block: BlockInfo, reg: RegInfo) -> tuple[str, str]:
    """Type and constructor call of one register."""
    at = f"0x{reg.offset_bytes:05X}"
    if block.count > 1:
        return "RegArray", f"RegArray({at}, {reg.width_bytes}, {block.stride_bytes}, {block.count})"
    if reg.count > 1:
        return "RegArray", f"RegArray({at}, {reg.width_bytes}, {reg.stride_bytes}, {reg.count})"
    return "Reg", f"Reg({at}, {reg.width_bytes})"


def _fields(reg: RegInfo, prefix: str) -> list[str]:
    if reg.whole or reg.flags or reg.bits:
        return []
    return [f"{prefix}_{f.name.upper()}: Final = Field({f.lsb}, {f.width_bits})" for f in reg.fields]


def _block(block: BlockInfo) -> list[str]:
    source = f" ({block.spec})" if block.spec else ""
    if len(block.regs) == 1 and block.regs[0].name == block.name:
        reg = block.regs[0]
        kind, call = _literal(block, reg)
        title = block.title[0].upper() + block.title[1:]
        lines = ["", f"# {title}{source}.", f"{block.name.upper()}: Final[{kind}] = {call}"]
        return lines + _fields(reg, reg.name.upper())
    title = block.title[0].upper() + block.title[1:]
    lines = ["", "", f"class {block.name.upper()}:", f'    """{title}{source}."""', ""]
    for reg in block.regs:
        kind, call = _literal(block, reg)
        lines.append(f"    {reg.name.upper()}: Final[{kind}] = {call}")
        lines += [f"    {line}" for line in _fields(reg, reg.name.upper())]
    return [*lines, ""]


def _enum(kind: str, name: str, doc: str, rows: list[tuple[str, str]]) -> list[str]:
    return ["", "", f"class {name}({kind}):", f'    """{doc}"""', "", *(f"    {n} = {v}" for n, v in rows)]


def _flags(model: Model) -> list[str]:
    lines: list[str] = []
    seen: set[str] = set()
    for block in model.blocks:
        for reg in block.regs:
            if reg.flags and reg.flags not in seen:
                seen.add(reg.flags)
                rows = [(f.name.upper(), f"0x{f.mask:02X}") for f in reg.fields]
                lines += _enum("IntFlag", reg.flags, f"Bits of {block.name}.{reg.name}.", rows)
            if reg.bits and reg.bits not in seen:
                seen.add(reg.bits)
                rows = [(f.name.upper(), str(f.lsb)) for f in reg.fields]
                lines += _enum("IntEnum", reg.bits, "Feature bit numbers (VIRTIO 1.2 5.1.3 and 6).", rows)
    return lines


def _enums(model: Model) -> list[str]:
    lines = _flags(model)
    for enum in model.enums:
        values = [(name, str(value)) for name, value, _ in enum.members]
        lines += _enum("IntEnum", camel(enum.name), f"Values of {enum.name}.", values)
    for name, cls, doc in (
        ("stat", "Stat", "Index of a global counter."),
        ("stat_queue", "QueueStat", "Index of a counter within its queue."),
    ):
        block = model.block(name)
        index = [(r.offset_bytes - block.offset_bytes) // COUNTER_BYTES for r in block.regs]
        rows = [(r.name.upper(), str(i)) for r, i in zip(block.regs, index, strict=True)]
        lines += _enum("IntEnum", cls, doc, rows)
    return lines


def _resets(model: Model) -> list[str]:
    offered = next(r for r in model.block("vendor").regs if r.name == "features_offered")
    mask = sum(f.mask for f in offered.fields)
    enabled = next(r for r in model.block("vendor").regs if r.name == "feature_enable").reset
    magic = next(r for r in model.block("vendor").regs if r.name == "magic").reset
    return [
        "",
        "",
        f"FEATURES_OFFERED: Final = 0x{mask:016X}  # all of Feature",
        f"FEATURES_DEFAULT: Final = 0x{enabled:016X}  # those that VENDOR.FEATURE_ENABLE leaves on",
        f"MAGIC: Final = 0x{magic:08X}  # value of VENDOR.MAGIC",
        "NO_VECTOR: Final = 0xFFFF  # value of a vector register that stands for none",
    ]


def emit(model: Model) -> str:
    """Text of the Python module."""
    named = [b for b in model.blocks if not (len(b.regs) == 1 and b.regs[0].name == b.name)]
    single = [b for b in model.blocks if b not in named]
    body: list[str] = []
    for block in named:
        body += _block(block)[:-1]
    body += [""] + [line for block in single for line in _block(block)]
    body += _enums(model) + _resets(model)
    return HEADER + "\n".join(body) + "\n"
