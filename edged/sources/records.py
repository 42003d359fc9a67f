"""Comma-separated values (RFC 4180) with a record a line, and the place of each field on it.

A line break within quotation marks is refused: it would let one mark that is left open take in the rest of the file.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

# blanks around a field that is not quoted are no part of it; spreadsheets and people put them there
_FIELD = re.compile(r'[ \t]*(?:"(?P<quoted>(?:[^"]|"")*+)"|(?P<plain>[^",]*))[ \t]*(?=,|\Z)')


class Field(NamedTuple):
    """A field's text, and the column of its first character, from 1."""

    text: str
    column: int


class BadRecord(Exception):
    """The line is no record; `column` is where that shows."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


class BadText(Exception):
    """The file is no text of lines; `line` and `column` are where that shows."""

    def __init__(self, message: str, before: str) -> None:
        super().__init__(message)
        self.line = before.count("\n") + 1
        self.column = len(before) - before.rfind("\n")


def decoded(raw: bytes) -> str:
    """The text with LF at its lines' ends, without the byte order mark that spreadsheets write. Raises BadText."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadText("not UTF-8 but UTF-16; save the file as UTF-8", "")
    body = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte 0x{body[error.start]:02x}; save the file as UTF-8"
        raise BadText(message, body[: error.start].decode()) from None
    if (lone := re.search(r"\r(?!\n)", text)) is not None:
        message = "a carriage return that no line feed follows; save the file with Unix or DOS line ends"
        raise BadText(message, text[: lone.start()])
    return text.replace("\r\n", "\n")


def fields(line: str) -> tuple[Field, ...]:
    """The fields of one line, at least one. Raises BadRecord."""
    found = []
    position = 0
    while True:
        match = _FIELD.match(line, position)
        if match is None:
            message = (
                "quotation marks that do not pair; a field is quoted as a whole and on one line, a mark in it is written twice"
            )
            raise BadRecord(message, line.index('"', position) + 1)
        if match["quoted"] is not None:
            found.append(Field(match["quoted"].replace('""', '"'), match.start("quoted") + 1))
        else:
            found.append(Field(match["plain"].rstrip(" \t"), match.start("plain") + 1))
        if match.end() == len(line):
            return tuple(found)
        position = match.end() + 1


def texts(line: str) -> list[str]:
    """The fields' texts. Raises BadRecord."""
    if '"' not in line:
        return [text.strip(" \t") for text in line.split(",")]
    if len(line) > 1 and line[0] == line[-1] == '"':
        # every field quoted, as most programs write them: where no other mark is left, each `","` ends one and begins one
        found = line[1:-1].split('","')
        if '"' not in "".join(found):
            return found
    return [field.text for field in fields(line)]
