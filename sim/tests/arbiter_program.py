# SPDX-License-Identifier: Apache-2.0
"""The programs of test_arbiter_fast.py: the arbiter's decisions, seen at the wire and in the NIC's tables."""

import random
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from driver.arbiter import messages as msg
from driver.arbiter.clients import State
from driver.errors import ArbiterError
from sim.arbiter_rig import ArbiterRig, Seat
from sim.fast import FastHarness
from sim.fast_config import FastConfig

HERE, PEER, PEER_MAC = "10.0.0.1", "10.0.0.9", "02:00:00:00:00:09"
TCP_PROTO, UDP_PROTO = 6, 17
QUIET_NS = 20_000
config = FastConfig()


def frame_to(rig: ArbiterRig, port: int, source: int = 5000, proto: int = TCP_PROTO, mark: int = 0) -> bytes:
    """A frame from the peer to a local port."""
    l4 = TCP(sport=source, dport=port, flags="S") if proto == TCP_PROTO else UDP(sport=source, dport=port)
    link = Ether(dst=rig.mac.hex(":"), src=PEER_MAC)
    return bytes(link / IP(src=PEER, dst=HERE) / l4 / mark.to_bytes(8, "big")).ljust(60, b"\0")


def frame_from(rig: ArbiterRig, port: int, to: int = 5000) -> bytes:
    """A frame of this host to the peer."""
    link = Ether(dst=PEER_MAC, src=rig.mac.hex(":"))
    return bytes(link / IP(src=HERE, dst=PEER) / TCP(sport=port, dport=to)).ljust(60, b"\0")


async def settle(rig: ArbiterRig) -> None:
    """All jobs, and time for every frame to arrive."""
    await rig.work()
    await rig.harness.sleep(QUIET_NS)
    await rig.move_host_frames()
    await rig.work()


async def ask(rig: ArbiterRig, seat: Seat, request: msg.Request) -> Any:
    """A request and its answer."""
    rig.arbiter.request(seat.client.stack, request, rig.harness.now_ns())
    await rig.work()
    return [event for event in seat.told if event.cookie == request.cookie][-1]


async def sharing(harness: FastHarness) -> dict[str, Any]:
    """Two stacks and the host on one address: each gets its frames and can send only its own."""
    rig = await ArbiterRig.start(harness, [HERE], 24, 1)
    one, two = rig.attach(), rig.attach()
    await settle(rig)
    assert one.channel is not None and two.channel is not None
    listener = await ask(rig, one, msg.Listen(1, TCP_PROTO, 80))
    await ask(rig, two, msg.Listen(2, TCP_PROTO, 81))
    stolen = await ask(rig, two, msg.Listen(3, TCP_PROTO, 80))
    harness.wire.send([frame_to(rig, port) for port in (80, 81, 82, 80)])
    await settle(rig)
    received = {"one": len(one.channel.recv()), "two": len(two.channel.recv()), "host": len(rig.host_frames)}
    await one.channel.send([frame_from(rig, 80), frame_from(rig, 81)])
    await two.channel.send([frame_from(rig, 81), frame_from(rig, 22)])
    await rig.nic.send_all([frame_from(rig, 22)])
    await settle(rig)
    sent = sorted(TCPPort(raw) for raw in harness.wire.take())
    # Hand-over: from one frame to the next.
    await ask(rig, one, msg.Offer(4, listener.token, two.client.stack))
    await ask(rig, two, msg.Take(5, listener.token))
    harness.wire.send([frame_to(rig, 80)])
    await settle(rig)
    after = {"one": len(one.channel.recv()), "two": len(two.channel.recv())}
    differences = await rig.differences()
    await rig.nic.stop()
    return {
        "stolen": stolen.errno, "received": received, "sent": sent, "after": after, "differences": differences
    }  # fmt: skip


def TCPPort(raw: bytes) -> int:
    """Source port of a TCP frame."""
    return int(Ether(raw)[TCP].sport)


async def killed(harness: FastHarness) -> dict[str, Any]:
    """A stack dies while frames for it come in without a pause: its memory is freed, nothing touches it any
    more.
    """
    rig = await ArbiterRig.start(harness, [HERE], 24, 2)
    rig.routes.set_mac(bytes((10, 0, 0, 9)), bytes.fromhex(PEER_MAC.replace(":", "")))
    one, two = rig.attach(), rig.attach()
    await settle(rig)
    assert one.channel is not None and two.channel is not None
    await ask(rig, one, msg.Listen(1, TCP_PROTO, 80))
    flow = await ask(rig, one, msg.Connect(2, TCP_PROTO, bytes((10, 0, 0, 9)), 5000))
    await ask(rig, one, msg.Mark(3, flow.token, "established"))
    await ask(rig, two, msg.Listen(4, TCP_PROTO, 81))
    two_got = 0
    for turn in range(40):
        frames = [frame_to(rig, port, 6000 + 20 * turn + n) for n, port in enumerate((80, 81) * 10)]
        harness.wire.send(frames)
        if turn == 10:
            rig.arbiter.vanish(one.client.stack, harness.now_ns())
        await harness.sleep(400)
        await rig.work()
        await harness.sleep(2_000)
        two_got += len(two.channel.recv())
        await two.channel.start()
        await rig.move_host_frames()
    freed = one.client.stack not in rig.seats
    rig.switch.on_timer(harness.now_ns())
    await rig.move_host_frames()
    await harness.sleep(QUIET_NS)
    probes = [raw for raw in harness.wire.take() if Ether(raw)[TCP].dport == 5000]
    answer = Ether(dst=rig.mac.hex(":"), src=PEER_MAC) / IP(src=PEER, dst=HERE)
    answer /= TCP(sport=5000, dport=flow.local_port, flags="A", seq=7, ack=4711)
    harness.wire.send([bytes(answer).ljust(60, b"\0")] * 3)
    await settle(rig)
    await harness.sleep(QUIET_NS)
    resets = [Ether(raw)[TCP] for raw in harness.wire.take()]
    again = rig.attach()
    await settle(rig)
    taken = await ask(rig, again, msg.Listen(5, TCP_PROTO, 80))
    differences = await rig.differences()
    await rig.nic.stop()
    return {
        "freed": freed, "two": two_got, "probes": len(probes),
        "resets": [(str(one.flags), one.seq) for one in resets], "bad_messages": harness.bad_messages,
        "taken": type(taken).__name__, "differences": differences,
    }  # fmt: skip


async def lives(harness: FastHarness, steps: int, seed: int, every: int) -> dict[str, Any]:
    """Random lives of stacks on the real tables; each frame goes where the registry says."""
    rig = await ArbiterRig.start(harness, [HERE], 24, seed)
    rng = random.Random(f"lives {seed}")
    regions = len(harness.memory.regions())
    frames = wrong = 0
    done: dict[str, int] = {}
    for step in range(steps):
        name = await _step(rig, rng)
        done[name] = done.get(name, 0) + 1
        await rig.work()
        if step % every == every - 1:
            count, bad = await _probe(rig, rng)
            frames, wrong = frames + count, wrong + bad
            if problems := await rig.differences():
                return {"problems": problems, "step": step}
    for seat in list(rig.seats.values()):
        rig.arbiter.vanish(seat.client.stack, harness.now_ns())
    await rig.work()
    left = len(harness.memory.regions()) - regions
    await rig.nic.stop()
    return {"problems": [], "frames": frames, "wrong": wrong, "done": done, "left": left}


async def _step(rig: ArbiterRig, rng: random.Random) -> str:
    """One thing that may happen; refusals are fine."""
    seats, now_ns = list(rig.seats.values()), rig.harness.now_ns()
    what = rng.random()
    try:
        if not seats or what < 0.03:
            rig.attach()
            return "attach"
        seat = rng.choice(seats)
        stack = seat.client.stack
        if what < 0.045:
            rig.arbiter.vanish(stack, now_ns)
            return "vanish"
        if what < 0.06:
            rig.arbiter.suspend(stack)
            return "suspend"
        if what < 0.09:
            if seat.client.state is State.SUSPENDED:
                rig.resume(seat)
            return "resume"
        if what < 0.10:
            rig.arbiter.on_timer(now_ns + 40_000_000_000)
            return "time"
        tokens = [event.token for event in seat.told if isinstance(event, msg.Granted)][-20:]
        token, port, cookie = rng.choice(tokens) if tokens else 0, rng.randint(1, 40), rng.getrandbits(32)
        peer = bytes((10, 0, 0, 9))
        requests: list[msg.Request] = [
            msg.Listen(cookie, TCP_PROTO, port),
            msg.Listen(cookie, UDP_PROTO, port, local=bytes((10, 0, 0, 1))),
            msg.Connect(cookie, TCP_PROTO, peer, rng.randint(1, 9), local_port=rng.choice((0, port))),
            msg.Close(cookie, token, linger=rng.random() < 0.3),
            msg.Mark(cookie, token, "established"),
            msg.Offer(cookie, token, rng.choice(seats).client.stack),
            msg.Take(cookie, token),
        ]
        request = rng.choice(requests)
        rig.arbiter.request(stack, request, now_ns)
        del seat.told[:-200]
        return type(request).__name__
    except ArbiterError:
        return "refused"


async def _probe(rig: ArbiterRig, rng: random.Random) -> tuple[int, int]:
    """Frames to random tuples; each must be where the registry says."""
    registry, expected = rig.arbiter.registry, {}
    sent = []
    for mark in range(1, 25):
        proto, port, source = rng.choice((TCP_PROTO, UDP_PROTO)), rng.randint(1, 40), rng.randint(1, 9)
        here, peer = 0x0A000001, 0x0A000009
        entry = registry.find_flow(proto, 4, here, port, peer, source)
        entry = entry or registry.listener_for(proto, 4, here, port)
        action = "host" if entry is None else str(rig.arbiter.action_of(entry))
        expected[mark] = action
        sent.append(frame_to(rig, port, source, proto, mark))
    rig.harness.wire.send(sent)
    await rig.harness.sleep(QUIET_NS)
    seen: dict[int, str] = {}
    for frame in rig.nic.recv():
        seen[_mark(frame)] = "host"
    await rig.nic.flush()
    for seat in rig.seats.values():
        if seat.channel is not None:
            for frame in seat.channel.recv():
                seen[_mark(frame)] = f"queue {seat.client.pair}"
            await seat.channel.start()
    return len(sent), sum(seen.get(mark, "drop") != action for mark, action in expected.items())


def _mark(frame: bytes) -> int:
    at = 14 + 20 + (20 if frame[23] == TCP_PROTO else 8)
    return int.from_bytes(frame[at : at + 8], "big")
