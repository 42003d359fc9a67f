"""What a list must hold to before it takes effect (BL-7, BL-8): one that does not is refused whole, never clipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from ipaddress import ip_network
from itertools import count

import numpy as np
from numpy.typing import NDArray

from edged.addresses import Family, Prefix
from edged.packed import Entries
from edged.sources.parsed import ListRefused, Parsed, Reason
from edged.sources.spelling import written

_MOST_TOLD = 3

# IANA's special-purpose address registries (RFC 6890), as far as a list that names them is a mistake or an attack. The prefixes
# for documentation are not here: they are nobody's, and tests use them. None overlaps another.
RESERVED: Mapping[Prefix, str] = {
    ip_network(prefix): what
    for prefix, what in (
        ("0.0.0.0/8", "this network, RFC 791"),
        ("10.0.0.0/8", "private, RFC 1918"),
        ("100.64.0.0/10", "shared by carrier-grade NAT, RFC 6598"),
        ("127.0.0.0/8", "loopback, RFC 1122"),
        ("169.254.0.0/16", "link-local, RFC 3927"),
        ("172.16.0.0/12", "private, RFC 1918"),
        ("192.168.0.0/16", "private, RFC 1918"),
        ("224.0.0.0/4", "multicast, RFC 5771"),
        ("255.255.255.255/32", "limited broadcast, RFC 919"),
        ("::/128", "unspecified, RFC 4291"),
        ("::1/128", "loopback, RFC 4291"),
        ("fc00::/7", "unique local, RFC 4193"),
        ("fe80::/10", "link-local, RFC 4291"),
        ("ff00::/8", "multicast, RFC 4291"),
    )
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a list may differ from the last good one, and what it may name."""

    shrunk: float = 0.5
    grown: float = 2.0
    bad_lines: float = 0.01
    shortest: Mapping[Family, int] = field(default_factory=lambda: {Family.IPV4: 8, Family.IPV6: 19})
    allow_reserved: bool = False


@dataclass(frozen=True, slots=True)
class Protected:
    """A prefix that no list may name any part of; `what` says to people what it is."""

    prefix: Prefix
    what: str


@dataclass(frozen=True, slots=True)
class _Ground:
    """Why a list is refused."""

    reason: Reason
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class _Hit:
    """An entry that must not be in a list, what is wrong with it, and the same without an address."""

    family: Family
    network: int
    length: int
    line: int
    wrong: str
    opaque: str

    def told(self, *, show: bool) -> str:
        """The hit in words."""
        if not show:
            return f"line {self.line} {self.opaque}"
        return f"line {self.line}: {written(self.family, self.network, self.length)} {self.wrong}"


def judge(parsed: Parsed, limits: Limits, protected: Sequence[Protected], former: int | None, *, show: bool) -> None:
    """Let a list through; `former` is how many different prefixes the last good one names, None where there is none.

    Raises ListRefused with every reason there is, the gravest first and as its own. Without `show` it names entries by their
    line alone.
    """
    short, sound = {}, {}
    for family, entries in parsed.entries.items():
        is_short = entries.lengths < limits.shortest[family]
        short[family] = _some(entries, is_short)
        # what holds half of the world is told once, not with all that it holds
        sound[family] = _some(entries, ~is_short)
    reserved = () if limits.allow_reserved else tuple(Protected(prefix, what) for prefix, what in RESERVED.items())
    grounds = (
        *_told(Reason.TOO_SHORT, _too_short(short, limits), show=show),
        *_told(Reason.PROTECTED, _meeting(sound, protected, "protected"), show=show),
        *_told(Reason.RESERVED, _meeting(sound, reserved, "reserved"), show=show),
        *_bad_lines(parsed, limits),
        *_size(parsed, limits, former),
    )
    if grounds:
        raise ListRefused("; ".join(each.message for each in grounds), grounds[0].reason, grounds[0].line)


def _some(entries: Entries, which: NDArray[np.bool_]) -> Entries:
    if which.all():
        return entries
    return Entries(entries.family, entries.addresses[which], entries.lengths[which], entries.lines[which])


def _too_short(short: Mapping[Family, Entries], limits: Limits) -> Iterator[_Hit]:
    for family, entries in short.items():
        wrong = f"is shorter than /{limits.shortest[family]}"
        for network, length, line in entries.meeting(ip_network((0, 0) if family is Family.IPV4 else (b"\0" * 16, 0))):
            yield _Hit(family, network, length, line, wrong, wrong)


def _meeting(sound: Mapping[Family, Entries], wanted: Iterable[Protected], kind: str) -> Iterator[_Hit]:
    for each in wanted:
        family, named = Family.of(each.prefix), int(each.prefix.network_address)
        there = f"{written(family, named, each.prefix.prefixlen)} ({each.what})"
        opaque = f"meets a {kind} prefix ({each.what})"
        for network, length, line in sound[family].meeting(each.prefix):
            if length == each.prefix.prefixlen:
                wrong = f"is {kind} ({each.what})"
            else:
                wrong = f"{'holds' if length < each.prefix.prefixlen else 'is in'} {there}"
            yield _Hit(family, network, length, line, wrong, opaque)


def _told(reason: Reason, hits: Iterable[_Hit], *, show: bool) -> Iterator[_Ground]:
    """One ground for all of the hits: the first ones of the list in words, and how many more there are."""
    counted = count()
    first = nsmallest(_MOST_TOLD, (hit for hit, _ in zip(hits, counted, strict=False)), key=lambda hit: hit.line)
    if first:
        yield _Ground(reason, _and_more([hit.told(show=show) for hit in first], next(counted)), first[0].line)


def _bad_lines(parsed: Parsed, limits: Limits) -> Iterator[_Ground]:
    lines = parsed.count + parsed.bad_count
    if lines and parsed.bad_count / lines > limits.bad_lines:
        told = _and_more([str(bad) for bad in parsed.bad[:_MOST_TOLD]], parsed.bad_count)
        message = f"{parsed.bad_count} of {_lines(lines)} cannot be read, where {_share(limits.bad_lines)} may be so: {told}"
        yield _Ground(Reason.BAD_LINES, message, parsed.bad[0].line)


def _size(parsed: Parsed, limits: Limits, former: int | None) -> Iterator[_Ground]:
    if not parsed.count:
        yield _Ground(Reason.EMPTY, "no entry in it")
    elif former:
        # a quotient, rounded as the limit in the configuration is, so that the limit itself is let through
        share = parsed.distinct / former
        sizes = f"{parsed.distinct} after {former}"
        if share < limits.shrunk:
            yield _Ground(Reason.SHRUNK, f"fewer entries than {_share(limits.shrunk)} of the last good list: {sizes}")
        if share > limits.grown:
            yield _Ground(Reason.GROWN, f"more entries than {_share(limits.grown)} of the last good list: {sizes}")


def _and_more(first: Sequence[str], number: int) -> str:
    return "; ".join((*first, f"and {number - len(first)} more") if number > len(first) else first)


def _lines(number: int) -> str:
    return "1 line" if number == 1 else f"{number} lines"


def _share(share: float) -> str:
    return f"{100 * share:g} %"
