# SPDX-License-Identifier: Apache-2.0
"""A plain wire between two TAP ports: it stands where the NIC stands, and measures what comes without one."""

import select
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from sim.linux.soft_offload import complete
from sim.linux.tap import BATCH_FRAMES, TapPort

See = Callable[[int, bytes], None]
STEP_MS = 200


class Between(Protocol):
    """What joins the host's port with the wire's: this plain wire, or a NIC with its driver."""

    def step(self, timeout_ms: int) -> int:
        """Move what is there, waiting up to timeout_ms for something; return how many frames moved."""
        ...


class PlainWire:
    """Frames from each port to the other, in batches.

    `see(time_ns, frame)` gets every frame as it would be on a wire. If both ports have offloads their
    requests pass through undone, as between two virtual machines, and `see` gets frames without sums.
    """

    def __init__(self, host: TapPort, remote: TapPort, see: See | None = None) -> None:
        self.host, self.remote = host, remote
        self._see = see
        self._poll = select.poll()
        self._writable: dict[int, bool] = {}
        for port in (host, remote):
            self._poll.register(port, select.POLLIN)
            self._writable[port.fileno()] = False

    def step(self, timeout_ms: int) -> int:
        """See Between."""
        ready = {fd for fd, _ in self._poll.poll(timeout_ms)}
        moved = 0
        for source, sink in ((self.host, self.remote), (self.remote, self.host)):
            if source.fileno() in ready:
                moved += self._move(source, sink)
            if sink.pending:
                sink.flush()
            wants = sink.pending > 0
            if wants != self._writable[sink.fileno()]:
                self._writable[sink.fileno()] = wants
                self._poll.modify(sink, select.POLLIN | (select.POLLOUT if wants else 0))
        return moved

    def _move(self, source: TapPort, sink: TapPort) -> int:
        if source.offloads and sink.offloads:
            raws = source.recv_raw(BATCH_FRAMES)
            self._show([raw[12:] for raw in raws])
            sink.send_raw(raws)
            return len(raws)
        if source.offloads:
            frames, wishes = source.recv_offload(BATCH_FRAMES)
            # One at a time: a batch of large frames cut up is more than the sink's queue takes at once.
            for frame, wish in zip(frames, wishes, strict=True):
                parts = complete(frame, wish)
                self._show(parts)
                sink.send(parts)
        else:
            frames = source.recv(BATCH_FRAMES)
            self._show(frames)
            sink.send(frames)
        return len(frames)

    def _show(self, frames: list[bytes]) -> None:
        if self._see is not None:
            now_ns = time.monotonic_ns()
            for frame in frames:
                self._see(now_ns, frame)


class Background:
    """Steps something in a thread while the block runs; its error is raised at the end of the block."""

    def __init__(self, work: Between) -> None:
        self._work = work
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._work.step(STEP_MS)
        except BaseException as error:  # handed to the block
            self._error = error

    def __enter__(self) -> "Background":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error
