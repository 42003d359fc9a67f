"""Prefix arithmetic: what a set of addresses *is*, as sorted, disjoint ranges of integers.

What lives here is pure and knows neither policies nor netlink. The kernel's interval sets refuse overlaps (EEXIST aborts
the whole batch), so every list is brought into disjoint form here before it becomes a set.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeVar

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network
Value = TypeVar("Value")


class Family(Enum):
    """An address family, by nft's own word for it."""

    IPV4 = "ip"
    IPV6 = "ip6"

    __hash__ = object.__hash__  # Enum's own is Python code, and replay asks for it for every packet

    @property
    def bits(self) -> int:
        """The length of an address in bits."""
        return 32 if self is Family.IPV4 else 128

    @property
    def label(self) -> str:
        """The word people and metrics use."""
        return "ipv4" if self is Family.IPV4 else "ipv6"

    def address(self, value: int) -> Address:
        """The address of this family with that integer value."""
        return IPv4Address(value) if self is Family.IPV4 else IPv6Address(value)

    @staticmethod
    def of(thing: Address | Prefix) -> Family:
        """The family of an address or a prefix."""
        return Family.IPV4 if thing.version == 4 else Family.IPV6


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """The addresses from first to last, both included, as integers of one family."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last:
            raise ValueError(f"not a range: {self.first}..{self.last}")

    def __contains__(self, value: int) -> bool:
        return self.first <= value <= self.last


def span(prefix: Prefix) -> Range:
    """The range that a prefix covers."""
    return Range(int(prefix.network_address), int(prefix.broadcast_address))


def merge(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same addresses as sorted, disjoint ranges with neighbours joined."""
    merged: list[Range] = []
    for item in sorted(ranges):
        if merged and item.first <= merged[-1].last + 1:
            merged[-1] = Range(merged[-1].first, max(merged[-1].last, item.last))
        else:
            merged.append(item)
    return tuple(merged)


def of_family(prefixes: Iterable[Prefix], family: Family) -> tuple[Range, ...]:
    """The addresses of the prefixes of one family, merged."""
    return merge(span(prefix) for prefix in prefixes if Family.of(prefix) is family)


def subtract(ranges: Iterable[Range], removed: Iterable[Range]) -> tuple[Range, ...]:
    """The addresses of `ranges` that are not in `removed`, merged."""
    cuts = merge(removed)
    kept: list[Range] = []
    for item in merge(ranges):
        first = item.first
        for cut in cuts[bisect_left(cuts, first, key=lambda each: each.last) :]:
            if cut.first > item.last:
                break
            if first < cut.first:
                kept.append(Range(first, cut.first - 1))
            first = cut.last + 1
        if first <= item.last:
            kept.append(Range(first, item.last))
    return tuple(kept)


def segments(
    labelled: Iterable[tuple[Prefix, Value]], family: Family, pick: Callable[[list[Value]], Value]
) -> Iterator[tuple[Range, Value]]:
    """Cut the labelled prefixes of one family into disjoint ranges, in order, each with one value.

    `pick` chooses from the values of all prefixes around a range, the shortest prefix first; of equal prefixes the one named
    later comes later. Prefixes nest or are disjoint, so one pass with a stack does it.
    """
    nested = sorted(
        ((span(prefix), value) for prefix, value in labelled if Family.of(prefix) is family),
        key=lambda item: (item[0].first, -item[0].last),
    )
    around: list[tuple[Range, Value]] = []
    position = 0

    def close_until(limit: int | None) -> Iterator[tuple[Range, Value]]:
        """Emit what the open prefixes still cover before `limit` (None: all of it)."""
        nonlocal position
        while around and (limit is None or around[-1][0].last < limit):
            if position <= around[-1][0].last:
                yield Range(position, around[-1][0].last), pick([value for _, value in around])
                position = around[-1][0].last + 1
            around.pop()
        if around and limit is not None and position < limit:
            yield Range(position, limit - 1), pick([value for _, value in around])
        if limit is not None:
            position = limit

    for extent, value in nested:
        yield from close_until(extent.first)
        around.append((extent, value))
    yield from close_until(None)
