"""The queueing tree as it is desired: on each device one HTB whose classes are a pool, leased to who has heavy flows now.

    root     htb handle ed: default 0       what is given no class goes out directly, unshaped
    ed:1     the line rate
    ed:2...  the pool; a class is idle (as fast as the line) or leased (its rate is the cap)

Making n classes takes the kernel time in n squared, changing one 2 us: so the pool is made once, and leased by change. The handle
says whose tree it is: `1:` is what every other program calls its root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import assert_never

MAJOR = 0xED
LINE_MINOR = 1
_FIRST_MINOR = 2
MAX_POOL = 16_384  # 16 s to make; keeps the leaves' handles below 0x8000, where the kernel takes its own
_LEAF_MAJOR = 0x1000  # the leaf of class ed:2 is 1002:
_DEVICE = re.compile(r"[^\s/]{1,15}")  # dev_valid_name (net/core/dev.c)

# A limit in packets is none in time where a packet is up to 64 KiB (GSO): 100 of those are 52 s at 1 Mbit/s. Of bytes one such
# packet, counted with a header a segment, and some frames must fit, or HTB would pass nothing of a host that sends by GSO.
BFIFO_MS, BFIFO_LEAST = 150, 80_000
DIRECT_PACKETS = 1000  # what is given no class queues as on a device as it usually is, whatever its txqueuelen
FQ_CODEL_FLOWS = 64  # of one subscriber's one class; the kernel's default of 1024 takes 70 kB a leaf
FQ_CODEL_PACKETS = 1000
CAKE_BYTES = 4 << 20  # a cake without a rate of its own knows no bound (cake_reconfigure)

_FRAME = 1514  # a full Ethernet frame, as qdiscs count it: without its checksum
_UNITS = ((1_000_000_000, "gbit"), (1_000_000, "mbit"), (1_000, "kbit"))


@dataclass(frozen=True, slots=True, order=True)
class ClassId:
    """The handle of a class or qdisc, major:minor, 16 bits each; of a qdisc the minor number is 0."""

    major: int
    minor: int

    def __post_init__(self) -> None:
        if not (0 < self.major <= 0xFFFF and 0 <= self.minor <= 0xFFFF):
            raise ValueError(f"not a handle: {self.major:x}:{self.minor:x}")

    def __hash__(self) -> int:
        """Of the handle, for classes are looked up by the thousand."""
        return self.major << 16 | self.minor

    @classmethod
    def of(cls, handle: int) -> ClassId:
        """The handle as the kernel and skb->priority have it. Raises ValueError where its major number is 0."""
        return cls(handle >> 16, handle & 0xFFFF)

    @property
    def handle(self) -> int:
        """The 32 bits that the kernel and skb->priority have."""
        return self.major << 16 | self.minor

    def __str__(self) -> str:
        return f"{self.major:x}:{self.minor:x}" if self.minor else f"{self.major:x}:"


ROOT = ClassId(MAJOR, 0)
LINE = ClassId(MAJOR, LINE_MINOR)


@dataclass(frozen=True, slots=True, order=True)
class Rate:
    """Bits a second: whole bytes, for that is what the kernel counts. Raises ValueError otherwise."""

    bits: int

    def __post_init__(self) -> None:
        if self.bits <= 0 or self.bits % 8:
            raise ValueError(f"not a rate of whole bytes: {self.bits} bit/s")

    @property
    def octets(self) -> int:
        """Bytes a second."""
        return self.bits // 8

    @property
    def burst(self) -> int:
        """Bytes that may go at once: 10 ms of the rate, two full frames at least.

        HTB sleeps until a class has tokens for its next packet: the burst covers how late a timer fires, not a round trip.
        """
        return max(self.octets // 100, 2 * _FRAME)

    @property
    def queue(self) -> int:
        """Bytes that may wait in a BFIFO: BFIFO_MS of the rate, and one GSO packet at least."""
        return min(max(self.octets * BFIFO_MS // 1000, BFIFO_LEAST), 0xFFFF_FFFF)

    @property
    def quantum(self) -> int:
        """Bytes that a class sends before its neighbour's turn: within the bounds that the kernel does not warn of."""
        return min(self.burst, 200_000)

    def __str__(self) -> str:
        for size, unit in _UNITS:
            if self.bits % size == 0:
                return f"{self.bits // size}{unit}"
        return f"{self.bits}bit"


@dataclass(frozen=True, slots=True)
class Idle:
    """A class that is leased to nobody: as fast as the line, so that what strays into it is not slowed."""


IDLE = Idle()
State = Idle | Rate


class Leaf(Enum):
    """What a class keeps its packets in, by the name of the qdisc.

    HTB's own leaf is none of them: it counts packets, and is as long as the device's txqueuelen, which is the operator's. What
    every kernel with HTB has is the plain bfifo.
    """

    CAKE = "cake"
    FQ_CODEL = "fq_codel"
    BFIFO = "bfifo"

    @property
    def most(self) -> int:
        """The largest pool that it suits: each cake takes some 2 MB of memory (net/sched/sch_cake.c: 8 tins of 1024 flows)."""
        return 256 if self is Leaf.CAKE else MAX_POOL


def best_leaf(available: frozenset[Leaf], pool: int) -> Leaf:
    """The leaf that serves the flows of one subscriber most evenly, of those that the kernel has and the pool's size allows."""
    return next(leaf for leaf in Leaf if leaf is Leaf.BFIFO or (leaf in available and pool <= leaf.most))


@dataclass(frozen=True, slots=True)
class Shaper:
    """One device's tree: its line rate and how many classes are in the pool. Raises ValueError where there is no such tree."""

    device: str
    line: Rate
    pool: int
    leaf: Leaf = Leaf.BFIFO

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device) or self.device in {".", ".."}:
            raise ValueError(f"not the name of a device: {self.device!r}")
        if not 1 <= self.pool <= self.leaf.most:
            raise ValueError(f"not a pool: {self.pool} classes with {self.leaf.value} leaves (1 to {self.leaf.most})")

    @property
    def classes(self) -> tuple[ClassId, ...]:
        """The pool, in order."""
        return pool_classes(self.pool)

    def __contains__(self, classid: ClassId) -> bool:
        return classid.major == MAJOR and _FIRST_MINOR <= classid.minor < _FIRST_MINOR + self.pool

    def rate(self, state: State) -> Rate:
        """The rate that a class in this state has; never more than the line's."""
        match state:
            case Idle():
                return self.line
            case Rate():
                return min(state, self.line)
            case _:
                assert_never(state)

    def limit(self, state: State) -> int:
        """The bytes that the leaf of a class in this state holds; 0 where it goes by something else."""
        return self.rate(state).queue if self.leaf is Leaf.BFIFO else 0

    def state(self, rate: Rate) -> State:
        """The state of a class that has this rate: a cap that the line itself keeps is none."""
        return rate if rate < self.line else IDLE


@cache
def pool_classes(count: int) -> tuple[ClassId, ...]:
    """The classes of a pool of that size, in order."""
    return tuple(ClassId(MAJOR, minor) for minor in range(_FIRST_MINOR, _FIRST_MINOR + count))


@dataclass(frozen=True, slots=True, order=True)
class Lease:
    """A class of the pool in use: it holds its subscriber's flows to the rate."""

    classid: ClassId
    rate: Rate


@dataclass(frozen=True, slots=True)
class Tree:
    """A device's tree with its leases, one a class at most; the other classes are idle. Raises ValueError otherwise."""

    shaper: Shaper
    leases: tuple[Lease, ...] = ()

    def __post_init__(self) -> None:
        leased = [lease.classid for lease in self.leases]
        if strange := [str(classid) for classid in leased if classid not in self.shaper]:
            raise ValueError(f"not in the pool of {self.shaper.device}: {', '.join(strange)}")
        if len(set(leased)) < len(leased):
            raise ValueError(f"a class of {self.shaper.device} is leased twice")


def leaf_handle(classid: ClassId) -> ClassId:
    """The handle of the leaf of a class of the pool."""
    return ClassId(_LEAF_MAJOR + classid.minor, 0)
