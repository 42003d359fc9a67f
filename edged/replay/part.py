"""What is told of captures, a capture at a time: that is what can be spread over processes and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from edged.replay.report import Summary
from edged.replay.run import Progress, Replay, Take, untold

if TYPE_CHECKING:
    from edged.replay.classes import Classifier
    from edged.replay.expect import Counts, Expectation
    from edged.replay.flows import Flows
    from edged.replay.writers import FlowRow
    from edged.sources.hosts import Hosts


class Looking(NamedTuple):
    """What flows are is to be told: `hosts` are streaming services, and with `rows` there is a row for each flow."""

    hosts: Hosts
    rows: bool


class Part(NamedTuple):
    """What came of one capture.

    `damage` says why it could be read in part only, and is empty where it was read to its end. `counts` stand in the order of the
    expectations; `rows` are empty where no flows were wanted.
    """

    summary: Summary
    damage: str
    counts: tuple[Counts, ...]
    rows: tuple[FlowRow, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """How to replay a capture, and what to tell of it besides the counts."""

    replay: Replay
    in_force: Sequence[str]
    expectations: tuple[Expectation, ...] = ()
    looking: Looking | None = None

    def part(self, place: int, path: Path, packets: Path | None = None, progress: Progress = untold) -> Part:
        """The part of the capture that is at that place among those given; its packets' verdicts are put behind that file's end.

        Raises CaptureUnreadable, EdgedError.
        """
        summary = Summary("", [str(path)], self.in_force)
        takers: list[Take] = []
        with ExitStack() as opened:
            if packets is not None:
                from edged.replay.writers import PacketsWriter  # noqa: PLC0415  each is imported where it is asked for

                takers.append(PacketsWriter(opened.enter_context(appended(packets))).write)
            if self.expectations:
                from edged.replay.expect import Expectations  # noqa: PLC0415

                expectations = Expectations(self.expectations)
                takers.append(expectations.feed)
            flows, classifier = self._classifier(place, path.name)
            damage = self.replay.run(path, summary, takers, progress, classifier)
        counts = expectations.counts if self.expectations else ()
        return Part(summary, damage, counts, tuple(flows.rows()) if flows is not None else ())

    def _classifier(self, place: int, name: str) -> tuple[Flows | None, Classifier | None]:
        """Who tells what the flows of that capture are, and who collects them; neither where nobody wants to know."""
        if self.looking is None:
            return None, None
        from edged.inspect.engine import Inspector  # noqa: PLC0415
        from edged.replay.classes import Classifier  # noqa: PLC0415
        from edged.replay.flows import Flows  # noqa: PLC0415

        flows = Flows(place, name) if self.looking.rows else None
        return flows, Classifier(Inspector(self.looking.hosts), flows)


def appended(path: Path) -> TextIO:
    """The file, to write behind its end; names of captures are given back byte for byte."""
    return path.open("a", encoding="utf-8", errors="surrogateescape", newline="")
