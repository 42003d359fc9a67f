"""RTSP requests and responses (RFC 2326 section 6 and 7, RFC 7826 section 7 and 8), over TCP or UDP."""

from __future__ import annotations

import re

from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_METHODS = rb"DESCRIBE|ANNOUNCE|GET_PARAMETER|OPTIONS|PAUSE|PLAY_NOTIFY|PLAY|RECORD|REDIRECT|SETUP|SET_PARAMETER|TEARDOWN"
# The scheme decides where a segment ends within the URI; OPTIONS * has none, and the version decides
_REQUEST = re.compile(rb"(?:%b) (?:rtsp[us]?://|\S{1,2048} RTSP/[12]\.0\r\n)" % _METHODS)
_RESPONSE = re.compile(rb"RTSP/[12]\.0 [1-5][0-9]{2} ")
_FIRST = b"DAGOPRST"
_FOUND = Found("rtsp", TrafficClass.STREAMING)


def _rtsp(sight: Sight) -> Found | None:
    return _FOUND if _REQUEST.match(sight.payload) or _RESPONSE.match(sight.payload) else None


DETECTORS: tuple[Detector, ...] = tuple(Detector("rtsp", transport, _FIRST, _rtsp) for transport in Transport)
