"""Bytes that are not the YAML edged reads: where, and what to say about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edged.config.problem import KeyPath, shown

if TYPE_CHECKING:
    from yaml import MarkedYAMLError
    from yaml._yaml import Mark as _CMark
    from yaml.error import Mark as _PythonMark

    _YamlMark = _CMark | _PythonMark

# what YAML does not allow in a file (YAML 1.1, section 4.1), and line breaks that no editor counts as such
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\u2028|\u2029|\ufeff|\ufffe|\uffff")

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

# found where the next token begins: the place to show is where the one at fault does
_SEEN_LATE = frozenset({"found unexpected ':'", "could not find expected ':'", "found unexpected end of stream"})

_ADDRESS = re.compile(r"[0-9a-fA-F:.]*::[0-9a-fA-F:.]*(?:/\d+)?")
_SOCKET_ADDRESS = re.compile(r"\[[0-9a-fA-F:.]+\]:\d+")
_CONFLICT = re.compile(r"^(?:<<<<<<<|=======|>>>>>>>)(?= |$)", re.MULTILINE)


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
    if (conflict := _CONFLICT.search(text)) is not None:
        return Refused(_mark(text, conflict.start()), f"a conflict that git left in the file: {conflict[0]}")
    problem = error.problem or "not YAML"
    at, opened = _place(error.problem_mark), _place(error.context_mark)
    if problem in _SEEN_LATE:
        at = opened
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    line = lines[at.line - 1] if at.line <= len(lines) else ""
    if problem.startswith("did not find expected ','"):
        message = f"{problem.replace('did not find expected', 'expected')}; opened at {opened.line}:{opened.column}"
    elif (address := _address_to_quote(line, at.column - 1)) is not None:
        at, message = Mark(at.line, address.start() + 1), f'quote it: "{address[0]}"'
    else:
        message = _reason(problem, line, at.column - 1)
    return Refused(at, f"not valid YAML: {message}")


def _reason(problem: str, line: str, column: int) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent and column <= len(indent):
        return "a tab; indent with spaces"
    if problem == "found character that cannot start any token" and column < len(line):
        return f"a value cannot begin with {shown(line[column])}; quote it"
    return _WORDING.get(problem, problem)


def _address_to_quote(line: str, column: int) -> re.Match[str] | None:
    """An IPv6 address or socket address near the column that YAML takes for something else: `[::1]`, `2001:db8::`."""
    for pattern in (_SOCKET_ADDRESS, _ADDRESS):
        for word in pattern.finditer(line):
            if word.start() - 1 <= column <= word.end():
                return word
    return None


def _place(mark: _YamlMark | None) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark is not None else Mark(1, 1)


def _mark(text: str, index: int) -> Mark:
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))
