"""Captures for the engine, made by hand: one packet after another, as they come to the gateway."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from edged.packet.decode import RAW, decode
from edged.packet.layers import Decoded
from edged.replay.arrival import Arrival, Side
from edged.replay.readers import open_capture
from edged.replay.sides import Sides

CORPUS = Path(os.environ.get("EDGED_CORPUS", Path(__file__).parents[4] / "shared/corpus")) / "dev/pcap"


def arrivals(side: Side, *packets: bytes, on_wire: int = 0) -> list[Arrival]:
    """A capture of these packets, all from one side."""
    found = []
    for number, packet in enumerate(packets, 1):
        decoded = decode(packet, RAW, on_wire)
        assert isinstance(decoded, Decoded)
        found.append(Arrival("made", number, number, packet, decoded, side))
    return found


def up(*packets: bytes) -> list[Arrival]:
    return arrivals(Side.ACCESS, *packets)


def down(*packets: bytes) -> list[Arrival]:
    return arrivals(Side.UPSTREAM, *packets)


def together(*captures: Iterable[Arrival]) -> list[Arrival]:
    """One capture of several, one behind the other."""
    every = [arrival for capture in captures for arrival in capture]
    return [arrival._replace(number=number) for number, arrival in enumerate(every, 1)]


def corpus() -> list[Path]:
    """The corpus' captures, the largest first; skips the test where they are not there."""
    found = sorted(CORPUS.glob("*.pcap*"), key=lambda path: -path.stat().st_size)
    if not found:
        pytest.skip(f"no captures in {CORPUS}: EDGED_CORPUS names the folder that has dev/pcap")
    return found


def read(path: Path, sides: Sides) -> Iterator[Arrival]:
    with open_capture(path) as capture:
        for record in capture:
            packet = decode(record.data, record.link, record.original_length)
            if isinstance(packet, Decoded):
                side = sides.of_sender(packet)
                yield Arrival(path.name, record.number, record.nanoseconds, record.data, packet, side)
