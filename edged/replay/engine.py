"""What replay asks of an engine: the verdict on each packet of a capture, in the order of the capture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple, Protocol

from edged.packet.layers import Decoded, Undecodable
from edged.replay.verdict import Judged


class Side(StrEnum):
    """Where a packet came from."""

    ACCESS = "access"
    UPSTREAM = "upstream"


class Arrival(NamedTuple):
    """A packet of a capture, as it comes to the gateway."""

    capture: str
    number: int  # from 1
    nanoseconds: int  # since the epoch
    data: bytes
    decoded: Decoded | Undecodable
    side: Side | None  # None where it was not decoded


class Engine(Protocol):
    """Judges captures, one after the other; the flows of one are not those of another."""

    def judge(self, arrivals: Iterable[Arrival]) -> Iterator[Judged]:
        """The verdict on each packet of one capture that was decoded, in order. Raises EdgedError."""
        ...
