# SPDX-License-Identifier: Apache-2.0
"""House rules that a machine can check: imports, SPDX lines, sizes."""

import ast
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parent.parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "tests" not in path.parts)
FORBIDDEN = {"cocotb", "asyncio", "socket", "time", "random", "scapy", "threading", "select", "os"}
LOWER = {
    "wire": {"drops", "errors", "wire"},
    "tcp": {"runtime", "asock", "sockets", "stack", "tls", "http", "testing"},
}


def imports(source: str) -> Any:
    """Names of modules imported by absolute name (first part), and relative ones (level, name)."""
    absolute, relative = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            absolute |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            absolute.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            relative |= {(node.level, name.split(".")[0]) for name in names}
    return absolute, relative


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_forbidden_import(path: Path) -> None:
    assert not imports(path.read_text())[0] & FORBIDDEN


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent.name == "wire"], ids=lambda path: path.name
)
def test_wire_imports_nothing_above_it(path: Path) -> None:
    assert {name for level, name in imports(path.read_text())[1] if level == 2} <= LOWER["wire"]


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent.name == "tcp"], ids=lambda path: path.name
)
def test_tcp_imports_nothing_above_it(path: Path) -> None:
    assert not {name for level, name in imports(path.read_text())[1] if level == 2} & LOWER["tcp"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_has_an_spdx_line_and_at_most_400_lines(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0] == "# SPDX-License-Identifier: Apache-2.0"
    assert len(lines) <= 400


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_have_at_most_40_lines(path: Path) -> None:
    long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= 40
    ]
    assert long == []


def test_the_import_checker_sees_a_breach() -> None:
    absolute, relative = imports("import socket.foo\nfrom asyncio import run\nfrom ..stack import Stack")
    assert absolute & FORBIDDEN == {"socket", "asyncio"}
    assert relative == {(2, "stack")}
