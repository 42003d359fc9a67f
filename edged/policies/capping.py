"""The rules of caps.

    inspect (forward, after the policies)   the first packets of flows without an answer, to the queues
    shape (postrouting)                     packet mark says inspected   -> note: the answer goes into the connection's mark
                                            moved the least of any after -> caps_moved
    caps_moved                              no class                     -> caps_unclassed: class large, where much was moved
                                            oifname <access>             -> caps_down -> caps_down_<class> -> .._heavy
                                            oifname <upstream>           -> caps_up   -> caps_up_<class>   -> .._heavy

A queue's verdict ends its base chain, so the answer is read in a later one. The stack sets a forwarded packet's priority by its
TOS (ip_forward), so tc's class is given after that. A flow that has moved little pays for two rules of `shape`, whatever it
is; one without a class for one or two more; a heavy one whose subscriber has a lease for one look-up of an address on top.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edged.addresses import Family, Range, merge
from edged.config.caps import Cap
from edged.config.gateway import PoolName
from edged.marks import FlowClass, MarkFields
from edged.origin import Origin, Places
from edged.policies.base import FamilySets, Mode, Site, elements, family_sets
from edged.ruleset.fragment import Fragment
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    ConntrackState,
    Continue,
    Direction,
    Drop,
    FlowBytesAbove,
    FlowPacketsBelow,
    GoesOut,
    Goto,
    HasLease,
    Jump,
    MarkIs,
    Match,
    OverLimit,
    PacketMarkIs,
    Queue,
    Remember,
    Return,
    SetMark,
    Side,
    StateIn,
    Transport,
    TransportIs,
    Verdict,
)
from edged.ruleset.sets import AnySet, Holds, LiveSet
from edged.ruleset.tree import QUEUED, SHAPED, Chain, Counter, Hook, Rule

CAPPED = (FlowClass.P2P, FlowClass.STREAMING, FlowClass.BULK)
BY_CONTENT = (FlowClass.P2P, FlowClass.STREAMING)

POLICY = "caps"
INSPECT = Hook("forward", 10)
SHAPE = Hook("postrouting", -150)  # nft's `mangle`, and ahead of source NAT: the addresses are the subscribers' own

# An inspector needs the first 8 packets with payload, 16 where a TLS hello or the head of an answer spans several; of TCP its
# handshake and bare acknowledgements are among those counted.
TCP_PACKETS, UDP_PACKETS = 24, 12

QUEUED_PACKETS = Counter(POLICY, None, None, QUEUED)  # those that no worker saw are known by it alone

REMEMBERED_SECONDS = 5

_NEAR = {Direction.UP: Side.SOURCE, Direction.DOWN: Side.DESTINATION}
_NUMBER = {Family.IPV4: "4", Family.IPV6: "6"}

Held = Mapping[FlowClass, Cap | None]


def live_set(holds: Holds, direction: Direction, flow_class: FlowClass, family: Family) -> LiveSet:
    """The set of those remembered, the map of leases, or that of limits, for one direction, class and family."""
    word = {Holds.NOTHING: "heavy", Holds.CLASS: "lease", Holds.LIMIT: "police"}[holds]
    return LiveSet(f"{word}_{direction.value}_{flow_class.label}{_NUMBER[family]}", family, holds)


@dataclass(frozen=True, slots=True)
class Capping:
    """What is held to what: by class, and by class for each plan."""

    mode: Mode
    held: Held
    plans: Mapping[str, Held]
    queues: int

    @property
    def classes(self) -> tuple[FlowClass, ...]:
        """The classes that anybody's flows are held in."""
        return tuple(each for each in CAPPED if self.held[each] is not None)

    def fragment(self, site: Site, pools: Sequence[PoolName], places: Places) -> Fragment:
        """The rules for one site; none where no class is held."""
        if not self.classes:
            return Fragment()
        covered = family_sets("caps_pool", lambda family: elements(site.addresses(pools, family)))
        least = min(self._afters(*self.classes))
        plans = [_PlanSets(self, site, each, least) for each in self.classes]
        heavy = [_Heavy(self.mode, site, direction, each, covered) for direction in Direction for each in self.classes]
        sets: list[AnySet] = [*covered.values(), *(made for each in plans for made in each.sets)]
        chains = [*self._inspection(site.marks, places), self._shape(least, site.marks, places), self._moved(site, places)]
        chains.append(self._unclassed(site.marks, places))
        for direction in Direction:
            chains.append(self._dispatch(direction, site.marks, places))
            chains += (each.chain(direction, places) for each in plans)
        for each in heavy:
            sets += each.live_sets
            chains.append(each.chain(places))
        return Fragment(tuple(sets), tuple(chains))

    def _inspection(self, marks: MarkFields, places: Places) -> Iterator[Chain]:
        """The chains that have flows recognised by their content, where a class goes by that."""
        classes = [each for each in BY_CONTENT if each in self.classes]
        if not classes:
            return
        origin, queue = places.at("classes"), Queue(self.queues)
        young = {
            Transport.TCP: (StateIn((ConntrackState.ESTABLISHED,)), FlowPacketsBelow(TCP_PACKETS)),
            Transport.UDP: (FlowPacketsBelow(UDP_PACKETS),),
        }
        asked = (
            _rule(f"inspect.{transport.label}", (TransportIs(transport), *when), queue, origin, QUEUED_PACKETS)
            for transport, when in young.items()
        )
        yield Chain("inspect", (_rule("inspect.done", (MarkIs(marks.inspected, 1),), Accept()), *asked), INSPECT)
        answers = (
            _rule(f"note.{each.label}", (PacketMarkIs(marks.flow_class, each),), SetMark(marks.flow_class, each), origin)
            for each in classes
        )
        yield Chain("note", (_rule("note.done", (), SetMark(marks.inspected, 1), origin), *answers))

    def _shape(self, least: int, marks: MarkFields, places: Places) -> Chain:
        """What every forwarded packet pays for: most flows end without having moved what any class asks for."""
        origin = places.at("classes")
        answered = _rule("shape.answered", (PacketMarkIs(marks.inspected, 1),), Jump("note"), origin)
        noting = (answered,) if any(each in self.classes for each in BY_CONTENT) else ()
        return Chain("shape", (*noting, _rule("shape.moved", (FlowBytesAbove(least),), Goto("caps_moved"), origin)), SHAPE)

    def _moved(self, site: Site, places: Places) -> Chain:
        """Flows that may be heavy, by their class and direction."""
        origin, marks = places.at("classes"), site.marks
        unclassed = _rule("caps_moved.unclassed", (MarkIs(marks.flow_class, FlowClass.NONE),), Goto("caps_unclassed"), origin)
        ways = (
            _rule(f"caps_moved.{direction.value}.{name}", (GoesOut(name),), Jump(f"caps_{direction.value}"), origin)
            for direction, names in ((Direction.DOWN, site.access), (Direction.UP, site.upstream))
            for name in names
        )
        return Chain("caps_moved", (unclassed, *ways))

    def _afters(self, *classes: FlowClass) -> Iterator[int]:
        """The volumes from which on flows of these classes are held, of all plans."""
        for held in (self.held, *self.plans.values()):
            yield from (cap.after for each in classes if (cap := held[each]) is not None)

    def _unclassed(self, marks: MarkFields, places: Places) -> Chain:
        """Notes what may be a bulk transfer, by the least volume of any plan: nobody asks yet whose flow it is."""
        if FlowClass.BULK not in self.classes:
            return Chain("caps_unclassed")
        much = FlowBytesAbove(min(self._afters(FlowClass.BULK)))
        large = SetMark(marks.flow_class, FlowClass.LARGE)
        return Chain("caps_unclassed", (_rule("caps_unclassed.large", (much,), large, places.at("classes", "bulk")),))

    def _dispatch(self, direction: Direction, marks: MarkFields, places: Places) -> Chain:
        name = f"caps_{direction.value}"
        rules = (
            _rule(
                f"{name}.{each.label}",
                (MarkIs(marks.flow_class, each),),
                Goto(f"{name}_{each.label}"),
                places.at("classes", each.label),
            )
            for each in self.classes
        )
        return Chain(name, tuple(rules))


class _PlanSets:
    """One class: who is not capped in it, and whose flows are heavy after another volume than others'."""

    def __init__(self, capping: Capping, site: Site, flow_class: FlowClass, least: int) -> None:
        """`least` is what every flow has moved that comes here."""
        general = capping.held[flow_class]
        assert general is not None  # noqa: S101  of Capping.classes
        self._class, self._after = flow_class, general.after
        self._is_asked = self._after > least
        caps = {name: plan[flow_class] for name, plan in capping.plans.items()}
        free = [name for name, cap in caps.items() if cap is None]
        self._free = family_sets(f"caps_free_{flow_class.label}", lambda family: elements(_members(site, free, family)))
        self._others: list[tuple[str, int, FamilySets]] = [
            (name, cap.after, _plan_sets(f"caps_{flow_class.label}_of_{name}_", site, name))
            for name, cap in caps.items()
            if cap is not None and cap.after != general.after
        ]

    @property
    def sets(self) -> Iterator[AnySet]:
        yield from self._free.values()
        for _, _, sets in self._others:
            yield from sets.values()

    def chain(self, direction: Direction, places: Places) -> Chain:
        """On to the heavy ones' chain with what has moved more than its subscriber's volume; the rest passes."""
        chain, near, label = f"caps_{direction.value}_{self._class.label}", _NEAR[direction], self._class.label
        heavy = Goto(f"{chain}_heavy")
        rules = [
            _rule(f"{chain}.free.{family.value}", (AddressIn(near, family, made.name),), Return(), places.at("plans"))
            for family, made in self._free.items()
        ]
        for plan, after, sets in self._others:
            name, origin = f"{chain}.plan.{plan}", places.at("plans", plan, label)
            for family, made in sets.items():
                member = AddressIn(near, family, made.name)
                rules.append(_rule(f"{name}.after.{family.value}", (member, FlowBytesAbove(after)), heavy, origin))
                rules.append(_rule(f"{name}.light.{family.value}", (member,), Return(), origin))
        much = (FlowBytesAbove(self._after),) if self._is_asked else ()
        rules.append(_rule(f"{chain}.after", much, heavy, places.at("classes", label)))
        return Chain(chain, tuple(rules))


class _Heavy:
    """What becomes of heavy flows of one class in one direction."""

    def __init__(self, mode: Mode, site: Site, direction: Direction, flow_class: FlowClass, covered: FamilySets) -> None:
        self._mode, self._site, self._covered = mode, site, covered
        self._direction, self._class = direction, flow_class

    @property
    def live_sets(self) -> Iterator[LiveSet]:
        """None in observe mode, which gives no leases."""
        for family in self._covered if self._mode is not Mode.OBSERVE else ():
            yield from (self._live(holds, family) for holds in Holds)

    def chain(self, places: Places) -> Chain:
        name, origin = f"caps_{self._direction.value}_{self._class.label}_heavy", places.at("classes", self._class.label)
        guard = self._site.guard(name, self._direction)
        by_family = [self._of_family(name, family, origin) for family in self._covered]
        # both families' leases first: else every leased packet of IPv6 paid for all that is asked of IPv4
        return Chain(name, (*guard, *(rule for rules in zip(*by_family, strict=True) for rule in rules)))

    def _of_family(self, chain: str, family: Family, origin: Origin) -> Iterator[Rule]:
        near = _NEAR[self._direction]
        member = AddressIn(near, family, self._covered[family].name)
        if self._mode is Mode.OBSERVE:
            yield _rule(f"{chain}.seen.{family.value}", (member,), Continue(), origin, self._counter(family, "observe"))
            return
        lease = HasLease(near, family, self._live(Holds.CLASS, family).name)
        over = OverLimit(near, family, self._live(Holds.LIMIT, family).name)
        remember = Remember(near, family, self._live(Holds.NOTHING, family).name, REMEMBERED_SECONDS)
        yield _rule(f"{chain}.lease.{family.value}", (lease,), Accept(), origin, self._counter(family, SHAPED))
        yield _rule(f"{chain}.limit.{family.value}", (over,), Drop(), origin, self._counter(family, "drop"))
        yield _rule(f"{chain}.wanted.{family.value}", (member,), remember, origin)

    def _live(self, holds: Holds, family: Family) -> LiveSet:
        return live_set(holds, self._direction, self._class, family)

    def _counter(self, family: Family, verdict: str) -> Counter:
        return Counter(POLICY, self._direction, family, verdict, self._class.label)


def _rule(name: str, when: tuple[Match, ...], then: Verdict, origin: Origin | None = None, count: Counter | None = None) -> Rule:
    return Rule(name, when, then, count, POLICY, origin)


def _plan_sets(name: str, site: Site, plan: str) -> FamilySets:
    return family_sets(name, lambda family: elements(_members(site, (plan,), family)))


def _members(site: Site, plans: Sequence[str], family: Family) -> tuple[Range, ...]:
    return merge(extent for plan in plans for extent in site.plans.get(plan, {}).get(family, ()))
