# SPDX-License-Identifier: Apache-2.0
"""Histories of a device for the scoreboard's own tests: events that are played onto memory and scoreboard
together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from cocotb_tests import bar_watch
from cocotb_tests.agents.axi_memory import OKAY
from cocotb_tests.agents.bar import BarAccess
from cocotb_tests.agents.host_view import strobe_runs
from cocotb_tests.frame_rules import HEADER_BYTES, RX_HEADER
from cocotb_tests.packed_walk import DESC, WRITE, Place
from cocotb_tests.raw_ring import RawQueue
from cocotb_tests.scoreboard import Scoreboard

BASE, SIZE = 0x10000, 1 << 16
BEAT = 64
RING_SLOTS = 3  # not a power of two
CHAINS = 8  # the ring wraps twice and more
RX, TX = 0, 1


@dataclass(frozen=True)
class Offer:
    queue: int
    elements: tuple[tuple[int, int], ...]
    payload: bytes = b""


@dataclass(frozen=True)
class Read:
    addr: int
    size: int
    queue: int


@dataclass(frozen=True)
class Write:
    addr: int
    data: bytes
    queue: int
    strobes: int = -1


@dataclass(frozen=True)
class WireOut:
    frame: bytes


@dataclass(frozen=True)
class WireIn:
    frame: bytes
    bad: bool = False


@dataclass(frozen=True)
class Bar:
    access: BarAccess


Event = Offer | Read | Write | WireOut | WireIn | Bar
History = list[Event]


@dataclass
class Area:
    iova: int
    view: npt.NDArray[np.uint8]


@dataclass
class Player:
    """Memory, two raw queues and a scoreboard; `play` applies a history."""

    memory: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(SIZE, np.uint8))

    def area(self, addr: int, size: int) -> Area:
        return Area(addr, self.memory[addr - BASE : addr - BASE + size])

    def read(self, addr: int, size: int) -> bytes | None:
        return self.area(addr, size).view.tobytes() if addr >= BASE and addr + size <= BASE + SIZE else None

    def play(self, history: History) -> Scoreboard:
        board = Scoreboard(self.read, BEAT)
        queues = [
            RawQueue(q, RING_SLOTS, self.area(ring(q), 64), self.area(driver(q), 4), self.area(device(q), 4))
            for q in (RX, TX)
        ]
        for event in history:
            if board.problems:  # a driver that saw this could not go on either
                break
            match event:
                case Offer(queue, elements, payload):
                    raw = queues[queue]
                    raw.reap()
                    position = 0
                    for addr, size in elements:
                        part = payload[position : position + size]
                        self.area(addr, len(part)).view[:] = np.frombuffer(part, np.uint8)
                        position += size
                    raw.offer(list(elements), device_writes=queue == RX)
                case Read(addr, size, queue):
                    board.on_read(addr, size, queue, OKAY)
                case Write(addr, data, queue, strobes):
                    strobes &= (1 << len(data)) - 1
                    board.on_write(addr, data, strobes, queue, OKAY)
                    for start, end in strobe_runs(strobes):
                        self.area(addr + start, end - start).view[:] = np.frombuffer(
                            data[start:end], np.uint8
                        )
                case WireOut(frame):
                    board.on_wire_out(frame)
                case WireIn(frame, bad):
                    board.on_wire_in(frame, bad)
                case Bar(access):
                    board.on_bar(access)
        return board


def ring(queue: int) -> int:
    return BASE + 0x1000 * queue


def driver(queue: int) -> int:
    return ring(queue) + 0x100


def device(queue: int) -> int:
    return ring(queue) + 0x200


def buffer(queue: int, number: int) -> int:
    return BASE + 0x4000 + 0x4000 * queue + 0x400 * number + number


def frame_of(queue: int, number: int) -> bytes:
    return bytes([queue, number]) * (20 + number)


def bar_write(offset: int, value: int, size: int = 4) -> Bar:
    lane = offset & 3
    return Bar(BarAccess(True, offset & ~3, value << 8 * lane & 0xFFFFFFFF, ((1 << size) - 1) << lane, 0))


def bar_read(offset: int, value: int) -> Bar:
    return Bar(BarAccess(False, offset, value, 15, 0))


def setup() -> History:
    events: History = []
    for queue in (RX, TX):
        events += [
            bar_write(bar_watch.QUEUE_SELECT, queue, 2),
            bar_write(bar_watch.QUEUE_SIZE, RING_SLOTS, 2),
        ]
        fields = (bar_watch.QUEUE_DESC, bar_watch.QUEUE_DRIVER, bar_watch.QUEUE_DEVICE)
        for offset, addr in zip(fields, (ring(queue), driver(queue), device(queue)), strict=True):
            events += [bar_write(offset, addr & 0xFFFFFFFF), bar_write(offset + 4, addr >> 32)]
        events.append(bar_write(bar_watch.QUEUE_ENABLE, 1, 2))
    return [*events, bar_write(bar_watch.DEVICE_STATUS, 15, 1)]


def used(queue: int, place: Place, length: int) -> Write:
    """The write of one used descriptor; RawQueue hands out ids from 0 in order."""
    flags = (0x8080 if place.wrap else 0) | (WRITE if queue == RX else 0)
    entry = DESC.pack(0, length, 0, flags)
    return Write(ring(queue) + DESC.size * place.slot, entry, queue, 0xFF00)


def good() -> History:
    """Send CHAINS frames of two elements each, and receive as many, one after the other."""
    events = setup()
    places = [Place(), Place()]
    for number in range(CHAINS):
        frame, at = frame_of(TX, number), buffer(TX, number)
        payload = bytes(HEADER_BYTES) + frame
        events.append(Offer(TX, ((at, 5), (at + 0x101, len(payload) - 5)), payload))
        events += [Read(ring(TX), BEAT, TX), Read(driver(TX), BEAT, TX)]
        for addr, size in ((at, 5), (at + 0x101, len(payload) - 5)):
            low, high = addr // BEAT * BEAT, -(-(addr + size) // BEAT) * BEAT
            events.append(Read(low, high - low, TX))
        events += [WireOut(frame), used(TX, places[TX], 0), Write(device(TX), bytes(4), TX)]
        places[TX].advance(RING_SLOTS, 2)
        frame, at = frame_of(RX, number), buffer(RX, number)
        events += [WireIn(frame), Offer(RX, ((at, 300),)), Read(ring(RX), BEAT, RX)]
        events += [Write(at, RX_HEADER + frame, RX), used(RX, places[RX], HEADER_BYTES + len(frame))]
        places[RX].advance(RING_SLOTS)
    return events


def statistics() -> dict[str, int]:
    octets = sum(len(frame_of(TX, n)) for n in range(CHAINS))
    names = {"tx_frames": CHAINS, "rx_frames": CHAINS, "rx_wire_frames": CHAINS, "tx_bytes": octets}
    return names | {"rx_bytes": octets, "rx_drop_no_buffer": 0}


def verdict(history: History, stats: dict[str, int] | None = None) -> None:
    Player().play(history).finish(statistics() if stats is None else stats)


def positions(history: History, kind: type, pick: Callable[[Event], bool] = lambda event: True) -> list[int]:
    return [i for i, event in enumerate(history) if isinstance(event, kind) and pick(event)]


def used_at(history: History, queue: int) -> list[int]:
    low, high = ring(queue), ring(queue) + DESC.size * RING_SLOTS
    return positions(
        history, Write, lambda e: isinstance(e, Write) and low <= e.addr < high and e.queue == queue
    )


def change(history: History, at: int, **fields: object) -> None:
    history[at] = replace(history[at], **fields)  # type: ignore[arg-type]


def change_used(
    history: History, queue: int, which: int, field_number: int, value: Callable[[int], int]
) -> None:
    at = used_at(history, queue)[which]
    event = history[at]
    assert isinstance(event, Write)
    entry = list(DESC.unpack(event.data))
    entry[field_number] = value(entry[field_number])
    change(history, at, data=DESC.pack(*entry))


def swap(history: History, a: int, b: int) -> None:
    history[a], history[b] = history[b], history[a]
