"""One YAML file as plain data, with the place of every key and value.

The file is read as a stream of parser events, not composed: what goes too deep, or would grow by aliases without end, is
refused when it is met, in bounded time and memory. Scalars are resolved here and by few rules (`true`, `false`, `null`,
decimal and 0x integers; everything else is text), because YAML 1.1's own would make False of `off` and 1342 of `22:22`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from edged.config.problem import Finding, KeyPath, Problem, dotted, shown
from edged.config.syntax import Mark, Refused, decode, syntax_error
from edged.origin import Origin

Data: TypeAlias = "bool | int | str | list[Data] | dict[str, Data] | None"

DEEPEST = 16
MOST_VALUES = 100_000
MOST_ALIASED = 1_000

_WORDS: Mapping[str, bool | None] = {"": None, "null": None, "true": True, "false": False}
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_YAML_TAGS = "tag:yaml.org,2002:"
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,16}")


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data and the places in it; it is the file's `Places`."""

    file: str
    data: Data
    keys: Mapping[KeyPath, Mark]
    values: Mapping[KeyPath, Mark]

    def at(self, *path: str | int) -> Origin:
        """The line of that key or list item, or of the nearest one around it that the file has."""
        return Origin(self.file, self.key_mark(path).line)

    def key_mark(self, path: KeyPath) -> Mark:
        """Where the key or list item begins, or the nearest one around it; for the file as a whole its `policy` key."""
        while path:
            mark = self.keys.get(path) or self.values.get(path)
            if mark is not None:
                return mark
            path = path[:-1]
        return self.keys.get(("policy",)) or self.values.get(()) or Mark(1, 1)

    def value_mark(self, path: KeyPath) -> Mark:
        """Where the value begins, or the nearest key or item around it."""
        return self.values.get(path) or self.key_mark(path)

    def problem(self, finding: Finding, mark: Mark | None = None) -> Problem:
        """The finding with its place: where the value begins, unless another mark is given."""
        line, column = mark or self.value_mark(finding.path)
        message = finding.message
        if finding.other is not None:
            other = self.value_mark(finding.other)
            message = f"{message} at {other.line}:{other.column}"
        return Problem(self.file, line, column, dotted(finding.path), message, finding.severity)


class Reading(NamedTuple):
    """What came of reading a file; there is no document where the file is not YAML that edged reads."""

    document: Document | None
    problems: tuple[Problem, ...]


def read_document(file: str, raw: bytes) -> Reading:
    """Read a file's bytes, `file` being the name to show; whatever they are, the answer is a Reading."""
    builder = _Builder(file)
    try:
        text = decode(raw)
        try:
            return Reading(builder.build(yaml.parse(text, Loader=yaml.CSafeLoader)), tuple(builder.problems))
        except yaml.MarkedYAMLError as error:
            raise syntax_error(text, error) from error
    except Refused as refused:
        builder.report(refused.mark, str(refused), refused.path)
        return Reading(None, tuple(builder.problems))


class _Builder:
    """Builds the data from events, and goes on past what is wrong in a single key or value."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._keys: dict[KeyPath, Mark] = {}
        self._values: dict[KeyPath, Mark] = {}
        self._anchors: dict[str, tuple[Data, int]] = {}
        self._open: set[str] = set()
        self._count = 0
        self._aliased = 0

    def report(self, mark: Mark, message: str, path: KeyPath = ()) -> None:
        """Note an error of the file."""
        self.problems.append(Problem(self._file, mark.line, mark.column, dotted(path), message))

    def build(self, events: Iterator[Event]) -> Document:
        """The document of the stream; raises Refused where it goes no further."""
        data: Data = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Refused(_mark(event), "a second document begins here; one file holds one")
                data = self._value(next(events), events, ())
            elif isinstance(event, StreamEndEvent):
                break
        return Document(self._file, data, self._keys, self._values)

    def _value(self, event: Event, events: Iterator[Event], path: KeyPath) -> Data:
        mark = _mark(event)
        self._values[path] = mark
        self._count += 1
        if self._count > MOST_VALUES:
            raise Refused(mark, f"more than {MOST_VALUES} values in one file; bulk data belongs into a list, not into YAML")
        if isinstance(event, AliasEvent):
            return self._alias(event, mark, path)
        anchor = event.anchor if isinstance(event, NodeEvent) else None
        if anchor is not None:
            self._open.add(anchor)
        before = self._count + self._aliased
        data = self._content(event, events, path, mark)
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = (data, self._count + self._aliased - before + 1)
        return data

    def _content(self, event: Event, events: Iterator[Event], path: KeyPath, mark: Mark) -> Data:
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            self.report(mark, f"a tag ({shown(_short(event.tag))}); tags are not read, leave it out", path)
        if isinstance(event, ScalarEvent):
            return _resolve(event.value) if not event.style else str(event.value)
        if len(path) >= DEEPEST:
            raise Refused(mark, f"nested more than {DEEPEST} levels deep", path[:3])
        if isinstance(event, MappingStartEvent):
            return self._mapping(events, path)
        return self._sequence(events, path)

    def _sequence(self, events: Iterator[Event], path: KeyPath) -> list[Data]:
        items: list[Data] = []
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            items.append(self._value(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[Event], path: KeyPath) -> dict[str, Data]:
        entries: dict[str, Data] = {}
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            mark = _mark(event)
            # a key set aside still has its value read, at the place of the mapping around it
            key = self._key(event, mark, path, entries)
            if key is None:
                if isinstance(event, CollectionStartEvent):
                    raise Refused(mark, "a key must be a word, not a list or a mapping", path)
                self._set_aside(events, path)
                continue
            self._keys[(*path, key)] = mark
            entries[key] = self._value(next(events), events, (*path, key))
        return entries

    def _key(self, event: Event, mark: Mark, path: KeyPath, entries: dict[str, Data]) -> str | None:
        if not isinstance(event, ScalarEvent) or event.tag is not None or event.anchor is not None:
            if not isinstance(event, CollectionStartEvent):
                self.report(mark, "a key must be a plain word, without anchor, alias or tag", path)
            return None
        key = str(event.value)
        if key == "<<" and not event.style:
            self.report(mark, "merge keys (<<) are not read; write the keys out", path)
            return None
        if key in entries:
            first = self._keys[(*path, key)]
            self.report(mark, f"set twice; first at {first.line}:{first.column}", (*path, key))
            return None
        return key

    def _set_aside(self, events: Iterator[Event], path: KeyPath) -> None:
        """Read a value that will not be used, and keep no places of it."""
        kept = self._keys, self._values
        self._keys, self._values = {}, {}
        self._value(next(events), events, path)
        self._keys, self._values = kept

    def _alias(self, event: AliasEvent, mark: Mark, path: KeyPath) -> Data:
        name = str(event.anchor)
        if name in self._open:
            raise Refused(mark, f"*{name} stands inside of itself", path)
        if name not in self._anchors:
            self.report(mark, f"*{name} refers to an anchor that is not above", path)
            return None
        data, size = self._anchors[name]
        self._aliased += size
        if self._aliased > MOST_ALIASED:
            raise Refused(mark, f"aliases stand for more than {MOST_ALIASED} values; write them out", path)
        return data


def _mark(event: Event) -> Mark:
    start = event.start_mark
    return Mark(start.line + 1, start.column + 1) if start is not None else Mark(1, 1)


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_YAML_TAGS)}" if tag.startswith(_YAML_TAGS) else tag


def _resolve(text: str) -> Data:
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    return text
