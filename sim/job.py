# SPDX-License-Identifier: Apache-2.0
"""Progress of a run inside the simulator's process, shown by the process that started it.

The simulator's side replaces a small file as a whole, so that a reader never sees half of one; the other side
looks at it while it waits for the run to end.
"""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

PERIOD_S = 0.1
Values = dict[str, Any]
T = TypeVar("T")


class Progress:
    """The simulator's side: call it with the figures of the moment."""

    def __init__(self, file: str | Path | None) -> None:
        """file: where to; None reports nothing."""
        self._file = None if file is None else Path(file)
        self._next_s = 0.0

    def __call__(self, **values: float) -> None:
        """Report; at most ten times a wall second get through, the others cost next to nothing."""
        if self._file is None:
            return
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + PERIOD_S
        scratch = self._file.with_suffix(".tmp")
        scratch.write_text(json.dumps(values), encoding="utf-8")
        scratch.replace(self._file)


def watch(file: Path, work: Callable[[], T], on_progress: Callable[[Values], None]) -> T:
    """Run `work` in a thread, hand what it reports to `on_progress`; return or raise as `work` does."""
    file.unlink(missing_ok=True)
    result: list[T] = []
    problem: list[Exception] = []

    def run() -> None:
        try:
            result.append(work())
        except Exception as error:
            problem.append(error)

    # A daemon: after Ctrl-C this process ends at once, and the simulator ends with its parent.
    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    running = True
    while running:
        worker.join(PERIOD_S)
        running = worker.is_alive()
        if file.exists():
            on_progress(json.loads(file.read_text(encoding="utf-8")))
    if problem:
        raise problem[0]
    return result[0]
