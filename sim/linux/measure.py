# SPDX-License-Identifier: Apache-2.0
"""What the host kernel's netlink and placeholders cost: `python -m sim.linux.measure`, as root.

Each figure is processor time, the least of several runs: on a busy machine wall time measures the others.
"""

import resource
import socket
import sys
import time
from collections.abc import Callable

from sim.linux.errors import Unavailable
from sim.linux.host_kernel import HostKernel
from sim.linux.inet_diag import AF_INET, TCP, Tuple
from sim.linux.lab import Lab
from sim.linux.placeholder import Place

HOST4, REMOTE4 = 0x0A4D0001, 0x0A4D0002
SOCKETS = 2000
RUNS = 15


def least_us(work: Callable[[], object], times: int = 1) -> float:
    """Microseconds of one call, the least over RUNS runs of `times` calls."""
    best = float("inf")
    for _ in range(RUNS):
        start = time.thread_time()
        for _ in range(times):
            work()
        best = min(best, (time.thread_time() - start) / times)
    return best * 1e6


def figures() -> dict[str, float]:
    """All figures by name, microseconds."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * SOCKETS), hard))
    found: dict[str, float] = {}
    with Lab() as lab:
        kernel = HostKernel(lab.host.namespace)
        one = Place(TCP, 4, HOST4, 60_000)

        def hold_and_release() -> None:
            kernel.reserve(one)
            kernel.release(one)

        found["hold and release a place"] = least_us(hold_and_release, 50)
        kernel.events(0)
        with lab.host.namespace.run(lambda: socket.create_server(("10.77.0.1", 80))):
            key = Tuple(TCP, 4, HOST4, 80, REMOTE4, 9)
            found["exact look-up"] = least_us(lambda: kernel.lookup(key), 200)
            raw = kernel._diag
            found["exact look-up, no mirror"] = least_us(lambda: raw.lookup(key), 200)
        found["events, nothing new"] = least_us(lambda: kernel.events(0), 100)
        found["all four dumps, no sockets"] = least_us(kernel._dump)
        found["interfaces, snapshot"] = least_us(lab.host.interfaces.snapshot, 5)
        sockets = [
            lab.host.namespace.run(lambda port=port: socket.create_server(("10.77.0.1", port)))  # type: ignore[misc]
            for port in range(10_000, 10_000 + SOCKETS)
        ]

        def first_dump() -> None:
            raw._dumps.clear()
            kernel.mirror.sockets.clear()
            kernel._dump()

        found[f"first dump of {SOCKETS} sockets"] = least_us(first_dump)
        found[f"next dump of {SOCKETS} sockets"] = least_us(kernel._dump)
        found["sockets at one port, of so many"] = least_us(lambda: raw.dump(TCP, AF_INET, 10_500))
        for each in sockets:
            each.close()
        kernel.close()
    return found


def main() -> None:
    try:
        for name, value_us in figures().items():
            print(f"{name:<36} {value_us:10,.1f} us")
    except Unavailable as error:
        sys.exit(f"measure: {error}")


if __name__ == "__main__":
    main()
