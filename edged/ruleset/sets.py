"""The sets that rules look addresses up in: ranges that may end by themselves, and prefixes of one length by the million."""

from __future__ import annotations

from dataclasses import dataclass
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
