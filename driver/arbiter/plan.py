# SPDX-License-Identifier: Apache-2.0
"""Several reservations that hold together or not at all: registry first, then hardware, or all undone."""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from errno import ECANCELED, EINVAL
from types import TracebackType

from .entries import ArbiterError, Entry, EntryFlag, Request
from .ephemeral import PortRange
from .registry import Registry


class Plan:
    """One two-phase change:

        with Plan(registry) as plan:
            entry = plan.reserve(request)
            handle = await tables.insert(...)
            plan.undo(lambda: note_for_removal(handle))
            plan.commit()

    Left without commit(), by whatever way, everything is undone, the last step first. What was reserved is
    taken for everybody else from the first moment on, so the block may await.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._steps = ExitStack()
        self._reserved: list[Entry] = []
        self._open = True

    def __enter__(self) -> "Plan":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rollback()

    def reserve(self, wish: Request) -> Entry:
        """Registry.reserve, undone with the plan."""
        return self._note(self._registry.reserve, wish)

    def reserve_ephemeral(self, wish: Request, ports: PortRange | None = None) -> Entry:
        """Registry.reserve_ephemeral, undone with the plan."""
        return self._note(self._registry.reserve_ephemeral, wish, ports)

    def take(self, token: int, stack: int, local_port: int = 0) -> Entry:
        """Registry.take, undone with the plan; the host's stack takes for good, without a plan (EINVAL)."""
        if not stack:
            raise ArbiterError(EINVAL, "what the host's stack takes is its own at once")
        return self._note(self._registry.take, token, stack, local_port)

    def undo(self, step: Callable[[], object]) -> None:
        """Have a step of one's own undone with the plan."""
        self._check_open()
        self._steps.callback(step)

    def commit(self, software: Collection[int] = ()) -> list[Entry]:
        """Arm everything, the tokens in `software` without hardware; nothing is undone any more.

        ECANCELED, and all is undone, if a reservation has been taken away meanwhile (its stack ended).
        """
        self._check_open()
        for entry in self._reserved:
            if not self._pending(entry):
                self.rollback()
                raise ArbiterError(ECANCELED, f"{entry}: taken away before it was armed")
        self._open = False
        self._steps.pop_all()
        return [self._registry.arm(e.token, e.stack, e.token in software) for e in self._reserved]

    def rollback(self) -> None:
        """Undo all, once; nothing after commit()."""
        self._open = False
        self._steps.close()

    def _note(self, make: Callable[..., Entry], *args: object) -> Entry:
        self._check_open()
        entry = make(*args)
        if not int(entry.flags) & EntryFlag.RESERVED:  # the host's: complete at once
            self._steps.callback(self._give_back, entry)
            return entry
        self._reserved.append(entry)
        self._steps.callback(self._cancel, entry)
        return entry

    def _pending(self, entry: Entry) -> bool:
        try:
            now = self._registry.owned(entry.token, entry.stack)
        except ArbiterError:
            return False
        return bool(now.flags & EntryFlag.RESERVED)

    def _cancel(self, entry: Entry) -> None:
        if self._pending(entry):
            self._registry.cancel(entry.token, entry.stack)

    def _give_back(self, entry: Entry) -> None:
        try:
            self._registry.release(entry.token, entry.stack, 0, linger=False)
        except ArbiterError:
            return  # its socket was closed meanwhile

    def _check_open(self) -> None:
        if not self._open:
            raise ArbiterError(EINVAL, "the plan has ended")
