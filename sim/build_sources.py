# SPDX-License-Identifier: Apache-2.0
"""Which SystemVerilog files make up the NIC, and which ports a module has."""

import re
from collections.abc import Sequence
from pathlib import Path

from sim.build_flags import ROOT, BuildError

FILE_LIST = ROOT / "rtl" / "tupelo_nic.f"
PACKAGES = ("tupelo_regs_pkg.sv", "tupelo_pkg.sv")


def rtl_sources() -> list[Path]:
    """Return the RTL files in compile order: as rtl/tupelo_nic.f lists them, else packages first."""
    if FILE_LIST.is_file():
        return [_listed(line) for line in FILE_LIST.read_text().splitlines() if _is_entry(line)]
    folder = FILE_LIST.parent
    packages = [folder / name for name in PACKAGES if (folder / name).is_file()]
    return packages + [path for path in sorted(folder.glob("*.sv")) if path not in packages]


def port_names(top: str, sources: Sequence[Path]) -> list[str]:
    """Return the port names of module `top`, in order; BuildError when no source declares it."""
    for path in sources:
        text = _without_comments(path.read_text())
        match = re.search(rf"\bmodule\s+{re.escape(top)}\b", text)
        if match:
            return _ports(text[match.end() :])
    raise BuildError(f"module {top} is in none of the {len(sources)} source files")


def _is_entry(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith(("//", "#", "+", "-"))


def _listed(line: str) -> Path:
    """Return the path of one line of the file list; names are relative to the list or the root."""
    name = line.strip()
    beside = FILE_LIST.parent / name
    return beside if beside.is_file() else ROOT / name


def _without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)


def _ports(header: str) -> list[str]:
    """Return the names in an ANSI port list; header starts right after the module's name."""
    header = re.sub(r"^\s*(?:import\s+[^;]*;\s*)+", "", header)
    position = 0
    while True:
        body, position, is_parameters = _bracketed(header, position)
        if not is_parameters:
            break
    flat = re.sub(r"\[[^\]]*\]", " ", re.sub(r"^\s*`.*$", " ", body, flags=re.MULTILINE))
    return [words[-1] for words in (part.split() for part in flat.split(",")) if words]


def _bracketed(text: str, start: int) -> tuple[str, int, bool]:
    """Return the text inside the next (...), the position after it, and whether a # came before it."""
    end_of_header = text.find(";", start)
    opening = text.find("(", start)
    if opening < 0 or end_of_header < opening:
        return "", end_of_header, False
    depth = 0
    for index in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return text[opening + 1 : index], index + 1, "#" in text[start:opening]
    raise BuildError("unbalanced parentheses in a module header")
