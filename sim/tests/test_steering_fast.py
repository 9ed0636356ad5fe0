# SPDX-License-Identifier: Apache-2.0
"""Every frame in its queue while flows, listeners and RSS change under it, in the fast harness.

SEED=n of the environment repeats a run to the cycle.
"""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from cocotb_tests.model.classify_model import TO_DROP, TO_QUEUE
from cocotb_tests.model.steer_model import Info, Tuple
from cocotb_tests.parse_frames import Recipe, make
from sim.fast_run import FastResult, run_fast
from sim.tests.steering_frames import LOCAL4
from sim.tests.steering_judge import History, Judge, JudgeError

MAC = bytes.fromhex("020000000001")
PAIRS = 4
SHORT, LONG = 5_000, 100_000
KINDS = {"plain", "tagged", "fragment", "options", "broken", "icmp", "random", "unknown"}
CHANGES = {
    *(f"{table} {what}" for table in ("flow", "listener") for what in ("inserted", "deleted", "redirected")),
    "rss set",
    "rss table changed",
}


def run(tmp_path: Path, count: int, **more: int) -> FastResult:
    seed = int(os.environ.get("SEED") or 1)
    print(f"SEED={seed} {count} frames")
    start_s = time.monotonic()
    arguments = {"count": count, **more}
    log = tmp_path / "run.log"
    result = run_fast("sim.tests.steering_program:main", arguments, seed=seed, folder=tmp_path, log=log)
    print(f"{time.monotonic() - start_s:.1f} s: {result.message or result.value}")
    return result


def check(result: FastResult, count: int) -> None:
    """The judge was content with each frame; the device's counters say the same."""
    assert result.exit_code == 0, result.message
    seen: dict[str, Any] = result.value
    stats = seen["statistics"]
    assert seen["frames"] == stats["rx_wire_frames"] == count
    assert seen["drops"] == {"rx_drop_filter": seen["filtered"]} and seen["filtered"] > 0
    assert stats["rx_frames"] == count - seen["filtered"]
    assert seen["violations"] == []
    assert stats["rx_malformed"] == seen["malformed"] and stats["rx_fragments"] == seen["fragments"]
    for way in ("flow", "listener", "any", "rss", "host"):  # the rest could have gone two ways
        exact = seen["counted"][way]
        assert 0 < exact <= stats[f"rx_steer_{way}"] <= exact + seen["free"], way
    assert set(seen["kinds"]) == KINDS and set(seen["changes"]) >= CHANGES
    assert seen["moves"] > 0 and 0 < seen["free"] < count // 3


@pytest.mark.sim
def test_frames_find_their_queue_while_everything_changes(tmp_path: Path) -> None:
    check(run(tmp_path, SHORT), SHORT)


@pytest.mark.sim
@pytest.mark.slow
def test_a_hundred_thousand_frames_find_their_queue(tmp_path: Path) -> None:
    check(run(tmp_path, LONG), LONG)


@pytest.mark.sim
def test_a_frame_claimed_from_a_wrong_queue_is_found(tmp_path: Path) -> None:
    result = run(tmp_path, 300, lie_at=200)
    assert result.exit_code == 1
    assert (
        result.message.startswith("JudgeError: frame ") and "came from pair 1, not pair 0" in result.message
    )


KEY = Tuple(0, 6, LOCAL4, 0x0A00_0002, 80, 5000)


def judged(to: int = 2) -> tuple[Judge, list[bytes]]:
    """A judge, three frames of one flow, and one for the host."""
    history = History(MAC, PAIRS)
    history.flow(KEY, Info(TO_QUEUE, to, 0, 0))
    history.settle()
    frames = [flow_frame(serial) for serial in range(3)]
    return Judge(history), [*frames, bytes(60) + (3).to_bytes(8, "big")]


def flow_frame(serial: int) -> bytes:
    ports = KEY.remote_port.to_bytes(2, "big") + KEY.local_port.to_bytes(2, "big")
    ends = KEY.remote.to_bytes(4, "big"), KEY.local.to_bytes(4, "big")
    number = serial.to_bytes(8, "big")
    return make(Recipe(macs=MAC + bytes(6), src=ends[0], dst=ends[1], ports=ports, payload=number))


def test_the_judge_takes_what_is_right() -> None:
    judge, frames = judged()
    judge.offer(frames)
    judge.take([(2, frames[0]), (2, frames[1]), (0, frames[3])])
    judge.take([(2, frames[2])])
    assert judge.finish() == 0 and judge.free == 0 and judge.counted["flow"] == 3


@pytest.mark.parametrize("pair", [0, 1, 3])
def test_the_judge_finds_a_wrong_queue(pair: int) -> None:
    judge, frames = judged()
    judge.offer(frames)
    with pytest.raises(JudgeError, match=rf"frame 0 came from pair {pair}, not pair 2"):
        judge.take([(pair, frames[0])])


def test_the_judge_finds_a_lost_a_doubled_a_changed_and_an_overtaken_frame() -> None:
    judge, frames = judged()
    judge.offer(frames)
    judge.take([(2, frames[1])])
    with pytest.raises(JudgeError, match="frame 0 was lost"):
        judge.finish()
    with pytest.raises(JudgeError, match="twice"):
        judge.take([(2, frames[1])])
    with pytest.raises(JudgeError, match="was not sent"):
        judge.take([(2, frames[2][:20] + b"\xff" + frames[2][21:])])
    with pytest.raises(JudgeError, match="frame 0 came behind 1"):
        judge.take([(2, frames[0])])


def test_the_judge_allows_both_queues_only_while_a_change_is_in_flight() -> None:
    judge, frames = judged()
    judge.offer(frames[:1])
    judge.history.flow(KEY, Info(TO_QUEUE, 3, 0, 0))
    judge.offer(frames[1:2])  # before the change is settled
    judge.take([(2, frames[0]), (3, frames[1])])
    assert judge.free == 2
    judge.history.settle()
    judge.offer(frames[2:3])
    with pytest.raises(JudgeError, match="frame 2 came from pair 2, not pair 3"):
        judge.take([(2, frames[2])])


def test_the_judge_dates_a_frame_by_later_ones() -> None:
    """A change that begins when a later frame has come out is too late for an earlier one."""
    judge, frames = judged()
    judge.offer(frames)
    judge.take([(0, frames[3])])
    judge.history.flow(KEY, Info(TO_DROP, 0, 0, 0))
    judge.take([(2, frames[0]), (2, frames[1])])
    with pytest.raises(JudgeError, match="frame 2 was lost"):
        judge.finish()
