# SPDX-License-Identifier: Apache-2.0
"""Takes the arbiter's jobs to the hardware, one after the other."""

from typing import Protocol

from driver.arbiter.arbiter import Arbiter, Job
from driver.arbiter.clients import ClosePair, OpenPair
from driver.arbiter.mirror import Change
from driver.errors import DriverError, TableFull
from driver.steering import Steering
from driver.tables import Key, Table
from driver.tuples import FlowKey


class Pairs(Protocol):
    """Queue pairs of the device; whoever sets up the rings in a stack's arena implements it."""

    async def open(self, job: OpenPair) -> None:
        """Windows, guard, virtqueues: then the pair runs."""
        ...

    async def close(self, job: ClosePair) -> None:
        """Reset both virtqueues, wait until they are drained, take the windows away."""
        ...


class Worker:
    """Runs jobs on one device. `errors` keeps what the device refused; such a job counts as not done."""

    def __init__(self, arbiter: Arbiter, steering: Steering, pairs: Pairs) -> None:
        self.errors: list[tuple[Job, DriverError]] = []
        self._arbiter = arbiter
        self._steering = steering
        self._pairs = pairs

    async def run(self) -> int:
        """Do all that is to do now; return how many jobs that were."""
        count = 0
        while (job := self._arbiter.next_job()) is not None:
            self._arbiter.job_done(job, await self._do(job))
            count += 1
        return count

    async def _do(self, job: Job) -> bool:
        try:
            if isinstance(job, Change):
                if isinstance(job.key, FlowKey):
                    await _change(self._steering.flows, job.key, job)
                else:
                    await _change(self._steering.listeners, job.key, job)
            elif isinstance(job, OpenPair):
                await self._pairs.open(job)
            else:
                await self._pairs.close(job)
        except TableFull:
            return False
        except DriverError as error:
            self.errors.append((job, error))
            return False
        return True


async def _change(table: Table[Key], key: Key, change: Change) -> None:
    there = table.lookup(key)
    if change.action is None:
        if there is not None:
            await table.delete(there.handle)
    elif there is None:
        await table.insert(key, change.action)
    else:
        await table.redirect(there.handle, change.action)
