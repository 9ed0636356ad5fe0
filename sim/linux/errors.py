# SPDX-License-Identifier: Apache-2.0
"""What this package raises. All carry an errno, so that a caller can hand it on as a socket call would."""

import errno
import os


class LinuxError(OSError):
    """The kernel refused something; `errno` says what, the message says where."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, f"{text}: {os.strerror(code)}")


class Unavailable(LinuxError):
    """This machine lacks something: root, a device, a kernel feature, a program. The message names it."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EOPNOTSUPP, text)


class NetlinkError(ValueError):
    """Bytes that are no netlink message."""
