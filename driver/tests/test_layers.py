# SPDX-License-Identifier: Apache-2.0
"""driver/ and userstack/ know nothing of simulators, sockets or clocks, and userstack/ not of driver/."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEVER = {"cocotb", "asyncio", "socket", "time", "random", "scapy", "sim", "cocotb_tests"}
FORBIDDEN = {"driver": NEVER | {"userstack"}, "userstack": NEVER | {"driver"}}


def imports(source: str) -> set[str]:
    """Top-level names of the modules that a source text imports, by statement or by call."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("__import__", "import_module"):
                found.add(str(node.args[0].value))
    return {name.split(".")[0] for name in found}


def breaches(package: Path, forbidden: set[str]) -> list[str]:
    """`file: module` for each forbidden import of a package, its tests left out."""
    return [
        f"{path.relative_to(package.parent)}: {name}"
        for path in sorted(package.rglob("*.py"))
        if "tests" not in path.relative_to(package).parts
        for name in sorted(imports(path.read_text()) & forbidden)
    ]


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_layers_import_downwards_only(package: str) -> None:
    assert (ROOT / package).is_dir()
    assert breaches(ROOT / package, FORBIDDEN[package]) == []


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import time", "time"),
        ("def f():\n    from asyncio import sleep", "asyncio"),
        ("import os, socket as s", "socket"),
        ("from cocotb.triggers import Timer", "cocotb"),
        ("import importlib\nx = importlib.import_module('random')", "random"),
        ("__import__('sim.fast')", "sim"),
        ("if TYPE_CHECKING:\n    import driver.bus", "driver"),
    ],
)
def test_a_breach_is_caught(source: str, module: str, tmp_path: Path) -> None:
    package = tmp_path / "userstack"
    (package / "tests").mkdir(parents=True)
    (package / "tests" / "test_x.py").write_text(source)  # tests may
    assert breaches(package, FORBIDDEN["userstack"]) == []
    (package / "core.py").write_text(source)
    assert breaches(package, FORBIDDEN["userstack"]) == [f"userstack/core.py: {module}"]


def test_harmless_imports_pass() -> None:
    assert imports("from . import time\nfrom .socket import x\nimport numpy.random") == {"numpy"}
