# SPDX-License-Identifier: Apache-2.0
"""What decoders raise; the stack turns it into a counted drop."""

from ..drops import Drop
from ..errors import StackError


class WireError(StackError):
    """Bytes that are not the packet they should be; `reason` says which rule they break."""

    def __init__(self, reason: Drop, detail: str = "") -> None:
        super().__init__(f"{reason.name}: {detail}" if detail else reason.name)
        self.reason = reason


class EncodeError(StackError):
    """A value that has no encoding: a bug of the caller."""
