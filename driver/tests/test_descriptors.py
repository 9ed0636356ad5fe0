# SPDX-License-Identifier: Apache-2.0
"""Codecs against bytes written out by hand from VIRTIO 1.2 sections 2.8.13, 2.8.14 and 5.1.6."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.descriptors import (
    DESC_DTYPE,
    CodecError,
    DescFlag,
    Descriptor,
    EventMode,
    EventSuppression,
    NetHeader,
)
from driver.ring import RingPos

DESC = Descriptor(0x1122334455667788, 0x0000_05EA, 0x0203, DescFlag.AVAIL | DescFlag.WRITE)
DESC_HEX = "8877665544332211 ea050000 0302 8200"
HEADER = NetHeader(1, 3, 0x0036, 0x05A0, 0x0022, 0x0010, 1)
HEADER_HEX = "01 03 3600 a005 2200 1000 0100"


def test_descriptor_bytes() -> None:
    raw = bytes.fromhex(DESC_HEX)
    assert DESC.encode() == raw
    assert Descriptor.decode(raw) == DESC
    assert [int(flag) for flag in DescFlag] == [1, 2, 4, 0x80, 0x8000]


def test_the_numpy_view_has_the_same_layout() -> None:
    slot = np.frombuffer(bytes.fromhex(DESC_HEX), DESC_DTYPE)[0]
    assert DESC_DTYPE.itemsize == 16
    assert (int(slot["addr"]), int(slot["len"]), int(slot["id"])) == (
        DESC.addr,
        DESC.len_bytes,
        DESC.buffer_id,
    )
    assert int(slot["flags"]) == DESC.flags


@pytest.mark.parametrize(
    ("event", "raw"),
    [
        (EventSuppression(EventMode.ENABLE), "0000 0000"),
        (EventSuppression(EventMode.DISABLE), "0000 0100"),
        (EventSuppression(EventMode.DESC, RingPos(0x0102, 1)), "0281 0200"),
    ],
)
def test_event_suppression_bytes(event: EventSuppression, raw: str) -> None:
    assert event.encode() == bytes.fromhex(raw)
    assert EventSuppression.decode(bytes.fromhex(raw)) == event


def test_net_header_bytes() -> None:
    assert HEADER.encode() == bytes.fromhex(HEADER_HEX)
    assert NetHeader.decode(bytes.fromhex(HEADER_HEX)) == HEADER
    assert NetHeader().encode() == bytes(12)


@given(st.binary(min_size=16, max_size=16))
def test_any_sixteen_bytes_survive_a_round_trip(raw: bytes) -> None:
    assert Descriptor.decode(raw).encode() == raw


@given(st.binary(min_size=12, max_size=12))
def test_any_header_survives_a_round_trip(raw: bytes) -> None:
    assert NetHeader.decode(raw).encode() == raw


def test_illegal_values_cannot_be_built_or_decoded() -> None:
    with pytest.raises(CodecError, match="out of range"):
        Descriptor(1 << 64, 1, 0, 0)
    with pytest.raises(CodecError, match="out of range"):
        NetHeader(flags=256)
    with pytest.raises(CodecError, match="out of range"):
        EventSuppression(EventMode.DESC, RingPos(1 << 15, 0))
    with pytest.raises(CodecError, match="reserved event mode"):
        EventSuppression.decode(bytes.fromhex("00000300"))
    for codec, size in ((Descriptor, 15), (EventSuppression, 5), (NetHeader, 10)):
        with pytest.raises(CodecError):
            codec.decode(bytes(size))
