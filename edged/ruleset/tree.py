"""The rule tree: what policies are compiled to, from the nodes up to the whole table.

A tree is valid by construction: `Table` refuses dangling and circular references.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from edged.addresses import Family
from edged.origin import Origin
from edged.ruleset.nodes import (
    AddressIn,
    AddressNotIn,
    Continue,
    Direction,
    Goto,
    HasLease,
    Jump,
    Match,
    OverLimit,
    PrefixIn,
    Remember,
    SetGeneration,
    Verdict,
)
from edged.ruleset.sets import AddressSet, AnySet, Holds, LiveSet, PrefixSet

_ON = Continue()
_HOLDS: dict[type[Match | Verdict], Holds] = {HasLease: Holds.CLASS, OverLimit: Holds.LIMIT, Remember: Holds.NOTHING}


QUEUED = "queue"  # the verdict on a packet that is not stopped, but sent to an inspector


@dataclass(frozen=True, slots=True)
class Counter:
    """A named counter; it outlives the refilling of the chains that use it. The labels are those of the metrics.

    Without a direction it counts both, and so of the family.
    """

    policy: str
    direction: Direction | None
    family: Family | None
    verdict: str  # drop | reject | observe | QUEUED
    flow_class: str = ""  # of a policy that has several classes

    @property
    def name(self) -> str:
        """The counter's name in the kernel."""
        direction, family = self.direction and self.direction.value, self.family and self.family.value
        parts = (self.policy, direction, self.flow_class, family, self.verdict)
        return "_".join(part for part in parts if part)

    @property
    def labels(self) -> tuple[str, str, str, str]:
        """Policy, direction, family and verdict, as people see them."""
        direction = "both" if self.direction is None else self.direction.value
        return self.policy, direction, "both" if self.family is None else self.family.label, self.verdict


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when all of `when` hold, count, then `then`.

    `name` is unique in its table and is what traces and comments call the rule. `origin` is for people: two rules that
    differ in it alone are the same rule.
    """

    name: str
    when: tuple[Match, ...] = ()
    then: Verdict = _ON
    count: Counter | None = None
    policy: str | None = None
    origin: Origin | None = field(default=None, compare=False)

    @property
    def note(self) -> tuple[str, str] | None:
        """What observing the rule must give back word for word, as a name and a value: content that is never read back itself."""
        if isinstance(self.then, SetGeneration):
            return GENERATION, str(self.then.generation)
        for match in self.when:
            if isinstance(match, PrefixIn):
                return match.set, match.content
        return None

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the sets and maps that the rule refers to."""
        asking = tuple(match.set for match in self.when if isinstance(match, AddressIn | AddressNotIn | PrefixIn))
        asking += tuple(match.map for match in self.when if isinstance(match, HasLease | OverLimit))
        return (*asking, self.then.set) if isinstance(self.then, Remember) else asking


GENERATION = "generation"  # the name of SetGeneration's note


# the hooks that a packet passes, in their order: a forwarded one, one for this machine, and one of this machine's own
FORWARDING = ("prerouting", "forward", "postrouting")
RECEIVING = ("prerouting", "input")
SENDING = ("output", "postrouting")


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a base chain meets the packets: nft's hook and priority of a filter chain whose policy is accept."""

    name: str = "forward"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in their order; with a hook it is a base chain."""

    name: str
    rules: tuple[Rule, ...] = ()
    hook: Hook | None = None

    @property
    def asked(self) -> frozenset[str]:
        """The names of the sets that the rules look addresses up in."""
        looking_up = (
            match for rule in self.rules for match in rule.when if isinstance(match, AddressIn | AddressNotIn | PrefixIn)
        )
        return frozenset(match.set for match in looking_up)


@dataclass(frozen=True)
class Table:
    """A whole `inet` table, all ours: what the kernel shall hold."""

    counters: tuple[Counter, ...] = ()
    sets: tuple[AnySet, ...] = ()
    chains: tuple[Chain, ...] = ()
    name: str = "edged"

    def __post_init__(self) -> None:
        for kind, names in (
            ("counter", [counter.name for counter in self.counters]),
            ("set", [each.name for each in self.sets]),
            ("chain", [chain.name for chain in self.chains]),
            ("rule", [rule.name for rule in self.rules()]),
        ):
            twice = sorted(name for name, times in Counted(names).items() if times > 1)
            if twice:
                raise ValueError(f"{kind} defined twice: {', '.join(twice)}")
        for rule in self.rules():
            self._check_references(rule)
        ending = set[str]()
        for chain in self.chains:
            self._check_acyclic(chain.name, (), ending)

    def rules(self) -> Iterator[Rule]:
        """Every rule of the table, chain after chain."""
        for chain in self.chains:
            yield from chain.rules

    @cached_property
    def sets_by_name(self) -> dict[str, AddressSet | PrefixSet]:
        """The sets whose content is desired, by name."""
        return {each.name: each for each in self.sets if not isinstance(each, LiveSet)}

    @cached_property
    def _live_sets(self) -> frozenset[LiveSet]:
        return frozenset(each for each in self.sets if isinstance(each, LiveSet))

    @cached_property
    def chains_by_name(self) -> dict[str, Chain]:
        """The chains, by name."""
        return {chain.name: chain for chain in self.chains}

    @cached_property
    def way(self) -> tuple[Chain, ...]:
        """The base chains that a forwarded packet meets, in that order."""
        return self.way_through(FORWARDING)

    def way_through(self, hooks: Sequence[str]) -> tuple[Chain, ...]:
        """The base chains at these hooks, in the hooks' order and each hook's."""
        met = [(hook, chain) for chain in self.chains if (hook := chain.hook) is not None and hook.name in hooks]
        met.sort(key=lambda each: (hooks.index(each[0].name), each[0].priority))
        return tuple(chain for _, chain in met)

    def ranges(self, name: str) -> AddressSet:
        """The set of ranges of that name. Raises LookupError where there is none."""
        found = self.sets_by_name[name]
        if not isinstance(found, AddressSet):
            raise LookupError(name)  # noqa: TRY004  it is the name that is wrong
        return found

    def prefixes(self, name: str) -> PrefixSet:
        """The set of prefixes of that name. Raises LookupError where there is none."""
        found = self.sets_by_name[name]
        if not isinstance(found, PrefixSet):
            raise LookupError(name)  # noqa: TRY004  it is the name that is wrong
        return found

    def _check_references(self, rule: Rule) -> None:
        for part in (*rule.when, rule.then):
            match part:
                case AddressIn(_, family, name) | AddressNotIn(_, family, name):
                    asked = self.sets_by_name.get(name)
                    fits = isinstance(asked, AddressSet) and asked.family is family
                case PrefixIn(_, family, length, name, content):
                    asked = self.sets_by_name.get(name)
                    fits = isinstance(asked, PrefixSet) and (family, length, content) == (
                        asked.family,
                        asked.keys.length,
                        asked.keys.digest,
                    )
                case HasLease(_, family, name) | OverLimit(_, family, name) | Remember(_, family, name, _):
                    fits = LiveSet(name, family, _HOLDS[type(part)]) in self._live_sets
                case _:
                    continue
            if not fits:
                raise ValueError(f"rule {rule.name} asks for {family.label} set {name}, which is not there")
        if isinstance(rule.then, Jump | Goto) and rule.then.chain not in self.chains_by_name:
            raise ValueError(f"rule {rule.name} goes to chain {rule.then.chain}, which is not there")
        if rule.count is not None and rule.count not in self.counters:
            raise ValueError(f"rule {rule.name} counts in {rule.count.name}, which is not there")

    def _check_acyclic(self, chain: str, above: tuple[str, ...], ending: set[str]) -> None:
        """`ending` has the chains from which every way is known to end."""
        if chain in ending:
            return
        if chain in above:
            raise ValueError(f"chains go round in a circle: {' > '.join((*above, chain))}")
        for rule in self.chains_by_name[chain].rules:
            if isinstance(rule.then, Jump | Goto):
                self._check_acyclic(rule.then.chain, (*above, chain), ending)
        ending.add(chain)
