# SPDX-License-Identifier: Apache-2.0
"""The verdict on the whole NIC: each frame in its queue, whole, in order; each lost one counted.

Plain Python, so that its own tests need no simulator; `NicScoreboard` in env.py connects it to the monitors.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping

from cocotb_tests.frame_rules import MAX_FRAME, difference
from cocotb_tests.received import DATA_VALID, GUEST_CSUM, HASH, HASH_REPORT, HEADER, Features
from cocotb_tests.uvm.predictor import COUNTERS, LOOKUP_CYCLES, Arrival, Predictor, Sending

LOSSES = (
    "rx_drop_overflow",
    "rx_drop_no_buffer",
    "rx_drop_too_small",
    "rx_drop_queue_error",
    "rx_drop_reset",
)
SHOWN = 20


class Mismatch(AssertionError):
    """The NIC did something else than the model; the text lists what."""


class NicJudge:
    """Feed it what the monitors saw, in the order of the pins."""

    def __init__(self, predictor: Predictor, features: Features) -> None:
        self.predictor, self.features = predictor, features
        self.problems: list[str] = []
        self.cycle = 0
        self.exact: Counter[str] = Counter()  # counters that are known
        self.maybe: Counter[str] = Counter()  # how much more some of them may show
        self.arrivals: list[Arrival] = []
        self.sendings: dict[int, deque[Sending]] = {}
        self.delivered: Counter[int] = Counter()
        self.lost: Counter[int] = Counter()
        self.unseen: Counter[int] = Counter()  # delivered, or lost and counted: the queue had failed
        self.unclear = 0
        self.lives: Counter[int] = Counter()  # of each virtqueue
        self._failed: set[int] = set()  # virtqueues whose used descriptors are not to be relied on
        self._cut: set[int] = set()  # virtqueues that failed or are being reset
        self.on_outcome: list[Callable[[Arrival], None]] = []
        self.on_fate: list[Callable[[Sending], None]] = []

    # Receive ----------------------------------------------------------------------------------------------

    def wire_in(self, octets: bytes, bad: bool) -> None:
        """A frame entered the NIC."""
        self.exact["rx_wire_frames"] += 1
        if reason := self.predictor.door(octets, bad):
            self.exact[reason] += 1
        else:
            for arrival in reversed(self.arrivals):  # while what held then is known
                if arrival.outcomes:
                    break
                if self.cycle > arrival.cycle + LOOKUP_CYCLES:
                    self.predictor.steer(arrival, self.cycle)
            self.arrivals.append(Arrival(octets, self.cycle))

    def received(self, pair: int, octets: bytes) -> None:
        """A whole frame with its header is in a pair's receive buffers."""
        size = self.features.header_bytes
        frame = octets[size:]
        self.delivered[pair] += 1
        self.exact["rx_frames"] += 1
        self.exact["rx_bytes"] += len(frame)
        wrong: set[int | None] | None = None
        for place, arrival in enumerate(self.arrivals):
            self.predictor.steer(arrival, self.cycle)
            if arrival.octets != frame:
                continue
            if pair in arrival.pairs:
                self._take(place, pair)
                self._header(pair, octets, arrival)
                return
            wrong = arrival.pairs
        if wrong is not None:
            self._bad(
                f"pair {pair}: a frame of {len(frame)} octets that belongs to {wrong}: {frame[:64].hex()}"
            )
            return
        waiting = [a.octets for a in self.arrivals if pair in a.pairs]
        self._bad(f"pair {pair}: {len(frame)} octets that nobody sent: {difference(waiting, frame)}")

    def _take(self, place: int, pair: int) -> None:
        """Remove the arrival that was delivered; earlier ones that only this pair could get are lost."""
        taken, kept = self.arrivals[place], list[Arrival]()
        for arrival in self.arrivals[:place]:
            if arrival.pairs == {pair}:
                (self.unseen if arrival.unseen else self.lost)[pair] += 1
                self._count(arrival)
            else:
                kept.append(arrival)
        self.arrivals[: place + 1] = kept
        taken.outcomes = [o for o in taken.outcomes if not o.drop and o.pair == pair]
        self._count(taken)

    def _count(self, arrival: Arrival) -> None:
        """The counters of one frame: exact where all outcomes agree."""
        for listener in self.on_outcome:
            listener(arrival)
        sets = [{COUNTERS[name] for name in outcome.counted} for outcome in arrival.outcomes]
        always, ever = set.intersection(*sets), set.union(*sets)
        self.exact.update(always)
        self.maybe.update(ever - always)
        self.unclear += len(arrival.outcomes) > 1

    def _header(self, pair: int, octets: bytes, arrival: Arrival) -> None:
        flags, *rest, _ = HEADER.unpack_from(octets)
        valid = [DATA_VALID if GUEST_CSUM in self.features and o.csum_ok else 0 for o in arrival.outcomes]
        if flags not in valid or any(rest):
            self._bad(f"pair {pair}: header {octets[:12].hex()}, expected flags {valid}")
        if HASH_REPORT in self.features:
            value, report, _ = HASH.unpack_from(octets, HEADER.size)
            wanted = [(o.hash, o.report) for o in arrival.outcomes]
            if (value, report) not in wanted:
                self._bad(f"pair {pair}: hash {value:#x} report {report}, expected {wanted}")

    # Queues that end --------------------------------------------------------------------------------------

    def failed(self, queue: int) -> None:
        """An access of a virtqueue got an error response: what it does from now on cannot be told."""
        self._failed.add(queue)
        self.cut(queue)

    def cut(self, queue: int) -> None:
        """A virtqueue is being reset, or must stop: what is offered on it may leave or not, in order."""
        self._cut.add(queue)
        for sending in self.sendings.get(queue // 2, ()) if queue & 1 else ():
            sending.cut = sending.cut or sending.life == self.lives[queue]

    def ended(self, queue: int) -> None:
        """The reset is done: a new life of the queue begins."""
        if queue & 1:
            self.predictor.forget(queue // 2)
        elif queue in self._failed:
            for arrival in self.arrivals:
                self.predictor.steer(arrival, self.cycle)
                arrival.unseen = arrival.unseen or queue // 2 in arrival.pairs
        self._cut.discard(queue)
        self._failed.discard(queue)
        self.lives[queue] += 1

    # Transmit ---------------------------------------------------------------------------------------------

    def offered(self, pair: int, octets: bytes) -> None:
        """A chain is available on a pair's transmit queue."""
        queue = 2 * pair + 1
        sending = Sending(pair, octets, self.cycle, life=self.lives[queue], cut=queue in self._cut)
        self.sendings.setdefault(pair, deque()).append(sending)
        self.exact["tx_chains"] += 1

    def wire_out(self, frame: bytes) -> None:
        """A frame left the NIC: it must be the next of some queue."""
        self.exact["tx_frames"] += 1
        self.exact["tx_bytes"] += len(frame)
        if not any(self._leaves(pair, frame) for pair in self.sendings):
            heads = {pair: self._next(pair) for pair in self.sendings}
            told = "; ".join(
                f"pair {pair}: {difference(head, frame)}" for pair, head in heads.items() if head
            )
            self._bad(f"wire: {len(frame)} octets are next in no queue: {frame[:64].hex()}; {told}")

    def _next(self, pair: int) -> list[bytes]:
        """Frames that may come next from a pair."""
        found: list[bytes] = []
        over = -1  # a life that has come to its end
        for sending in self.sendings[pair]:
            if sending.life == over:
                continue
            self._judge(sending)
            found += [fate.frames[sending.left] for fate in sending.fates if sending.left < len(fate.frames)]
            if not any(fate.drop for fate in sending.fates):
                if not sending.cut:
                    break
                over = sending.life
        return found

    def _leaves(self, pair: int, frame: bytes) -> bool:
        """Take the frame from the pair's queue if it is next there; chains before it were dropped."""
        line = self.sendings[pair]
        over = -1  # a life that has come to its end
        for place, sending in enumerate(line):
            if sending.life == over:
                continue
            self._judge(sending)
            for fate in sending.fates:
                if sending.left < len(fate.frames) and fate.frames[sending.left] == frame:
                    for _ in range(place):
                        self._dropped(line.popleft())
                    sending.fates = [fate]
                    sending.left += 1
                    if sending.left == len(fate.frames):
                        line.popleft()
                    return True
            if not any(fate.drop for fate in sending.fates):
                if not sending.cut:
                    return False
                over = sending.life
        return False

    def _judge(self, sending: Sending) -> None:
        fresh = sending.seen < 0
        if fresh or (not sending.left and sending.seen != self.predictor.watch.changes):
            size = self.features.header_bytes
            self.predictor.send(sending, self.features.bits, size, self.cycle)
            for listener in self.on_fate if fresh else ():
                listener(sending)

    def _dropped(self, sending: Sending) -> None:
        self._judge(sending)
        reasons = {fate.drop for fate in sending.fates if fate.drop}
        if sending.cut:  # dropped, cut off, or never looked at
            self.exact["tx_chains"] -= 1
            self.maybe.update({*reasons, "tx_chains", "tx_drop_queue_error", "tx_drop_reset"})
        elif len(reasons) == 1:
            self.exact.update(reasons)
        else:
            self.maybe.update(reasons)

    # Verdict ----------------------------------------------------------------------------------------------

    @property
    def under_way(self) -> int:
        """Frames that may still come out on either side."""
        waiting = sum(1 for a in self.arrivals if a.pairs != {None})
        return waiting + sum(len(line) for line in self.sendings.values())

    def check(self) -> None:
        """Raise Mismatch if anything was wrong so far."""
        if self.problems:
            raise Mismatch("\n".join(self.problems[:SHOWN]))

    def finish(self, stats: Mapping[str, int], queues: Mapping[int, Mapping[str, int]]) -> None:
        """All is quiet. stats: the device's counters by name; queues: those of each virtqueue."""
        filtered, doubtful = self._settle()
        unseen = sum(self.unseen.values())
        doubtful += unseen
        self.maybe["rx_frames"] += unseen
        self.maybe["rx_bytes"] += unseen * MAX_FRAME
        self._compare(stats)
        lost = sum(self.lost.values())
        counted = sum(stats[name] for name in LOSSES)
        if not lost <= counted + stats["rx_drop_filter"] - filtered <= lost + doubtful:
            self._bad(f"{lost} frames did not arrive (and {doubtful} perhaps), {counted} are counted as lost")
        low = filtered - stats["rx_drop_overflow"] - stats["rx_drop_reset"]  # such were never looked at
        if not low <= stats["rx_drop_filter"] <= filtered + doubtful:
            self._bad(f"rx_drop_filter is {stats['rx_drop_filter']}, expected {low} to {filtered + doubtful}")
        self._conservation(stats, queues)
        self.check()

    def _settle(self) -> tuple[int, int]:
        """What has not come by now does not come: (frames that a table dropped, frames that it may have)."""
        filtered = doubtful = 0
        for arrival in self.arrivals:
            self.predictor.steer(arrival, self.cycle)
            self._count(arrival)
            if arrival.pairs == {None}:
                filtered += 1
            elif None in arrival.pairs:
                doubtful += 1
            else:
                pair = min(pair for pair in arrival.pairs if pair is not None)
                (self.unseen if arrival.unseen else self.lost)[pair] += 1
        self.arrivals.clear()
        for pair, line in self.sendings.items():
            for sending in line:
                self._judge(sending)
                if not sending.cut and (sending.left or not any(fate.drop for fate in sending.fates)):
                    self._bad(f"pair {pair}: {len(sending.octets)} octets offered that never left")
                else:
                    self._dropped(sending)
            line.clear()
        return filtered, doubtful

    def _compare(self, stats: Mapping[str, int]) -> None:
        overflow = stats["rx_drop_overflow"] + stats["rx_drop_reset"]  # such frames were never looked at
        for name, value in stats.items():
            if name in LOSSES or name == "rx_drop_filter" or not self._predicted(name):
                continue
            low, high = self.exact[name], self.exact[name] + self.maybe[name]
            if name in COUNTERS.values():
                low -= overflow
            if not low <= value <= high:
                self._bad(f"{name} is {value}, expected {low}" + (f" to {high}" if high > low else ""))

    @staticmethod
    def _predicted(name: str) -> bool:
        totals = ("rx_wire_frames", "rx_frames", "rx_bytes", "tx_frames", "tx_bytes", "tx_chains")
        return name in totals or name in COUNTERS.values() or "_drop_" in name

    def _conservation(self, stats: Mapping[str, int], queues: Mapping[int, Mapping[str, int]]) -> None:
        """Frames in are frames out and drops by reason, on both sides and in each queue."""

        def drops(side: str) -> int:
            return sum(value for name, value in stats.items() if name.startswith(f"{side}_drop_"))

        sent = stats["tx_frames"] - stats["tx_tso_segments"] + stats["tx_tso_frames"]
        per_queue = {pair: queues[2 * pair]["frames"] for pair in range(self.predictor.pairs)}
        for what, left, right in (
            ("rx_wire_frames = rx_frames + drops", stats["rx_wire_frames"], stats["rx_frames"] + drops("rx")),
            ("tx_chains = sent + drops", stats["tx_chains"], sent + drops("tx")),
            ("rx_frames = all queues", stats["rx_frames"], sum(per_queue.values())),
        ):
            if left != right:
                self._bad(f"{what}: {left} is not {right}")
        for pair, count in per_queue.items():
            seen, most = self.delivered[pair], self.delivered[pair] + self.unseen.total()
            if not seen <= count <= most:
                self._bad(f"rx{pair}_frames: {count}, expected {seen} to {most}")

    def _bad(self, text: str) -> None:
        if len(self.problems) < 100:
            self.problems.append(text)
