# SPDX-License-Identifier: Apache-2.0
"""Numbers that must differ, or go on rising, over all stacks; docs/arbiter.md, "Identifiers"."""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from errno import EAGAIN, EEXIST, EINVAL, ENOBUFS, ENOENT, EPERM
from hashlib import blake2s

from .entries import TCP, ArbiterError, Entry, Kind
from .ephemeral import Randomness
from .linger import SECOND_NS

DOMAIN_SHIFT = 30
TRIES = 5  # 100,000 ids of 2^30: five clashes in a row once in 10^20
IDS = 1 << 16
BLOCK = 256
LEASE_NS = 60 * SECOND_NS
DATAGRAM_LIFETIME_NS = 120 * SECOND_NS  # RFC 6864 section 3: maximum datagram lifetime, 2 minutes by custom
BLOCKS_PER_STACK = 16
KEY_BYTES = 16
ISN_TICK_NS = 4_000  # RFC 6528 section 3
TIMESTAMP_TICK_NS = 1_000_000  # RFC 7323 section 5.4: 1 ms to 1 s


class Domain(IntEnum):
    """Who gives a flow its id: the top two bits of it."""

    IPSEC = 0
    SWITCH = 1
    HOST = 2
    FILTER = 3


class FlowIds:
    """Ids of 32 bits, random, unique; never 0."""

    def __init__(self, rng: Randomness) -> None:
        self._rng = rng
        self._used: set[int] = set()

    def __len__(self) -> int:
        return len(self._used)

    def allocate(self, domain: Domain) -> int:
        """A new id; ENOBUFS after five clashes."""
        for _ in range(TRIES):
            flow_id = domain << DOMAIN_SHIFT | self._rng.getrandbits(DOMAIN_SHIFT)
            if flow_id and flow_id not in self._used:
                self._used.add(flow_id)
                return flow_id
        raise ArbiterError(ENOBUFS, f"no free flow id in {TRIES} tries; {len(self._used):,} are in use")

    def claim(self, flow_id: int) -> None:
        """Take an id that the host's stack has chosen; EINVAL outside its domain, EEXIST if in use."""
        if flow_id >> DOMAIN_SHIFT != Domain.HOST:
            raise ArbiterError(EINVAL, f"flow id {flow_id:#x} is not of the host's domain")
        if flow_id in self._used:
            raise ArbiterError(EEXIST, f"flow id {flow_id:#x} is in use")
        self._used.add(flow_id)

    def free(self, flow_id: int) -> None:
        """Give an id back; 0 and ids not in use are none."""
        self._used.discard(flow_id)


@dataclass(frozen=True, slots=True)
class IdBlock:
    """IPv4 identifications first..first+count-1, one stack's until it gives them back or the lease ends."""

    first: int
    count: int
    expires_ns: int


class IpIds:
    """The 65,536 IPv4 identifications, in blocks that stacks lease.

    Datagrams that are or may become fragments need an identification that their source, destination and
    protocol have not had for a datagram's lifetime (RFC 6864 section 4.3). All stacks share the source
    address, so no two hold the same number, and a block rests for that lifetime before it gets another
    owner. Within its blocks a stack keeps the rule by itself, for each destination and protocol.
    """

    def __init__(
        self,
        lease_ns: int = LEASE_NS,
        rest_ns: int = DATAGRAM_LIFETIME_NS,
        block: int = BLOCK,
        per_stack: int = BLOCKS_PER_STACK,
    ) -> None:
        if block < 1 or IDS % block or lease_ns < 1 or rest_ns < 0 or per_stack < 1:
            raise ArbiterError(EINVAL, f"identifications in blocks of {block}, {lease_ns=} {rest_ns=}")
        self._lease_ns, self._rest_ns = lease_ns, rest_ns
        self._block, self._per_stack = block, per_stack
        self._free = deque(range(0, IDS, block))
        self._resting: deque[tuple[int, int]] = deque()  # (until, first), in order
        self._leases: dict[int, tuple[int, int]] = {}  # first -> (stack, expires)

    def lease(self, stack: int, now_ns: int) -> IdBlock:
        """One more block; ENOBUFS beyond a stack's share, EAGAIN if none is free now.

        A stack without a block can still send atomic datagrams (DF set, whole): any identification will do.
        """
        self.on_timer(now_ns)
        if sum(owner == stack for owner, _ in self._leases.values()) >= self._per_stack:
            raise ArbiterError(ENOBUFS, f"stack {stack} has its {self._per_stack} blocks of identifications")
        if not self._free:
            raise ArbiterError(EAGAIN, "all IPv4 identifications are leased or at rest")
        first = self._free.popleft()
        return self._give(first, stack, now_ns)

    def renew(self, stack: int, first: int, now_ns: int) -> IdBlock:
        """Prolong a lease from now on; ENOENT if it has ended, EPERM if it is another's."""
        self.on_timer(now_ns)
        self._owned(stack, first)
        return self._give(first, stack, now_ns)

    def give_back(self, stack: int, first: int, now_ns: int) -> None:
        """End a lease; errors as renew."""
        self.on_timer(now_ns)
        self._owned(stack, first)
        self._rest(first, now_ns)

    def release_stack(self, stack: int, now_ns: int) -> None:
        """End all leases of a stack that is gone."""
        self.on_timer(now_ns)
        for first in [first for first, (owner, _) in self._leases.items() if owner == stack]:
            self._rest(first, now_ns)

    def next_deadline_ns(self) -> int | None:
        """When the next lease or rest ends."""
        ends = [expires for _, expires in self._leases.values()]
        return min(ends + [until for until, _ in list(self._resting)[:1]], default=None)

    def on_timer(self, now_ns: int) -> list[tuple[int, int]]:
        """End what is due; (stack, first) of the leases that ended."""
        ended = [
            (expires, owner, first) for first, (owner, expires) in self._leases.items() if expires <= now_ns
        ]
        for expires, _, first in sorted(ended):
            self._rest(first, expires)
        while self._resting and self._resting[0][0] <= now_ns:
            self._free.append(self._resting.popleft()[1])
        return [(owner, first) for _, owner, first in sorted(ended)]

    def _owned(self, stack: int, first: int) -> None:
        if first not in self._leases:
            raise ArbiterError(ENOENT, f"identifications from {first} are not leased")
        if self._leases[first][0] != stack:
            raise ArbiterError(EPERM, f"identifications from {first} are not leased to stack {stack}")

    def _give(self, first: int, stack: int, now_ns: int) -> IdBlock:
        expires = now_ns + self._lease_ns
        self._leases[first] = stack, expires
        return IdBlock(first, self._block, expires)

    def _rest(self, first: int, since_ns: int) -> None:
        del self._leases[first]
        self._resting.append((since_ns + self._rest_ns, first))


@dataclass(frozen=True, slots=True)
class TupleSecrets:
    """What a connection adds to the clock; 32 bits each."""

    isn_offset: int
    ts_offset: int

    def isn(self, now_ns: int) -> int:
        """Initial sequence number at a time: RFC 6528 section 3, M + F(tuple, secret)."""
        return (now_ns // ISN_TICK_NS + self.isn_offset) & 0xFFFF_FFFF

    def timestamp(self, now_ns: int) -> int:
        """TSval at a time: a clock of 1 ms with an offset of the connection's own (RFC 7323 section 5.4)."""
        return (now_ns // TIMESTAMP_TICK_NS + self.ts_offset) & 0xFFFF_FFFF


class TcpSecrets:
    """One secret of the interface, from which each tuple has its offsets, whoever owns it.

    A tuple that goes from one stack to another goes on with rising sequence numbers and timestamps, if all
    stacks use one clock. A flow learns its own offsets, no more. A listener must answer to anybody, so it
    learns the key of its port, and with it what other owners of that port use; no other port's.
    """

    def __init__(self, rng: Randomness) -> None:
        self._secret = rng.getrandbits(256).to_bytes(32, "little")

    def flow(self, entry: Entry) -> TupleSecrets:
        """Offsets of a connected TCP entry; EINVAL for others."""
        if entry.proto != TCP or entry.local is None or entry.remote is None:
            raise ArbiterError(EINVAL, f"{entry}: not a TCP connection")
        return derive(
            self._key(entry.local_port),
            entry.family,
            entry.local,
            entry.local_port,
            entry.remote,
            entry.remote_port,
        )

    def listener(self, entry: Entry) -> bytes:
        """The key of a TCP listener's port, for derive(); EINVAL for others."""
        if entry.proto != TCP or entry.kind is not Kind.LISTENER:
            raise ArbiterError(EINVAL, f"{entry}: not a TCP listener")
        return self._key(entry.local_port)

    def _key(self, port: int) -> bytes:
        data = port.to_bytes(2, "big")
        return blake2s(data, digest_size=KEY_BYTES, key=self._secret, person=b"tup-port").digest()


def derive(
    key: bytes, family: int, local: int, local_port: int, remote: int, remote_port: int
) -> TupleSecrets:
    """The offsets of one connection of the port that a key belongs to.

    BLAKE2s (RFC 7693), keyed, person "tup-conn", of: family (1 byte), local, remote (16 each), ports (2
    each), big-endian; the first four bytes of 8 are isn_offset, little-endian, the others ts_offset.
    """
    data = family.to_bytes(1, "big") + local.to_bytes(16, "big") + remote.to_bytes(16, "big")
    data += local_port.to_bytes(2, "big") + remote_port.to_bytes(2, "big")
    digest = blake2s(data, digest_size=8, key=key, person=b"tup-conn").digest()
    return TupleSecrets(int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little"))
