# SPDX-License-Identifier: Apache-2.0
"""TCP of a stack that shares its addresses: ports, tuples and secrets are the registry's.

A listener's entry carries the handshakes, so a flood of SYNs costs the registry nothing. The entry of a
connection that came in is asked for when it is established, and accept() has it when it is granted. The stack
keeps TIME-WAIT itself and gives the tuple back at its end.
"""

from ..config import NEVER_NS, Rng, TcpConfig
from ..drops import Drop
from ..endpoint import ReadyList
from ..errors import ConnectionAborted, HostUnreachable, NetworkDown, StackError, TakenAway, refusal
from ..icmp import IcmpLayer
from ..ip import Path
from ..shared import Answer, Held, IcmpError, Refused
from ..shared_ip import LOW, SharedIp
from ..sharing import Sharing
from ..stats import Stats
from ..wire import ipv4
from ..wire.addr import format_ip
from ..wire.tcp import Segment
from . import closing, isn, opening, recovery, send
from .conn import Connection, State
from .layer import TcpLayer
from .listener import Listener

MARKS = ("", "established", "half_closed", "withdrawn")
MARK_OF = {
    State.ESTABLISHED: 1,
    State.FIN_WAIT_1: 1,
    State.FIN_WAIT_2: 2,
    State.CLOSE_WAIT: 2,
    State.CLOSING: 3,
    State.LAST_ACK: 3,
    State.TIME_WAIT: 3,
}


class SharedTcpLayer(TcpLayer):
    """`src` and `remote_ip` of the base are local address << 32 | remote address wherever a peer is meant."""

    def __init__(
        self,
        ip: SharedIp,
        icmp_layer: IcmpLayer,
        ready: ReadyList,
        config: TcpConfig,
        stats: Stats,
        rng: Rng,
        sharing: Sharing,
    ) -> None:
        super().__init__(ip, icmp_layer, ready, config, stats, rng)
        self.shared_ip = ip
        self._sharing = sharing
        self._inherited: Held | None = None  # of the TIME-WAIT that a SYN has just ended

    # Opening.

    def bind(self, port: int) -> int:
        """Nothing is taken yet: the registry is asked by listen() or connect()."""
        return port

    def listen(self, port: int, backlog: int, local_ip: int = 0) -> Listener:
        """The listener is `granted`, or has an `error`, when the registry has answered."""
        listener = Listener(port, max(1, backlog), local_ip)
        listener.granted = False
        cookie = self._sharing.ask(lambda answer: self._on_listen(listener, answer))
        self._sharing.kernel.listen(cookie, ipv4.TCP, local_ip or None, port)
        return listener

    def _on_listen(self, listener: Listener, answer: Answer) -> None:
        if listener.closed:
            self._sharing.return_unwanted(answer)
            return
        if isinstance(answer, Refused):
            listener.error = refusal(answer.errno, answer.text)
            listener.closed = True
        else:
            listener.held = self._sharing.hold(self, listener, answer)
            listener.port, listener.granted = answer.local_port, True
            self.listeners[listener.key] = listener
        self.ready.wake(listener)

    def connect(
        self,
        remote_ip: int,
        remote_port: int,
        local_port: int = 0,
        recv_buffer_bytes: int | None = None,
        local_ip: int = 0,
    ) -> Connection:
        """Active open: SYN-SENT at once for the program, but no SYN is sent before the tuple is granted."""
        self.check_remote(remote_ip, remote_port)
        conn = self.new_connection(remote_ip, remote_port, local_port)
        if recv_buffer_bytes is not None:
            conn.recv_limit = recv_buffer_bytes
        conn.state = State.SYN_SENT
        sharing = self._sharing
        cookie = sharing.ask(lambda answer: self._on_connect(conn, answer))
        sharing.kernel.connect(cookie, ipv4.TCP, local_ip or None, local_port, remote_ip, remote_port)
        self.shared_ip.resolver.want(self.shared_ip.resolver.entry(remote_ip), self.ip.now_ns)
        return conn

    def _on_connect(self, conn: Connection, answer: Answer) -> None:
        if not conn.alive:
            self._sharing.return_unwanted(answer)
            return
        if isinstance(answer, Refused):
            self.fail(conn, refusal(answer.errno, answer.text))
            return
        remote_ip, remote_port = conn.remote
        peer = (answer.local or 0) << 32 | remote_ip
        conn.local_port = answer.local_port
        conn.key = peer << 32 | remote_port << 16 | answer.local_port
        conn.path = self.ip.path(peer)
        self._take(conn, self._sharing.hold(self, conn, answer))
        self.add(conn)
        self.stats.tcp_active_opens += 1
        opening.start(conn)

    def _take(self, conn: Connection, held: Held) -> None:
        conn.held = conn.path.held = held
        held.owner = conn
        self._mark(conn)

    # What arrives.

    def listener_for(self, src: int, port: int) -> Listener | None:
        """The one at this address, else the one at all."""
        return self.listeners.get(src >> 32 << 16 | port) or self.listeners.get(port)

    def path_under(self, listener: Listener, src: int) -> Path:
        path = self.shared_ip.path(src)
        path.held = listener.held
        return path

    def refuse(self, path: Path, segment: Segment) -> None:
        """A reset for what belongs to a tuple of ours; any other tuple is somebody else's."""
        if path.held is not None:
            opening.refuse(self, path, segment)

    def on_known(self, conn: Connection, src: int, segment: Segment) -> Drop | None:
        before = conn.state
        drop = super().on_known(conn, src, segment)
        if conn.state is not before:
            self._mark(conn)
        return drop

    def _mark(self, conn: Connection) -> None:
        """Tell the registry how far a connection is."""
        held, level = conn.held, MARK_OF.get(conn.state, 0)
        if held is None or held.marked >= level:
            return
        if held.marked == 0:
            self._sharing.kernel.mark(held.token, MARKS[1])
        if level > 1:
            self._sharing.kernel.mark(held.token, MARKS[level])
        held.marked = level

    def _reopens(self, conn: Connection, segment: Segment) -> bool:
        peer = conn.key >> 32
        if self.listener_for(peer, conn.local_port) is None or not opening.may_reopen(conn, segment):
            return False
        self._inherited, conn.held = conn.held, None
        self.forget(conn)
        return True

    def _on_unknown(self, src: int, segment: Segment) -> Drop | None:
        drop = super()._on_unknown(src, segment)
        held, self._inherited = self._inherited, None
        if held is not None:
            conn = self.connections.get(src << 32 | segment.src_port << 16 | segment.dst_port)
            if conn is None:
                self._sharing.let_go(held)
            else:
                self._take(conn, held)
        return drop

    def initial_seq(self, conn: Connection) -> int:
        """Offset and clock are the same for all stacks of the interface (docs/arbiter.md, Identifiers)."""
        held = conn.held
        if held is not None:
            isn_offset, conn.ts_offset = held.isn_offset, held.ts_offset
        else:
            assert conn.listener is not None and conn.listener.held is not None
            local, remote = (conn.path.src, conn.local_port), conn.remote
            isn_offset, conn.ts_offset = isn.offsets(conn.listener.held.key, local, remote)
        return isn.clocked(isn_offset, self.ip.now_ns)

    def hand_over(self, conn: Connection, listener: Listener) -> None:
        """Established; its entry is asked for before accept() has it."""
        if conn.held is not None:
            super().hand_over(conn, listener)
            return
        assert listener.held is not None
        cookie = self._sharing.ask(lambda answer: self._on_accept(conn, answer))
        remote_ip, remote_port = conn.remote
        self._sharing.kernel.accept(cookie, listener.held.token, conn.path.src, remote_ip, remote_port)

    def _on_accept(self, conn: Connection, answer: Answer) -> None:
        if not conn.alive or conn.listener is None:
            self._sharing.return_unwanted(answer)
            return
        if isinstance(answer, Refused):
            self.stats.accepts_refused += 1
            send.send_reset(conn)
            self.fail(conn, refusal(answer.errno, answer.text))
            return
        self._take(conn, self._sharing.hold(self, conn, answer))
        super().hand_over(conn, conn.listener)

    # Closing.

    def forget(self, conn: Connection) -> None:
        super().forget(conn)
        held, conn.held = conn.held, None
        if held is not None:
            self._sharing.let_go(held)

    def close_listener(self, listener: Listener) -> None:
        super().close_listener(listener)
        held, listener.held = listener.held, None
        if held is not None:
            self._sharing.let_go(held)

    def leave(self) -> None:
        """Give all back; what is in TIME-WAIT lingers at the kernel."""
        for listener in list(self.listeners.values()):
            listener.error = ConnectionAborted(f"left: {listener.describe()}")
            self.close_listener(listener)
        for conn in list(self.connections.values()):
            held = conn.held
            if conn.state is State.TIME_WAIT and held is not None:
                conn.held = None
                self._sharing.let_go(held, linger=True)
                self.forget(conn)
            else:
                closing.abort(conn)

    # News.

    def on_gone(self, held: Held, why: str) -> None:
        """Another stack has it. Nothing is sent: the peer goes on with the new owner."""
        owner = held.owner
        if isinstance(owner, Connection):
            owner.held = None
            self.fail(owner, TakenAway(f"{why}: {owner.describe()}"))
        elif isinstance(owner, Listener):
            owner.held = None
            owner.error = TakenAway(f"{why}: {owner.describe()}")
            accepted = list(owner.queue)  # connections of their own, which stay
            owner.queue.clear()
            self.close_listener(owner)
            owner.queue.extend(accepted)

    def on_away(self, held: Held, why: str) -> None:
        """Opening fails, established connections go on trying until they give up or it is back."""
        conn = held.owner
        if isinstance(conn, Connection):
            error = NetworkDown(f"{why}: {conn.describe()}")
            if conn.state is State.SYN_SENT:
                self.fail(conn, error)
            else:
                conn.soft_error = error

    def on_back(self, held: Held) -> None:
        """What was lost meanwhile is sent again now, not when the timer would have been due."""
        conn = held.owner
        if isinstance(conn, Connection) and conn.alive:
            conn.soft_error = None
            if conn.rto_ns != NEVER_NS:
                conn.rto_ns = self.ip.now_ns
                self.timers.schedule(conn)

    def on_icmp_error(self, held: Held, error: IcmpError) -> None:
        conn = held.owner
        if isinstance(conn, Connection):
            self.on_icmp_about(conn, error.kind, error.code, error.next_hop_mtu, error.sequence)

    def on_no_way(self, remote: int, error: StackError) -> None:
        """The kernel knows no way to an address."""
        for conn in [conn for conn in self.connections.values() if conn.key >> 32 & LOW == remote]:
            if conn.state is State.SYN_SENT:
                self.fail(conn, error)
            else:
                conn.soft_error = HostUnreachable(f"no way to {format_ip(remote)}: {conn.describe()}")

    def on_mtu(self) -> None:
        """The interface's MTU has changed; segments in flight may not have left."""
        for conn in list(self.connections.values()):
            if conn.path.mtu_bytes > self.ip.mtu_bytes:
                conn.path.mtu_bytes = self.ip.mtu_bytes
                recovery.narrow_path(conn)
                self.timers.schedule(conn)
