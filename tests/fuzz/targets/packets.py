"""Frames of every link type, through tunnels: what any subscriber or any host on the Internet can send."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.unit.packet.test_fuzz import FRAMES, LINKS, answered


def run(data: bytes) -> None:
    """The first byte chooses the link type."""
    if data:
        answered(data[1:], LINKS[data[0] % len(LINKS)])


TARGET = Target(10, run, tuple(bytes([LINKS.index(link)]) + frame for link, frame in FRAMES), p999=1.0)
