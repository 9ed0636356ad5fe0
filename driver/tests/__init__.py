# SPDX-License-Identifier: Apache-2.0
"""Driver tests that need no simulator."""
