"""What hypothesis draws: sites and policies from prefixes that nest, touch and reach the ends of the address space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from edged.addresses import Prefix
from edged.config.gateway import PoolName
from edged.origin import Origin
from edged.policies import Ip53b, Op25b, Policy, Site, Spoof
from edged.ruleset.tree import Table
from tests.gateway import NOW, make, prefixes, table_of

# Nested, neighbouring, single addresses, both ends of the address space, and all of it: interval sets go wrong at such edges.
POOL_PREFIXES = prefixes(
    *("203.0.113.0/24", "203.0.113.0/25", "203.0.113.64/28", "203.0.113.80/28", "203.0.113.7/32", "203.0.113.128/25"),
    *("198.51.100.0/24", "198.51.100.9/32", "100.64.0.0/10", "240.0.0.0/4", "0.0.0.0/0", "128.0.0.0/1"),
    *("2001:db8:d::/48", "2001:db8:d::/49", "2001:db8:d:5::/64", "2001:db8:d:5::7/128", "2001:db8:e::/48", "2001:db8:5::/48"),
    *("fc00::/7", "::/0", "8000::/1"),
)
FAR_PREFIXES = prefixes(
    *("192.0.2.25/32", "192.0.2.24/31", "192.0.2.0/28", "192.0.2.0/24", "203.0.113.64/28"),
    *("2001:db8:a::25/128", "2001:db8:a::/64", "2001:db8:b::/64", "2001:db8:d:5::/64"),
)
ENDS = (NOW - 1, NOW, NOW + 3600, NOW + 86400 * 400)

ACCESS = (("lan0",), ("lan0", "ppp*"), ("lan0", "ppp0"))
UPSTREAM = (("wan0",), ("wan0", "wan1"), ("wan*",))


@dataclass(frozen=True)
class Drawn:
    """A site and its policies."""

    site: Site
    policies: tuple[Policy, ...]

    def table(self, now: int = NOW) -> Table:
        return table_of(self.policies, self.site, now)

    def prefixes(self) -> tuple[Prefix, ...]:
        """Every prefix that the configuration names."""
        named = [*self.site.never_block, *(prefix for pool in self.site.pools.values() for prefix in pool)]
        for policy in self.policies:
            match policy:
                case Op25b():
                    named += [*policy.exempt.destinations, *(each.prefix for each in policy.exempt.subscribers)]
                case Ip53b():
                    named += [*policy.exempt.sources, *(each.prefix for each in policy.exempt.subscribers)]
                case Spoof():
                    named += policy.multihomed
                case _:
                    raise AssertionError(f"say here which prefixes {policy.policy} names")
        return tuple(dict.fromkeys(named))


def some(values: Sequence[Prefix], most: int, least: int = 0) -> st.SearchStrategy[tuple[Prefix, ...]]:
    return st.lists(st.sampled_from(values), unique=True, min_size=least, max_size=most).map(tuple)


def sites() -> st.SearchStrategy[Site]:
    return st.builds(
        Site,
        access=st.sampled_from(ACCESS),
        upstream=st.sampled_from(UPSTREAM),
        pools=st.fixed_dictionaries({PoolName.DYNAMIC: some(POOL_PREFIXES, 6, 1), PoolName.STATIC: some(POOL_PREFIXES, 4)}),
        never_block=some(FAR_PREFIXES, 2),
        never_block_origin=st.just(Origin("edged.yaml", 9)),
    )


def _pools() -> st.SearchStrategy[list[PoolName]]:
    return st.sampled_from([[PoolName.DYNAMIC], [PoolName.STATIC], [PoolName.DYNAMIC, PoolName.STATIC]])


def _subscribers() -> st.SearchStrategy[list[dict[str, Any]]]:
    exemption = st.fixed_dictionaries(
        {
            "prefix": st.sampled_from(POOL_PREFIXES),
            "until": st.sampled_from(ENDS),
            "owner": st.just("noc"),
            "reason": st.just("ticket 4711"),
        }
    )
    return st.lists(exemption, max_size=3)


_MODE = st.sampled_from(["enforce", "enforce", "enforce", "observe"])
_SCOPE = st.sampled_from(["external", "all"])


def op25bs() -> st.SearchStrategy[Policy]:
    return st.builds(
        lambda **settings: make(Op25b, **settings),
        mode=_MODE,
        pools=_pools(),
        action=st.sampled_from(["reject", "reject", "drop"]),
        scope=_SCOPE,
        replies=st.sampled_from(["drop", "drop", "pass"]),
        exempt=st.fixed_dictionaries({"destinations": some(FAR_PREFIXES, 3), "subscribers": _subscribers()}),
    )


def ip53bs() -> st.SearchStrategy[Policy]:
    return st.builds(
        lambda **settings: make(Ip53b, **settings),
        mode=_MODE,
        pools=_pools(),
        unsolicited_only=st.booleans(),
        scope=_SCOPE,
        exempt=st.fixed_dictionaries({"sources": some(FAR_PREFIXES, 3), "subscribers": _subscribers()}),
    )


def spoofs() -> st.SearchStrategy[Policy]:
    return st.builds(lambda **settings: make(Spoof, **settings), mode=_MODE, multihomed=some(POOL_PREFIXES, 2))


def configurations() -> st.SearchStrategy[Drawn]:
    """A site with up to one policy of each kind."""
    kinds = (op25bs(), ip53bs(), spoofs())
    chosen = st.one_of(*(st.tuples(*some_of) for count in (3, 2, 1, 0) for some_of in combinations(kinds, count)))
    return st.builds(Drawn, sites(), chosen)
