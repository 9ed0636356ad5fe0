# SPDX-License-Identifier: Apache-2.0
"""A user-space stack in shared mode on the arbiter: requests and events translated, frames by a channel.

Nothing is decided here. Both sides speak of the same things; the stack in numbers, the arbiter's messages in
octets.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from driver.arbiter import messages as msg
from driver.channel import Channel
from userstack import shared
from userstack.runtime import Host

NO_COOKIE = 0  # of requests whose answer does not matter
ROOM_SLOTS = 32  # wait for so much room before sending on, as sim.adapters does


def _octets(address: int) -> bytes:
    return address.to_bytes(4, "big")


def _some_octets(address: int | None) -> bytes | None:
    return None if address is None else _octets(address)


class ArbiterKernel:
    """The Kernel of a stack: keeps requests in order until `flush` hands them to `request`."""

    def __init__(self, request: Callable[[msg.Request], None]) -> None:
        self.refused_marks = 0  # refusals of requests whose answer does not matter
        self._request = request
        self._queue: deque[msg.Request] = deque()

    def listen(self, cookie: int, proto: int, local: int | None, port: int) -> None:
        self._queue.append(msg.Listen(cookie, proto, port, _some_octets(local)))

    def connect(
        self, cookie: int, proto: int, local: int | None, local_port: int, remote: int, remote_port: int
    ) -> None:
        peer, here = _octets(remote), _some_octets(local)
        self._queue.append(msg.Connect(cookie, proto, peer, remote_port, here, local_port))

    def accept(self, cookie: int, listener: int, local: int, remote: int, remote_port: int) -> None:
        """A SYN came, so a tuple of the stack's that lingers may be opened again."""
        ends = _octets(local), _octets(remote)
        self._queue.append(msg.Accept(cookie, listener, *ends, remote_port, reopen=True))

    def mark(self, token: int, state: str) -> None:
        self._queue.append(msg.Mark(NO_COOKIE, token, state))

    def close(self, token: int, linger: bool) -> None:
        self._queue.append(msg.Close(NO_COOKIE, token, linger))

    def resolve(self, cookie: int, remote: int) -> None:
        self._queue.append(msg.Resolve(cookie, _octets(remote)))

    def send_software(self, token: int, frame: bytes) -> None:
        self._queue.append(msg.Send(NO_COOKIE, token, frame))

    @property
    def waiting(self) -> bool:
        """Requests are still here."""
        return bool(self._queue)

    def flush(self, sent: bool) -> int:
        """Hand on what may go; how many. A Close waits, with all behind it, until all frames have left that
        were sent before: by the device (`sent`), or by the switch, which looks at them after this call."""
        count = 0
        while self._queue:
            request = self._queue[0]
            if isinstance(request, msg.Close) and not sent:
                break
            sent = sent and not isinstance(request, msg.Send)
            self._request(self._queue.popleft())
            count += 1
        return count

    def events(self, told: Iterable[msg.Event]) -> list[shared.Event]:
        """What the stack is to be told of these."""
        found = []
        for event in told:
            if isinstance(event, msg.Refused) and event.cookie == NO_COOKIE:
                self.refused_marks += 1
            elif (here := _translate(event)) is not None:
                found.append(here)
        return found


def _number(address: bytes | None) -> int | None:
    return None if address is None else int.from_bytes(address, "big")


def _translate(event: msg.Event) -> shared.Event | None:
    match event:
        case msg.Granted():
            return shared.Granted(
                event.cookie, event.token, _number(event.local), event.local_port, event.software,
                event.isn_offset, event.ts_offset, event.key,
            )  # fmt: skip
        case msg.Refused():
            return shared.Refused(event.cookie, event.errno, event.text)
        case msg.Resolved():
            remote, local = int.from_bytes(event.remote, "big"), int.from_bytes(event.local, "big")
            return shared.Resolved(remote, local, event.mac)
        case msg.Gone():
            return shared.Gone(event.token, event.why)
        case msg.Away():
            return shared.Away(event.token, event.why)
        case msg.Back():
            return shared.Back(event.token)
        case msg.Path():
            return shared.PathChanged(event.token, event.software)
        case msg.Deliver():
            return shared.Deliver(event.frame)
        case msg.IcmpError():
            about = (event.type, event.code, event.next_hop_mtu, event.sequence)
            return shared.IcmpError(event.token, *about)
        case _:  # Done, Ids, Interface: the values of a change are in the host information pages
            return None


class SharedHost:
    """The HostPort of a stack in shared mode. What the arbiter has put into `told` goes in before frames."""

    def __init__(self, host: Host, kernel: ArbiterKernel, told: list[msg.Event]) -> None:
        self.host, self.kernel = host, kernel
        self._told = told

    def on_frames(self, frames: list[bytes], now_ns: int) -> None:
        """As Host.on_frames."""
        self._listen(now_ns)
        self.host.on_frames(frames, now_ns)

    def run(self, now_ns: int) -> None:
        """As Host.run."""
        self._listen(now_ns)
        self.host.run(now_ns)

    def _listen(self, now_ns: int) -> None:
        if self._told:
            events = self.kernel.events(self._told)
            self._told.clear()
            self.host.on_events(events, now_ns)

    def take_frames(self) -> list[bytes]:
        """As Host.take_frames."""
        return self.host.take_frames()

    def next_deadline_ns(self) -> int | None:
        """As Host.next_deadline_ns; at once if there is news."""
        return 0 if self._told else self.host.next_deadline_ns()


class ChannelCarrier:
    """The Carrier of a stack with a channel. Requests go to the arbiter in step with the frames."""

    def __init__(
        self,
        channel: Channel,
        kernel: ArbiterKernel,
        now_ns: Callable[[], int],
        told: list[msg.Event],
        slice_ns: int,
    ) -> None:
        self._channel, self._kernel, self._told = channel, kernel, told
        self._slice_ns = slice_ns  # news do not interrupt a wait, so none is longer
        self.now_ns = now_ns

    def recv(self) -> list[bytes]:
        """As Carrier.recv."""
        return self._channel.recv()

    async def send(self, frames: Sequence[bytes]) -> int:
        """As Carrier.send."""
        return await self._channel.send(frames)

    def _sent(self) -> bool:
        """Whether the device has taken all frames."""
        self._channel.tx.reap()
        return self._channel.tx.room() == self._channel.shape.tx_slots

    async def wait(self, blocked: bool, timeout_ns: int | None) -> None:
        """As Carrier.wait; requests go out before."""
        self._kernel.flush(not blocked and self._sent())
        if self._told:
            return
        limit_ns = self._slice_ns if timeout_ns is None else min(timeout_ns, self._slice_ns)
        slots = min(ROOM_SLOTS, self._channel.shape.tx_slots) if blocked else 0
        await self._channel.wait(limit_ns, tx_slots=slots)
