"""A capture gone through twice, with lanes and without: what either way tells, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.inspect.engine import Inspector
from edged.inspect.flows import MOST_FLOWS
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


class BothWays:
    """Goes through captures by the policies of a configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._model = Watched(configuration.table(0), configuration.site())
        self._of_sender = Sides(configuration.site()).of_sender
        self._hosts = configuration.streaming_hosts

    def told(
        self, path: Path, *, classes: bool, side_of: SideOf | None = None, most_flows: int = MOST_FLOWS
    ) -> tuple[Told, Told]:
        """What is told with lanes, and without."""
        by_lanes, slowly = (self._told(path, takers, classes, side_of, most_flows) for takers in ((), (nobody,)))
        return by_lanes, slowly

    def _told(self, path: Path, takers: tuple[Take, ...], classes: bool, side_of: SideOf | None, most_flows: int) -> Told:
        inspector = Inspector(self._hosts, most_flows=most_flows)
        slow = 0

        def counting(packet: Decoded) -> Side:
            nonlocal slow
            slow += 1
            return self._of_sender(packet)

        summary = Summary("model", [str(path)], ["blocklist"])
        replay = Replay(self._model, counting if side_of is None else side_of)
        replay.run(path, summary, takers, classifier=Classifier(inspector) if classes else None)
        connections = [
            (key, each.opened, each.deadline, each.answered, each.ends, each.mark, each.is_kept, each.from_lower)
            for key, each in self._model.run.connections._known.items()
        ]
        flows = [(key, each.seen, each.number, each.budget, each.decision) for key, each in inspector._flows._flows.items()]
        return Told(summary.document(), (connections, flows, inspector.counts, inspector.held), slow)
