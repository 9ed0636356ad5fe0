# SPDX-License-Identifier: Apache-2.0
"""What commands show: a progress bar on a terminal's stderr, tables and one last line on stdout."""

import contextlib
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

SILENT_S = 1.0
ROOT = Path(__file__).resolve().parents[1]


def shown_path(path: Path) -> str:
    """A path as the user would type it from the root of the tree, or in full if it lies elsewhere."""
    resolved = path.resolve()
    return str(resolved.relative_to(ROOT)) if resolved.is_relative_to(ROOT) else str(path)


def duration(seconds: float) -> str:
    """Seconds with a unit that leaves one to three digits before the point."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 or unit == "us":
            return (
                f"{seconds * factor:,.3g} {unit}"
                if seconds * factor < 1000
                else f"{seconds * factor:,.0f} {unit}"
            )
    return ""


def number(value: object) -> str:
    """A count with thousands separators; a fraction with as many digits as mean something."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.3g}"


def print_table(title: str, rows: Iterable[tuple[str, ...]], headings: tuple[str, ...] = ()) -> None:
    """Print rows on stdout; the first column stands left, the others right."""
    rows = list(rows)
    table = Table(title=title, title_justify="left", show_header=bool(headings), title_style="bold")
    width = max((len(row) for row in rows), default=0)
    for column in range(width):
        table.add_column(headings[column] if headings else "", justify="left" if column == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 110, highlight=False).print(table)


class Bar:
    """A progress bar that exists only on a terminal; elsewhere every call does nothing."""

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self._progress, self._task = progress, task

    def update(self, done: float, total: float, text: str) -> None:
        """Show `done` of `total` and a line of figures."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total or None, text=text)


@contextlib.contextmanager
def bar(what: str, total: float) -> Iterator[Bar]:
    """A progress bar on stderr while the block runs; nothing if stderr is not a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Bar(None, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress, progress.add_task(what, total=total or None, text=""))


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Say on stderr what goes on if it takes long: a spinner on a terminal, else one line."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        late = threading.Timer(SILENT_S, lambda: click.echo(what + " ...", err=True))
        late.daemon = True
        late.start()
        try:
            yield
        finally:
            late.cancel()
