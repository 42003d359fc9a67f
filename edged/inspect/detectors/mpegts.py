"""MPEG transport streams over UDP, bare or in RTP: ISO/IEC 13818-1 section 2.4.3.2, RFC 2250 section 2, RFC 3550 section 5.1."""

from __future__ import annotations

from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_PACKET = 188
_LEAST_PACKETS = 2  # the sign of a single one is too weak
_SYNC = 0x47
_TRANSPORT_ERROR, _CONTROL = 0x80, 0x30
_RTP_HEADER = 12
_FOUND = Found("mpeg-ts", TrafficClass.STREAMING)


def _bare(sight: Sight) -> Found | None:
    return _FOUND if _is_stream(sight.payload, 0) else None


def _in_rtp(sight: Sight) -> Found | None:
    payload = sight.payload
    if len(payload) < _RTP_HEADER:
        return None
    at = _RTP_HEADER + 4 * (payload[0] & 0x0F)
    if payload[0] & 0x10:
        at += 4 + 4 * int.from_bytes(payload[at + 2 : at + 4], "big")
    return _FOUND if _is_stream(payload, at) else None


def _is_stream(payload: bytes, at: int) -> bool:
    """Whether from there to the end all is transport packets without an error, each with an adaptation field or a payload."""
    count, rest = divmod(len(payload) - at, _PACKET)
    if rest or count < _LEAST_PACKETS:
        return False
    return all(
        payload[place] == _SYNC and not payload[place + 1] & _TRANSPORT_ERROR and payload[place + 3] & _CONTROL
        for place in range(at, len(payload), _PACKET)
    )


DETECTORS: tuple[Detector, ...] = (
    Detector("mpeg-ts", Transport.UDP, bytes((_SYNC,)), _bare),
    Detector("mpeg-ts", Transport.UDP, bytes(range(0x80, 0xC0)), _in_rtp),  # RTP version 2
)
