"""OP25B: outbound port 25 blocking. Mail leaves the dynamic pools by submission (587, 465) or through the operator's servers.

Two-sided. `up` stops TCP to port 25 from a dynamic address (OP-1). `down` stops TCP *from* port 25 to a dynamic address
(OP-2): a spammer can send from elsewhere with the subscriber's address as forged source and have the subscriber relay the
servers' answers, and no packet to port 25 crosses the edge then (Qian et al., IEEE S&P 2010). No rule asks for TCP flags or
conntrack state (OP-3), so flows that began before the rule, and packets that conntrack calls INVALID, are stopped too.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

from pydantic import Field

from edged.addresses import of_family
from edged.config.exemption import SubscriberExemption
from edged.config.gateway import PoolName
from edged.config.problem import Finding
from edged.config.scalars import PrefixList
from edged.config.section import Section
from edged.origin import Places
from edged.policies.base import FamilySets, Mode, Policy, Scope, Site, elements, exempt_elements, family_sets
from edged.policies.review import explain_port_key, review_exemptions, review_open_to_all, review_pools
from edged.ruleset.fragment import Entry, Fragment, Point
from edged.ruleset.nodes import (
    AddressIn,
    CameIn,
    Direction,
    Goto,
    IsFamily,
    Jump,
    PortIs,
    RateAbove,
    ResetTcp,
    Return,
    Side,
    Transport,
)
from edged.ruleset.tree import Chain, Counter, Rule

SMTP = 25

# OP-8: a worm's storm of SYNs must not make the gateway send as many resets; above this it drops in silence
RESETS_PER_SECOND = 1000


class Action(StrEnum):
    """What the subscriber gets to hear."""

    REJECT = "reject"
    DROP = "drop"


class Replies(StrEnum):
    """What becomes of packets from port 25 to a covered address."""

    DROP = "drop"
    PASS = "pass"


class Exempt(Section):
    """Who is let through: mail servers for everyone, subscribers to everywhere."""

    destinations: PrefixList = Field((), description="the operator's own mail servers; as source of replies too (OP-4)")
    subscribers: tuple[SubscriberExemption, ...] = Field((), description="subscribers who may send mail themselves (OP-10)")


class Op25b(Policy):
    """Outbound port 25 blocking: TCP 25 out of dynamic pools, and answers from port 25 into them."""

    policy: Literal["op25b"]
    pools: tuple[PoolName, ...] = Field((PoolName.DYNAMIC,), description="whose addresses are covered", min_length=1)
    action: Action = Field(Action.REJECT, description="reject: a TCP reset to the subscriber; drop: silence")
    scope: Scope = Field(Scope.EXTERNAL, description="external: toward and from upstream; all: between subscribers too")
    replies: Replies = Field(Replies.DROP, description="inbound TCP from port 25 to covered addresses")
    exempt: Exempt = Field(default_factory=Exempt)

    def review(self, site: Site, now: int) -> Iterator[Finding]:
        """What is odd about who is covered and who is exempt."""
        yield from review_pools(self.pools, site)
        yield from review_open_to_all(self.exempt.destinations, ("exempt", "destinations"))
        yield from review_exemptions(self.exempt.subscribers, self.pools, site, now)

    @classmethod
    def explain_key(cls, key: str, value: object) -> str | None:
        """A port cannot be chosen, and 587 and 465 can never be blocked (OP-7)."""
        return explain_port_key(key, value, "TCP port 25")

    def declare(self, site: Site, places: Places, now: int) -> Fragment:
        """The two chains, their sets, and the points where TCP 25 enters them."""
        covered = family_sets("op25b_pool", lambda family: elements(site.addresses(self.pools, family)))
        servers = family_sets("op25b_servers", lambda family: elements(of_family(self.exempt.destinations, family)))
        exempt = family_sets("op25b_exempt", lambda family: exempt_elements(self.exempt.subscribers, family, now), expiring=True)
        chains = [self._up(site, places, covered, servers, exempt)]
        entries = [self._entry(Direction.UP, Side.DESTINATION, Point.TO_UPSTREAM)]
        if self._refuses:
            chains += self._refuse(site, places, covered)
        if self.replies is Replies.DROP:
            chains.append(self._down(site, places, covered, servers, exempt))
            entries.append(self._entry(Direction.DOWN, Side.SOURCE, Point.FROM_UPSTREAM))
        sets = (*covered.values(), *servers.values(), *exempt.values())
        return Fragment(sets, tuple(chains), tuple(entries))

    @property
    def _refuses(self) -> bool:
        return self.action is Action.REJECT and self.mode is Mode.ENFORCE

    def _entry(self, direction: Direction, side: Side, point: Point) -> Entry:
        chain = f"op25b_{direction.value}"
        rule = Rule(f"{chain}.enter", (PortIs(Transport.TCP, side, SMTP),), Jump(chain), policy=self.policy)
        return Entry(Point.ANYWHERE if self.scope is Scope.ALL else point, (rule,))

    def _passes(self, chain: str, near: Side, far: Side, places: Places, servers: FamilySets, exempt: FamilySets) -> list[Rule]:
        """The rules that let exempt servers and subscribers by; they hold in both directions (OP-4)."""
        return [
            *(
                Rule(
                    f"{chain}.server.{family.value}",
                    (AddressIn(far, family, made.name),),
                    Return(),
                    policy=self.policy,
                    origin=places.at("exempt", "destinations"),
                )
                for family, made in servers.items()
            ),
            *(
                Rule(
                    f"{chain}.exempt.{family.value}",
                    (AddressIn(near, family, made.name),),
                    Return(),
                    policy=self.policy,
                    origin=places.at("exempt", "subscribers"),
                )
                for family, made in exempt.items()
            ),
        ]

    def _up(self, site: Site, places: Places, covered: FamilySets, servers: FamilySets, exempt: FamilySets) -> Chain:
        passes = self._passes("op25b_up", Side.SOURCE, Side.DESTINATION, places, servers, exempt)
        stops = []
        for family, made in covered.items():
            name, when = f"op25b_up.covered.{family.value}", (AddressIn(Side.SOURCE, family, made.name),)
            if self._refuses:
                stops.append(Rule(name, when, Goto("op25b_refuse"), policy=self.policy, origin=places.at("action")))
            else:
                stops.append(self.discard(name, Direction.UP, family, when, places.at("action")))
        return Chain("op25b_up", (*site.guard("op25b_up", Direction.UP), *passes, *stops))

    def _down(self, site: Site, places: Places, covered: FamilySets, servers: FamilySets, exempt: FamilySets) -> Chain:
        passes = self._passes("op25b_down", Side.DESTINATION, Side.SOURCE, places, servers, exempt)
        # OP-8: silence; a reset or an ICMP error would go to a mail server that has done nothing
        stops = [
            self.discard(
                f"op25b_down.covered.{family.value}",
                Direction.DOWN,
                family,
                (AddressIn(Side.DESTINATION, family, made.name),),
                places.at("replies"),
            )
            for family, made in covered.items()
        ]
        return Chain("op25b_down", (*site.guard("op25b_down", Direction.DOWN), *passes, *stops))

    def _refuse(self, site: Site, places: Places, covered: FamilySets) -> list[Chain]:
        """A reset toward the subscriber, never toward upstream, and not more of them than the limit (OP-8)."""
        origin = places.at("action")
        forged = [
            Rule(f"op25b_refuse.from-upstream.{name}", (CameIn(name),), Goto("op25b_discard"), policy=self.policy, origin=origin)
            for name in site.upstream
        ]
        limit = Rule(
            "op25b_refuse.limit",
            (RateAbove(RESETS_PER_SECOND, RESETS_PER_SECOND),),
            Goto("op25b_discard"),
            policy=self.policy,
            origin=origin,
        )
        resets = [
            Rule(
                f"op25b_refuse.reset.{family.value}",
                (IsFamily(family),),
                ResetTcp(),
                Counter(self.policy, Direction.UP, family, "reject"),
                self.policy,
                origin,
            )
            for family in covered
        ]
        drops = [
            self.discard(f"op25b_discard.{family.value}", Direction.UP, family, (IsFamily(family),), origin) for family in covered
        ]
        return [Chain("op25b_refuse", (*forged, limit, *resets)), Chain("op25b_discard", tuple(drops))]
