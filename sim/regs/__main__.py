# SPDX-License-Identifier: Apache-2.0
"""`python -m sim.regs generate` writes the generated files, `check` compares them byte for byte."""

import argparse
import sys
from pathlib import Path

from sim.regs import emit_md, emit_py, emit_sv
from sim.regs.model import load

ROOT = Path(__file__).resolve().parents[2]


def outputs(root: Path = ROOT) -> dict[str, str]:
    """Path below the project root -> text of every generated file."""
    model = load(root)
    return {
        "rtl/tupelo_regs_pkg.sv": emit_sv.emit(model),
        "driver/registers.py": emit_py.emit(model),
        "docs/registers.md": emit_md.emit(model),
    }


def generate(texts: dict[str, str], root: Path = ROOT) -> None:
    """Write every generated file below root."""
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())


def differing(texts: dict[str, str], root: Path = ROOT) -> list[str]:
    """Names of the files below root that are missing or differ from what the RDL gives."""
    return [
        name
        for name, text in texts.items()
        if not (root / name).is_file() or (root / name).read_bytes() != text.encode()
    ]


def main(argv: list[str] | None = None) -> int:
    """Command line; 1 if check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m sim.regs", description=__doc__)
    parser.add_argument("command", choices=("generate", "check"))
    command = parser.parse_args(argv).command
    texts = outputs()
    if command == "generate":
        generate(texts)
        return 0
    stale = differing(texts)
    for name in stale:
        print(f"{name}: differs from rtl/regs/tupelo.rdl; run `python -m sim.regs generate`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
