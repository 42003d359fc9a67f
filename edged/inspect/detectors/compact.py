"""Peers in their compact form (BEP 23, BEP 7): address and port, one after the other, in network byte order."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from edged.inspect.sight import Endpoint

IPV4_SIZE, IPV6_SIZE = 6, 18

_MOST = 256  # trackers give 200 at most; a datagram could hold ten thousand
_LEAST_PORT = 1024
_IPV4 = Struct("!IH")
_IPV6 = Struct("!QQH")


def ipv4_peers(packed: bytes) -> tuple[Endpoint, ...]:
    """The peers of a whole number of 6-byte entries; a rest is left aside."""
    size = min(len(packed) // IPV4_SIZE, _MOST) * IPV4_SIZE
    return usable(Endpoint(is_ipv6=False, address=address, port=port) for address, port in _IPV4.iter_unpack(packed[:size]))


def ipv6_peers(packed: bytes) -> tuple[Endpoint, ...]:
    """The peers of a whole number of 18-byte entries; a rest is left aside."""
    size = min(len(packed) // IPV6_SIZE, _MOST) * IPV6_SIZE
    return usable(
        Endpoint(is_ipv6=True, address=high << 64 | low, port=port) for high, low, port in _IPV6.iter_unpack(packed[:size])
    )


def usable(peers: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Those of the peers that may be learnt.

    Anyone may announce any endpoint. Ports below 1024 are where other services listen, so they are never learnt, and
    neither are addresses at which nobody listens.
    """
    return tuple(peer for peer in peers if peer.port >= _LEAST_PORT and _is_host(peer))


def _is_host(peer: Endpoint) -> bool:
    if peer.is_ipv6:
        return peer.address > 1 and peer.address >> 120 != 0xFF  # not ::, ::1, ff00::/8
    return 0 < peer.address >> 24 < 224 and peer.address >> 24 != 127  # not 0/8, 127/8, 224/3
