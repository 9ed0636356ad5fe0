# SPDX-License-Identifier: Apache-2.0
"""The comparison of frames sees each kind of wrong, and only those."""

import pytest

from sim.compare import Comparison, first_difference

FRAMES = [bytes([i]) * 60 for i in range(6)]


def compared(arrivals: list[bytes], give_up: bool = True) -> Comparison:
    seen = Comparison()
    for frame in FRAMES:
        seen.expect(frame)
    for frame in arrivals:
        seen.arrived(frame)
    if give_up:
        seen.give_up()
    return seen


def test_all_frames_in_order_are_ok() -> None:
    seen = compared(FRAMES)
    assert seen.ok and seen.equal == 6 and seen.equal_bytes == 360 and seen.problems == []


def test_a_frame_still_on_its_way_is_not_ok() -> None:
    seen = compared(FRAMES[:5], give_up=False)
    assert not seen.ok and seen.waiting == 1 and seen.waiting_bytes == 60


@pytest.mark.parametrize(
    ("arrivals", "counts", "problem"),
    [
        (FRAMES[:2] + FRAMES[3:], (5, 0, 1, 0), "frame 3 (60 bytes) was lost"),
        (FRAMES[:5], (5, 0, 1, 0), "frame 6 (60 bytes) was lost"),
        ([], (0, 0, 6, 0), "frame 1 (60 bytes) was lost"),
        ([*FRAMES, FRAMES[5]], (6, 0, 0, 1), "a frame of 60 bytes came out a second time: 05"),
        ([FRAMES[0], bytes(59), *FRAMES[2:]], (5, 1, 0, 0), "frame 2 came out changed: byte 0 is 00, was 01"),
        ([FRAMES[1], FRAMES[0], *FRAMES[2:]], (4, 1, 1, 0), "frame 1 (60 bytes) was lost"),
        ([FRAMES[0], *FRAMES], (6, 0, 0, 1), "a frame of 60 bytes came out a second time"),
    ],
)
def test_each_fault_is_counted_and_named(
    arrivals: list[bytes], counts: tuple[int, int, int, int], problem: str
) -> None:
    seen = compared(arrivals)
    assert not seen.ok
    assert seen.problems[0].startswith(problem)
    if arrivals[:1] != [FRAMES[1]]:  # a swap: what follows the first loss depends on where the order resumes
        assert (seen.equal, seen.changed, seen.lost, seen.extra) == counts
    assert seen.equal + seen.changed + seen.lost == seen.sent


def test_only_the_first_problems_are_kept() -> None:
    seen = Comparison()
    for _ in range(1000):
        seen.expect(bytes(60))
    seen.give_up()
    assert seen.lost == 1000 and len(seen.problems) == 10


def test_the_first_difference_is_named() -> None:
    assert first_difference(b"abc", b"abc") == "equal"
    assert first_difference(b"abc", b"ab") == "it ends after 2 of 3 bytes"
    assert first_difference(b"abc", b"abcd") == "it has 4 bytes instead of 3"
    assert first_difference(b"abc", b"axc") == "byte 1 is 78, was 62"
