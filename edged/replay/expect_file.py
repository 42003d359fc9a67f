"""The file of `--expect`: a YAML list, each entry of which says how many packets of a filter get which verdict.

    - {filter: tcp.dport == 25 and src in dynamic, verdict: reject, count: 12}
    - name: answers to queries pass
      filter: udp.sport == 53 and port in {1024-65535}
      verdict: accept
      count: ">= 1"

`count` is a number, a row such as 10-20, or a comparison with == < <= > >=. An entry may ask for a `policy` and a `rule`
(file:line) too; then it counts the packets alone that got the verdict from them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from edged.config.document import Document, read_document
from edged.config.problem import Finding, InvalidConfiguration, KeyPath, Problem, shown
from edged.config.scalars import Loading, Text, refuse, unexpected
from edged.config.section import Section
from edged.config.syntax import Mark
from edged.config.validate import validate, word_expected
from edged.replay.expect import Count, Expectation
from edged.replay.filter_syntax import parse
from edged.replay.filter_tokens import FilterError
from edged.replay.filter_values import POLICY_NAMES, RULE_PLACE, Names, listed
from edged.replay.filters import Filter
from edged.replay.verdict import Verdict

_COUNT = re.compile(r"(?P<sign>==|<=|>=|<|>)?\s*(?P<number>[0-9]{1,18})|(?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})")
_NO_TIMES = Loading(Path(), datetime.fromtimestamp(0, UTC))  # nothing here is relative to a folder or to the present


def _filter(value: Any) -> str:  # noqa: ANN401  whatever YAML held
    if not isinstance(value, str):
        raise unexpected("a filter such as tcp.dport == 25", value)
    return value


def _count(value: Any) -> Count:  # noqa: ANN401
    expected = "a number of packets, a row such as 10-20, or a comparison such as '>= 1'"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Count(value, value, str(value))
    found = _COUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise unexpected(expected, value)
    if found["first"]:
        first, last = int(found["first"]), int(found["last"])
        if first > last:
            raise refuse(f"the row {shown(value)} goes down; write {last}-{first}")
        return Count(first, last, f"{first}-{last}")
    number, sign = int(found["number"]), found["sign"] or "=="
    if (sign, number) == ("<", 0):
        raise refuse("there are never less than 0 packets")
    if (sign, number) == (">=", 0):
        raise refuse("there are always 0 packets or more; this would hold whatever happens")
    count = {
        "==": (number, number),
        "<": (0, number - 1),
        "<=": (0, number),
        ">": (number + 1, None),
        ">=": (number, None),
    }[sign]
    return Count(*count, str(number) if sign == "==" else f"{sign} {number}")


def _policy(value: Any) -> str:  # noqa: ANN401
    if value not in POLICY_NAMES:
        raise refuse(word_expected(listed(POLICY_NAMES), value))
    return str(value)


def _rule(value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str) or not RULE_PLACE.fullmatch(value):
        raise unexpected("a rule's place such as rules.d/20-op25b.yaml:4", value)
    return value


class _Entry(Section):
    """One expectation as it is written."""

    filter: Annotated[str, PlainValidator(_filter)] = Field(description="which packets are meant, such as tcp.dport == 25")
    verdict: Verdict = Field(description="what they must meet: accept, drop or reject")
    count: Annotated[Count, PlainValidator(_count)] = Field(description="how many of them, such as 12 or '>= 1'")
    policy: Annotated[str | None, PlainValidator(_policy)] = None
    rule: Annotated[str | None, PlainValidator(_rule)] = None
    name: Text = ""


def read_expectations(file: str, raw: bytes, names: Names) -> tuple[Expectation, ...]:
    """The expectations of a file's bytes, `file` being the name to show and `names` the pools that filters may speak of.

    Raises InvalidConfiguration with all that is wrong.
    """
    document, problems = read_document(file, raw)
    if document is None:
        raise InvalidConfiguration(problems)
    if not isinstance(document.data, list) or not document.data:
        what = "an empty file" if document.data is None else shown(document.data)
        raise InvalidConfiguration((*problems, document.problem(Finding((), f"expected a list of expectations, got {what}"))))
    lines = raw.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found, wrong = [], list(problems)
    for item in _items(document):
        entry, its_problems = validate(_Entry, item, _NO_TIMES)
        filter_, its_filters = _parsed(item, lines, names)
        wrong += [*its_problems, *its_filters]
        if entry is not None and filter_ is not None:
            found.append(_expectation(item, entry, filter_))
    if wrong:
        raise InvalidConfiguration(tuple(sorted(wrong, key=lambda each: (each.line, each.column))))
    return tuple(found)


def _items(document: Document) -> Iterator[Document]:
    """The entries of the list, each with its places as if it were a file of its own."""
    # a Document takes a key `policy` for the place of the whole; that of an entry is where it begins
    keys = _by_item({path: mark for path, mark in document.keys.items() if path[1:] != ("policy",)})
    values = _by_item(document.values)
    for number, data in enumerate(document.data if isinstance(document.data, list) else ()):
        yield Document(document.file, data, keys[number], values[number])


def _by_item(marks: Mapping[KeyPath, Mark]) -> defaultdict[str | int, dict[KeyPath, Mark]]:
    found: defaultdict[str | int, dict[KeyPath, Mark]] = defaultdict(dict)
    for path, mark in marks.items():
        if path:
            found[path[0]][path[1:]] = mark
    return found


def _parsed(item: Document, lines: list[str], names: Names) -> tuple[Filter | None, tuple[Problem, ...]]:
    """The entry's filter, read even where something else in the entry is wrong."""
    text = item.data.get("filter") if isinstance(item.data, dict) else None
    if not isinstance(text, str):
        return None, ()  # the entry's own problem
    try:
        return parse(text, names), ()
    except FilterError as error:
        mark = item.value_mark(("filter",))
        line = lines[mark.line - 1][mark.column - 1 :]
        quote = line[:1] in ("'", '"')
        if line[quote:].startswith(text):
            exact = Mark(mark.line, mark.column + quote + error.offset)
            return None, (item.problem(Finding(("filter",), error.message), exact),)
        message = f"{error.message}, at character {error.offset + 1} of the filter"
        return None, (item.problem(Finding(("filter",), message)),)


def _expectation(item: Document, entry: _Entry, parsed: Filter) -> Expectation:
    text = " ".join(entry.filter.split())
    place = item.at()
    return Expectation(place, parsed, text, entry.verdict, entry.count, entry.policy, entry.rule, entry.name)
