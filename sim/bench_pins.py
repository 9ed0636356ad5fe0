# SPDX-License-Identifier: Apache-2.0
"""The bench's loop on the pins harness: a cocotb test that sim.launch.in_pins starts."""

import json
import os
from pathlib import Path
from typing import Any

import cocotb

from sim.bench_sim import loops
from sim.launch import PINS_VARIABLE
from sim.pins import PinsHarness


@cocotb.test()
async def bench(dut: Any) -> None:
    """Loop frames as the job says, store the figures."""
    job = json.loads(Path(os.environ[PINS_VARIABLE]).read_text(encoding="utf-8"))
    value = Path(job.pop("value"))
    harness = PinsHarness(dut, seed=1)
    await harness.start()
    harness.wire.loopback = True
    figures = await loops(harness, **job)
    harness.check()
    value.write_text(json.dumps(figures), encoding="utf-8")
