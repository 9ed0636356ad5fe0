# SPDX-License-Identifier: Apache-2.0
"""`tupelo stats` outside the simulator: run the traffic, pick counters, show them as `ethtool -S` does."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from driver.steering import dump_lines
from sim.fast_build import build_fast
from sim.launch import in_fast
from sim.report import bar, step

ROUNDS = 40  # of sim.stats_sim, which only a simulator can import
OF_QUEUE = re.compile(r"(rx|tx)(\d+)_")


class StatsError(ValueError):
    """A wrong queue name, or a file that has no statistics in it."""


def run_stats(folder: Path) -> dict[str, Any]:
    """Run the traffic of sim.stats_sim; return its result and keep it in folder/stats.json."""
    with step("building the simulator (kept in build/sim)"):
        build_fast()
    with bar("stats", ROUNDS) as shown:
        result = in_fast(
            "sim.stats_sim:main",
            {"rounds": ROUNDS},
            folder / "run",
            lambda now: shown.update(now["rounds"], ROUNDS, "rounds"),
        )
    (folder / "stats.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def load(file: Path) -> dict[str, Any]:
    """The result of an earlier run; StatsError if it is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        values = found["statistics"]
        if not all(isinstance(name, str) and isinstance(value, int) for name, value in values.items()):
            raise StatsError(f"{file}: counters that are no numbers")
        return {"violations": [], "tables": [], **found}
    except StatsError:
        raise
    except OSError as error:
        raise StatsError(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StatsError(f"{file}: no statistics in it ({type(error).__name__}: {error})") from error


def prefixes(queue: str | None) -> tuple[str, ...] | None:
    """The counters' prefixes of `rx0`, `tx3`, or `2` (both of a pair); None for None."""
    if queue is None:
        return None
    if re.fullmatch(r"(rx|tx)\d+", queue):
        return (f"{queue}_",)
    if queue.isdecimal():
        return (f"rx{queue}_", f"tx{queue}_")
    raise StatsError(f"no such queue: {queue}; write rx0, tx3, or 2 for both of pair 2")


def pick(statistics: Mapping[str, int], queue: str | None, everything: bool) -> dict[str, int]:
    """The counters to show: of one queue if given; without `everything` those of queues only if not 0."""
    wanted = prefixes(queue)
    if wanted is not None:
        chosen = {name: value for name, value in statistics.items() if name.startswith(wanted)}
        if not chosen:
            raise StatsError(f"no such queue: {queue}")
        return chosen
    return {
        name: value for name, value in statistics.items() if everything or value or not OF_QUEUE.match(name)
    }


def print_statistics(statistics: Mapping[str, int]) -> None:
    """Name and value, a line each."""
    click.echo("NIC statistics:")
    for name, value in statistics.items():
        click.echo(f"     {name}: {value}")


def print_tables(tables: Iterable[Mapping[str, str | int | None]]) -> None:
    """The flow and listener table, a line each entry."""
    lines = dump_lines(tables)
    click.echo(f"Steering tables: {len(lines)} entries")
    for line in lines:
        click.echo(f"     {line}")
