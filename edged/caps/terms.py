"""The terms on which caps are given: what a configuration and the devices of this moment allow."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from edged.addresses import Family, Prefix, Range
from edged.caps.lasting import Wanted
from edged.config.caps import BulkCap
from edged.marks import FlowClass
from edged.policies.capping import CAPPED
from edged.policies.caps import Caps
from edged.queueing.leases import CapSets
from edged.queueing.tree import ClassId, Rate
from edged.ruleset.nodes import Direction
from edged.subscribers import Subscriber, Subscribers
from edged.tracked import Tracked


class Account(NamedTuple):
    """Whose flows share one bucket: a subscriber's, of one class, in one direction. `subscriber` is the subscriber's key."""

    subscriber: Prefix
    flow_class: FlowClass
    direction: Direction


@dataclass(frozen=True, slots=True)
class Terms:
    """What is capped to what, and in which classes; `pools` has no class for a direction in which nothing can be shaped."""

    caps: Caps
    subscribers: Subscribers
    pools: Mapping[Direction, tuple[ClassId, ...]] = field(default_factory=dict)

    @property
    def sets(self) -> Iterator[tuple[CapSets, FlowClass]]:
        """Each set of those whose heavy flows have no lease, with its class."""
        for flow_class in CAPPED:
            if self.caps.cap(flow_class) is not None:
                for direction in Direction:
                    for family in Family:
                        yield CapSets(direction, flow_class.label, family), flow_class

    def subscriber(self, family: Family, key: int) -> Subscriber:
        """Whose addresses the key stands for; of an IPv6 network that several have, who has its first address."""
        return self.subscribers.of(family, key)

    def rate(self, subscriber: Subscriber, flow_class: FlowClass, direction: Direction) -> Rate | None:
        """What the subscriber's flows are held to; None where they are not."""
        cap = self.caps.cap(flow_class, subscriber.plan)
        if cap is None:
            return None
        bits = cap.down if direction is Direction.DOWN else cap.up
        return Rate(bits - bits % 8)  # the kernel counts whole bytes


@dataclass(frozen=True, slots=True)
class BulkTerms:
    """From when on a flow is a bulk transfer; `covered` are the addresses that caps cover, in order."""

    caps: Caps
    subscribers: Subscribers
    covered: Mapping[Family, tuple[Range, ...]]

    def wanted(self, flow: Tracked) -> Wanted | None:
        """What makes it one; None where its subscriber's are not capped, or neither end is a subscriber's."""
        for end in (flow.originator, flow.responder):
            ranges = self.covered.get(flow.family, ())
            place = bisect_right(ranges, end.address, key=lambda each: each.first) - 1
            if place >= 0 and end.address in ranges[place]:
                cap = self.caps.cap(FlowClass.BULK, self.subscribers.of(flow.family, end.address).plan)
                return Wanted(cap.sustained, cap.lasting) if isinstance(cap, BulkCap) else None
        return None
