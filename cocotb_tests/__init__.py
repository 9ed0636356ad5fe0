# SPDX-License-Identifier: Apache-2.0
"""Simulator tests: each test_*.py builds a top and runs cocotb tests on it; agents/ drives and watches
pins.
"""
