# SPDX-License-Identifier: Apache-2.0
"""A TAP interface as a port for frames: batches, without waiting, bounded, everything dropped is counted.

Linux Documentation/networking/tuntap.rst. With offloads each frame has a virtio_net_hdr before it (VIRTIO 1.2
section 5.1.6), in which the kernel asks for checksums and segmentation, and takes a word on received ones.
"""

import errno
import fcntl
import os
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from driver.descriptors import NET_HEADER_BYTES, NetHeader
from driver.offload import GSO_ECN, Gso, HdrFlag, TxOffload
from sim.linux.errors import LinuxError, Unavailable
from sim.linux.namespace import TUN_DEVICE, Namespace, missing

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNSETVNETLE = 0x400454CA, 0x400454D0, 0x400454D8, 0x400454DC
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN = 1, 2, 4, 8
FRAME_BYTES_MAX = 65_550 + NET_HEADER_BYTES
BATCH_FRAMES = 64
QUEUE_FRAMES = 1024
_PLAIN = NetHeader().encode()
_VALID = NetHeader(flags=int(HdrFlag.DATA_VALID)).encode()


@dataclass(slots=True)
class TapCounters:
    """Frames and bytes are without virtio_net_hdr. "in" is into the kernel, "out" is what it sent."""

    in_frames: int = 0
    in_bytes: int = 0
    out_frames: int = 0
    out_bytes: int = 0
    in_dropped_full: int = 0  # the queue towards the kernel was full
    in_dropped_down: int = 0  # the interface is down
    in_refused: int = 0  # the kernel takes no such frame
    out_bad_header: int = 0  # a request that no device could carry out

    def as_dict(self) -> dict[str, int]:
        """All by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(slots=True)
class TapPort:
    """The device side of a TAP that exists as long as this object is open.

    offloads: with virtio_net_hdr; else frames are whole and summed, as on a wire.
    """

    namespace: Namespace
    name: str
    offloads: bool = False
    queue_frames: int = QUEUE_FRAMES
    counters: TapCounters = field(default_factory=TapCounters)
    _fd: int = -1
    _queue: deque[bytes] = field(default_factory=deque)
    _buffer: bytearray = field(default_factory=lambda: bytearray(FRAME_BYTES_MAX))

    def __post_init__(self) -> None:
        if not 0 < len(self.name.encode()) < 16:
            raise LinuxError(errno.EINVAL, f"interface name {self.name!r}")
        self._fd = self.namespace.run(self._open)

    def _open(self) -> int:
        try:
            fd = os.open(TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"TAP {self.name!r}: {missing() or error}") from error
        try:
            flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if self.offloads else 0)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", self.name.encode(), flags))
            if self.offloads:
                fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", NET_HEADER_BYTES))
                fcntl.ioctl(fd, TUNSETVNETLE, struct.pack("i", 1))
                fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
        except OSError as error:
            os.close(fd)
            raise LinuxError(error.errno or errno.EIO, f"TAP {self.name!r}") from error
        return fd

    def fileno(self) -> int:
        """Readable when the kernel has sent, writable when it takes frames."""
        return self._fd

    @property
    def pending(self) -> int:
        """Frames that wait in the queue towards the kernel; flush() when the port is writable."""
        return len(self._queue)

    # From the kernel ----------------------------------------------------------------------------------

    def recv_raw(self, limit: int = BATCH_FRAMES) -> list[bytes]:
        """Up to `limit` frames that the kernel sent, with virtio_net_hdr if there are offloads."""
        fd, buffer = self._fd, self._buffer
        view = memoryview(buffer)
        found: list[bytes] = []
        try:
            while len(found) < limit:
                found.append(bytes(view[: os.readv(fd, (buffer,))]))
        except BlockingIOError:
            pass
        except OSError as error:
            raise LinuxError(error.errno or errno.EIO, f"TAP {self.name!r} is gone") from error
        self.counters.out_frames += len(found)
        header = NET_HEADER_BYTES if self.offloads else 0
        self.counters.out_bytes += sum(map(len, found)) - header * len(found)
        return found

    def recv(self, limit: int = BATCH_FRAMES) -> list[bytes]:
        """Frames of a port without offloads."""
        if self.offloads:
            raise LinuxError(errno.EINVAL, f"TAP {self.name!r} has offloads: recv_offload")
        return self.recv_raw(limit)

    def recv_offload(self, limit: int = BATCH_FRAMES) -> tuple[list[bytes], list[TxOffload | None]]:
        """Frames and what the kernel asks for each (None: nothing), as TupeloNic.send_offload takes them."""
        frames: list[bytes] = []
        wishes: list[TxOffload | None] = []
        for raw in self.recv_raw(limit):
            try:
                wish = request_of(raw)
            except ValueError:
                self.counters.out_bad_header += 1
                continue
            frames.append(raw[NET_HEADER_BYTES:])
            wishes.append(wish)
        return frames, wishes

    # To the kernel ------------------------------------------------------------------------------------

    def send(self, frames: Sequence[bytes], valid: bool = False) -> int:
        """Give frames to the kernel, in order; what finds no room in the queue is dropped and counted.

        valid: their checksums were verified, so that the kernel need not (offloads only). Returns how many
        were taken.
        """
        header = (_VALID if valid else _PLAIN) if self.offloads else b""
        return self.send_raw([header + frame for frame in frames] if header else frames)

    def send_raw(self, raws: Sequence[bytes]) -> int:
        """As send, with virtio_net_hdr if there are offloads."""
        room = self.queue_frames - len(self._queue)
        self._queue.extend(raws[:room])
        self.counters.in_dropped_full += max(0, len(raws) - room)
        self.flush()
        return min(room, len(raws))

    def flush(self) -> int:
        """Write queued frames until the kernel takes no more; return how many are left."""
        header = NET_HEADER_BYTES if self.offloads else 0
        counters, queue = self.counters, self._queue
        while queue:
            try:
                os.write(self._fd, queue[0])
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM):
                    break
                self._lost(error)
            else:
                counters.in_frames += 1
                counters.in_bytes += len(queue[0]) - header
            queue.popleft()
        return len(queue)

    def _lost(self, error: OSError) -> None:
        """A frame that will never be taken is counted; a device that is gone is an error."""
        if error.errno == errno.EIO:
            self.counters.in_dropped_down += 1
        elif error.errno in (errno.EINVAL, errno.EMSGSIZE):
            self.counters.in_refused += 1
        else:
            raise LinuxError(error.errno or errno.EIO, f"TAP {self.name!r} is gone") from error

    def close(self) -> None:
        """Remove the interface."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def request_of(raw: bytes) -> TxOffload | None:
    """What the virtio_net_hdr before a frame asks for; ValueError for what no device can do."""
    header = NetHeader.decode(raw[:NET_HEADER_BYTES])
    gso = Gso(header.gso_type & ~GSO_ECN)
    if not header.flags & HdrFlag.NEEDS_CSUM:
        if gso is not Gso.NONE:
            raise ValueError(f"segmentation without a checksum: {header!r}")
        return None
    start = header.csum_start
    if gso is Gso.NONE:
        return TxOffload(start, header.csum_offset)
    at = NET_HEADER_BYTES + start + 12
    if at >= len(raw):
        raise ValueError(f"headers end behind the frame of {len(raw)} bytes: {header!r}")
    # hdr_len is what the kernel has in one piece; the TCP header tells where the headers end.
    size = start + 4 * (raw[at] >> 4)
    ecn = bool(header.gso_type & GSO_ECN)
    return TxOffload(start, header.csum_offset, gso, header.gso_size_bytes, size, ecn)
