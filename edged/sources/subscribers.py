"""The file of subscribers: `id,prefixes,plan`, a row a subscriber, prefixes of both families separated by spaces.

Blank lines and lines that begin with # are comments. The file is right as a whole or not used at all: rows that were left out
would put their subscribers on other people's numbers.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from itertools import accumulate, compress
from typing import NamedTuple

import numpy as np

from edged.addresses import Family
from edged.packed import Entries, numbers
from edged.sources.gather import BATCH, Gatherer
from edged.sources.lines import LONGEST_LINE
from edged.sources.records import BadRecord, BadText, decoded, fields, texts
from edged.sources.showing import shown
from edged.sources.spelling import written
from edged.subscribers import Rows

COLUMNS = ("id", "prefixes", "plan")

MOST_TOLD = 1_000
MOST_PLANS = 256  # a metric has a label for each; without a policy that names them, whatever stands in the column is one

_LONGEST_WORD = 64
_ID, _PREFIXES, _PLAN = range(3)
_HEADER = ",".join(COLUMNS)


class Mistake(NamedTuple):
    """What is wrong at a place of the file; both count from 1. `column_name` is one of COLUMNS, or empty."""

    line: int
    column: int
    column_name: str
    message: str


class Parsing(NamedTuple):
    """What came of the text: the rows, or mistakes in order of their places, at most MOST_TOLD, and how many more there are."""

    rows: Rows | None
    mistakes: tuple[Mistake, ...] = ()
    untold: int = 0


def parse(raw: bytes, plans: Collection[str] | None) -> Parsing:
    """Read the file's bytes; `plans` are those that a subscriber can have, None where nothing says which there are."""
    try:
        text = decoded(raw)
    except BadText as error:
        return Parsing(None, (Mistake(error.line, error.column, "", str(error)),))
    return _Reading(text.split("\n"), plans).parsing()


class _Reading:
    """One run over the lines; mistakes gather as they are met."""

    def __init__(self, lines: Sequence[str], plans: Collection[str] | None) -> None:
        self._lines = lines
        self._known_plans = plans
        self._mistakes: list[Mistake] = []
        self._untold = 0
        self._numbers: list[int] = []  # the line of each row

    def parsing(self) -> Parsing:
        """The rows, or all mistakes."""
        records = [(number, line) for number, line in enumerate(self._lines, 1) if line and line[0] != "#" and not line.isspace()]
        if not self._header(*(records[0] if records else (1, ""))):
            return self._wrong()
        ids, cells, plans = self._columns(records[1:])
        self._check_ids(ids)
        self._check_plans(plans)
        starts = array("I", [0, *accumulate(map(len, map(str.split, cells)))])
        entries = self._entries(cells, starts)
        if self._mistakes:
            return self._wrong()
        one_each = {plan: plan or None for plan in plans}  # one object a plan, not one a row
        plans_held = tuple(one_each[plan] for plan in plans)
        return Parsing(Rows(tuple(ids), plans_held, array("I", self._numbers), starts, *_in_order_of_the_file(entries)))

    def _wrong(self) -> Parsing:
        return Parsing(None, tuple(sorted(self._mistakes)), self._untold)

    def _refuse(self, line: int, column: int, column_name: str, message: str) -> None:
        if len(self._mistakes) < MOST_TOLD:
            self._mistakes.append(Mistake(line, column, column_name, message))
        else:
            self._untold += 1

    def _refuse_field(self, row: int, column: int, message: str, word: int = 0) -> None:
        """Note what is wrong with a field of a row, at the field's first word or a later one."""
        if len(self._mistakes) >= MOST_TOLD:
            self._untold += 1  # to find the place is what takes time
            return
        line = self._numbers[row]
        field = fields(self._lines[line - 1])[column]
        words = [found.start() for found in re.finditer(r"\S+", field.text)]
        self._refuse(line, field.column + (words[word] if words else 0), COLUMNS[column], message)

    # --- records ---

    def _header(self, number: int, line: str) -> bool:
        """Whether it is known which column is which, so that the rows can be judged."""
        try:
            named = fields(line)
        except BadRecord as error:
            self._refuse(number, error.column, "", f"expected the header {_HEADER}; {error}")
            return False
        wrong = [field for field, column in zip(named, COLUMNS, strict=False) if field.text != column]
        if wrong or len(named) != len(COLUMNS):
            got = shown(line) if line else "an empty file"
            self._refuse(number, wrong[0].column if wrong else 1, "", f"expected the header {_HEADER}, got {got}")
        # a misspelt name is the column's still; the name of another column in its place is not
        return len(named) == len(COLUMNS) and not any(field.text in COLUMNS for field in wrong)

    def _columns(self, records: Sequence[tuple[int, str]]) -> tuple[list[str], list[str], list[str]]:
        """The fields of all rows that have as many as there are columns, by column."""
        joined = ",".join([line for _, line in records])
        if '"' not in joined and all(line.count(",") == len(COLUMNS) - 1 and len(line) <= LONGEST_LINE for _, line in records):
            self._numbers = [number for number, _ in records]
            together = [text.strip(" \t") for text in joined.split(",")] if records else []
        else:
            together = []
            for number, line in records:
                record = self._record(number, line)
                if record is not None:
                    self._numbers.append(number)
                    together += record
        width = len(COLUMNS)
        return together[_ID::width], together[_PREFIXES::width], together[_PLAN::width]

    def _record(self, number: int, line: str) -> list[str] | None:
        if len(line) > LONGEST_LINE:
            self._refuse(number, 1, "", f"longer than {LONGEST_LINE >> 10} KiB; a subscriber has a few prefixes")
            return None
        try:
            record = texts(line)
        except BadRecord as error:
            self._refuse(number, error.column, "", str(error))
            return None
        if len(record) == len(COLUMNS):
            return record
        columns = "1 column" if len(record) == 1 else f"{len(record)} columns"
        self._refuse(number, 1, "", f"{columns}, where {_HEADER} are expected; prefixes are separated by spaces")
        return None

    # --- columns ---

    def _check_ids(self, ids: Sequence[str]) -> None:
        different = {*ids}
        if len(different) == len(ids) and "" not in different and not any(map(_no_word, ids)):
            return
        first: dict[str, int] = {}
        for row, each in enumerate(ids):
            if not each:
                self._refuse_field(row, _ID, "empty; each row names its subscriber")
            elif wrong := _no_word(each):
                self._refuse_field(row, _ID, wrong)
            elif (before := first.setdefault(each, row)) != row:
                self._refuse_field(row, _ID, f"{shown(each)} is in line {self._numbers[before]} already")

    def _check_plans(self, plans: Sequence[str]) -> None:
        named = [plan for plan in dict.fromkeys(plans) if plan]  # in the order of their first rows
        if self._known_plans is None:
            if len(named) > MOST_PLANS:
                too_many = f"more than {MOST_PLANS} different plans; is this the right column?"
                self._refuse_field(plans.index(named[MOST_PLANS]), _PLAN, too_many)
                return
            wrong = {plan: message for plan in named if (message := _no_word(plan))}
        else:
            # no more are looked for than are told: to find the nearest word is what takes time
            unknown = [plan for plan in named if plan not in self._known_plans]
            wrong = dict.fromkeys(unknown, "unknown plan")
            wrong |= {plan: _unknown_plan(plan, self._known_plans) for plan in unknown[:MOST_TOLD]}
        for row, plan in enumerate(plans) if wrong else ():
            if plan in wrong:
                self._refuse_field(row, _PLAN, wrong[plan])

    def _entries(self, cells: Sequence[str], starts: Sequence[int]) -> Mapping[Family, Entries]:
        """The prefixes of all rows, packed; in place of a line each has its number in the file."""
        for row in range(len(cells)):
            if starts[row] == starts[row + 1]:
                self._refuse_field(row, _PREFIXES, "empty; expected an address or a prefix, or more of them")
        words = " ".join(cells).split()
        gatherer = Gatherer(show=True, most_told=MOST_TOLD)
        of_ipv6 = np.fromiter((":" in word for word in words), bool, len(words))
        for which in (~of_ipv6, of_ipv6):  # a batch of one family is one pass, and rows mix them
            numbered, mine = np.flatnonzero(which).astype(np.uint32), [*compress(words, which)]
            for first in range(0, len(mine), BATCH):
                gatherer.add(mine[first : first + BATCH], numbered[first : first + BATCH])
        parsed = gatherer.parsed("")
        for bad in parsed.bad:
            self._refuse_prefix(bad.line, bad.message, starts)
        self._untold += parsed.bad_count - len(parsed.bad)
        for entries in parsed.entries.values():
            self._check_twice(entries, starts)
        return parsed.entries

    def _refuse_prefix(self, number: int, message: str, starts: Sequence[int]) -> None:
        row = bisect_right(starts, number) - 1
        self._refuse_field(row, _PREFIXES, message, number - starts[row])

    def _check_twice(self, entries: Entries, starts: Sequence[int]) -> None:
        """A prefix has one row; one within another row's is right, and the longer one wins."""
        addresses, lengths = entries.addresses, entries.lengths
        first = 0
        again = 1 + np.flatnonzero((addresses[1:] == addresses[:-1]) & (lengths[1:] == lengths[:-1]))
        for place in again.tolist():
            if lengths[first] != lengths[place] or addresses[first] != addresses[place]:
                first = place - 1
            number, before = int(entries.lines[place]), int(entries.lines[first])
            row, other = bisect_right(starts, number) - 1, bisect_right(starts, before) - 1
            where = "this row" if row == other else f"line {self._numbers[other]}"
            (network,) = numbers(entries.family, addresses[place : place + 1])
            told = written(entries.family, network, int(lengths[place]))
            self._refuse_prefix(number, f"{told} is in {where} already", starts)


def _unknown_plan(plan: str, known: Collection[str]) -> str:
    near = () if _no_word(plan) else get_close_matches(plan.lower(), known, n=1, cutoff=0.6)
    return f"unknown plan {shown(plan)}" + (f" (did you mean {near[0]!r}?)" if near else f"; known: {', '.join(known) or 'none'}")


def _no_word(text: str) -> str | None:
    """What is wrong with an id or a plan, which are shown to people and are a metric's label."""
    if len(text) > _LONGEST_WORD:
        return f"longer than {_LONGEST_WORD} characters: {shown(text)}"
    return None if text.isprintable() else f"a character that cannot be seen, in {shown(text)}"


def _in_order_of_the_file(
    entries: Mapping[Family, Entries],
) -> tuple[Sequence[Family], Sequence[int], Sequence[int], Mapping[Family, Sequence[int]]]:
    """The family, network address and length of each prefix, and each family's prefixes by address."""
    count = sum(map(len, entries.values()))
    families, networks, lengths = np.empty(count, object), np.empty(count, object), np.empty(count, np.uint8)
    for family, each in entries.items():
        families[each.lines] = family
        networks[each.lines] = [*numbers(family, each.addresses)]
        lengths[each.lines] = each.lengths
    by_address = {family: array("I", each.lines.tolist()) for family, each in entries.items()}
    return tuple(families.tolist()), tuple(networks.tolist()), lengths.tobytes(), by_address
