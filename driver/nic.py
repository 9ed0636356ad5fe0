# SPDX-License-Identifier: Apache-2.0
"""Tupelo as a network card: start, send, receive, wait, count, reset, stop.

Interrupts stay off except while a coroutine waits here. One coroutine at a time may wait on a NIC (use
`wait` for several queues at once); sending and receiving from others meanwhile is fine.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from driver.bus import Bus, DmaRegion
from driver.config import Mode, NicConfig
from driver.device import Identity, NetConfig, QueueError, VirtioDevice
from driver.errors import QueueStopped, UsageError
from driver.indirect import SLOTS_MAX as TABLE_SLOTS_MAX
from driver.indirect import IndirectTables
from driver.msix import CONFIG_VECTOR, Msix, queue_vector
from driver.offload import RxBatch, TxOffload
from driver.pool import BufferPool
from driver.registers import Feature
from driver.rx import RxQueue
from driver.stats import Statistics, queue_name, read_statistics
from driver.tx import TxQueue
from driver.virtqueue import PackedQueue
from driver.windows import Window

__all__ = ["NicConfig", "Ready", "TupeloNic"]


@dataclass(frozen=True, slots=True)
class Ready:
    """What a wait ended with; all empty on a timeout."""

    rx: frozenset[int]  # pairs with frames to receive
    tx: frozenset[int]  # pairs with transmit space
    stopped: frozenset[int]  # virtqueues that the device stopped

    def __bool__(self) -> bool:
        return bool(self.rx or self.tx or self.stopped)


@dataclass(slots=True)
class _Running:
    """What exists between start and stop."""

    config: NicConfig
    identity: Identity
    rings: list[DmaRegion] = field(default_factory=list)
    msix: Msix | None = None


class TupeloNic:
    """One NIC on one bus. `rx[p]` and `tx[p]` are the queues of pair p, with batch calls of their own."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.device = VirtioDevice(bus)
        self.rx: list[RxQueue] = []
        self.tx: list[TxQueue] = []
        self.net: NetConfig | None = None
        self.mode = Mode()  # what was negotiated means for frames
        self.stopped: dict[int, QueueError] = {}  # virtqueue -> why the device stopped it, as far as noticed
        self.leaked: dict[str, int] = {}  # after stop: queue name -> buffers that a caller kept
        self._run: _Running | None = None

    # Life cycle ---------------------------------------------------------------------------------------

    async def start(self, config: NicConfig | None = None) -> None:
        """Initialise by VIRTIO 1.2 section 3.1.1. On failure FAILED is set, all memory given back."""
        if self._run is not None:
            raise UsageError("start: the NIC is already started")
        config = config or NicConfig()
        config.check()
        run = self._run = _Running(config, await self._identify(config))
        try:
            await self.device.reset()
            if config.hash_report:
                await self.device.offer(Feature.NET_HASH_REPORT)
            await self.device.negotiate(*config.features())
            self.mode = Mode.of(self.device.features)
            self.net = await self.device.net_config()
            await self._set_up(run)
            await self.device.go()
        except Exception:
            try:
                await self.device.fail()
            finally:
                self._release()
            raise
        if config.rx_fill:
            for queue in self.rx:
                queue.post_free()
                await queue.kick()

    async def _identify(self, config: NicConfig) -> Identity:
        identity = await self.device.identify()
        if (asked := config.queue_pairs + config.channel_pairs) > identity.queue_pairs:
            raise UsageError(f"start: {asked} queue pairs, the device has {identity.queue_pairs}")
        return identity

    async def _set_up(self, run: _Running) -> None:
        """Step 7 of the initialisation: vectors, then the virtqueues of each pair, receive first."""
        config = run.config
        queues = range(2 * config.queue_pairs)
        with_channels = range(2 * (config.queue_pairs + config.channel_pairs))
        vectors = [CONFIG_VECTOR, *(queue_vector(index) for index in with_channels)]
        run.msix = await self.device.enable_msix(run.identity.vectors, vectors)
        for index in queues:
            name = queue_name(index)
            slots = config.tx_ring_slots if index & 1 else config.rx_ring_slots
            limit = await self.device.queue_size_max(index)
            if not 1 <= slots <= limit:
                raise UsageError(f"start: {name} ring of {slots} slots, the device takes 1..{limit}")
            queue = self._make_ring(run, index, slots)
            queue.disable_interrupts()
            doorbell = await self._enable(index, queue)
            pool = BufferPool(self.bus, slots, config.buffer_bytes, name=f"{name} pool")
            frame_max, chain_max = run.identity.frame_bytes_max, run.identity.desc_cache_slots
            if index & 1:
                over = config.indirect_over
                limits = (frame_max, chain_max)
                self.tx.append(TxQueue(self.bus, index, doorbell, queue, pool, *limits, self.mode, over))
            else:
                self.rx.append(RxQueue(self.bus, index, doorbell, queue, pool, self.mode, frame_max))

    def _make_ring(self, run: _Running, index: int, slots: int) -> PackedQueue:
        """A ring and, behind it in the same region, the indirect tables of a transmit queue."""
        ring_bytes = PackedQueue.region_bytes(slots)
        count = run.config.indirect_tables if index & 1 and run.config.indirect_over else 0
        table_slots = min(run.identity.desc_cache_slots, TABLE_SLOTS_MAX)
        table_bytes = IndirectTables.region_bytes(count, table_slots)
        region = self.bus.dma_alloc(ring_bytes + table_bytes, 4096)
        run.rings.append(region)
        return PackedQueue(
            region,
            slots,
            queue_name(index),
            device_writes=not index & 1,
            event_idx=self.device.has(Feature.RING_EVENT_IDX),
            tables=IndirectTables(region, ring_bytes, count, table_slots) if count else None,
        )

    async def _enable(self, index: int, queue: PackedQueue) -> int:
        areas = (queue.desc_iova, queue.driver_iova, queue.device_iova)
        return await self.device.set_up_queue(index, queue.size, areas, queue_vector(index))

    async def stop(self) -> None:
        """Reset the device, then give all memory back; what was in flight is lost."""
        run = self._running("stop")
        await self.device.reset()
        if run.msix is not None:
            await run.msix.disable()
        self._release()

    async def restart(self) -> None:
        """Stop and start with the same configuration: the way out of DEVICE_NEEDS_RESET."""
        config = self._running("restart").config
        await self.stop()
        await self.start(config)

    def _release(self) -> None:
        run, self._run = self._run, None
        self.leaked = {}
        for queue in (*self.rx, *self.tx):
            queue.reset()
            left = queue.pool.close()
            if left:
                self.leaked[queue.queue.name] = left
        for region in run.rings if run else ():
            self.bus.dma_free(region)
        self.rx, self.tx = [], []
        self.stopped = {}

    def _running(self, what: str) -> _Running:
        if self._run is None:
            raise UsageError(f"{what}: the NIC is not started")
        return self._run

    def _pair(self, what: str, pair: int) -> None:
        self._running(what)
        if not 0 <= pair < len(self.tx):
            raise UsageError(f"{what}: no queue pair {pair}, there are {len(self.tx)}")

    # Frames -------------------------------------------------------------------------------------------

    async def send(self, frames: Sequence[bytes], pair: int = 0) -> int:
        """Send frames from the first on, as many as there is room for; return how many (see wait_tx_space).

        UsageError, with none sent, for a frame of illegal length; QueueStopped if the device stopped it.
        """
        self._pair("send", pair)
        queue = self.tx[pair]
        accepted = queue.send(frames)
        await queue.kick()
        if accepted == 0 and frames:
            self._check_stopped(queue.index)
        return accepted

    async def send_offload(
        self, frames: Sequence[bytes], offloads: Sequence[TxOffload | None], pair: int = 0
    ) -> int:
        """As send, with a request for each frame (None: nothing is asked for); see driver.offload."""
        self._pair("send_offload", pair)
        queue = self.tx[pair]
        accepted = queue.send_offload(frames, offloads)
        await queue.kick()
        if accepted == 0 and frames:
            self._check_stopped(queue.index)
        return accepted

    async def send_all(self, frames: Sequence[bytes], pair: int = 0, timeout_ns: int | None = None) -> int:
        """Send all frames, waiting up to `timeout_ns` each time for room; return how many were accepted."""
        done = await self.send(frames, pair)
        while done < len(frames):
            slots = self.tx[pair].slots_for(len(frames[done]))
            if not await self.wait_tx_space(pair, slots, timeout_ns):
                break
            accepted = await self.send(frames[done:], pair)
            if accepted == 0:  # slots but no buffers: the caller holds them (raw path)
                break
            done += accepted
        return done

    def recv(self, pair: int = 0, limit: int | None = None) -> list[bytes]:
        """Take up to `limit` frames that have arrived; their buffers go back to the ring.

        The doorbell for those, if the device wants one, is rung by the next wait or by `flush`.
        """
        self._pair("recv", pair)
        queue = self.rx[pair]
        frames = queue.recv(limit)
        if not frames:
            self._check_stopped(queue.index)
        return frames

    def recv_meta(self, pair: int = 0, limit: int | None = None) -> RxBatch:
        """As recv, with what the device says of each frame: checksum verified, hash, buffers."""
        self._pair("recv_meta", pair)
        queue = self.rx[pair]
        batch = queue.recv_meta(limit)
        if not batch.frames:
            self._check_stopped(queue.index)
        return batch

    async def flush(self) -> None:
        """Ring every doorbell that is due."""
        self._running("flush")
        for queue in (*self.rx, *self.tx):
            await queue.kick()

    def _check_stopped(self, index: int) -> None:
        if index in self.stopped:
            raise QueueStopped(self.stopped[index])

    # Waiting ------------------------------------------------------------------------------------------

    async def wait_rx(
        self, timeout_ns: int | None = None, pairs: Collection[int] | None = None
    ) -> frozenset[int]:
        """Wait until a pair has frames; return which, none on a timeout. QueueStopped if one never will."""
        self._running("wait_rx")
        ready = await self.wait(rx=range(len(self.rx)) if pairs is None else pairs, timeout_ns=timeout_ns)
        if ready.stopped and not ready.rx:
            self._check_stopped(min(ready.stopped))
        return ready.rx

    async def wait_tx_space(self, pair: int = 0, slots: int = 1, timeout_ns: int | None = None) -> bool:
        """Wait until `slots` slots of the transmit ring are free; False on a timeout, or QueueStopped."""
        self._pair("wait_tx_space", pair)
        if not 1 <= slots <= self.tx[pair].queue.size:
            raise UsageError(f"wait_tx_space: {slots} slots, the ring has {self.tx[pair].queue.size}")
        ready = await self.wait(tx={pair: slots}, timeout_ns=timeout_ns)
        if ready.stopped and not ready.tx:
            self._check_stopped(min(ready.stopped))
        return bool(ready.tx)

    async def wait(
        self, *, rx: Collection[int] = (), tx: Mapping[int, int] | None = None, timeout_ns: int | None = None
    ) -> Ready:
        """Wait until a pair of `rx` has frames, one of `tx` (pair -> slots) has room, or a queue stops.

        DeviceNeedsReset if the device says so. Interrupts are asked for, then the rings are looked at
        again, and only then does it sleep, so none is lost.
        """
        run = self._running("wait")
        tx = tx or {}
        for pair in (*rx, *tx):
            self._pair("wait", pair)
        await self.flush()
        deadline_ns = None if timeout_ns is None else self.bus.now_ns() + timeout_ns
        vectors = [CONFIG_VECTOR, *(queue_vector(2 * p) for p in rx), *(queue_vector(2 * p + 1) for p in tx)]
        queues = [self.rx[p].queue for p in rx] + [self.tx[p].queue for p in tx]
        moderate = bool(rx) and run.config.rx_interrupt_after > 1
        try:
            while True:
                ready = self._look(rx, tx)
                if ready or self._arm(run.config.rx_interrupt_after if moderate else 1, rx, tx):
                    return ready or self._look(rx, tx)
                limit_ns = None if deadline_ns is None else max(0, deadline_ns - self.bus.now_ns())
                if moderate:  # one window; if it stays empty, sleep until the next single frame
                    window_ns = run.config.rx_moderation_ns
                    limit_ns = window_ns if limit_ns is None else min(window_ns, limit_ns)
                    moderate = False
                fired = await self.bus.wait_irq(vectors, limit_ns)
                if self._run is not run:
                    raise UsageError("wait: the NIC was stopped meanwhile")
                if CONFIG_VECTOR in fired:
                    await self._config_changed()
                if deadline_ns is not None and self.bus.now_ns() >= deadline_ns:
                    return self._look(rx, tx)
        finally:
            for queue in queues if self._run is run else ():
                queue.disable_interrupts()

    def _look(self, rx: Collection[int], tx: Mapping[int, int]) -> Ready:
        """What is ready now; completions are reaped where room is asked for."""
        for pair, slots in tx.items():
            if self.tx[pair].room() < slots:
                self.tx[pair].reap()
        asked = {2 * p for p in rx} | {2 * p + 1 for p in tx}
        return Ready(
            frozenset(p for p in rx if self.rx[p].has_frames()),
            frozenset(p for p, slots in tx.items() if self.tx[p].room() >= slots),
            frozenset(asked & self.stopped.keys()),
        )

    def _arm(self, rx_slots: int, rx: Collection[int], tx: Mapping[int, int]) -> bool:
        """Ask for interrupts; True if what is waited for has come meanwhile, so that none may come."""
        missed = [self.rx[p].queue.interrupt_after(rx_slots) for p in rx]
        missed += [self.tx[pair].interrupt_for(slots) for pair, slots in tx.items()]
        return any(missed)

    async def _config_changed(self) -> None:
        await self.device.check_alive()
        self.net = await self.device.net_config()
        await self.queue_errors()

    # Errors, counters ---------------------------------------------------------------------------------

    async def queue_errors(self) -> list[QueueError]:
        """The virtqueues that the device stopped, with its reasons; also noted in `stopped`."""
        self._running("queue_errors")
        errors = await self.device.queue_errors(len(self.rx) + len(self.tx))
        self.stopped = {error.index: error for error in errors}
        return errors

    async def reset_queue(self, index: int) -> None:
        """Reset virtqueue `index` (2 * pair, + 1 for transmit) alone and put it back to work, empty."""
        run = self._running("reset_queue")
        if not 0 <= index < 2 * len(self.tx):
            raise UsageError(f"reset_queue: no virtqueue {index}, there are {2 * len(self.tx)}")
        await self.device.reset_queue(index)
        side = self.tx[index // 2] if index & 1 else self.rx[index // 2]
        side.reset()
        side.queue.disable_interrupts()
        await self._enable(index, side.queue)
        self.stopped.pop(index, None)
        if isinstance(side, RxQueue) and run.config.rx_fill:
            side.post_free()
            await side.kick()

    async def statistics(self, *, snapshot: bool = False) -> Statistics:
        """All global counters and those of the virtqueues in use; snapshot: all of one moment."""
        self._running("statistics")
        return await read_statistics(self.bus, range(2 * len(self.tx)), snapshot=snapshot)

    def windows_of(self, pair: int) -> list[Window]:
        """The windows that this pair's own rings and buffers need, for Guard.set_windows."""
        run = self._running("windows_of")
        self._pair("windows_of", pair)
        return [
            Window.of(run.rings[2 * pair]),
            Window.of(run.rings[2 * pair + 1]),
            Window.of(self.rx[pair].pool.region, read=False),
            Window.of(self.tx[pair].pool.region, write=False),
        ]

    async def poll(
        self, budget: int = 64, idle_ns: int | None = None
    ) -> AsyncIterator[tuple[int, list[bytes]]]:
        """Receive as NAPI does: yield (pair, up to `budget` frames), pair by pair, with interrupts off.

        Sleeps only when all rings are empty; ends after `idle_ns` without a frame.
        """
        while ready := await self.wait_rx(idle_ns):
            while ready:
                for pair in sorted(ready):
                    yield pair, self.recv(pair, budget)
                await self.flush()
                ready = frozenset(p for p in range(len(self.rx)) if self.rx[p].has_frames())
