"""Winny: each end begins with two bytes of chance and its RC4 key, and encrypts what it says next with that key.

The first thing said is always the block `01 00 00 00 61`: length 1, command 0x61. Two independent descriptions agree on this
(binzume.net/library/winny03.html; arufa.wordpress.com, August 2008). No capture of it was at hand. Winnyp derives its key in
another way, and is not recognised.
"""

from __future__ import annotations

from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_KEY = slice(2, 6)
_FIRST = slice(6, 11)
_GREETING = b"\x01\0\0\0\x61"
_TLS = (b"\x16\x03", b"\x17\x03")

_FOUND = Found("winny", TrafficClass.P2P)


def _winny(sight: Sight) -> Found | None:
    payload = sight.payload
    # The greeting is tried once a direction, when its eleventh byte comes: key scheduling costs more than all else here.
    if sight.fresh >= _FIRST.stop or len(payload) < _FIRST.stop:
        return None
    opening = payload[: _FIRST.stop]
    # Text, TLS and binary protocols' padding: chance looks like that to one key in two thousand.
    if opening.startswith(_TLS) or b"\0\0" in opening or opening.isascii():
        return None
    return _FOUND if rc4(payload[_KEY], payload[_FIRST]) == _GREETING else None


def rc4(key: bytes, data: bytes) -> bytes:
    """`data` encrypted, or decrypted, with the first bytes of the key's stream."""
    state = list(range(256))
    stretched = key * (256 // len(key) + 1)
    j = 0
    for i, byte in enumerate(stretched[:256]):
        swapped = state[i]
        j = (j + swapped + byte) & 0xFF
        state[i] = state[j]
        state[j] = swapped
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) & 0xFF
        swapped = state[i]
        j = (j + swapped) & 0xFF
        state[i] = state[j]
        state[j] = swapped
        out.append(byte ^ state[(state[i] + swapped) & 0xFF])
    return bytes(out)


DETECTORS: tuple[Detector, ...] = (Detector("winny", Transport.TCP, b"", _winny),)
