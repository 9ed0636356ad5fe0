# SPDX-License-Identifier: Apache-2.0
"""TCP codec against literal hex; the one-step codec against the layered one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from userstack.drops import Drop
from userstack.wire import fast
from userstack.wire.errors import EncodeError, WireError
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.ipv4 import DONT_FRAGMENT, TCP, Ipv4Header
from userstack.wire.tcp import ACK, PSH, SYN, Options, Segment

A, B = 0x0A000001, 0x0A000002
MAC_A, MAC_B = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
# SYN 49152 > 80, seq 1, window 65535, MSS 1460, NOP NOP SACK-permitted, NOP window scale 3
SYN_HEX = "c000 0050 00000001 00000000 8002 ffff 9ac1 0000 020405b4 01010402 01030303"


def test_syn_hex_and_round_trip() -> None:
    segment = Segment(49152, 80, 1, 0, SYN, 0xFFFF, b"", Options(1460, 3, True))
    assert segment.encode(A, B).hex() == bytes.fromhex(SYN_HEX).hex()
    assert Segment.decode(bytes.fromhex(SYN_HEX), A, B) == segment


def test_timestamps_hex() -> None:
    options = Options(timestamps=(0x01020304, 0x05060708))
    assert options.encode() == bytes.fromhex("0101080a 01020304 05060708")
    assert Options.decode(options.encode()) == options
    assert Options.decode(bytes.fromhex("080a 01020304 05060708 0000")) == options


def test_unknown_options_are_skipped_and_the_list_ends_at_zero() -> None:
    with pytest.raises(WireError):
        Options.decode(bytes.fromhex("fe06deadbeef 0203 0000"))
    assert Options.decode(bytes.fromhex("fe06deadbeef 0204 05b4 00 02")).mss == 1460


def test_window_scale_above_14_is_taken_as_14() -> None:
    assert Options.decode(bytes.fromhex("0303ff00")).shift == 14


@pytest.mark.parametrize("raw", ["02", "0200", "0201", "0205", "020305b4", "03040101", "080b", "05ff"])
def test_malformed_options(raw: str) -> None:
    with pytest.raises(WireError) as caught:
        Options.decode(bytes.fromhex(raw))
    assert caught.value.reason is Drop.TCP_OPTIONS


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [(12, 0x40, Drop.TCP_SHORT), (12, 0xF0, Drop.TCP_SHORT), (16, 0, Drop.TCP_CHECKSUM)],
)
def test_malformed_segments(at: int, value: int, why: Drop) -> None:
    raw = bytearray.fromhex(SYN_HEX)
    raw[at] = value
    with pytest.raises(WireError) as caught:
        Segment.decode(bytes(raw), A, B)
    assert caught.value.reason is why


def test_short_segment() -> None:
    with pytest.raises(WireError) as caught:
        Segment.decode(bytes(19), A, B)
    assert caught.value.reason is Drop.TCP_SHORT


def test_field_out_of_range_has_no_encoding() -> None:
    with pytest.raises(EncodeError):
        Segment(70000, 80, 1, 0, SYN, 0).encode(A, B)


def test_segment_length_counts_syn_and_fin() -> None:
    assert Segment(1, 2, 0, 0, SYN | 1, 0, b"abc").length == 5


numbers = st.integers(0, 0xFFFF_FFFF)
ports = st.integers(1, 0xFFFF)
stamps = st.none() | st.tuples(numbers, numbers)


@settings(max_examples=200, deadline=None)
@given(
    ports,
    ports,
    numbers,
    numbers,
    st.integers(0, 0xFFFF),
    st.binary(max_size=1460),
    stamps,
    st.integers(0, 0xFFFF),
)
def test_one_step_codec_equals_the_layered_one(
    sport: int,
    dport: int,
    seq: int,
    ack: int,
    window: int,
    payload: bytes,
    stamp: tuple[int, int] | None,
    ident: int,
) -> None:
    segment = Segment(sport, dport, seq, ack, ACK | PSH, window, payload, Options(timestamps=stamp))
    raw = segment.encode(A, B)
    header = Ipv4Header(A, B, TCP, len(raw), ident, fragment=DONT_FRAGMENT)
    layered = EthernetFrame(MAC_B, MAC_A, 0x0800, header.encode() + raw).encode()
    options = segment.options.encode()
    port_word = sport << 16 | dport
    args = (A, B, ident, port_word, seq, ack, ACK | PSH, window, options, payload)
    assert fast.encode_tcp((MAC_B, MAC_A), *args) == layered
    assert fast.decode_tcp(layered, MAC_B, B) == (A, segment)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 8 * 78 - 1))
def test_one_step_decoder_never_accepts_a_frame_with_a_flipped_bit(payload: bytes, bit: int) -> None:
    """Except in the source MAC, which nothing protects here, and in padding."""
    args = (A, B, 7, 80 << 16 | 99, 5, 6, ACK, 100, b"", payload)
    raw = bytearray(fast.encode_tcp((MAC_B, MAC_A), *args))
    bit %= 8 * (54 + len(payload))
    raw[bit // 8] ^= 1 << bit % 8
    decoded = fast.decode_tcp(bytes(raw), MAC_B, B)
    assert decoded is None or 6 <= bit // 8 < 12
