# SPDX-License-Identifier: Apache-2.0
"""Codecs: bytes <-> values. No state, no I/O, no time."""
