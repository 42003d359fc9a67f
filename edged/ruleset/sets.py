"""The sets that rules look addresses up in.

AddressSet  ranges, which may end by themselves
PrefixSet   prefixes of one length, by the million
LiveSet     what comes and goes while the rules stand: nothing of its content is desired
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from edged.addresses import Family, Range

if TYPE_CHECKING:
    from edged.packed import Keys  # numpy, which a table without long lists does without


@dataclass(frozen=True, slots=True, order=True)
class Element:
    """A range of addresses in a set; it leaves by itself at `until` (seconds since the epoch) where that is given."""

    range: Range
    until: int | None = None


@dataclass(frozen=True, slots=True)
class AddressSet:
    """A set of address ranges, sorted and disjoint; only an `expiring` set may hold elements with an end."""

    name: str
    family: Family
    elements: tuple[Element, ...] = ()
    expiring: bool = False
    hidden: bool = False  # its content is nobody's to see

    def __post_init__(self) -> None:
        limit = 1 << self.family.bits
        for before, after in zip(self.elements, self.elements[1:], strict=False):
            if after.range.first <= before.range.last:
                raise ValueError(f"set {self.name}: {before.range} and {after.range} overlap or are out of order")
        if any(element.range.last >= limit for element in self.elements):
            raise ValueError(f"set {self.name}: a range leaves the {self.family.label} address space")
        if not self.expiring and any(element.until is not None for element in self.elements):
            raise ValueError(f"set {self.name}: an element ends, but the set is not expiring")


@dataclass(frozen=True, slots=True)
class PrefixSet:
    """A set of network addresses of one family and prefix length, by the million; `hidden`: its content is nobody's to see."""

    name: str
    keys: Keys
    hidden: bool = False

    @property
    def family(self) -> Family:
        """The family of its addresses."""
        return self.keys.family

    @property
    def size(self) -> int:
        """How many elements the kernel makes room for: a quarter more than there are, in steps, so that it seldom changes.

        The kernel's table has size * 4/3 buckets, rounded up to a power of two (nft_hash_buckets): 3 * 2^n fills that.
        """
        size = 768
        while size * 4 < len(self.keys) * 5:
            size *= 2
        return size


class Holds(Enum):
    """What a live set has for an address; nft's type of the data."""

    NOTHING = ""  # a plain set, which rules put addresses into, each for some seconds
    CLASS = "classid"  # a map to a tc class
    LIMIT = "limit"  # a map to a named limit; addresses of one subscriber share one


# How much of an address a live set keeps: an IPv6 subscriber has 2^64 addresses to choose from, or more.
KEY_LENGTH = {Family.IPV4: 32, Family.IPV6: 64}
# HTB's classes have 16 bits; what has none left is limited instead, and nobody needs more rooms for those who wait
_ROOM = {Holds.NOTHING: 1 << 16, Holds.CLASS: 1 << 16, Holds.LIMIT: 1 << 17}


@dataclass(frozen=True, slots=True)
class LiveSet:
    """A set or map by IPv4 address or IPv6 /64 that others fill than the compiler: a plan makes and removes it, no more."""

    name: str
    family: Family
    holds: Holds

    @property
    def size(self) -> int:
        """How many elements the kernel makes room for."""
        return _ROOM[self.holds]


AnySet = AddressSet | PrefixSet | LiveSet
