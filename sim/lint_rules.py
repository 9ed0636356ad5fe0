# SPDX-License-Identifier: Apache-2.0
"""Rules about the files of the tree: licence line, size, no machine's paths, documentation that is true.

Each rule takes the root of the tree and returns its findings, one line each: `path: what is wrong`.
"""

import ast
import re
import subprocess
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

SPDX = "SPDX-License-Identifier: Apache-2.0"
SOURCE_SUFFIXES = frozenset((".py", ".sv", ".svh", ".v", ".cpp", ".h", ".c", ".rdl", ".sh", ".toml", ".vlt"))
SOURCE_NAMES = frozenset(("Makefile", "run", "verible.rules", ".gitignore"))
MAX_FILE_BYTES = 1_000_000
SKIP_DIRS = frozenset(("build", ".cache", ".venv", ".git", "__pycache__", "sim_build"))
# Where one machine keeps its things. A path that starts with a variable, a dot or a word is no machine's.
MACHINE_PATH = re.compile(r"(?<![\w.$})>~*-])/(?:work|home|root|Users|opt|mnt|srv)/[\w.]")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PLAN_TEST = re.compile(r"`([\w/.]+\.py)(?:::(\w+))?`")
PLAN_SUBJECT = re.compile(r"`(\w+)`")
PLAN_ID = re.compile(r"^[A-Z]+-\d+$")


def files(root: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """Files of the project, sorted: what git tracks or would track; without git, all outside build trees."""
    git = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if git.returncode == 0:
        found = [root / name for name in git.stdout.split("\0") if name]
    else:
        found = [p for p in root.rglob("*") if not SKIP_DIRS.intersection(p.relative_to(root).parts)]
    return sorted(p for p in found if p.is_file() and (not suffixes or p.suffix in suffixes))


def _is_source(path: Path) -> bool:
    return path.suffix in SOURCE_SUFFIXES or path.name in SOURCE_NAMES


def spdx(root: Path) -> list[str]:
    """Each source file names its licence in its first five lines."""
    found = []
    for path in filter(_is_source, files(root)):
        head = path.read_text(encoding="utf-8", errors="replace").splitlines()[:5]
        if head and not any(SPDX in line for line in head):
            found.append(f"{path.relative_to(root)}: no `{SPDX}` in its first five lines")
    return found


def size(root: Path) -> list[str]:
    """No file is larger than 1 MB: generated and bulk data belongs in build/."""
    return [
        f"{p.relative_to(root)}: {p.stat().st_size:,} bytes, more than {MAX_FILE_BYTES:,}"
        for p in files(root)
        if p.stat().st_size > MAX_FILE_BYTES
    ]


def machine_paths(root: Path) -> list[str]:
    """No text names a directory that only one machine has."""
    found = []
    for path in files(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or a capture
        for number, line in enumerate(text.splitlines(), 1):
            if match := MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(root)}:{number}: absolute path of a machine: {match[0]}...")
    return found


def docs(root: Path) -> list[str]:
    """Relative links of all Markdown lead to files; the test plan names tests that exist, each id once."""
    found = [f for page in files(root, (".md",)) for f in _broken_links(root, page)]
    plan = root / "docs" / "testplan.md"
    return found + (_plan_problems(root, plan) if plan.is_file() else [])


def _broken_links(root: Path, page: Path) -> Iterator[str]:
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        for target in LINK.findall(line):
            name = target.split("#")[0]
            if name and "://" not in target and not (page.parent / name).exists():
                yield f"{page.relative_to(root)}:{number}: link to {target}, which does not exist"


def plan_rows(plan: Path) -> list[tuple[int, list[str]]]:
    """Rows of the tables in the test plan: (line number, cells), headings and rulers left out."""
    rows = []
    for number, line in enumerate(plan.read_text(encoding="utf-8").splitlines(), 1):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] not in ("", "id") and not set(cells[0]) <= set("-: "):
            rows.append((number, cells))
    return rows


def _plan_problems(root: Path, plan: Path) -> list[str]:
    found = []
    seen: set[str] = set()
    for number, cells in plan_rows(plan):
        where = f"{plan.relative_to(root)}:{number}"
        if len(cells) != 4 or not PLAN_ID.match(cells[0]):
            found.append(f"{where}: a row is `id | requirement | test | coverpoint` with an id like RING-1")
            continue
        if cells[0] in seen:
            found.append(f"{where}: id {cells[0]} is there twice")
        seen.add(cells[0])
        tests = PLAN_TEST.findall(cells[2])
        if not tests:
            found.append(f"{where}: {cells[0]} names no test; write `path/test_x.py::test_name`")
        found += [f"{where}: {cells[0]} names {t}" for f, n in tests if (t := _missing_test(root, f, n))]
    return found


def plan_gaps(root: Path, prefix: str, names: Iterable[str]) -> list[str]:
    """Names that no row of the test plan covers.

    A row covers a name if its id has the prefix, its requirement starts with the name as code, and each test
    that it gives exists and mentions the name.
    """
    rows: dict[str, str] = {}
    for _, cells in plan_rows(root / "docs" / "testplan.md"):
        if match := PLAN_SUBJECT.match(cells[1] if cells[0].startswith(f"{prefix}-") else ""):
            rows[match[1]] = cells[2]
    found = []
    for name in names:
        tests = PLAN_TEST.findall(rows.get(name, ""))
        if name not in rows:
            found.append(f"docs/testplan.md: {name} has no row {prefix}-<n>")
        elif not tests:
            found.append(f"docs/testplan.md: the row of {name} names no test")
        found += [f"docs/testplan.md: {name}: {gap}" for f, n in tests if (gap := _silent(root, f, n, name))]
    return found


def _silent(root: Path, file: str, test: str, subject: str) -> str:
    """What is wrong with a test that shall be about a subject; case of letters does not matter."""
    if missing := _missing_test(root, file, test):
        return missing
    text = (root / file).read_text(encoding="utf-8")
    sources = [
        ast.get_source_segment(text, node) or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == test
    ]
    word = re.compile(rf"\b{re.escape(subject)}\b", re.IGNORECASE)
    told = any(map(word.search, sources)) if test else word.search(text)
    return "" if told else f"{file}::{test} does not mention it"


def _missing_test(root: Path, file: str, name: str) -> str:
    """What is wrong with a test's name, empty if the file has a function so called (a method counts)."""
    path = root / file
    if not path.is_file():
        return f"{file}, which does not exist"
    if not name:
        return ""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    return "" if name in names else f"{file}::{name}, which does not exist"
