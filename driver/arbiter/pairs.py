# SPDX-License-Identifier: Apache-2.0
"""Queue pairs of user-space stacks, set up and taken down by the privileged side; rings lie in the stacks'
arenas.
"""

from dataclasses import replace

from driver.arbiter.clients import ClosePair, OpenPair
from driver.bus import DmaRegion
from driver.channel import Arena, Shape
from driver.device import VirtioDevice
from driver.errors import UsageError
from driver.windows import Guard


class ChannelPairs:
    """The `Pairs` of driver.arbiter.worker over a device that is live and has RING_RESET (pair 0 is the
    host's).
    """

    def __init__(self, device: VirtioDevice, guard: Guard) -> None:
        self._device = device
        self._guard = guard
        self._arenas: dict[int, tuple[Shape, DmaRegion]] = {}  # by stack

    def give_arena(self, stack: int, shape: Shape, region: DmaRegion) -> None:
        """Say which memory a stack's pair uses when it is opened next; shape.pair and its doorbells are set
        then.
        """
        self._arenas[stack] = (shape, region)

    def shape(self, stack: int) -> Shape:
        """The shape of a stack's open pair, doorbells included: what its Channel needs."""
        return self._arenas[stack][0]

    def doorbells(self, stack: int) -> tuple[int, ...]:
        """BAR offsets that a stack may write; none while its pair is not open."""
        doorbells = self._arenas[stack][0].doorbells if stack in self._arenas else ()
        return doorbells if any(doorbells) else ()

    async def open(self, job: OpenPair) -> None:
        """Windows and guard first, then the queues: nothing runs without them."""
        if job.stack not in self._arenas:
            raise UsageError(f"stack {job.stack} has no arena")
        shape, region = self._arenas[job.stack]
        shape = replace(shape, pair=job.pair)
        arena = Arena(shape, region)
        await self._guard.set_windows(job.pair, job.windows)
        await self._guard.guard(job.pair)
        doorbells = []
        for index, ring, vector in zip(
            (2 * job.pair, 2 * job.pair + 1), (arena.rx_ring, arena.tx_ring), shape.vectors(), strict=True
        ):
            areas = (ring.desc_iova, ring.driver_iova, ring.device_iova)
            doorbells.append(await self._device.set_up_queue(index, ring.size, areas, vector))
        self._arenas[job.stack] = (replace(shape, doorbells=(doorbells[0], doorbells[1])), region)

    async def close(self, job: ClosePair) -> None:
        """Both queues off and drained by the device; then no window is left on the arena."""
        for index in (2 * job.pair, 2 * job.pair + 1):
            await self._device.reset_queue(index)
        await self._guard.set_windows(job.pair, [])
        self._arenas.pop(job.stack, None)
