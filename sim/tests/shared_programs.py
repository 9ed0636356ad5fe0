# SPDX-License-Identifier: Apache-2.0
"""What runs on the stacks of test_shared_stack.py."""

import random
import struct
from typing import Any

from sim.tests.shared_bench import HERE_IP
from userstack import Host, StackError, http

MS_NS, SECOND_NS = 1_000_000, 1_000_000_000
FILE = random.Random(7).randbytes(400_000)


def serve(host: Host, port: int = 80) -> http.Server:
    server = http.Server(host, http.files({"/file": FILE}))
    server.listen(port)
    host.spawn(server.run(), "web")
    return server


async def download(host: Host, ip: str = HERE_IP, port: int = 80) -> bytes:
    client = await http.connect(host, (ip, port), "test")
    body = await (await client.get("/file")).read()
    await client.aclose()
    return body


async def echo(host: Host, port: int) -> None:
    sock = host.udp_socket()
    sock.bind(("0.0.0.0", port))
    while True:
        data, address = await sock.recvfrom()
        sock.sendto(data, address)


async def ask(host: Host, port: int, count: int) -> int:
    sock = host.udp_socket()
    sock.connect((HERE_IP, port))
    right = 0
    for number in range(count):
        data = struct.pack(">I", number) * 20
        sock.send(data)
        right += (await sock.recvfrom())[0] == data
        await host.sleep_ns(MS_NS)
    sock.close()
    return right


async def error_of(work: Any) -> Any:
    try:
        await work
    except StackError as error:
        return error
    return None


async def listens(host: Host, port: int, ip: str = "0.0.0.0") -> Any:
    sock = host.socket()
    sock.bind((ip, port))
    sock.listen()
    return await sock.bound()


async def binds(host: Host, port: int, ip: str = "0.0.0.0") -> Any:
    sock = host.udp_socket()
    sock.bind((ip, port))
    return await sock.bound()
