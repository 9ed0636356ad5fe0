# SPDX-License-Identifier: Apache-2.0
"""Random programs at the control socket; SEED=n repeats them."""

import os
import random
from pathlib import Path

import pytest

from driver.arbiter import messages as msg
from driver.tests.arbiter_bench import HERE, PEER, TCP
from sim.control_core import Limits
from sim.control_messages import Wait, decode_to_server, encode
from sim.tests.channel_bench import Raw, Served, open_descriptors

SEED = int(os.environ.get("SEED") or 1)
LIMITS = Limits(sessions=8, strangers=4, queued_events=64, queued_bytes=1 << 20)


def messages(rng: random.Random) -> bytes:
    """Something like a message: right, slightly wrong, or noise."""

    def number() -> int:
        return rng.choice((0, 1, 6, 17, 80, rng.getrandbits(8), rng.getrandbits(16), rng.getrandbits(64), -1))

    def address() -> object:
        return rng.choice(
            (PEER, HERE, rng.randbytes(4), rng.randbytes(16), rng.randbytes(5), None, bytes(16))
        )

    def anything() -> object:
        other = rng.choice((None, "established", "x", rng.random(), [1], True))
        return rng.choice((number(), address(), other))

    small = rng.randint(0, 20)
    known: list[msg.Message] = [
        msg.Listen(1, rng.choice((6, 17, 1, 255)), rng.randint(0, 99), dual=rng.random() < 0.1),
        msg.Connect(2, rng.choice((6, 17)), rng.choice((PEER, rng.randbytes(4))), small),
        msg.Accept(3, small, HERE, PEER, rng.randint(0, 9)),
        msg.TakeProtocol(4, rng.randint(0, 255), rng.random() < 0.5),
        msg.Mark(5, small, rng.choice(("established", "half_closed", "withdrawn", "x"))),
        msg.Close(6, small, rng.random() < 0.5),
        msg.Offer(7, small, rng.randint(0, 9)),
        msg.Take(8, small, rng.choice((0, 80))),
        msg.Resolve(9, rng.choice((PEER, rng.randbytes(4)))),
        msg.LeaseIds(10),
        msg.Send(11, small, rng.randbytes(60)),
        Wait(12, rng.randint(0, 50), rng.choice((None, rng.getrandbits(40)))),
    ]
    raw = encode(rng.choice(known))
    kind = rng.random()
    if kind < 0.8:
        return raw
    if kind < 0.9:
        names = ("listen", "connect", "accept", "close", "take", "offer", "send", "wait", "hello", "detach")
        return encode([rng.choice(names), *(anything() for _ in range(rng.randint(0, 8)))])
    if kind < 0.95:
        at = rng.randrange(len(raw))
        return raw[:at] + rng.randbytes(1) + raw[at + 1 :]
    return rng.randbytes(rng.randint(1, 200))


@pytest.mark.parametrize("steps", [4_000, pytest.param(400_000, marks=pytest.mark.slow, id="long")])
def test_random_programs(tmp_path: Path, steps: int) -> None:
    """Programs say random things, write random bytes into their arenas and leave; the arbiter stays right."""
    print(f"SEED={SEED}")
    rng = random.Random(SEED)
    before = open_descriptors()
    served = Served(tmp_path / "s", limits=LIMITS, seed=SEED, pairs=5)
    good = Raw(served.path)
    good.hello()
    served.turns()
    good.say(msg.Listen(1, TCP, 1000))
    crowd: list[Raw] = []
    for step in range(steps):
        what = rng.random()
        try:
            if what < 0.05 or not crowd:
                crowd.append(Raw(served.path))
                if rng.random() < 0.9:
                    crowd[-1].hello(rx_slots=rng.choice((1, 8, 100)))
            elif what < 0.07:
                crowd.pop(rng.randrange(len(crowd))).__exit__()
            elif what < 0.15:
                vandalize(rng, rng.choice(crowd))
            else:
                rng.choice(crowd).say(messages(rng))
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            served.turn()
        for one in list(crowd):
            if rng.random() < 0.2:
                one.read()
            if one.closed:
                crowd.remove(one)
                one.__exit__()
        if rng.random() < 0.5:
            served.turn()
        if step % 500 == 0:
            served.turns()
            served.bench.check()
            good.say(msg.Mark(step, 1, "established"))
            served.turns()
            assert any(event.cookie == step for event in good.read())
    for one in [*crowd, good]:
        one.__exit__()
    served.turns(10)
    print(dict(served.core.counts))
    assert {"EBADMSG", "EPROTO", "hung up"} <= served.core.counts.keys()
    served.bench.pass_time(10**12)
    served.check_empty()
    served.close()
    assert open_descriptors() == before


def vandalize(rng: random.Random, raw: Raw) -> None:
    """Random bytes into all that a program can write."""
    if len(raw.rights) < 5:
        return
    os.pwrite(raw.rights[0], rng.randbytes(64), rng.randrange(os.fstat(raw.rights[0]).st_size - 64))
    os.write(rng.choice(raw.rights[1:3]), rng.randbytes(8))


def test_random_bytes_are_no_message() -> None:
    """The decoder has one error for whatever is no message."""
    rng = random.Random(SEED)
    print(f"SEED={SEED}")
    wrong = 0
    for _ in range(50_000):
        raw = messages(rng)
        try:
            decode_to_server(raw)
        except ValueError:
            wrong += 1
    assert 2_000 < wrong < 20_000
