"""What policies share: the site they speak of, the settings every one has, and the rules that are the same in all.

A policy is one file: a settings class with `declare(site, places, now) -> Fragment`. It says what is; it never looks at
what the kernel holds. To add one, write its file, put its class into `edged.policies.POLICIES`, ship a file in rules.d.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from edged.addresses import Family, Prefix, Range, merge, of_family, segments
from edged.config.exemption import SubscriberExemption
from edged.config.gateway import PoolName
from edged.config.problem import Finding
from edged.config.section import Section
from edged.marks import MarkFields
from edged.origin import Origin, Places
from edged.ruleset.fragment import Fragment
from edged.ruleset.nodes import Accept, AddressIn, Continue, Direction, Drop, Jump, Match, Side
from edged.ruleset.sets import AddressSet, Element
from edged.ruleset.tree import Chain, Counter, Rule

if TYPE_CHECKING:
    from edged.packed import Entries

FamilySets = Mapping[Family, AddressSet]


class Mode(StrEnum):
    """Whether a policy stops what it matches, only counts it, or is not there at all."""

    ENFORCE = "enforce"
    OBSERVE = "observe"
    OFF = "off"


class Scope(StrEnum):
    """Which traffic a port policy covers: toward and from upstream only, or between subscribers too (OP-9)."""

    EXTERNAL = "external"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Site:
    """The gateway as policies see it: interfaces, who has which addresses, and the far ends that are never cut off."""

    access: tuple[str, ...]
    upstream: tuple[str, ...]
    pools: Mapping[PoolName, tuple[Prefix, ...]]
    never_block: tuple[Prefix, ...] = ()
    never_block_origin: Origin | None = None
    marks: MarkFields = field(default_factory=MarkFields)
    lists: Mapping[str, Mapping[Family, Entries]] = field(default_factory=dict)  # the lists in force, by name
    plans: Mapping[str, Mapping[Family, tuple[Range, ...]]] = field(default_factory=dict)  # the addresses of their subscribers

    def addresses(self, names: Iterable[PoolName], family: Family) -> tuple[Range, ...]:
        """The addresses of one family whose longest prefix is in a named pool; static wins a tie (OP-5)."""
        labelled = [(prefix, name) for name in (PoolName.DYNAMIC, PoolName.STATIC) for prefix in self.pools.get(name, ())]
        wanted = frozenset(names)
        return merge(extent for extent, name in segments(labelled, family, lambda around: around[-1]) if name in wanted)

    def guard(self, chain: str, direction: Direction) -> tuple[Rule, ...]:
        """What every chain that may stop a packet begins with: the never-block far ends pass (G-1 step 2)."""
        if not self.never_block:
            return ()
        return (Rule(f"{chain}.never-block", then=Jump(_guard_chain(direction))),)

    def declare(self) -> Fragment:
        """The sets and chains behind `guard`."""
        if not self.never_block:
            return Fragment()
        sets = family_sets("never_block", lambda family: elements(of_family(self.never_block, family)))
        far_end = {Direction.UP: Side.DESTINATION, Direction.DOWN: Side.SOURCE}
        chains = tuple(
            Chain(
                _guard_chain(direction),
                tuple(
                    Rule(
                        f"{_guard_chain(direction)}.{family.value}",
                        (AddressIn(side, family, made.name),),
                        Accept(),
                        origin=self.never_block_origin,
                    )
                    for family, made in sets.items()
                ),
            )
            for direction, side in far_end.items()
        )
        return Fragment(tuple(sets.values()), chains)


class Policy(Section, ABC):
    """The settings every policy has."""

    policy: str
    mode: Mode = Mode.ENFORCE

    @abstractmethod
    def declare(self, site: Site, places: Places, now: int) -> Fragment:
        """What this policy wants of the kernel; pure. `now` (seconds since the epoch) ends exemptions that are over."""

    def review(self, site: Site, now: int) -> Iterator[Finding]:  # noqa: ARG002  a policy may have nothing to say
        """What an operator should hear of these settings on this site; pure, and called where the policy is not off."""
        yield from ()

    def plan_names(self) -> tuple[str, ...] | None:
        """The plans that a subscriber can have; None where this policy has the same numbers for everyone."""
        return None

    @classmethod
    def explain_key(cls, key: str, value: object) -> str | None:  # noqa: ARG003
        """What to say of a key that this policy does not have, where there is more to say than that."""
        return None

    def discard(self, name: str, direction: Direction, family: Family, when: tuple[Match, ...], origin: Origin | None) -> Rule:
        """A rule that drops without a word, or in observe mode counts what it would have dropped (G-4)."""
        observe = self.mode is Mode.OBSERVE
        word = "observe" if observe else "drop"
        counter = Counter(self.policy, direction, family, word)
        return Rule(name, when, Continue() if observe else Drop(), counter, self.policy, origin)


def _guard_chain(direction: Direction) -> str:
    return f"never_block_{direction.value}"


def elements(ranges: Iterable[Range]) -> tuple[Element, ...]:
    """Set elements without an end."""
    return tuple(Element(extent) for extent in ranges)


def exempt_elements(exemptions: Iterable[SubscriberExemption], family: Family, now: int) -> tuple[Element, ...]:
    """The elements of the exemptions that are not over; where prefixes nest, the address keeps the latest end (OP-10)."""
    labelled = [(item.prefix, item.until) for item in exemptions if item.until > now]
    return tuple(Element(extent, until) for extent, until in segments(labelled, family, max))


def family_sets(name: str, content: Callable[[Family], tuple[Element, ...]], *, expiring: bool = False) -> FamilySets:
    """The sets of both families, named by nft's habit (name4, name6); an empty one is left out with its rules."""
    return {
        family: AddressSet(f"{name}{'4' if family is Family.IPV4 else '6'}", family, found, expiring)
        for family in Family
        if (found := content(family))
    }
