# SPDX-License-Identifier: Apache-2.0
"""The arbiter through random lives of stacks, host and interface: all agree throughout."""

import random

import pytest

from driver.arbiter import messages as msg
from driver.arbiter.arbiter import Arbiter
from driver.arbiter.clients import Credentials
from driver.arbiter.entries import HOST_STACK, Kind
from driver.arbiter.entries import Request as Wish
from driver.arbiter.mirror import Mirror
from driver.arbiter.registry import Registry
from driver.errors import ArbiterError, UsageError
from driver.tests.arbiter_bench import HERE, HERE6, HERE_TOO, PEER, TCP, Bench
from driver.windows import Window

LONG_NS = 200_000_000_000


def random_step(bench: Bench, rng: random.Random, tokens: list[int], hosts: list[int]) -> None:
    """Something that stacks, the host or the world may do; refusals are fine."""
    arbiter = bench.arbiter
    clients = list(arbiter.clients)
    what, cookie, port = rng.random(), rng.getrandbits(30), rng.randint(1, 12)
    here = rng.choice([None, HERE, HERE_TOO])
    try:
        if what < 0.04 or not clients:
            bench.arbiter.attach(*_credentials(rng))
            return
        client = rng.choice(clients)
        if what < 0.06:
            arbiter.vanish(client.stack, bench.now_ns)
        elif what < 0.09:
            arbiter.suspend(client.stack)
        elif what < 0.13:
            arbiter.resume(client.stack, client.windows)
        elif what < 0.15:
            rng.choice([arbiter.remove_address, arbiter.add_address])(rng.choice([HERE, HERE_TOO, HERE6]))
        elif what < 0.17:
            rng.choice([arbiter.detach_interface, arbiter.attach_interface])()
        elif what < 0.22:
            bench.now_ns += rng.choice([1_000_000, 10_000_000_000])
            arbiter.on_timer(bench.now_ns)
        elif what < 0.30:
            local = None if here is None else int.from_bytes(here, "big")
            hosts.append(
                arbiter.host_reserve(Wish(HOST_STACK, Kind.HOST, TCP, local=local, local_port=port)).token
            )
        elif what < 0.34 and hosts:
            arbiter.host_release(hosts.pop(rng.randrange(len(hosts))), bench.now_ns)
        else:
            token = rng.choice(tokens) if tokens else 0
            requests: list[msg.Request] = [
                msg.Listen(cookie, TCP, port, local=here, reuse=rng.random() < 0.5),
                msg.Listen(cookie, TCP, port, dual=True),
                msg.Connect(
                    cookie,
                    TCP,
                    PEER,
                    port,
                    local=here,
                    local_port=rng.choice([0, port]),
                    reopen=rng.random() < 0.5,
                ),
                msg.Accept(cookie, token, HERE, PEER, rng.randint(1, 30)),
                msg.Mark(cookie, token, rng.choice(["established", "half_closed", "withdrawn"])),
                msg.Close(cookie, token, linger=rng.random() < 0.7),
                msg.Offer(cookie, token, rng.choice(clients).stack),
                msg.Take(cookie, token),
                msg.TakeProtocol(cookie, rng.choice([89, 132])),
            ]
            arbiter.request(client.stack, rng.choice(requests), bench.now_ns)
    except ArbiterError:
        pass


def _credentials(rng: random.Random) -> tuple[Credentials, list[Window]]:
    at = rng.getrandbits(20) << 20
    return Credentials(1, 1, 1), [Window(at, at + 4095)]


def random_life(seed: int, steps: int, **sizes: int) -> Bench:
    """Random steps with the hardware now behind, now up to date; checked whenever it is."""
    bench, rng = Bench(seed, **sizes), random.Random(f"life {seed}")
    tokens: list[int] = []
    hosts: list[int] = []
    for _ in range(steps):
        random_step(bench, rng, tokens, hosts)
        if rng.random() < 0.6:
            bench.work(rng.randint(0, 4))
        else:
            bench.work()
            bench.check()
        for events in bench.told.values():
            tokens += [event.token for event in events if isinstance(event, msg.Granted)]
            events.clear()
        del tokens[:-40]
    bench.work()
    for client in bench.arbiter.clients:
        bench.arbiter.vanish(client.stack, bench.now_ns)
    for token in hosts:
        bench.arbiter.host_release(token, bench.now_ns)
    bench.work()
    bench.check()
    bench.pass_time(LONG_NS)
    assert not bench.hardware.tables and not bench.hardware.open and not len(bench.arbiter.clients)
    assert len(bench.arbiter.mirror) == 0
    return bench


@pytest.mark.parametrize("sizes", [{}, {"flows": 3, "listeners": 4}, {"pairs": 2, "flows": 1}], ids=str)
def test_random_life(sizes: dict[str, int]) -> None:
    for seed in range(8):
        print(f"seed {seed} {sizes}")
        random_life(seed, 1500, **sizes)


def _nothing(*_: object) -> None:
    """In the place of something that matters."""


@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [
        (Mirror, "settled", lambda self, wishes: True),  # a pair is given on too early
        (Arbiter, "_divert", _nothing),  # suspended and dead stacks keep their frames
        (Arbiter, "_uncover", _nothing),  # flows lose the listener that they live on
        (Arbiter, "_disarm", _nothing),
        (Arbiter, "_back", _nothing),
        (Arbiter, "_away", _nothing),
        (Registry, "set_software", lambda self, token, on: self.get(token)),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_fault_is_found(owner: type, name: str, fault: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, fault)
    with pytest.raises((AssertionError, UsageError, ArbiterError, KeyError)):
        for seed in range(20):
            random_life(seed, 1500, flows=3, listeners=4)
