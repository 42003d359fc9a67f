"""A capture gone through twice, with lanes and without: what either way tells, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.inspect.engine import Inspector
from edged.loader import Configuration
from edged.packet.layers import Decoded
from edged.replay.arrival import Side
from edged.replay.classes import Classifier
from edged.replay.model import Model, Run
from edged.replay.report import Summary
from edged.replay.run import Replay, Take
from edged.replay.sides import SideOf, Sides
from edged.replay.verdict import Judged


@dataclass(frozen=True, slots=True)
class Told:
    """`document` is what `--json` prints, `left` the state of what judged and told classes; `slow` packets went on no lane."""

    document: dict[str, object]
    left: tuple[object, ...]
    slow: int


class Watched(Model):
    """A model whose last run stays within reach."""

    run: Run

    def begin(self) -> Run:
        self.run = super().begin()
        return self.run


def nobody(_judged: Judged) -> None:
    """Takes packets one by one, which is what ends lanes."""


def both_ways(
    configuration: Configuration, path: Path, *, classes: bool, side_of: SideOf | None = None, most_flows: int = 1000
) -> tuple[Told, Told]:
    """What is told with lanes, and without."""
    told = [_told(configuration, path, takers, classes, side_of, most_flows) for takers in ((), (nobody,))]
    return told[0], told[1]


def _told(
    configuration: Configuration, path: Path, takers: tuple[Take, ...], classes: bool, side_of: SideOf | None, most_flows: int
) -> Told:
    model = Watched(configuration.table(0), configuration.site())
    inspector = Inspector(configuration.streaming_hosts, most_flows=most_flows)
    asked = side_of or Sides(configuration.site()).of_sender
    slow = 0

    def counting(packet: Decoded) -> Side:
        nonlocal slow
        slow += 1
        return asked(packet)

    summary = Summary("model", [str(path)], ["blocklist"])
    replay = Replay(model, counting if side_of is None else side_of)
    replay.run(path, summary, takers, classifier=Classifier(inspector) if classes else None)
    connections = [
        (key, each.opened, each.deadline, each.answered, each.ends, each.mark, each.is_kept, each.from_lower)
        for key, each in model.run.connections._known.items()
    ]
    flows = [(key, each.seen, each.number, each.budget, each.decision) for key, each in inspector._flows._flows.items()]
    return Told(summary.document(), (connections, flows, inspector.counts, inspector.held), slow)
