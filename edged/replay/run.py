"""A replay as a whole: captures through an engine, and what came of each packet to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edged.packet.decode import decode
from edged.packet.layers import Decoded
from edged.replay.arrival import Arrival
from edged.replay.engine import Engine
from edged.replay.readers import Capture, open_capture
from edged.replay.report import Summary
from edged.replay.sides import SideOf
from edged.replay.verdict import Judged

Take = Callable[[Judged], None]
_SPOKEN_EVERY = 1024  # packets; a power of two
_new = tuple.__new__


@dataclass(slots=True)
class Replay:
    """One run over captures; `damaged` tells of those that could be read in part only."""

    engine: Engine
    side_of: SideOf
    summary: Summary
    takers: Sequence[Take] = ()
    damaged: list[str] = field(default_factory=list)

    def run(self, captures: Iterable[Path], progress: Callable[[str, int], None] = lambda _name, _packets: None) -> None:
        """Judge every packet of the captures, one after the other. Raises CaptureUnreadable, EdgedError."""
        for path in captures:
            with open_capture(path) as capture:
                self._one(str(path), capture, progress)
            if capture.damage is not None:
                self.damaged.append(
                    f"{path}: {capture.damage.message}, at byte {capture.damage.offset}; what stands before was read"
                )

    def _one(self, name: str, capture: Capture, progress: Callable[[str, int], None]) -> None:
        takers, add = self.takers, self.summary.add
        for judged in self.engine.judge(self._arrivals(name, capture)):
            add(judged)
            for take in takers:
                take(judged)
            if not judged.arrival.number & _SPOKEN_EVERY - 1:
                progress(name, judged.arrival.number)

    def _arrivals(self, name: str, capture: Capture) -> Iterator[Arrival]:
        side_of = self.side_of
        for number, nanoseconds, link, _, data, on_wire in capture:
            decoded = decode(data, link, on_wire)
            if isinstance(decoded, Decoded):
                yield _new(Arrival, (name, number, nanoseconds, data, decoded, side_of(decoded), None))
            else:
                self.summary.add_unparsed(name, decoded.reason)
