# SPDX-License-Identifier: Apache-2.0
"""Frames for the transmit check: honest ones, and every trick that the guard's rules are there for."""

import random
from collections.abc import Iterator
from dataclasses import replace

from cocotb_tests.model.guard_model import ECN, TSO4, TSO6, Request
from cocotb_tests.model.steer_model import DROP, HOST, QUEUE, Info, Listener, SteerModel, Tuple
from cocotb_tests.parse_frames import FRAGMENT, ICMP, ICMPV6, TCP, UDP, Recipe, make, random_frame

OWN_MAC = bytes.fromhex("021122334455")
LOCALS = {0: (0x0A000001, 0x0A000002), 1: (0xFD << 120 | 1, 0xFD << 120 | 2)}
GROUP, STRANGER = {0: 0xE0000001, 1: 0xFF02 << 112 | 1}, {0: 0x0A000063, 1: 0xFD << 120 | 0x63}
PEERS = {0: (0x0A000009, 0xE0000005), 1: (0xFD << 120 | 9, 0xFF02 << 112 | 5)}
PORTS = (80, 443, 5000, 6000, 7000)
PAIRS = 8

Sent = tuple[bytes, Request]


def steering(rng: random.Random) -> SteerModel:
    """Return tables in which most tuples of the frames here have some owner or other."""
    model = SteerModel(enabled=True)
    model.local = {n: (ipv6, LOCALS[ipv6][n // 2]) for n, ipv6 in enumerate((0, 1, 0))}
    slot = 0
    for ipv6 in (0, 1):
        for proto in (TCP, UDP, 47):
            for port in PORTS if proto != 47 else (0,):
                for local in (*LOCALS[ipv6], None):
                    slot += 1
                    if rng.random() < 0.5:
                        key = Listener(ipv6, proto, local, port)
                        model.listeners.write(slot, key, random_info(rng, slot))
                for local in LOCALS[ipv6]:
                    for peer in PEERS[ipv6]:
                        slot += 1
                        if rng.random() < 0.4:
                            flow = Tuple(ipv6, proto, local, peer, port, rng.choice(PORTS) if port else 0)
                            model.flows.write(slot, flow, random_info(rng, slot))
    return model


def random_info(rng: random.Random, number: int) -> Info:
    return Info(rng.choice((QUEUE, QUEUE, QUEUE, QUEUE, HOST, DROP)), rng.randrange(1, 4), number, number)


class FrameMaker:
    """Makes the next frames of a pair, knowing what the pair owns."""

    def __init__(self, rng: random.Random, model: SteerModel) -> None:
        self.rng = rng
        self.flows = [(key, info) for key, info in model.flows.slots.values()]
        self.listeners = [(key, info) for key, info in model.listeners.slots.values()]

    def tuple_for(self, pair: int) -> Tuple:
        """Return a tuple that this pair owns, most of the time."""
        rng = self.rng
        if rng.random() < 0.6:
            own = [key for key, info in self.flows if info.pair == pair and info.target == QUEUE]
            return rng.choice(own or [key for key, _ in self.flows])
        ipv6 = rng.randrange(2)
        listeners = [key for key, info in self.listeners if info.pair == pair and key.ipv6 == ipv6]
        key = rng.choice(listeners or [Listener(ipv6, TCP, None, rng.choice(PORTS))])
        local = key.local
        if local is None:
            local = rng.choice((*LOCALS[ipv6], *LOCALS[ipv6], GROUP[ipv6], STRANGER[ipv6]))
        remote = rng.choice((*PEERS[ipv6], rng.getrandbits(128 if ipv6 else 32)))
        port = 0 if key.proto == 47 else rng.choice((*PORTS, rng.getrandbits(16)))
        return Tuple(ipv6, key.proto, local, remote, key.local_port, port)

    def recipe(self, asked: Tuple, size: int | None = None) -> Recipe:
        rng = self.rng
        octets = 16 if asked.ipv6 else 4
        payload = rng.choice((0, 1, 8, 30, 64, 200, 700)) if size is None else size
        recipe = Recipe(ether_type=0x86DD if asked.ipv6 else 0x0800, proto=asked.proto, rng=rng)
        recipe.src, recipe.dst = asked.local.to_bytes(octets, "big"), asked.remote.to_bytes(octets, "big")
        recipe.ports = asked.local_port.to_bytes(2, "big") + asked.remote_port.to_bytes(2, "big")
        recipe.macs = rng.choice((b"\xff" * 6, rng.randbytes(6))) + OWN_MAC
        recipe.payload = rng.randbytes(payload)
        recipe.tcp_words = rng.choice((5, 5, 8, 15))
        recipe.ident = rng.randbytes(4)
        return recipe

    def spoiled(self, recipe: Recipe) -> Recipe:
        """Return the recipe with one thing in it that the guard does not allow."""
        rng = self.rng
        change = rng.randrange(12)
        if change == 0:
            recipe.macs = recipe.macs[:6] + bytes([OWN_MAC[0] ^ 1]) + OWN_MAC[1:]
        elif change == 1:
            recipe.tags = (0x8100,) * rng.choice((1, 2, 3))
        elif change == 2:
            recipe.option_words = rng.randint(1, 10)
            recipe.extensions = ((rng.choice((0, 60)), 0, 0), *([(FRAGMENT, 0, 0)] * rng.randrange(2)))
        elif change == 3:
            recipe.extensions = ((FRAGMENT, 0, 0),)  # an atomic fragment: fine
        elif change == 4:
            recipe.proto = rng.choice((ICMP, ICMPV6))
        elif change == 5:
            recipe.ether_type = rng.choice((0x0806, 0x86DD, 0x0800, 0x88CC))
        elif change == 6:
            recipe.tcp_offset, recipe.udp_length = rng.randrange(16), rng.randrange(40)
        elif change == 7:
            recipe.ip_length = rng.choice((0, 19, 20, 28, 39, 40, 60, 2000))
        elif change == 8:
            recipe.padding = rng.randbytes(rng.choice((1, 20, 100)))
        elif change == 9:
            recipe.short = rng.randint(1, 30)
        elif change == 10:
            recipe.fragment = rng.getrandbits(16)
            recipe.extensions = ((FRAGMENT, 0, rng.getrandbits(16)),)
        else:
            recipe.proto = 47
        return recipe

    def request(self, asked: Tuple, frame: bytes, honest: bool) -> Request:
        """Return an offload request for a frame of known headers."""
        rng = self.rng
        l4 = 14 + (40 if asked.ipv6 else 20)
        good = Request(1, csum_start=l4, csum_offset=16 if asked.proto == TCP else 6)
        if asked.proto == TCP and rng.random() < 0.6:
            kind = (TSO6 if asked.ipv6 else TSO4) | rng.choice((0, ECN))
            most = 9728 - l4 - 4 * (frame[l4 + 12] >> 4) if len(frame) > l4 + 12 else 100
            good = replace(good, gso_type=kind, gso_size=rng.choice((1, 511, 512, 1448, most)))
        if honest:
            return good
        field = rng.choice(("flags", "gso_type", "gso_size", "csum_start", "csum_offset", "csum_offset"))
        value = getattr(good, field)
        other = value ^ 1 << rng.randrange(8 if field in ("flags", "gso_type") else 16)
        if field == "gso_size":
            other = rng.choice((0, value + 1, 9000, 65535))
        return replace(good, **{field: other})

    def single(self, pair: int) -> Sent:
        """One frame that has nothing to do with the one before."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.1:
            frame = bytearray(random_frame(rng))
            if rng.random() < 0.8:
                frame[6:12] = OWN_MAC
            return bytes(frame), Request(rng.choice((0, 0, 2, 0xFE)))
        if kind < 0.13:
            return rng.randbytes(rng.randint(1, 20)), Request(rng.randrange(2), rng.choice((0, 0, 1)))
        asked = self.tuple_for(pair)
        recipe = self.recipe(asked)
        if kind < 0.45:
            recipe = self.spoiled(recipe)
        frame = make(recipe)
        if rng.random() < 0.4:
            return frame, self.request(asked, frame, honest=rng.random() < 0.6)
        return frame, Request()

    def train(self, pair: int) -> Iterator[Sent]:
        """A packet in fragments, in most cases with something wrong."""
        rng = self.rng
        asked = self.tuple_for(pair)
        whole = make(self.recipe(asked, size=rng.choice((100, 400, 1000))))
        data = whole[14 + (40 if asked.ipv6 else 20) :]
        trick, at, place, claim = rng.randrange(12), 0, 0, None
        base = self.recipe(asked, size=0)
        sent = []
        while at < len(data):
            size = 8 * rng.randint(1 if at or trick == 1 else 8, 20)
            if trick == 2 and at:
                size += rng.randrange(8)
            sent.append((at, data[at : at + size], at + size < len(data)))
            at += size
        if trick == 3:
            place = rng.randrange(len(sent))
            del sent[place]
        elif trick == 4:
            rng.shuffle(sent)
        elif trick == 5:
            sent.insert(rng.randrange(len(sent)), rng.choice(sent))
        elif trick == 6:
            sent = [(at - 8 * (at > 0), part, more) for at, part, more in sent]
        elif trick == 7:  # a first fragment that claims to be very long, and an end that is the last straw
            claim = 65480 - 8 * rng.randrange(3)
            end = rng.choice((65512, 65515, 65516, 65520, 65535, 65536))
            sent = [(0, (data * 2)[:144], True), (claim, rng.randbytes(end - claim), False)]
        elif trick == 8:
            sent.insert(1, (sent[0][0] + len(sent[0][1]), b"", True))
        for number, (offset, part, more) in enumerate(sent):
            recipe = replace(base, proto=asked.proto)
            if trick == 9 and number == 1:
                recipe.ident = rng.randbytes(4)
            if trick == 10 and number == 1:
                recipe.dst = rng.randbytes(len(recipe.dst))
            request = Request(1, csum_start=34, csum_offset=6) if trick == 11 and number else Request()
            yield fragment(recipe, asked, offset, part, more, claim if number == 0 else None), request
            if rng.random() < 0.04:
                yield self.single(pair)


def fragment(
    recipe: Recipe, asked: Tuple, offset: int, part: bytes, more: bool, claim: int | None = None
) -> bytes:
    """Return one fragment's frame; claim: bytes that the IP header says it has."""
    size = len(part) if claim is None else claim
    link = recipe.macs + recipe.ether_type.to_bytes(2, "big")
    if asked.ipv6:
        word = (offset & 0xFFF8) | int(more)
        head = bytes([0x60, 0, 0, 0]) + (size + 8).to_bytes(2, "big") + bytes([FRAGMENT, 64])
        head += recipe.src + recipe.dst
        return link + head + bytes([asked.proto, 0]) + word.to_bytes(2, "big") + recipe.ident + part
    word = (offset & 0xFFFF) >> 3 | int(more) << 13
    head = bytes([0x45, 0]) + (size + 20).to_bytes(2, "big") + recipe.ident[:2]
    head += word.to_bytes(2, "big") + bytes([64, asked.proto, 0, 0]) + recipe.src + recipe.dst
    return link + head + part
