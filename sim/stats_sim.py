# SPDX-License-Identifier: Apache-2.0
"""The traffic behind `tupelo stats`, inside the simulator: a little of everything that the NIC can do.

Four queue pairs: the host's (0), two that flows and listeners lead to, and a guarded one (3). Received frames
take every steering decision, sent ones every offload; some are dropped on purpose.
"""

from typing import Any

from driver.conservation import violations
from driver.nic import NicConfig, TupeloNic
from driver.offload import request_checksum, request_tso
from driver.rss import RssConfig, set_rss, spread
from driver.stats import read_statistics
from driver.steering import TO_DROP, FlowKey, Found, ListenerKey, Proto, Steering, to_queue
from driver.windows import Guard
from sim.fast import FastHarness
from sim.job import Progress
from userstack.wire.addr import parse_ip
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.ipv4 import Ipv4Header
from userstack.wire.tcp import Segment
from userstack.wire.udp import UdpDatagram

PAIRS = 4
GUARDED = 3
PATIENCE_NS = 200_000
SETTLE_NS = 20_000
LOCAL, REMOTE, STRANGER = "10.0.0.1", "10.0.0.2", "10.0.0.3"
REMOTE_MAC = bytes.fromhex("020000000002")
TSO_PAYLOAD_BYTES, MSS_BYTES = 16_000, 1448
TCP, UDP = int(Proto.TCP), int(Proto.UDP)
PSH_ACK = 0x18
CONFIG = NicConfig(
    queue_pairs=PAIRS,
    tx_csum=True,
    tso4=True,
    rx_csum=True,
    mergeable=True,
    indirect_over=4,
    buffer_bytes=2048,
)


def frame(
    proto: int, macs: tuple[bytes, bytes], ends: tuple[tuple[str, int], tuple[str, int]], size: int
) -> bytes:
    """A TCP segment or UDP datagram with `size` bytes of payload, from ends[0] to ends[1]."""
    (source, source_port), (target, target_port) = ends
    src, dst = parse_ip(source), parse_ip(target)
    payload = bytes(n & 0xFF for n in range(size))
    if proto == TCP:
        raw = Segment(source_port, target_port, 1, 1, PSH_ACK, 1000, payload).encode(src, dst)
    else:
        raw = UdpDatagram(source_port, target_port, payload).encode(src, dst)
    packet = Ipv4Header(src, dst, proto, len(raw)).encode() + raw
    return EthernetFrame(macs[1], macs[0], 0x0800, packet).encode()


async def set_up(nic: TupeloNic) -> Steering:
    """Tables, RSS and guard as the module says."""
    steering = await Steering.attach(nic.bus, state=Found.EMPTY)
    await steering.locals.set([LOCAL])
    await steering.flows.insert(FlowKey.of(TCP, LOCAL, 80, REMOTE, 5000), to_queue(1))
    await steering.flows.insert(FlowKey.of(TCP, LOCAL, 80, STRANGER, 5000), TO_DROP)
    await steering.flows.insert(FlowKey.of(UDP, LOCAL, 7000, REMOTE, 7001), to_queue(GUARDED))
    await steering.listeners.insert(ListenerKey.of(UDP, LOCAL, 53), to_queue(2))
    await steering.listeners.insert(ListenerKey.of(TCP, None, 443), to_queue(1))
    await steering.enable()
    await set_rss(nic.bus, RssConfig(spread(range(3))))
    await Guard(nic.bus).guard(GUARDED)
    return steering


def arriving(mac: bytes, n: int) -> list[bytes]:
    """Frames from the wire: a flow, a listener, one on any address, RSS, the host, a filter, a bad sum."""
    macs = (REMOTE_MAC, mac)
    flow = frame(TCP, macs, ((REMOTE, 5000), (LOCAL, 80)), 1000)
    return [
        flow,
        frame(UDP, macs, ((REMOTE, 1000 + n), (LOCAL, 53)), 40),
        frame(TCP, macs, ((REMOTE, 2000 + n), (LOCAL, 443)), 200),
        frame(UDP, macs, ((REMOTE, 3000 + n), (LOCAL, 9000)), 5000),
        EthernetFrame(b"\xff" * 6, REMOTE_MAC, 0x0806, bytes(28)).encode(),
        frame(TCP, macs, ((STRANGER, 5000), (LOCAL, 80)), 100),
        flow[:-1] + bytes([flow[-1] ^ 1]),
    ]


async def leave(nic: TupeloNic, mac: bytes) -> None:
    """Frames to the wire: plain, with a checksum to make, to be segmented; guarded ones, one not its own."""
    macs = (mac, REMOTE_MAC)
    plain = frame(TCP, macs, ((LOCAL, 80), (REMOTE, 5000)), 500)
    large = frame(TCP, macs, ((LOCAL, 80), (REMOTE, 5000)), TSO_PAYLOAD_BYTES)
    summed, segmented = request_checksum(plain), request_tso(large, MSS_BYTES)
    await nic.send_offload([plain, summed[0], segmented[0]], [None, summed[1], segmented[1]], 0)
    own = frame(UDP, macs, ((LOCAL, 7000), (REMOTE, 7001)), 100)
    others = frame(UDP, macs, ((LOCAL, 7000), (STRANGER, 7001)), 100)
    await nic.send([own, others], GUARDED)


async def main(harness: FastHarness, rounds: int, progress: str | None = None) -> dict[str, Any]:
    """Run the traffic; return counters, tables and the equations that do not hold."""
    tell = Progress(progress)
    nic = TupeloNic(harness)
    await nic.start(CONFIG)
    mac = nic.net.mac if nic.net is not None and nic.net.mac is not None else bytes(6)
    steering = await set_up(nic)
    for n in range(rounds):
        harness.wire.send(arriving(mac, n))
        await leave(nic, mac)
        await harness.sleep(SETTLE_NS)
        while ready := await nic.wait_rx(0):
            for pair in ready:
                nic.recv_meta(pair)
        harness.wire.take()
        tell(rounds=n + 1)
    await nic.flush()
    await harness.sleep(PATIENCE_NS)
    every = 2 * await _pairs(nic)
    stats = await read_statistics(harness, range(every), snapshot=True)
    tables = await steering.dump()
    await nic.stop()
    return {
        "statistics": dict(stats),
        "violations": [str(found) for found in violations(stats)],
        "tables": tables,
        "sim_ns": harness.now_ns(),
    }


async def _pairs(nic: TupeloNic) -> int:
    """Queue pairs that the device has; those not in use count nothing, but are part of every sum."""
    return (await nic.device.identify()).queue_pairs
