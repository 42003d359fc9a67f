"""Who has an address: subscribers and their prefixes, found by one search; pure.

Of the prefixes around an address the longest decides. An address that no row has is a subscriber of its own, with as many
addresses around it as a subscriber is given: the prefix of `subscriber_prefix` in edged.yaml.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from itertools import chain, repeat
from typing import NamedTuple, TypeAlias

from edged.addresses import Family, Prefix, Range, merge, subtract

DEFAULT_LENGTHS: Mapping[Family, int] = {Family.IPV4: 32, Family.IPV6: 64}

_NOBODY = -1


class Subscriber(NamedTuple):
    """Whose traffic is counted together; equal for all addresses of one subscriber, of both families.

    `key` is the first prefix of the subscriber's row, or without a row (`id` is None) the prefix around the address.
    """

    id: str | None
    key: Prefix
    plan: str | None


class Row(NamedTuple):
    """A subscriber as its row has it; `prefixes` in the row's order, `line` from 1."""

    id: str
    plan: str | None
    prefixes: tuple[Prefix, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Rows:
    """All subscribers in the order of their file, as columns, so that a hundred thousand are no objects.

    Row n has the prefixes from `starts[n]` to before `starts[n + 1]`, at least one: `networks[p]/lengths[p]` of `families[p]`.
    `by_address` are the places p of each family's prefixes in order of their addresses, of those that begin together the
    shortest first. No two prefixes are the same, and no two ids.
    """

    ids: Sequence[str] = ()
    plans: Sequence[str | None] = ()
    lines: Sequence[int] = ()
    starts: Sequence[int] = (0,)
    families: Sequence[Family] = ()
    networks: Sequence[int] = ()
    lengths: Sequence[int] = b""
    by_address: Mapping[Family, Sequence[int]] = field(default_factory=lambda: dict.fromkeys(Family, ()))

    def __len__(self) -> int:
        return len(self.ids)

    def prefix(self, place: int) -> Prefix:
        """One of the prefixes."""
        return _prefix(self.families[place], self.networks[place], self.lengths[place])

    def last(self, place: int) -> int:
        """The last address of one of the prefixes."""
        return self.networks[place] + (1 << (self.families[place].bits - self.lengths[place])) - 1

    def outside(self, family: Family, ranges: Iterable[Range]) -> Iterator[int]:
        """The places of the prefixes of one family that share no address with the ranges."""
        places = self.by_address[family]
        for gap in subtract((Range(0, (1 << family.bits) - 1),), ranges):
            first = bisect_left(places, gap.first, key=self.networks.__getitem__)
            behind = bisect_right(places, gap.last, key=self.networks.__getitem__)
            yield from (place for place in places[first:behind] if self.last(place) <= gap.last)

    def row_with(self, place: int) -> Row:
        """The row that one of the prefixes is in."""
        return self.row(bisect_right(self.starts, place) - 1)

    def row(self, number: int) -> Row:
        """One of the rows."""
        held = range(self.starts[number], self.starts[number + 1])
        return Row(self.ids[number], self.plans[number], tuple(map(self.prefix, held)), self.lines[number])


class _Segments(NamedTuple):
    """One family cut where the row of the longest prefix changes: from `firsts[n]` on it is `owners[n]`, or _NOBODY."""

    firsts: Sequence[int]
    owners: Sequence[int]


_Ordered: TypeAlias = Iterator[tuple[int, int, int]]  # first address, last address, row


@dataclass(frozen=True, slots=True)
class Subscribers:
    """The subscribers of one gateway; `default_lengths` are those of addresses without a row."""

    rows: Rows = field(default_factory=Rows)
    default_lengths: Mapping[Family, int] = field(default_factory=lambda: DEFAULT_LENGTHS)
    _segments: Mapping[Family, _Segments] = field(init=False, repr=False, compare=False)
    _by_plan: Mapping[str | None, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        cut = {family: _cut(family, _ordered(self.rows, family)) for family in Family}
        object.__setattr__(self, "_segments", cut)
        object.__setattr__(self, "_by_plan", Counter(self.rows.plans))  # each scrape asks for it

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, family: Family, address: int) -> Subscriber:
        """Whose address that is."""
        number = self._owner(family, address)
        if number == _NOBODY:
            length = self.default_lengths[family]
            host = family.bits - length
            return Subscriber(None, _prefix(family, address >> host << host, length), None)
        rows = self.rows
        return Subscriber(rows.ids[number], rows.prefix(rows.starts[number]), rows.plans[number])

    def row_of(self, family: Family, address: int) -> Row | None:
        """The row of whoever has the address; None where no row has it."""
        number = self._owner(family, address)
        return None if number == _NOBODY else self.rows.row(number)

    def prefixes_of_plan(self, plan: str | None, family: Family) -> tuple[Range, ...]:
        """The addresses of all rows of that plan, or without a plan, without those that a longer prefix gives to another plan.

        Sorted and disjoint, neighbours joined.
        """
        firsts, owners = self._segments[family]
        plans = self.rows.plans
        # the last segment is behind all addresses, so every other one has one behind it
        return merge(
            Range(first, following - 1)
            for first, following, owner in zip(firsts, firsts[1:], owners, strict=False)
            if owner != _NOBODY and plans[owner] == plan
        )

    def count_by_plan(self) -> Mapping[str | None, int]:
        """How many rows each plan has, and under None how many have none; only what occurs."""
        return self._by_plan

    def _owner(self, family: Family, address: int) -> int:
        firsts, owners = self._segments[family]
        return owners[bisect_right(firsts, address) - 1]


def _prefix(family: Family, network: int, length: int) -> Prefix:
    return IPv4Network((network, length)) if family is Family.IPV4 else IPv6Network((network, length))


def _ordered(rows: Rows, family: Family) -> _Ordered:
    """The prefixes of one family by address."""
    places = rows.by_address[family]
    counts = map(operator.sub, rows.starts[1:], rows.starts)
    numbers = [*chain.from_iterable(map(repeat, range(len(rows)), counts))]
    hosts = [(1 << (family.bits - length)) - 1 for length in range(family.bits + 1)]
    firsts = [rows.networks[place] for place in places]
    lasts = [first + hosts[rows.lengths[place]] for first, place in zip(firsts, places, strict=True)]
    return zip(firsts, lasts, [numbers[place] for place in places], strict=True)


def _cut(family: Family, prefixes: _Ordered) -> _Segments:
    """Prefixes nest or are disjoint, so one pass with a stack of those that are open does it."""
    behind = 1 << family.bits
    firsts, owners = [0], [_NOBODY]
    lasts, around = [behind], [_NOBODY]  # the open prefixes, in all that there is
    for first, last, owner in chain(prefixes, ((behind, behind, _NOBODY),)):
        while (closed := lasts[-1]) < first:
            lasts.pop()
            around.pop()
            # what ends with it, or begins right behind it, leaves nothing to what is around
            if closed < lasts[-1] and closed + 1 < first:
                firsts.append(closed + 1)
                owners.append(around[-1])
        if firsts[-1] == first:
            owners[-1] = owner
        else:
            firsts.append(first)
            owners.append(owner)
        lasts.append(last)
        around.append(owner)
    return _Segments(firsts, owners)
