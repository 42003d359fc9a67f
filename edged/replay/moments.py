"""The times between which no element of a table ends: within one, a question has one answer."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from edged.replay.alike import Alike
from edged.replay.connections import NEVER, SECOND, Answer
from edged.ruleset.sets import AddressSet
from edged.ruleset.tree import Table


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in which no element of the table ends, from `begins` to before `ends` (nanoseconds), and what was answered in it."""

    number: int
    begins: int
    ends: int
    alike: Alike
    answers: dict[tuple[object, ...], Answer]


class Moments:
    """The moments of a table; captures share what was found."""

    def __init__(self, table: Table) -> None:
        self._table = table
        ranges = (each for each in table.sets if isinstance(each, AddressSet))
        self._ends = sorted({element.until for each in ranges for element in each.elements if element.until is not None})
        self._known: dict[int, Moment] = {}

    def at(self, now: int) -> Moment:
        """The moment of that time (nanoseconds since the epoch)."""
        number = bisect_right(self._ends, now // SECOND)
        moment = self._known.get(number)
        if moment is None:
            begins = self._ends[number - 1] * SECOND if number else -NEVER
            ends = self._ends[number] * SECOND if number < len(self._ends) else NEVER
            moment = self._known[number] = Moment(number, begins, ends, Alike(self._table, now // SECOND), {})
        return moment
