# SPDX-License-Identifier: Apache-2.0
"""Two user-space stacks in shared mode through the RTL; SEED=n repeats."""

import errno
import os
from pathlib import Path

import pytest

from sim.fast_run import run_fast

SEED = int(os.environ.get("SEED") or 1)


@pytest.mark.sim
def test_a_download_and_an_echo_share_an_address(tmp_path: Path) -> None:
    print(f"SEED={SEED}")
    result = run_fast(
        "sim.tests.shared_program:sharing", {"size_bytes": 100_000, "seed": SEED}, seed=SEED,
        folder=tmp_path, log=tmp_path / "run.log",
    )  # fmt: skip
    assert result.exit_code == 0, result.message
    print(result.value)
    seen = result.value
    assert (seen["file"], seen["echoes"], seen["theft"]) == (True, 20, errno.EADDRINUSE)
    assert (seen["differences"], seen["gone"], seen["refused"], seen["bad_messages"]) == ([], [], [0, 0], 0)
    assert seen["retransmits"] == 0
