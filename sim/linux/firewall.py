# SPDX-License-Identifier: Apache-2.0
"""One firewall rule, for the host's own programs: a held TCP port refuses them at once.

Segments between programs of the host never reach the NIC, and a placeholder's filter would drop them, so that
connecting would end in a time-out. The rule asks for the mark of the socket that a segment would reach, so it
is the same for all placeholders and is set once.
"""

import subprocess

from sim.linux.namespace import Namespace
from sim.linux.placeholder import MARK

RULES = f"""
table inet tupelo {{
  chain local {{
    type filter hook input priority 0
    iifname "lo" meta l4proto tcp socket mark {MARK:#x} reject with tcp reset
  }}
}}
"""


def refuse_local(namespace: Namespace) -> str:
    """Set the rule; it lives as long as the namespace. What is missing for it, in words; empty if it is set.

    Without it nothing is less safe: only the time-out stays.
    """
    command = ["nft", "-f", "-"]
    try:
        done = namespace.run(
            lambda: subprocess.run(command, input=RULES, text=True, capture_output=True, check=False)
        )
    except FileNotFoundError:
        return "nft (Debian package nftables)"
    return "" if done.returncode == 0 else f"nftables in this kernel: {done.stderr.splitlines()[0]}"
