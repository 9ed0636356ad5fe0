# SPDX-License-Identifier: Apache-2.0
"""Run a coroutine whose awaits are all fakes that never suspend."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns; AssertionError if it waits for something."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise AssertionError("the coroutine waits for something that no fake gives")
