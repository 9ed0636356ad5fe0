# SPDX-License-Identifier: Apache-2.0
"""The Toeplitz hash by table: one look-up a byte of input instead of one XOR a bit.

Input bit i (bit 0 is the most significant bit of byte 0) adds, if it is set, the key's bits i ..
i + result_bits - 1, the first of them as the most significant bit of the result. This is the hash of
receive-side scaling (VIRTIO 1.2 section 5.1.6.4.3) and of the device's look-up tables.
"""

from collections.abc import Iterator

from driver.errors import UsageError


class Toeplitz:
    """A key ready for inputs of up to `input_bytes`. To make it takes milliseconds, a hash microseconds."""

    def __init__(self, key: bytes, input_bytes: int, result_bits: int = 32) -> None:
        """UsageError if the key is shorter than the windows of all input bits need."""
        if not 0 < 8 * input_bytes + result_bits - 1 <= 8 * len(key):
            raise UsageError(
                f"Toeplitz: {input_bytes} bytes to {result_bits} bits need a key of "
                f"{8 * input_bytes + result_bits - 1} bits, not {8 * len(key)}"
            )
        self.key = bytes(key)
        self.input_bytes = input_bytes
        self.result_bits = result_bits
        self._tables = [list(self._byte_table(at)) for at in range(input_bytes)]

    def _byte_table(self, at: int) -> Iterator[int]:
        """What byte number `at` adds to the hash, for each of its 256 values."""
        key = int.from_bytes(self.key, "big")
        mask = (1 << self.result_bits) - 1
        last = 8 * len(self.key) - self.result_bits - 8 * at  # shift for bit 0 of this byte
        windows = [key >> (last - bit) & mask if last >= bit else 0 for bit in range(8)]
        values = [0]
        for window in reversed(windows):  # the least significant bit first
            values += [value ^ window for value in values]
        yield from values

    def hash(self, data: bytes) -> int:
        """Hash of `data`; missing bytes at its end count as zero. UsageError if it is too long."""
        if len(data) > self.input_bytes:
            raise UsageError(f"Toeplitz: {len(data)} bytes, at most {self.input_bytes}")
        value = 0
        for table, byte in zip(self._tables, data, strict=False):
            value ^= table[byte]
        return value
