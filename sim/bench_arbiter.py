# SPDX-License-Identifier: Apache-2.0
"""How fast the arbiter's registry is, and how large, with many entries present. No simulator."""

import gc
import tracemalloc
from random import Random
from statistics import median
from time import process_time

from driver.arbiter.entries import TCP, UDP, Entry, EntryFlag, Kind, Request
from driver.arbiter.registry import Registry

PRESENT = 100_000
TIMED = 20_000
ROUNDS = 5
LISTENER_PORTS = (80, 443, 5201, 8080)
LOCAL4, LOCAL6 = 0x0A000001, 0xFD00 << 112 | 1
REMOTE4, REMOTE6 = 0x0A010000, 0xFD00 << 112 | 1 << 64
SERVERS = 4  # user-space stacks that listen
CLIENTS = 4  # user-space stacks that connect
MB = 1_000_000


def populated(present: int, seed: int = 1) -> tuple[Registry, Random]:
    """A registry with connections of listeners and of clients, of host sockets, IPv4 and IPv6."""
    rng = Random(seed)
    registry = Registry(rng)
    registry.add_address(4, LOCAL4)
    registry.add_address(6, LOCAL6)
    for stack, port in enumerate(LISTENER_PORTS[:SERVERS], 1):
        wish = Request(stack, Kind.LISTENER, TCP, 6, None, port, flags=EntryFlag.DUAL)
        registry.arm(registry.reserve(wish).token, stack)
    for proto in (TCP, UDP):  # clients and host sockets take a port each
        for port in range(10_000, 10_000 + min(present // 4, 50_000)):
            if port % 8:
                _arm(registry, _flow(port, 5 + port % CLIENTS, proto, port, port % 2 == 0))
            else:
                registry.reserve(Request(0, Kind.HOST, proto, 4, LOCAL4, port))
    while len(registry) < present:
        _arm(registry, _accepted(len(registry)))
    return registry, rng


def _flow(number: int, stack: int, proto: int, port: int, ipv6: bool) -> Request:
    if ipv6:
        return Request(stack, Kind.FLOW, proto, 6, LOCAL6, port, REMOTE6 + number, 443)
    return Request(stack, Kind.FLOW, proto, 4, LOCAL4, port, REMOTE4 + number, 443)


def _accepted(number: int) -> Request:
    """Connection number so and so to one of the listeners."""
    stack = number % SERVERS + 1
    remote, port = divmod(number, 50_000)
    local, there, family = (LOCAL6, REMOTE6, 6) if number % 2 else (LOCAL4, REMOTE4, 4)
    return Request(
        stack, Kind.FLOW, TCP, family, local, LISTENER_PORTS[stack - 1], there + remote, 10_000 + port
    )


def _arm(registry: Registry, wish: Request) -> Entry:
    return registry.arm(registry.reserve(wish).token, wish.stack)


def reservations_per_s(present: int = PRESENT, timed: int = TIMED, rounds: int = ROUNDS) -> float:
    """Reserve, arm and release, one after the other, a second of one core, with `present` entries there; the
    median of some rounds. Half are accepted connections, half connect from an ephemeral port."""
    registry, _ = populated(present)
    rates = []
    for number in range(rounds):
        first = present + number * timed
        accepted = [_accepted(first + index) for index in range(0, timed, 2)]
        connects = [_flow(first + index, 5 + index % CLIENTS, TCP, 0, False) for index in range(1, timed, 2)]
        started = process_time()
        for accept, connect in zip(accepted, connects, strict=True):
            one = registry.reserve(accept)
            registry.arm(one.token, one.stack)
            two = registry.reserve_ephemeral(connect)
            registry.arm(two.token, two.stack)
            registry.release(one.token, one.stack, 0)
            registry.release(two.token, two.stack, 0)
        rates.append(timed / (process_time() - started))
    return median(rates)


def registry_mb(present: int = PRESENT) -> float:
    """MB (10^6 bytes) that a registry of `present` entries holds, its full log of changes included."""
    gc.collect()
    tracemalloc.start()
    try:
        registry, _ = populated(present)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    return held / MB * present / len(registry)


def figures(quick: bool) -> dict[str, float]:
    """What `tupelo bench` shows; always with all entries present, as their number is in the bound."""
    return {
        "arbiter_reservations_per_s": reservations_per_s(rounds=1 if quick else ROUNDS),
        "arbiter_registry_mb": registry_mb(),
    }
