"""What a scrape shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edged.daemon.capsreport import CapsView
from edged.daemon.durations import Durations
from edged.lists.book import Health
from edged.marks import FlowClass
from edged.ruleset.observed import CounterValue
from edged.ruleset.tree import Counter


@dataclass(frozen=True, slots=True)
class Figures:
    """All that a scrape shows, as of one moment."""

    version: str
    reload_successful: bool
    reload_success: float  # seconds since the epoch
    in_sync: bool
    repairs: Mapping[str, int]
    applied: Durations
    capabilities: Mapping[str, bool]
    policies: Mapping[Counter, CounterValue]
    read_errors: int
    lists: tuple[Health, ...] = ()
    held: tuple[FlowClass, ...] = ()  # the classes that are capped
    caps: CapsView = field(default_factory=CapsView)
    subscribers: Mapping[str | None, int] = field(default_factory=dict)  # rows by plan
