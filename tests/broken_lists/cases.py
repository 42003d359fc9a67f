"""Broken and odd lists: one text file a case, with the list and exactly what edged says of it.

    What is wrong, in a sentence.
    -- list --
    192.0.2.1
    192.0.2.1/24
    -- refused: bad_lines --
    1 of 2 lines cannot be read, where 1 % may be so: line 2: host bits are set in 192.0.2.1/24; write 192.0.2.0/24

`-- list (cp932) --` is encoded so, `-- list (bytes) --` has Python's escapes (\\x00) in it, `-- list (gzip) --` is packed. More
of a case, where it needs that:

    -- format --        spamhaus-drop, or csv and below it how it is laid out, as edged.yaml has it; plain without it
    -- former --        how many different prefixes the last good list names
    -- protected --     a prefix a line, and what it is

An odd list is used, and has `-- entries --`: a line and its prefix each. What is made here in place of a file is too large for
one, or not text.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import ip_network
from pathlib import Path
from typing import BinaryIO

from edged.sources.formats import CsvFormat, Format, Plain, SpamhausDrop
from edged.sources.guards import Protected
from edged.sources.parsed import Reason

BROKEN = Path(__file__).parent / "cases"
ODD = Path(__file__).parent / "odd"

_HEADER = re.compile(r"^-- (?P<name>[a-z]+)(?: \((?P<how>[a-z0-9_-]+)\)|: (?P<reason>[a-z_]+))? --\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Case:
    """One list; `reason` and `message` are why it is refused, or `entries` what it says, as (line, prefix)."""

    name: str
    about: str
    format: Format
    open: Callable[[], BinaryIO]
    protected: tuple[Protected, ...] = ()
    former: int | None = None
    reason: Reason | None = None
    message: str = ""
    entries: tuple[tuple[int, str], ...] = ()
    source: Path | None = None  # None: it is made here

    def update(self, header: str, lines: tuple[str, ...]) -> None:
        """Write another outcome into the case's file."""
        assert self.source is not None
        text = self.source.read_text()
        outcome = next(each for each in _HEADER.finditer(text) if each["name"] in {"refused", "entries"})
        self.source.write_text(text[: outcome.start()] + "".join(f"{line}\n" for line in (header, *lines)))


def broken_lists() -> tuple[Case, ...]:
    """Lists that are refused, by name; those made here come last."""
    return (*(read_case(path) for path in sorted(BROKEN.glob("*.txt"))), *made_cases())


def odd_lists() -> tuple[Case, ...]:
    """Lists that are used, by name."""
    return tuple(read_case(path) for path in sorted(ODD.glob("*.txt")))


def read_case(path: Path) -> Case:
    """The case in that file."""
    text = path.read_text()
    headers = [*_HEADER.finditer(text)]
    parts: dict[str, str] = {}
    raw = b""
    reason: Reason | None = None
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        body = text[header.end() : following.start() if following else len(text)]
        parts[header["name"]] = body.removesuffix("\n")
        if header["name"] == "list":
            raw = _encoded(body, header["how"])
        if header["reason"]:
            reason = Reason(header["reason"])
    return Case(
        name=path.stem,
        about=text[: headers[0].start()].strip(),
        format=_format(parts.get("format", "plain").splitlines()),
        open=lambda: io.BytesIO(raw),
        protected=tuple(
            Protected(ip_network(prefix), what)
            for prefix, _, what in (line.partition(" ") for line in parts.get("protected", "").splitlines())
        ),
        former=int(parts["former"]) if "former" in parts else None,
        reason=reason,
        message=parts.get("refused", ""),
        entries=tuple(
            (int(line), prefix) for line, _, prefix in (each.partition(" ") for each in parts.get("entries", "").splitlines())
        ),
        source=path,
    )


def _encoded(body: str, how: str | None) -> bytes:
    if how == "bytes":
        return body.removesuffix("\n").encode().decode("unicode_escape").encode("latin-1")
    if how == "gzip":
        return gzip.compress(body.encode())
    return body.encode(how or "utf-8")


def _format(lines: list[str]) -> Format:
    if lines == ["plain"]:
        return Plain()
    if lines == ["spamhaus-drop"]:
        return SpamhausDrop()
    assert lines[0] == "csv"
    settings = dict(line.split(": ", 1) for line in lines[1:])
    columns = {key: int(value) if value.isdecimal() else value for key, value in settings.items()}
    return CsvFormat(
        address=columns["address"],
        prefix_length=columns.get("length"),
        delimiter=settings.get("delimiter", ","),
        charset=settings.get("charset", "utf-8"),
        header=settings.get("header") != "false",
    )


# --- what no text file can hold ---


class Endless(io.RawIOBase):
    """A file of so many bytes that are made as they are read."""

    def __init__(self, pattern: bytes, size: int) -> None:
        super().__init__()
        self._pattern = pattern * (1 + (1 << 20) // len(pattern))
        self._period = len(pattern)
        self._left = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = min(len(buffer), self._left, 1 << 20)
        buffer[:size] = self._pattern[self._place : self._place + size]
        self._place = (self._place + size) % self._period
        self._left -= size
        return size


def endless(pattern: bytes, size: int) -> BinaryIO:
    """A file object of that many bytes that takes no memory for them."""
    return io.BufferedReader(Endless(pattern, size))


@cache
def bomb(pattern: bytes) -> bytes:
    """A gzip file that unpacks to a gigabyte of the pattern."""
    packed = io.BytesIO()
    chunk = pattern * ((1 << 20) // len(pattern))
    with gzip.open(packed, "wb", compresslevel=1) as file:
        for _ in range(_GIGABYTE // len(chunk)):
            file.write(chunk)
    return packed.getvalue()


_GOOD = "".join(f"192.0.2.{last}\n" for last in range(256)).encode()
_GIGABYTE = 1 << 30
_COMMENT = b"# nothing" + b"." * 1014 + b"\n"


def made_cases() -> tuple[Case, ...]:
    """Lists that are refused and that are made here."""
    packed = gzip.compress(_GOOD)
    wrong = bytearray(packed)
    wrong[len(wrong) // 2] ^= 0xFF
    wrong_sum = bytearray(packed)
    wrong_sum[-5] ^= 0xFF
    too_long = "line 1 is longer than 64 KiB; this is not a list of addresses"
    cut = "the gzip file ends in the middle"
    damaged = "the gzip file is damaged"
    return (
        _made("gzip-cut-off", "A gzip file that was cut off.", packed[:-20], cut),
        _made("gzip-head-only", "A gzip file of which two bytes came.", packed[:2], cut),
        _made("gzip-no-checksum", "A gzip file without its last byte.", packed[:-1], cut),
        _made("gzip-damaged", "A gzip file with a wrong byte.", bytes(wrong), damaged),
        _made("gzip-wrong-checksum", "A gzip file with a wrong checksum.", bytes(wrong_sum), damaged),
        _made("gzip-second-cut", "Two gzip files in one, the second cut off.", packed + packed[:-9], cut),
        _made("gzip-with-text-behind", "A gzip file with text behind it.", packed + b"192.0.2.1\n", damaged),
        Case(
            "gzip-bomb",
            "A gzip file that unpacks to a gigabyte of comments.",
            Plain(),
            lambda: io.BytesIO(bomb(_COMMENT)),
            reason=Reason.UNREADABLE,
            message="larger than 512 MiB, unpacked",
        ),
        Case(
            "gzip-bomb-one-line",
            "A gzip file that unpacks to one line of a gigabyte.",
            Plain(),
            lambda: io.BytesIO(bomb(b"0")),
            reason=Reason.NOT_A_LIST,
            message=too_long,
        ),
        Case(
            "size-one-line",
            "A line of a gigabyte.",
            Plain(),
            lambda: endless(b"1", _GIGABYTE),
            reason=Reason.NOT_A_LIST,
            message=too_long,
        ),
        Case(
            "size-one-line-of-json",
            "A line of a gigabyte where JSON lines should be.",
            SpamhausDrop(),
            lambda: endless(b"[", _GIGABYTE),
            reason=Reason.NOT_A_LIST,
            message=too_long,
        ),
        Case(
            "size-comments",
            "A gigabyte of comments.",
            Plain(),
            lambda: endless(_COMMENT, _GIGABYTE),
            reason=Reason.UNREADABLE,
            message="larger than 512 MiB",
        ),
        Case(
            "size-open-quote",
            "A quotation mark that nothing closes.",
            CsvFormat("ip"),
            lambda: io.BytesIO(b'ip\n"' + b"192.0.2.1\n" * 100_000),
            reason=Reason.NOT_A_LIST,
            message="line 2 begins a record of more than 128 KiB; is a quotation mark left open?",
        ),
        *(
            Case(
                f"archive-{name}",
                f"Packed as {what}.",
                Plain(),
                partial(io.BytesIO, raw),
                reason=Reason.NOT_A_LIST,
                message=f"{what}, not a list; only gzip is unpacked",
            )
            for name, what, raw in (
                ("zip", "a zip archive", b"PK\x03\x04\x14\0\0\0"),
                ("xz", "an xz file", b"\xfd7zXZ\0\0\4"),
                ("zstd", "a zstd file", b"\x28\xb5\x2f\xfd\4\0"),
                ("bzip2", "a bzip2 file", b"BZh91AY&SY\0"),
            )
        ),
    )


def _made(name: str, about: str, raw: bytes, message: str) -> Case:
    return Case(name, about, Plain(), lambda: io.BytesIO(raw), reason=Reason.UNREADABLE, message=message)
