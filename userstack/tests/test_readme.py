# SPDX-License-Identifier: Apache-2.0
"""The example in the README is run as it stands."""

import re
from pathlib import Path
from typing import Any

import trustme

README = Path(__file__).parent.parent / "README.md"


def test_the_example_downloads_the_file(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(README), "exec"), names)
    ca = trustme.CA()
    issued = ca.issue_cert("server.test")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    assert names["main"](str(chain), str(key), ca.cert_pem.bytes()) == (200, b"hello")
