"""One list of a blocklist: where it comes from, what form it has, and what must hold before it takes effect."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from edged.config.quantities import Duration, Share, Volume, at_least
from edged.config.scalars import Flag, OptionalPath, refuse, unexpected
from edged.config.section import Section

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def _name(value: Any) -> str:  # noqa: ANN401  whatever YAML held
    """A metric's label, a file's name, a word in messages."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise unexpected("a name of at most 32 letters a-z, digits, - and _", value)
    return value


def _url(value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not value.isprintable() or any(sign.isspace() for sign in value):
        raise unexpected("an address such as https://lists.example.net/drop.txt", value)
    try:
        parts = urlsplit(value)
        complete = bool(parts.hostname) and (parts.port or 443) > 0
    except ValueError:
        complete, parts = False, urlsplit("")
    if parts.scheme == "http":
        raise refuse("expected https: what comes over plain http may be anybody's list")
    if parts.scheme != "https" or not complete:
        raise refuse("expected an address such as https://lists.example.net/drop.txt")  # without the value: it may hold a token
    return value


def _column(value: Any) -> str | int:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "" or (isinstance(value, int) and value < 1):
        raise unexpected("a column's name in the header, or its number from 1", value)
    return value


def _delimiter(value: Any) -> str:  # noqa: ANN401
    named = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
    sign = named.get(value, value) if isinstance(value, str) else value
    if not isinstance(sign, str) or len(sign) != 1 or sign in '"\r\n':
        raise unexpected("one character, or tab, comma, semicolon, pipe", value)
    return sign


def _charset(value: Any) -> str:  # noqa: ANN401
    try:
        codecs.getincrementaldecoder(value)  # what reads a file piece by piece; not every codec can
        with suppress(UnicodeError):
            bytes(4).decode(value)  # base64 and its like are codecs too, and give no text
    except (LookupError, TypeError, ValueError):
        raise unexpected("a character set such as utf-8, cp932 or euc_jp", value) from None
    return str(value)


ListName = Annotated[str, PlainValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})]
Url = Annotated[str, PlainValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https://"})]
Column = Annotated[
    str | int,
    PlainValidator(_column),
    WithJsonSchema({"oneOf": [{"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}]}),
]
Delimiter = Annotated[str, PlainValidator(_delimiter), WithJsonSchema({"type": "string"})]
Charset = Annotated[str, PlainValidator(_charset), WithJsonSchema({"type": "string"})]
Refresh = Annotated[Duration, AfterValidator(at_least(60.0, "60s: whoever publishes a list counts its visitors"))]


class ListFormat(StrEnum):
    """The form of a list."""

    PLAIN = "plain"
    SPAMHAUS_DROP = "spamhaus-drop"
    CSV = "csv"


class Columns(Section):
    """How a csv list is laid out."""

    address: Column = Field(description="the column with the address or prefix")
    length: Column | None = Field(None, description="the column with the prefix length, where it stands by itself")
    delimiter: Delimiter = Field(",", description="between the columns: one character, or tab, comma, semicolon, pipe")
    charset: Charset = Field("utf-8", description="the file's character set, such as utf-8, cp932 or euc_jp")
    header: Flag = Field(default=True, description="whether the first line names the columns")


class ListGuards(Section):
    """What a list must hold to before it takes effect; one that does not is refused, and the last good one stays in force."""

    shrunk: Share = Field(0.5, description="refuse a list with fewer entries than this share of the last good one's")
    grown: Share = Field(2.0, description="refuse a list with more entries than this share of the last good one's")
    bad_lines: Share = Field(0.01, description="refuse a list in which more of the lines than this cannot be read")
    shortest_ipv4: int = Field(8, ge=1, le=32, description="refuse a list with a shorter IPv4 prefix than this")
    shortest_ipv6: int = Field(19, ge=1, le=128, description="refuse a list with a shorter IPv6 prefix than this")
    reserved: Flag = Field(default=False, description="let a list name private, loopback, link-local and multicast addresses")
    largest: Volume = Field(512 << 20, description="refuse a list that is larger than this, unpacked")


class ListSource(Section):
    """A list of addresses that subscribers must not reach, nor be reached from."""

    name: ListName = Field(description="what messages and metrics call the list")
    path: OptionalPath = Field(None, description="the list's file; read anew when it changes")
    url: Url | None = Field(None, description="where the list is fetched from, by https")
    refresh: Refresh = Field(3600.0, description="how often a `url` is asked for a newer list")
    ca: OptionalPath = Field(None, description="a file with the certificate authorities for `url`, in place of the system's")
    format: ListFormat = Field(ListFormat.PLAIN, description="plain | spamhaus-drop | csv; each may be gzipped")
    columns: Columns | None = Field(None, description="how a csv list is laid out")
    confidential: Flag = Field(
        default=False, description="never show an entry of it: messages name the list and an opaque number"
    )
    guards: ListGuards = Field(default_factory=ListGuards)
