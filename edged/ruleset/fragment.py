"""What a policy hands to the compiler: its sets, counters and chains, and the points where packets enter them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edged.ruleset.sets import AnySet
from edged.ruleset.tree import Chain, Counter, Rule


class Point(Enum):
    """Where in a forwarded packet's way a policy looks; the members stand in the order a packet passes them."""

    FROM_ACCESS = "from_access"  # came in by an access interface
    FROM_UPSTREAM = "from_upstream"  # came in by an upstream interface
    TO_UPSTREAM = "to_upstream"  # goes out by an upstream interface
    ANYWHERE = "anywhere"  # every forwarded packet


@dataclass(frozen=True, slots=True)
class Entry:
    """Rules that a policy places at a point."""

    point: Point
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Fragment:
    """All that one policy declares. Counters are collected from the rules, so they are not named again here."""

    sets: tuple[AnySet, ...] = ()
    chains: tuple[Chain, ...] = ()
    entries: tuple[Entry, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule of the fragment."""
        return tuple(rule for chain in self.chains for rule in chain.rules) + tuple(
            rule for entry in self.entries for rule in entry.rules
        )

    @property
    def counters(self) -> tuple[Counter, ...]:
        """The counters that the fragment's rules count in, each once."""
        return tuple(dict.fromkeys(rule.count for rule in self.rules if rule.count is not None))
