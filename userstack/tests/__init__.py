# SPDX-License-Identifier: Apache-2.0
"""Pure tests of the stack: no simulator, no network, no wall clock except where speed is the subject."""
