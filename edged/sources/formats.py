"""The formats of lists, and one way to read them all."""

from __future__ import annotations

from typing import BinaryIO, TypeAlias, assert_never

from edged.sources import columns, plain, spamhaus_drop
from edged.sources.columns import CsvFormat
from edged.sources.gather import Gatherer
from edged.sources.lines import blocks
from edged.sources.parsed import Parsed
from edged.sources.plain import Plain
from edged.sources.spamhaus_drop import SpamhausDrop
from edged.sources.unpack import LARGEST, Unpacked

__all__ = ["CsvFormat", "Format", "Plain", "SpamhausDrop", "parse"]

Format: TypeAlias = Plain | SpamhausDrop | CsvFormat

# lines are numbered in 32 bits, and no file has more lines than bytes
_MOST = (1 << 32) - 2


def parse(format: Format, file: BinaryIO, *, show: bool, largest: int = LARGEST) -> Parsed:  # noqa: A002  the field's word
    """What stands in a list's file, gzipped or not, of at most `largest` bytes, packed and unpacked.

    Without `show` no message says anything of the file but a line's number and the kind of mistake. Raises ListRefused.
    """
    unpacked = Unpacked(file, min(largest, _MOST))
    gatherer = Gatherer(show=show)
    match format:
        case Plain():
            plain.gather(blocks(unpacked.chunks(), "utf-8"), gatherer)
        case SpamhausDrop():
            spamhaus_drop.gather(blocks(unpacked.chunks(), "utf-8"), gatherer, show=show)
        case CsvFormat():
            columns.gather(format, blocks(unpacked.chunks(), format.charset), gatherer, show=show)
        case _:
            assert_never(format)
    return gatherer.parsed(unpacked.sha256)
