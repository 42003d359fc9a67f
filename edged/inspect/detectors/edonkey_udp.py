"""eDonkey and eMule over UDP: questions to servers, and clients that ask how far up a queue they are.

Source: The eMule Protocol Specification (Kulbak, Bickson, 2005), section 6; the challenges are eMule's and aMule's.
"""

from __future__ import annotations

from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_STATUS, _STATUS_ANSWER = b"\xe3\x96", b"\xe3\x97"
_DESCRIPTION, _DESCRIPTION_ANSWER = b"\xe3\xa2", b"\xe3\xa3"
_CHALLENGED = 6  # protocol, opcode, challenge
_STATUS_MARK = b"\xaa\x55"  # the upper half of a status question's challenge
_DESCRIPTION_MARK = b"\xff\xf0"  # the lower half of a description's: no name is that long

_REASK, _REASKED = b"\xc5\x90", b"\xc5\x91"
_NO_ANSWERS = (b"\xc5\x92", b"\xc5\x93")  # no such file; the queue is full

_FOUND = Found("edonkey", TrafficClass.P2P)


def _edonkey(sight: Sight) -> Found | None:
    payload, other, start = sight.payload, sight.other, sight.payload[:2]
    if start == _STATUS:
        return _FOUND if len(payload) == _CHALLENGED and payload[4:6] == _STATUS_MARK else None
    if start == _DESCRIPTION:
        return _FOUND if len(payload) == _CHALLENGED and payload[2:4] == _DESCRIPTION_MARK else None
    if start in (_STATUS_ANSWER, _DESCRIPTION_ANSWER):
        asked = _STATUS if start == _STATUS_ANSWER else _DESCRIPTION
        return _FOUND if len(other) == _CHALLENGED and other[:2] == asked and other[2:] == payload[2:6] else None
    if start == _REASKED or payload in _NO_ANSWERS:
        return _FOUND if other[:2] == _REASK and len(other) >= 18 and len(payload) <= 32 else None
    return None


DETECTORS: tuple[Detector, ...] = (Detector("edonkey", Transport.UDP, b"\xe3\xc5", _edonkey),)
