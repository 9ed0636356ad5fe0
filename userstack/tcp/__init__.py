# SPDX-License-Identifier: Apache-2.0
"""TCP (RFC 9293): one file a concern, all of them functions over `conn.Connection`."""
