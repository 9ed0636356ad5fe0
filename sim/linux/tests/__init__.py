# SPDX-License-Identifier: Apache-2.0
"""Real Linux around the NIC: namespaces, TAP ports, and the host kernel's sockets and interfaces by netlink.

Needs root and /dev/net/tun; docs/linux.md says what for. Nothing here knows the simulator or the arbiter.
"""
