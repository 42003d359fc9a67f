"""Lists in columns (csv), by a map that says which column holds what."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from edged.sources.gather import BATCH, Gatherer
from edged.sources.lines import LONGEST_LINE, Block
from edged.sources.parsed import ListRefused, Reason
from edged.sources.showing import shown

# a quotation mark that is left open would make one record of the rest of the file
_LONGEST_RECORD = 2 * LONGEST_LINE

_MOST_COLUMNS_TOLD = 12


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """The format: a column is told by its name in the header or by its number from 1; `charset` is Python's name of it.

    Raises ValueError or LookupError for settings that no file can fit.
    """

    address: str | int
    prefix_length: str | int | None = None
    delimiter: str = ","
    charset: str = "utf-8"
    header: bool = True

    def __post_init__(self) -> None:
        codecs.getincrementaldecoder(self.charset)
        with suppress(UnicodeError):
            # raises LookupError for a codec of other things than text, but not where there is nothing to decode
            bytes(4).decode(self.charset)
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise ValueError(f"not a delimiter: {self.delimiter!r}")
        for column in (self.address, self.prefix_length):
            if isinstance(column, str) and not self.header:
                raise ValueError(f"no column is named {column!r} without a header")
            if isinstance(column, int) and column < 1:
                raise ValueError(f"columns are counted from 1: {column}")


def gather(settings: CsvFormat, blocks: Iterable[Block], gatherer: Gatherer, *, show: bool) -> None:
    """Take the entries of all records, each by the line that its record begins on. Raises ListRefused."""
    places: tuple[int, ...] | None = None if settings.header else _places(settings, None, 1, show=show)
    texts: list[str] = []
    lines: list[int] = []
    for line, record in _records(blocks, settings.delimiter):
        if isinstance(record, str):
            gatherer.refuse(line, record)
        elif places is None:
            places = _places(settings, [name.strip(" \t") for name in record], line, show=show)
        elif len(record) <= max(places):
            columns = "1 column" if len(record) == 1 else f"{len(record)} columns"
            gatherer.refuse(line, f"{columns}, where number {max(places) + 1} should be")
        else:
            texts.append("/".join(record[place].strip(" \t") for place in places))
            lines.append(line)
        if len(texts) >= BATCH:
            gatherer.add(texts, np.array(lines, np.uint32))
            texts, lines = [], []
    gatherer.add(texts, np.array(lines, np.uint32))


class _Lines:
    """Hands the csv module one line after the other, and knows which one; bounded a record."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        # not splitlines(), which also ends lines where Unicode would
        self._lines = (f"{line}\n" for block in blocks for line in block.text.removesuffix("\n").split("\n"))
        self.line = 0
        self._first = 1
        self._size = 0

    def begin_record(self) -> int:
        """The number of the line that the next record begins on."""
        self._first, self._size = self.line + 1, 0
        return self._first

    def __iter__(self) -> Iterator[str]:
        for text in self._lines:
            self.line += 1
            self._size += len(text)
            if self._size > _LONGEST_RECORD:
                size = f"more than {_LONGEST_RECORD >> 10} KiB"
                message = f"line {self._first} begins a record of {size}; is a quotation mark left open?"
                raise ListRefused(message, Reason.NOT_A_LIST, self._first)
            yield text


def _records(blocks: Iterable[Block], delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Each record that is not blank, or what is wrong with it, with the line it begins on."""
    lines = _Lines(blocks)
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    while True:
        first = lines.begin_record()
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield first, "quotation marks that do not pair"
        else:
            if record:
                yield first, record


def _places(settings: CsvFormat, header: Sequence[str] | None, line: int, *, show: bool) -> tuple[int, ...]:
    """The places of the wanted columns in a record. Raises ListRefused where the header lacks one."""
    wanted = (settings.address,) if settings.prefix_length is None else (settings.address, settings.prefix_length)
    places = []
    for column in wanted:
        if isinstance(column, int):
            places.append(column - 1)
            wrong = f"no column {column}; the header has {len(header)}" if header is not None and column > len(header) else ""
        elif header is None or column not in header:
            wrong = f"no column {column!r}{_told(column, header or (), settings.delimiter) if show else ''}"
        else:
            places.append(header.index(column))
            wrong = f"more than one column {column!r}" if header.count(column) > 1 else ""
        if wrong:
            raise ListRefused(f"line {line}: {wrong}", Reason.NOT_A_LIST, line)
    return tuple(places)


def _told(wanted: str, header: Sequence[str], delimiter: str) -> str:
    """What the header has in place of a column, and what may be wrong."""
    names = ", ".join(shown(name) for name in header[:_MOST_COLUMNS_TOLD])
    more = f" and {len(header) - _MOST_COLUMNS_TOLD} more" if len(header) > _MOST_COLUMNS_TOLD else ""
    near = get_close_matches(wanted, header, n=1, cutoff=0.6)
    if len(header) == 1 and wanted in header[0]:
        hint = f" (is the delimiter {delimiter!r}?)"
    else:
        hint = f" (did you mean {shown(near[0])}?)" if near else ""
    return f"{hint}; the header has {names}{more}"
