# SPDX-License-Identifier: Apache-2.0
"""One of the host's programs in the race for a port: `python -m sim.linux.tests.contender FILE PLACE`.

FILE is shared by all: the round, what to do in it, then for each contender the round it has done and whether
it has the port. An odd round is a race, the even one after it lets go.
"""

import errno
import mmap
import os
import socket
import struct
import sys
import time
from enum import IntEnum
from pathlib import Path

ORDER = struct.Struct("=IIII")  # port, how, wait_us (before the attempt), pad
WORD = struct.Struct("=I")
ROUND_AT, ORDER_AT, RESULTS_AT = 0, 16, 64
RESULT_BYTES = 16
STOP = 0xFFFF_FFFF
FILE_BYTES = 4096
REMOTE = "10.77.0.2"


class How(IntEnum):
    """What the program does to get the port."""

    TCP = 0
    TCP_ANY = 1
    TCP_DUAL = 2
    TCP_REUSE = 3
    TCP_REUSEPORT = 4
    TCP_CONNECT = 5
    UDP = 6
    UDP_ANY = 7
    UDP_REUSE = 8
    UDP_CONNECT = 9


def wait(duration_us: float) -> None:
    """Wait without sleeping, for a sleep is much longer than the race; others may use the processor."""
    end = time.perf_counter() + duration_us * 1e-6
    while time.perf_counter() < end:
        os.sched_yield()


def attempt(how: How, port: int) -> socket.socket | None:
    """The socket, if it got the port."""
    family = socket.AF_INET6 if how is How.TCP_DUAL else socket.AF_INET
    kind = socket.SOCK_DGRAM if how >= How.UDP else socket.SOCK_STREAM
    made = socket.socket(family, kind)
    made.setblocking(False)
    try:
        if how in (How.TCP_REUSE, How.UDP_REUSE):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if how is How.TCP_REUSEPORT:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if how in (How.TCP_CONNECT, How.UDP_CONNECT):
            # In progress: on its way, bound to a port of the kernel's choice, and there is but one.
            code = made.connect_ex((REMOTE, 9))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, "connect")  # EADDRNOTAVAIL of TCP, EAGAIN of UDP: no port is free
            if made.getsockname()[1] != port:
                raise RuntimeError(f"connected from port {made.getsockname()[1]}, not {port}")
            return made
        any_address = how in (How.TCP_ANY, How.UDP_ANY)
        made.bind(("::" if how is How.TCP_DUAL else "0.0.0.0" if any_address else "10.77.0.1", port))
        if kind == socket.SOCK_STREAM:
            made.listen()
    except OSError:
        made.close()
        return None
    return made


def main(path: str, place: int) -> None:
    with Path(path).open("r+b") as file:
        shared = mmap.mmap(file.fileno(), FILE_BYTES)
    at = RESULTS_AT + RESULT_BYTES * place
    done, held = 0, None
    while True:
        (now,) = WORD.unpack_from(shared, ROUND_AT)
        if now == done:
            os.sched_yield()
            continue
        if now == STOP:
            return
        if now % 2:
            port, how, wait_us, _ = ORDER.unpack_from(shared, ORDER_AT)
            wait(wait_us)
            held = attempt(How(how), port)
            WORD.pack_into(shared, at + 4, held is not None)
        elif held is not None:
            held.close()
            held = None
        done = now
        WORD.pack_into(shared, at, done)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
