# SPDX-License-Identifier: Apache-2.0
"""Keys that crowd into few buckets, and frames that ask for them, for test_steering_fast.py."""

import random
from collections.abc import Sequence

import numpy as np

from cocotb_tests import parse_frames
from cocotb_tests.model.parse_model import FRAGMENT, ICMP, ICMPV6, TCP, UDP
from cocotb_tests.model.steer_model import Listener, Tuple
from cocotb_tests.model.table_hash import FLOW_BITS, LISTENER_BITS, WAYS, toeplitz64
from cocotb_tests.parse_frames import Recipe
from sim.tests.steering_judge import SERIAL_BYTES

LOCAL4 = int.from_bytes(bytes([10, 0, 0, 1]), "big")
LOCAL6 = 0x2001_0DB8 << 96 | 1
GROUP4 = int.from_bytes(bytes([224, 0, 0, 251]), "big")
GROUP6 = 0xFF02 << 112 | 0xFB
PORTS = 1 << 16
UNKNOWN_TYPE = 0x88B5  # for local experiments
THEIR_MAC = bytes.fromhex("02000000beef")


def crowded_ports(table_key: bytes, packed: int, width: int, at: int, capacity: int, few: int) -> list[int]:
    """Ports that put a key into the first `few` buckets of both banks; its port is at bit `at`, now 0.

    The hash is linear: that of the key with a port is the XOR with those of the port's bits.
    """
    hashes = np.full(PORTS, toeplitz64(table_key, packed, width), np.uint64)
    ports = np.arange(PORTS, dtype=np.uint64)
    for bit in range(16):
        one = np.uint64(toeplitz64(table_key, 1 << (at + bit), width))
        hashes ^= np.where(ports >> np.uint64(bit) & np.uint64(1), one, np.uint64(0))
    shift = 32 - (capacity // (2 * WAYS)).bit_length() + 1
    first, second = hashes >> np.uint64(32 + shift), (hashes & np.uint64(0xFFFF_FFFF)) >> np.uint64(shift)
    return [int(port) for port in np.flatnonzero((first < few) & (second < few)) if port]


def flow_keys(rng: random.Random, table_key: bytes, capacity: int, few: int, count: int) -> list[Tuple]:
    """Different flows, all in `few` buckets of each bank."""
    found: dict[Tuple, None] = {}
    while len(found) < count:
        six, proto = rng.getrandbits(1), rng.choice((TCP, UDP))
        local = LOCAL6 if six else LOCAL4
        remote = (0x2001_0DB8 << 96 | rng.getrandbits(64)) if six else 0x0A00_0000 | rng.getrandbits(24)
        base = Tuple(six, proto, local, remote, rng.randrange(1, PORTS), 0)
        for port in crowded_ports(table_key, base.packed(), FLOW_BITS, 0, capacity, few):
            found[base._replace(remote_port=port)] = None
    return list(found)[:count]


def listener_keys(
    rng: random.Random, table_key: bytes, capacity: int, few: int, count: int
) -> list[Listener]:
    """Different listeners, on own addresses and on any, all in `few` buckets of each bank."""
    found: list[Listener] = []
    kinds = [(six, proto, own) for six in (0, 1) for proto in (TCP, UDP) for own in (True, False)]
    for six, proto, own in kinds:
        local = (LOCAL6 if six else LOCAL4) if own else None
        base = Listener(six, proto, local, 0)
        ports = crowded_ports(table_key, base.packed(), LISTENER_BITS, 0, capacity, few)
        found += [
            base._replace(local_port=p) for p in rng.sample(ports, min(len(ports), count // len(kinds)))
        ]
    return found


class Frames:
    """Random frames with serial numbers: to flows, to listeners, to nobody; whole, odd and broken ones."""

    def __init__(
        self, rng: random.Random, mac: bytes, flows: Sequence[Tuple], listeners: Sequence[Listener]
    ) -> None:
        self._rng = rng
        self._mac = mac
        self._flows = flows
        self._listeners = listeners
        self.hot: Sequence[Tuple] = flows[:8]  # those that change most
        self.serial = 0
        self.kinds: dict[str, int] = {}

    def some(self, count: int) -> list[bytes]:
        """The last of them goes to the host's pair whatever the tables say: its arrival dates the others."""
        return [self._next() for _ in range(count - 1)] + [self._unknown()]

    def _next(self) -> bytes:
        rng = self._rng
        if rng.random() < 0.1:
            self._count("random")
            frame = bytearray(parse_frames.random_frame(rng))
            if rng.random() < 0.8:
                frame[:6] = self._mac
            return bytes(frame) + self._number()
        recipe = self._to(self._asked())
        recipe.payload = rng.randbytes(rng.choice((0, 1, 6, 20, 60, rng.randrange(500))))
        kind = rng.choices(("plain", "tagged", "fragment", "options", "broken", "icmp"), (14, 1, 1, 1, 1, 1))[
            0
        ]
        self._count(kind)
        number = self._number()
        if kind == "broken":
            return parse_frames.spoil(self._broken(recipe), rng) + number
        if kind == "tagged":
            recipe.tags = tuple(rng.choices((0x8100, 0x88A8), k=rng.randint(1, 3)))
        elif kind == "icmp":
            recipe.proto = ICMPV6 if recipe.ether_type == 0x86DD else ICMP
        elif kind == "fragment":
            word = rng.choice((0x2000, 0x2000 | rng.getrandbits(13), rng.randrange(1, 0x2000)))
            recipe.fragment = word
            recipe.extensions = ((FRAGMENT, 0, (word & 0x1FFF) << 3 | word >> 13),)
        elif kind == "options":
            recipe.option_words = rng.randint(1, 10)
            recipe.extensions = tuple(parse_frames.random_extension(rng) for _ in range(rng.randint(1, 4)))
        recipe.payload += number
        return parse_frames.make(recipe)

    def _unknown(self) -> bytes:
        self._count("unknown")
        payload = self._rng.randbytes(self._rng.randrange(46, 100)) + self._number()
        return parse_frames.make(Recipe(ether_type=UNKNOWN_TYPE, macs=self._macs(), payload=payload))

    def _asked(self) -> Tuple:
        """What a frame asks the tables for."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.5:
            return rng.choice(self.hot if rng.random() < 0.5 else self._flows)
        six, proto = rng.getrandbits(1), rng.choice((TCP, UDP))
        local, port = rng.choice(((LOCAL4, LOCAL6)[six], (GROUP4, GROUP6)[six])), rng.randrange(PORTS)
        if kind < 0.75:
            key = rng.choice(self._listeners)
            six, proto, port = key.ipv6, key.proto, key.local_port
            local = key.local or rng.choice(((LOCAL4, GROUP4, LOCAL4 + 1), (LOCAL6, GROUP6, LOCAL6 + 1))[six])
        return Tuple(six, proto, local, rng.getrandbits(128 if six else 32), port, rng.randrange(PORTS))

    def _to(self, asked: Tuple) -> Recipe:
        rng = self._rng
        octets = 16 if asked.ipv6 else 4
        return Recipe(
            ether_type=0x86DD if asked.ipv6 else 0x0800,
            proto=asked.proto,
            macs=self._macs(),
            src=asked.remote.to_bytes(octets, "big"),
            dst=asked.local.to_bytes(octets, "big"),
            ports=asked.remote_port.to_bytes(2, "big") + asked.local_port.to_bytes(2, "big"),
            tcp_words=rng.choice((5, 5, 8, rng.randint(5, 15))),
            ident=rng.randbytes(4),
            l4_sum_error=rng.choice((0, 0, 0, 0, 1)),
            rng=rng,
        )

    def _broken(self, recipe: Recipe) -> bytes:
        name = self._rng.choice(("ip_length", "udp_length", "ihl", "tcp_offset", "version", "short"))
        setattr(recipe, name, self._rng.randrange(16 if name in ("ihl", "tcp_offset", "version") else 100))
        if name == "short":
            recipe.short %= 20
        return parse_frames.make(recipe)

    def _macs(self) -> bytes:
        chance = self._rng.random()
        if chance < 0.95:
            return self._mac + THEIR_MAC
        return (b"\xff" * 6 if chance < 0.97 else b"\x02" + self._rng.randbytes(5)) + THEIR_MAC

    def _number(self) -> bytes:
        self.serial += 1
        return (self.serial - 1).to_bytes(SERIAL_BYTES, "big")

    def _count(self, kind: str) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
