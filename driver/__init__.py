# SPDX-License-Identifier: Apache-2.0
"""Tupelo's driver: VIRTIO 1.2 packed rings over a `Bus`, with no simulator, socket or clock of its own."""
