"""What reading a list comes to: its entries, or the reason why it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from edged.addresses import Family
from edged.errors import EdgedError, ExitCode
from edged.packed import Entries


class Reason(StrEnum):
    """Why a list is refused; a metric's label."""

    UNREADABLE = "unreadable"
    NOT_A_LIST = "not_a_list"
    BAD_LINES = "bad_lines"
    WRONG_COUNT = "wrong_count"
    EMPTY = "empty"
    SHRUNK = "shrunk"
    GROWN = "grown"
    TOO_SHORT = "too_short"
    RESERVED = "reserved"
    PROTECTED = "protected"


class ListRefused(EdgedError):
    """A list that must not take effect; `line` is the line of the list that shows why, where one does."""

    exit_code = ExitCode.REFUSED

    def __init__(self, text: str, reason: Reason, line: int | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that holds no entry and should; `message` does not repeat the line's number."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, eq=False)
class Parsed:
    """A list as it stands in its file, both families; nothing of it has been judged."""

    entries: Mapping[Family, Entries]
    count: int  # repeated ones too
    bad: tuple[BadLine, ...]  # the first ones
    bad_count: int
    sha256: str  # of the file, as it was read

    @cached_property
    def distinct(self) -> int:
        """How many different prefixes the list names."""
        return distinct(self.entries)


def distinct(entries: Mapping[Family, Entries]) -> int:
    """How many different prefixes the entries of all families are."""
    return sum(_distinct(each) for each in entries.values())


def _distinct(entries: Entries) -> int:
    addresses, lengths = entries.addresses, entries.lengths
    changes = (addresses[1:] != addresses[:-1]) | (lengths[1:] != lengths[:-1])
    return min(len(entries), 1) + int(np.count_nonzero(changes))
