# SPDX-License-Identifier: Apache-2.0
"""Random frames with offload requests, made from the RFCs' header layouts, corners included."""

import random
import struct
from dataclasses import replace

from cocotb_tests.model.segment_model import Request, ones_sum

READ_ERROR = 15  # counter of a chain that could not be read


def tcp_headers(
    rng: random.Random, ipv6: bool, vlans: int = 0, ip_extra: int = 0, tcp_extra: int = 0
) -> tuple[bytes, int, int]:
    """Return (headers, l3 offset, l4 offset) of a TCP frame; the lengths and checksums in it are lies.

    ip_extra: bytes of IPv4 options (x 4) or IPv6 extension headers (x 8); tcp_extra: of TCP options (x 4).
    """
    ethernet = rng.randbytes(12) + b"".join(
        struct.pack(">HH", 0x8100, rng.getrandbits(16)) for _ in range(vlans)
    )
    ethernet += struct.pack(">H", 0x86DD if ipv6 else 0x0800)
    if ipv6:
        ip = struct.pack(">IHBB", 0x60000000, rng.getrandbits(16), 0 if ip_extra else 6, 64) + rng.randbytes(
            32
        )
        if ip_extra:
            ip += (
                struct.pack(">BB", 6, ip_extra // 8 - 1)
                + b"\x01"
                + bytes([ip_extra - 4])
                + bytes(ip_extra - 4)
            )
    else:
        ip = struct.pack(">BB", 0x45 + ip_extra // 4, 0) + rng.randbytes(6)
        ip += struct.pack(">BB", 64, 6) + rng.randbytes(10) + b"\x01" * ip_extra
    tcp = rng.randbytes(12) + bytes([(5 + tcp_extra // 4) << 4 | rng.getrandbits(1), rng.getrandbits(8)])
    tcp += rng.randbytes(6) + b"\x01" * tcp_extra
    return ethernet + ip + tcp, len(ethernet), len(ethernet) + len(ip)


def tso_request(rng: random.Random, payload: int, gso_size: int, plain: bool = False) -> Request:
    """Return a frame of `payload` bytes of data to be cut; plain: no VLAN tags, no options."""
    ipv6 = rng.random() < 0.5
    vlans = 0 if plain else rng.choice((0, 0, 1, 2))
    tcp_extra = 0 if plain else 4 * rng.randint(0, 10)
    room = (128 - 14 - 4 * vlans - (60 if ipv6 else 40) - tcp_extra) // 8
    ip_extra = 0 if plain else 8 * rng.randint(0, max(0, room)) * (rng.random() < 0.3)
    headers, l3, l4 = tcp_headers(rng, ipv6, vlans, ip_extra if ipv6 else min(ip_extra, 40), tcp_extra)
    if len(headers) > 128:
        return tso_request(rng, payload, gso_size, plain)
    return tso_frame(rng, headers, l3, l4, ipv6, payload, gso_size)


def tso_frame(
    rng: random.Random, headers: bytes, l3: int, l4: int, ipv6: bool, payload: int, gso_size: int
) -> Request:
    """Return the request for these headers and random data, now and then of one value only."""
    data = bytes([rng.choice((0, 255))]) * payload if rng.random() < 0.1 else rng.randbytes(payload)
    return Request(
        headers + data,
        vq=rng.randrange(128),
        csum=True,
        csum_start=l4,
        csum_offset=16,
        tso=True,
        ipv6=ipv6,
        gso_size=gso_size,
        l3=l3,
        l4=l4,
        payload=len(headers),
    )


def csum_request(rng: random.Random, size: int) -> Request:
    """Return a frame that asks for a checksum anywhere, odd places and sums of 0 included."""
    start = rng.randrange(size - 1)
    offset = rng.randrange(size - start - 1)
    if rng.random() < 0.5:
        start, offset = min(start, 100), min(offset, 18)
    frame = rng.randbytes(size)
    luck = rng.random()
    if luck < 0.05:
        frame = frame[:start] + bytes(size - start)
    elif luck < 0.25 and size - start >= 6:
        at = start + 2 * rng.randrange((size - start) // 2)
        frame = frame[:at] + b"\0\0" + frame[at + 2 :]
        frame = frame[:at] + (0xFFFF - ones_sum(frame[start:])).to_bytes(2, "big") + frame[at + 2 :]
    return Request(frame, rng.randrange(128), csum=True, csum_start=start, csum_offset=offset)


def small_size(rng: random.Random) -> int:
    """Return a frame's size, the corners of all beat widths often."""
    pick = rng.random()
    if pick < 0.4:
        return rng.randint(14, 200)
    if pick < 0.7:
        return max(14, 16 * rng.randint(1, 40) + rng.randint(-1, 1))
    return rng.randint(14, 1600) if pick < 0.97 else rng.choice((9727, 9728, rng.randint(2000, 9728)))


def random_request(rng: random.Random, beat: int, large: float = 0.01) -> Request:
    """Return any request; large: chance of one of tens of kilobytes."""
    kind = rng.random()
    size = small_size(rng)
    if rng.random() < large:
        return _large(rng)
    if kind < 0.25:
        return Request(rng.randbytes(size), rng.randrange(128))
    if kind < 0.55:
        return csum_request(rng, size)
    if kind < 0.85:
        return _any_tso(rng, beat)
    return _dropped(rng, size, beat)


def _any_tso(rng: random.Random, beat: int) -> Request:
    gso = rng.choice((1, 2, rng.randint(1, 40), rng.randint(40, 700), beat * rng.randint(1, 6), 1448))
    pieces = rng.choice((0, 1, 1, 2, 3, rng.randint(1, 12)))
    payload = gso * pieces + rng.choice((0, 0, 1, -1, rng.randint(0, gso)))
    request = tso_request(rng, max(0, payload), gso, plain=rng.random() < 0.3)
    if rng.random() < 0.9:
        return request
    exact = beat * rng.choice((1, 2, 3, 30)) - request.payload % beat  # one segment, and it ends with a beat
    return replace(request, frame=request.frame[: request.payload] + rng.randbytes(exact), gso_size=exact)


def _dropped(rng: random.Random, size: int, beat: int) -> Request:
    request = rng.choice((csum_request(rng, size), _any_tso(rng, beat)))
    pick = rng.randrange(6)
    if pick == 0:
        return replace(request, drop=rng.randint(12, 40))
    if pick in (1, 5):
        return replace(request, error=READ_ERROR, drop=rng.choice((None, None, 14)))
    if pick == 2:
        return replace(request, error=READ_ERROR, frame=request.frame[: rng.choice((0, 0, 1, 13, beat))])
    if pick == 3 and request.tso:
        return replace(request, frame=request.frame[: rng.randint(1, request.payload - 1)])
    start = len(request.frame) - rng.randint(0, 3)
    return replace(request, tso=False, csum_start=start, csum_offset=rng.randint(0, 65535))


def _large(rng: random.Random) -> Request:
    pick = rng.randrange(6)
    if pick == 0:
        return Request(rng.randbytes(rng.choice((9729, 20000, 16384, 65535))), 3)
    if pick == 1:
        return Request(rng.randbytes(rng.choice((16383, 65550))), 5, drop=14)
    size = rng.choice((65535, rng.randint(10000, 65000)))
    request = tso_request(rng, 0, rng.choice((1448, 1460, 536, 8960, 9600, rng.randint(500, 9000))))
    l4_and_tcp = request.payload - (request.l3 + 40 if request.ipv6 else request.l3)
    error = READ_ERROR if pick == 2 else None
    return replace(request, frame=request.frame + rng.randbytes(size - l4_and_tcp), error=error)
