# SPDX-License-Identifier: Apache-2.0
"""Two hosts on a wire, test certificates, and a fixed body to move."""

import hashlib
import random
from functools import cache
from pathlib import Path
from typing import Any

import trustme

from userstack import Host, Stack, StackConfig, TcpConfig
from userstack.testing import Impairment, Link
from userstack.tls import client_context, server_context

SERVER_IP, CLIENT_IP = "10.0.0.1", "10.0.0.2"
NAME = "server.test"


def host(number: int, seed: int = 0, mtu_bytes: int = 1500, **tcp: Any) -> Any:
    config = StackConfig(
        f"02:00:00:00:00:{number:02x}", f"10.0.0.{number}", mtu_bytes=mtu_bytes, tcp=TcpConfig(**tcp)
    )
    return Host(Stack(config, random.Random(seed * 1000 + number)))


def pair(seed: int = 0, impairment: Impairment | None = None, **tcp: Any) -> Any:
    """(server host, client host, link); the seed is printed for a rerun."""
    print(f"{seed=}")
    server, client = host(1, seed, **tcp), host(2, seed, **tcp)
    return server, client, Link(server, client, random.Random(seed), impairment or Impairment())


@cache
def body(size: int) -> Any:
    return random.Random(size).randbytes(size)


def digest(data: bytes) -> Any:
    return hashlib.sha256(data).hexdigest()


@cache
def authority() -> Any:
    return trustme.CA()


def contexts(tmp_path: Path, name: str = NAME) -> Any:
    """(server context, client context that trusts the test CA)."""
    ca = authority()
    issued = ca.issue_cert(name)
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    issued.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return server_context(str(chain), str(key)), client_context(ca.cert_pem.bytes())


async def serve_once(on: Host, data: bytes, port: int = 80) -> None:
    """Accept one connection, send all, close in an orderly way."""
    listener = on.socket()
    listener.bind(("0.0.0.0", port))
    listener.listen()
    sock, _ = await listener.accept()
    await sock.sendall(data)
    await sock.aclose(60 * 10**9)
    listener.close()


async def fetch(on: Host, port: int = 80) -> Any:
    """Connect, read to the end, return the SHA-256 in hex."""
    sock = on.socket()
    await sock.connect((SERVER_IP, port))
    hasher = hashlib.sha256()
    while data := await sock.recv(1 << 16):
        hasher.update(data)
    await sock.aclose()
    return hasher.hexdigest()
