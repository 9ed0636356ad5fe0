# SPDX-License-Identifier: Apache-2.0
"""Sending: segments from the buffer, windows, silly-window avoidance, acknowledgments (RFC 9293 section
3.8)."""

from ..config import MS_NS, NEVER_NS
from ..wire import tcp
from ..wire.tcp import ACK, FIN, PSH, RST, SYN
from .conn import RECEIVING, SENDING, Connection, State
from .seq import MASK, diff

TS_TICK_NS = MS_NS  # RFC 7323 section 5.4: 1 ms to 1 s


def timestamp(conn: Connection) -> int:
    return (conn.layer.ip.now_ns // TS_TICK_NS + conn.ts_offset) & MASK


def window_field(conn: Connection) -> int:
    """Advance the advertised right edge where that is not silly; the scaled window for the header.

    RFC 9293 section 3.8.6.2.2: the edge moves by at least min(buffer / 2, one segment), and never back.
    """
    edge = conn.rcv_nxt + conn.recv_limit - len(conn.recv_buf)
    gain = diff(edge & MASK, conn.rcv_edge)
    if gain >= conn.rcv_mss or 2 * gain >= conn.recv_limit:
        conn.rcv_edge = edge & MASK
    window = diff(conn.rcv_edge, conn.rcv_nxt) >> conn.rcv_shift
    return 0 if window < 0 else 0xFFFF if window > 0xFFFF else window


def emit(conn: Connection, flags: int, seq: int, payload: bytes = b"") -> None:
    """Send one segment of a synchronized connection; every one of them acknowledges RCV.NXT."""
    options = b""
    if conn.ts_on:
        options = tcp.TS_LAYOUT.pack(*tcp.TS_PREFIX, timestamp(conn), conn.ts_recent)
    conn.unacked = 0
    conn.delack_ns = NEVER_NS
    conn.last_ack_sent = conn.rcv_nxt
    ports = conn.local_port << 16 | (conn.key >> 16 & 0xFFFF)
    window = window_field(conn)
    conn.layer.ip.send_tcp(conn.path, ports, seq, conn.rcv_nxt, flags, window, options, payload)


def ack(conn: Connection) -> None:
    """Send a segment that only acknowledges."""
    conn.layer.stats.tcp_acks_out += 1
    emit(conn, ACK, conn.snd_max)


def challenge(conn: Connection) -> None:
    """RFC 5961: ask the true peer where it stands; throttled as its section 7 asks."""
    if conn.layer.challenge_limit.allow(conn.layer.ip.now_ns):
        conn.layer.stats.tcp_challenge_acks += 1
        ack(conn)


def send_syn(conn: Connection) -> None:
    """(Re)send our SYN, with ACK in SYN-RECEIVED; arms the retransmission timer."""
    layer, state = conn.layer, conn.state
    config = layer.config
    answering = state is State.SYN_RECEIVED
    stamps = (timestamp(conn), conn.ts_recent) if (conn.ts_on if answering else config.timestamps) else None
    shift = (conn.rcv_shift if conn.scale_on else None) if answering else config.shift
    options = tcp.Options(layer.ip.mtu_bytes - 40, shift, False, stamps)
    flags = SYN | ACK if answering else SYN
    window = min(conn.recv_limit, 0xFFFF)  # never scaled in a SYN, RFC 7323 section 2.2
    conn.last_ack_sent = conn.rcv_nxt
    ports = conn.local_port << 16 | (conn.key >> 16 & 0xFFFF)
    ack_seq = conn.rcv_nxt if answering else 0
    layer.ip.send_tcp(conn.path, ports, conn.iss, ack_seq, flags, window, options.encode(), b"")
    if conn.timed_ns < 0 and not conn.retries:
        conn.timed_seq, conn.timed_ns = conn.iss, layer.ip.now_ns
    if not conn.retries and conn.rto_ns == NEVER_NS:
        conn.retry_since_ns = layer.ip.now_ns
    conn.rto_ns = layer.ip.now_ns + conn.rtt.rto_ns


def send_reset(conn: Connection) -> None:
    """RST at SND.NXT (RFC 9293 section 3.10.5)."""
    conn.layer.stats.tcp_resets_out += 1
    emit(conn, RST | ACK, conn.snd_nxt)


def push(conn: Connection) -> None:
    """Send all that the windows and the rules against small segments allow; keep a timer for the rest."""
    if conn.state not in SENDING:
        return
    cc, una, mss = conn.cc, conn.snd_una, conn.mss
    sent = diff(conn.snd_nxt, una)
    unsent = len(conn.send_buf) - sent
    if unsent > 0 or (conn.fin_queued and unsent == 0):
        if conn.snd_max == una and conn.layer.ip.now_ns - conn.last_sent_ns > conn.rtt.rto_ns:
            cc.restart(conn.layer.config.initial_window_segments)
        extra = 0 if cc.recovering else min(cc.dup_acks, 2) * mss  # limited transmit, RFC 3042
        limit = min(conn.snd_wnd, cc.cwnd + extra)
        with memoryview(conn.send_buf) as view:
            while True:
                size = min(unsent, limit - sent, mss)
                fin = conn.fin_queued and unsent - max(size, 0) == 0 and limit - sent > size
                if size <= 0 and not fin:
                    break
                if size < mss and not fin and not _small_ok(conn, size, unsent, sent):
                    break
                transmit(conn, bytes(view[sent : sent + size]), fin)
                sent += size + fin
                unsent -= size + fin
    if conn.rto_ns == conn.persist_ns == NEVER_NS and (unsent > 0 or (unsent == 0 and conn.fin_queued)):
        conn.persist_shift = 0
        conn.persist_ns = conn.layer.ip.now_ns + conn.rtt.rto_ns


def _small_ok(conn: Connection, size: int, unsent: int, sent: int) -> bool:
    """RFC 9293 section 3.8.6.2.1 with Nagle (3.7.4): a short segment goes if it ends the data and nothing
    is in
    flight (or Nagle is off, or the program has closed), or if it fills half of the peer's largest window."""
    again = conn.snd_nxt != conn.snd_max  # what was sent before may go again as it was
    if size == unsent and (sent == 0 or conn.nodelay or conn.fin_queued or again):
        return True
    return 2 * size >= conn.max_wnd


def transmit(conn: Connection, payload: bytes, fin: bool) -> None:
    """Send the next segment at SND.NXT and account for it: RTT timing, retransmission timer, FIN state."""
    now_ns, seq = conn.layer.ip.now_ns, conn.snd_nxt
    size = len(payload)
    flags = ACK | FIN if fin else ACK
    if size and diff(seq, conn.snd_una) + size == len(conn.send_buf):
        flags |= PSH  # the buffer is empty behind it, RFC 9293 section 3.9.1.2
    if seq != conn.snd_max:
        conn.layer.stats.tcp_retransmits += 1
        if conn.timed_ns >= 0 and diff(conn.timed_seq, seq) >= 0:
            conn.timed_ns = -1  # Karn: what is sent twice cannot be timed
    elif conn.timed_ns < 0 and not conn.ts_on:
        conn.timed_seq, conn.timed_ns = seq, now_ns
    emit(conn, flags, seq, payload)
    conn.snd_nxt = end = (seq + size + fin) & MASK
    if diff(end, conn.snd_max) > 0:
        conn.snd_max = end
    conn.last_sent_ns = now_ns
    conn.fin_sent = conn.fin_sent or fin
    if conn.rto_ns == NEVER_NS:
        conn.rto_ns = now_ns + conn.rtt.rto_ns
        conn.retry_since_ns = now_ns
        conn.retries = 0
    conn.persist_ns = NEVER_NS


def resend_first(conn: Connection, limit: int) -> None:
    """Send the earliest unacknowledged segment again, at most `limit` bytes of it; SND.NXT stays."""
    keep = conn.snd_nxt
    conn.snd_nxt = conn.snd_una
    payload = bytes(memoryview(conn.send_buf)[: min(limit, diff(conn.snd_max, conn.snd_una))])
    fin = conn.fin_sent and len(payload) == len(conn.send_buf)
    transmit(conn, payload, fin)
    if diff(keep, conn.snd_nxt) > 0:
        conn.snd_nxt = keep


def after_read(conn: Connection) -> None:
    """The program took data: tell the peer, if the window opened enough to be worth a segment."""
    if conn.state not in RECEIVING:
        return
    free = conn.recv_limit - len(conn.recv_buf)
    told = diff(conn.rcv_edge, conn.rcv_nxt)
    gain = free - told
    opens = told < conn.rcv_mss and (gain >= conn.rcv_mss or 2 * gain >= conn.recv_limit)
    worth = 8 * told < conn.recv_limit <= 4 * gain and gain >= min(conn.rcv_mss, conn.recv_limit // 2)
    if opens or worth:
        ack(conn)
