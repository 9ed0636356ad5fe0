# SPDX-License-Identifier: Apache-2.0
"""Generator of everything that names a register: SystemVerilog, Python and docs/registers.md."""
