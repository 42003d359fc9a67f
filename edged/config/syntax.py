"""Bytes that are not the YAML edged reads: where, and what to say about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edged.config.problem import KeyPath, shown

if TYPE_CHECKING:
    from yaml import MarkedYAMLError

# what YAML allows in a file (YAML 1.1, section 4.1), less the line breaks that no editor counts as such
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

_NAMES = {
    "\x00": "a NUL byte",
    "\ufeff": "a byte order mark; save the file as UTF-8 without BOM",
    "\x85": "U+0085, a line break that most editors do not show",
    "\u2028": "U+2028, a line break that most editors do not show",
    "\u2029": "U+2029, a line break that most editors do not show",
}

_WORDING = {
    "mapping values are not allowed in this context": "a ': ' that cannot stand here; wrong indentation, or a text to be quoted",
    "did not find expected node content": "expected a value here",
    "did not find expected key": "expected a key here; wrong indentation, or a text to be quoted",
    "did not find expected '-' indicator": "expected a '-' here like the lines before; wrong indentation",
    "could not find expected ':'": "expected a ':' after the key",
    "found unexpected end of stream": "the quote is never closed",
    "found unknown escape character": "an escape that YAML does not have; write '...' in place of \"...\"",
    "found unexpected ':'": "a ':' that cannot stand here",
    "found incompatible YAML document": "a YAML version that edged does not read; leave the %YAML line out",
}

_WORD = re.compile(r"[^\s,\[\]{}\"']+")
_ADDRESS_IN_BRACKETS = re.compile(r"\[[0-9a-fA-F:.]+\]:\d+")


class Mark(NamedTuple):
    """A place in a file; both count from 1, columns in characters."""

    line: int
    column: int


class Refused(Exception):
    """The file is not YAML that edged reads; reading ends here."""

    def __init__(self, mark: Mark, message: str, path: KeyPath = ()) -> None:
        super().__init__(message)
        self.mark = mark
        self.path = path


def decode(raw: bytes) -> str:
    """The file's text; raises Refused where it is not UTF-8 or holds what cannot be seen."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused(Mark(1, 1), "not UTF-8 but UTF-16; save the file as UTF-8")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        raise Refused(_mark(before, len(before)), f"not UTF-8: byte 0x{raw[error.start]:02x}; save the file as UTF-8") from None
    if (found := _FORBIDDEN.search(text)) is not None:
        what = _NAMES.get(found[0], f"a control character, U+{ord(found[0]):04X}")
        raise Refused(_mark(text, found.start()), f"the file holds {what}")
    return text


def syntax_error(text: str, error: MarkedYAMLError) -> Refused:
    """What to say of libyaml's own refusal."""
    problem = error.problem or "not YAML"
    at = error.problem_mark or error.context_mark
    if problem == "found unexpected ':'" and error.context_mark is not None:
        at = error.context_mark  # where the word begins, not where it becomes impossible
    mark = Mark(at.line + 1, at.column + 1) if at is not None else Mark(1, 1)
    lines = text.splitlines()
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    if problem.startswith("did not find expected ','") and error.context_mark is not None:
        opened = error.context_mark
        message = f"{problem.replace('did not find expected', 'expected')}; opened at {opened.line + 1}:{opened.column + 1}"
    else:
        message = _reason(problem, line, mark.column - 1)
    return Refused(mark, f"not valid YAML: {message}")


def _reason(problem: str, line: str, column: int) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent and column <= len(indent):
        return "a tab; indent with spaces"
    if (address := _address_to_quote(line, column)) is not None:
        return f'quote it: "{address}"'
    if problem == "found character that cannot start any token" and column < len(line):
        return f"a value cannot begin with {shown(line[column])}; quote it"
    return _WORDING.get(problem, problem)


def _address_to_quote(line: str, column: int) -> str | None:
    """An IPv6 address or socket address near the column that YAML takes for something else: `[::1]`, `2001:db8::`."""
    for pattern in (_ADDRESS_IN_BRACKETS, _WORD):
        for word in pattern.finditer(line):
            if word.start() - 1 <= column <= word.end() and ("::" in word[0] or pattern is _ADDRESS_IN_BRACKETS):
                return word[0]
    return None


def _mark(text: str, index: int) -> Mark:
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))
