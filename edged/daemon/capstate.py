"""How it stands with caps, as the capper tells others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from edged.caps.book import Method
from edged.marks import FlowClass
from edged.queueing.observed import TrafficCapabilities
from edged.ruleset.nodes import Direction


class Use(NamedTuple):
    """A lease, for `edged top`; `subscriber` is an id, or the prefix of one without a row.

    `cap` and `rate` are in bits a second, `dropped` in packets a second; None: not counted, as of whoever is policed.
    """

    subscriber: str
    plan: str | None
    flow_class: FlowClass
    direction: Direction
    method: type[Method]
    cap: int
    rate: float | None
    dropped: float | None


@dataclass(frozen=True, slots=True)
class CapState:
    """How it stands; any thread may read it."""

    active: bool = False
    able: TrafficCapabilities | None = None  # None: nobody has asked the kernel yet
    policed: Mapping[Direction, str] = field(default_factory=dict)  # why a direction's subscribers are policed, not shaped
    pools: Mapping[Direction, int] = field(default_factory=dict)
    leased: Mapping[Direction, int] = field(default_factory=dict)  # classes of the pool
    capped: Mapping[tuple[FlowClass, type[Method]], int] = field(default_factory=dict)
    uses: tuple[Use, ...] = ()
    shaped: Mapping[tuple[FlowClass, Direction], int] = field(default_factory=dict)  # bytes that leased classes sent, so far
    trouble: str = ""
