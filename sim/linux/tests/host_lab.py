# SPDX-License-Identifier: Apache-2.0
"""A lab for tests of the host's kernel, and sockets of the programs in it."""

import socket

from sim.linux.lab import Lab, LabConfig, SideConfig

HOST4, REMOTE4 = 0x0A4D0001, 0x0A4D0002
HOST6, REMOTE6 = (0xFD77 << 112) + 1, (0xFD77 << 112) + 2
CONFIG = LabConfig(
    host=SideConfig(("10.77.0.1/24", "fd77::1/64"), bytes.fromhex("020000770001")),
    remote=SideConfig(("10.77.0.2/24", "fd77::2/64"), bytes.fromhex("020000770002")),
)
REUSE, REUSEPORT = socket.SO_REUSEADDR, socket.SO_REUSEPORT


def make(
    lab: Lab, address: str, port: int, kind: int = socket.SOCK_STREAM, options: tuple[int, ...] = ()
) -> socket.socket:
    """A socket of one of the host's programs, bound, a TCP one listening."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = lab.host.namespace.run(lambda: socket.socket(family, kind))
    try:
        for option in options:
            made.setsockopt(socket.SOL_SOCKET, option, 1)
        made.bind((address, port))
        if kind == socket.SOCK_STREAM:
            made.listen()
    except OSError:
        made.close()
        raise
    return made
