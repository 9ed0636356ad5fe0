# SPDX-License-Identifier: Apache-2.0
"""Ways in which the owner of one queue pair may try to take more than its share of the NIC.

A style is a round of transmit chains, made once, which the attacker offers over and over so that its ring is
never empty. What costs the device time without bytes on the wire is what matters: descriptors, reads that
carry a byte a beat, tables, frames that are dropped, queues that stop and start again.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from cocotb_tests.guard_frames import LOCALS, PEERS
from cocotb_tests.model.steer_model import Tuple
from cocotb_tests.packed_walk import DESC, INDIRECT, NEXT
from cocotb_tests.parse_frames import TCP
from cocotb_tests.received import HEADER
from cocotb_tests.uvm.attack_rig import EVIL_FLOW, GOOD_FLOW, packet
from cocotb_tests.uvm.attacker import Slice

Entry = tuple[int, int, int]  # addr, length, flags without AVAIL and USED
Chain = list[Entry]

CHAIN_MAX = 128  # descriptors: what the cache of a queue holds
LINE_BYTES = 256  # a read of the device never crosses one
PLAIN = bytes(HEADER.size)
TCP_FLOW = Tuple(0, TCP, LOCALS[0][0], PEERS[0][0], 80, 443)  # the attacker's own
TINY, MIDDLE, BIG = 42, 314, 1514  # octets of a frame; 42: headers of UDP over IPv4 alone


@dataclass(slots=True)
class Forge:
    """Lays chains out in the attacker's memory."""

    area: Slice
    rng: random.Random
    used: int = 0

    def room(self, size: int, align: int = 1) -> int:
        """Reserve `size` bytes; return their address."""
        self.used += -self.used % align
        at, self.used = self.used, self.used + size
        assert self.used <= self.area.size_bytes, "the attacker's memory is too small for this style"
        return self.area.iova + at

    def put(self, octets: bytes, align: int = 1) -> int:
        """Write octets somewhere; return their address."""
        addr = self.room(len(octets), align)
        memoryview(self.area.view)[addr - self.area.iova :][: len(octets)] = octets
        return addr

    def plain(self, frame: bytes, header: bytes = PLAIN) -> Chain:
        """One descriptor."""
        return [(self.put(header + frame, 64), len(header + frame), 0)]

    def crumbs(self, octets: bytes, size: int, *, astride: bool = False) -> Chain:
        """A descriptor for each `size` octets; astride: each lies across the end of a line: two reads."""
        chain: Chain = []
        for start in range(0, len(octets), size):
            part = octets[start : start + size]
            if astride:
                line = self.room(2 * LINE_BYTES, LINE_BYTES)
                addr = line + LINE_BYTES - len(part) // 2
                memoryview(self.area.view)[addr - self.area.iova :][: len(part)] = part
            else:
                addr = self.put(part)
            chain.append((addr, len(part), NEXT))
        return [*chain[:-1], (*chain[-1][:2], 0)]

    def table(self, chain: Chain) -> Chain:
        """The same behind an indirect table (VIRTIO 1.2 section 2.8.8)."""
        octets = b"".join(DESC.pack(addr, size, 0, 0) for addr, size, _ in chain)
        return [(self.put(octets, 16), len(octets), INDIRECT)]


def own(number: int, size: int) -> bytes:
    """A frame that the attacker may send."""
    return packet(EVIL_FLOW, number, size, inwards=False)


def cut(size: int, segment_bytes: int, number: int = 0) -> tuple[bytes, bytes]:
    """TCP data to be segmented: (frame, header)."""
    return packet(TCP_FLOW, number, size, inwards=False), HEADER.pack(1, 1, 54, segment_bytes, 34, 16, 0)


@dataclass(frozen=True, slots=True)
class Style:
    """What the attacker offers, and what else it does meanwhile."""

    name: str
    chains: Callable[[Forge], list[Chain]]
    doorbells: bool = False  # as fast as the BAR takes them
    falls: bool = False  # the queue stops; the privileged side gives it back at once
    counter: str = ""  # of the device: it must go up, or the style is not what it says


def _several(make: Callable[[Forge, int], Chain], count: int = 16) -> Callable[[Forge], list[Chain]]:
    return lambda forge: [make(forge, number) for number in range(count)]


def _astray(forge: Forge) -> list[Chain]:
    """Good frames, then one that is not in any window."""
    outside = forge.area.iova + forge.area.size_bytes + 0x1000
    return [*(forge.plain(own(n, TINY)) for n in range(7)), [(outside, MIDDLE, 0)]]


def _mixture(forge: Forge) -> list[Chain]:
    """Some of everything that does not stop the queue."""
    chains = [chain for name in MIXED for chain in STYLES[name].chains(forge)[:4]]
    forge.rng.shuffle(chains)
    return chains


STYLES = {
    style.name: style
    for style in (
        Style("honest", _several(lambda f, n: f.plain(own(n, MIDDLE))), counter="tx_frames"),
        Style("big", _several(lambda f, n: f.plain(own(n, BIG))), counter="tx_frames"),
        Style("tiny", _several(lambda f, n: f.plain(own(n, TINY))), counter="tx_frames"),
        Style(
            "segments",
            _several(lambda f, n: f.plain(*cut(9000, 512, n)), 4),
            counter="tx_tso_segments",
        ),
        Style(
            "crumbs",
            _several(lambda f, n: f.crumbs(PLAIN + own(n, CHAIN_MAX - HEADER.size), 1), 4),
            counter="tx_frames",
        ),
        Style(
            "astride",
            _several(lambda f, n: f.crumbs(PLAIN + own(n, 2 * CHAIN_MAX - HEADER.size), 2, astride=True), 2),
            counter="tx_frames",
        ),
        Style("chips", _several(lambda f, n: f.crumbs(PLAIN + own(n, TINY), 3)), counter="tx_frames"),
        Style(
            "chips_astride",
            _several(lambda f, n: f.crumbs(PLAIN + own(n, TINY), 6, astride=True)),
            counter="tx_frames",
        ),
        Style(
            "tables",
            _several(lambda f, n: f.table(f.crumbs(PLAIN + own(n, 100), 1)), 8),
            counter="tx_frames",
        ),
        Style(
            "small_tables",
            _several(lambda f, n: f.table(f.plain(own(n, TINY)))),
            counter="tx_frames",
        ),
        Style(
            "forged",
            _several(lambda f, n: f.plain(packet(GOOD_FLOW, n, MIDDLE, inwards=False))),
            counter="tx_drop_guard_owner",
        ),
        Style(
            "forged_tiny",
            _several(lambda f, n: f.plain(packet(GOOD_FLOW, n, TINY, inwards=False))),
            counter="tx_drop_guard_owner",
        ),
        Style(
            "tiny_segments",
            _several(lambda f, n: f.plain(*cut(9000, 1, n)), 4),
            counter="tx_drop_header",
        ),
        Style("runts", _several(lambda f, n: [(f.put(b"x"), 1, 0)]), counter="tx_drop_short"),
        Style(
            "empty_frames",
            _several(lambda f, n: f.crumbs(PLAIN, 1)),
            counter="tx_drop_short",
        ),
        Style(
            "doorbells", _several(lambda f, n: f.plain(own(n, MIDDLE))), doorbells=True, counter="tx_frames"
        ),
        Style("astray", _astray, falls=True),
        Style("mixture", _mixture, doorbells=True, counter="tx_drop_short"),
    )
}
MIXED = ("tiny", "segments", "crumbs", "tables", "forged", "runts", "big")

# The attacker's receive buffers while frames for it come in: sizes of the descriptors of each.
RECEIVING = {
    "honest": (2048,),
    "nothing": (),
    "crumbs": (3,) * 110,  # a frame of 314 octets and its header fit
    "small": (1,),  # a buffer is a byte: frames need more of them than the cache holds
    "pieces": (64,) * 6,
}
