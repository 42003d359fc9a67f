"""The values that a filter compares a field with, each as its field takes it, and what to say where it does not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import summarize_address_range
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias, assert_never, get_args

from pydantic import TypeAdapter, ValidationError

from edged.addresses import Family, Prefix, Range, span
from edged.config.gateway import PoolName
from edged.config.problem import nearest
from edged.config.scalars import PrefixValue
from edged.config.validate import word_expected
from edged.inspect.sight import TrafficClass
from edged.policies import POLICIES
from edged.replay.filter_tokens import Kind, Token
from edged.replay.filters import Number, Wording
from edged.replay.verdict import Verdict

if TYPE_CHECKING:
    from edged.policies import Site

Names: TypeAlias = Mapping[str, Iterable[Prefix]]

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132}
SIDES = ("access", "upstream")
POLICY_NAMES: tuple[str, ...] = tuple(get_args(policy.model_fields["policy"].annotation)[0] for policy in POLICIES)

_PORTS = Range(0, 0xFFFF)
_OCTET = Range(0, 0xFF)
LIMITS: Mapping[Number, Range] = {
    Number.TCP_SOURCE: _PORTS,
    Number.TCP_DESTINATION: _PORTS,
    Number.UDP_SOURCE: _PORTS,
    Number.UDP_DESTINATION: _PORTS,
    Number.PORT: _PORTS,
    Number.ICMP_TYPE: _OCTET,
    Number.ICMP_CODE: _OCTET,
    Number.VERSION: Range(4, 6),
    Number.PROTOCOL: _OCTET,
    Number.LENGTH: Range(0, 0xFFFF_FFFF),
    Number.POSITION: Range(1, 0xFFFF_FFFF_FFFF_FFFF),
}
_WHAT: Mapping[Number, str] = {
    Number.VERSION: "4 or 6",
    Number.PROTOCOL: f"{', '.join(PROTOCOLS)} or a number from 0 to 255",
}

_NUMBER = re.compile(r"[0-9]{1,20}|0x[0-9a-fA-F]{1,16}")
RULE_PLACE = re.compile(r".+:[1-9][0-9]*", re.DOTALL)
_PREFIX: TypeAdapter[Prefix] = TypeAdapter(PrefixValue)


class Unfit(Exception):
    """The value is not one of the field's; the text says what was expected."""


def number(field: Number, token: Token) -> Range:
    """A number of that field. Raises Unfit."""
    limits = LIMITS[field]
    value = _integer(field, token.text) if token.kind is Kind.WORD else None
    if value is None or value not in limits:
        raise _unfit_number(field, token, among=False)
    return Range(value, value)


def numbers(field: Number, token: Token) -> Range:
    """A number of that field, or the first and the last of a row. Raises Unfit."""
    first, dash, last = token.text.partition("-")
    if token.kind is not Kind.WORD or not dash:
        return number(field, token)
    ends = tuple(_integer(field, end) for end in (first, last))
    if ends[0] is None or ends[1] is None or ends[0] not in LIMITS[field] or ends[1] not in LIMITS[field]:
        raise _unfit_number(field, token, among=True)
    if ends[0] > ends[1]:
        raise Unfit(f"the range {token.text} goes down; write {last}-{first}")
    return Range(ends[0], ends[1])


def _integer(field: Number, text: str) -> int | None:
    if field is Number.PROTOCOL and text in PROTOCOLS:
        return PROTOCOLS[text]
    return int(text, 0 if text.startswith("0x") else 10) if _NUMBER.fullmatch(text) else None


def _unfit_number(field: Number, token: Token, *, among: bool) -> Unfit:
    limits = LIMITS[field]
    noun = "a port" if limits is _PORTS else "a number"
    hint = ""
    if token.kind is Kind.TEXT:
        hint = " (numbers stand without quotes)"
    elif field is Number.PROTOCOL and (meant := nearest(token.text, tuple(PROTOCOLS))):
        hint = f" (did you mean {meant!r}?)"
    elif _is_prefix(token.text):
        hint = " (addresses are those of src and dst)"
    elif "-" in token.text and not among:
        hint = " (a range stands behind 'in')"
    what = _WHAT.get(field, f"{noun} from {limits.first} to {limits.last}")
    return Unfit(f"{field}: expected {what}, got {token}{hint}")


def address(field: str, token: Token, names: Names) -> tuple[Family, Range]:
    """One address. Raises Unfit."""
    if token.kind is Kind.WORD and (token.text in names or "/" in token.text):
        raise Unfit(f"{field}: expected an address, got {token} (write: {field} in {token.text})")
    prefix = _prefix(field, token, "an address such as 192.0.2.1 or 2001:db8::1", ())
    return Family.of(prefix), span(prefix)


def addresses(field: str, token: Token, names: Names) -> tuple[tuple[Family, Range], ...]:
    """The addresses of a pool or prefix. Raises Unfit."""
    if token.kind is Kind.WORD and token.text in names:
        return tuple((Family.of(prefix), span(prefix)) for prefix in names[token.text])
    pools = tuple(names)
    prefix = _prefix(field, token, ", ".join((*pools, "an address or a prefix such as 192.0.2.0/24")), pools)
    return ((Family.of(prefix), span(prefix)),)


def _prefix(field: str, token: Token, expected: str, pools: tuple[str, ...]) -> Prefix:
    if token.kind is Kind.TEXT:
        raise Unfit(f"{field}: expected {expected}, got {token} (addresses stand without quotes)")
    if not any(sign in token.text for sign in ".:/"):
        meant = nearest(token.text, pools)
        port = " (ports are those of tcp.dport, udp.dport and the like)" if token.text.isdigit() else ""
        raise Unfit(f"{field}: expected {expected}, got {token}{f' (did you mean {meant!r}?)' if meant else port}")
    try:
        return _PREFIX.validate_python(token.text)
    except ValidationError as error:
        raise Unfit(f"{field}: {error.errors()[0]['msg']}") from None


def _is_prefix(text: str) -> bool:
    try:
        _PREFIX.validate_python(text)
    except ValidationError:
        return False
    return True


def word(field: Wording, token: Token) -> str:
    """A word or text that the field can be. Raises Unfit."""
    if token.kind not in (Kind.WORD, Kind.TEXT):
        raise Unfit(f'{field}: expected a word or a "text", got {token}')
    match field:
        case Wording.VERDICT:
            return _one_of(field, token, tuple(each.value for each in Verdict))
        case Wording.SIDE:
            return _one_of(field, token, SIDES)
        case Wording.CLASS:
            return _one_of(field, token, tuple(each.value for each in TrafficClass))
        case Wording.POLICY:
            return _one_of(field, token, POLICY_NAMES)
        case Wording.RULE if not RULE_PLACE.fullmatch(token.text):
            raise Unfit(f'{field}: expected a rule\'s place such as "rules.d/20-op25b.yaml:4", got {token}')
        case Wording.RULE | Wording.CAPTURE:
            return token.text
        case _:
            assert_never(field)


def _one_of(field: Wording, token: Token, known: tuple[str, ...]) -> str:
    if token.text not in known:
        raise Unfit(f"{field}: {word_expected(listed(known), token.text)}")
    return token.text


def listed(words: tuple[str, ...]) -> str:
    """The words as a message lists them: `'drop' or 'reject'`."""
    return f"{', '.join(map(repr, words[:-1]))} or {words[-1]!r}"


def site_names(site: Site) -> dict[str, tuple[Prefix, ...]]:
    """What a filter of this site may name: the pools as the policies see them (the longest prefix decides), and never_block."""
    asked = {**{pool.value: (pool,) for pool in PoolName}, "pools": tuple(PoolName)}
    pools = {name: tuple(chain.from_iterable(_prefixes(site, which, each) for each in Family)) for name, which in asked.items()}
    return {**pools, "never_block": site.never_block}


def _prefixes(site: Site, pools: Iterable[PoolName], family: Family) -> Iterator[Prefix]:
    for extent in site.addresses(pools, family):
        first, last = family.address(extent.first), family.address(extent.last)
        yield from summarize_address_range(first, last)
