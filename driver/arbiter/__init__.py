# SPDX-License-Identifier: Apache-2.0
"""The arbiter: who owns which tuple, what stacks may know of the host, and the tables that the NIC obeys."""
