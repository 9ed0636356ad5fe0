# SPDX-License-Identifier: Apache-2.0
"""The driver over the whole NIC on the pins harness, and packets by scapy: what its tests share."""

import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from cocotb_tests.test_storm import weather
from driver.conservation import violations
from driver.nic import NicConfig, TupeloNic
from driver.registers import COMMON
from driver.stats import Statistics, read_statistics
from sim.memory import HostMemory
from sim.pins import DEFAULT_MAC, PinsHarness

TIMEOUT = {"timeout_time": 60, "timeout_unit": "ms"}
WAIT_NS = 2_000_000
SETTLE_CYCLES = 6000
OUR_MAC, THEIR_MAC = DEFAULT_MAC.hex(":"), "02:00:00:00:00:02"
LOCAL4, LOCAL6 = "10.0.0.1", "2001:db8::1"


class Bench:
    """Harness, NIC and random numbers of one test; quacks as a Rig for `weather`."""

    def __init__(self, dut: Any, salt: object = "") -> None:
        seed = f"{cocotb.RANDOM_SEED} {salt}"
        self.rng = random.Random(f"offloads {seed}")
        self.harness = PinsHarness(dut, seed, memory=HostMemory(placement=random.Random(f"place {seed}")))
        self.knobs = self.harness.memory.knobs
        self.nic = TupeloNic(self.harness)
        self.dut = dut
        self.pairs = 0

    async def start(self, wild: bool, **config: Any) -> None:
        await self.harness.start()
        weather(self, wild)  # type: ignore[arg-type]
        self.pairs = await self.harness.read(COMMON.NUM_QUEUES.offset_bytes, 2) // 2
        await self.nic.start(NicConfig(queue_pairs=self.pairs, **config))

    async def out(self, count: int) -> list[bytes]:
        """The next frames that the NIC sends."""
        got: list[bytes] = []
        while len(got) < count:
            assert await self.harness.wire.wait(WAIT_NS), f"{len(got)} of {count} frames came out"
            got += self.harness.wire.take()
        assert len(got) == count
        return got

    async def arrivals(self, count: int) -> list[tuple[int, bytes, Any]]:
        """The next frames received, on whatever pair: (pair, frame, meta)."""
        got: list[tuple[int, bytes, Any]] = []
        while len(got) < count:
            ready = await self.nic.wait_rx(WAIT_NS)
            assert ready, f"{len(got)} of {count} frames arrived"
            got += [(pair, frame, meta) for pair in sorted(ready) for frame, meta in self.nic.recv_meta(pair)]
        return got

    async def finish(self) -> Statistics:
        """Quiet, conserved, stopped, nothing left behind."""
        await self.nic.flush()
        await ClockCycles(self.dut.clk, SETTLE_CYCLES)
        stats = await read_statistics(self.harness, range(2 * self.pairs), snapshot=True)
        assert [str(found) for found in violations(stats)] == []
        await self.nic.stop()
        assert self.nic.leaked == {} and self.harness.memory.idle
        self.harness.check()
        return stats


def ip_of(rng: random.Random, six: bool, outwards: bool) -> Any:
    ends = (LOCAL6, f"2001:db8::{rng.randint(2, 99):x}") if six else (LOCAL4, f"10.0.0.{rng.randint(2, 99)}")
    source, target = ends if outwards else ends[::-1]
    return IPv6(src=source, dst=target) if six else IP(src=source, dst=target, id=rng.getrandbits(16))


def packet_of(rng: random.Random, size: int, *, outwards: bool, tcp: bool | None = None) -> Any:
    """A packet with right checksums, `size` bytes of payload."""
    macs = (OUR_MAC, THEIR_MAC) if outwards else (THEIR_MAC, OUR_MAC)
    ports = {"sport": rng.randint(1, 65535), "dport": rng.randint(1, 65535)}
    if tcp if tcp is not None else rng.random() < 0.5:
        l4: Any = TCP(**ports, seq=rng.getrandbits(32), flags=rng.choice(("PA", "A", "FPA", "CA", "CPA")))
    else:
        l4 = UDP(**ports)
    return (
        Ether(src=macs[0], dst=macs[1])
        / ip_of(rng, rng.random() < 0.5, outwards)
        / l4
        / Raw(rng.randbytes(size))
    )


def summed(frame: bytes) -> bytes:
    """The same frame with all checksums made anew."""
    packet: Any = Ether(frame)
    for layer in (IP, TCP, UDP):
        if layer in packet:
            del packet[layer].chksum
    return bytes(packet)


def zeroed(packet: Any) -> bytes:
    """The frame with its TCP or UDP checksum left out."""
    copy: Any = Ether(bytes(packet))
    copy[TCP if TCP in copy else UDP].chksum = 0
    return bytes(copy)
