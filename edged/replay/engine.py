"""What replay asks of an engine: the verdict on each packet of a capture, in the order of the capture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from edged.replay.arrival import Arrival
from edged.replay.verdict import Judged


class Engine(Protocol):
    """Judges captures, one after the other; the flows of one are not those of another."""

    def judge(self, arrivals: Iterable[Arrival]) -> Iterator[Judged]:
        """The verdict on each packet of one capture, in order. Raises EdgedError."""
        ...
