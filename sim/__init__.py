# SPDX-License-Identifier: Apache-2.0
"""Simulator builds, the harnesses around the NIC, and the commands that use them."""
