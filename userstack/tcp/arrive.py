# SPDX-License-Identifier: Apache-2.0
"""Segment arrival in a synchronized connection (RFC 9293 section 3.10.7.4), with a short way for plain
traffic."""

from ..config import NEVER_NS
from ..drops import Drop
from ..errors import ConnectionRefused, ConnectionReset
from ..wire.tcp import ACK, FIN, PSH, RST, SYN, Segment
from . import closing, recovery, send
from .conn import RECEIVING, Connection, State
from .seq import MASK, diff

PAWS_IDLE_NS = 24 * 86_400 * 1_000_000_000  # RFC 7323 section 5.5


def on_segment(conn: Connection, segment: Segment) -> Drop | None:
    """Process one segment whose checksum is good; the reason if it was not used."""
    if segment.flags | PSH == ACK | PSH and segment.seq == conn.rcv_nxt and _plain(conn, segment):
        conn.last_heard_ns = conn.layer.ip.now_ns
        return None
    opening = conn.state is State.SYN_RECEIVED and segment.seq == conn.irs
    if opening and segment.flags & (SYN | ACK | RST) == SYN | ACK:
        # Simultaneous open, RFC 9293 figure 8: the SYN is old, the ACK is not.
        segment = segment._replace(seq=conn.rcv_nxt, flags=segment.flags & ~SYN)
    drop = _on_reset(conn, segment) if segment.flags & RST else _check(conn, segment)
    if drop is not None or not conn.alive:
        return drop
    conn.last_heard_ns = conn.layer.ip.now_ns
    conn.keep_sent = 0
    if (drop := take_ack(conn, segment)) is not None or not conn.alive:
        return drop
    if segment.length:
        drop = _take_text(conn, segment)
    if conn.alive:
        send.push(conn)
    return drop


def _plain(conn: Connection, segment: Segment) -> bool:
    """In-order data with nothing else new, or an ACK that only advances SND.UNA, in ESTABLISHED; True if
    done."""
    if conn.state is not State.ESTABLISHED or conn.ts_on or conn.keep_sent:
        return False
    payload = segment.payload
    advance = (segment.ack - conn.snd_una) & MASK
    if payload:
        if advance or conn.reasm or conn.fin_at is not None or conn.closed or conn.read_shut:
            return False
        if len(payload) > diff(conn.rcv_edge, conn.rcv_nxt):
            return False
        if segment.window << conn.snd_shift != conn.snd_wnd:
            return False
        conn.snd_wl1 = segment.seq
        _deliver(conn, payload)
        _acknowledge(conn, len(payload))
        return True
    cc = conn.cc
    if not 0 < advance <= (conn.snd_max - conn.snd_una) & MASK or cc.recovering or cc.dup_acks:
        return False
    conn.snd_wnd = window = segment.window << conn.snd_shift
    if window > conn.max_wnd:
        conn.max_wnd = window
    conn.snd_wl1, conn.snd_wl2 = segment.seq, segment.ack
    recovery.new_ack(conn, advance)
    send.push(conn)
    conn.layer.ready.wake(conn)
    return True


def _check(conn: Connection, segment: Segment) -> Drop | None:
    """Steps 1, 4 and the ACK bit of 5: sequence number, SYN; timestamps before all (RFC 7323 section
    5.3)."""
    flags = segment.flags
    if conn.ts_on and not _stamp_ok(conn, segment):
        send.ack(conn)
        return Drop.TCP_PAWS
    start = diff(segment.seq, conn.rcv_nxt)
    window = max(0, diff(conn.rcv_edge, conn.rcv_nxt))
    if not _acceptable(start, segment.length, window):
        if start == window == 0 and flags & (ACK | SYN) == ACK and conn.state in RECEIVING:
            return None  # a window probe: its ACK counts, and its text will be cut to nothing
        if flags & SYN and conn.state is State.SYN_RECEIVED and start == -1:
            send.send_syn(conn)  # our SYN,ACK was lost, or its ACK was
        elif segment.length:
            if conn.state is State.TIME_WAIT and flags & FIN:
                closing.enter_time_wait(conn)
            send.ack(conn)
        else:
            send.challenge(conn)  # throttled, or two confused ends would answer each other for ever
        return Drop.TCP_OUT_OF_WINDOW
    if flags & SYN:
        send.challenge(conn)  # RFC 5961 section 4
        return Drop.TCP_BAD_SYN
    if not flags & ACK:
        return Drop.TCP_NO_ACK_FLAG
    _note_stamp(conn, segment)
    return None


def _acceptable(start: int, length: int, window: int) -> bool:
    """The four cases of RFC 9293 table 6; `start` is SEG.SEQ - RCV.NXT."""
    if length == 0:
        return start == 0 if window == 0 else 0 <= start < window
    return window > 0 and (0 <= start < window or 0 <= start + length - 1 < window)


def _on_reset(conn: Connection, segment: Segment) -> Drop | None:
    """Step 2 with RFC 5961 section 3.2: only a reset that hits RCV.NXT exactly is believed."""
    start = diff(segment.seq, conn.rcv_nxt)
    window = max(0, diff(conn.rcv_edge, conn.rcv_nxt))
    if start != 0:
        if 0 < start < window:
            send.challenge(conn)
        return Drop.TCP_BAD_RST
    if conn.state is State.SYN_RECEIVED:
        conn.layer.fail(conn, ConnectionRefused(conn.describe()))
    elif conn.state >= State.CLOSING:
        conn.layer.forget(conn)
    else:
        conn.layer.fail(conn, ConnectionReset(conn.describe()))
    return None


def _stamp_ok(conn: Connection, segment: Segment) -> bool:
    stamps = segment.options.timestamps
    if stamps is None:
        return False  # RFC 7323 section 3.2: once negotiated, every segment carries it
    old = diff(stamps[0], conn.ts_recent) < 0
    return not old or conn.layer.ip.now_ns - conn.ts_recent_ns > PAWS_IDLE_NS


def _note_stamp(conn: Connection, segment: Segment) -> None:
    """RFC 7323 section 4.3; the echo gives a round trip of every ACK that advances."""
    stamps = segment.options.timestamps
    if not conn.ts_on or stamps is None:
        return
    if diff(segment.seq, conn.last_ack_sent) <= 0:
        conn.ts_recent, conn.ts_recent_ns = stamps[0], conn.layer.ip.now_ns
    if diff(segment.ack, conn.snd_una) > 0 and stamps[1]:
        elapsed = diff(send.timestamp(conn), stamps[1])
        if elapsed >= 0:
            conn.rtt.sample(elapsed * send.TS_TICK_NS)


def take_ack(conn: Connection, segment: Segment) -> Drop | None:
    """Step 5: the acknowledgment number, the window, and the state changes that they bring."""
    advance = diff(segment.ack, conn.snd_una)
    flight = diff(conn.snd_max, conn.snd_una)
    if conn.state is State.SYN_RECEIVED:
        if not 0 < advance <= flight:
            conn.layer.refuse(conn.path, segment)
            return Drop.TCP_BAD_ACK
        conn.layer.on_opened(conn)
    if advance > flight or advance < -max(conn.max_wnd, 1):  # RFC 5961 section 5
        send.challenge(conn)
        return Drop.TCP_BAD_ACK
    window = segment.window << (0 if segment.flags & SYN else conn.snd_shift)
    duplicate = advance == 0 and flight > 0 and not segment.length and window == conn.snd_wnd
    newer = diff(segment.seq, conn.snd_wl1)
    if advance >= 0 and (newer > 0 or (newer == 0 and diff(segment.ack, conn.snd_wl2) >= 0)):
        if conn.snd_wnd == 0 and window:
            conn.persist_ns = NEVER_NS
        conn.snd_wnd, conn.snd_wl1, conn.snd_wl2 = window, segment.seq, segment.ack
        conn.max_wnd = max(conn.max_wnd, window)
    if advance > 0:
        recovery.new_ack(conn, advance)
        closing.after_ack(conn)
        conn.layer.ready.wake(conn)
    elif duplicate and conn.rto_ns != NEVER_NS:
        recovery.dup_ack(conn)
    return None


def _take_text(conn: Connection, segment: Segment) -> Drop | None:
    """Steps 7 and 8: cut the segment to the window, deliver or hold its data, notice its FIN."""
    if conn.state not in RECEIVING:
        return Drop.TCP_OUT_OF_WINDOW
    start = diff(segment.seq, conn.rcv_nxt)
    payload = segment.payload
    if segment.flags & FIN and conn.fin_at is None:
        end = start + len(payload)
        if 0 <= end <= diff(conn.rcv_edge, conn.rcv_nxt):
            conn.fin_at = (segment.seq + len(payload)) & MASK
    if start < 0:
        start, payload = 0, payload[-start:]
    room = diff(conn.rcv_edge, conn.rcv_nxt)
    if conn.fin_at is not None:
        room = min(room, diff(conn.fin_at, conn.rcv_nxt))  # nothing lies behind a FIN
    payload = payload[: max(0, room - start)]
    if payload and conn.closed:
        closing.reset_unread(conn)
        return None
    held, hole = True, bool(conn.reasm)
    if payload and start == 0:
        _deliver(conn, payload)
    elif payload:
        conn.layer.stats.tcp_out_of_order += 1
        held = conn.reasm.add(conn.recv_pos + start, payload)
    if conn.fin_at == conn.rcv_nxt:
        closing.on_fin(conn)
    elif start or hole or not payload:
        send.ack(conn)  # RFC 5681 section 4.2: at once for anything out of order, filled or repeated
    else:
        _acknowledge(conn, len(payload))
    return None if held else Drop.TCP_REASSEMBLY_FULL


def _deliver(conn: Connection, payload: bytes) -> None:
    """Append in-order data, and what it connects to; wake the reader."""
    if len(payload) > conn.rcv_mss:
        conn.rcv_mss = len(payload)
    if conn.reasm:
        payload += conn.reasm.take(conn.recv_pos + len(payload))
    conn.rcv_nxt = (conn.rcv_nxt + len(payload)) & MASK
    conn.recv_pos += len(payload)
    if not conn.read_shut:
        conn.recv_buf += payload
    conn.layer.ready.wake(conn)


def _acknowledge(conn: Connection, size: int) -> None:
    """Every second full-sized segment at once, the rest delayed (RFC 9293 section 3.8.6.3)."""
    conn.unacked += size
    if conn.unacked >= 2 * conn.rcv_mss:
        send.ack(conn)
    elif conn.delack_ns == NEVER_NS:
        conn.delack_ns = conn.layer.ip.now_ns + conn.layer.config.delayed_ack_ns
