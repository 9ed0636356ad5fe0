# SPDX-License-Identifier: Apache-2.0
"""The transmission control block: one connection's state, and what programs can see of it."""

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..config import NEVER_NS
from ..endpoint import READ, WRITE, Endpoint
from ..errors import NetworkError, StackError
from ..ip import Path
from ..shared import Held
from ..wire.addr import format_ip
from .congestion import Congestion
from .reassembly import Reassembly
from .rtt import RttEstimator

if TYPE_CHECKING:
    from .layer import TcpLayer
    from .listener import Listener


class State(enum.IntEnum):
    """RFC 9293 section 3.3.2, ordered so that comparisons mean "at least this far"."""

    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10


# States in which data or a FIN of ours may still have to be sent, and those in which the peer may send data.
SENDING = frozenset((State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK))
RECEIVING = frozenset((State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2))


@dataclass(slots=True, eq=False, kw_only=True)
class Connection(Endpoint):
    """Names as in RFC 9293 section 3.3.1; sequence numbers modulo 2**32, sizes in bytes, times in ns."""

    layer: "TcpLayer"
    path: Path
    local_port: int
    key: int  # (local address << 64 in shared mode) | remote address << 32 | remote port << 16 | local port
    changed: bool = False
    state: State = State.CLOSED
    listener: "Listener | None" = None  # who gets it, until accepted
    held: Held | None = None  # shared mode: the registry's entry of this connection

    # Send side. send_buf[0] is the byte at SND.UNA once our SYN is acknowledged.
    iss: int = 0
    snd_una: int = 0
    snd_nxt: int = 0  # falls back to SND.UNA at a timeout
    snd_max: int = 0  # one past the highest number ever sent
    snd_wnd: int = 0
    snd_wl1: int = 0
    snd_wl2: int = 0
    max_wnd: int = 0
    snd_shift: int = 0
    mss: int = 536  # of what we send, options deducted
    send_buf: bytearray = field(default_factory=bytearray)
    send_limit: int = 1 << 18
    fin_queued: bool = False
    fin_sent: bool = False
    nodelay: bool = False
    last_sent_ns: int = 0

    # Receive side.
    irs: int = 0
    rcv_nxt: int = 0
    rcv_edge: int = 0  # right edge of the window that the peer was told
    rcv_shift: int = 0
    rcv_mss: int = 536  # largest payload seen: what a full-sized segment is
    recv_buf: bytearray = field(default_factory=bytearray)
    recv_limit: int = 1 << 18
    recv_pos: int = 0  # stream position of RCV.NXT, never wraps
    reasm: Reassembly = field(default_factory=Reassembly)
    fin_at: int | None = None  # sequence number of the peer's FIN, once seen
    fin_received: bool = False  # everything before the FIN is in recv_buf or read
    unacked: int = 0  # in-order bytes not acknowledged yet

    # Options.
    scale_on: bool = False  # window scaling: both sides asked for it
    ts_on: bool = False
    ts_offset: int = 0  # of our timestamps: a secret of the tuple, RFC 7323 section 7
    ts_recent: int = 0
    ts_recent_ns: int = 0
    last_ack_sent: int = 0
    sack_permitted: bool = False  # noted; SACK blocks are neither sent nor used

    # Round trips, congestion, timers (NEVER_NS = off).
    rtt: RttEstimator
    cc: Congestion
    timed_seq: int = 0
    timed_ns: int = -1  # when timed_seq was sent; -1 = nothing timed
    rto_ns: int = NEVER_NS  # retransmission
    persist_ns: int = NEVER_NS
    delack_ns: int = NEVER_NS
    wait_ns: int = NEVER_NS  # TIME-WAIT, orphaned FIN-WAIT-2
    keep_ns: int = NEVER_NS
    heap_ns: int = NEVER_NS  # this connection's entry in the layer's timer heap
    retries: int = 0
    retry_since_ns: int = 0
    persist_shift: int = 0
    keep_on: bool = False
    keep_idle_ns: int = 0  # what the program chose; 0 = the layer's
    keep_sent: int = 0
    last_heard_ns: int = 0
    syn_lost: bool = False

    # The program's side.
    error: StackError | None = None
    soft_error: NetworkError | None = None  # what ICMP hinted; becomes the error if we give up
    closed: bool = False  # the program called close(): nobody will read
    read_shut: bool = False

    @property
    def remote(self) -> tuple[int, int]:
        return self.key >> 32 & 0xFFFF_FFFF, self.key >> 16 & 0xFFFF

    @property
    def alive(self) -> bool:
        return self.state is not State.CLOSED

    @property
    def idle_limit_ns(self) -> int:
        """How long nothing may be heard before keepalive asks."""
        return self.keep_idle_ns or self.layer.config.keepalive_idle_ns

    @property
    def send_room(self) -> int:
        return max(0, self.send_limit - len(self.send_buf))

    def deadline_ns(self) -> int:
        return min(self.rto_ns, self.persist_ns, self.delack_ns, self.wait_ns, self.keep_ns)

    def stop_timers(self) -> None:
        self.rto_ns = self.persist_ns = self.delack_ns = self.wait_ns = self.keep_ns = NEVER_NS

    def poll(self) -> int:
        """WRITE only with a third of the buffer free, so that a writer is not woken for every segment."""
        state = self.state
        if state is State.SYN_SENT or state is State.SYN_RECEIVED:
            return 0
        if self.error is not None or state is State.CLOSED:
            return READ | WRITE
        mask = READ if self.recv_buf or self.fin_received or self.read_shut else 0
        if self.fin_queued or 3 * self.send_room >= self.send_limit:
            mask |= WRITE
        return mask

    def describe(self) -> str:
        remote_ip, remote_port = self.remote
        return f"tcp {self.local_port} <-> {format_ip(remote_ip)}:{remote_port} {self.state.name}"
