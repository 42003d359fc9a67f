"""What hypothesis draws: sites and policies from prefixes that nest, touch and reach the ends of the address space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from edged.addresses import Family, Prefix, Range, of_family
from edged.config.gateway import PoolName
from edged.marks import MarkFields
from edged.origin import Origin
from edged.packed import Entries
from edged.policies import Blocklist, Caps, Ip53b, Op25b, Policy, Site, Spoof
from edged.ruleset.tree import Table
from tests.gateway import CLASSES, NOW, entries_of, make, networks, prefixes, table_of

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
# The same for lists, with what lies beside far ends and subscribers; many lengths, so that some share a set of ranges
LISTED_PREFIXES = prefixes(
    *("192.0.2.200/32", "192.0.2.201/32", "192.0.2.25/32", "192.0.2.192/26", "192.0.2.128/25", "192.0.2.0/24", "198.18.0.0/15"),
    *("198.18.0.7/32", "198.51.100.8/31", "203.0.113.7/32", "203.0.113.64/28", "203.0.113.0/25", "100.64.0.0/10"),
    *("224.0.0.0/3", "240.0.0.0/4", "255.255.255.254/32", "1.0.0.0/32"),
    *("2001:db8:ffff::1/128", "2001:db8:ffff::/128", "2001:db8:ffff::/64", "2001:db8:a::25/128", "2001:db8:a::24/126"),
    *("2001:db8:a::/48", "2001:db8:d:5::7/128", "2001:db8:d:5::/64", "2001:db8:d::/49", "2001:db8::/32", "fc00::/7", "8000::/1"),
    *("100::/128", "2001:db8:b::/127"),
)
LISTS = ("bad", "worse")
PLANS = ("home", "business")
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
        named += [prefix for listed in self.site.lists.values() for prefix in networks(listed)]
        for policy in self.policies:
            match policy:
                case Op25b():
                    named += [*policy.exempt.destinations, *(each.prefix for each in policy.exempt.subscribers)]
                case Ip53b():
                    named += [*policy.exempt.sources, *(each.prefix for each in policy.exempt.subscribers)]
                case Blocklist():
                    named += policy.allow
                case Spoof():
                    named += policy.multihomed
                case Caps():
                    pass  # its plans' addresses are the site's
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
        marks=st.sampled_from(list(map(MarkFields, (0x00FFFF00, 0x00FFFF00, 0x00000FFF, 0x7FF80000, 0xFFF00000)))),
        lists=st.dictionaries(st.sampled_from(LISTS), some(LISTED_PREFIXES, 12, 1).map(_listed), min_size=1),
        plans=st.dictionaries(st.sampled_from(PLANS), some(POOL_PREFIXES, 4).map(_members)),
    )


def _members(found: Sequence[Prefix]) -> Mapping[Family, tuple[Range, ...]]:
    return {family: of_family(found, family) for family in Family}


def _listed(found: Sequence[Prefix]) -> Mapping[Family, Entries]:
    return entries_of(enumerate(found, start=1))


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


def blocklists() -> st.SearchStrategy[Policy]:
    """Of lists that are in force, and of such as never came; none is confidential, for render would leave its elements out."""
    return st.builds(
        lambda **settings: make(Blocklist, **settings),
        mode=_MODE,
        action=st.sampled_from(["drop", "reject"]),
        lists=st.lists(st.sampled_from(LISTS), min_size=1, unique=True).map(
            lambda names: [{"name": name, "path": f"{name}.txt"} for name in names]
        ),
        allow=some(LISTED_PREFIXES, 2),
    )


def capses() -> st.SearchStrategy[Policy]:
    """No flow of a few packets gets past the volumes."""
    names = sorted(CLASSES)
    others = st.one_of(st.just("off"), st.sampled_from([{}, {"after": "1MB"}, {"after": "2GB"}]))
    return st.builds(
        lambda classes, **settings: make(Caps, classes={name: CLASSES[name] for name in classes}, **settings),
        classes=st.lists(st.sampled_from(names), min_size=1, unique=True),
        mode=_MODE,
        pools=_pools(),
        plans=st.dictionaries(st.sampled_from(PLANS), st.dictionaries(st.sampled_from(names), others)),
        queues=st.sampled_from([1, 3]),
    )


def configurations() -> st.SearchStrategy[Drawn]:
    """A site with up to one policy of each kind."""
    kinds = (op25bs(), ip53bs(), spoofs(), blocklists(), capses())
    chosen = st.one_of(*(st.tuples(*some_of) for count in range(len(kinds), -1, -1) for some_of in combinations(kinds, count)))
    return st.builds(Drawn, sites(), chosen)
