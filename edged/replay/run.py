"""A capture through an engine, and what came of each packet to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edged.packet.decode import decode
from edged.packet.layers import Decoded
from edged.replay.arrival import Arrival
from edged.replay.engine import Engine
from edged.replay.readers import Capture, open_capture
from edged.replay.report import Summary
from edged.replay.sides import SideOf
from edged.replay.verdict import Judged

if TYPE_CHECKING:
    from edged.replay.classes import Classifier

Take = Callable[[Judged], None]
Progress = Callable[[int, float], None]  # so many packets of the capture, and how much of its file, from 0 to 1
_SPOKEN_EVERY = 1024  # packets; a power of two
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
            packets = self.engine.judge(self._arrivals(name, capture, summary))
            for judged in packets if classifier is None else classifier.classed(packets):
                add(judged)
                for take in takers:
                    take(judged)
                if not judged.arrival.number & _SPOKEN_EVERY - 1:
                    progress(judged.arrival.number, capture.done)
        if classifier is not None:
            for class_, flows in classifier.flows.items():
                summary.add_flows(class_, flows)
        damage = capture.damage
        return f"{name}: {damage.message}, at byte {damage.offset}; what stands before was read" if damage else ""

    def _arrivals(self, name: str, capture: Capture, summary: Summary) -> Iterator[Arrival]:
        side_of = self.side_of
        for number, nanoseconds, link, _, data, on_wire in capture:
            decoded = decode(data, link, on_wire)
            if isinstance(decoded, Decoded):
                yield _new(Arrival, (name, number, nanoseconds, data, decoded, side_of(decoded), None))
            else:
                summary.add_unparsed(name, decoded.reason)
