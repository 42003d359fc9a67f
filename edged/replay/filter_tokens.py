"""A filter's text in tokens, and what is said of a text that is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple
from unicodedata import east_asian_width

from edged.config.problem import shown
from edged.errors import EdgedError, ExitCode

_TOKEN = re.compile(
    r"""
      (?P<text> "[^"]*" | '[^']*' )
    | (?P<sign> == | != | <= | >= | && | \|\| | [<>!(){},] )
    | (?P<word> [^\s"'(){},=!<>&|]+ )
    """,
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*")
_INSTEAD = {"=": "==", "&": "and", "|": "or"}
_SHOWN = 60  # characters of the filter on each side of the mistake


class FilterError(EdgedError):
    """A text that is no filter; `offset` is where in the text, from 0, and str() shows it with a caret below."""

    exit_code = ExitCode.INVALID

    def __init__(self, message: str, offset: int, text: str) -> None:
        super().__init__(f"{message}\n{_pointed(text, offset)}" if text.strip() else message)
        self.message = message
        self.offset = offset


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    TEXT = "text"
    SIGN = "sign"
    END = "end"


class Token(NamedTuple):
    """A token and where it begins; of a text in quotes, what is between them."""

    kind: Kind
    text: str
    offset: int

    def __str__(self) -> str:
        if self.kind is Kind.END:
            return "the end"
        return f"the text {shown(self.text)}" if self.kind is Kind.TEXT else shown(self.text)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a filter, an END after the last. Raises FilterError."""
    place = 0
    while (place := _SPACE.match(text, place).end()) < len(text):  # type: ignore[union-attr]  # it matches anything
        found = _TOKEN.match(text, place)
        if found is None:
            raise FilterError(_no_token(text[place]), place, text)
        kind = Kind(found.lastgroup)
        yield Token(kind, found[0][1:-1] if kind is Kind.TEXT else found[0], place)
        place = found.end()
    yield Token(Kind.END, "", len(text))


def _no_token(character: str) -> str:
    if character in "\"'":
        return "the quote is never closed"
    return f"{shown(character)} is no operator; write {_INSTEAD[character]!r}"


def _pointed(text: str, offset: int) -> str:
    """The line of the text that the offset is in, or what is near it there, and a caret below."""
    line = text[:offset].rpartition("\n")[2], text[offset:].partition("\n")[0]
    before, after = line[0][-_SHOWN:], line[1][:_SHOWN]
    width = sum(2 if east_asian_width(sign) in "WF" else 1 for sign in before)
    seen = "".join(sign if sign.isprintable() else " " for sign in before + after)
    return f"  {seen.rstrip()}\n  {' ' * width}^"
