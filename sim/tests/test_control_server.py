# SPDX-License-Identifier: Apache-2.0
"""Programs that break the rules of the control socket: an error or the end for them, nothing for others."""

import errno
import fcntl
import itertools
import mmap
import os
import random
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from driver.arbiter import messages as msg
from driver.arbiter.clients import Quota
from driver.tests.arbiter_bench import PEER, TCP
from sim.control_core import Limits, Stage
from sim.control_messages import PACKET_BYTES, VERSION, Hello, Wait, Welcome, encode
from sim.tests.channel_bench import Raw, Served, open_descriptors

LIMITS = Limits(sessions=8, strangers=4, queued_events=64, queued_bytes=1 << 20)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    before = open_descriptors()
    host = Served(tmp_path / "s", limits=LIMITS)
    yield host
    host.turns()
    host.check_alive()
    host.check_empty()
    host.close()
    assert open_descriptors() == before


def joined(served: Served, path: Path | None = None) -> Raw:
    """A program with a channel."""
    raw = Raw(path or served.path)
    raw.hello()
    served.turns()
    (welcome,) = raw.read()
    assert isinstance(welcome, Welcome)
    return raw


REQUEST = encode(msg.Connect(1, TCP, PEER, 80))
BAD_PACKETS = {
    "random": random.Random(1).randbytes(300),
    "one byte": b"\xc1",
    "truncated": REQUEST[:-1],
    "more behind": REQUEST + b"\0",
    "no array": encode({"what": "connect"}),
    "unknown name": encode(["disconnect", 1]),
    "a name of the other side": encode(msg.Done(1)),
    "too few fields": encode(["connect", 1]),
    "too many fields": encode(["detach", 1, 2]),
    "wrong type": encode(["connect", 1, "tcp", PEER, 80]),
    "a negative cookie": encode(["detach", -1]),
    "a port of 17 bits": encode(["connect", 1, TCP, PEER, 1 << 16]),
    "an address of 3 bytes": encode(["connect", 1, TCP, PEER[:3], 80]),
    "no UTF-8": b"\x93\xa4mark\x01\x02".replace(b"\x93", b"\x94") + b"\xa2\xff\xfe",
    "nested": b"\x91" * 60_000,
    "a string that says it is long": b"\xdb\xff\xff\xff\xff",
    "hello twice": encode(Hello(0, VERSION)),
}


@pytest.mark.parametrize("name", BAD_PACKETS)
@pytest.mark.parametrize("greeted", [True, False])
def test_a_packet_that_is_none(served: Served, name: str, greeted: bool) -> None:
    if name == "hello twice" and not greeted:
        return
    with joined(served) if greeted else Raw(served.path) as raw:
        raw.say(BAD_PACKETS[name])
        served.turns()
        (refused,) = raw.read()
        assert isinstance(refused, msg.Refused)
        assert refused.errno == (errno.EISCONN if name == "hello twice" else errno.EBADMSG)
        assert raw.closed


@pytest.mark.parametrize(
    ("hello", "error"),
    [
        (Hello(0, VERSION + 1), errno.EPROTONOSUPPORT),
        (Hello(0, VERSION, rx_slots=2048), errno.EINVAL),
        (Hello(0, VERSION, buffer_bytes=65536), errno.EINVAL),
        (Hello(0, VERSION, 1024, 1024, 16384), errno.ENOMEM),
        (Wait(0, 0), errno.EPROTO),
        (msg.Listen(1, TCP, 80), errno.EPROTO),
    ],
)
def test_a_first_message_that_is_refused(tmp_path: Path, hello: msg.Message, error: int) -> None:
    served = Served(tmp_path / "s", limits=Limits(quota=Quota(arena_bytes=16 << 20)))
    with Raw(served.path) as raw:
        raw.say(hello)
        served.turns()
        (refused,) = raw.read()
        assert isinstance(refused, msg.Refused) and refused.errno == error
        assert raw.closed and len(served.arbiter.clients) == 0 and not served.memory.regions()
    served.close()


def test_a_packet_that_is_too_large(served: Served) -> None:
    with joined(served) as raw:
        raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        raw.say(b"\xc4" * (PACKET_BYTES + 1))
        served.turns()
        (refused,) = raw.read()
        assert isinstance(refused, msg.Refused) and refused.errno == errno.EMSGSIZE and raw.closed


def test_descriptors_are_not_taken(served: Served) -> None:
    with joined(served) as raw:
        before = open_descriptors()
        ends = os.pipe()
        socket.send_fds(raw.sock, [REQUEST], [*ends] * 20)
        for end in ends:
            os.close(end)
        served.turn()
        (refused,) = raw.read()
        assert isinstance(refused, msg.Refused) and refused.errno == errno.EBADMSG
        served.turns()
        assert len(open_descriptors()) < len(before)  # the program's own channel is closed, too


def test_who_says_nothing_is_thrown_out(tmp_path: Path) -> None:
    wall_ns = [0]
    served = Served(tmp_path / "s", wall_ns=lambda: wall_ns[0])
    with Raw(served.path) as raw:
        served.turn()
        wall_ns[0] = served.core.limits.hello_patience_ns - 1
        served.turns()
        assert raw.read() == [] and served.core.next_wall_ns() == wall_ns[0] + 1
        wall_ns[0] += 1
        served.turns()
        (refused,) = raw.read()
        assert isinstance(refused, msg.Refused) and refused.errno == errno.ETIMEDOUT and raw.closed
    assert served.core.next_wall_ns() is None
    served.close()


def test_a_flood_of_connections(served: Served) -> None:
    """Those in a channel go on; newcomers are served when the flood has gone."""
    with joined(served) as good:
        crowd: list[Raw] = []
        for _ in range(200):
            try:
                crowd.append(Raw(served.path))
            except BlockingIOError:  # the backlog is full
                served.turn()
        served.turns(40)
        assert len(list(served.core)) <= LIMITS.sessions
        assert sum(one.stage is Stage.STRANGER for one in served.core) == LIMITS.strangers
        assert served.core.counts["EBUSY"] >= 100
        good.say(msg.Listen(1, TCP, 80))
        served.turns()
        assert isinstance(good.read()[-1], msg.Granted)
        for one in crowd:
            with one:
                pass


@pytest.mark.parametrize("spare", range(12))
def test_without_descriptors_newcomers_are_refused_and_nothing_leaks(served: Served, spare: int) -> None:
    before = open_descriptors()
    with Raw(served.path) as raw:
        raw.hello()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit_for(spare), hard))
        try:
            served.turns()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        # A socket, the arena and its mapping, three pipes, the clock.
        assert raw.closed == (spare < 10)
    served.turns()
    assert open_descriptors() == before


def limit_for(spare: int) -> int:
    """The limit that leaves so many descriptors."""
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    used = {fd for fd in used if os.path.islink(f"/proc/self/fd/{fd}")}  # not the one that listed them
    free = (fd for fd in itertools.count() if fd not in used)
    return next(itertools.islice(free, spare, None))


def test_a_flood_of_requests_gets_its_share_only(served: Served) -> None:
    """One program's packets are taken a few at a look; another's request is answered at the next."""
    with joined(served) as flood, joined(served) as good:
        sent = 0
        try:
            while True:
                flood.say(msg.Mark(1, 1, "x"))
                sent += 1
        except BlockingIOError:
            assert sent > 4 * LIMITS.packets_per_poll
        good.say(msg.Listen(1, TCP, 80))
        served.turn()
        served.turn()
        assert isinstance(good.read()[-1], msg.Granted)
        assert served.core.counts["ENOBUFS"] == 0  # no more answers at a time than it may have
        assert 0 < len(flood.read()) <= 4 * LIMITS.packets_per_poll  # two looks, which take twice each


def test_who_does_not_read_is_thrown_out(served: Served) -> None:
    with joined(served) as deaf, joined(served) as good:
        for turn in range(20_000):
            try:
                deaf.say(msg.Mark(turn, 1, "x" * 200))
            except BlockingIOError:
                served.turn()
                assert all(len(one.out) <= LIMITS.queued_events + 1 for one in served.core)
            except (BrokenPipeError, ConnectionResetError):
                break
        served.turns()
        assert served.core.counts["ENOBUFS"] == 1 and len(list(served.core)) == 1
        good.say(msg.Listen(1, TCP, 80))
        served.turns()
        assert isinstance(good.read()[-1], msg.Granted)


def test_frames_are_dropped_before_a_program_is(served: Served) -> None:
    with joined(served) as raw:
        stack = next(iter(served.arbiter.clients)).stack
        for _ in range(1000):
            served.core.tell(stack, msg.Deliver(0, bytes(1500)), served.now_ns)
            served.server.flush(served.now_ns)
        (session,) = served.core
        assert session.dropped > 500 and session.stage is Stage.JOINED
        got = raw.read()
        assert len(got) + session.dropped + len(session.out) == 1000


def test_the_other_ends_flags_do_not_matter(served: Served) -> None:
    """A program may make its own ends blocking and fill or empty its pipes; ours never block."""
    with joined(served) as raw:
        arena, rx, tx, wakes, clock = raw.rights
        for fd in (rx, tx, wakes):
            os.set_blocking(fd, True)
        os.set_blocking(rx, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(rx, bytes(4096))
        (session,) = served.core
        for _ in range(70_000):  # more than the pipe of wakes holds
            session.wake = True
            served.server.flush(served.now_ns)
        served.turns()
        for fd in (rx, tx, wakes):
            os.close(fd)
            raw.rights.remove(fd)
        session.wake = True
        served.turns()
        assert session.stage is Stage.JOINED
        assert os.fstat(arena).st_size % mmap.PAGESIZE == 0 and clock


def test_the_arena_keeps_its_size(served: Served) -> None:
    """A program that shrinks its arena would kill the simulator with SIGBUS."""
    with joined(served) as raw:
        arena, size = raw.rights[0], os.fstat(raw.rights[0]).st_size
        for other in (0, size // 2, size + 4096):
            with pytest.raises(PermissionError):
                os.ftruncate(arena, other)
        with pytest.raises(PermissionError):
            fcntl.fcntl(arena, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        with pytest.raises(OSError):
            mmap.mmap(raw.rights[4], mmap.PAGESIZE)  # the clock is not to be written


def test_wait_counts_only_if_no_wake_is_under_way(served: Served) -> None:
    with joined(served) as raw:
        (session,) = served.core
        served.turns()
        taken = len(os.read(raw.rights[3], 100))
        assert taken == session.wakes
        raw.say(Wait(0, taken + 1, served.now_ns + 1000))
        served.turn()
        assert (session.asleep, served.core.at_work) == (False, True)
        raw.say(Wait(0, taken, 10**18))
        served.server.poll(served.now_ns)
        assert (session.asleep, served.core.at_work) == (True, False)
        assert served.core.next_deadline_ns() == 10**18
        served.core.interrupt(session.stack)
        assert (session.asleep, served.core.at_work) == (True, True)
        raw.say(Wait(0, taken, None))  # said before the wake was seen
        served.server.poll(served.now_ns)
        assert (session.asleep, len(os.read(raw.rights[3], 100))) == (False, 1)
