"""What tells the packet path who is capped: nft's sets and maps a class of traffic, and the steps that change them.

For each class of traffic, direction and family the table holds

    heavy_<dir>_<class><4|6>   set, written by the packet path: whose heavy flows have no lease yet; its elements time out
    lease_<dir>_<class><4|6>   map of addresses to classes of the HTB
    police_<dir>_<class><4|6>  map of addresses to buckets (named limits): for those that the pool has no class for

A key is an IPv4 address, or an IPv6 address with its last 64 bits zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from edged.addresses import Family
from edged.queueing.tree import ClassId, Rate
from edged.ruleset.nodes import Direction

LEASE_SECONDS = 60  # an element leaves by itself after that, unless it is added anew: leases do not outlive who gives them
_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}")
_HOST_BITS = {Family.IPV4: 0, Family.IPV6: 64}
_DIGIT = {Family.IPV4: 4, Family.IPV6: 6}


@dataclass(frozen=True, slots=True)
class CapSets:
    """The set and the two maps for one direction, class of traffic and family. Raises ValueError for a class nft cannot name."""

    direction: Direction
    traffic_class: str
    family: Family

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.traffic_class):
            raise ValueError(f"not a name for nft: {self.traffic_class!r}")

    @property
    def heavy(self) -> str:
        """The set's name."""
        return self._named("heavy")

    @property
    def lease(self) -> str:
        """The name of the map to classes."""
        return self._named("lease")

    @property
    def police(self) -> str:
        """The name of the map to buckets."""
        return self._named("police")

    def key(self, address: int) -> int:
        """The key that an address is looked up by."""
        host_bits = _HOST_BITS[self.family]
        return address >> host_bits << host_bits

    def _named(self, what: str) -> str:
        return f"{what}_{self.direction.value}_{self.traffic_class}{_DIGIT[self.family]}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A named limit: what is beyond its rate matches. All keys that refer to it share it."""

    name: str
    rate: Rate

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"not a name for nft: {self.name!r}")

    @property
    def burst(self) -> int:
        """Bytes beyond a second's worth that may come at once: 100 ms of the rate.

        The kernel's bucket of bytes holds a second's worth in any case: unit * (rate + burst) / rate, where the unit is of whole
        seconds, so no other one makes it smaller (nft_limit_init). With less than this TCP stays below the rate.
        """
        return max(self.rate.octets // 10, 1514)


class LeasedKey(NamedTuple):
    """An element of a map to classes."""

    key: int
    classid: ClassId


class PolicedKey(NamedTuple):
    """An element of a map to buckets, by the bucket's name."""

    key: int
    bucket: str


@dataclass(frozen=True, slots=True)
class AddBucket:
    """Make a bucket; its rate stays, for the kernel changes none in place."""

    bucket: Bucket


@dataclass(frozen=True, slots=True)
class RemoveBucket:
    """Remove a bucket that no key refers to any more."""

    name: str


@dataclass(frozen=True, slots=True)
class AddLease:
    """Send a key's packets through a class. A key that has one already is refused: remove it in the same batch."""

    sets: CapSets
    key: int
    classid: ClassId


@dataclass(frozen=True, slots=True)
class RemoveLease:
    """Send a key's packets out directly again."""

    sets: CapSets
    key: int


@dataclass(frozen=True, slots=True)
class AddPolice:
    """Have a bucket police a key's packets. A key that has one already is refused: remove it in the same batch."""

    sets: CapSets
    key: int
    bucket: str


@dataclass(frozen=True, slots=True)
class RemovePolice:
    """Let a key's packets by again."""

    sets: CapSets
    key: int


LeaseStep = AddBucket | RemoveBucket | AddLease | RemoveLease | AddPolice | RemovePolice


def in_order(steps: tuple[LeaseStep, ...]) -> tuple[LeaseStep, ...]:
    """The steps so that buckets are there before a key refers to them, and keys are free before they are given anew."""
    ranks = (AddBucket, RemoveLease | RemovePolice, AddLease | AddPolice, RemoveBucket)
    return tuple(step for rank in ranks for step in steps if isinstance(step, rank))
