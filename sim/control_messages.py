# SPDX-License-Identifier: Apache-2.0
"""What a program says to the simulator's process beside the arbiter's requests, and how both are packed.

One message is one packet of a SOCK_SEQPACKET socket: MessagePack, an array whose first element names it.
docs/channels.md has the rules. Whatever comes in is not trusted.
"""

from typing import Annotated, TypeAlias, TypeVar

import msgspec

from driver.arbiter import messages as msg
from driver.channel import Shape

VERSION = 1
PACKET_BYTES = (1 << 16) + 4096  # the largest packet: a frame and what goes around it
RIGHTS = ("arena", "rx_doorbell", "tx_doorbell", "wakes", "clock")  # descriptors of a Welcome, in this order
PAGES = ("registry", "host")  # and these where Welcome.pages says so

T = TypeVar("T")
Slots = Annotated[int, msgspec.Meta(ge=1, le=1 << 15)]
BufferBytes = Annotated[int, msgspec.Meta(ge=64, le=1 << 16)]


class Hello(msg.Message, frozen=True, tag="hello"):
    """The first message: what the program wants. It is answered by Welcome, or by Refused and the end."""

    version: int
    rx_slots: Slots = 256
    tx_slots: Slots = 256
    buffer_bytes: BufferBytes = 2048


class Welcome(msg.Message, frozen=True, tag="welcome"):
    """The channel is open; the packet carries the descriptors RIGHTS, then those named in `pages`."""

    version: int
    stack: int
    iova: msg.U64  # of the arena's first byte
    shape: Shape
    mac: bytes
    pages: tuple[str, ...] = ()


class Wait(msg.Message, frozen=True, tag="wait"):
    """The program sleeps until it is woken or simulated time reaches deadline_ns.

    wakes: how many wakes it has taken so far; if there was another one since, it does not sleep.
    """

    wakes: msg.U64
    deadline_ns: msg.U64 | None = None


ToServer: TypeAlias = msg.Request | Hello | Wait
ToProgram: TypeAlias = msg.Event | Welcome

_to_server: msgspec.msgpack.Decoder[ToServer] = msgspec.msgpack.Decoder(ToServer)
_to_program: msgspec.msgpack.Decoder[ToProgram] = msgspec.msgpack.Decoder(ToProgram)
encode = msgspec.msgpack.encode


class NotAMessage(ValueError):
    """A packet that says nothing that this side understands."""


def decode_to_server(raw: bytes) -> ToServer:
    """A packet from a program; NotAMessage for whatever is none."""
    return _decode(_to_server, raw)


def decode_to_program(raw: bytes) -> ToProgram:
    """A packet from the simulator's process; NotAMessage for whatever is none."""
    return _decode(_to_program, raw)


def _decode(decoder: "msgspec.msgpack.Decoder[T]", raw: bytes) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise NotAMessage(str(error)) from error
