"""Source address validation (BCP 38, RFC 2827): nobody sends with addresses that are not theirs.

From the access side a source must lie in a pool (AS-1; the attachment itself is not known to edged). From upstream it must
not, unless it is listed as multihomed (AS-4). It runs before every other policy (AS-2, G-1 step 1), so that no reset of
another policy goes to a forged source.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Literal

from pydantic import Field

from edged.addresses import Family, Range, merge, of_family, subtract
from edged.config.gateway import PoolName
from edged.config.problem import Finding, Severity
from edged.config.scalars import PrefixList
from edged.origin import Places
from edged.policies.base import Policy, Site, elements, family_sets
from edged.policies.review import review_no_effect
from edged.ruleset.fragment import Entry, Fragment, Point
from edged.ruleset.nodes import AddressIn, AddressNotIn, Direction, Side

# AS-5: DHCP's 0.0.0.0, the :: of duplicate address detection and link-local addresses are nobody's forgery
UNASSIGNED_BUT_HONEST = tuple(ip_network(text) for text in ("0.0.0.0/32", "169.254.0.0/16", "::/128", "fe80::/10"))


class Spoof(Policy):
    """Source address validation on both sides of the gateway."""

    policy: Literal["spoof"]
    multihomed: PrefixList = Field((), description="prefixes of our pools that may come in from upstream too (AS-4)")

    def review(self, site: Site, now: int) -> Iterator[Finding]:  # noqa: ARG002  it has no end
        """A family without a pool is one in which every subscriber's packet counts as forged."""
        for family, word in ((Family.IPV4, "IPv4"), (Family.IPV6, "IPv6")):
            if not site.addresses(PoolName, family):
                message = f"no pool of edged.yaml has an {word} prefix, so every {word} packet of a subscriber counts as forged"
                yield Finding(("policy",), message, Severity.WARNING)
        yield from review_no_effect(self.multihomed, ("multihomed",), site)

    def declare(self, site: Site, places: Places, now: int) -> Fragment:  # noqa: ARG002  nothing here ends
        """Two sets a family, and one rule a direction and family, at the points where packets come in."""
        ours = family_sets("spoof_assigned", lambda family: elements(self._assigned(site, family)))
        inside = family_sets("spoof_inside", lambda family: elements(self._inside(site, family)))
        up = tuple(
            self.discard(
                f"spoof_up.{family.value}",
                Direction.UP,
                family,
                (AddressNotIn(Side.SOURCE, family, made.name),),
                places.at("policy"),
            )
            for family, made in ours.items()
        )
        down = tuple(
            self.discard(
                f"spoof_down.{family.value}",
                Direction.DOWN,
                family,
                (AddressIn(Side.SOURCE, family, made.name),),
                places.at("policy"),
            )
            for family, made in inside.items()
        )
        return Fragment((*ours.values(), *inside.values()), (), (Entry(Point.FROM_ACCESS, up), Entry(Point.FROM_UPSTREAM, down)))

    def _assigned(self, site: Site, family: Family) -> tuple[Range, ...]:
        return merge((*site.addresses(PoolName, family), *of_family(UNASSIGNED_BUT_HONEST, family)))

    def _inside(self, site: Site, family: Family) -> tuple[Range, ...]:
        return subtract(site.addresses(PoolName, family), of_family(self.multihomed, family))
