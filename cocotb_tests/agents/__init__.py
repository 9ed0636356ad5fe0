# SPDX-License-Identifier: Apache-2.0
"""Agents that drive and watch the pins of tupelo_nic, one plain function call a clock edge each.

A beat is one Python integer, never a list of bytes, and no agent awaits a signal: `ClockLoop` awaits the edge
once and calls `step(cycle)` of each. At an edge the values read are those from before it, and values written
show after it, so agents behave as registers do.
"""
