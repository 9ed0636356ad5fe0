# SPDX-License-Identifier: Apache-2.0
"""The books of all frames at the end of a run on the fast harness: wire, counters and drops must agree.

`sim.fast_entry` closes them after every function that it ran, so no program or test needs to ask for it.
"""

from driver.conservation import violations
from driver.registers import COMMON
from driver.stats import Statistics, read_statistics
from sim.fast import FastHarness

SETTLE_NS = 20_000
TRIES = 8  # a frame may wait 16,320 cycles for buffers
RESET_POLLS = 1000


def differences(stats: Statistics, wire: dict[str, int]) -> list[str]:
    """What does not add up. wire: FastWire.counters(), from the NIC's point of view."""
    found = [str(violation) for violation in violations(stats)]
    for name, other in (
        ("rx_wire_frames", "rx_frames"),
        ("tx_frames", "tx_frames"),
        ("tx_bytes", "tx_bytes"),
    ):
        if stats[name] != wire[other]:
            found.append(f"{name} is {stats[name]}, the wire had {wire[other]}")
    return found


async def audit(harness: FastHarness) -> list[str]:
    """Wait until the books balance; if they do not, end all traffic by a device reset and look again.

    Returns what is wrong then; empty is well.
    """
    if not await _settled(harness):
        return []
    await harness.write(COMMON.DEVICE_STATUS.offset_bytes, 0, 1)
    for _ in range(RESET_POLLS):
        if await harness.read(COMMON.DEVICE_STATUS.offset_bytes, 1) == 0:
            return await _settled(harness)
    return ["a device reset does not end"]


async def _settled(harness: FastHarness) -> list[str]:
    """What does not add up, once it has been given time."""
    queues = range(await harness.read(COMMON.NUM_QUEUES.offset_bytes, 2))
    found: list[str] = []
    for _ in range(TRIES):
        await harness.sleep(SETTLE_NS)
        stats = await read_statistics(harness, queues, snapshot=True)
        found = differences(stats, harness.wire.counters())
        if not found:
            break
    return found
