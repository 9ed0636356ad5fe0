# SPDX-License-Identifier: Apache-2.0
"""Frames for the parser: every combination of headers, lies about lengths, cuts, and frames made by scapy."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from cocotb_tests.model.parse_model import AUTH, FRAGMENT, ICMP, ICMPV6, ROUTING, TCP, UDP, ones_sum

EXT_TYPES = (0, 43, 44, 51, 60)
OTHER_PROTOS = (41, 47, 50, 59, 132, 135)


@dataclass
class Recipe:
    """One frame; None: as it should be, another value: a lie."""

    tags: tuple[int, ...] = ()
    ether_type: int = 0x0800
    option_words: int = 0
    version: int | None = None
    ihl: int | None = None
    ip_length: int | None = None
    fragment: int = 0  # flags and offset as in the IPv4 header
    ip_sum_error: int = 0
    proto: int = TCP
    extensions: tuple[tuple[int, int, int], ...] = ()  # type, length field, fragment word or segments left
    tcp_words: int = 5
    tcp_offset: int | None = None
    udp_length: int | None = None
    l4_sum_error: int = 0
    l4_sum: int | None = None
    payload: bytes = b""
    short: int = 0  # bytes missing at the end of the packet
    padding: bytes = b""
    macs: bytes = bytes(range(2, 14))
    src: bytes = bytes([10, 0, 0, 1])
    dst: bytes = bytes([10, 0, 0, 2])
    ports: bytes = b"\x04\xd2\x00\x50"
    ident: bytes = b"\x12\x34\x56\x78"
    rng: random.Random = field(default_factory=lambda: random.Random(0))


def extension(recipe: Recipe, kind: int, length: int, word: int, following: int) -> bytes:
    if kind == FRAGMENT:
        return bytes([following, length & 0xFF]) + word.to_bytes(2, "big") + recipe.ident
    octets = (length + 2) * 4 if kind == AUTH else (length + 1) * 8
    body = bytearray(recipe.rng.randbytes(max(octets, 8) - 2))
    if kind == ROUTING:
        body[1] = word & 0xFF
    return bytes([following, length]) + body


def transport(recipe: Recipe, addresses: bytes) -> bytes:
    """Return a TCP, UDP or ICMP header with its payload and a right checksum, or the payload alone."""
    if recipe.proto == TCP:
        offset = recipe.tcp_words if recipe.tcp_offset is None else recipe.tcp_offset
        head = recipe.ports + recipe.rng.randbytes(8) + bytes([offset << 4 | recipe.rng.getrandbits(4)])
        head += recipe.rng.randbytes(3) + bytes(2) + recipe.rng.randbytes(2 + 4 * (recipe.tcp_words - 5))
        at = 16
    elif recipe.proto == UDP:
        length = 8 + len(recipe.payload) if recipe.udp_length is None else recipe.udp_length
        head, at = recipe.ports + length.to_bytes(2, "big") + bytes(2), 6
    elif recipe.proto in (ICMP, ICMPV6):
        head, at = recipe.rng.randbytes(2) + bytes(2) + recipe.rng.randbytes(4), 2
    else:
        return recipe.payload
    segment = head + recipe.payload
    covered = (
        segment[: recipe.udp_length] if recipe.proto == UDP and recipe.udp_length is not None else segment
    )
    pseudo = addresses + bytes([0, recipe.proto]) + len(covered).to_bytes(4, "big")
    total = recipe.l4_sum
    if total is None:
        total = (ones_sum(pseudo + covered) ^ 0xFFFF) or 0xFFFF
        total = (total + recipe.l4_sum_error) & 0xFFFF
    return segment[:at] + total.to_bytes(2, "big") + segment[at + 2 :]


def make(recipe: Recipe) -> bytes:
    """Return the frame."""
    link = recipe.macs + b"".join(tpid.to_bytes(2, "big") + recipe.rng.randbytes(2) for tpid in recipe.tags)
    link += recipe.ether_type.to_bytes(2, "big")
    if recipe.ether_type == 0x0800:
        packet = make_ipv4(recipe)
    elif recipe.ether_type == 0x86DD:
        packet = make_ipv6(recipe)
    else:
        packet = recipe.payload
    frame = link + packet[: len(packet) - recipe.short] + recipe.padding
    return frame + bytes(max(0, 14 - len(frame)))


def make_ipv4(recipe: Recipe) -> bytes:
    body = transport(recipe, recipe.src + recipe.dst)
    words = 5 + recipe.option_words
    first = (4 if recipe.version is None else recipe.version) << 4 | (
        words if recipe.ihl is None else recipe.ihl
    )
    total = 4 * words + len(body) if recipe.ip_length is None else recipe.ip_length
    head = (
        bytes([first, 0]) + total.to_bytes(2, "big") + recipe.ident[:2] + recipe.fragment.to_bytes(2, "big")
    )
    head += (
        bytes([64, recipe.proto, 0, 0])
        + recipe.src
        + recipe.dst
        + recipe.rng.randbytes(4 * recipe.option_words)
    )
    check = ((ones_sum(head) ^ 0xFFFF) + recipe.ip_sum_error) & 0xFFFF
    return head[:10] + check.to_bytes(2, "big") + head[12:] + body


def make_ipv6(recipe: Recipe) -> bytes:
    src, dst = recipe.src.rjust(16, b"\xfd"), recipe.dst.rjust(16, b"\xfe")
    body = transport(recipe, src + dst)
    following = recipe.proto
    for kind, length, word in reversed(recipe.extensions):
        body = extension(recipe, kind, length, word, following) + body
        following = kind
    first = (6 if recipe.version is None else recipe.version) << 4
    total = len(body) if recipe.ip_length is None else recipe.ip_length
    head = bytes([first, 1, 2, 3]) + total.to_bytes(2, "big") + bytes([following, 64])
    return head + src + dst + body


def combinations(rng: random.Random) -> Iterator[bytes]:
    """Yield every number of tags with every option length, and with every row of up to four extensions."""
    tags: tuple[tuple[int, ...], ...] = ((), (0x8100,), (0x88A8,), (0x88A8, 0x8100), (0x8100, 0x8100))
    for tag, words, proto in itertools.product(tags, range(11), (TCP, UDP, ICMP, 132)):
        payload = rng.randbytes(rng.choice((0, 1, 2, 7, 30, 90)))
        recipe = Recipe(tag, option_words=words, proto=proto, payload=payload, rng=rng)
        recipe.padding = bytes(rng.choice((0, 0, 3, 18)))
        yield make(recipe)
    rows = [row for n in range(5) for row in itertools.product(EXT_TYPES, repeat=n)]
    rows += [tuple(rng.choices(EXT_TYPES, k=rng.choice((5, 6)))) for _ in range(100)]
    for row, count in itertools.product(rows, range(3)):
        sizes = tuple((kind, 1 if kind == AUTH else 0, 0) for kind in row)
        proto = rng.choice((TCP, UDP, ICMPV6, 59))
        payload = rng.randbytes(rng.choice((0, 1, 8, 41)))
        yield make(Recipe((0x8100,) * count, 0x86DD, extensions=sizes, proto=proto, payload=payload, rng=rng))


def templates(rng: random.Random) -> list[bytes]:
    """Return frames that are worth cutting at every byte."""
    made = []
    for count, proto in itertools.product(range(3), (TCP, UDP, ICMP)):
        v4 = Recipe((0x8100,) * count, option_words=count, proto=proto, payload=rng.randbytes(11), rng=rng)
        chain = ((0, 0, 0), (FRAGMENT, 0, 0), (AUTH, 2, 0), (60, 1, 0))[: 1 + count]
        v6 = Recipe((0x88A8,) * count, 0x86DD, extensions=chain, rng=rng, payload=rng.randbytes(5))
        v6.proto = ICMPV6 if proto == ICMP else proto
        made += [make(v4), make(v6)]
    return made


def cuts(rng: random.Random) -> Iterator[bytes]:
    """Yield each template cut at every byte; the length field as it was, and one that fits the cut."""
    for frame in templates(rng):
        for end in range(14, len(frame)):
            yield frame[:end]
            l3 = 14
            while frame[l3 - 2 : l3] in (b"\x81\x00", b"\x88\xa8"):
                l3 += 4
            if end >= l3 + 40:
                cut = bytearray(frame[:end])
                place, base = (l3 + 2, 0) if frame[l3] >> 4 == 4 else (l3 + 4, 40)
                cut[place : place + 2] = (end - l3 - base).to_bytes(2, "big")
                yield bytes(cut)


def lies(rng: random.Random) -> Iterator[bytes]:
    """Yield frames in which one length or version field takes every value that could matter."""
    kinds = ((0x0800, TCP), (0x0800, UDP), (0x86DD, TCP), (0x86DD, UDP))
    for ether_type, proto in kinds:
        base = {"ether_type": ether_type, "proto": proto, "payload": rng.randbytes(9), "rng": rng}
        for value in range(16):
            yield make(Recipe(**base, version=value))
            yield make(Recipe(**base, ihl=value))
            yield make(Recipe(**base, tcp_offset=value))
        for value in (*range(90), 0x7FFF, 0x8000, 0xFFD7, 0xFFD8, 0xFFFF):
            yield make(Recipe(**base, ip_length=value))
            yield make(Recipe(**base, ip_length=value, padding=bytes(range(1, 60))))
            yield make(Recipe(**base, udp_length=value))
    for kind, value in itertools.product(EXT_TYPES, (*range(12), 31, 63, 64, 254, 255)):
        for before in range(3):
            rows = ((60, 0, 0),) * before + ((kind, value, 0),)
            frame = make(Recipe(ether_type=0x86DD, extensions=rows, rng=rng))
            yield frame
            yield frame[: 14 + 40 + 8 * before + rng.choice((8, 12, 16, 24, 40))]


def random_frame(rng: random.Random) -> bytes:
    """Return a frame in which most things are right."""
    recipe = Recipe(rng=rng, macs=rng.randbytes(12), ident=rng.randbytes(4), ports=rng.randbytes(4))
    recipe.tags = tuple(rng.choices((0x8100, 0x88A8, 0x9100), (8, 8, 1), k=rng.choice((0, 0, 0, 1, 2, 3))))
    kinds, weights = (0x0800, 0x86DD, 0x0806, rng.randrange(0x600), rng.getrandbits(16)), (20, 20, 1, 1, 1)
    recipe.ether_type = rng.choices(kinds, weights)[0]
    recipe.payload = rng.randbytes(rng.choice((0, 1, 3, 8, 20, 40, 70, rng.randrange(600))))
    recipe.proto = rng.choice((TCP, TCP, UDP, UDP, ICMP, ICMPV6, *OTHER_PROTOS[:2], rng.randrange(256)))
    six = recipe.ether_type == 0x86DD
    recipe.src, recipe.dst = (rng.randbytes(16 if six else 4) for _ in range(2))
    recipe.option_words = rng.choice((0, 0, 0, rng.randrange(11)))
    recipe.tcp_words = rng.choice((5, 5, 8, rng.randint(5, 15)))
    word = rng.choice((0, 0, 0, 0x4000, 0x2000, rng.getrandbits(16)))
    recipe.fragment = word
    recipe.extensions = tuple(random_extension(rng) for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3, 4, 5))))
    recipe.padding = rng.randbytes(rng.choice((0, 0, 0, 1, 6, 18, rng.randrange(100))))
    recipe.l4_sum_error, recipe.ip_sum_error = (rng.choice((0, 0, 0, 0, 0, 1, 0x100)) for _ in range(2))
    if rng.random() < 0.08:
        recipe.l4_sum = rng.choice((0, 0xFFFF))
    for name, top in (
        ("ip_length", 200),
        ("udp_length", 100),
        ("ihl", 15),
        ("tcp_offset", 15),
        ("version", 15),
    ):
        if rng.random() < 0.03:
            setattr(recipe, name, rng.randint(0, top))
    return spoil(make(recipe), rng)


def random_extension(rng: random.Random) -> tuple[int, int, int]:
    kind = rng.choice((*EXT_TYPES, 44, *OTHER_PROTOS[2:3]))
    if kind == FRAGMENT:
        return kind, 0, rng.choice((0, 0, 1, 6, rng.getrandbits(16)))
    length = rng.choice((1, 1, 1, 2, 4, 0)) if kind == AUTH else rng.choice((0, 0, 0, 1, 3, 9))
    return kind, length, rng.choice((0, 0, 0, 0, 1, 2, 128))


def spoil(frame: bytes, rng: random.Random) -> bytes:
    """Cut the frame somewhere or change a byte of its headers, sometimes."""
    if rng.random() < 0.12:
        frame = frame[: rng.randint(14, len(frame))]
    if rng.random() < 0.12:
        changed = bytearray(frame)
        changed[rng.randrange(min(len(changed), 100))] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
        frame = bytes(changed)
    return frame
