# SPDX-License-Identifier: Apache-2.0
"""Programs as plain `async def`, run deterministically on one stack: no asyncio, no clock, no threads.

A program suspends by yielding a Wait; the host resumes it when the endpoint is ready or the time has come.
Tasks
run in the order in which they became ready, so that a run is a function of its input alone.
"""

import types
from collections import deque
from collections.abc import Coroutine, Generator, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Generic, TypeVar

from .asock import AsyncTcpSocket, AsyncUdpSocket
from .endpoint import READ, Endpoint
from .errors import InvalidState, StackError, TimedOut
from .shared import Event as Shared
from .stack import Stack

T = TypeVar("T")


class TaskFailed(StackError):
    """A program raised and nobody was waiting for its result; the cause is chained."""


class TaskCancelled(BaseException):
    """Thrown into a cancelled program; not an Exception, so that ordinary handlers let it pass."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a suspended program waits for; either part may be absent."""

    endpoint: Endpoint | None
    mask: int
    deadline_ns: int | None


@types.coroutine
def _suspend(wait: Wait) -> Generator[Wait, bool, bool]:
    return (yield wait)


class Task(Endpoint, Generic[T]):
    """One running program. Await it (or call result() once done) for its value; its exception is raised
    there."""

    __slots__ = ("_cancel", "_coro", "_error", "_host", "_value", "done", "name", "wait", "wait_id")

    def __init__(self, host: "Host", coro: Coroutine[Any, Any, T], name: str) -> None:
        super().__init__()
        self._host, self._coro, self.name = host, coro, name
        self.done = False
        self.wait: Wait | None = None
        self.wait_id = 0  # a resumed wait leaves stale entries behind; they carry an old id
        self._cancel = False
        self._error: BaseException | None = None
        self._value: T | None = None

    def poll(self) -> int:
        return READ if self.done else 0

    def describe(self) -> str:
        return f"task {self.name}"

    @property
    def error(self) -> BaseException | None:
        return self._error

    def result(self) -> T:
        """Value of a finished program; raises its exception; InvalidState while it runs."""
        if not self.done:
            raise InvalidState(f"{self.describe()} is still running")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set together with done

    def cancel(self) -> None:
        """Throw TaskCancelled into the program when it runs next."""
        if not self.done and not self._cancel:
            self._cancel = True
            self._host.make_runnable(self)

    def __await__(self) -> Generator[Wait, bool, T]:
        while not self.done:
            yield Wait(self, READ, None)
        return self.result()

    def step(self, ready: bool) -> bool:
        """Run to the next suspension; True when the program has ended."""
        try:
            if self._cancel:
                self._cancel = False
                self.wait = self._coro.throw(TaskCancelled())
            else:
                self.wait = self._coro.send(ready if self.wait_id else None)
        except StopIteration as stop:
            self._value = stop.value
        except (Exception, TaskCancelled) as error:
            self._error = error
        else:
            return False
        finally:
            self.wait_id += 1
        self.done, self.wait = True, None
        return True


class Event(Endpoint):
    """A flag that programs wait for."""

    __slots__ = ("_host", "_set")

    def __init__(self, host: "Host") -> None:
        super().__init__()
        self._host, self._set = host, False

    def set(self) -> None:
        self._set = True
        self._host.stack.ready.wake(self)

    def clear(self) -> None:
        self._set = False

    def poll(self) -> int:
        return READ if self._set else 0

    def describe(self) -> str:
        return "event"

    async def wait(self, timeout_ns: int | None = None) -> None:
        await self._host.wait(self, READ, timeout_ns)


class Host:
    """A stack with the programs on it. From outside: on_frames or run, then take_frames, until
    next_deadline_ns."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._runnable: deque[tuple[Task[Any], bool, int]] = deque()  # task, "ready" (or timed out), wait id
        self._waiting: dict[Endpoint, list[Task[Any]]] = {}
        self._sleepers: list[tuple[int, int, Task[Any], int]] = []  # deadline, tie-breaker, task, wait id
        self._count = 0
        self._alive: dict[Task[Any], None] = {}
        self._failed: list[Task[Any]] = []

    @property
    def now_ns(self) -> int:
        return self.stack.now_ns

    @property
    def idle(self) -> bool:
        """No program is left."""
        return not self._alive

    # For the outside.

    def spawn(self, coro: Coroutine[Any, Any, T], name: str = "") -> Task[T]:
        """Start a program; it runs for the first time in the next run() or on_frames()."""
        task = Task(self, coro, name or getattr(coro, "__qualname__", "task"))
        self._alive[task] = None
        self.make_runnable(task)
        return task

    def run(self, now_ns: int) -> None:
        """Run due timers and every program that can go on; TaskFailed if one ended with an unclaimed
        exception."""
        self.stack.on_timer(now_ns)
        self._run_tasks()

    def on_frames(self, frames: list[bytes], now_ns: int) -> None:
        """Receive frames, then as run()."""
        self.stack.on_frames(frames, now_ns)
        self.run(now_ns)

    def on_events(self, events: Iterable[Shared], now_ns: int) -> None:
        """What the kernel tells a stack in shared mode, then as run()."""
        self.stack.on_events(events, now_ns)
        self.run(now_ns)

    def cancel_all(self) -> None:
        """Cancel every program and let each clean up as far as that needs no waiting: the end of a run."""
        for task in list(self._alive):
            task.cancel()
        self._run_tasks()

    def take_frames(self) -> list[bytes]:
        return self.stack.take_frames()

    def next_deadline_ns(self) -> int | None:
        """When run() is needed if no frame comes; now if a program is ready, None if nothing is pending."""
        if self._runnable:
            return self.now_ns
        while self._sleepers and self._sleepers[0][3] != self._sleepers[0][2].wait_id:
            heappop(self._sleepers)
        stack_ns = self.stack.next_deadline_ns()
        if not self._sleepers:
            return stack_ns
        return self._sleepers[0][0] if stack_ns is None else min(stack_ns, self._sleepers[0][0])

    def describe_waits(self) -> list[str]:
        """One line a living program: its name and what it waits for. For the report of a run that got
        stuck."""
        lines = []
        for task in self._alive:
            wait = task.wait
            on = (
                "nothing"
                if wait is None
                else wait.endpoint.describe()
                if wait.endpoint is not None
                else "time"
            )
            until = "" if wait is None or wait.deadline_ns is None else f" until {wait.deadline_ns} ns"
            lines.append(f"{task.name}: waits for {on}{until}")
        return lines

    # For programs.

    def socket(self) -> AsyncTcpSocket:
        return AsyncTcpSocket(self)

    def udp_socket(self) -> AsyncUdpSocket:
        return AsyncUdpSocket(self)

    def event(self) -> Event:
        return Event(self)

    async def sleep_ns(self, duration_ns: int) -> None:
        await _suspend(Wait(None, 0, self.now_ns + max(0, duration_ns)))

    async def wait(self, endpoint: Endpoint, mask: int, timeout_ns: int | None = None) -> None:
        """Return once `endpoint` has a bit of `mask` ready; TimedOut after `timeout_ns`."""
        deadline_ns = None if timeout_ns is None else self.now_ns + timeout_ns
        while not endpoint.poll() & mask:
            if not await _suspend(Wait(endpoint, mask, deadline_ns)) and not endpoint.poll() & mask:
                raise TimedOut(f"{endpoint.describe()} after {timeout_ns} ns")

    # Machinery.

    def make_runnable(self, task: Task[Any], ready: bool = True) -> None:
        self._runnable.append((task, ready, task.wait_id))

    def _run_tasks(self) -> None:
        now_ns, sleepers = self.now_ns, self._sleepers
        while (
            sleepers and sleepers[0][0] <= now_ns
        ):  # once only: sleep_ns(0) in a loop must return to the caller
            _, _, task, wait_id = heappop(sleepers)
            if wait_id == task.wait_id and not task.done:
                self.make_runnable(task, ready=False)
        while True:
            for endpoint in self.stack.take_ready():
                self._wake(endpoint)
            if not self._runnable:
                break
            task, ready, wait_id = self._runnable.popleft()
            if not task.done and wait_id == task.wait_id:
                self._step(task, ready)
        if self._failed:
            self._report()

    def _wake(self, endpoint: Endpoint) -> None:
        waiting = self._waiting.get(endpoint)
        if not waiting:
            return
        mask = endpoint.poll()
        stay = []
        for task in waiting:
            wait = task.wait
            if wait is None or wait.endpoint is not endpoint:
                continue
            if wait.mask & mask:
                self.make_runnable(task)
            else:
                stay.append(task)
        if stay:
            self._waiting[endpoint] = stay
        else:
            del self._waiting[endpoint]

    def _step(self, task: Task[Any], ready: bool) -> None:
        self._forget_wait(task)
        if task.step(ready):
            del self._alive[task]
            if (
                task.error is not None
                and not isinstance(task.error, TaskCancelled)
                and task not in self._waiting
            ):
                self._failed.append(task)
            self.stack.ready.wake(task)
            return
        wait = task.wait
        if wait is None:
            return
        if wait.endpoint is not None:
            self._waiting.setdefault(wait.endpoint, []).append(task)
            if wait.endpoint.poll() & wait.mask:
                self.stack.ready.wake(wait.endpoint)
        if wait.deadline_ns is not None:
            self._count += 1
            heappush(self._sleepers, (wait.deadline_ns, self._count, task, task.wait_id))

    def _forget_wait(self, task: Task[Any]) -> None:
        """A timed-out or cancelled task still stands in its endpoint's list."""
        wait = task.wait
        if wait is not None and wait.endpoint is not None:
            waiting = self._waiting.get(wait.endpoint)
            if waiting and task in waiting:
                waiting.remove(task)
                if not waiting:
                    del self._waiting[wait.endpoint]

    def _report(self) -> None:
        failed, self._failed = self._failed, []
        error = TaskFailed(f"program {failed[0].name!r} at {self.now_ns} ns: {failed[0].error!r}")
        for other in failed[1:]:
            error.add_note(f"also {other.name!r}: {other.error!r}")
        raise error from failed[0].error
