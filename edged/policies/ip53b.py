"""IP53B: unsolicited inbound UDP 53 into dynamic pools is dropped, so that open resolvers there cannot be abused.

All three must hold (IP-1): the packet comes from outside, to a covered address, to UDP port 53. TCP 53 never matches (IP-5),
nor does source port 53 by itself (IP-2): those are answers to subscribers. The drop is silent (IP-6): sources are forged,
and any answer would make the gateway a reflector itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from edged.addresses import of_family
from edged.config.exemption import SubscriberExemption
from edged.config.gateway import PoolName
from edged.config.problem import Finding
from edged.config.scalars import Flag, PrefixList
from edged.config.section import Section
from edged.origin import Places
from edged.policies.base import Policy, Scope, Site, elements, exempt_elements, family_sets
from edged.policies.review import explain_port_key, review_exemptions, review_open_to_all, review_pools
from edged.ruleset.fragment import Entry, Fragment, Point
from edged.ruleset.nodes import AddressIn, ConntrackDirection, Direction, DirectionIs, Jump, PortIs, Return, Side, Transport
from edged.ruleset.tree import Chain, Rule

DNS = 53


class Exempt(Section):
    """Who is let through: sources to everyone, subscribers from everywhere."""

    sources: PrefixList = Field((), description="the operator's own monitoring and scanning (IP-7)")
    subscribers: tuple[SubscriberExemption, ...] = Field((), description="subscribers who run a name server (OP-10)")


class Ip53b(Policy):
    """Inbound UDP 53 blocking: DNS queries from outside into dynamic pools."""

    policy: Literal["ip53b"]
    pools: tuple[PoolName, ...] = Field((PoolName.DYNAMIC,), description="whose addresses are covered (IP-8)", min_length=1)
    unsolicited_only: Flag = Field(
        default=True, description="let the answers to queries sent from source port 53 pass; false: stateless (IP-3)"
    )
    scope: Scope = Field(Scope.EXTERNAL, description="external: from upstream; all: between subscribers too")
    exempt: Exempt = Field(default_factory=Exempt)

    def review(self, site: Site, now: int) -> Iterator[Finding]:
        """What is odd about who is covered and who is exempt."""
        yield from review_pools(self.pools, site)
        yield from review_open_to_all(self.exempt.sources, ("exempt", "sources"))
        yield from review_exemptions(self.exempt.subscribers, self.pools, site, now)

    @classmethod
    def explain_key(cls, key: str, value: object) -> str | None:
        """A port cannot be chosen, and 587 and 465 can never be blocked (OP-7)."""
        return explain_port_key(key, value, "UDP port 53")

    def declare(self, site: Site, places: Places, now: int) -> Fragment:
        """One chain, its sets, and the point where UDP 53 enters it."""
        covered = family_sets("ip53b_pool", lambda family: elements(site.addresses(self.pools, family)))
        sources = family_sets("ip53b_sources", lambda family: elements(of_family(self.exempt.sources, family)))
        exempt = family_sets("ip53b_exempt", lambda family: exempt_elements(self.exempt.subscribers, family, now), expiring=True)
        sides = ((sources, "source", Side.SOURCE, "sources"), (exempt, "exempt", Side.DESTINATION, "subscribers"))
        passes = [
            Rule(
                f"ip53b_down.{word}.{family.value}",
                (AddressIn(side, family, made.name),),
                Return(),
                policy=self.policy,
                origin=places.at("exempt", key),
            )
            for sets, word, side, key in sides
            for family, made in sets.items()
        ]
        stops = [
            self.discard(
                f"ip53b_down.covered.{family.value}",
                Direction.DOWN,
                family,
                (AddressIn(Side.DESTINATION, family, made.name),),
                places.at("policy"),
            )
            for family, made in covered.items()
        ]
        chain = Chain("ip53b_down", (*site.guard("ip53b_down", Direction.DOWN), *self._answers(places), *passes, *stops))
        enter = Rule("ip53b_down.enter", (PortIs(Transport.UDP, Side.DESTINATION, DNS),), Jump(chain.name), policy=self.policy)
        point = Point.ANYWHERE if self.scope is Scope.ALL else Point.FROM_UPSTREAM
        return Fragment((*covered.values(), *sources.values(), *exempt.values()), (chain,), (Entry(point, (enter,)),))

    def _answers(self, places: Places) -> tuple[Rule, ...]:
        if not self.unsolicited_only:
            return ()
        # IP-3. `ct state new` would be shorter, but passes flows from outside that were answered before the rule came,
        # INVALID packets, and answers from other ports than 53.
        return (
            Rule(
                "ip53b_down.answer",
                (DirectionIs(ConntrackDirection.REPLY), PortIs(Transport.UDP, Side.SOURCE, DNS)),
                Return(),
                policy=self.policy,
                origin=places.at("unsolicited_only"),
            ),
        )
