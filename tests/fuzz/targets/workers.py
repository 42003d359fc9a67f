"""What a worker that was taken over could say to its supervisor and to the other workers."""

from __future__ import annotations

from contextlib import suppress

from edged.inspect.endpoints import Endpoints
from edged.inspectors.order import Order, order_of
from edged.inspectors.peers import datagrams, endpoints
from edged.marks import MarkFields
from tests.fuzz.target import Target

_MOST = 100


def run(data: bytes) -> None:
    """Endpoints out of a datagram, which another worker learns; and an order."""
    heard = endpoints(data)
    assert endpoints(b"".join(datagrams(heard))) == heard
    known = Endpoints(most=_MOST)
    known.learn(1, heard)
    assert len(known) <= _MOST
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        order_of(data.decode(errors="replace"))


TARGET = Target(
    10,
    run,
    (
        b"\0\x1a\xe1" + bytes(12) + b"\xcb\x00\x71\x09",
        (b"\1\x1a\xe1\x20\x01\x0d\xb8" + bytes(12)) * 70,
        Order(0, 3, 4, 5, 6, MarkFields(), 1 << 28).argument().encode(),
    ),
    p999=1.0,
)
