"""QUIC's first datagrams, of both sides: headers, protected packets, frames, and Google's before them."""

from __future__ import annotations

from edged.inspect.names.answers import Hello, NeedMore
from edged.inspect.names.quic import InitialHello, NotQuic
from edged.inspect.names.quic_frames import CryptoStream
from tests.fuzz.target import Target
from tests.unit.inspect.names.hellos import named
from tests.unit.inspect.names.initials import crypto
from tests.unit.inspect.names.test_any_bytes import FRAMES, SAMPLES


def run(data: bytes) -> None:
    """As a datagram, as two, as a server's, and as the frames that no forger can reach but by the keys."""
    reader = InitialHello()
    middle = len(data) // 2
    for datagram in (data, data[:middle], data[middle:]):
        assert isinstance(reader.take(datagram), Hello | NeedMore | NotQuic)
    reader.retry(data)
    CryptoStream().take(data)


TARGET = Target(10, run, (*SAMPLES, FRAMES, crypto(0, named())), p999=1.0)
