"""Drift: what others did to the table since edged last left it. Pure.

Not all that differs is drift. Elements with an end leave by themselves, and the policy itself changes as exemptions run out;
only what somebody did to our table is counted, and it is counted by one of few reasons, since they become a metric's label.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, assert_never

from edged.ruleset.diff import diff
from edged.ruleset.observed import Observed
from edged.ruleset.plan import (
    AddChain,
    AddCounter,
    AddElements,
    AddKeys,
    AddSet,
    AdoptTable,
    CreateTable,
    Desired,
    DestroyTable,
    FillChain,
    RemoveChain,
    RemoveCounter,
    RemoveElements,
    RemoveKeys,
    RemoveSet,
    Step,
    VoidGeneration,
    describe,
)

# the kernel counts in jiffies and whole elements leave in its own time, so an end is seen a little early or late
_EARLY = 2.0

_EVENTS_KEPT = 64
_REPAIRS_KEPT = 10


class Reason(Enum):
    """What became of the table, the gravest thing first; the value is the metric's label."""

    TABLE_REMOVED = "table_removed"
    TABLE_REPLACED = "table_replaced"  # another table of our name, or one that nobody holds any more
    RULES_CHANGED = "rules_changed"
    SETS_CHANGED = "sets_changed"
    COUNTERS_CHANGED = "counters_changed"


@dataclass(frozen=True, slots=True)
class Drift:
    """A foreign change: its gravest part, and each repair it needs as a line for people."""

    reason: Reason
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Process:
    """The process behind a commit, as the kernel's event names it."""

    name: str
    pid: int

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else self.name


UNKNOWN = Process("unknown", 0)


class Repair(NamedTuple):
    """A foreign change that was put right: when (seconds since the epoch), by which reason counted, whose, and what was done."""

    at: float
    reason: str
    process: Process
    what: tuple[str, ...]


def remembered(recent: tuple[Repair, ...], repair: Repair) -> tuple[Repair, ...]:
    """The newest repairs, this one first."""
    return (repair, *recent)[:_REPAIRS_KEPT]


def drift(left: Desired, observed: Observed, now: float) -> Drift | None:
    """What others changed since edged left the table as `left`; None where that is nothing. Raises TableHeld as diff does."""
    steps = tuple(step for step in diff(left, observed).steps if not _ran_out(step, now))
    if not steps:
        return None
    # an absent table is remade by many steps; one of them tells it
    reason = Reason.TABLE_REMOVED if observed.table is None else min(map(_reason, steps), key=list(Reason).index)
    what = steps[:1] if reason in {Reason.TABLE_REMOVED, Reason.TABLE_REPLACED} else steps
    return Drift(reason, tuple(map(describe, what)))


def _ran_out(step: Step, now: float) -> bool:
    return isinstance(step, AddElements) and all(
        element.until is not None and element.until <= now + _EARLY for element in step.elements
    )


def _reason(step: Step) -> Reason:
    match step:
        case CreateTable() | AdoptTable() | DestroyTable():
            return Reason.TABLE_REPLACED
        case AddChain() | FillChain() | RemoveChain() | VoidGeneration():
            return Reason.RULES_CHANGED
        case AddSet() | AddElements() | RemoveElements() | AddKeys() | RemoveKeys() | RemoveSet():
            return Reason.SETS_CHANGED
        case AddCounter() | RemoveCounter():
            return Reason.COUNTERS_CHANGED
        case _:
            assert_never(step)


class Suspects:
    """Who changed our table in which generation, as far as events tell; the event loop notes it, the writer thread asks."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Process]] = deque(maxlen=_EVENTS_KEPT)  # its appends are atomic

    def note(self, generation: int, process: Process) -> None:
        """An event said that this process made this generation."""
        self._seen.append((generation, process))

    def between(self, before: int, until: int) -> Process:
        """The last process that changed it after generation `before` and not after `until`."""
        return _last(process for generation, process in tuple(self._seen) if before < generation <= until)


def _last(processes: Iterable[Process]) -> Process:
    found = UNKNOWN
    for process in processes:
        found = process
    return found
