"""A filter's text to its tree; the language is told in `edged.replay.filters`.

Whatever the text is, the answer is a filter or a FilterError. What no packet can match is a mistake and found here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from edged.addresses import Family, Range, merge
from edged.config.problem import nearest, shown
from edged.replay.filter_scope import NotBoth, scope
from edged.replay.filter_tokens import FilterError, Kind, Token, tokens
from edged.replay.filter_values import LIMITS, Names, Unfit, address, addresses, number, numbers, word
from edged.replay.filters import AddressIn, End, Every, Filter, Flag, FlagIs, Not, Number, NumberIn, Some, WordIn, Wording

Field: TypeAlias = Number | End | Flag | Wording
Value = TypeVar("Value")

DEEPEST = 50

_FIELDS: Final[dict[str, Field]] = {member.value: member for kind in (End, Number, Flag, Wording) for member in kind}
_BY_THEMSELVES: Final[dict[str, Filter]] = {
    "tcp": NumberIn(Number.PROTOCOL, (Range(6, 6),)),
    "udp": NumberIn(Number.PROTOCOL, (Range(17, 17),)),
    "icmp": NumberIn(Number.PROTOCOL, (Range(1, 1), Range(58, 58))),
    "ip": NumberIn(Number.VERSION, (Range(4, 4),)),
    "ip6": NumberIn(Number.VERSION, (Range(6, 6),)),
}
_ELSEWHERE: Final = {  # what Wireshark and tcpdump call it
    "ip.src": "src",
    "ipv6.src": "src",
    "ip.dst": "dst",
    "ipv6.dst": "dst",
    "tcp.port": "tcp and port",
    "udp.port": "udp and port",
    "sport": "tcp.sport' or 'udp.sport",
    "dport": "tcp.dport' or 'udp.dport",
    "tcp.srcport": "tcp.sport",
    "tcp.dstport": "tcp.dport",
    "udp.srcport": "udp.sport",
    "udp.dstport": "udp.dport",
    "ipv6": "ip6",
    "icmp6": "icmp",
    "icmpv6": "ip.proto == icmpv6",
    "proto": "ip.proto",
    "frame.number": "n",
    "frame.len": "len",
}
_COMPARING = ("==", "!=", "<", "<=", ">", ">=")
_AND, _OR, _NOT = ("and", "&&"), ("or", "||"), ("not", "!")


def parse(text: str, names: Names) -> Filter:
    """The filter that the text says, `names` being the pools it may speak of. Raises FilterError."""
    return _Parser(text, names).whole()


class _Parser:
    """Reads token after token, by one function for each line of the grammar."""

    def __init__(self, text: str, names: Names) -> None:
        self._text = text
        self._names = names
        self._tokens = tuple(tokens(text))
        self._at = 0
        self._depth = 0

    def whole(self) -> Filter:
        """The filter that is the whole text."""
        found = self._some()
        if self._next.kind is not Kind.END:
            raise self._wrong(self._unexpected("'and', 'or' or the end", ("and", "or")))
        return found

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind is not Kind.END
        return token

    def _took(self, words: tuple[str, ...]) -> bool:
        """Whether the next token is one of these words or signs; it is taken then."""
        found = self._next.kind in (Kind.WORD, Kind.SIGN) and self._next.text in words
        self._at += found
        return found

    def _wrong(self, message: str, token: Token | None = None) -> FilterError:
        return FilterError(message, (token or self._next).offset, self._text)

    def _unexpected(self, expected: str, known: tuple[str, ...] = ()) -> str:
        meant = nearest(self._next.text, known) if self._next.kind is Kind.WORD else None
        return f"expected {expected}, got {self._next}{f' (did you mean {meant!r}?)' if meant else ''}"

    def _some(self) -> Filter:
        parts = [self._every()]
        while self._took(_OR):
            parts.append(self._every())
        return Some(tuple(parts)) if len(parts) > 1 else parts[0]

    def _every(self) -> Filter:
        parts = [self._part()]
        so_far = scope(parts[0])
        while self._took(_AND):
            begins = self._next
            parts.append(self._part())
            try:
                so_far = so_far.both(scope(parts[-1]))
            except NotBoth as error:
                raise self._wrong(str(error), begins) from None
        return Every(tuple(parts)) if len(parts) > 1 else parts[0]

    def _part(self) -> Filter:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong(f"nested more than {DEEPEST} levels deep")
        if self._took(_NOT):
            found: Filter = Not(self._part())
        elif self._took(("(",)):
            found = self._some()
            if not self._took((")",)):
                raise self._wrong(self._unexpected("'and', 'or' or ')'", ("and", "or")))
        else:
            found = self._test()
        self._depth -= 1
        return found

    def _test(self) -> Filter:
        token = self._next
        if token.kind is not Kind.WORD:
            raise self._wrong(self._unexpected("a test such as tcp.dport == 25, 'not' or '('"))
        self._take()
        if token.text in _BY_THEMSELVES:
            if self._next.text in (*_COMPARING, "in"):
                raise self._wrong(f"{token} stands by itself; what is compared is a field such as tcp.dport or ip.proto")
            return _BY_THEMSELVES[token.text]
        field = _FIELDS.get(token.text)
        if field is None:
            raise self._wrong(_unknown(token.text), token)
        found = self._flag(field) if isinstance(field, Flag) else self._comparison(field)
        if scope(found).empty:
            raise self._wrong(f"{field}: no packet can match this", token)
        return found

    def _flag(self, flag: Flag) -> FlagIs:
        negated = self._took(("!=",))
        if not negated and not self._took(("==",)):
            return FlagIs(flag)
        if self._next.kind is not Kind.WORD or self._next.text not in ("0", "1"):
            raise self._wrong(f"{flag}: {self._unexpected('0 or 1')}")
        return FlagIs(flag, (self._take().text == "1") is not negated)

    def _comparison(self, field: Number | End | Wording) -> Filter:
        outside = self._took(("not",))
        if self._took(("in",)):
            return self._among(field, outside=outside)
        if outside:
            raise self._wrong(self._unexpected("'in' after 'not'", ("in",)))
        operator = self._next
        if not self._took(_COMPARING):
            raise self._wrong(f"{field}: {self._unexpected('an operator: == != < <= > >= in', ('in',))}")
        if operator.text not in ("==", "!="):
            return self._ordered(field, operator)
        outside = operator.text == "!="
        match field:
            case Number():
                return NumberIn(field, (self._value(lambda token: number(field, token)),), outside)
            case End():
                family, extent = self._value(lambda token: address(field, token, self._names))
                return AddressIn(field, {family: (extent,)}, outside)
            case _:
                return WordIn(field, frozenset((self._value(lambda token: word(field, token)),)), outside)

    def _ordered(self, field: Number | End | Wording, operator: Token) -> NumberIn:
        if not isinstance(field, Number):
            raise self._wrong(f"{field}: only numbers are greater or less; expected == != in, got {operator}", operator)
        token = self._next
        value, limits = self._value(lambda token: number(field, token)).first, LIMITS[field]
        first, last = {
            "<": (limits.first, value - 1),
            "<=": (limits.first, value),
            ">": (value + 1, limits.last),
            ">=": (value, limits.last),
        }[operator.text]
        if first > last:
            raise self._wrong(f"{field}: nothing is {operator.text} {token.text}; no packet can match this", operator)
        return NumberIn(field, (Range(first, last),))

    def _among(self, field: Number | End | Wording, *, outside: bool) -> Filter:
        match field:
            case Number():
                return NumberIn(field, merge(self._members(lambda token: numbers(field, token))), outside)
            case End():
                listed = [each for part in self._members(lambda token: addresses(field, token, self._names)) for each in part]
                ranges = {family: merge(extent for its, extent in listed if its is family) for family in Family}
                return AddressIn(field, {family: found for family, found in ranges.items() if found}, outside)
            case _:
                return WordIn(field, frozenset(self._members(lambda token: word(field, token))), outside)

    def _members(self, read: Callable[[Token], Value]) -> list[Value]:
        """What stands behind `in`: one value, or a set of them in braces."""
        if not self._took(("{",)):
            return [self._value(read)]
        found = [self._value(read)]
        while not self._took(("}",)):
            if not self._took((",",)):
                raise self._wrong(self._unexpected("',' or '}'"))
            found.append(self._value(read))
        return found

    def _value(self, read: Callable[[Token], Value]) -> Value:
        token = self._next
        if token.kind not in (Kind.WORD, Kind.TEXT):
            raise self._wrong(self._unexpected("a value"))
        try:
            found = read(token)
        except Unfit as error:
            raise self._wrong(str(error)) from None
        self._take()
        return found


def _unknown(name: str) -> str:
    known = (*_FIELDS, *_BY_THEMSELVES)
    meant = _ELSEWHERE.get(name) or nearest(name, (*known, "not"))
    said = f"unknown field {shown(name)}"
    return f"{said} (did you mean '{meant}'?)" if meant else f"{said}; known are {', '.join(known)}"
