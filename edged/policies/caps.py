"""Caps: a subscriber's heavy peer-to-peer, streaming and bulk flows are held to the rate of their class, and nothing else is.

A flow's class stands in its connection's mark (edged/marks.py). An inspector names p2p and streaming after the first packets,
which are handed to it; `large` is noted of a flow that has no class and has moved enough for bulk, and whoever measures that it
lasts makes it bulk. What becomes of a flow of a class once it has moved more than `after`:

    its subscriber has a lease      the packet takes the lease's tc class, which shapes it
    ... or a limit                  what is beyond the limit is dropped
    and where the packet passes     the subscriber is remembered for some seconds: a lease is wanted

Leases and limits are given by others (sets.LiveSet). Everything here fails open: a flow without a class, a connection that is not
counted, a queue that nobody listens to, a subscriber without a lease: all pass. It slows and never blocks (HV-1), each class
within whatever cap the subscriber has beside it, and nothing to or from a never-block far end (G-1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from edged.config.caps import BulkCap, Cap, Classes, Plan, PlanCap, Plans
from edged.config.gateway import PoolName
from edged.config.problem import Finding, KeyPath, Severity
from edged.config.scalars import InterfaceName, OptionalPath
from edged.marks import FlowClass
from edged.origin import Places
from edged.policies.base import Policy, Site
from edged.policies.capping import CAPPED, Capping
from edged.policies.review import review_interfaces, review_pools
from edged.ruleset.fragment import Fragment


class Caps(Policy):
    """Caps on heavy flows, by class and subscriber."""

    policy: Literal["caps"]
    pools: tuple[PoolName, ...] = Field(
        (PoolName.DYNAMIC, PoolName.STATIC), description="whose addresses are covered", min_length=1
    )
    classes: Classes = Field(description="the classes that are capped, each over all of a subscriber's flows in it")
    plans: Plans = Field({}, description="what is other for the subscribers of a plan, by the plan's name")
    streaming_hosts: OptionalPath = Field(None, description="a file with the host names of streaming services")
    queues: int = Field(1, ge=1, le=64, description="how many processes look at the first packets of flows, each with a queue")
    pool: int = Field(
        2048,
        ge=0,
        le=16384,
        description="how many subscribers' heavy flows are shaped at a time in each direction; those of more are policed",
    )
    replace_qdiscs: tuple[InterfaceName, ...] = Field(
        (), description="interfaces whose root qdisc edged may replace, though another program made it"
    )

    def cap(self, flow_class: FlowClass, plan: str | None = None) -> Cap | None:
        """How the class is held for that plan's subscribers, or for those without one; None: not at all. Of BULK a BulkCap."""
        held = _of_classes(self.classes, flow_class)
        if held is None or plan is None or plan not in self.plans:
            return held
        other = _of_plan(self.plans[plan], flow_class)
        if other is None:
            return None
        said = ((name, getattr(other, name)) for name in other.model_fields_set)
        return held.model_copy(update={name: value for name, value in said if value is not None})

    def plan_names(self) -> tuple[str, ...]:
        """Those that subscribers may have."""
        return tuple(self.plans)

    def declare(self, site: Site, places: Places, now: int) -> Fragment:  # noqa: ARG002  nothing here ends
        """What capping.py makes of the caps of this site's plans."""
        plans = {name: {each: self.cap(each, name) for each in CAPPED} for name in self.plans}
        return Capping(self.mode, {each: self.cap(each) for each in CAPPED}, plans, self.queues).fragment(
            site, self.pools, places
        )

    def review(self, site: Site, now: int) -> Iterator[Finding]:  # noqa: ARG002  nothing here ends
        """Pools that cover nothing, no class at all, plans that change what is not there, and caps that would slow nothing."""
        yield from review_pools(self.pools, site)
        held = [each for each in CAPPED if self.cap(each) is not None]
        if not held:
            yield Finding(("classes",), "expected at least one of p2p, streaming and bulk; to cap nothing, write mode: off")
        if self.streaming_hosts is not None and FlowClass.STREAMING not in held:
            message = "class 'streaming' is not capped, so nobody looks for these hosts"
            yield Finding(("streaming_hosts",), message, Severity.WARNING)
        yield from review_interfaces(self.replace_qdiscs, ("replace_qdiscs",), site)
        yield from _slows_nothing(self.cap(FlowClass.BULK), ("classes", "bulk"))
        for name, plan in self.plans.items():
            for flow_class in CAPPED:
                at = ("plans", name, flow_class.label)
                if flow_class.label in plan.model_fields_set and flow_class not in held:
                    message = f"class {flow_class.label!r} is not in `classes`, and a plan changes only what is there"
                    yield Finding(at, message)
            if "bulk" in plan.model_fields_set:
                yield from _slows_nothing(self.cap(FlowClass.BULK, name), ("plans", name, "bulk"))


def _of_classes(classes: Classes, flow_class: FlowClass) -> Cap | None:
    match flow_class:
        case FlowClass.P2P:
            return classes.p2p
        case FlowClass.STREAMING:
            return classes.streaming
        case FlowClass.BULK:
            return classes.bulk
        case _:
            return None


def _of_plan(plan: Plan, flow_class: FlowClass) -> PlanCap | None:
    match flow_class:
        case FlowClass.P2P:
            return plan.p2p
        case FlowClass.STREAMING:
            return plan.streaming
        case FlowClass.BULK:
            return plan.bulk
        case _:
            return None


def _slows_nothing(cap: Cap | None, at: KeyPath) -> Iterator[Finding]:
    if isinstance(cap, BulkCap) and min(cap.down, cap.up) >= cap.sustained:
        message = "`down` and `up` are not below `sustained`: the flows that are found would not be slowed"
        yield Finding(at, message, Severity.WARNING)
