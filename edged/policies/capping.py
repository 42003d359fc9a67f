"""The rules of caps.

    forward, after the policies   not inspected yet            -> caps_inspect: the first packets of flows, to the queues
    shape (postrouting)           heavy                        -> caps_heavy
                                  packet mark says inspected   -> note: the answer goes into the connection's mark
                                  moved the least of any after -> caps_moved
    caps_moved                    no class                     -> caps_unclassed: heavy, where much was moved
                                  <class>, oifname <access>    -> caps_down_<class>: by its subscriber's plan
                                                               -> caps_found_down: heavy -> caps_heavy
    caps_heavy                    <class>, oifname <access>    -> caps_down_<class>_heavy: leases, limits
                                  packet mark says inspected   -> note

and in the other direction alike. What a flow has moved, whose it is and whether its far end is a never-block one is asked until
it is found heavy, and then stands in its connection's mark: counting bytes and looking up sets are what costs most. So a heavy
packet pays for some comparisons and the look-up of its lease, and one of a flow that has moved little for three rules. Whoever
changes the answers, by another configuration, takes the bit out of the marks (daemon/bulk.py).

A queue's verdict ends its base chain, so the answer is read in a later one. The stack sets a forwarded packet's priority by its
TOS (ip_forward), so tc's class is given after that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edged.config.gateway import PoolName
from edged.marks import FlowClass, MarkFields
from edged.origin import Places
from edged.policies.base import Mode, Site, elements, family_sets
from edged.policies.heavy import POLICY, Heavy, Held, PlanSets, rule
from edged.ruleset.fragment import Entry, Fragment, Point
from edged.ruleset.nodes import (
    ConntrackState,
    Direction,
    FlowBytesAbove,
    FlowPacketsBelow,
    GoesOut,
    Goto,
    Jump,
    MarkIs,
    PacketMarkIs,
    Queue,
    SetMark,
    StateIn,
    Transport,
    TransportIs,
)
from edged.ruleset.sets import AnySet
from edged.ruleset.tree import QUEUED, Chain, Counter, Hook, Rule

CAPPED = (FlowClass.P2P, FlowClass.STREAMING, FlowClass.BULK)
BY_CONTENT = (FlowClass.P2P, FlowClass.STREAMING)

SHAPE = Hook("postrouting", -150)  # nft's `mangle`, and ahead of source NAT: the addresses are the subscribers' own

# An inspector needs the first 8 packets with payload, 16 where a TLS hello or the head of an answer spans several; of TCP its
# handshake and bare acknowledgements are among those counted.
TCP_PACKETS, UDP_PACKETS = 24, 12

QUEUED_PACKETS = Counter(POLICY, None, None, QUEUED)  # those that no worker saw are known by it alone


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
        plans = [PlanSets(self.held, self.plans, site, each, least) for each in self.classes]
        heavy = [Heavy(self.mode, direction, each, covered) for direction in Direction for each in self.classes]
        sets: list[AnySet] = [*covered.values(), *(made for each in plans for made in each.sets)]
        chains = [*self._inspection(site.marks, places), self._shape(least, site.marks, places)]
        chains += [self._moved(site, places), self._unclassed(site.marks, places)]
        for direction in Direction:
            chains += (each.chain(direction, places) for each in plans)
            chains.append(_found(site, direction, places))
        chains.append(self._heavy(site, places))
        for each in heavy:
            sets += each.live_sets
            chains.append(each.chain(places))
        return Fragment(tuple(sets), tuple(chains), self._entries(site.marks, places))

    @property
    def _by_content(self) -> tuple[FlowClass, ...]:
        return tuple(each for each in BY_CONTENT if each in self.classes)

    def _entries(self, marks: MarkFields, places: Places) -> tuple[Entry, ...]:
        """At the end of `forward`: a base chain more would cost every packet as much as three comparisons."""
        if not self._by_content:
            return ()
        young = rule("caps_inspect.enter", (MarkIs(marks.inspected, 0),), Jump("caps_inspect"), places.at("classes"))
        return (Entry(Point.ANYWHERE, (young,)),)

    def _inspection(self, marks: MarkFields, places: Places) -> Iterator[Chain]:
        """The chains that have flows recognised by their content, where a class goes by that."""
        if not self._by_content:
            return
        origin, queue = places.at("classes"), Queue(self.queues)
        young = {
            Transport.TCP: (StateIn((ConntrackState.ESTABLISHED,)), FlowPacketsBelow(TCP_PACKETS)),
            Transport.UDP: (FlowPacketsBelow(UDP_PACKETS),),
        }
        asked = (
            rule(f"caps_inspect.{transport.label}", (TransportIs(transport), *when), queue, origin, QUEUED_PACKETS)
            for transport, when in young.items()
        )
        yield Chain("caps_inspect", tuple(asked))
        answers = (
            rule(f"note.{each.label}", (PacketMarkIs(marks.flow_class, each),), SetMark(marks.class_and_weight, each), origin)
            for each in self._by_content
        )
        yield Chain("note", (rule("note.done", (), SetMark(marks.inspected, 1), origin), *answers))

    def _answered(self, chain: str, marks: MarkFields, places: Places) -> tuple[Rule, ...]:
        when = (PacketMarkIs(marks.inspected, 1),)
        return (rule(f"{chain}.answered", when, Jump("note"), places.at("classes")),) if self._by_content else ()

    def _shape(self, least: int, marks: MarkFields, places: Places) -> Chain:
        """What every forwarded packet pays for: most flows end without having moved what any class asks for."""
        origin = places.at("classes")
        heavy = rule("shape.heavy", (MarkIs(marks.heavy, 1),), Goto("caps_heavy"), origin)
        moved = rule("shape.moved", (FlowBytesAbove(least),), Goto("caps_moved"), origin)
        return Chain("shape", (heavy, *self._answered("shape", marks, places), moved), SHAPE)

    def _afters(self, *classes: FlowClass) -> Iterator[int]:
        """The volumes from which on flows of these classes are held, of all plans."""
        for held in (self.held, *self.plans.values()):
            yield from (cap.after for each in classes if (cap := held[each]) is not None)

    def _moved(self, site: Site, places: Places) -> Chain:
        """Flows that may be heavy, by their class and direction."""
        none = (MarkIs(site.marks.flow_class, FlowClass.NONE),)
        unclassed = rule("caps_moved.unclassed", none, Goto("caps_unclassed"), places.at("classes"))
        return Chain("caps_moved", (unclassed, *self._by_class("caps_moved", "", site, places)))

    def _unclassed(self, marks: MarkFields, places: Places) -> Chain:
        """Notes what may be a bulk transfer, by the least volume of any plan: nobody asks yet whose flow it is."""
        if FlowClass.BULK not in self.classes:
            return Chain("caps_unclassed")
        much = FlowBytesAbove(min(self._afters(FlowClass.BULK)))
        return Chain(
            "caps_unclassed", (rule("caps_unclassed.heavy", (much,), SetMark(marks.heavy, 1), places.at("classes", "bulk")),)
        )

    def _heavy(self, site: Site, places: Places) -> Chain:
        """Heavy flows, by their class and direction; of those without a class an answer can still come."""
        ways = self._by_class("caps_heavy", "_heavy", site, places)
        return Chain("caps_heavy", (*ways, *self._answered("caps_heavy", site.marks, places)))

    def _by_class(self, chain: str, what: str, site: Site, places: Places) -> Iterator[Rule]:
        """By class, and the interface that the packet goes out by: a chain between the two would cost as much as two rules."""
        for each in self.classes:
            for direction, names in ((Direction.DOWN, site.access), (Direction.UP, site.upstream)):
                target = Goto(f"caps_{direction.value}_{each.label}{what}")
                for name in names:
                    when = MarkIs(site.marks.flow_class, each), GoesOut(name)
                    called = f"{chain}.{each.label}.{direction.value}.{name}"
                    yield rule(called, when, target, places.at("classes", each.label))


def _found(site: Site, direction: Direction, places: Places) -> Chain:
    """What is heavy from now on, unless its far end is a never-block one."""
    name, origin = f"caps_found_{direction.value}", places.at("classes")
    noted = rule(f"{name}.heavy", (), SetMark(site.marks.heavy, 1), origin)
    return Chain(name, (*site.guard(name, direction), noted, rule(f"{name}.held", (), Goto("caps_heavy"), origin)))
