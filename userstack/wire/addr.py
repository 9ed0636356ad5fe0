# SPDX-License-Identifier: Apache-2.0
"""Addresses as text and as the stack holds them: IPv4 as int, MAC as 6 bytes."""

from ..errors import BadAddress

BROADCAST_MAC = b"\xff" * 6
BROADCAST_IP = 0xFFFF_FFFF


def parse_ip(text: str) -> int:
    """Dotted quad to int; BadAddress unless four decimal numbers of 0..255."""
    parts = text.split(".")
    if len(parts) != 4 or not all(
        p.isascii() and p.isdigit() and len(p) <= 3 and int(p) < 256 for p in parts
    ):
        raise BadAddress(f"not an IPv4 address: {text!r}")
    return int.from_bytes(bytes(int(p) for p in parts), "big")


def format_ip(ip: int) -> str:
    return ".".join(str(octet) for octet in ip.to_bytes(4, "big"))


def parse_mac(text: str) -> bytes:
    """Colon-separated hex to 6 bytes; BadAddress on anything else and on group addresses."""
    try:
        raw = bytes(int(part, 16) for part in text.split(":") if len(part) == 2)
    except ValueError:
        raw = b""
    if len(raw) != 6 or len(text) != 17 or raw[0] & 1:
        raise BadAddress(f"not a unicast MAC address: {text!r}")
    return raw


def format_mac(mac: bytes) -> str:
    return mac.hex(":")


def is_multicast(ip: int) -> bool:
    return ip >> 28 == 0xE


def multicast_mac(ip: int) -> bytes:
    """Ethernet group of an IPv4 group (RFC 1112 section 6.4)."""
    return b"\x01\x00\x5e" + (ip & 0x7F_FFFF).to_bytes(3, "big")
