# SPDX-License-Identifier: Apache-2.0
"""Well-formed frames by scapy, and what scapy's own dissection says about them."""

import random
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw


def scapy_frame(rng: random.Random) -> Any:
    """Return a scapy packet with right lengths and checksums."""
    packet: Any = Ether(dst=rng.randbytes(6).hex(":"), src=rng.randbytes(6).hex(":"))
    tags = rng.choice((0, 0, 1, 2))
    if tags == 2:
        packet /= rng.choice((Dot1AD, Dot1Q))(vlan=rng.randrange(4096))
    if tags:
        packet /= Dot1Q(vlan=rng.randrange(4096))
    six = rng.random() < 0.5
    if six:
        packet /= IPv6(src=rng.randbytes(16).hex(":", 2), dst=rng.randbytes(16).hex(":", 2))
        packet = with_extensions(packet, rng)
    else:
        words = rng.choice((0, 0, rng.randrange(1, 11)))
        options = [IPOption(bytes([0x9E, 4 * words]) + rng.randbytes(4 * words - 2))] if words else []
        packet /= IP(
            src=".".join(map(str, rng.randbytes(4))),
            dst=".".join(map(str, rng.randbytes(4))),
            options=options,
        )
    layers = (TCP, UDP, ICMPv6EchoRequest if six else ICMP)
    kind = rng.choice(layers)
    ports = {"sport": rng.getrandbits(16), "dport": rng.getrandbits(16)}
    packet /= kind() if kind is layers[2] else kind(**ports)
    if kind is TCP:
        packet[TCP].flags = rng.getrandbits(9)
        packet[TCP].options = rng.choice(
            ([], [("MSS", 1460)], [("Timestamp", (1, 2)), ("NOP", None), ("NOP", None)])
        )
    return packet / Raw(rng.randbytes(rng.randrange(64)))


def with_extensions(packet: Any, rng: random.Random) -> Any:
    if rng.random() < 0.3:
        packet /= IPv6ExtHdrHopByHop()
    if rng.random() < 0.2:
        packet /= IPv6ExtHdrRouting(addresses=[], segleft=0)
    if rng.random() < 0.2:
        packet /= IPv6ExtHdrFragment(offset=0, m=0, id=rng.getrandbits(32))
    if rng.random() < 0.2:
        packet /= IPv6ExtHdrDestOpt()
    return packet


def dissect(octets: bytes) -> dict[str, object]:
    """Return what scapy says, under the names of the reference parser."""
    seen = Ether(octets)
    said: dict[str, object] = {
        "vlans": len(seen.layers()) and sum(layer in (Dot1Q, Dot1AD) for layer in seen.layers())
    }
    said["src_mac"] = bytes.fromhex(seen.src.replace(":", ""))
    six = IPv6 in seen
    said["ipv6"] = six
    base = seen[IPv6] if six else seen[IP]
    said["l3_bytes"] = base.plen + 40 if six else base.len
    said["l3_offset"] = len(octets) - len(bytes(base))
    for name, layer in (("tcp", TCP), ("udp", UDP), ("icmp", ICMPv6EchoRequest if six else ICMP)):
        said[name] = layer in seen
        if layer in seen:
            said["l4_offset"] = len(octets) - len(bytes(seen[layer]))
            if name != "icmp":
                said["sport"], said["dport"] = seen[layer].sport, seen[layer].dport
                said["payload_offset"] = len(octets) - len(bytes(seen[layer].payload))
    return said
