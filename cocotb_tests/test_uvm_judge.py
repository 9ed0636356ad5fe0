# SPDX-License-Identifier: Apache-2.0
"""The NIC scoreboard and the coverage of the pyuvm environment can fail: stories without a simulator."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cocotb_tests.model.parse_model import UDP, parse
from cocotb_tests.packed_walk import BAD_TABLE, DESC, DESC_LENGTH, INDIRECT, NEXT, WRITE, RingWalk
from cocotb_tests.parse_frames import Recipe, make
from cocotb_tests.raw_device import Stopped
from cocotb_tests.received import GUEST_CSUM, HEADER, MRG_RXBUF, Features
from cocotb_tests.uvm.coverage import GOALS, Coverage, Uncovered, frame_bins, length_bin
from cocotb_tests.uvm.predictor import Predictor
from cocotb_tests.uvm.scoreboard import LOSSES, Mismatch, NicJudge
from cocotb_tests.uvm.troubles import Troubles
from driver.registers import Stat, StopReason
from sim.pins import DEFAULT_MAC

PLAIN = Recipe(macs=DEFAULT_MAC + bytes(6), proto=UDP, payload=b"the quick brown fox")
FIRST, SECOND = (
    make(PLAIN),
    make(Recipe(macs=DEFAULT_MAC + bytes(6), proto=UDP, payload=b"jumps over the lazy")),
)
ZERO = bytes(HEADER.size)


class Story:
    """A quiet NIC that does all right, unless a test changes what it does."""

    def __init__(self) -> None:
        features = Features(1 << GUEST_CSUM | 1 << MRG_RXBUF)
        self.judge = NicJudge(Predictor(DEFAULT_MAC, 4), features)
        self.stats = {stat.name.lower(): 0 for stat in Stat}
        self.frames_in = [FIRST, SECOND]
        self.frames_got = [(0, FIRST), (0, SECOND)]
        self.chains = [(1, FIRST), (1, SECOND), (2, FIRST[::-1])]
        self.frames_out = [FIRST, FIRST[::-1], SECOND]
        size = len(FIRST) + len(SECOND)
        self.stats |= {
            "rx_wire_frames": 2,
            "rx_frames": 2,
            "rx_bytes": size,
            "rx_steer_host": 2,
            "rx_csum_ok": 2,
        }
        self.stats |= {"tx_chains": 3, "tx_frames": 3, "tx_bytes": size + len(FIRST)}
        self.header = b"\2" + bytes(9) + b"\1\0"
        self.per_queue = {0: 2}
        self.before_out: Callable[[], None] = lambda: None  # once all chains are offered
        self.before_got: Callable[[], None] = lambda: None  # once all frames are in

    def tell(self) -> None:
        judge = self.judge
        for frame in self.frames_in:
            judge.wire_in(frame, False)
        judge.cycle = 500
        self.before_got()
        for pair, frame in self.frames_got:
            judge.received(pair, self.header + frame)
        for pair, frame in self.chains:
            judge.offered(pair, ZERO + frame)
        self.before_out()
        for frame in self.frames_out:
            judge.wire_out(frame)
        queues = {q: {"frames": self.per_queue.get(q, 0)} for q in range(8)}
        judge.finish(self.stats, queues)


def damage(frame: bytes) -> bytes:
    return frame[:50] + bytes([frame[50] ^ 1]) + frame[51:]


def lose_received(story: Story) -> None:
    story.frames_got.pop()
    story.stats |= {"rx_frames": 1, "rx_bytes": len(FIRST)}
    story.per_queue[0] = 1


def lose_sent(story: Story) -> None:
    story.frames_out.pop()
    story.stats |= {"tx_frames": 2, "tx_bytes": 2 * len(FIRST)}


def set_to(name: str, value: Any) -> Callable[[Story], None]:
    return lambda story: setattr(story, name, value)


def count(name: str, more: int = 1) -> Callable[[Story], None]:
    return lambda story: story.stats.update({name: story.stats[name] + more})


FAULTS = {
    "damaged": set_to("frames_got", [(0, damage(FIRST)), (0, SECOND)]),
    "wrong queue": set_to("frames_got", [(0, FIRST), (1, SECOND)]),
    "swapped": set_to("frames_got", [(0, SECOND), (0, FIRST)]),
    "twice": set_to("frames_got", [(0, FIRST), (0, FIRST), (0, SECOND)]),
    "lost": lose_received,
    "header": set_to("header", bytes(12)),
    "damaged out": set_to("frames_out", [FIRST, FIRST[::-1], damage(SECOND)]),
    "swapped out": set_to("frames_out", [SECOND, FIRST[::-1], FIRST]),
    "lost out": lose_sent,
    "from nowhere": set_to("frames_out", [FIRST, FIRST[::-1], SECOND, SECOND]),
    "counted as dropped": count("rx_drop_no_buffer"),
    "steering counter": count("rx_steer_rss"),
    "checksum counter": count("rx_csum_bad"),
    "bytes": count("rx_bytes", -1),
    "chains": count("tx_chains"),
    "guard counter": count("tx_drop_guard_mac"),
    "queue's counter": set_to("per_queue", {0: 1, 2: 1}),
    "filter counter": count("rx_drop_filter"),
}


def test_scoreboard_likes_a_nic_that_does_right() -> None:
    Story().tell()
    assert set(LOSSES) <= set(Story().stats)


@pytest.mark.parametrize("fault", FAULTS)
def test_scoreboard_sees(fault: str) -> None:
    story = Story()
    FAULTS[fault](story)
    with pytest.raises(Mismatch):
        story.tell()


# Queues that end ----------------------------------------------------------------------------------------


def cut_short(story: Story, chains: int) -> None:
    """Pair 1's transmit queue is reset, and so many of its two chains leave."""

    def end() -> None:
        story.judge.cut(3)
        story.judge.ended(3)

    story.before_out = end
    story.frames_out = [*(FIRST, SECOND)[:chains], FIRST[::-1]]
    octets = sum(map(len, story.frames_out))
    story.stats |= {"tx_frames": chains + 1, "tx_chains": chains + 1, "tx_bytes": octets}


@pytest.mark.parametrize("chains", [0, 1, 2])
def test_reset_queue_may_stop_anywhere(chains: int) -> None:
    story = Story()
    cut_short(story, chains)
    story.tell()


def test_reset_queue_may_not_leave_one_out() -> None:
    story = Story()
    cut_short(story, 1)
    story.frames_out = [SECOND, FIRST[::-1], FIRST]
    with pytest.raises(Mismatch):
        story.tell()


def test_reset_excuses_no_other_queue() -> None:
    story = Story()
    cut_short(story, 1)
    story.frames_out.pop()
    story.stats |= {"tx_frames": 1, "tx_chains": 1, "tx_bytes": len(FIRST)}
    with pytest.raises(Mismatch):
        story.tell()


def test_reset_excuses_no_later_chain() -> None:
    story = Story()
    cut_short(story, 2)
    end = story.before_out

    def then() -> None:
        end()
        story.judge.offered(1, ZERO + SECOND[::-1])

    story.before_out = then
    with pytest.raises(Mismatch):
        story.tell()


@pytest.mark.parametrize(("counted", "fine"), [(1, True), (2, True), (0, False), (3, False)])
def test_failed_queue_hides_what_it_had_and_no_more(counted: int, fine: bool) -> None:
    """One frame is delivered before the queue fails; the device may have delivered both, or lost one."""
    story = Story()
    story.frames_got.pop()

    def fail() -> None:
        story.judge.received(0, story.header + FIRST)
        story.judge.failed(0)
        story.judge.ended(0)

    story.frames_got.clear()
    story.before_got = fail
    story.stats |= {
        "rx_frames": counted,
        "rx_bytes": counted * len(FIRST),
        "rx_drop_queue_error": 2 - counted,
    }
    story.per_queue = {0: counted}
    if fine:
        story.tell()
    else:
        with pytest.raises(Mismatch):
            story.tell()


# Indirect tables ----------------------------------------------------------------------------------------


def walk_of(table: bytes, flags: int = INDIRECT) -> RingWalk:
    """A ring of four slots at 0 that offers one table at 0x100."""
    memory = bytearray(0x400)
    DESC.pack_into(memory, 0, 0x100, len(table), 7, flags | 1 << 7)
    memory[0x100 : 0x100 + len(table)] = table
    walk = RingWalk(0, 4, True, lambda addr, size: bytes(memory[addr : addr + size]), 4, tables=True)
    walk.walk()
    return walk


def entry(addr: int, size: int, flags: int = 0) -> bytes:
    return DESC.pack(addr, size, 0xABCD, flags)


def test_walk_reads_tables() -> None:
    walk = walk_of(entry(0x200, 3) + entry(0x300, 5))
    assert not walk.broken
    chain = walk.offered[0]
    assert (chain.slots, chain.buffer_id, chain.table) == (1, 7, (0x100, 32))
    assert chain.elements == [(0x200, 3, False), (0x300, 5, False)]
    assert walk.next_offer.slot == 1


@pytest.mark.parametrize(
    ("table", "flags", "reason"),
    [
        (b"", INDIRECT, BAD_TABLE),
        (entry(0x200, 3)[:15], INDIRECT, BAD_TABLE),
        (entry(0x200, 3), INDIRECT | NEXT, BAD_TABLE),
        (entry(0x200, 3, INDIRECT), INDIRECT, BAD_TABLE),
        (entry(0x200, 3, NEXT), INDIRECT, BAD_TABLE),
        (entry(0x200, 3) * 5, INDIRECT, BAD_TABLE),
        (entry(0x200, 0), INDIRECT, DESC_LENGTH),
    ],
)
def test_walk_sees_a_bad_table(table: bytes, flags: int, reason: int) -> None:
    assert walk_of(table, flags).broken == reason


def test_walk_sees_a_table_for_the_other_direction() -> None:
    assert walk_of(entry(0x200, 3, WRITE)).broken


# Coverage -----------------------------------------------------------------------------------------------


def test_coverage_fails_while_a_goal_is_empty(tmp_path: Path) -> None:
    coverage = Coverage({"fruit": ("apple", "pear"), "stone": ("flint",)})
    coverage.hit("fruit", "apple", 2)
    coverage.hit("fruit", "plum")
    with pytest.raises(Uncovered, match="fruit: pear, stone: flint"):
        coverage.check()
    assert "pear 0" in coverage.table()
    coverage.write(tmp_path / "coverage.json", seed=3)
    told = json.loads((tmp_path / "coverage.json").read_text())
    assert told["empty"] == ["fruit: pear", "stone: flint"]
    assert (told["seed"], told["counts"]["fruit"]) == (3, {"apple": 2, "plum": 1})
    coverage.waive("stone", "flint")
    coverage.hit("fruit", "pear")
    coverage.check()
    with pytest.raises(KeyError):
        coverage.hit("metal", "tin")


def test_goals_are_drops_that_exist() -> None:
    names = {stat.name.lower() for stat in Stat}
    assert set(GOALS["drop"]) <= names
    assert {name for name in GOALS["verdict"] if "_" in name} <= names


def test_length_bins() -> None:
    sizes = {14: "minimum", 63: "beat - 1", 64: "beat", 129: "beat + 1", 70: "between", 1026: "long"}
    assert {size: length_bin(size, 64) for size in sizes} == sizes


def test_frame_bins() -> None:
    assert frame_bins(parse(FIRST), DEFAULT_MAC) == ["udp4"]
    assert "foreign mac" in frame_bins(parse(b"\2" + FIRST[1:5] + b"\x77" + FIRST[6:]), DEFAULT_MAC)
    assert "group mac" in frame_bins(parse(b"\xff" * 6 + FIRST[6:]), DEFAULT_MAC)
    assert {"not ip", "tagged"} <= set(
        frame_bins(parse(FIRST[:12] + bytes.fromhex("81000001ffff")), DEFAULT_MAC)
    )


# Troubles -----------------------------------------------------------------------------------------------


def told_by(troubles: Troubles) -> StopReason:
    """Run _stop, whose device answers at once."""
    try:
        troubles._stop(3).send(None)
    except StopIteration as over:
        return over.value  # type: ignore[no-any-return]
    raise AssertionError("it waited")


def troubles_with(answers: list[Stopped], failed: set[StopReason], step_cycles: int = 1) -> Troubles:
    """Troubles over a device that answers so; each question takes some cycles."""
    loop = SimpleNamespace(cycle=0)

    async def stopped(queue: int) -> Stopped:
        loop.cycle += step_cycles
        return answers.pop(0) if len(answers) > 1 else answers[0]

    host = SimpleNamespace(device=SimpleNamespace(stopped=stopped), harness=SimpleNamespace(loop=loop))
    troubles = Troubles(random.Random(1), host, lambda group, what: None)  # type: ignore[arg-type]
    troubles._failed = failed
    return troubles


GOES_ON = Stopped(False, StopReason.NONE, 0, 0)


def test_a_queue_that_stops_for_what_failed_is_fine() -> None:
    stopped = Stopped(True, StopReason.DATA_READ, 0, 0)
    assert told_by(troubles_with([GOES_ON, stopped], {StopReason.DATA_READ})) is StopReason.DATA_READ
    assert told_by(troubles_with([GOES_ON], set())) is StopReason.NONE


def test_a_queue_that_stops_for_another_reason_is_seen() -> None:
    stopped = Stopped(True, StopReason.DATA_WRITE, 0, 0)
    with pytest.raises(AssertionError, match="failed were"):
        told_by(troubles_with([stopped], {StopReason.DATA_READ}))


def test_a_queue_that_goes_on_is_seen() -> None:
    with pytest.raises(AssertionError, match="goes on"):
        told_by(troubles_with([GOES_ON], {StopReason.DATA_READ}, step_cycles=100))
