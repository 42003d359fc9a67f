"""A replay as a whole: captures through an engine, and what came of each packet to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edged.packet.decode import decode
from edged.packet.layers import Decoded
from edged.replay.engine import Arrival, Engine, Side
from edged.replay.readers import Capture, open_capture
from edged.replay.report import Summary
from edged.replay.sides import Sides
from edged.replay.verdict import Judged

Take = Callable[[Judged, Arrival], None]
_SPOKEN_EVERY = 1024  # packets


@dataclass(frozen=True, slots=True)
class Origins:
    """How to tell the side that a packet comes from: by one side for all, by the access side's MACs, or by the pools."""

    sides: Sides
    every: Side | None = None
    access_macs: frozenset[int] = frozenset()

    def of(self, packet: Decoded) -> Side:
        """The side of a packet."""
        if self.every is not None:
            return self.every
        if self.access_macs:
            return Side.ACCESS if packet.before.source_mac in self.access_macs else Side.UPSTREAM
        return self.sides.of(packet.family, packet.source)


@dataclass(slots=True)
class Replay:
    """One run over captures; `damaged` tells of those that could be read in part only."""

    engine: Engine
    origins: Origins
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
        waiting: list[Arrival] = []  # judged in order, some behind others
        taken = 0
        takers = self.takers
        for judged in self.engine.judge(self._arrivals(name, capture, waiting if takers else None)):
            self.summary.add(judged)
            if takers:
                arrival = waiting[taken]
                taken += 1
                if taken > _SPOKEN_EVERY:
                    del waiting[:taken]
                    taken = 0
                for take in takers:
                    take(judged, arrival)
            if not judged.number % _SPOKEN_EVERY:
                progress(name, judged.number)

    def _arrivals(self, name: str, capture: Capture, waiting: list[Arrival] | None) -> Iterator[Arrival]:
        for record in capture:
            decoded = decode(record.data, record.link, record.original_length)
            if not isinstance(decoded, Decoded):
                self.summary.add_unparsed(name, decoded.reason)
                continue
            arrival = Arrival(name, record.number, record.nanoseconds, record.data, decoded, self.origins.of(decoded))
            if waiting is not None:
                waiting.append(arrival)
            yield arrival
