"""Heavy flows: from which volume on whose flows of a class are, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edged.addresses import Family, Range, merge
from edged.config.caps import Cap
from edged.marks import FlowClass
from edged.origin import Origin, Places
from edged.policies.base import FamilySets, Mode, Site, elements, family_sets
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    Continue,
    Direction,
    Drop,
    FlowBytesAbove,
    Goto,
    HasLease,
    Match,
    OverLimit,
    Remember,
    Return,
    Side,
    Verdict,
)
from edged.ruleset.sets import AnySet, Holds, LiveSet
from edged.ruleset.tree import Chain, Counter, Rule

POLICY = "caps"
REMEMBERED_SECONDS = 5

Held = Mapping[FlowClass, Cap | None]

_NEAR = {Direction.UP: Side.SOURCE, Direction.DOWN: Side.DESTINATION}
_NUMBER = {Family.IPV4: "4", Family.IPV6: "6"}


def live_set(holds: Holds, direction: Direction, flow_class: FlowClass, family: Family) -> LiveSet:
    """The set of those remembered, the map of leases, or that of limits, for one direction, class and family."""
    word = {Holds.NOTHING: "heavy", Holds.CLASS: "lease", Holds.LIMIT: "police"}[holds]
    return LiveSet(f"{word}_{direction.value}_{flow_class.label}{_NUMBER[family]}", family, holds)


class PlanSets:
    """One class: who is not capped in it, and whose flows are heavy after another volume than others'."""

    def __init__(self, held: Held, plans: Mapping[str, Held], site: Site, flow_class: FlowClass, least: int) -> None:
        """`least` is what every flow has moved that comes here."""
        general = held[flow_class]
        assert general is not None  # noqa: S101  of Capping.classes
        self._class, self._after = flow_class, general.after
        self._is_asked = self._after > least
        caps = {name: plan[flow_class] for name, plan in plans.items()}
        free = [name for name, cap in caps.items() if cap is None]
        self._free = family_sets(f"caps_free_{flow_class.label}", lambda family: elements(_members(site, free, family)))
        self._others: list[tuple[str, int, FamilySets]] = [
            (name, cap.after, _plan_sets(f"caps_{flow_class.label}_of_{name}_", site, name))
            for name, cap in caps.items()
            if cap is not None and cap.after != general.after
        ]

    @property
    def sets(self) -> Iterator[AnySet]:
        """Those that the rules ask whose a flow is."""
        yield from self._free.values()
        for _, _, sets in self._others:
            yield from sets.values()

    def chain(self, direction: Direction, places: Places) -> Chain:
        """On with what has moved more than its subscriber's volume; the rest passes."""
        chain, near, label = f"caps_{direction.value}_{self._class.label}", _NEAR[direction], self._class.label
        heavy = Goto(f"caps_found_{direction.value}")
        rules = [
            rule(f"{chain}.free.{family.value}", (AddressIn(near, family, made.name),), Return(), places.at("plans"))
            for family, made in self._free.items()
        ]
        for plan, after, sets in self._others:
            name, origin = f"{chain}.plan.{plan}", places.at("plans", plan, label)
            for family, made in sets.items():
                member = AddressIn(near, family, made.name)
                rules.append(rule(f"{name}.after.{family.value}", (member, FlowBytesAbove(after)), heavy, origin))
                rules.append(rule(f"{name}.light.{family.value}", (member,), Return(), origin))
        much = (FlowBytesAbove(self._after),) if self._is_asked else ()
        rules.append(rule(f"{chain}.after", much, heavy, places.at("classes", label)))
        return Chain(chain, tuple(rules))


class Heavy:
    """What becomes of heavy flows of one class in one direction."""

    def __init__(self, mode: Mode, direction: Direction, flow_class: FlowClass, covered: FamilySets) -> None:
        self._mode, self._covered = mode, covered
        self._direction, self._class = direction, flow_class

    @property
    def live_sets(self) -> Iterator[LiveSet]:
        """None in observe mode, which gives no leases."""
        for family in self._covered if self._mode is not Mode.OBSERVE else ():
            yield from (self._live(holds, family) for holds in Holds)

    def chain(self, places: Places) -> Chain:
        """Through the subscriber's class or limit, or else remembered as wanting one; in observe mode only counted."""
        name, origin = f"caps_{self._direction.value}_{self._class.label}_heavy", places.at("classes", self._class.label)
        by_family = [self._of_family(name, family, origin) for family in self._covered]
        # both families' leases first: else every leased packet of IPv6 paid for all that is asked of IPv4
        return Chain(name, tuple(each for rules in zip(*by_family, strict=True) for each in rules))

    def _of_family(self, chain: str, family: Family, origin: Origin) -> Iterator[Rule]:
        near = _NEAR[self._direction]
        member = AddressIn(near, family, self._covered[family].name)
        if self._mode is Mode.OBSERVE:
            yield rule(f"{chain}.seen.{family.value}", (member,), Continue(), origin, self._counter(family, "observe"))
            return
        lease = HasLease(near, family, self._live(Holds.CLASS, family).name)
        over = OverLimit(near, family, self._live(Holds.LIMIT, family).name)
        remember = Remember(near, family, self._live(Holds.NOTHING, family).name, REMEMBERED_SECONDS)
        # what is shaped is counted by its tc class: a counter here would cost each packet half as much as the look-up
        yield rule(f"{chain}.lease.{family.value}", (lease,), Accept(), origin)
        yield rule(f"{chain}.limit.{family.value}", (over,), Drop(), origin, self._counter(family, "drop"))
        yield rule(f"{chain}.wanted.{family.value}", (member,), remember, origin)

    def _live(self, holds: Holds, family: Family) -> LiveSet:
        return live_set(holds, self._direction, self._class, family)

    def _counter(self, family: Family, verdict: str) -> Counter:
        return Counter(POLICY, self._direction, family, verdict, self._class.label)


def rule(name: str, when: tuple[Match, ...], then: Verdict, origin: Origin | None = None, count: Counter | None = None) -> Rule:
    """A rule of this policy."""
    return Rule(name, when, then, count, POLICY, origin)


def _plan_sets(name: str, site: Site, plan: str) -> FamilySets:
    return family_sets(name, lambda family: elements(_members(site, (plan,), family)))


def _members(site: Site, plans: Sequence[str], family: Family) -> tuple[Range, ...]:
    return merge(extent for plan in plans for extent in site.plans.get(plan, {}).get(family, ()))
