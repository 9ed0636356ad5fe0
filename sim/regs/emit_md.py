# SPDX-License-Identifier: Apache-2.0
"""docs/registers.md from the register model."""

from sim.regs.model import COUNTER_BYTES, BlockInfo, FieldInfo, Model, RegInfo

HEADER = """\
<!-- SPDX-License-Identifier: Apache-2.0 -->
# Registers

Generated from `rtl/regs/tupelo.rdl` by `python -m sim.regs generate`; do not edit. The same constants are
`rtl/tupelo_regs_pkg.sv` and `driver/registers.py`.

{desc}
Sub-dword fields are written through byte strobes. Arrays are listed at their largest size (64 queue pairs);
a build with fewer queues has the first elements only.

Access: `rw` read and write, `r` read only, `w` write only (reads 0), `rclr` cleared by reading.
A reset value in words is a parameter or port; `-` is uninitialised.
"""


def _reset(field: FieldInfo) -> str:
    if field.reset_from:
        return f"`{field.reset_from}`"
    return "-" if field.reset is None else f"0x{field.reset:X}"


def _place(field: FieldInfo) -> str:
    high = field.lsb + field.width_bits - 1
    return str(high) if high == field.lsb else f"{high}:{field.lsb}"


def _where(block: BlockInfo, reg: RegInfo) -> str:
    stride = block.stride_bytes if block.count > 1 else reg.stride_bytes
    return f"0x{reg.offset_bytes:05X}" + (f" + {stride} n" if stride else "")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _reg_rows(block: BlockInfo, reg: RegInfo) -> list[str]:
    desc = reg.desc
    if reg.window.endswith("queue_select") or reg.window == "vq_select":
        desc += f" Of the queue in `{reg.window}`."
    if reg.spec and reg.spec != block.spec:
        desc += f" ({reg.spec})"
    head = (_where(block, reg), str(8 * reg.width_bytes), f"`{reg.name}`")
    if reg.whole:
        field = reg.fields[0]
        return [_row(*head, "", field.access, _reset(field), desc)]
    rows = [_row(*head, "", "", "", desc)]
    rows += [_row("", "", "", f"{_place(f)} `{f.name}`", f.access, _reset(f), f.desc) for f in reg.fields]
    return rows


def _table(block: BlockInfo) -> list[str]:
    head = _row("offset", "bits", "register", "field", "access", "reset", "meaning")
    return [head, "|" + "---|" * 7, *(row for reg in block.regs for row in _reg_rows(block, reg))]


def _counter_table(block: BlockInfo, base: int) -> list[str]:
    lines = ["| offset | index | counter | meaning |", "|---|---|---|---|"]
    for reg in block.regs:
        index = (reg.offset_bytes - base) // COUNTER_BYTES
        shown = f"{index} + {block.stride_bytes // COUNTER_BYTES} q" if block.count > 1 else str(index)
        where = _where(block, reg).replace(" n", " q")
        lines.append(_row(where, shown, f"`{reg.name}`", reg.desc))
    return lines


def emit(model: Model) -> str:
    """Text of the register page."""
    lines = ["", "| offset | bytes | block | source |", "|---|---|---|---|"]
    for block in model.blocks:
        name = f"`{block.name}`: {block.title}"
        lines.append(_row(f"0x{block.offset_bytes:05X}", str(block.size_bytes), name, block.spec))
    base = model.block("stat").offset_bytes
    for block in model.blocks:
        title = block.title[0].upper() + block.title[1:]
        lines += ["", f"## 0x{block.offset_bytes:05X} {title} (`{block.name}`)", ""]
        if not block.bare and block.desc:
            lines += [block.desc + (f" Source: {block.spec}." if block.spec else ""), ""]
        lines += _counter_table(block, base) if block.name.startswith("stat") else _table(block)
    for enum in model.enums:
        lines += ["", f"## Values of `{enum.name}`", "", "| value | name | meaning |", "|---|---|---|"]
        lines += [f"| {value} | `{name}` | {desc} |" for name, value, desc in enum.members]
    lines += ["", "## Build parameters and their defaults", ""]
    lines += [f"- `{name}` = {value}" for name, value in model.parameters]
    return HEADER.format(desc=model.desc) + "\n".join(lines) + "\n"
