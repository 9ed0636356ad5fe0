# SPDX-License-Identifier: Apache-2.0
"""Reference models of what the NIC does to frames; they share no code with the driver or the RTL."""
