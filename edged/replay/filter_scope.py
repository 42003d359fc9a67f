"""Which packets a filter can match at all, by family and protocol: what is asked for together must leave some."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import assert_never

from edged.addresses import Family, Range
from edged.replay.filters import AddressIn, Every, Filter, Flag, FlagIs, Not, Number, NumberIn, Some, WordIn

_NAMES = {1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "ICMPv6", 132: "SCTP"}
_VERSIONS = {Family.IPV4: 4, Family.IPV6: 6}
_MOST_NAMED = 4
_FAMILIES = frozenset(Family)
_PROTOCOLS = frozenset(range(256))
_CARRIERS = {
    Number.TCP_SOURCE: frozenset((6,)),
    Number.TCP_DESTINATION: frozenset((6,)),
    Number.UDP_SOURCE: frozenset((17,)),
    Number.UDP_DESTINATION: frozenset((17,)),
    Number.ICMP_TYPE: frozenset((1, 58)),
    Number.ICMP_CODE: frozenset((1, 58)),
}


class NotBoth(Exception):
    """Two parts of a filter exclude each other; the text says by what."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The families and protocols of the packets that a filter may match: no others do, and these need not all."""

    families: frozenset[Family] = _FAMILIES
    protocols: frozenset[int] = _PROTOCOLS

    def both(self, other: Scope) -> Scope:
        """The scope of two parts that must hold together. Raises NotBoth."""
        found = Scope(self.families & other.families, self.protocols & other.protocols)
        for left, asked, before in (
            (found.families, _families(other), _families(self)),
            (found.protocols, _protocols(other), _protocols(self)),
        ):
            if not left:
                raise NotBoth(f"this asks for {asked}, and what stands before it for {before}; no packet can match both")
        return found

    @property
    def empty(self) -> bool:
        """Whether there is no such packet."""
        return not self.families or not self.protocols

    def either(self, other: Scope) -> Scope:
        """The scope of two parts of which one must hold."""
        return Scope(self.families | other.families, self.protocols | other.protocols)


def scope(of: Filter) -> Scope:
    """What the filter is about; never less than what it can match."""
    match of:
        case NumberIn(Number.VERSION, ranges, outside):
            return Scope(families=frozenset(each for each in Family if _within(_VERSIONS[each], ranges) is not outside))
        case NumberIn(Number.PROTOCOL, ranges, outside):
            return Scope(protocols=frozenset(each for each in _PROTOCOLS if _within(each, ranges) is not outside))
        case NumberIn(field):
            return Scope(protocols=_CARRIERS.get(field, _PROTOCOLS))
        case AddressIn(_, ranges, outside):
            return Scope(families=_FAMILIES if outside or not ranges else frozenset(ranges))  # an empty pool is no mistake
        case FlagIs(flag):
            return Scope() if flag is Flag.FRAGMENT else Scope(protocols=_CARRIERS[Number.TCP_SOURCE])
        case WordIn() | Not():
            return Scope()
        case Every(parts):
            return reduce(Scope.both, map(scope, parts))
        case Some(parts):
            return reduce(Scope.either, map(scope, parts))
        case _:
            assert_never(of)


def _within(value: int, ranges: tuple[Range, ...]) -> bool:
    return any(value in each for each in ranges)


def _families(of: Scope) -> str:
    return " or ".join("IPv4" if each is Family.IPV4 else "IPv6" for each in Family if each in of.families)


def _protocols(of: Scope) -> str:
    others = _PROTOCOLS - of.protocols
    if len(of.protocols) > len(others):
        return f"all but {_named(others)}"
    return _named(of.protocols)


def _named(protocols: frozenset[int]) -> str:
    names = [_NAMES.get(each, f"protocol {each}") for each in sorted(protocols)]
    return " or ".join(names if len(names) <= _MOST_NAMED else [*names[:_MOST_NAMED], "more"])
