"""RTMP: the handshake (Adobe's RTMP specification 1.0, section 5.2), by C0 and C1, or by S0, S1 and S2."""

from __future__ import annotations

from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_VERSION = b"\3"
_OPENING = 1537  # C0 is a byte, C1 is 1536; S0 and S1 alike
_ANSWER = 3073  # with S2
_ZERO = bytes(4)
_FOUND = Found("rtmp", TrafficClass.STREAMING)


def _rtmp(sight: Sight) -> Found | None:
    """C1 holds zeros behind its time, or a player's version; in the second case lengths and the answer must speak for it."""
    payload = sight.payload
    if len(payload) < _OPENING or _is_tpkt(payload):
        return None
    answered = sight.other[:1] == _VERSION
    return _FOUND if len(payload) in (_OPENING, _ANSWER) or answered or payload[5:9] == _ZERO else None


def _is_tpkt(payload: bytes) -> bool:
    """Whether a packet of RFC 1006, which begins with the same byte, comes first: RDP, H.323 and S7 do so.

    Another packet follows it, or TLS, to which RDP changes once it is agreed on.
    """
    length = payload[2] << 8 | payload[3]
    return not payload[1] and 7 <= length <= len(payload) and payload[length : length + 1] in (b"", _VERSION, b"\x16")


DETECTORS: tuple[Detector, ...] = (Detector("rtmp", Transport.TCP, _VERSION, _rtmp),)
