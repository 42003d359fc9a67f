"""Lists in every format, gzipped or not, shown or confidential: what a publisher's server sends."""

from __future__ import annotations

import gzip
import io

from edged.sources.formats import CsvFormat, Format, Plain, SpamhausDrop, parse
from edged.sources.parsed import ListRefused, Parsed
from tests.broken_lists.cases import broken_lists, odd_lists
from tests.fuzz.target import Target

_FORMATS: tuple[Format, ...] = (
    Plain(),
    SpamhausDrop(),
    CsvFormat("address"),
    CsvFormat(1, 2, ";", "utf-16", header=False),
    CsvFormat(1, None, "\t", "iso-2022-jp", header=False),
)
_LARGEST = 1 << 20
_LONGEST = 2000  # bytes of a seed


def run(data: bytes) -> None:
    """The first byte chooses the format."""
    if not data:
        return
    for show in (True, False):
        try:
            found = parse(_FORMATS[data[0] % len(_FORMATS)], io.BytesIO(data[1:]), show=show, largest=_LARGEST)
        except ListRefused:
            continue
        assert isinstance(found, Parsed)
        assert found.count == sum(map(len, found.entries.values()))


def _texts() -> tuple[bytes, ...]:
    made = []
    for case in (*broken_lists(), *odd_lists()):
        with case.open() as file:
            made.append(file.read(_LONGEST))
    return tuple(made)


_TEXTS = _texts()
_SEEDS = (*_TEXTS, *(gzip.compress(each) for each in _TEXTS[:5]))
TARGET = Target(11, run, tuple(bytes([number % len(_FORMATS)]) + each for number, each in enumerate(_SEEDS)))
