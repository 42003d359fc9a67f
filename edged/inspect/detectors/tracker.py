"""BitTorrent trackers: over UDP (BEP 15) and over HTTP (BEP 3, BEP 23), and the peers in their answers."""

from __future__ import annotations

import re

from edged.inspect.detectors.compact import ipv4_peers, ipv6_peers
from edged.inspect.detectors.inflate import inflated
from edged.inspect.sight import Detector, Endpoint, Found, Sight, TrafficClass
from edged.transport import Transport

_CONNECT_MAGIC = bytes.fromhex("00000417 27101980")
_CONNECT, _ANNOUNCE = bytes(4), b"\0\0\0\1"
_CONNECTION, _ANNOUNCE_REQUEST, _ANNOUNCE_ANSWER = 16, 98, 20  # bytes, of the last two at least

_REQUEST = re.compile(rb"GET [^ \r\n]{0,1024}?[?&]info_hash=(?:%[0-9A-Fa-f]{2}|[^%& \r\n]){20}[& ]")
_PEERS = re.compile(rb"5:peers(\d{1,5}):")
_PEERS6 = re.compile(rb"6:peers6(\d{1,5}):")
_GZIP = b"\x1f\x8b"
_LONGEST_LINE = 1400

_UDP = Found("bittorrent-tracker", TrafficClass.P2P, names_more=True)
_HTTP = Found("bittorrent-http-tracker", TrafficClass.P2P, names_more=True)


def _udp(sight: Sight) -> Found | None:
    payload, other = sight.payload, sight.other
    if payload[1:2] != b"\0":
        return None
    if payload[:8] == _CONNECT_MAGIC:
        return _UDP if len(payload) >= _CONNECTION and payload[8:12] == _CONNECT else None
    if payload[4:8] != other[12:16] or payload[:4] != other[8:12]:  # an answer repeats action and transaction
        return None
    if payload[:4] == _CONNECT:
        return _UDP if len(payload) == _CONNECTION and other[:8] == _CONNECT_MAGIC else None
    if payload[:4] != _ANNOUNCE or len(payload) < _ANNOUNCE_ANSWER or len(other) < _ANNOUNCE_REQUEST:
        return None
    packed = payload[_ANNOUNCE_ANSWER:]
    # BEP 15: the family of the datagrams tells the size of the entries
    return _UDP._replace(peers=ipv6_peers(packed) if sight.source.is_ipv6 else ipv4_peers(packed))


def _http_request(sight: Sight) -> Found | None:
    return _HTTP if _asks(sight.payload) else None


def _http_answer(sight: Sight) -> Found | None:
    if not sight.payload.startswith(b"HTTP/1.") or not _asks(sight.other):
        return None
    body = sight.payload.partition(b"\r\n\r\n")[2]
    return _HTTP._replace(peers=_named(inflated(body) if body.startswith(_GZIP) else body))


def _asks(request: bytes) -> bool:
    """Whether it is an announce or a scrape: their info_hash is 20 bytes, and its name alone says too little."""
    return request.find(b"info_hash=", 0, _LONGEST_LINE) > 0 and _REQUEST.match(request) is not None


def _named(body: bytes) -> tuple[Endpoint, ...]:
    return ipv4_peers(_string(body, _PEERS)) + ipv6_peers(_string(body, _PEERS6))


def _string(body: bytes, key: re.Pattern[bytes]) -> bytes:
    """The string that follows the key and its length; of one that is cut, what is there."""
    said = key.search(body)
    return body[said.end() : said.end() + int(said[1])] if said else b""


DETECTORS: tuple[Detector, ...] = (
    Detector("bittorrent-tracker", Transport.UDP, b"\0", _udp),
    Detector("bittorrent-http-tracker", Transport.TCP, b"G", _http_request),
    Detector("bittorrent-http-tracker", Transport.TCP, b"H", _http_answer),
)
