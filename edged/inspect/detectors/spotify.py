"""Spotify's own protocol over TCP: the client's first message, as described in librespot's docs/connection.md.

`00 04`, the length of the whole message in four bytes, then a protobuf message ClientHello. Its fields have the numbers 10, 20
and so on to 80, so the tags alone tell it: the first is 10, the build of the client, and 50, the key exchange, must be there.
"""

from __future__ import annotations

from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_PREFIX = b"\0\4"
_HEADER = 6
_SHORTEST, _LONGEST = 100, 4096  # a Diffie-Hellman key alone is 96 bytes
_VARINT, _BYTES = 0, 2
_BUILD_INFO, _KEY_EXCHANGE, _LAST = 10, 50, 80
_MOST_FIELDS = 32
_FOUND = Found("spotify", TrafficClass.STREAMING)


def _spotify(sight: Sight) -> Found | None:
    payload = sight.payload
    if not payload.startswith(_PREFIX) or len(payload) < _HEADER:
        return None
    size = int.from_bytes(payload[2:_HEADER], "big")
    if not _SHORTEST <= size <= min(_LONGEST, len(payload)):
        return None
    fields = _fields(payload[:size])
    return _FOUND if fields[:1] == [_BUILD_INFO] and _KEY_EXCHANGE in fields else None


def _fields(message: bytes) -> list[int]:
    """The numbers of the message's fields; empty where it is not whole, or has others than a ClientHello."""
    at, size = _HEADER, len(message)
    numbers: list[int] = []
    while at < size and len(numbers) < _MOST_FIELDS:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if number % 10 or not _BUILD_INFO <= number <= _LAST or kind not in (_VARINT, _BYTES):
            return []
        value, at = _varint(message, at)
        if kind == _BYTES:
            at += value
        numbers.append(number)
    return numbers if at == size else []


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that stands there, of four bytes at most, and the place behind it."""
    value = shift = 0
    for byte in message[at : at + 4]:
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if not byte & 0x80:
            return value, at
    return value, len(message) + 1


DETECTORS: tuple[Detector, ...] = (Detector("spotify", Transport.TCP, _PREFIX[:1], _spotify),)
