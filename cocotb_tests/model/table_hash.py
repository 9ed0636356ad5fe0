# SPDX-License-Identifier: Apache-2.0
"""Where a key may lie in the steering tables: the hash bit by bit, as the register map defines it."""

WAYS = 4
HASH_BITS = 64
FLOW_BITS, LISTENER_BITS = 1 + 8 + 128 + 128 + 16 + 16, 1 + 1 + 8 + 128 + 16


def toeplitz64(table_key: bytes, bits: int, width: int) -> int:
    """Return the hash of the `width` bits of `bits`, the most significant one first."""
    stream = "".join(f"{octet:08b}" for octet in table_key)
    value = 0
    for place, bit in enumerate(f"{bits:0{width}b}"):
        if bit == "1":
            value ^= int(stream[place : place + HASH_BITS], 2)
    return value


def slots_of(table_key: bytes, bits: int, width: int, capacity: int) -> list[int]:
    """Return the slots in which a key may lie, the lowest first: four of each bank."""
    buckets = capacity // (2 * WAYS)
    digits = f"{toeplitz64(table_key, bits, width):064b}"
    taken = buckets.bit_length() - 1
    found = []
    for bank, text in enumerate((digits[:32], digits[32:])):
        bucket = int(text[:taken], 2)
        found += [(bank * buckets + bucket) * WAYS + way for way in range(WAYS)]
    return found
