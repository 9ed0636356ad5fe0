# SPDX-License-Identifier: Apache-2.0
"""Segment arrival before a connection exists or is synchronized (RFC 9293 sections 3.10.7.1 to 3.10.7.3)."""

from typing import TYPE_CHECKING

from ..config import NEVER_NS
from ..drops import Drop
from ..errors import ConnectionRefused
from ..ip import Path
from ..wire.tcp import ACK, RST, SYN, Segment
from . import recovery, send
from .conn import Connection, State
from .listener import Listener
from .seq import MASK, add, diff

if TYPE_CHECKING:
    from .layer import TcpLayer

MIN_MSS = 64  # a peer that asks for less would only multiply packets
DEFAULT_MSS = 536  # RFC 9293 section 3.7.1


def refuse(layer: "TcpLayer", path: Path, segment: Segment) -> None:
    """The reset of RFC 9293 section 3.10.7.1, which the sender of `segment` will find acceptable."""
    if segment.flags & RST:
        return
    ports = segment.dst_port << 16 | segment.src_port
    if segment.flags & ACK:
        seq, ack, flags = segment.ack, 0, RST
    else:
        seq, ack, flags = 0, add(segment.seq, segment.length), RST | ACK
    layer.stats.tcp_resets_out += 1
    layer.ip.send_tcp(path, ports, seq, ack, flags, 0, b"", b"")


def on_listen(layer: "TcpLayer", listener: Listener, src: int, segment: Segment) -> Drop | None:
    """Section 3.10.7.2: a SYN makes a connection in SYN-RECEIVED, if the backlog has room for it."""
    if segment.flags & RST:
        return Drop.TCP_NO_CONNECTION
    if segment.flags & ACK:
        refuse(layer, layer.path_under(listener, src), segment)
        return Drop.TCP_NO_CONNECTION
    if not segment.flags & SYN:
        return Drop.TCP_NO_CONNECTION
    if not listener.has_room:
        return Drop.TCP_BACKLOG_FULL
    conn = layer.new_connection(src, segment.src_port, segment.dst_port)
    conn.listener = listener
    conn.path = layer.path_under(listener, src)
    listener.half_open.add(conn)
    layer.stats.tcp_passive_opens += 1
    layer.add(conn)
    _take_syn(conn, segment)
    conn.state = State.SYN_RECEIVED
    start(conn)
    return None


def start(conn: Connection) -> None:
    """Choose the ISN and send the SYN (or SYN, ACK) for the first time."""
    layer = conn.layer
    conn.iss = conn.snd_una = layer.initial_seq(conn)
    conn.snd_nxt = conn.snd_max = add(conn.iss, 1)
    conn.last_heard_ns = layer.ip.now_ns
    send.send_syn(conn)
    layer.timers.schedule(conn)


def _take_syn(conn: Connection, segment: Segment) -> None:
    """Note the peer's ISN and options."""
    config, options = conn.layer.config, segment.options
    conn.irs = segment.seq
    conn.rcv_nxt = add(segment.seq, 1)
    conn.rcv_edge = add(conn.rcv_nxt, min(conn.recv_limit, 0xFFFF))  # what our SYN says
    conn.scale_on = options.shift is not None
    conn.snd_shift = options.shift or 0
    conn.rcv_shift = config.shift if conn.scale_on else 0
    conn.sack_permitted = options.sack_permitted
    conn.ts_on = config.timestamps and options.timestamps is not None
    if conn.ts_on and options.timestamps is not None:
        conn.ts_recent, conn.ts_recent_ns = options.timestamps[0], conn.layer.ip.now_ns
    asked = DEFAULT_MSS if options.mss is None else max(options.mss, MIN_MSS)
    conn.mss = min(asked, conn.path.mtu_bytes - 40) - (12 if conn.ts_on else 0)
    conn.cc.mss = conn.mss
    conn.snd_wnd = conn.max_wnd = segment.window  # never scaled in a SYN
    conn.snd_wl1, conn.snd_wl2 = segment.seq, segment.ack


def on_syn_sent(conn: Connection, segment: Segment) -> Drop | None:
    """Section 3.10.7.3."""
    flags = segment.flags
    acceptable = bool(flags & ACK) and segment.ack == conn.snd_max
    if flags & ACK and not acceptable:
        refuse(conn.layer, conn.path, segment)
        return Drop.TCP_BAD_ACK
    if flags & RST:
        if not acceptable:
            return Drop.TCP_BAD_RST
        conn.layer.fail(conn, ConnectionRefused(conn.describe()))
        return None
    if not flags & SYN:
        return Drop.TCP_BAD_SYN
    _take_syn(conn, segment)
    conn.last_heard_ns = conn.layer.ip.now_ns
    if not acceptable:  # simultaneous open, RFC 9293 figure 8
        conn.state, conn.rto_ns, conn.timed_ns = State.SYN_RECEIVED, NEVER_NS, -1
        send.send_syn(conn)
        return None
    recovery.new_ack(conn, 1)
    establish(conn)
    rest = segment._replace(seq=add(segment.seq, 1), flags=flags & ~SYN)
    if rest.length:
        conn.layer.on_synchronized(conn, rest)
    if conn.send_buf or conn.fin_queued:
        send.push(conn)
    if conn.last_ack_sent != conn.rcv_nxt:
        send.ack(conn)
    return None


def establish(conn: Connection) -> None:
    """Enter ESTABLISHED: initial window, keepalive, hand-over to the listener or wake-up of the opener."""
    layer, config = conn.layer, conn.layer.config
    conn.state = State.ESTABLISHED
    segments = 1 if conn.syn_lost else config.initial_window_segments  # RFC 5681 section 3.1
    conn.cc.cwnd = conn.cc.window(conn.mss, segments)
    conn.cc.recover_valid = False
    conn.last_sent_ns = layer.ip.now_ns
    if conn.keep_on:
        conn.keep_ns = layer.ip.now_ns + conn.idle_limit_ns
    listener = conn.listener
    if listener is None:
        layer.ready.wake(conn)
        return
    layer.hand_over(conn, listener)


def may_reopen(conn: Connection, segment: Segment) -> bool:
    """A SYN for a connection in TIME-WAIT may start a new one (RFC 9293 section 3.10.7.4, RFC 6191)."""
    if conn.state is not State.TIME_WAIT or segment.flags & (SYN | ACK | RST) != SYN:
        return False
    stamps = segment.options.timestamps
    if conn.ts_on and stamps is not None and diff(stamps[0], conn.ts_recent) > 0:
        return True
    return diff(segment.seq, (conn.rcv_nxt - 1) & MASK) > 0
