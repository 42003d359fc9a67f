"""A filter as a function of a judged packet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TypeAlias, TypeVar, assert_never

from edged.addresses import Family, Range
from edged.replay.filters import AddressIn, End, Every, Filter, Flag, FlagIs, Not, Number, NumberIn, Some, WordIn, Wording
from edged.replay.verdict import Judged

Predicate: TypeAlias = Callable[[Judged], bool]
Value = TypeVar("Value", int, str)

_TCP, _UDP = 6, 17
_MOST_LISTED = 1024  # numbers that are looked up as a set of them all, rather than by their ranges


def predicate(of: Filter) -> Predicate:
    """Whether a packet is meant, as a function: a capture asks it a million times, so the tree is walked once, here."""
    match of:
        case NumberIn(Number.PORT, ranges, outside):
            return _either_port(_contains(ranges), outside=outside)
        case NumberIn(field, ranges, outside):
            return _held(_NUMBERS[field], _contains(ranges), outside=outside)
        case AddressIn(end, ranges, outside):
            return _address(end, ranges, outside=outside)
        case FlagIs(Flag.FRAGMENT, is_set):
            return lambda judged: (judged.fields.fragment is not None) is is_set
        case FlagIs(flag, is_set):
            bit = _FLAGS[flag]
            return lambda judged: (flags := judged.fields.flags) is not None and bool(flags & bit) is is_set
        case WordIn(field, words, outside):
            return _held(_WORDS[field], words.__contains__, outside=outside)
        case Not(part):
            test = predicate(part)
            return lambda judged: not test(judged)
        case Every(parts):
            return _every(tuple(map(predicate, parts)))
        case Some(parts):
            return _some(tuple(map(predicate, parts)))
        case _:
            assert_never(of)


def _port(protocol: int, field: str) -> Callable[[Judged], int | None]:
    port: Callable[[object], int | None] = attrgetter(field)
    return lambda judged: port(fields) if (fields := judged.fields).protocol == protocol else None


_NUMBERS: Mapping[Number, Callable[[Judged], int | None]] = {
    Number.TCP_SOURCE: _port(_TCP, "source_port"),
    Number.TCP_DESTINATION: _port(_TCP, "destination_port"),
    Number.UDP_SOURCE: _port(_UDP, "source_port"),
    Number.UDP_DESTINATION: _port(_UDP, "destination_port"),
    Number.ICMP_TYPE: attrgetter("fields.icmp_type"),
    Number.ICMP_CODE: attrgetter("fields.icmp_code"),
    Number.VERSION: lambda judged: 4 if judged.fields.family is Family.IPV4 else 6,
    Number.PROTOCOL: attrgetter("fields.protocol"),
    Number.LENGTH: attrgetter("fields.length"),
    Number.POSITION: attrgetter("arrival.number"),
}
_WORDS: Mapping[Wording, Callable[[Judged], str | None]] = {
    Wording.VERDICT: attrgetter("judgement.verdict"),
    Wording.POLICY: attrgetter("judgement.policy"),
    Wording.RULE: attrgetter("judgement.rule"),
    Wording.SIDE: attrgetter("arrival.side"),
    Wording.CAPTURE: attrgetter("arrival.capture"),
    Wording.CLASS: attrgetter("arrival.class_"),
}
_FLAGS: Mapping[Flag, int] = {Flag.FIN: 0x01, Flag.SYN: 0x02, Flag.RST: 0x04, Flag.ACK: 0x10}


def _contains(ranges: tuple[Range, ...]) -> Callable[[int | None], bool]:
    """Whether a number is in one of the ranges."""
    if sum(item.last - item.first + 1 for item in ranges) <= _MOST_LISTED:
        return frozenset(number for item in ranges for number in range(item.first, item.last + 1)).__contains__
    firsts, lasts = [item.first for item in ranges], [item.last for item in ranges]
    if len(ranges) == 1:
        first, last = firsts[0], lasts[0]
        return lambda value: value is not None and first <= value <= last

    def contains(value: int | None) -> bool:
        return value is not None and (place := bisect_right(firsts, value)) > 0 and value <= lasts[place - 1]

    return contains


def _held(value_of: Callable[[Judged], Value | None], contains: Callable[[Value | None], bool], *, outside: bool) -> Predicate:
    """Whether a value is there, and inside or outside."""
    if outside:
        return lambda judged: (value := value_of(judged)) is not None and not contains(value)
    return lambda judged: contains(value_of(judged))


def _either_port(contains: Callable[[int | None], bool], *, outside: bool) -> Predicate:
    def either(judged: Judged) -> bool:
        fields = judged.fields
        return contains(fields.source_port) or contains(fields.destination_port)

    return (lambda judged: judged.fields.source_port is not None and not either(judged)) if outside else either


def _address(end: End, ranges: Mapping[Family, tuple[Range, ...]], *, outside: bool) -> Predicate:
    address: Callable[[object], int] = attrgetter("source" if end is End.SOURCE else "destination")
    in_ipv4, in_ipv6 = (_contains(ranges.get(family, ())) for family in Family)

    def inside(judged: Judged) -> bool:
        fields = judged.fields
        return in_ipv4(address(fields)) if fields.family is Family.IPV4 else in_ipv6(address(fields))

    return (lambda judged: not inside(judged)) if outside else inside


def _every(tests: tuple[Predicate, ...]) -> Predicate:
    def every(judged: Judged) -> bool:
        for test in tests:  # noqa: SIM110  `all` and its generator take half as long again
            if not test(judged):
                return False
        return True

    return every


def _some(tests: tuple[Predicate, ...]) -> Predicate:
    def some(judged: Judged) -> bool:
        for test in tests:  # noqa: SIM110  as above
            if test(judged):
                return True
        return False

    return some
