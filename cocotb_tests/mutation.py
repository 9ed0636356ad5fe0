# SPDX-License-Identifier: Apache-2.0
"""Put a fault into the RTL: what the tests of the tests have in common."""

from collections.abc import Sequence
from pathlib import Path

from sim.build import build_root


def with_fault(sources: Sequence[Path], name: str, file: str, old: str, new: str) -> list[Path]:
    """Write `file` with `old` replaced by `new` to the build tree; return `sources` with it in place.

    Fails if `old` does not stand in the file exactly once: then the RTL has moved on.
    """
    original = next(path for path in sources if path.name == file)
    text = original.read_text()
    assert text.count(old) == 1, f"{file} no longer holds once: {old}"
    changed = build_root() / "mutants" / name / file
    changed.parent.mkdir(parents=True, exist_ok=True)
    changed.write_text(text.replace(old, new))
    return [changed if path == original else path for path in sources]
