"""What is wrong or odd in edged.yaml across its keys, each of which is right by itself."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from edged.addresses import Family, Prefix, Range, of_family, span
from edged.config.gateway import EdgedFile, Gateway, Pools
from edged.config.metrics import Metrics
from edged.config.problem import Finding, KeyPath, Severity
from edged.interfaces import fits

# A never-block entry shorter than these opens more than any list of peers could need (semantics BL-8 draws the same line)
SHORTEST_USUAL = {Family.IPV4: 8, Family.IPV6: 19}


def review(edged: EdgedFile) -> Iterator[Finding]:
    """Every finding about the file; pure."""
    yield from _interfaces(edged.gateway)
    yield from _pools(edged.pools)
    yield from _never_block(edged)
    yield from _metrics(edged.metrics)


def covers_all(prefixes: Sequence[Prefix]) -> Family | None:
    """The family of which those prefixes hold every address."""
    for family in Family:
        if of_family(prefixes, family) == (Range(0, (1 << family.bits) - 1),):
            return family
    return None


class Nested:
    """Prefixes, sorted so that those within another one are found without looking at all of them."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self._sorted = sorted((prefix.version, span(prefix).first, span(prefix).last, prefix) for prefix in set(prefixes))

    def within(self, outer: Prefix) -> Prefix | None:
        """The first of the prefixes that `outer` covers as a whole."""
        extent = span(outer)
        for version, first, last, prefix in self._sorted[bisect_left(self._sorted, (outer.version, extent.first)) :]:
            if version != outer.version or first > extent.last:
                return None
            if last <= extent.last:
                return prefix
        return None


def meets(ranges: Sequence[Range], prefix: Prefix) -> bool:
    """Whether an address of the prefix lies in those ranges of its family, which are sorted and disjoint."""
    extent = span(prefix)
    index = bisect_left(ranges, extent.first, key=lambda each: each.last)
    return index < len(ranges) and ranges[index].first <= extent.last


def _interfaces(gateway: Gateway) -> Iterator[Finding]:
    named = [
        *((("gateway", "access", index), name) for index, name in enumerate(gateway.access)),
        *((("gateway", "upstream", index), name) for index, name in enumerate(gateway.upstream)),
    ]
    for index, (path, name) in enumerate(named):
        for other, before in named[:index]:
            if not _meet(name, before):
                continue
            if path[1] == other[1]:
                # the packets of that interface would cross each policy, and its counters, twice
                twice = f"{name!r} is named twice" if name == before else f"{name!r} and {before!r} can be the same interface"
                message = f"{twice}; the other one is"
            else:
                message = f"an interface has one side, and {name!r} is on the access side too, as {before!r}"
            yield Finding(path, message, other=other)
            break


def _meet(one: str, other: str) -> bool:
    """Whether some interface goes by both names."""
    if one.endswith("*") and other.endswith("*"):
        return one.startswith(other[:-1]) or other.startswith(one[:-1])
    return fits(one, other) or fits(other, one)


def _pools(pools: Pools) -> Iterator[Finding]:
    if not pools.dynamic and not pools.static:
        yield Finding(("pools",), "no prefix in any pool; edged would not know a single subscriber")
    for name, prefixes in (("dynamic", pools.dynamic), ("static", pools.static)):
        for index, prefix in enumerate(prefixes):
            if (reason := _no_pool(prefix)) is not None:
                yield Finding(("pools", name, index), f"{prefix} {reason}")
        yield from _overlaps(("pools", name), prefixes)
    first = {prefix: index for index, prefix in enumerate(pools.dynamic)}
    for index, prefix in enumerate(pools.static):
        if prefix in first:
            message = f"{prefix} is in both pools, and static wins; in dynamic it stands"
            yield Finding(("pools", "static", index), message, Severity.WARNING, ("pools", "dynamic", first[prefix]))


def _no_pool(prefix: Prefix) -> str | None:
    """Why no subscriber can have these addresses."""
    if prefix.prefixlen == 0:
        return f"is every {'IPv4' if prefix.version == 4 else 'IPv6'} address; name the prefixes of your subscribers"
    if prefix.is_multicast:
        return "is multicast; no subscriber sends from there"
    if prefix.is_loopback or prefix.is_link_local:
        return "is loopback or link-local; these addresses are never forwarded"
    return None


def _overlaps(path: KeyPath, prefixes: Sequence[Prefix]) -> Iterator[Finding]:
    """Prefixes that lie in others of the same list: prefixes nest or are disjoint, so one pass with a stack finds them."""
    around: list[tuple[Prefix, int]] = []
    for prefix, index in sorted(
        ((prefix, index) for index, prefix in enumerate(prefixes)),
        key=lambda item: (item[0].version, span(item[0]).first, item[0].prefixlen, item[1]),
    ):
        while around and (around[-1][0].version != prefix.version or span(around[-1][0]).last < span(prefix).first):
            around.pop()
        if around:
            outer, other = around[-1]
            message = f"{prefix} is listed twice; first" if outer == prefix else f"{prefix} lies within {outer} of the same pool,"
            yield Finding((*path, index), message, Severity.WARNING, (*path, other))
            if outer == prefix:
                continue
        around.append((prefix, index))


def _never_block(edged: EdgedFile) -> Iterator[Finding]:
    if (family := covers_all(edged.never_block)) is not None:
        word = "IPv4" if family is Family.IPV4 else "IPv6"
        message = f"covers every {word} address, so no policy would stop anything; to switch a policy off, set its mode: off"
        yield Finding(("never_block",), message)
        return
    pools = Nested((*edged.pools.dynamic, *edged.pools.static))
    for index, prefix in enumerate(edged.never_block):
        family = Family.of(prefix)
        if (inside := pools.within(prefix)) is not None:
            message = (
                f"{prefix} covers all of pool prefix {inside}; never_block is for far ends such as management and peers,"
                " a subscriber is let through by a policy's exempt.subscribers"
            )
            yield Finding(("never_block", index), message, Severity.WARNING)
        elif prefix.prefixlen < SHORTEST_USUAL[family]:
            message = f"{prefix} is a large part of the Internet; no policy stops anything to or from there"
            yield Finding(("never_block", index), message, Severity.WARNING)


def _metrics(metrics: Metrics) -> Iterator[Finding]:
    """The page shows no subscriber, but what is stopped and who is asked to stop it are nobody else's business."""
    if metrics.listen.is_local:
        return
    if metrics.basic_auth_users_file is not None and metrics.tls is None:
        message = "passwords cross the network in the clear; set tls, or listen on 127.0.0.1 behind a proxy"
        yield Finding(("metrics", "basic_auth_users_file"), message, Severity.WARNING)
    elif metrics.basic_auth_users_file is None and (metrics.tls is None or metrics.tls.client_ca_file is None):
        message = f"whoever reaches {metrics.listen} can read the page; set tls.client_ca_file or basic_auth_users_file"
        yield Finding(("metrics", "listen"), message, Severity.WARNING)
