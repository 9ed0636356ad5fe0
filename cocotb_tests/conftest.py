# SPDX-License-Identifier: Apache-2.0
"""`run_bench`: build a top with some parameters and run cocotb tests of the asking module on it."""

import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cocotb_tests.nic_tests import PORTS, TOP
from sim.build import build, run

DEFAULT_SEED = 1

RunBench = Callable[..., Path]


@pytest.fixture
def seed() -> int:
    """SEED of the environment, or one fixed number: a run can always be repeated."""
    return int(os.environ.get("SEED") or DEFAULT_SEED)


@pytest.fixture
def run_bench(request: pytest.FixtureRequest, seed: int) -> RunBench:
    """Return run(top, cases, ...): run the named cocotb tests with all their parameters; none means all.

    A failure shows the seed and the end of the log; the answer is the results file.
    """

    def run_it(
        top: str,
        cases: str | Sequence[str] = (),
        *,
        sources: Sequence[str] | None = None,
        env: dict[str, str] | None = None,
        plusargs: Sequence[str] = (),
        **parameters: int,
    ) -> Path:
        names = [cases] if isinstance(cases, str) else list(cases)
        print(f"SEED={seed} {top} {parameters} {names or 'all'}")
        extra = dict(env or {})
        if names:  # a parametrized cocotb test is called name/option=value/...
            extra["COCOTB_TEST_FILTER"] = rf"\.({'|'.join(map(re.escape, names))})(/|$)"
        built = build(top, sources=sources, params=parameters, public=PORTS if top == TOP else None)
        results = run(built, request.module.__name__, seed=seed, extra_env=extra, plusargs=plusargs)
        ran = {case.get("name", "").split("/")[0] for case in ElementTree.parse(results).iter("testcase")}
        assert ran, f"no test ran in {results}"
        assert not set(names) - ran, f"no such cocotb test: {set(names) - ran}"
        return results

    return run_it
