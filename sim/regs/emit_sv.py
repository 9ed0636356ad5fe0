# SPDX-License-Identifier: Apache-2.0
"""rtl/tupelo_regs_pkg.sv from the register model."""

from sim.regs.model import COUNTER_BYTES, BlockInfo, Model, RegInfo

ADDR_BITS = 18
HEADER = """\
// SPDX-License-Identifier: Apache-2.0
// tupelo_regs_pkg - register map of the BAR as constants
// Generated from rtl/regs/tupelo.rdl by `python -m sim.regs generate`; do not edit.
// Names: REG_<block>_<register> byte offset in the BAR (first copy of an array), RESET_* reset value,
//   <block>_<register>_<field>_LSB / _W place of a field, STAT_* index of a counter, FEATURE_* bit number.
`default_nettype none
package tupelo_regs_pkg;
  /* verilator lint_off UNUSEDPARAM */  // one package serves all modules; none uses every constant
"""
FOOTER = """\
  /* verilator lint_on UNUSEDPARAM */
endpackage
`default_nettype wire
"""


def _integer(name: str, value: int) -> str:
    return f"  localparam integer {name} = {value};"


def _vector(name: str, width_bits: int, value: int) -> str:
    digits = (width_bits + 3) // 4
    return f"  localparam logic [{width_bits - 1}:0] {name} = {width_bits}'h{value:0{digits}x};"


def reg_name(block: BlockInfo, reg: RegInfo) -> str:
    """Name of a register in capitals, with its block unless the block is that register alone."""
    if len(block.regs) == 1 and reg.name == block.name:
        return block.name.upper()
    return f"{block.name}_{reg.name}".upper()


def _reg_lines(block: BlockInfo, reg: RegInfo) -> list[str]:
    name = reg_name(block, reg)
    lines = [_vector(f"REG_{name}", ADDR_BITS, reg.offset_bytes)]
    if reg.count > 1 and not block.bare:
        lines += [_integer(f"{name}_COUNT", reg.count), _integer(f"{name}_STRIDE", reg.stride_bytes)]
    if reg.reset is not None:
        lines.append(_vector(f"RESET_{name}", 8 * reg.width_bytes, reg.reset))
    if not reg.whole and not reg.bits:
        for field in reg.fields:
            stem = f"{name}_{field.name.upper()}"
            lines += [_integer(f"{stem}_LSB", field.lsb), _integer(f"{stem}_W", field.width_bits)]
    return lines


def _block_lines(block: BlockInfo) -> list[str]:
    name = block.name.upper()
    source = f" ({block.spec})" if block.spec else ""
    lines = ["", f"  // {block.title}{source}", _vector(f"BASE_{name}", ADDR_BITS, block.offset_bytes)]
    if block.count > 1:
        lines += [_integer(f"{name}_STRIDE", block.stride_bytes), _integer(f"{name}_COUNT_MAX", block.count)]
    if block.name.startswith("stat"):
        return lines  # counters have indexes instead
    return lines + [line for reg in block.regs for line in _reg_lines(block, reg)]


def _feature_lines(model: Model) -> list[str]:
    reg = next(r for r in model.block("vendor").regs if r.name == "features_offered")
    lines = ["", "  // Feature bit numbers (VIRTIO 1.2 5.1.3 and 6)"]
    lines += [_integer(f"FEATURE_{f.name.upper()}", f.lsb) for f in reg.fields]
    return [*lines, _vector("FEATURES_OFFERED", 64, sum(f.mask for f in reg.fields))]


def _stat_lines(model: Model) -> list[str]:
    stat, queue = model.block("stat"), model.block("stat_queue")
    lines = ["", "  // Statistics: counter c of queue q has index STAT_QUEUE_BASE + STAT_QUEUE_STEP * q + c"]
    for reg in stat.regs:
        index = (reg.offset_bytes - stat.offset_bytes) // COUNTER_BYTES
        lines.append(_integer(f"STAT_{reg.name.upper()}", index))
    lines.append(_integer("STAT_QUEUE_BASE", (queue.offset_bytes - stat.offset_bytes) // COUNTER_BYTES))
    lines.append(_integer("STAT_QUEUE_STEP", queue.stride_bytes // COUNTER_BYTES))
    for reg in queue.regs:
        index = (reg.offset_bytes - queue.offset_bytes) // COUNTER_BYTES
        lines.append(_integer(f"STAT_QUEUE_{reg.name.upper()}", index))
    return lines


def _enum_lines(model: Model) -> list[str]:
    lines: list[str] = []
    for enum in model.enums:
        width = enum.width_bits
        lines += ["", f"  typedef enum logic [{width - 1}:0] {{"]
        for row, (name, value, desc) in enumerate(enum.members):
            comma = "," if row + 1 < len(enum.members) else ""
            lines += [f"    // {desc}", f"    {enum.name.upper()}_{name} = {width}'d{value}{comma}"]
        lines.append(f"  }} {enum.name}_e;")
    return lines


def emit(model: Model) -> str:
    """Text of the SystemVerilog package."""
    lines = [line for block in model.blocks for line in _block_lines(block)]
    lines += _feature_lines(model) + _stat_lines(model) + _enum_lines(model)
    return HEADER + "\n".join(lines[1:]) + "\n" + FOOTER
