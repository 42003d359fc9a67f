"""The queueing of a device as it stands in the kernel, and what this kernel has for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edged.queueing.tree import ClassId, Leaf, Rate


@dataclass(frozen=True, slots=True)
class TrafficCapabilities:
    """Which qdiscs this kernel has: the classes' own, and what their packets can be kept in."""

    htb: bool
    leaves: frozenset[Leaf]


@dataclass(frozen=True, slots=True)
class KernelDefault:
    """The root is what the kernel gave the device by itself (noqueue, pfifo_fast, fq_codel, mq), or nothing."""


@dataclass(frozen=True, slots=True)
class ForeignRoot:
    """The root is another program's, and stays until somebody says otherwise."""

    device: str
    kind: str

    def __str__(self) -> str:
        return f"{self.device} has a root qdisc that is not edged's ({self.kind}); it stays as it is, and nothing is shaped there"


class ForeignLeaf(NamedTuple):
    """A qdisc in a class of ours that edged does not make."""

    kind: str


class ObservedClass(NamedTuple):
    """A class of our tree; where its ceiling is not its rate, somebody has changed it."""

    classid: ClassId
    rate: Rate
    ceil: Rate
    leaf: Leaf | ForeignLeaf | None  # None: HTB's own, which comes with the class
    limit: int = 0  # of a BFIFO, in bytes


@dataclass(frozen=True, slots=True)
class OurRoot:
    """The root is our HTB, with these classes."""

    classes: tuple[ObservedClass, ...]


Root = KernelDefault | ForeignRoot | OurRoot


@dataclass(frozen=True, slots=True)
class ObservedDevice:
    """A device and its root qdisc."""

    name: str
    root: Root


class ClassUse(NamedTuple):
    """What a class has done since it was made: bytes and packets sent, packets dropped; and the bytes that wait."""

    classid: ClassId
    octets: int
    packets: int
    drops: int
    backlog: int
