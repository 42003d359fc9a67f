"""What the inspector says of a flow, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from edged.inspect.sight import TrafficClass


class Decision(NamedTuple):
    """What a flow is, as far as is known.

    `traffic_class` is None for a flow of neither class. `protocol` is a detector's word, or tls, quic, http, dns; empty where
    none was recognised. `host` is the name that was seen; it is for the caller's memory, never for a log, a metric or a file
    that edged writes unasked. Where it is `final`, no later packet of the flow changes it; before that one may.
    """

    traffic_class: TrafficClass | None
    protocol: str
    host: str | None
    final: bool


UNDECIDED = Decision(None, "", None, final=True)


@dataclass(slots=True)
class Counts:
    """What became of flows; each is counted once, but for `fragments` and `refused_decryptions`, which are packets.

    - `decided`: by class; `named` are those without a class whose protocol tells that they have none.
    - `undecided`: the budget of packets was spent and nothing was recognised.
    - `over_cap`: given up for the sake of a bound: bytes, segments or seconds of one flow.
    - `overflow`: forgotten while their class was open, since there was no room.
    """

    flows: int = 0
    decided: dict[TrafficClass, int] = field(default_factory=lambda: dict.fromkeys(TrafficClass, 0))
    named: int = 0
    undecided: int = 0
    over_cap: int = 0
    overflow: int = 0
    fragments: int = 0
    refused_decryptions: int = 0
