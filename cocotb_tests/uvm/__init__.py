# SPDX-License-Identifier: Apache-2.0
"""The environment of the whole NIC on the pins harness, in pyuvm, and the attacker that shares its judges."""
