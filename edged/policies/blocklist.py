"""Blocklists: what stands in a list is not reached by subscribers, and does not reach them.

Every entry matches as source and as destination, both ways, for every protocol (BL-1). An address is blocked while any list
has it and `allow` does not (BL-4). Looking up is dear, so what passed gets the present generation into its connection's mark
and is not looked up again until the lists change, which takes the next generation in the same batch (BL-2). Three kinds of
packets are looked up always:

    without a connection        INVALID and untracked ones have no mark, so the shortcut is a match that they cannot meet
    RELATED                     an ICMP error carries its connection's mark, but comes from anywhere
    between never_block ends    they pass, and are judged by nothing
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2s
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edged.addresses import Family, Prefix, Range
from edged.config.blocklist import ListFormat, ListSource
from edged.config.problem import Finding, Severity
from edged.config.scalars import PrefixList
from edged.origin import Places
from edged.policies.base import Mode, Policy, Site, elements
from edged.policies.review import review_open_to_all
from edged.ruleset.fragment import Entry, Fragment, Point
from edged.ruleset.layout import Layout, choose
from edged.ruleset.nodes import (
    AddressIn,
    ConntrackState,
    Direction,
    GenerationIs,
    Goto,
    IsFamily,
    Jump,
    PrefixIn,
    Prohibit,
    RateAbove,
    ResetTcp,
    Return,
    SetGeneration,
    Side,
    StateIn,
)
from edged.ruleset.sets import AddressSet, PrefixSet
from edged.ruleset.tree import Chain, Counter, Rule

if TYPE_CHECKING:
    from edged.origin import Origin
    from edged.packed import Entries, Prefixes

# a subscriber's device that tries for ever must not make the gateway answer for ever
ANSWERS_PER_SECOND = 1000

# The states in which a packet's addresses are its connection's: what is not in here is not judged by its mark, nor marks it.
_OWN = StateIn((ConntrackState.NEW, ConntrackState.ESTABLISHED))


class Action(StrEnum):
    """What a subscriber gets to hear; the Internet side never hears anything."""

    DROP = "drop"
    REJECT = "reject"


class Blocklist(Policy):
    """Lists of addresses that subscribers must not reach, nor be reached from."""

    policy: Literal["blocklist"]
    action: Action = Field(Action.DROP, description="drop: silence; reject: a TCP reset or an ICMP error to the subscriber")
    lists: tuple[ListSource, ...] = Field(description="the lists; an address is blocked while any of them has it", min_length=1)
    allow: PrefixList = Field((), description="what no list can block")

    def review(self, site: Site, now: int) -> Iterator[Finding]:  # noqa: ARG002  it has no end
        """Lists that are named twice, come from nowhere or from two places, or have settings of another format."""
        yield from review_open_to_all(self.allow, ("allow",))
        first: dict[str, int] = {}
        for index, each in enumerate(self.lists):
            if each.name in first:
                yield Finding(
                    ("lists", index, "name"),
                    f"list {each.name!r} is named twice; first",
                    other=("lists", first[each.name], "name"),
                )
            first.setdefault(each.name, index)
            yield from _review_source(index, each)

    def declare(self, site: Site, places: Places, now: int) -> Fragment:  # noqa: ARG002  nothing here ends
        """The sets that hold the lists, and a chain a direction that looks both of a packet's ends up in them."""
        hidden = any(each.confidential for each in self.lists)
        held = {family: _Held(family, prefixes, layout, hidden) for family, prefixes, layout in self.layouts(site)}
        if not held:
            return Fragment()
        judged = blake2s("".join(each.prefixes.digest for each in held.values()).encode(), digest_size=8).hexdigest()
        origin = places.at("lists")
        chains = [self._lookup(site, direction, held, judged, origin) for direction in Direction]
        chains += [self._listed(direction, held, places.at("action")) for direction in Direction]
        if self._answers:
            chains.append(self._discard(held, places.at("action")))
        points = {Direction.UP: Point.FROM_ACCESS, Direction.DOWN: Point.FROM_UPSTREAM}
        entries = tuple(
            Entry(point, (Rule(f"{_chain(direction)}.enter", then=Jump(_chain(direction)), policy=self.policy, origin=origin),))
            for direction, point in points.items()
        )
        return Fragment(tuple(made for each in held.values() for made in each.sets), tuple(chains), entries)

    def layouts(self, site: Site) -> Iterator[tuple[Family, Prefixes, Layout]]:
        """What is blocked in each family that has anything blocked, and in which sets it is looked up."""
        named = tuple(tuple(site.lists[each.name].values()) for each in self.lists if each.name in site.lists)
        for family, prefixes in _blocked(named, self.allow).items():
            if len(prefixes):
                yield family, prefixes, choose({length: len(keys) for length, keys in prefixes.by_length.items()})

    @property
    def _answers(self) -> bool:
        return self.action is Action.REJECT and self.mode is Mode.ENFORCE

    def _lookup(self, site: Site, direction: Direction, held: Mapping[Family, _Held], judged: str, origin: Origin) -> Chain:
        chain = _chain(direction)
        lookups = (
            Rule(f"{chain}.{name}.{side.value}", (match,), Goto(f"{chain}_listed"), policy=self.policy, origin=origin)
            for each in held.values()
            for side in Side
            for name, match in each.matches(side)
        )
        return Chain(
            chain,
            (
                Rule(f"{chain}.judged", (_OWN, GenerationIs(site.marks.generation, 1)), Return()),
                *site.guard(chain, direction),
                *lookups,
                Rule(f"{chain}.keep", (_OWN,), SetGeneration(site.marks.generation, 1, judged)),
            ),
        )

    def _listed(self, direction: Direction, held: Mapping[Family, _Held], origin: Origin) -> Chain:
        """What becomes of a packet with a listed address; the Internet side gets no answer, whatever its source says."""
        chain = f"{_chain(direction)}_listed"
        if direction is Direction.DOWN or not self._answers:
            return Chain(chain, tuple(self.discard(f"{chain}.{f.value}", direction, f, (IsFamily(f),), origin) for f in held))
        limit = RateAbove(ANSWERS_PER_SECOND, ANSWERS_PER_SECOND)
        return Chain(
            chain,
            (
                Rule(f"{chain}.limit", (limit,), Goto("blocklist_discard"), policy=self.policy, origin=origin),
                *(
                    Rule(
                        f"{chain}.{word}.{family.value}", (IsFamily(family),), answer, self._rejected(family), self.policy, origin
                    )
                    for family in held
                    for word, answer in (("reset", ResetTcp()), ("prohibit", Prohibit()))
                ),
            ),
        )

    def _discard(self, held: Mapping[Family, _Held], origin: Origin) -> Chain:
        rules = (self.discard(f"blocklist_discard.{f.value}", Direction.UP, f, (IsFamily(f),), origin) for f in held)
        return Chain("blocklist_discard", tuple(rules))

    def _rejected(self, family: Family) -> Counter:
        return Counter(self.policy, Direction.UP, family, "reject")


class _Held:
    """One family's prefixes in the kernel's sets."""

    def __init__(self, family: Family, prefixes: Prefixes, layout: Layout, hidden: bool) -> None:  # noqa: FBT001  a setting
        self.family = family
        self.prefixes = prefixes
        number = "4" if family is Family.IPV4 else "6"
        self._hashed = tuple(
            PrefixSet(f"blocklist{number}_{length}", prefixes.by_length[length], hidden) for length in layout.hashed
        )
        # named by what it is for: a length that moves in or out makes another set, filled before the rules turn to it
        lengths = blake2s(repr(layout.ranged).encode(), digest_size=4).hexdigest()
        ranges = prefixes.only(layout.ranged)
        self._ranged = (
            (AddressSet(f"blocklist{number}_rest_{lengths}", family, elements(_ranges(ranges)), hidden=hidden),)
            if len(ranges)
            else ()
        )

    @property
    def sets(self) -> tuple[AddressSet | PrefixSet, ...]:
        return (*self._hashed, *self._ranged)

    def matches(self, side: Side) -> Iterator[tuple[str, PrefixIn | AddressIn]]:
        """The lookups of one end, each with its set's name."""
        for made in self._hashed:
            yield made.name, PrefixIn(side, self.family, made.keys.length, made.name, made.keys.digest)
        for ranges in self._ranged:
            yield ranges.name, AddressIn(side, self.family, ranges.name)


@lru_cache(maxsize=2)  # the table is compiled often, the lists change seldom; Entries are told apart by their identity
def _blocked(lists: tuple[tuple[Entries, ...], ...], allow: tuple[Prefix, ...]) -> Mapping[Family, Prefixes]:
    """What is blocked: the union of the lists, each of which is its families' entries, but for what is allowed."""
    from edged.packed import Prefixes  # noqa: PLC0415  numpy, which gateways without a list do without

    entries = [each for entries in lists for each in entries]
    return {
        family: Prefixes.merged(family, [each for each in entries if each.family is family]).without(allow) for family in Family
    }


def _ranges(prefixes: Prefixes) -> Iterator[Range]:
    """The prefixes as ranges, in order; neighbours stay apart, so that one that goes takes nothing else along."""
    sizes = (
        (network, 1 << (prefixes.family.bits - length))
        for length, keys in prefixes.by_length.items()
        for network in keys.networks()
    )
    return (Range(network, network + size - 1) for network, size in sorted(sizes))


def _chain(direction: Direction) -> str:
    return f"blocklist_{direction.value}"


def _review_source(index: int, each: ListSource) -> Iterator[Finding]:
    at = ("lists", index)
    if (each.path is None) == (each.url is None):
        yield Finding(
            (*at, "url" if each.url else "name"),
            "expected either `path` or `url`, " + ("got both" if each.url else "got neither"),
        )
    if each.guards.shrunk > each.guards.grown:
        yield Finding((*at, "guards", "shrunk"), "more than `grown`: every list would be refused")
    for key in ("refresh", "ca"):
        if each.url is None and key in each.model_fields_set:
            yield Finding((*at, key), f"{key!r} is for a list with a `url`", Severity.WARNING)
    if each.format is ListFormat.CSV and each.columns is None:
        yield Finding((*at, "format"), "a csv list needs `columns`: which column holds the address")
    elif each.columns is not None and each.format is not ListFormat.CSV:
        yield Finding((*at, "columns"), f"'columns' is for a csv list; this one is {each.format.value}")
    elif each.columns is not None and not each.columns.header:
        for key, column in (("address", each.columns.address), ("length", each.columns.length)):
            if isinstance(column, str):
                yield Finding((*at, "columns", key), f"without a header no column is named {column!r}; give its number from 1")
