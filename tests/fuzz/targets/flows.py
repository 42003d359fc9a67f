"""Whole flows through the inspector: every detector, on TCP and on UDP, from both sides."""

from __future__ import annotations

from edged.inspect.engine import Inspector
from edged.sources.hosts import Hosts
from tests.fuzz.target import Target
from tests.unit.inspect.detectors import p2p_flows
from tests.unit.inspect.names.test_any_bytes import SAMPLES
from tests.unit.inspect.wire import CLIENT, SERVER, Wire, opened

_HOSTS = Hosts(frozenset({"video.example"}))
_SEEDS = tuple(value for value in vars(p2p_flows).values() if isinstance(value, bytes))


def run(data: bytes) -> None:
    """The first byte chooses the transport and the ports; what follows is said in pieces, by turns."""
    if len(data) < 2:
        return
    port = (SERVER[1], 53, 80, 6881, 4672, 6346)[data[0] % 6]
    server, said = (SERVER[0], port), data[2:]
    size = data[1] or len(said) or 1
    pieces = [said[at : at + size] for at in range(0, len(said), size)][:20]
    inspector = Inspector(_HOSTS)
    if data[0] & 0x80:
        wire = Wire(inspector, CLIENT, server)
        for number, piece in enumerate(pieces):
            wire.udp(piece, number & 1)
    else:
        wire = opened(inspector, CLIENT, server)
        for number, piece in enumerate(pieces):
            wire.say(piece, number & 1)
    assert len(inspector) <= 1


TARGET = Target(10, run, tuple(bytes([first, 0]) + each for each in (*SAMPLES, *_SEEDS) for first in (0, 0x80)))
