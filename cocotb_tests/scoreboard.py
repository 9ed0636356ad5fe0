# SPDX-License-Identifier: Apache-2.0
"""A judge of the NIC that is not the driver: it watches the pins and host memory.

It knows what the device was offered (packed_walk), what it used, what went over the wire, and says what is
wrong: each chain used once, in order, with its id, length, flags and wrap; the octets on the wire those in
the buffers; received frames those of the wire; nothing read or written outside what was offered; every
frame accounted for. Frames should differ from each other, or a swap cannot be seen.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping

from cocotb_tests.agents.axi_memory import OKAY
from cocotb_tests.agents.bar import BarAccess
from cocotb_tests.agents.host_view import strobe_runs
from cocotb_tests.bar_watch import BarWatch, QueueSetup
from cocotb_tests.frame_rules import MAX_FRAME, MIN_FRAME, difference, drop_reason
from cocotb_tests.packed_walk import DESC, WRITE, Chain, ReadMemory, RingWalk
from cocotb_tests.queue_score import QueueScore, blocks_of
from cocotb_tests.received import MRG_RXBUF, Features, header_problem

EVENT_BYTES = 4  # struct pvirtq_event_suppress
USED_FLAGS = 0x8080
USED_TAIL = 0xFF00  # strobes of len, id, flags in a 16-byte slot
DROPS = ("tx_drop_short", "tx_drop_long", "tx_drop_header", "rx_drop_bad", "rx_drop_short", "rx_drop_long")
RX_LOSSES = (
    *("rx_drop_overflow", "rx_drop_no_buffer", "rx_drop_too_small", "rx_drop_queue_error"),
    *("rx_drop_reset", "rx_drop_filter"),
)


class ScoreError(AssertionError):
    """The device did something wrong; the text lists what."""


class Scoreboard:
    """Feed it events in the order of the pins; `finish` gives the verdict."""

    def __init__(
        self,
        read_memory: ReadMemory,
        beat_bytes: int,
        *,
        chain_limit: int = 64,
        spoil: Callable[[int, int], None] | None = None,
    ) -> None:
        """spoil(addr_bus, len_bytes): overwrite a transmit buffer when it is given back: shows late reads."""
        self.problems: list[str] = []
        self.queues: dict[int, QueueScore] = {}
        self.counts: Counter[str] = Counter()
        self.bar = BarWatch(self._enable, self._queue_reset, self._reset, self._doorbell)
        self.features = Features()
        self.queue_of: Callable[[bytes], int] = lambda frame: 0  # receive queue of a frame: for a test to set
        self._read = read_memory
        self._beat = beat_bytes
        self._chain_limit = chain_limit
        self._spoil = spoil
        self._wire_in: deque[bytes] = deque()
        self._interrupted = False  # an error or a reset cut a queue short
        self._orphans: dict[int, deque[bytes]] = {}  # offered before a reset: may still come out, in order

    # Events ---------------------------------------------------------------------------------------------

    def on_bar(self, access: BarAccess) -> None:
        """A BAR access took place."""
        self.features.access(access)
        self.bar.access(access)

    def on_read(self, addr: int, size: int, queue: int, resp: int) -> None:
        """The device asked to read [addr, addr + size), a whole number of beats."""
        score = self._live_queue(queue, f"read of {addr:#x}")
        if score is None:
            return
        self._note_error(score, resp)
        setup, end = score.setup, addr + size
        self._walk(score)
        if self._near(addr, end, setup.desc, score.walk.end):
            self.counts["desc_reads"] += 1
        elif self._near(addr, end, setup.driver, setup.driver + EVENT_BYTES):
            self.counts["event_reads"] += 1
        elif score.transmits and score.in_elements(addr, end, self._beat):
            self.counts["data_reads"] += 1
        elif not (score.walk.broken or score.faulted):
            self._bad(f"queue {queue}: read of [{addr:#x}, {end:#x}) is outside what was offered")

    def on_write(self, addr: int, data: bytes, strobes: int, queue: int, resp: int) -> None:
        """A write of the device is about to become visible (resp OKAY) or was refused."""
        score = self._live_queue(queue, f"write of {addr:#x}")
        if score is None:
            return
        self._note_error(score, resp)
        self._walk(score)
        setup, ring_strobes = score.setup, 0
        for start, end in strobe_runs(strobes):
            low, high = addr + start, addr + end
            if setup.desc <= low and high <= score.walk.end:
                ring_strobes |= ((1 << (end - start)) - 1) << start
            elif setup.device <= low and high <= setup.device + EVENT_BYTES:
                self.counts["event_writes"] += 1
            elif not score.transmits and score.covers(low, high):
                self.counts["data_bytes_written"] += high - low
            elif resp == OKAY:
                self._bad(
                    f"queue {queue}: stray write to [{low:#x}, {high:#x}): {data[start:end][:16].hex()}"
                )
        # After an error response what was under way may still come, with holes: not to be relied on.
        if ring_strobes and not score.faulted:
            self._used_burst(score, addr, data, ring_strobes)

    def on_wire_out(self, frame: bytes) -> None:
        """A whole frame left the NIC."""
        self.counts["wire_out"] += 1
        self.counts["wire_out_bytes"] += len(frame)
        for score in self.queues.values():
            if score.transmits:
                self._walk(score)
                if score.to_wire and score.to_wire[0] == frame:
                    score.to_wire.popleft()
                    return
        for orphans in self._orphans.values():
            if frame in orphans:
                while orphans.popleft() != frame:
                    pass
                return
        self._bad(
            f"wire: frame of {len(frame)} octets is next in no transmit queue: {_heads(self.queues, frame)}"
        )

    def on_wire_in(self, frame: bytes, bad: bool) -> None:
        """A whole frame entered the NIC."""
        self.counts["wire_in"] += 1
        if bad:
            self.counts["rx_drop_bad"] += 1
        elif len(frame) < MIN_FRAME:
            self.counts["rx_drop_short"] += 1
        elif len(frame) > MAX_FRAME:
            self.counts["rx_drop_long"] += 1
        else:
            self._wire_in.append(frame)

    # Verdict --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise ScoreError if anything was wrong so far."""
        if self.problems:
            raise ScoreError("\n".join(self.problems[:20]))

    def finish(self, statistics: Mapping[str, int] | None = None, *, drained: bool = True) -> None:
        """Raise ScoreError unless all is well. drained: every transmit chain must be used and on the wire.

        statistics: the device's global counters by name; they must agree with what the pins showed.
        """
        for score in self.queues.values():
            self._walk(score)
            if drained and score.ahead and not score.stuck:
                self._bad(f"queue {score.number}: used at {sorted(score.ahead)}, never at what is before")
            if drained and score.transmits and not score.stuck:
                if left := len(score.walk.offered):
                    self._bad(f"queue {score.number}: {left} chains offered and never used")
                if score.to_wire:
                    self._bad(f"queue {score.number}: {len(score.to_wire)} frames used and never on the wire")
        if statistics is not None:
            self._compare(statistics)
        self.check()

    def drained(self) -> bool:
        """Whether every transmit chain was used and is on the wire, on queues that can go on."""
        for score in self.queues.values():
            self._walk(score)
            if score.transmits and not score.stuck and (score.walk.offered or score.to_wire):
                return False
        return True

    def state(self) -> str:
        """One line on what is under way, for messages."""
        queues = (
            f"queue {q}: {len(s.walk.offered)} offered, {len(s.to_wire)} to wire, {s.used} used"
            + (f", owes reason {s.walk.broken}" if s.walk.broken else "")
            + (", faulted" if s.faulted else "")
            for q, s in self.queues.items()
        )
        return f"{'; '.join(queues)}; {len(self._wire_in)} received frames in flight; {dict(self.counts)}"

    def in_flight(self) -> int:
        """Frames that entered, may be delivered, and have not been."""
        return len(self._wire_in)

    def expected_reason(self, queue: int) -> int:
        """Stop reason owed for what stands at the queue's next position; 0 for none."""
        score = self.queues[queue]
        self._walk(score)
        return score.walk.broken

    def _compare(self, statistics: Mapping[str, int]) -> None:
        counts = self.counts
        own = {name: counts[name] for name in DROPS}
        own |= {"tx_frames": counts["wire_out"], "tx_bytes": counts["wire_out_bytes"]}
        own |= {"rx_wire_frames": counts["wire_in"]}
        if self._interrupted:  # what a cut queue delivered may not be seen; the sum still must be right
            ends = sum(
                n for name, n in statistics.items() if name == "rx_frames" or name.startswith("rx_drop")
            )
            if ends != counts["wire_in"]:
                self._bad(f"statistics: {counts['wire_in']} frames came in, {ends} went on: {statistics}")
        else:
            own |= {"rx_frames": counts["delivered"], "rx_bytes": counts["delivered_bytes"]}
            self._compare_losses(statistics)
        for name, value in own.items():
            if name in statistics and statistics[name] != value:
                self._bad(f"statistics: {name} is {statistics[name]}, the pins showed {value}")

    def _compare_losses(self, statistics: Mapping[str, int]) -> None:
        lost = self.counts["skipped"] + len(self._wire_in)
        counted = sum(statistics.get(name, 0) for name in RX_LOSSES)
        if lost != counted:
            reasons = {name: statistics.get(name, 0) for name in RX_LOSSES}
            self._bad(f"statistics: {lost} good frames were not delivered, {counted} are counted: {reasons}")

    def _note_error(self, score: QueueScore, resp: int) -> None:
        if resp != OKAY:
            score.faulted = self._interrupted = True

    def _bad(self, text: str) -> None:
        self.problems.append(text)

    # Queues ---------------------------------------------------------------------------------------------

    def _enable(self, number: int, setup: QueueSetup) -> None:
        if number in self.queues:
            return
        walk = RingWalk(setup.desc, setup.size_slots, bool(number & 1), self._read, self._chain_limit)
        self.queues[number] = QueueScore(number, setup, walk)

    def _queue_reset(self, number: int, done: bool) -> None:
        score = self.queues.get(number)
        if score is not None:
            self._walk(score)
            score.resetting = True
            if done:
                self._remove(score)

    def _reset(self, done: bool) -> None:
        for score in list(self.queues.values()):
            self._queue_reset(score.number, done)

    def _remove(self, score: QueueScore) -> None:
        del self.queues[score.number]
        self._interrupted = True
        self._orphans.setdefault(score.number, deque(maxlen=4096)).extend(score.to_wire)

    def _doorbell(self, queue: int) -> None:
        self.counts["doorbells"] += 1

    def _live_queue(self, number: int, what: str) -> QueueScore | None:
        score = self.queues.get(number)
        if score is None:
            self._bad(f"queue {number}: {what}, but it is not enabled")
        elif not self.bar.driver_ok:
            self._bad(f"queue {number}: {what} before DRIVER_OK")
        return score

    def _walk(self, score: QueueScore) -> None:
        for chain in score.walk.walk():
            self.counts["offered"] += 1
            for addr, length, _ in chain.elements:
                for block in blocks_of(addr, length):
                    score.blocks.setdefault(block, []).append((addr, addr + length, chain))
            header = self.features.header_bytes
            if score.transmits and chain.data is not None and not drop_reason(chain.data, header):
                score.to_wire.append(chain.data[header:])

    def _near(self, addr: int, end: int, low: int, high: int) -> bool:
        """Whether [addr, end) lies in [low, high) widened to whole beats."""
        return low // self._beat * self._beat <= addr and end <= -(-high // self._beat) * self._beat

    # Used descriptors -----------------------------------------------------------------------------------

    def _used_burst(self, score: QueueScore, addr: int, data: bytes, strobes: int) -> None:
        slots, before = score.ahead, score.used
        for offset in range(0, len(data), DESC.size):
            mask = strobes >> offset & 0xFFFF
            if mask & 0xFF00 == USED_TAIL:
                slots[(addr + offset - score.setup.desc) // DESC.size] = data[offset : offset + DESC.size]
            elif mask:
                self._bad(f"queue {score.number}: part of slot written, {addr + offset:#x} strobes {mask:#x}")
        while (slot := score.walk.next_used.slot) in slots:
            if not self._used(score, slot, DESC.unpack(slots.pop(slot))):
                return
        if score.used > before and score.assembly.chains:
            self._bad(f"queue {score.number}: a part of a frame is visible without the rest (5.1.6.4)")
        if slots and (score.transmits or MRG_RXBUF not in self.features):
            expected = score.walk.next_used
            self._bad(f"queue {score.number}: used at slots {sorted(slots)}, next is {expected.slot}")

    def _used(self, score: QueueScore, slot: int, entry: tuple[int, int, int, int]) -> bool:
        _, length, buffer_id, flags = entry
        walk, name = score.walk, f"queue {score.number} slot {slot}"
        if not walk.offered:
            self._bad(f"{name}: used, but nothing is offered")
            return False
        chain = walk.offered.popleft()
        if chain.slot != slot or chain.buffer_id != buffer_id:
            self._bad(f"{name}: used id {buffer_id}, in order is id {chain.buffer_id} of slot {chain.slot}")
        expected = (USED_FLAGS if walk.next_used.wrap else 0) | (0 if score.transmits else WRITE)
        if flags != expected:
            self._bad(f"{name}: used flags {flags:#06x}, expected {expected:#06x}")
        if score.transmits:
            self._sent(name, chain, length)
        else:
            self._received(score, name, chain, length)
        walk.next_used.advance(walk.size_slots, chain.slots)
        self._forget(score, chain)
        score.used += 1
        self.counts["used"] += 1
        return True

    def _forget(self, score: QueueScore, chain: Chain) -> None:
        for addr, length, _ in chain.elements:
            for block in blocks_of(addr, length):
                entries = [entry for entry in score.blocks.pop(block, ()) if entry[2] is not chain]
                if entries:
                    score.blocks[block] = entries
            if score.transmits and self._spoil is not None:
                self._spoil(addr, length)

    def _sent(self, name: str, chain: Chain, length: int) -> None:
        if length:
            self._bad(f"{name}: used length {length} of a transmit buffer")
        if chain.data is None:
            self._bad(f"{name}: used, though its memory does not exist")
        elif reason := drop_reason(chain.data, self.features.header_bytes):
            self.counts[reason] += 1

    def _received(self, score: QueueScore, name: str, chain: Chain, length: int) -> None:
        octets, problem = score.assembly.add(self._read, self.features, chain, length)
        if octets is not None:
            problem = header_problem(octets, self.features)
        if problem:
            self._bad(f"{name}: {problem}")
        elif octets is not None:
            self._match(name, score.number, octets[self.features.header_bytes :])

    def _match(self, name: str, queue: int, frame: bytes) -> None:
        wire, others = self._wire_in, deque[bytes]()
        if frame not in wire:
            self._bad(f"{name}: {len(frame)} octets that are not on the wire: {difference(wire, frame)}")
            return
        if self.queue_of(frame) != queue:
            self._bad(f"{name}: a frame that belongs to queue {self.queue_of(frame)}")
        while (head := wire.popleft()) != frame:  # order holds in each queue
            if self.queue_of(head) == queue:
                self.counts["skipped"] += 1
            else:
                others.append(head)
        wire.extendleft(reversed(others))
        self.counts["delivered"] += 1
        self.counts["delivered_bytes"] += len(frame)


def _heads(queues: Mapping[int, QueueScore], frame: bytes) -> str:
    return "; ".join(
        f"queue {q}: {difference(score.to_wire, frame)}" for q, score in queues.items() if score.transmits
    )
