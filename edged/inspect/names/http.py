"""The heads of HTTP/1 requests and responses, as far as names and media types need them: RFC 9112, RFC 9110."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from edged.inspect.names.answers import LONGEST, NEED_MORE, NeedMore
from edged.inspect.names.host import host_of

_LONGEST_LINE = 8 << 10  # RFC 9112 section 3 asks for 8,000 at least
_MOST_EMPTY = 4  # bytes of empty lines in front of a request, section 2.2

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"  # RFC 9110 section 5.6.2
_METHOD = re.compile(_TOKEN + rb"{1,32}")
_CUT_REQUEST = re.compile(_TOKEN + rb"{1,32}(?: [^\0-\x08\x0a-\x1f]*)?\r?")
_HTTP_1 = re.compile(rb"HTTP/1\.[0-9]")
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: .*)?", re.DOTALL)
_CUT_STATUS = re.compile(rb"HTTP/1\.[0-9](?: [1-9]?| [1-9][0-9]| [1-9][0-9]{2}(?: [^\0-\x08\x0a-\x1f]*)?\r?)?")
_STATUS_BEGINS = b"HTTP/1."
_MEDIA_TYPE = re.compile(_TOKEN + rb"{1,64}/" + _TOKEN + rb"{1,64}")
_SWITCHING = 101


class Request(NamedTuple):
    """A request's head. `size` is its length in bytes with the empty line, 0 where the host was known and it had not ended.

    `host` is as `host.host_of` has it; None where the request names none, or more than one.
    """

    method: bytes
    target: bytes
    host: str | None
    size: int


class Response(NamedTuple):
    """A response's head, that of the final response where interim ones came first; `size` as in Request, all heads together.

    `content_type` is a media type in lower case and without parameters; None where there is none, or more than one.
    """

    status: int
    content_type: str | None
    size: int


@dataclass(frozen=True, slots=True)
class NotHttp:
    """What came is not the beginning of an HTTP/1 message of that kind."""


NOT_HTTP = NotHttp()


def request_head(data: bytes) -> Request | NeedMore | NotHttp:
    """The request that these bytes begin with, as soon as its host is known; LONGEST bytes are looked at.

    A Host field is taken once it has ended, though the head has not: that another follows, which a server must refuse
    (RFC 9112 section 3.2), is seen only where it came with it.
    """
    data = data[:LONGEST]
    start = len(data) - len(data.lstrip(b"\r\n"))
    if start > _MOST_EMPTY:
        return NOT_HTTP
    stop = data.find(b"\n", start, start + _LONGEST_LINE)
    if stop < 0:
        line = data[start:]
        return NEED_MORE if len(line) < _LONGEST_LINE and (not line or _CUT_REQUEST.fullmatch(line)) else NOT_HTTP
    method, _, rest = data[start:stop].removesuffix(b"\r").partition(b" ")
    target, _, version = rest.rpartition(b" ")
    target = target.strip(b" ")
    if not (target and _METHOD.fullmatch(method) and _HTTP_1.fullmatch(version)):
        return NOT_HTTP
    if method == b"CONNECT":
        return Request(method, target, host_of(target), 0)
    if absolute := _ABSOLUTE.match(target):  # it wins over the Host field (RFC 9112 section 3.2.2)
        return Request(method, target, host_of(absolute[1].rpartition(b"@")[2]), 0)
    hosts, size = _values(data, stop + 1, b"host")
    if not (hosts or size or len(data) == LONGEST):
        return NEED_MORE
    return Request(method, target, host_of(hosts[0]) if len(hosts) == 1 else None, size)


def response_head(data: bytes) -> Response | NeedMore | NotHttp:
    """The response that these bytes begin with, as soon as its media type has come; LONGEST bytes are looked at."""
    data = data[:LONGEST]
    start = 0
    while True:
        stop = data.find(b"\n", start, start + _LONGEST_LINE)
        if stop < 0:
            return NEED_MORE if len(data) < LONGEST and _is_cut_status(data[start:]) else NOT_HTTP
        found = _STATUS.fullmatch(data[start:stop].removesuffix(b"\r"))
        if found is None:
            return NOT_HTTP
        status = int(found[1])
        types, size = _values(data, stop + 1, b"content-type")
        if status >= 200 or status == _SWITCHING:
            if not (types or size or len(data) == LONGEST):
                return NEED_MORE
            return Response(status, _media_type(types), size)
        if not size:
            return NEED_MORE if len(data) < LONGEST else NOT_HTTP
        start = size  # RFC 9110 section 15.2: the final response follows an interim one


def _is_cut_status(line: bytes) -> bool:
    """Whether a status line may begin so."""
    return len(line) < _LONGEST_LINE and (_STATUS_BEGINS.startswith(line) or bool(_CUT_STATUS.fullmatch(line)))


def _media_type(values: list[bytes]) -> str | None:
    types = {value.partition(b";")[0].strip(b" \t").lower() for value in values}
    only = types.pop() if len(types) == 1 else b""
    return only.decode("ascii") if _MEDIA_TYPE.fullmatch(only) else None


def _values(data: bytes, at: int, name: bytes) -> tuple[list[bytes], int]:
    """The values of the fields of that name, of the header that begins there, and the place behind it; 0 where that is cut off.

    A value is told when it is known where it ends: lines that begin with a blank go on with the field before (RFC 9112
    section 5.2). One whose field is written wrongly is told as a value that no field can have, so that nobody relies on it.
    """
    values: list[bytes] = []
    value: bytes | None = None
    while (stop := data.find(b"\n", at)) >= 0:
        line = data[at:stop].removesuffix(b"\r")
        at = stop + 1
        if line[:1] in (b" ", b"\t"):
            value = None if value is None else (value + b" " + line.strip(b" \t")).strip(b" ")
            continue
        if value is not None:
            values.append(value)
        if not line:
            return values, at
        value = _value(line, name)
    if value is not None and data[at : at + 1] not in (b"", b" ", b"\t"):
        values.append(value)
    return values, 0


def _value(line: bytes, name: bytes) -> bytes | None:
    """The value in a field's line, where the field has that name."""
    written, colon, value = line.partition(b":")
    if written[: len(name)].lower() != name or written[len(name) :].strip(b" \t"):
        return None
    # RFC 9112 section 5.1: a server must refuse a blank in front of the colon, since some read the field and some do not
    return value.strip(b" \t") if colon and len(written) == len(name) else b"\0"
