"""BitTorrent: the handshake of the peer protocol (BEP 3), over TCP, and Local Service Discovery (BEP 14)."""

from __future__ import annotations

import re

from edged.inspect.detectors.compact import usable
from edged.inspect.sight import Detector, Endpoint, Found, Sight, TrafficClass
from edged.transport import Transport

_HANDSHAKE = b"\x13BitTorrent protocol"
_SEARCH = b"BT-SEARCH * HTTP/1."
_PORT = re.compile(rb"\r\nport: ?(\d{1,5})\r\n", re.IGNORECASE)
_LONGEST_SEARCH = 1400  # BEP 14: it should fit into a packet


def _peer_protocol(sight: Sight) -> Found | None:
    if not sight.payload.startswith(_HANDSHAKE):
        return None
    listens = sight.destination if sight.from_client else sight.source
    return Found("bittorrent", TrafficClass.P2P, usable((listens,)))


def _local_discovery(sight: Sight) -> Found | None:
    if not sight.payload.startswith(_SEARCH) or b"\r\nInfohash: " not in sight.payload[:_LONGEST_SEARCH]:
        return None
    port = _PORT.search(sight.payload, 0, _LONGEST_SEARCH)
    said = (Endpoint(sight.source.is_ipv6, sight.source.address, int(port[1])),) if port and int(port[1]) <= 0xFFFF else ()
    return Found("bittorrent-lsd", TrafficClass.P2P, usable(said))


DETECTORS: tuple[Detector, ...] = (
    Detector("bittorrent", Transport.TCP, _HANDSHAKE[:1], _peer_protocol),
    Detector("bittorrent-lsd", Transport.UDP, b"B", _local_discovery),
)
