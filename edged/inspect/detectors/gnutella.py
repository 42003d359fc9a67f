"""Gnutella over TCP: the 0.6 handshake, pushed files, and file transfer, which is HTTP with headers of its own.

Sources: Gnutella 0.6 draft (Klingberg, Manfredi, 2002), sections 2.1, 4.1, 4.2; HUGE 0.94 for /uri-res/N2R.
"""

from __future__ import annotations

import re

from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_HANDSHAKE = re.compile(rb"GNUTELLA(?: CONNECT/0\.\d|/0\.\d \d{3} | OK\n)")
_PUSHED = re.compile(rb"GIV \d{1,10}:[0-9A-Fa-f]{32}/")
_BY_HASH = re.compile(rb"GET /uri-res/N2[RX]\?urn:(?:sha1|bitprint):[A-Z2-7]{32}", re.IGNORECASE)
_BY_INDEX = re.compile(rb"GET /get/\d{1,10}/[^\r\n]{1,512} HTTP/1\.\d\r\n")
_OWN_HEADER = re.compile(rb"\r\nX-(?:Gnutella-|NAlt: |FAlt: |FW-Node-Info: )", re.IGNORECASE)
_HEADER = re.compile(rb"\r\nX-(?:Gnutella-|NAlt: |FAlt: |FW-Node-Info: |Queue: )", re.IGNORECASE)  # others queue as well
_LONGEST_HEAD = 4096

_FOUND = Found("gnutella", TrafficClass.P2P)


def _request(sight: Sight) -> Found | None:
    payload = sight.payload
    start = payload[:9]
    if start in (b"GNUTELLA ", b"GNUTELLA/"):
        return _FOUND if _HANDSHAKE.match(payload) else None
    if start == b"GET /uri-":
        return _FOUND if _BY_HASH.match(payload) else None
    if start == b"GET /get/":
        return _FOUND if _BY_INDEX.match(payload) and _has(_HEADER, payload) else None
    return _FOUND if start.startswith(b"GIV ") and _PUSHED.match(payload) else None


def _answer(sight: Sight) -> Found | None:
    payload = sight.payload
    if sight.fresh >= _LONGEST_HEAD or not payload.startswith(b"HTTP/1."):
        return None
    return _FOUND if _has(_OWN_HEADER, payload) else None


def _has(header: re.Pattern[bytes], payload: bytes) -> bool:
    end = payload.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
    head = payload[: end if end >= 0 else _LONGEST_HEAD]
    return b"\r\nX-" in head and header.search(head) is not None


DETECTORS: tuple[Detector, ...] = (
    Detector("gnutella", Transport.TCP, b"G", _request),
    Detector("gnutella", Transport.TCP, b"H", _answer),
)
