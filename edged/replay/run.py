"""A capture through an engine, and what came of each packet to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edged.packet.decode import decode
from edged.packet.layers import Decoded
from edged.replay.arrival import Arrival
from edged.replay.engine import Engine
from edged.replay.model import Model, Run
from edged.replay.readers import Record, open_capture
from edged.replay.report import Summary
from edged.replay.sides import ByMac, SideOf
from edged.replay.verdict import Judged

if TYPE_CHECKING:
    from edged.replay.classes import Classifier

Take = Callable[[Judged], None]
Progress = Callable[[int, float], None]  # so many packets of the capture, and how much of its file, from 0 to 1
SPOKEN_EVERY = 1024  # packets; a power of two
_new = tuple.__new__


def untold(_packets: int, _done: float) -> None:
    """Progress that nobody wants to hear of."""


class Replay(NamedTuple):
    """Who judges, and how to tell the side that a packet comes from."""

    engine: Engine
    side_of: SideOf

    def run(
        self,
        path: Path,
        summary: Summary,
        takers: Sequence[Take] = (),
        progress: Progress = untold,
        classifier: Classifier | None = None,
    ) -> str:
        """Judge every packet of a capture, and tell its class; what it ended with, if it could be read in part only.

        Raises CaptureUnreadable, EdgedError.
        """
        name, add = str(path), summary.add
        with open_capture(path) as capture:
            records: Iterable[Record] = capture
            judge, lanes = self.engine.judge, None
            if not takers and (run := self._laned(classifier)) is not None:
                from edged.replay.lanes import Lanes  # noqa: PLC0415  not where packets are wanted one by one

                lanes = Lanes(run, classifier, summary, name)
                records, judge, takers = lanes.through(capture), run.judge_at_once, (lanes.open,)
            arrivals = self._arrivals(name, records, summary)
            packets = judge(arrivals) if classifier is None else classifier.counted(judge(classifier.looked_into(arrivals)))
            for judged in packets:
                add(judged)
                for take in takers:
                    take(judged)
                if not judged.arrival.number & SPOKEN_EVERY - 1:
                    progress(judged.arrival.number, capture.done)
            if lanes is not None:
                lanes.close()
        if classifier is not None:
            for class_, flows in classifier.flows.items():
                summary.add_flows(class_, flows)
        damage = capture.damage
        return f"{name}: {damage.message}, at byte {damage.offset}; what stands before was read" if damage else ""

    def _laned(self, classifier: Classifier | None) -> Run | None:
        """A run that can have lanes: of the model, where addresses tell the sides and nobody wants each packet of a flow."""
        if (
            isinstance(self.engine, Model)
            and not isinstance(self.side_of, ByMac)
            and (classifier is None or classifier.rows is None)
        ):
            return self.engine.begin()
        return None

    def _arrivals(self, name: str, records: Iterable[Record], summary: Summary) -> Iterator[Arrival]:
        side_of = self.side_of
        for number, nanoseconds, link, _, data, on_wire in records:
            decoded = decode(data, link, on_wire)
            if isinstance(decoded, Decoded):
                yield _new(Arrival, (name, number, nanoseconds, data, decoded, side_of(decoded), None, None, None))
            else:
                summary.add_unparsed(name, decoded.reason)
