# SPDX-License-Identifier: Apache-2.0
"""The cocotb test that run_fast starts: calls the wanted function and stores its result."""

import ctypes
import json
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cocotb

from sim.fast import FastHarness
from sim.fast_audit import audit
from sim.fast_run import current_job, load_function

PR_SET_PDEATHSIG = 1  # Linux: die with the parent, however that one ends


@cocotb.test()
async def main(dut: Any) -> None:
    """Call the job's function; its value or its error goes to the job's file."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job = current_job()
    answer = await _answer(dut, job)
    sys.stdout.flush()
    Path(job["value"]).write_text(json.dumps(answer))


async def _answer(dut: Any, job: dict[str, Any]) -> dict[str, Any]:
    try:
        function, config = load_function(job["function"])
        call: Callable[..., Awaitable[Any]] = function
        harness = FastHarness(dut, config)
        value = await call(harness, **job["arguments"])
        if problems := await audit(harness):
            return {"error": "frames do not add up: " + "; ".join(problems)}
        return {"value": value}
    except KeyboardInterrupt:
        return {"error": "interrupted"}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}
