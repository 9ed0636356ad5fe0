# SPDX-License-Identifier: Apache-2.0
"""What acknowledgments and timeouts do to the send side (RFC 5681, RFC 6298, RFC 6582)."""

from ..config import NEVER_NS
from ..errors import ConnectionTimedOut
from ..wire.tcp import ACK, FIN
from . import send
from .congestion import DUP_THRESHOLD
from .conn import Connection, State
from .rtt import AFTER_SYN_LOSS_NS
from .seq import MASK, diff

MIN_RETRIES = 6  # before giving up, however long each took: R2 is a lower bound (RFC 9293 section 3.8.3)


def new_ack(conn: Connection, advance: int) -> None:
    """SND.UNA moves by `advance` > 0: free the buffer, time the round trip, grow or leave recovery."""
    now_ns, una = conn.layer.ip.now_ns, conn.snd_una
    flight = diff(conn.snd_max, una)
    data = advance
    if una == conn.iss:  # our SYN is part of it
        data -= 1
        if conn.syn_lost and not conn.ts_on:
            conn.rtt.rto_ns = max(conn.rtt.rto_ns, AFTER_SYN_LOSS_NS)
    del conn.send_buf[:data]  # a FIN in `data` lies behind the end and deletes nothing
    conn.snd_una = ack = (una + advance) & MASK
    if diff(ack, conn.snd_nxt) > 0:
        conn.snd_nxt = ack
    if conn.timed_ns >= 0 and diff(ack, conn.timed_seq) > 0:
        conn.rtt.sample(now_ns - conn.timed_ns)
        conn.timed_ns = -1
    cc = conn.cc
    if not cc.recovering:
        cc.on_progress(advance, flight)
    elif diff(ack, cc.recover) >= 0:
        cc.exit_recovery(flight - advance)
    else:
        send.resend_first(conn, conn.mss)
        cc.partial(advance)
    conn.retries, conn.retry_since_ns = 0, now_ns
    conn.rto_ns = NEVER_NS if ack == conn.snd_max else now_ns + conn.rtt.rto_ns


def dup_ack(conn: Connection) -> None:
    """A duplicate in the sense of RFC 5681 section 2; the third one starts fast retransmit."""
    conn.layer.stats.tcp_duplicate_acks += 1
    cc = conn.cc
    cc.dup_acks += 1
    if cc.recovering:
        cc.inflate()
    elif cc.dup_acks == DUP_THRESHOLD and cc.may_recover(conn.snd_una):
        conn.layer.stats.tcp_fast_retransmits += 1
        cc.enter_recovery(diff(conn.snd_max, conn.snd_una), conn.snd_max)
        send.resend_first(conn, conn.mss)


def on_retransmission_timeout(conn: Connection) -> None:
    """RFC 6298 section 5.4 to 5.6; gives up after R2 (RFC 9293 section 3.8.3)."""
    layer, now_ns = conn.layer, conn.layer.ip.now_ns
    layer.stats.tcp_timeouts += 1
    opening = conn.state in (State.SYN_SENT, State.SYN_RECEIVED)
    limit_ns = layer.config.syn_give_up_ns if opening else layer.config.data_give_up_ns
    if now_ns - conn.retry_since_ns >= limit_ns and conn.retries >= MIN_RETRIES:
        layer.fail(conn, conn.soft_error or ConnectionTimedOut(conn.describe()))
        return
    first = conn.retries == 0
    conn.retries += 1
    conn.timed_ns = -1
    conn.rtt.back_off()
    if opening:
        conn.syn_lost = True
        layer.stats.tcp_retransmits += 1
        send.send_syn(conn)
        return
    conn.cc.on_timeout(diff(conn.snd_max, conn.snd_una), first, conn.snd_max)
    conn.snd_nxt = conn.snd_una
    if conn.snd_wnd == 0:  # the peer closed its window over data in flight: probe instead
        conn.rto_ns, conn.persist_shift = NEVER_NS, 0
        conn.persist_ns = now_ns + conn.rtt.rto_ns
        return
    conn.rto_ns = now_ns + conn.rtt.rto_ns
    send.resend_first(conn, min(conn.mss, conn.snd_wnd))


def on_persist_timeout(conn: Connection) -> None:
    """Zero-window probe (RFC 9293 section 3.8.6.1): one byte or the FIN, with exponential back-off."""
    layer, now_ns = conn.layer, conn.layer.ip.now_ns
    if now_ns - conn.last_heard_ns >= layer.config.data_give_up_ns + conn.rtt.max_ns:
        layer.fail(
            conn, conn.soft_error or ConnectionTimedOut(f"window probes unanswered: {conn.describe()}")
        )
        return
    conn.persist_shift += 1
    conn.persist_ns = now_ns + min(conn.rtt.rto_ns << conn.persist_shift, conn.rtt.max_ns)
    size = max(1, min(conn.snd_wnd, conn.mss))  # more than one byte only overrides the small-segment rule
    payload = bytes(memoryview(conn.send_buf)[:size])
    fin = conn.fin_queued and not payload
    layer.stats.tcp_zero_window_probes += 1
    send.emit(conn, ACK | FIN if fin else ACK, conn.snd_una, payload)
    end = (conn.snd_una + len(payload) + fin) & MASK
    if diff(end, conn.snd_max) > 0:
        conn.snd_max = end
    conn.fin_sent = conn.fin_sent or fin


def narrow_path(conn: Connection) -> None:
    """The path MTU fell (RFC 1191): smaller segments from now on, and the one in flight again."""
    mss = conn.path.mtu_bytes - 40 - (12 if conn.ts_on else 0)
    if mss >= conn.mss:
        return
    conn.mss = conn.cc.mss = mss
    conn.timed_ns = -1
    if conn.state >= State.ESTABLISHED and conn.snd_max != conn.snd_una:
        conn.snd_nxt = conn.snd_una
        send.push(conn)
