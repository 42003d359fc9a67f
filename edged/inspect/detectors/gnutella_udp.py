"""Gnutella and Gnutella2 over UDP.

- A Gnutella message (0.6 draft, section 2.2.1) is a header whose length field takes in the whole datagram, so 32 bits tell it
  from chance; each type's payload is looked at besides.
- The semi-reliable layer (G2 UDP transceiver, and its twin for Gnutella) has a tag and a fragment's place.

Types and layouts beyond the draft: GGEP 0.51; vendor messages (LIME/11, LIME/12: out-of-band hits); "Gnutella UDP Traffic
Compression" (2006); RUDP 1.03; the Mojito DHT's message format; G2 packet structure.
"""

from __future__ import annotations

from edged.inspect.detectors.ggep import is_ggep
from edged.inspect.detectors.inflate import inflated
from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_HEADER = 23
_PING, _PONG, _VENDOR, _STANDARD, _PUSH, _RUDP, _DHT, _QUERY, _HIT = 0, 1, 0x31, 0x32, 0x40, 0x41, 0x44, 0x80, 0x81
_TYPES = frozenset((_PING, _PONG, _VENDOR, _STANDARD, _PUSH, _RUDP, _DHT, _QUERY, _HIT))
_DEFLATED, _INFLATES = 0x80, 0x08  # in the TTL: the payload is compressed; the answer may be
_FARTHEST = 7
_MODERN = 0xFF  # GUID byte 8 of a servent of 0.6
_LEAST_DISTINCT = 6  # values in a GUID; 16 bytes of chance have fewer once in 10^17

_FRAGMENT = 8  # tag, flags, sequence, part, count
_ZLIB, _UNKNOWN, _EXTENDED = 0x01, 0x0C, 0x20  # who does not know a flag of the lower four discards the datagram

_FOUND = Found("gnutella", TrafficClass.P2P)
_FOUND2 = Found("gnutella2", TrafficClass.P2P)


def _message(sight: Sight) -> Found | None:
    payload = sight.payload
    size = len(payload) - _HEADER
    if size < 0 or payload[19] != size & 0xFF or payload[16] not in _TYPES:
        return None
    if int.from_bytes(payload[19:23], "little") != size:
        return None
    kind = payload[16]
    if kind == _RUDP:
        return _FOUND if _is_rudp(payload, size) else None
    if len(set(payload[:16])) < _LEAST_DISTINCT:
        return None
    return _FOUND if (_is_dht(payload) if kind == _DHT else _fits(kind, payload)) else None


def _fits(kind: int, payload: bytes) -> bool:
    """Whether TTL, hops and the payload are such as a message of that type has."""
    ttl, hops = payload[17] & ~_DEFLATED, payload[18]
    if hops > _FARTHEST or (ttl & ~_INFLATES) + hops > _FARTHEST:
        return False
    body = payload[_HEADER:]
    if payload[17] & _DEFLATED:
        body = inflated(body)
        if not body:
            return False
    if kind == _PING:
        return is_ggep(body) if body else payload[8] == _MODERN
    if kind == _PONG:  # port, address, files, kilobytes
        return len(body) == 14 or (len(body) > 14 and is_ggep(body[14:]))
    if kind == _QUERY:
        return _is_search(body)
    if kind == _HIT:  # number of hits, port, address, speed, results, identifier
        return len(body) >= 11 + 10 + 16 and body[0] > 0
    if kind == _PUSH:  # identifier, file index, address, port
        return len(body) == 26 or (len(body) > 26 and is_ggep(body[26:]))
    return _is_vendor_message(body)


def _is_search(body: bytes) -> bool:
    """Flags, and a string that NUL ends; an empty one is a search for hashes or for all, and extensions follow it."""
    end = body.find(b"\0", 2)
    if end < 0:
        return False
    text = body[2:end]
    return min(text) >= 0x20 if text else len(body) > end + 4


def _is_vendor_message(body: bytes) -> bool:
    """Vendor code, selector, version; the standard's own messages have no code."""
    if len(body) < 8:
        return False
    vendor, selector, version = body[:4], int.from_bytes(body[4:6], "little"), int.from_bytes(body[6:8], "little")
    return (vendor == bytes(4) or (vendor.isalnum() and vendor.isupper())) and selector <= 0x100 and version <= 0x10


def _is_dht(payload: bytes) -> bool:
    """Mojito: version where TTL and hops are, then opcode, vendor, its version, a node's identifier and address."""
    if len(payload) < _HEADER + 34 or payload[17] > 1 or payload[18] > 9:
        return False
    return 1 <= payload[23] <= 10 and payload[24:28].isalnum() and payload[50] in (4, 16)


def _is_rudp(payload: bytes, size: int) -> bool:
    """Its own header is in the GUID's place; all but DATA carry nothing behind the Gnutella header."""
    opcode = payload[1] >> 4
    return payload[17] == 1 and payload[18] == 0 and (opcode == 3 if size else opcode in (0, 1, 2, 4))


def _transceiver(sight: Sight) -> Found | None:
    payload = sight.payload
    found = _FOUND2 if payload.startswith(b"GND") else _FOUND if payload.startswith(b"GTA") else None
    if found is None or len(payload) < _FRAGMENT:
        return None
    flags, part, count = payload[3], payload[6], payload[7]
    if count == 0:  # an acknowledgement; extended by four bytes where its flag says so
        return found if part and len(payload) == _FRAGMENT + (4 if flags & _EXTENDED else 0) else None
    if not 0 < part <= count or flags & _UNKNOWN or len(payload) == _FRAGMENT:
        return None
    if part > 1:
        return found
    if flags & _ZLIB:
        return found if payload[8] == 0x78 and int.from_bytes(payload[8:10], "big") % 31 == 0 else None  # RFC 1950 section 2.2
    return found if (_is_g2(payload) if found is _FOUND2 else len(payload) >= _FRAGMENT + _HEADER) else None


def _is_g2(payload: bytes) -> bool:
    """Control byte (bytes of length, of the name, flags), length, name."""
    control = payload[_FRAGMENT]
    at = _FRAGMENT + 1 + (control >> 6)
    name = payload[at : at + (control >> 3 & 7) + 1]
    return name.isalnum() and name.isupper()


DETECTORS: tuple[Detector, ...] = (
    Detector("gnutella", Transport.UDP, b"", _message),
    Detector("gnutella2", Transport.UDP, b"G", _transceiver),
)
