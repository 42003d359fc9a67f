"""The BitTorrent DHT (BEP 5): bencoded queries, replies and errors over UDP.

Bencoding sorts keys, so what stands before a node's identifier is known: the requester's address (BEP 42), the dictionary of
arguments or of return values, and in that `cas` (BEP 44) or the filters of a scrape (BEP 33).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edged.inspect.detectors.compact import IPV4_SIZE, IPV6_SIZE, ipv4_peers, ipv6_peers, usable
from edged.inspect.sight import Detector, Endpoint, Found, Sight, TrafficClass
from edged.transport import Transport

_MESSAGE = re.compile(
    rb"d(?:2:ip(?:6:.{6}|18:.{18}))?"
    rb"1:(?:ad(?:3:casi\d{1,19}e)?|rd(?:4:BFpe256:.{256})?(?:4:BFsd256:.{256})?)"
    rb"2:id20:.{20}",
    re.DOTALL,
)
_ERROR = re.compile(rb"d1:eli20\de\d{1,3}:.{0,255}?e(?:2:ip(?:6:.{6}|18:.{18}))?1:t\d{1,2}:.{1,32}?1:y1:ee\Z", re.DOTALL)
_ANNOUNCED = re.compile(
    rb"(?P<implied>12:implied_porti1e)?(?:9:info_hash20:.{20})(?:4:name\d+:.{0,255}?)?4:porti(?P<port>\d{1,5})e", re.DOTALL
)
_MOST_VALUES = 256

_FOUND = Found("bittorrent-dht", TrafficClass.P2P, names_more=True)


def _dht(sight: Sight) -> Found | None:
    payload = sight.payload
    if not _MESSAGE.match(payload) and not _ERROR.match(payload):
        return None
    peers = (*usable(_announced(sight)), *_values(payload))
    return _FOUND._replace(peers=peers) if peers else _FOUND


def _announced(sight: Sight) -> tuple[Endpoint, ...]:
    """Where an announce_peer query says that its sender listens (BEP 5: at the datagram's own port where that is implied)."""
    if b"1:q13:announce_peer" not in sight.payload or (said := _ANNOUNCED.search(sight.payload)) is None:
        return ()
    port = sight.source.port if said["implied"] else int(said["port"])
    return (Endpoint(sight.source.is_ipv6, sight.source.address, port),) if port <= 0xFFFF else ()


def _values(payload: bytes) -> Iterator[Endpoint]:
    """The peers in a reply to get_peers: a list of compact peers, each a string of its own."""
    at = payload.find(b"6:valuesl")
    if at < 0:
        return
    at += len(b"6:valuesl")
    for _ in range(_MOST_VALUES):
        if payload.startswith(b"6:", at):
            yield from ipv4_peers(payload[at + 2 : at + 2 + IPV4_SIZE])
            at += 2 + IPV4_SIZE
        elif payload.startswith(b"18:", at):
            yield from ipv6_peers(payload[at + 3 : at + 3 + IPV6_SIZE])
            at += 3 + IPV6_SIZE
        else:
            return


DETECTORS: tuple[Detector, ...] = (Detector("bittorrent-dht", Transport.UDP, b"d", _dht),)
