# SPDX-License-Identifier: Apache-2.0
"""Out-of-order data of one connection: disjoint blocks in stream positions that never wrap."""

from bisect import bisect_right

MAX_BLOCKS = 512


class Reassembly:
    """Blocks ahead of the in-order position. Bytes that came first win; bytes are bounded by the window."""

    __slots__ = ("_blocks", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []  # sorted, parallel to _blocks
        self._blocks: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __len__(self) -> int:
        """Bytes held."""
        return sum(map(len, self._blocks))

    def add(self, start: int, data: bytes) -> bool:
        """Hold the parts of `data` that are new; False if MAX_BLOCKS leaves no room for one."""
        index = bisect_right(self._starts, start)
        if index and (covered := self._starts[index - 1] + len(self._blocks[index - 1]) - start) > 0:
            start, data = start + covered, data[covered:]
        while data:
            gap = self._starts[index] - start if index < len(self._starts) else len(data)
            if gap > 0:
                if len(self._starts) >= MAX_BLOCKS:
                    return False
                self._starts.insert(index, start)
                self._blocks.insert(index, data[:gap])
                index += 1
            if index >= len(self._starts):
                break
            skip = self._starts[index] + len(self._blocks[index]) - start
            start, data = start + skip, data[skip:]
            index += 1
        return True

    def take(self, position: int) -> bytes:
        """Remove and return what continues the stream at `position`; b"" if there is still a hole."""
        parts: list[bytes] = []
        count = 0
        for start, data in zip(self._starts, self._blocks, strict=True):
            if start > position:
                break
            if (fresh := data[position - start :]) != b"":
                parts.append(fresh)
                position += len(fresh)
            count += 1
        del self._starts[:count], self._blocks[:count]
        return b"".join(parts)
