# SPDX-License-Identifier: Apache-2.0
"""Addresses as messages have them (4 or 16 bytes) and as the registry has them (numbers)."""

import errno

from driver.errors import ArbiterError

FAMILIES = {4: 4, 16: 6}  # by length in bytes
BYTES = {4: 4, 6: 16}


def family_of(address: bytes) -> int:
    """4 or 6; EINVAL for any other length."""
    family = FAMILIES.get(len(address))
    if family is None:
        raise ArbiterError(errno.EINVAL, f"an address of {len(address)} bytes")
    return family


def number(address: bytes) -> int:
    """The address as a number."""
    return int.from_bytes(address, "big")


def number_or_any(address: bytes | None) -> int | None:
    """As number; None, any address, stays None."""
    return None if address is None else number(address)


def octets(family: int, address: int | None) -> bytes | None:
    """Inverse of number_or_any."""
    return None if address is None else address.to_bytes(BYTES[family], "big")
