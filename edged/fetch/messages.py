"""What the two processes of a download tell each other: one JSON object each way, and how a URL may be shown to people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from edged.errors import EdgedError

MEBIBYTE = 1024 * 1024
_LONGEST_VALIDATOR = 1024  # an ETag or a date; no server needs as much
_LONGEST_TEXT = 1000


class FetchFailed(EdgedError):
    """A file was not fetched; what was written meanwhile is not to be used."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to fetch, and within which bounds.

    `etag` and `last_modified` are those of the former answer, empty where there is none. `largest` bounds the body as it is sent,
    in bytes; `seconds` the whole download. `ca` is a PEM file with the authorities to trust in place of the system's.
    """

    url: str
    etag: str = ""
    last_modified: str = ""
    largest: int = 64 * MEBIBYTE
    seconds: float = 60
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole body was written, of `size` bytes; the validators are for the next request, empty where the server gave none."""

    etag: str
    last_modified: str
    size: int


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The file is the one that the validators of the request name (304); nothing was written."""


Answer: TypeAlias = Fetched | Unchanged


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a download failed, for the operator."""

    text: str


@dataclass(frozen=True, slots=True)
class Order:
    """A request as the downloading process gets it: it opens no file, so the authorities come as text (PEM, or empty)."""

    url: str
    etag: str
    last_modified: str
    largest: int
    seconds: float
    authorities: str

    @property
    def conditional(self) -> bool:
        """Whether the server may answer that nothing has changed."""
        return bool(self.etag or self.last_modified)

    def line(self) -> bytes:
        """The order as it is sent."""
        return json.dumps(asdict(self)).encode() + b"\n"


def order_of(line: bytes) -> Order:
    """The order that was sent as this line."""
    return Order(**json.loads(line))


def line_of(said: Answer | Failure) -> bytes:
    """An answer as it is sent."""
    return json.dumps({type(said).__name__: asdict(said)}).encode() + b"\n"


def understood(line: bytes) -> Answer | Failure:
    """The answer that was sent as this line, by a process that may have been taken over. Raises ValueError where it is none."""
    match json.loads(line):
        case {"Fetched": {"etag": str(etag), "last_modified": str(modified), "size": int(size)}}:
            return Fetched(validator(etag), validator(modified), size)
        case {"Unchanged": {}}:
            return Unchanged()
        case {"Failure": {"text": str(text)}}:
            return Failure(printable(text)[:_LONGEST_TEXT])
        case _:
            raise ValueError("an object of another kind")


def validator(value: str | None) -> str:
    """An ETag or a date as a later request can repeat it; empty where it cannot, so that the file is fetched anew."""
    fits = value is not None and len(value) <= _LONGEST_VALIDATOR and value.isprintable()
    return value if value is not None and fits else ""


def printable(text: str) -> str:
    """The text with a question mark for whatever could disturb a terminal or a log."""
    return "".join(each if each.isprintable() else "?" for each in text)


def shown(url: str) -> str:
    """The URL as people and logs may see it: the user's name, the password and the query can hold a secret, and are left out."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that is none"
    host = parts.netloc.rpartition("@")[2]
    return printable(f"{parts.scheme}://{host}{parts.path}")[:200]
