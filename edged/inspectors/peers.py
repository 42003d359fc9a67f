"""Endpoints between workers, in datagrams: what one learns, all may know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct

from edged.inspect.sight import Endpoint

_ENDPOINT = Struct("!BH16s")
_MOST = 64
LARGEST = _MOST * _ENDPOINT.size


def datagrams(peers: Sequence[Endpoint]) -> Iterator[bytes]:
    """The endpoints, 64 at most in each; none is empty, for that is how the other end is seen to be closed."""
    for start in range(0, len(peers), _MOST):
        yield b"".join(
            _ENDPOINT.pack(peer.is_ipv6, peer.port, peer.address.to_bytes(16, "big")) for peer in peers[start : start + _MOST]
        )


def endpoints(datagram: bytes) -> tuple[Endpoint, ...]:
    """Those of one datagram; what is torn has none."""
    if len(datagram) % _ENDPOINT.size:
        return ()
    return tuple(
        Endpoint(bool(is_ipv6), int.from_bytes(address, "big"), port)
        for is_ipv6, port, address in _ENDPOINT.iter_unpack(datagram)
    )
