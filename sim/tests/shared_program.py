# SPDX-License-Identifier: Apache-2.0
"""The program of test_shared_fast.py: two stacks in shared mode on channels through the RTL, a peer at the
wire."""

import random
from typing import Any

import cocotb

from driver.arbiter import messages as msg
from sim.adapters import WireCarrier, pump
from sim.arbiter_rig import ArbiterRig, Seat
from sim.fast import FastHarness
from sim.fast_config import FastConfig
from sim.shared_stack import ArbiterKernel, ChannelCarrier, SharedHost
from userstack import Host, Stack, StackConfig, http
from userstack.errors import StackError
from userstack.wire.addr import parse_ip

HERE, PEER, PEER_MAC = "10.0.0.1", "10.0.0.9", "02:00:00:00:00:09"
SLICE_NS = 2_000  # the arbiter looks so often for work
LIMIT_NS = 50_000_000
config = FastConfig()


class Sharer:
    """One stack in shared mode on a seat of the rig, and the pump that moves its frames."""

    def __init__(self, rig: ArbiterRig, seat: Seat, seed: int) -> None:
        assert seat.channel is not None
        arbiter, stack, now_ns = rig.arbiter, seat.client.stack, rig.harness.now_ns
        seat.told.clear()
        self.kernel = ArbiterKernel(lambda request: arbiter.request(stack, request, now_ns()))
        stack_config = StackConfig(rig.mac.hex(":"), HERE)
        self.host = Host(Stack(stack_config, random.Random(seed), shared=self.kernel))
        port = SharedHost(self.host, self.kernel, seat.told)
        carrier = ChannelCarrier(seat.channel, self.kernel, now_ns, seat.told, SLICE_NS)
        self.pump = cocotb.start_soon(pump(port, carrier, lambda: False, SLICE_NS))


async def arbitrate(rig: ArbiterRig) -> None:
    """The kernel's loop: requests, tables, frames at pair 0, time."""
    while True:
        await rig.work()
        await rig.move_host_frames()
        now_ns = rig.harness.now_ns()
        rig.arbiter.on_timer(now_ns)
        rig.switch.on_timer(now_ns)
        await rig.harness.sleep(SLICE_NS)


async def echo(host: Host) -> None:
    sock = host.udp_socket()
    sock.bind(("0.0.0.0", 7))
    while True:
        data, address = await sock.recvfrom()
        sock.sendto(data, address)


async def ask(host: Host, count: int) -> int:
    sock = host.udp_socket()
    sock.connect((HERE, 7))
    right = 0
    for number in range(count):
        data = number.to_bytes(4, "big") * 30
        sock.send(data)
        right += (await sock.recvfrom())[0] == data
    return right


async def steal(host: Host) -> int:
    sock = host.socket()
    sock.bind(("0.0.0.0", 80))
    sock.listen()
    try:
        await sock.bound()
    except StackError as error:
        return error.errno
    return 0


async def fetch(host: Host) -> bytes:
    client = await http.connect(host, (HERE, 80), "test")
    body = await (await client.get("/file")).read()
    await client.aclose()
    return body


async def sharing(harness: FastHarness, size_bytes: int, seed: int) -> dict[str, Any]:
    """An HTTP download from one stack while another one echoes datagrams, at one address; a theft between."""
    rig = await ArbiterRig.start(harness, [HERE], 24, seed)
    rig.routes.set_mac(bytes((10, 0, 0, 9)), bytes.fromhex(PEER_MAC.replace(":", "")))
    seats = [rig.attach(), rig.attach()]
    await rig.work()
    web, udp = (Sharer(rig, seat, seed + n) for n, seat in enumerate(seats))
    kernel = cocotb.start_soon(arbitrate(rig))
    file = random.Random(seed).randbytes(size_bytes)
    server = http.Server(web.host, http.files({"/file": file}))
    server.listen(80)
    web.host.spawn(server.run())
    udp.host.spawn(echo(udp.host))
    await harness.sleep(20 * SLICE_NS)
    theft = udp.host.spawn(steal(udp.host))
    peer = Host(Stack(StackConfig(PEER_MAC, PEER), random.Random(seed + 9)))
    peer.stack.ip.neigh._learn(parse_ip(HERE), rig.mac, 0)  # there is no host stack here to answer ARP
    got, right = peer.spawn(fetch(peer)), peer.spawn(ask(peer, 20))
    start_ns = harness.now_ns()
    wire = WireCarrier(harness.wire, harness.now_ns)

    def over() -> bool:
        return (got.done and right.done) or harness.now_ns() > start_ns + LIMIT_NS

    await pump(peer, wire, over, 100_000)
    sim_ns = harness.now_ns() - start_ns
    for task in (kernel, web.pump, udp.pump):
        task.cancel()
    differences = await rig.differences()
    marks = [one.kernel.refused_marks for one in (web, udp)]
    entries = [type(event).__name__ for seat in seats for event in seat.told if isinstance(event, msg.Gone)]
    await rig.nic.stop()
    for host in (web.host, udp.host, peer):
        host.cancel_all()
    return {
        "file": got.done and got.result() == file, "echoes": right.result() if right.done else 0,
        "theft": theft.result() if theft.done else -1, "differences": differences, "refused": marks,
        "gone": entries, "bad_messages": harness.bad_messages, "sim_ns": sim_ns,
        "retransmits": web.host.stack.stats.tcp_retransmits, "guarded": web.host.stack.stats.away_drops,
    }  # fmt: skip
