# SPDX-License-Identifier: Apache-2.0
"""One packed virtqueue, driver side: post buffers, reap them, ask for notifications. VIRTIO 1.2 section 2.8.

The ring is a numpy view of memory that the device shares. Batches move without a Python loop over
descriptors. What makes a descriptor available (its flags) is always written last, and the first slot of
a chain or batch last of all, so a device that polls never sees half of one (section 2.8.21).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from driver import ring
from driver.bus import DmaRegion
from driver.descriptors import (
    AVAIL_FLAGS,
    DESC_BYTES,
    DESC_DTYPE,
    INDIRECT,
    NEXT,
    OWNER_MASK,
    USED_FLAGS,
    WRITE,
    EventMode,
)
from driver.errors import DeviceError, Fault, QueueQuarantined, UsageError
from driver.indirect import LINE_BYTES, IndirectTables, Segment

IdArray = npt.NDArray[np.uint16]
LenArray = npt.NDArray[np.uint32]
AddrArray = npt.NDArray[np.uint64]

__all__ = ["AddrArray", "IdArray", "LenArray", "PackedQueue", "Segment"]

NO_IDS: IdArray = np.empty(0, np.uint16)
NO_LENS: LenArray = np.empty(0, np.uint32)


class PackedQueue:
    """Descriptor ring, buffer ids and event suppression of one virtqueue.

    Ids are 0..size-1; the queue picks them, the caller maps them to its buffers. After a DeviceError the
    queue is quarantined: it refuses work, and its state is the one before the offending descriptor.
    """

    def __init__(
        self,
        region: DmaRegion,
        size: int,
        name: str,
        *,
        device_writes: bool,
        event_idx: bool = False,
        tables: IndirectTables | None = None,
    ) -> None:
        """Take a region of `region_bytes(size)`; batches are device-writable or -readable throughout."""
        if not 1 <= size <= ring.SIZE_MAX:
            raise UsageError(f"queue {name}: size {size} not in 1..{ring.SIZE_MAX}")
        if region.size_bytes < self.region_bytes(size):
            raise UsageError(f"queue {name}: region of {region.size_bytes} bytes, {size} slots need more")
        ring_bytes = size * DESC_BYTES
        driver_at = _line_up(ring_bytes)
        device_at = driver_at + LINE_BYTES
        self.name = name
        self.size = size
        self.event_idx = event_idx
        self.desc_iova = region.iova
        self.driver_iova = region.iova + driver_at
        self.device_iova = region.iova + device_at
        self._memory = region.view[: device_at + LINE_BYTES]
        slots = region.view[:ring_bytes].view(DESC_DTYPE)
        self._addr = slots["addr"]
        self._len = slots["len"]
        self._id = slots["id"]
        self._flags = slots["flags"]
        # Both halves of an event structure move as one u32, so neither side sees a torn one.
        self._driver_event = region.view[driver_at : driver_at + 4].view("<u4")
        self._device_event = region.view[device_at : device_at + 4].view("<u4")
        self._batch_flags = WRITE if device_writes else 0
        self.tables = tables
        self.reset()

    @staticmethod
    def region_bytes(size: int) -> int:
        """Bytes of shared memory that a queue of `size` slots takes."""
        return _line_up(size * DESC_BYTES) + 2 * LINE_BYTES

    def reset(self) -> IdArray:
        """Start afresh, with zeroed memory; return the ids that were in flight. Device must be off it."""
        lost = self.held_ids() if hasattr(self, "_held") else NO_IDS
        self._memory[:] = 0
        self.avail = ring.START
        self.used = ring.START
        self.free_slots = self.size
        self.in_flight = 0  # buffers that the device holds
        self._chains = 0  # of these, longer than one slot
        if self.tables is not None:
            self.tables.reset()
        self._notified = ring.START
        self._unnotified_slots = 0
        self._held: npt.NDArray[np.bool_] = np.zeros(self.size, np.bool_)
        self._slots: IdArray = np.ones(self.size, np.uint16)  # a buffer's ring slots, by id
        self._writable: LenArray = np.zeros(self.size, np.uint32)  # bytes that the device may write, by id
        self._free_ids: IdArray = np.arange(self.size, dtype=np.uint16)[::-1].copy()  # a stack
        self._free_top = self.size
        self._order = np.arange(self.size, dtype=np.int32)
        self._seen = np.zeros(self.size, np.int32)
        self.fault: DeviceError | None = None
        return lost

    def held_ids(self) -> IdArray:
        """Ids of the buffers that the device holds, uint16[in_flight]."""
        return np.flatnonzero(self._held).astype(np.uint16)

    # Posting ------------------------------------------------------------------------------------------

    def post_batch(self, addrs: AddrArray, lens: LenArray) -> IdArray:
        """Give n buffers of one slot each to the device; return their ids, uint16[n], in order.

        `addrs` are iovas, uint64[n]; `lens` bytes > 0, uint32[n]. UsageError if they do not all fit.
        """
        n = len(addrs)
        if len(lens) != n:
            raise UsageError(f"queue {self.name}: {n} addresses but {len(lens)} lengths")
        self._check_room(n)
        if n == 0:
            return NO_IDS
        if int(lens.min()) == 0:
            raise UsageError(f"queue {self.name}: buffer {int(lens.argmin())} of the batch is empty")
        self._free_top -= n
        ids = self._free_ids[self._free_top : self._free_top + n][::-1].copy()
        done = 0
        parts = ring.spans(self.avail, n, self.size)
        for start, stop, _ in parts:
            upto = done + stop - start
            self._addr[start:stop] = addrs[done:upto]
            self._len[start:stop] = lens[done:upto]
            self._id[start:stop] = ids[done:upto]
            done = upto
        self._held[ids] = True
        self._writable[ids] = lens if self._batch_flags else 0
        for start, stop, wrap in parts:
            self._flags[start + (start == self.avail.slot) : stop] = AVAIL_FLAGS[wrap] | self._batch_flags
        self._flags[self.avail.slot] = AVAIL_FLAGS[self.avail.wrap] | self._batch_flags
        self._posted(n, n)
        return ids

    def post(self, addr: int, len_bytes: int) -> int:
        """Give one buffer to the device; return its id."""
        return self.post_chain([Segment(addr, len_bytes, bool(self._batch_flags))])

    def post_chain(self, segments: Sequence[Segment]) -> int:
        """Give a scatter-gather list to the device as one buffer; return its id.

        Device-readable segments come first (VIRTIO 1.2 section 2.6.4.2). UsageError if it does not fit.
        """
        n = len(segments)
        self._check_chain(segments)
        self._check_room(n)
        self._free_top -= 1
        buffer_id = int(self._free_ids[self._free_top])
        index, wrap = ring.positions(self.avail, n, self.size)
        writable = 0
        flags: list[int] = []
        for k, (addr, len_bytes, device_writes) in enumerate(segments):
            slot = index[k]
            self._addr[slot] = addr
            self._len[slot] = len_bytes
            self._id[slot] = buffer_id  # needed in the last only; the same in all is allowed
            flags.append(AVAIL_FLAGS[wrap[k]] | (WRITE if device_writes else 0) | (NEXT if k < n - 1 else 0))
            writable += len_bytes if device_writes else 0
        self._held[buffer_id] = True
        self._slots[buffer_id] = n
        self._writable[buffer_id] = min(writable, 0xFFFFFFFF)
        self._chains += n > 1
        for k in range(n - 1, -1, -1):  # the head last: it makes the whole chain visible
            self._flags[index[k]] = flags[k]
        self._posted(n, 1)
        return buffer_id

    def post_indirect(self, segments: Sequence[Segment]) -> int:
        """As post_chain through an indirect table, in one slot of the ring; needs a free table."""
        self._check_chain(segments)
        self._check_room(1)
        if self.tables is None:
            raise UsageError(f"queue {self.name}: it has no indirect tables")
        buffer_id = int(self._free_ids[self._free_top - 1])
        table_iova = self.tables.fill(buffer_id, segments)
        self._free_top -= 1
        slot, wrap = self.avail
        self._addr[slot] = table_iova
        self._len[slot] = len(segments) * DESC_BYTES
        self._id[slot] = buffer_id
        self._held[buffer_id] = True
        writable = sum(segment.len_bytes for segment in segments if segment.device_writes)
        self._writable[buffer_id] = min(writable, 0xFFFFFFFF)
        self._flags[slot] = AVAIL_FLAGS[wrap] | INDIRECT
        self._posted(1, 1)
        return buffer_id

    def _posted(self, slots: int, buffers: int) -> None:
        self.avail = ring.advance(self.avail, slots, self.size)
        self.free_slots -= slots
        self.in_flight += buffers
        self._unnotified_slots += slots

    def _check_room(self, slots: int) -> None:
        if self.fault is not None:
            raise QueueQuarantined(f"queue {self.name} is quarantined: {self.fault}") from self.fault
        if slots > self.free_slots:
            raise UsageError(
                f"queue {self.name}: {slots} slots asked at position {self.avail.slot} "
                f"(wrap {self.avail.wrap}), {self.free_slots} of {self.size} free"
            )

    def _check_chain(self, segments: Sequence[Segment]) -> None:
        if not segments:
            raise UsageError(f"queue {self.name}: a chain of no segment")
        writes = False
        for k, segment in enumerate(segments):
            if not (0 < segment.len_bytes < 1 << 32 and 0 <= segment.addr < 1 << 64):
                raise UsageError(f"queue {self.name}: segment {k} of the chain out of range: {segment}")
            if writes and not segment.device_writes:
                raise UsageError(f"queue {self.name}: segment {k} is device-readable after a writable one")
            writes = segment.device_writes

    # Reaping ------------------------------------------------------------------------------------------

    def has_used(self) -> bool:
        """Whether a used buffer waits; one memory read."""
        pos = self.used
        return (int(self._flags[pos.slot]) & OWNER_MASK) == USED_FLAGS[pos.wrap]

    def reap_batch(self, limit: int | None = None) -> tuple[IdArray, LenArray]:
        """Take back up to `limit` used buffers: ids uint16[m] and bytes written uint32[m], in used order.

        Raises DeviceError, and quarantines the queue, when the first one is nonsense; sound ones before a
        nonsense one are returned first.
        """
        if self.fault is not None:
            raise QueueQuarantined(f"queue {self.name} is quarantined: {self.fault}") from self.fault
        if limit == 0 or not self.has_used():
            return NO_IDS, NO_LENS
        if self.in_flight == 0:
            self._quarantine(Fault.USED_TWICE, int(self._id[self.used.slot]), 0)
        upto = self.in_flight if limit is None else min(limit, self.in_flight)
        if self._chains:
            ids, lens, slots = self._scan_chains(upto)
        else:
            ids, lens = self._scan_singles(upto)
            slots = len(ids)
        n = len(ids)
        if self.tables:
            self.tables.give(ids.tolist())
        self._held[ids] = False
        self._free_ids[self._free_top : self._free_top + n] = ids
        self._free_top += n
        self.in_flight -= n
        self.free_slots += slots
        self.used = ring.advance(self.used, slots, self.size)
        return ids, lens

    def _scan_singles(self, upto: int) -> tuple[IdArray, LenArray]:
        """The sound used descriptors among the next `upto` slots; DeviceError if the first is not."""
        parts: list[slice] = []
        flag_parts: list[IdArray] = []
        for start, stop, wrap in ring.spans(self.used, upto, self.size):
            flags = self._flags[start:stop].copy()
            is_used = (flags & OWNER_MASK) == USED_FLAGS[wrap]
            count = stop - start if is_used.all() else int(is_used.argmin())
            parts.append(slice(start, start + count))
            flag_parts.append(flags[:count])
            if count < stop - start:
                break
        ids: IdArray = np.concatenate([self._id[part] for part in parts])
        lens: LenArray = np.concatenate([self._len[part] for part in parts])
        lens *= (np.concatenate(flag_parts) & WRITE) != 0  # without WRITE the length means nothing (2.8.5)
        sound = self._sound(ids, lens)
        return ids[:sound], lens[:sound]

    def _sound(self, ids: IdArray, lens: LenArray) -> int:
        """How many of these, from the first on, a correct device can have written; never 0."""
        n = len(ids)
        known = n if int(ids.max()) < self.size else int((ids >= self.size).argmax())
        if known == 0:
            self._quarantine(Fault.UNKNOWN_ID, int(ids[0]), self.size - 1)
        ids = ids[:known]
        order = self._order[:known]
        self._seen[ids[::-1]] = order[::-1]  # of an id twice in the batch, the first one stays
        held = self._held[ids] & (self._seen[ids] == order)
        fits = lens[:known] <= self._writable[ids]
        good = held & fits
        if good.all():
            return known
        sound = int(good.argmin())
        if sound == 0 and not held[0]:
            self._quarantine(Fault.ID_NOT_POSTED, int(ids[0]), self.size - 1)
        if sound == 0:
            self._quarantine(Fault.LENGTH, int(lens[0]), int(self._writable[ids[0]]))
        return sound

    def _scan_chains(self, upto: int) -> tuple[IdArray, LenArray, int]:
        """As _scan_singles while chains are in flight: where the next one lies depends on each id."""
        ids: list[int] = []
        lens: list[int] = []
        slots = 0
        seen: set[int] = set()
        pos = self.used
        while len(ids) < upto:
            flags = int(self._flags[pos.slot])
            if (flags & OWNER_MASK) != USED_FLAGS[pos.wrap]:
                break
            one_id = self._id[pos.slot : pos.slot + 1].copy()
            one_len = self._len[pos.slot : pos.slot + 1] * np.uint32((flags & WRITE) != 0)
            buffer_id = int(one_id[0])
            if ids and (buffer_id in seen or buffer_id >= self.size or not self._held[buffer_id]):
                break  # the next call finds it in front and names the fault
            if ids and one_len[0] > self._writable[buffer_id]:
                break
            self._sound(one_id, one_len)
            seen.add(buffer_id)
            ids.append(buffer_id)
            lens.append(int(one_len[0]))
            slots += int(self._slots[buffer_id])
            pos = ring.advance(self.used, slots, self.size)
        taken: IdArray = np.array(ids, np.uint16)
        self._chains -= int((self._slots[taken] > 1).sum())
        self._slots[taken] = 1
        return taken, np.array(lens, np.uint32), slots

    def _quarantine(self, fault: Fault, value: int, bound: int) -> None:
        self.fault = DeviceError(self.name, fault, self.used.slot, self.used.wrap, value, bound)
        raise self.fault

    # Notifications ------------------------------------------------------------------------------------

    def take_kick(self) -> bool:
        """Whether the device wants a doorbell for what was posted since the last call (section 2.8.21.3)."""
        slots, self._unnotified_slots = self._unnotified_slots, 0
        start, self._notified = self._notified, self.avail
        if slots == 0:
            return False
        event = int(self._device_event[0])
        mode = event >> 16 & 3
        if mode == EventMode.DESC and self.event_idx:
            return ring.crosses(ring.decode_off_wrap(event & 0xFFFF), start, slots, self.size)
        return mode != EventMode.DISABLE  # a reserved mode counts as ENABLE: too often is harmless

    def disable_interrupts(self) -> None:
        """Ask for none; a hint, one may still come."""
        self._driver_event[0] = EventMode.DISABLE << 16

    def enable_interrupts(self) -> bool:
        """Ask for one at every used buffer; True if some wait already, so that none may come for them."""
        self._driver_event[0] = EventMode.ENABLE << 16
        return self.has_used()

    def interrupt_after(self, used_slots: int = 1) -> bool:
        """Ask for one when `used_slots` 1..size more slots are used; True if they are already.

        On True the interrupt may have been missed, and the caller polls instead of waiting: the device
        writes used, then reads this; we write this, then read used; so one of the two sees the other.
        Without EVENT_IDX it asks for one at every used buffer.
        """
        if not 1 <= used_slots <= self.size:
            raise UsageError(f"queue {self.name}: interrupt after {used_slots} of {self.size} slots")
        if not self.event_idx:
            return self.enable_interrupts()
        event = ring.advance(self.used, used_slots - 1, self.size)
        self._driver_event[0] = EventMode.DESC << 16 | ring.encode_off_wrap(event)
        if not self._chains:
            return (int(self._flags[event.slot]) & OWNER_MASK) == USED_FLAGS[event.wrap]
        return self._used_slots(used_slots) >= used_slots

    def _used_slots(self, enough: int) -> int:
        """Slots used but not reaped, counted through chains, up to `enough`."""
        slots = 0
        while slots < enough:
            pos = ring.advance(self.used, slots, self.size)
            if (int(self._flags[pos.slot]) & OWNER_MASK) != USED_FLAGS[pos.wrap]:
                break
            buffer_id = int(self._id[pos.slot])
            if buffer_id >= self.size:
                return enough  # nonsense: let the caller reap and find out
            slots += int(self._slots[buffer_id])
        return slots


def _line_up(size_bytes: int) -> int:
    return -(-size_bytes // LINE_BYTES) * LINE_BYTES
