"""Spamhaus DROP in JSON lines: an object with a `cidr` a line, and last an object that says how many there are.

https://www.spamhaus.org/blocklists/do-not-route-or-peer/
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edged.sources.gather import BATCH, Gatherer
from edged.sources.lines import Block
from edged.sources.parsed import ListRefused, Reason


@dataclass(frozen=True, slots=True)
class SpamhausDrop:
    """The format; it has no settings."""


def gather(blocks: Iterable[Block], gatherer: Gatherer, *, show: bool) -> None:
    """Take the entries of all lines. Raises ListRefused, also where the trailer does not fit the entries."""
    reading = _Reading(gatherer, show=show)
    for block in blocks:
        for line, text in enumerate(block.text.split("\n"), block.first):
            if text := text.strip(" \t"):
                reading.take(line, text)
        reading.hand_over()
    reading.end()


class _Reading:
    """What was read of one list so far."""

    def __init__(self, gatherer: Gatherer, *, show: bool) -> None:
        self._gatherer = gatherer
        self._show = show
        self._texts: list[str] = []
        self._lines: list[int] = []
        self._records = 0
        self._trailer: tuple[int, Any] | None = None  # its line, and how many records it says there are

    def take(self, line: int, text: str) -> None:
        found = _object(text)
        if found is not None and found.get("type") == "metadata":
            self._take_trailer(line, found)
        elif self._trailer is not None:
            raise ListRefused(f"line {line} stands after the trailer on line {self._trailer[0]}", Reason.WRONG_COUNT, line)
        else:
            self._take_entry(line, found)

    def _take_trailer(self, line: int, found: dict[str, Any]) -> None:
        if self._trailer is not None:
            raise ListRefused(f"line {line} is a second trailer; the first is line {self._trailer[0]}", Reason.WRONG_COUNT, line)
        records = found.get("records")
        if not isinstance(records, int) or isinstance(records, bool):
            raise ListRefused(f"line {line}: the trailer does not say how many records there are", Reason.WRONG_COUNT, line)
        self._trailer = line, records

    def _take_entry(self, line: int, found: dict[str, Any] | None) -> None:
        cidr = found.get("cidr") if found is not None else None
        if not self._records and not isinstance(cidr, str):
            what = "not JSON" if found is None else 'JSON without a "cidr"'
            raise ListRefused(f"line {line}: {what}; this is not a DROP list in JSON lines", Reason.NOT_A_LIST, line)
        self._records += 1
        if isinstance(cidr, str):
            self._texts.append(cidr)
            self._lines.append(line)
            if len(self._texts) >= BATCH:
                self.hand_over()
        else:
            self._gatherer.refuse(line, "not a JSON object" if found is None else 'no "cidr"')

    def hand_over(self) -> None:
        self._gatherer.add(self._texts, np.array(self._lines, np.uint32))
        self._texts, self._lines = [], []

    def end(self) -> None:
        if self._trailer is None:
            if self._records:
                raise ListRefused(
                    f"the trailer is missing after {self._records} records; the list was cut off", Reason.WRONG_COUNT
                )
            return
        line, records = self._trailer
        if records != self._records:
            said = f"{records} records" if self._show else "another number of records"
            raise ListRefused(f"line {line}: the trailer says {said}, the list has {self._records}", Reason.WRONG_COUNT, line)


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # as deep as a line is long
        return None
    return found if isinstance(found, dict) else None
