"""BitTorrent trackers: over UDP (BEP 15) and over HTTP (BEP 3, BEP 23), and the peers in their answers."""

from __future__ import annotations

import re
import zlib

from edged.inspect.detectors.compact import ipv4_peers, ipv6_peers
from edged.inspect.sight import Detector, Endpoint, Found, Sight, TrafficClass
from edged.ruleset.nodes import Transport

_CONNECT_MAGIC = bytes.fromhex("00000417 27101980")
_CONNECT, _ANNOUNCE = bytes(4), b"\0\0\0\1"
_CONNECTION, _ANNOUNCE_REQUEST, _ANNOUNCE_ANSWER = 16, 98, 20  # bytes, of the last two at least

_REQUEST = re.compile(rb"GET [^ \r\n]{0,1024}?[?&]info_hash=((?:%[0-9A-Fa-f]{2}|[^%& \r\n]){20})[& ]")
_PEERS = re.compile(rb"5:peers(\d{1,5}):")
_PEERS6 = re.compile(rb"6:peers6(\d{1,5}):")
_GZIP, _GZIP_WINDOW = b"\x1f\x8b", 31
_LONGEST_BODY = 16_384
_LONGEST_LINE = 1400

_UDP = Found("bittorrent-tracker", TrafficClass.P2P, names_more=True)
_HTTP = Found("bittorrent-http-tracker", TrafficClass.P2P, names_more=True)


def _udp(sight: Sight) -> Found | None:
    payload, other = sight.payload, sight.other
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
    peers = ipv6_peers(packed) if sight.source.is_ipv6 else ipv4_peers(packed)
    return Found("bittorrent-tracker", TrafficClass.P2P, peers, names_more=True)


def _http_request(sight: Sight) -> Found | None:
    return _HTTP if _asks(sight.payload) else None


def _http_answer(sight: Sight) -> Found | None:
    if not sight.payload.startswith(b"HTTP/1.") or not _asks(sight.other):
        return None
    head, _, body = sight.payload.partition(b"\r\n\r\n")
    if body.startswith(_GZIP):
        body = _inflated(body)
    return Found("bittorrent-http-tracker", TrafficClass.P2P, _named(body), names_more=True) if head and body else _HTTP


def _asks(request: bytes) -> bool:
    """Whether it is an announce or a scrape: their info_hash is 20 bytes, and its name alone says too little."""
    return request.find(b"info_hash=", 0, _LONGEST_LINE) > 0 and _REQUEST.match(request) is not None


def _inflated(body: bytes) -> bytes:
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(body, _LONGEST_BODY)
    except zlib.error:
        return b""


def _named(body: bytes) -> tuple[Endpoint, ...]:
    peers, peers6 = _PEERS.search(body), _PEERS6.search(body)
    return (ipv4_peers(body[peers.end() : peers.end() + int(peers[1])]) if peers else ()) + (
        ipv6_peers(body[peers6.end() : peers6.end() + int(peers6[1])]) if peers6 else ()
    )


DETECTORS: tuple[Detector, ...] = (
    Detector("bittorrent-tracker", Transport.UDP, b"\0", _udp),
    Detector("bittorrent-http-tracker", Transport.TCP, b"G", _http_request),
    Detector("bittorrent-http-tracker", Transport.TCP, b"H", _http_answer),
)
