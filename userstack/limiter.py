# SPDX-License-Identifier: Apache-2.0
"""Token bucket for what peers could otherwise make us send without end."""

from dataclasses import dataclass


@dataclass(slots=True)
class Limiter:
    """Allows `burst` events at once and one more each `interval_ns`."""

    interval_ns: int
    burst: int
    _full_at_ns: int = 0  # when the bucket would be full again

    def allow(self, now_ns: int) -> bool:
        start = max(self._full_at_ns, now_ns)
        if start - now_ns > (self.burst - 1) * self.interval_ns:
            return False
        self._full_at_ns = start + self.interval_ns
        return True
