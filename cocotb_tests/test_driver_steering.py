# SPDX-License-Identifier: Apache-2.0
"""The driver's tables, windows and guard over the whole NIC on the pins; a dictionary tells who gets what."""

import random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from cocotb_tests.audit import nic_test
from cocotb_tests.conftest import RunBench
from cocotb_tests.driver_bench import LOCAL4, LOCAL6, OUR_MAC, THEIR_MAC, TIMEOUT, WAIT_NS, Bench
from cocotb_tests.nic_tests import NARROW, TOP, WIDE
from driver.nic import NicConfig
from driver.registers import StopReason
from driver.steering import TO_DROP, TO_HOST, FlowKey, Found, ListenerKey, Steering, to_queue
from driver.windows import Guard


@nic_test(**TIMEOUT)
@cocotb.parametrize(wild=[False, True])
async def driver_steers_flows_while_they_move(dut: Any, wild: bool) -> None:
    """Flows and listeners, inserted, redirected and deleted between frames; hit counters say the same."""
    bench = Bench(dut, wild)
    rng = bench.rng
    await bench.start(wild, rx_ring_slots=64, buffer_bytes=512)
    steering = await Steering.attach(bench.harness, state=Found.EMPTY, verify=True)
    await steering.locals.set([LOCAL4, LOCAL6])
    await steering.enable()
    udp = await steering.listeners.insert(ListenerKey.of(17, LOCAL4, 53), to_queue(bench.pairs - 1))
    await steering.listeners.insert(ListenerKey.of(6, None, 443), TO_DROP)
    flows: dict[FlowKey, Any] = {}
    hits: dict[FlowKey, int] = {}
    for _ in range(12):
        for _ in range(3):
            key = flow_key(rng)
            if key not in flows:
                action = rng.choice((TO_HOST, TO_DROP, to_queue(rng.randrange(bench.pairs))))
                flows[key] = (await steering.flows.insert(key, action), action)
                hits[key] = 0
        moved = rng.choice(list(flows))
        action = to_queue(rng.randrange(bench.pairs))
        await steering.flows.redirect(flows[moved][0], action)
        flows[moved] = (flows[moved][0], action)
        wanted: list[tuple[int, bytes]] = []
        frames: list[bytes] = []
        for key in rng.sample(list(flows), min(5, len(flows))):
            frames.append(frame_of_flow(rng, key))
            hits[key] += 1
            where = {TO_HOST: 0, TO_DROP: None}.get(flows[key][1], flows[key][1].pair)
            if where is not None:
                wanted.append((where, frames[-1]))
        frames += others(rng)
        wanted += [(bench.pairs - 1, frames[-3]), (0, frames[-1])]  # the one in the middle is dropped
        bench.harness.wire.send(frames)
        got = [(pair, frame) for pair, frame, _ in await bench.arrivals(len(wanted))]
        assert sorted(got) == sorted(wanted)
        if len(flows) > 12:
            gone = rng.choice(list(flows))
            assert await steering.flows.hits(flows[gone][0]) == hits.pop(gone)
            await steering.flows.delete(flows.pop(gone)[0])
    for key, (handle, _) in flows.items():
        assert await steering.flows.hits(handle) == hits[key]
    assert await steering.listeners.hits(udp) == 12
    stats = await bench.finish()
    assert stats["rx_steer_listener"] == stats["rx_steer_any"] == stats["rx_steer_host"] == 12


def flow_key(rng: random.Random) -> FlowKey:
    six = rng.random() < 0.5
    ends = (LOCAL6, "2001:db8::77") if six else (LOCAL4, "10.0.0.77")
    return FlowKey.of(rng.choice((6, 17)), ends[0], rng.randint(1000, 1003), ends[1], rng.randint(2000, 2010))


def frame_of_flow(rng: random.Random, key: FlowKey) -> bytes:
    ip: Any = IPv6 if key.local.version == 6 else IP
    ports = {"sport": key.remote_port, "dport": key.local_port}
    head = Ether(src=THEIR_MAC, dst=OUR_MAC) / ip(src=str(key.remote), dst=str(key.local))
    return bytes(head / (TCP if key.proto == 6 else UDP)(**ports) / Raw(rng.randbytes(rng.randint(20, 300))))


def others(rng: random.Random) -> list[bytes]:
    """One for the UDP listener, one for the TCP listener on any address, one for nobody."""
    ether = Ether(src=THEIR_MAC, dst=OUR_MAC)
    noise = Raw(rng.randbytes(30))
    return [
        bytes(ether / IP(src="10.0.0.50", dst=LOCAL4) / UDP(sport=rng.randint(1, 999), dport=53) / noise),
        bytes(ether / IP(src="10.0.0.50", dst=LOCAL4) / TCP(sport=rng.randint(1, 999), dport=443) / noise),
        bytes(
            Ether(src=THEIR_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=f"10.0.0.{rng.randint(1, 255)}") / noise
        ),
    ]


@nic_test(**TIMEOUT)
async def driver_confines_a_pair_to_its_own_memory(dut: Any) -> None:
    """With the NIC's own windows traffic flows; without the transmit buffers' one the queue stops."""
    bench = Bench(dut)
    rng = bench.rng
    await bench.start(
        False, tx_csum=True, indirect_over=2, mergeable=True, tx_ring_slots=32, rx_ring_slots=32
    )
    guard = Guard(bench.harness)
    await guard.set_windows(0, bench.nic.windows_of(0))
    assert (await guard.read(0)).ranges == tuple(bench.nic.windows_of(0))
    frames = [rng.randbytes(size) for size in (60, 9000, 1514, 2048)]
    assert await bench.nic.send_all(frames, 0, WAIT_NS) == 4
    assert await bench.out(4) == frames
    bench.harness.wire.send(frames)
    assert [frame for _, frame, _ in await bench.arrivals(4)] == frames
    await bench.nic.stop()
    await guard.set_windows(0, [], on=False)
    await bench.nic.start(NicConfig(tx_ring_slots=32, rx_ring_slots=32))
    await guard.set_windows(0, bench.nic.windows_of(0)[:3])
    await bench.nic.send([bytes(60)])
    await ClockCycles(dut.clk, 3000)
    (error,) = await bench.nic.queue_errors()
    assert (error.index, error.reason) == (1, StopReason.WINDOW)
    assert error.addr == bench.nic.tx[0].pool.region.iova
    assert not bench.harness.wire.take()
    await bench.nic.stop()
    await guard.set_windows(0, [], on=False)
    bench.harness.check()


@nic_test(**TIMEOUT)
async def driver_guards_what_a_pair_sends(dut: Any) -> None:
    """The last pair owns one flow: its frames leave, others are dropped and counted by reason."""
    bench = Bench(dut)
    await bench.start(False, tx_ring_slots=32, rx_ring_slots=32)
    pair = bench.pairs - 1
    if pair == 0:  # the privileged pair has no guard
        await bench.finish()
        return
    steering = await Steering.attach(bench.harness, state=Found.EMPTY)
    await steering.flows.insert(FlowKey.of(17, LOCAL4, 7, "10.0.0.2", 8), to_queue(pair))
    await steering.flows.insert(FlowKey.of(17, LOCAL4, 7, "10.0.0.3", 8), to_queue(0))
    await steering.enable()
    await Guard(bench.harness).guard(pair)

    def datagram(target: str, source_mac: str = OUR_MAC) -> bytes:
        head = Ether(src=source_mac, dst=THEIR_MAC) / IP(src=LOCAL4, dst=target)
        return bytes(head / UDP(sport=7, dport=8) / Raw(bytes(9)))

    own = datagram("10.0.0.2")
    frames = [
        own,
        datagram("10.0.0.2", THEIR_MAC),
        bytes(Ether(src=OUR_MAC, dst=THEIR_MAC) / ARP()),
        datagram("10.0.0.3"),
        datagram("10.0.0.4"),
        own,
    ]
    assert await bench.nic.send_all(frames, pair, WAIT_NS) == 6
    assert await bench.out(2) == [own, own]
    assert await bench.nic.send_all(frames, 0, WAIT_NS) == 6
    assert await bench.out(6) == frames
    stats = await bench.finish()
    assert {name: value for name, value in stats.items() if name.startswith("tx_drop_guard") and value} == {
        "tx_drop_guard_mac": 1,
        "tx_drop_guard_proto": 1,
        "tx_drop_guard_owner": 1,
        "tx_drop_guard_tuple": 1,
    }


CASES = [
    "driver_steers_flows_while_they_move",
    "driver_confines_a_pair_to_its_own_memory",
    "driver_guards_what_a_pair_sends",
]


@pytest.mark.sim
@pytest.mark.parametrize("shape", (WIDE, NARROW), ids=str)
def test_driver_steering(run_bench: RunBench, shape: Any) -> None:
    run_bench(TOP, CASES, **shape.parameters)
