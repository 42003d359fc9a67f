"""What an operator should hear of a policy's settings on this site, for the settings that several policies share.

A policy's `review` puts these together; the loader gives each finding its place. Pure, like `declare`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from edged.addresses import Family, Prefix
from edged.config.exemption import SubscriberExemption
from edged.config.gateway import PoolName
from edged.config.problem import Finding, KeyPath, Severity, nearest
from edged.config.review import Nested, covers_all, meets
from edged.interfaces import is_wildcard
from edged.policies.base import Site
from edged.ruleset.compile import SUBMISSION_PORTS

_PORT_KEY = re.compile(r"(?:.*_)?[ds]?ports?")
_PORTS = re.compile(r"(\d{1,9})(?:\s*[-:]\s*(\d{1,9}))?")
_SUBMISSION_NAMES = re.compile(r"\b(submissions?|smtps|urd)\b")


def review_pools(pools: Sequence[PoolName], site: Site) -> Iterator[Finding]:
    """Pools that cover nothing, or are named twice."""
    for index, pool in enumerate(pools):
        if pool in pools[:index]:
            yield Finding(("pools", index), f"{pool.value!r} is named twice", Severity.WARNING)
        elif not site.pools.get(pool):
            message = f"pool {pool.value!r} has no prefix in edged.yaml; the policy covers nothing there"
            yield Finding(("pools", index), message, Severity.WARNING)


def review_interfaces(names: Sequence[str], path: KeyPath, site: Site) -> Iterator[Finding]:
    """Names that stand for no single interface of the gateway."""
    known = tuple(name for name in (*site.access, *site.upstream) if not is_wildcard(name))
    for index, name in enumerate(names):
        if name not in known:
            meant = nearest(name, known)
            hint = f" (did you mean {meant!r}?)" if meant else ""
            yield Finding((*path, index), f"expected an interface of edged.yaml ({', '.join(known)}), got {name!r}{hint}")


def review_open_to_all(prefixes: Sequence[Prefix], path: KeyPath) -> Iterator[Finding]:
    """Exempt far ends that are everybody."""
    if (family := covers_all(prefixes)) is not None:
        word = "IPv4" if family is Family.IPV4 else "IPv6"
        yield Finding(path, f"covers every {word} address, so the policy would stop nothing; write mode: off for that")


def review_exemptions(
    exemptions: Sequence[SubscriberExemption], pools: Sequence[PoolName], site: Site, now: int
) -> Iterator[Finding]:
    """Exemptions that are over, have no effect, are set twice, or let a whole dynamic pool through (OP-10)."""
    covered = {family: site.addresses(pools, family) for family in Family}
    dynamic = Nested(site.pools.get(PoolName.DYNAMIC, ()) if PoolName.DYNAMIC in pools else ())
    first: dict[Prefix, int] = {}
    for index, item in enumerate(exemptions):
        path: KeyPath = ("exempt", "subscribers", index)
        if item.until <= now:
            yield Finding((*path, "until"), "the exemption is over and has no effect; remove it", Severity.WARNING)
        elif not meets(covered[Family.of(item.prefix)], item.prefix):
            names = ", ".join(pool.value for pool in pools)
            message = f"no address of {item.prefix} is covered by this policy (pools: {names}); the exemption has no effect"
            yield Finding((*path, "prefix"), message, Severity.WARNING)
        elif item.prefix in first:
            message = f"{item.prefix} is exempt twice, and the later end counts; first"
            yield Finding((*path, "prefix"), message, Severity.WARNING, ("exempt", "subscribers", first[item.prefix], "prefix"))
        elif (whole := dynamic.within(item.prefix)) is not None and whole.num_addresses > 1:
            message = f"{item.prefix} exempts all of pool prefix {whole}; an exemption is for one subscriber"
            yield Finding((*path, "prefix"), message, Severity.WARNING)
        first.setdefault(item.prefix, index)


def review_no_effect(prefixes: Sequence[Prefix], path: KeyPath, site: Site) -> Iterator[Finding]:
    """Prefixes that lie outside of every pool."""
    ours = {family: site.addresses(PoolName, family) for family in Family}
    for index, prefix in enumerate(prefixes):
        if not meets(ours[Family.of(prefix)], prefix):
            message = f"{prefix} lies in no pool of edged.yaml and has no effect here"
            yield Finding((*path, index), message, Severity.WARNING)


def explain_port_key(key: str, value: object, covers: str) -> str | None:
    """What to say where a port policy is given ports; `covers` names what it covers by its definition."""
    if not _PORT_KEY.fullmatch(key.lower()):
        return None
    text = f"this policy is about {covers} and nothing else; it has no such key"
    if _touches_submission(str(value).lower()):
        text += "; and no policy may block 587 or 465, by which mail is submitted (RFC 5068 section 4.1, RFC 8314)"
    return text


def _touches_submission(ports: str) -> bool:
    """Whether the ports, ranges or names of any notation include mail submission (OP-7)."""
    spans = ((int(first), int(last or first)) for first, last in _PORTS.findall(ports))
    return bool(_SUBMISSION_NAMES.search(ports)) or any(
        first <= port <= last for first, last in spans for port in SUBMISSION_PORTS
    )
