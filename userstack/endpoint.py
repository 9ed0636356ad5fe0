# SPDX-License-Identifier: Apache-2.0
"""What programs wait on: something with a readiness mask, and the list of those that changed."""

import enum


class Ready(enum.IntFlag):
    """Readiness: a READ endpoint returns data, end of stream, a connection or an error at once."""

    NONE = 0
    READ = 1
    WRITE = 2


READ = 1  # plain ints: IntFlag arithmetic is too slow for every segment
WRITE = 2


class Endpoint:
    """Base of connections, listeners and UDP ports. `changed` is set while it waits in a ReadyList."""

    __slots__ = ("changed",)

    def __init__(self) -> None:
        self.changed = False

    def poll(self) -> int:
        """READ | WRITE bits that hold now."""
        raise NotImplementedError

    def describe(self) -> str:
        """Short text for diagnosis."""
        raise NotImplementedError


class ReadyList:
    """Endpoints whose readiness may have changed since the last take()."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[Endpoint] = []

    def wake(self, endpoint: Endpoint) -> None:
        if not endpoint.changed:
            endpoint.changed = True
            self._items.append(endpoint)

    def take(self) -> list[Endpoint]:
        items, self._items = self._items, []
        for endpoint in items:
            endpoint.changed = False
        return items
