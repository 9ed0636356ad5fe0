# SPDX-License-Identifier: Apache-2.0
"""The register map as plain data, read from rtl/regs/tupelo.rdl by the SystemRDL compiler."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systemrdl.compiler import RDLCompiler
from systemrdl.node import AddrmapNode, FieldNode, Node, RegfileNode, RegNode

RDL_DIR = Path("rtl/regs")
QUEUE_PAIRS_MAX = 64  # arrays are listed at their largest size
COUNTER_BYTES = 8


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One bit field; reset is None where the value comes from a strap, live state or memory."""

    name: str
    lsb: int
    width_bits: int
    access: str  # rw, r, w, rclr
    reset: int | None
    reset_from: str
    desc: str

    @property
    def mask(self) -> int:
        """Bits of the register that the field covers."""
        return ((1 << self.width_bits) - 1) << self.lsb


@dataclass(frozen=True, slots=True)
class RegInfo:
    """One register or array of registers; offset_bytes counts from the start of the BAR."""

    name: str
    offset_bytes: int
    width_bytes: int
    count: int  # 1 = no array
    stride_bytes: int
    desc: str
    spec: str
    window: str
    flags: str
    bits: str
    fields: tuple[FieldInfo, ...]

    @property
    def reset(self) -> int | None:
        """Reset value that holds for every build, or None."""
        total = 0
        for field in self.fields:
            if field.reset is None or field.reset_from:
                return None
            total |= field.reset << field.lsb
        return total

    @property
    def whole(self) -> bool:
        """True if a single field covers the register, so that it needs no field constants."""
        return len(self.fields) == 1 and self.fields[0].width_bits == 8 * self.width_bytes


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """A structure of the BAR; count > 1 repeats all of its registers every stride_bytes."""

    name: str
    title: str
    desc: str
    spec: str
    offset_bytes: int
    size_bytes: int
    count: int
    stride_bytes: int
    bare: bool  # the block is itself one register array
    regs: tuple[RegInfo, ...]


@dataclass(frozen=True, slots=True)
class EnumInfo:
    """An enumeration: (name, value, description) rows."""

    name: str
    width_bits: int
    members: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """The whole BAR."""

    name: str
    desc: str
    parameters: tuple[tuple[str, int], ...]
    blocks: tuple[BlockInfo, ...]
    enums: tuple[EnumInfo, ...]

    def block(self, name: str) -> BlockInfo:
        """Return the block with that name; KeyError if there is none."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise KeyError(name)


def elaborate(root: Path, **parameters: int) -> AddrmapNode:
    """Compile the RDL under root with the given addrmap parameters."""
    compiler = RDLCompiler()
    compiler.compile_file(str(root / RDL_DIR / "tupelo.rdl"), incl_search_paths=[str(root / RDL_DIR)])
    return compiler.elaborate(parameters=dict(parameters)).top


def _text(node: Node, prop: str) -> str:
    value: Any = node.get_property(prop, default="")
    return " ".join(str(value or "").split())


def _field(node: FieldNode) -> FieldInfo:
    onread: Any = node.get_property("onread")
    reset: Any = node.get_property("reset")
    return FieldInfo(
        name=node.inst_name,
        lsb=node.lsb,
        width_bits=node.width,
        access=str((onread or node.get_property("sw")).name),
        reset=None if reset is None else int(reset),
        reset_from=_text(node, "reset_from"),
        desc=_text(node, "desc"),
    )


def _reg(node: RegNode) -> RegInfo:
    count = node.n_elements
    first: Any = next(iter(node.unrolled())) if node.is_array else node
    return RegInfo(
        name=node.inst_name,
        offset_bytes=first.absolute_address,
        width_bytes=node.get_property("regwidth") // 8,
        count=count,
        stride_bytes=(node.array_stride or 0) if node.is_array else 0,
        desc=_text(node, "desc"),
        spec=_text(node, "spec"),
        window=_text(node, "window"),
        flags=_text(node, "flags"),
        bits=_text(node, "bits"),
        fields=tuple(_field(f) for f in node.fields()),
    )


def _block(node: RegfileNode | RegNode) -> BlockInfo:
    first: Any = next(iter(node.unrolled())) if node.is_array else node
    bare = isinstance(first, RegNode)
    regs = (_reg(node),) if isinstance(node, RegNode) else tuple(_reg(r) for r in first.registers())
    return BlockInfo(
        name=node.inst_name,
        title=_text(node, "name"),
        desc=_text(node, "desc"),
        spec=_text(node, "spec"),
        offset_bytes=first.absolute_address,
        size_bytes=node.total_size,
        count=node.n_elements,
        stride_bytes=(node.array_stride or 0) if node.is_array else 0,
        bare=bare,
        regs=regs,
    )


def _enums(top: AddrmapNode) -> tuple[EnumInfo, ...]:
    found: dict[str, EnumInfo] = {}
    for node in top.descendants():
        if not isinstance(node, FieldNode):
            continue
        encode: Any = node.get_property("encode")
        if encode is not None:
            rows = tuple((m.name, int(m.value), str(m.rdl_desc or "")) for m in encode)
            found[encode.type_name] = EnumInfo(encode.type_name, node.width, rows)
    return tuple(found.values())


def load(root: Path) -> Model:
    """Read the register map of the project at root."""
    defaults = elaborate(root)
    top = elaborate(root, QUEUE_PAIRS=QUEUE_PAIRS_MAX)
    blocks = tuple(_block(n) for n in top.children() if isinstance(n, RegfileNode | RegNode))
    return Model(
        name=top.inst_name,
        desc=_text(top, "desc"),
        parameters=tuple((p.name, int(p.get_value())) for p in defaults.inst.parameters),
        blocks=blocks,
        enums=_enums(top),
    )
