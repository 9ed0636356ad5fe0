# SPDX-License-Identifier: Apache-2.0
"""A GTKWave save file beside a trace, so that a viewer opens with the top's signals shown."""

import re
from collections.abc import Sequence
from pathlib import Path

DECLARATION = re.compile(r'VL_TRACE_DECL_\w+\([^"]*"(\w+)"[^;]*?(?:,\s*(\d+),\s*(\d+))?\);')


def write_save_file(folder: Path, built: Path, top: str, signals: Sequence[str]) -> Path:
    """Write folder/dump.gtkw for folder/dump.fst: signals of top in hexadecimal, titles between groups.

    built: folder of the built simulator; the generated C++ there knows the width of each signal.
    """
    ranges = _ranges(built)
    lines = ["[*] GTKWave save file", f'[dumpfile] "{folder / "dump.fst"}"', "[timestart] 0"]
    lines += [f"[treeopen] {top}."]
    group = ""
    for name in signals:
        prefix = name.rpartition("_")[0]
        if prefix != group:
            lines += ["@200", f"-{prefix}"]
            group = prefix
        lines += ["@22", f"{top}.{name}{ranges.get(name, '')}"]
    path = folder / "dump.gtkw"
    path.write_text("\n".join(lines) + "\n")
    return path


def _ranges(built: Path) -> dict[str, str]:
    """Return the bit range of each vector, as a trace names it; the top's signals are declared first."""
    ranges: dict[str, str] = {}
    for path in sorted(built.glob("Vtop__Trace*.cpp")):
        for name, msb, lsb in DECLARATION.findall(path.read_text()):
            ranges.setdefault(name, f"[{msb}:{lsb}]" if msb else "")
    return ranges
