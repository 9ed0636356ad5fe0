# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/driver.md run, one after the other, on the model."""

import re
import textwrap
from pathlib import Path
from typing import Any

from driver import registers as R
from driver.tests.model import ModelBus, run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "driver.md"


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_the_examples_of_the_page_work(capsys: Any) -> None:
    assert len(examples()) >= 6
    bus = ModelBus(pairs=2)
    bus.counters[int(R.Stat.TX_CHAINS)] = 0
    space: dict[str, Any] = {}
    body = textwrap.indent("\n".join(examples()), "    ")
    exec(compile(f"async def example(bus):\n{body}", str(PAGE), "exec"), space)
    run(space["example"](bus))
    shown = capsys.readouterr().out
    assert "flow     tcp    ipv4 10.0.0.1:80 <- 10.0.0.2:5000 -> drop" in shown
    assert "guard=True" in shown


def test_every_error_of_the_page_exists() -> None:
    from driver import errors

    table = PAGE.read_text(encoding="utf-8").split("## When things go wrong")[1]
    names = re.findall(r"`([A-Z]\w+)`", table)
    assert names and all(hasattr(errors, name) for name in names)
