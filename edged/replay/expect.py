"""Expectations: how many packets of a capture must meet which verdict, held against what was judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from edged.origin import Origin
from edged.replay.filter_predicate import predicate
from edged.replay.filters import Filter
from edged.replay.verdict import Judged, Verdict


class Count(NamedTuple):
    """How many packets are wanted: from `first` to `last` (None: no upper end); `text` is how the file says it."""

    first: int
    last: int | None
    text: str

    def __contains__(self, packets: object) -> bool:
        return isinstance(packets, int) and self.first <= packets and (self.last is None or packets <= self.last)


@dataclass(frozen=True, slots=True)
class Expectation:
    """That so many packets of a filter get a verdict: from that policy and by that rule (file:line), where they are given.

    `filter_text` is the filter on one line, `place` where the expectation stands.
    """

    place: Origin
    filter: Filter
    filter_text: str
    verdict: Verdict
    count: Count
    policy: str | None = None
    rule: str | None = None
    name: str = ""

    @property
    def title(self) -> str:
        """What people call it: its name, or what it asks for."""
        return self.name or f"{self.filter_text}: {self.wanted}"

    @property
    def wanted(self) -> str:
        """What it asks for, such as `12 reject by op25b`."""
        return " ".join((self.count.text, _judgement(self.verdict, self.policy, self.rule)))

    def meant(self, seen: Seen) -> bool:
        """Whether packets that met this are those it counts."""
        return seen.verdict is self.verdict and self.policy in (None, seen.policy) and self.rule in (None, seen.rule)


class Seen(NamedTuple):
    """Packets of an expectation's filter that met the same."""

    verdict: Verdict
    policy: str | None
    rule: str | None
    packets: int

    def __str__(self) -> str:
        return f"{self.packets} {_judgement(self.verdict, self.policy, self.rule)}"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an expectation; `seen` is all that its filter matched, the most frequent first."""

    expectation: Expectation
    seen: tuple[Seen, ...]

    @property
    def packets(self) -> int:
        """The packets that the expectation counts."""
        return sum(each.packets for each in self.seen if self.expectation.meant(each))

    @property
    def held(self) -> bool:
        """Whether there were as many as wanted."""
        return self.packets in self.expectation.count

    @property
    def told(self) -> str:
        """What was wanted and what was seen, in words."""
        wanted = f"wanted {self.expectation.wanted}, got {self.packets}"
        if not self.seen:
            return f"{wanted}; no packet matches {self.expectation.filter_text}"
        matched = sum(each.packets for each in self.seen)
        return f"{wanted}; {self.expectation.filter_text} matches {matched}: {', '.join(map(str, self.seen))}"

    def __str__(self) -> str:
        name = f"{self.expectation.name}: " if self.expectation.name else ""
        return f"{self.expectation.place}: {name}{self.told}"


class Counts(Counter[tuple[Verdict, str | None, str | None]]):
    """Packets by verdict, policy and rule."""


class Expectations:
    """Counts for every expectation what its filter matches; the memory it takes does not grow with the packets."""

    def __init__(self, expectations: Iterable[Expectation]) -> None:
        self._counted = tuple((each, predicate(each.filter), Counts()) for each in expectations)

    def feed(self, judged: Judged) -> None:
        """Count a packet."""
        for _, matches, counts in self._counted:
            if matches(judged):
                counts[judged.judgement[:3]] += 1

    def include(self, counts: Iterable[Counts]) -> None:
        """Count what was counted of the same expectations elsewhere."""
        for (_, _, own), other in zip(self._counted, counts, strict=True):
            own.update(other)

    @property
    def all(self) -> tuple[Expectation, ...]:
        """The expectations, in the order of the file."""
        return tuple(each for each, _, _ in self._counted)

    @property
    def counts(self) -> tuple[Counts, ...]:
        """What was counted, in the order of the file."""
        return tuple(counts for _, _, counts in self._counted)

    def results(self) -> tuple[Result, ...]:
        """What came of each expectation, in the order of the file."""
        return tuple(Result(each, _sorted(counts)) for each, _, counts in self._counted)


def _sorted(counts: Counts) -> tuple[Seen, ...]:
    found = (Seen(*judgement, packets) for judgement, packets in counts.items())
    return tuple(sorted(found, key=lambda each: (-each.packets, each.verdict, each.policy or "", each.rule or "")))


def _judgement(verdict: Verdict, policy: str | None, rule: str | None) -> str:
    by = f" by {policy}" if policy else ""
    return f"{verdict}{by}{f' ({rule})' if rule else ''}"
