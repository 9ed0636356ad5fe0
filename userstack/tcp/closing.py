# SPDX-License-Identifier: Apache-2.0
"""The way down: FINs in both directions, TIME-WAIT, half-closed and abandoned connections (RFC 9293
section 3.6)."""

from ..config import NEVER_NS
from ..errors import ConnectionAborted
from . import send
from .conn import Connection, State


def after_ack(conn: Connection) -> None:
    """State changes when our FIN is acknowledged (RFC 9293 section 3.10.7.4, fifth step)."""
    if not conn.fin_sent or conn.snd_una != conn.snd_max or conn.send_buf:
        return
    if conn.state is State.FIN_WAIT_1:
        conn.state = State.FIN_WAIT_2
        if conn.closed:
            conn.wait_ns = conn.layer.ip.now_ns + conn.layer.config.orphan_ns
    elif conn.state is State.CLOSING:
        enter_time_wait(conn)
    elif conn.state is State.LAST_ACK:
        conn.layer.forget(conn)


def on_fin(conn: Connection) -> None:
    """The peer's FIN is next in order (eighth step): consume it, acknowledge at once, change state."""
    conn.rcv_nxt = (conn.rcv_nxt + 1) & 0xFFFF_FFFF
    conn.fin_received = True
    if conn.state is State.ESTABLISHED:
        conn.state = State.CLOSE_WAIT
    elif conn.state is State.FIN_WAIT_1:
        conn.state = State.CLOSING  # had our FIN been acknowledged, the state would be FIN-WAIT-2
    elif conn.state is State.FIN_WAIT_2:
        enter_time_wait(conn)
    send.ack(conn)
    conn.layer.ready.wake(conn)


def enter_time_wait(conn: Connection) -> None:
    """Wait 2 MSL; entered again by a repeated FIN."""
    conn.state = State.TIME_WAIT
    conn.stop_timers()
    conn.wait_ns = conn.layer.ip.now_ns + 2 * conn.layer.config.msl_ns
    conn.layer.ready.wake(conn)


def queue_fin(conn: Connection) -> None:
    """The program has nothing more to send (RFC 9293 section 3.10.4): the FIN follows the data."""
    if conn.fin_queued:
        return
    conn.fin_queued = True
    if conn.state is State.ESTABLISHED:
        conn.state = State.FIN_WAIT_1
    elif conn.state is State.CLOSE_WAIT:
        conn.state = State.LAST_ACK
    elif conn.state is State.SYN_SENT:
        conn.layer.forget(conn)
        return
    send.push(conn)


def close(conn: Connection) -> None:
    """The program is done in both directions; unread data turns it into an abort (RFC 2525 section 2.17)."""
    conn.closed = True
    if conn.state is State.CLOSED:
        return
    if conn.recv_buf:
        abort(conn)
        return
    queue_fin(conn)
    if conn.state is State.FIN_WAIT_2 and conn.wait_ns == NEVER_NS:
        conn.wait_ns = conn.layer.ip.now_ns + conn.layer.config.orphan_ns


def reset_unread(conn: Connection) -> None:
    """Data came after close(): nobody will read it, so the peer must learn (RFC 9293 section 3.6.1)."""
    send.send_reset(conn)
    conn.layer.fail(conn, ConnectionAborted(f"data after close: {conn.describe()}"))


def abort(conn: Connection) -> None:
    """RFC 9293 section 3.10.5: drop everything, tell the peer."""
    if conn.state is State.SYN_RECEIVED or State.ESTABLISHED <= conn.state <= State.CLOSE_WAIT:
        send.send_reset(conn)
    if conn.state is not State.CLOSED:
        conn.layer.fail(conn, ConnectionAborted(conn.describe()))
