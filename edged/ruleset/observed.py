"""What the kernel holds now, as far as edged compares it. Foreign tables are not in here: they are none of our business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from edged.addresses import Family
from edged.ruleset.sets import Element, Holds
from edged.ruleset.tree import Hook

if TYPE_CHECKING:
    from edged.packed import Keys


class Ownership(Enum):
    """Who may write to the table."""

    OPEN = "open"  # no owner flag: anyone with CAP_NET_ADMIN
    OURS = "ours"  # owner flag, and the owning socket is the one that asked
    ORPHANED = "orphaned"  # made with owner and persist, its socket is gone: the next edged adopts it
    ANOTHER = "another"  # owner flag, held by another socket


@dataclass(frozen=True, slots=True)
class ObservedChain:
    """A chain and the fingerprints of its rules, in order; a rule that is not as edged wrote it has the fingerprint "".

    `notes` are those that edged wrote with its rules (tree.Rule.note), by name.
    """

    name: str
    hook: Hook | None
    fingerprints: tuple[str, ...]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObservedSet:
    """A set and its elements; `expiring` is the kernel's timeout flag. Elements carry the `until` they were written with."""

    name: str
    family: Family | None  # None: not a set that edged would make
    expiring: bool
    elements: frozenset[Element]


@dataclass(frozen=True, slots=True)
class ObservedPrefixSet:
    """A set of network addresses. Its content is never read back: that takes seconds for a million.

    `content` is the digest of what edged put there, as the rules that look it up note it, "" where none does; `count` how many
    elements there are, where the kernel tells (NFTA_SET_COUNT); `keys` the content itself, where this process put it there.
    """

    name: str
    family: Family
    size: int
    content: str = ""
    count: int | None = None
    keys: Keys | None = None


@dataclass(frozen=True, slots=True)
class ObservedLiveSet:
    """A set or map that others fill (sets.LiveSet); what is in it is not read."""

    name: str
    family: Family
    holds: Holds
    size: int


AnyObservedSet = ObservedSet | ObservedPrefixSet | ObservedLiveSet


@dataclass(frozen=True, slots=True)
class CounterValue:
    """What a counter has counted: packets, and bytes of layer 3."""

    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class ObservedTable:
    """Our table as it stands in the kernel."""

    ownership: Ownership
    chains: Mapping[str, ObservedChain] = field(default_factory=dict)
    sets: Mapping[str, AnyObservedSet] = field(default_factory=dict)
    counters: Mapping[str, CounterValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """The kernel's generation id and our table at that generation; None where there is no such table."""

    generation: int
    table: ObservedTable | None
