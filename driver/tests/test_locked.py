# SPDX-License-Identifier: Apache-2.0
"""Locked records: the smallest part of a shared page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.arbiter import locked
from driver.arbiter.locked import LockedReader, LockedWriter, NotConsistent, PageError


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=24, max_size=24)), max_size=20))
def test_locked_records_hold_what_was_written_last(writes: list[tuple[int, bytes]]) -> None:
    memory = memoryview(bytearray(64 + 4 * 32))
    writer, reader = LockedWriter(memory, 64, 24, 4), LockedReader(memory.toreadonly(), 64, 24, 4)
    last: dict[int, bytes] = {}
    for place, body in writes:
        writer.write(place, body)
        last[place] = body
    assert [reader.read(place) for place in range(4)] == [last.get(place, b"") for place in range(4)]


def test_a_record_whose_writer_died_in_the_middle_is_reported_and_can_be_written_again() -> None:
    memory = memoryview(bytearray(32))
    writer, reader = LockedWriter(memory, 0, 24, 1), LockedReader(memory, 0, 24, 1)
    writer.write(0, b"a" * 24)
    memory.cast("Q")[0] += 1 << 32
    with pytest.raises(NotConsistent):
        reader.read(0)
    assert reader.retries == locked.ATTEMPTS
    writer.write(0, b"b" * 24)
    assert reader.read(0) == b"b" * 24


@given(st.binary(min_size=24, max_size=24), st.integers(0, 191))
def test_any_flipped_bit_of_a_body_is_seen(body: bytes, bit: int) -> None:
    memory = memoryview(bytearray(32))
    LockedWriter(memory, 0, 24, 1).write(0, body)
    memory[8 + bit // 8] ^= 1 << bit % 8
    assert LockedReader(memory, 0, 24, 1).attempt(0) is None


def test_fences_are_there_where_the_machine_needs_them() -> None:
    assert locked._fence_for("x86_64") is locked._nothing
    fence = locked._fence_for("aarch64")
    assert fence is locked._pass_gate
    fence()


def test_pages_are_whole_words_in_one_piece() -> None:
    for memory in (memoryview(bytes(12)), memoryview(bytes(32))[::2]):
        with pytest.raises(PageError):
            locked.words_of(memory)
