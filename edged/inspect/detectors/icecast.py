"""Internet radio as SHOUTcast and Icecast speak it: its own status line, a source's request, and `icy-` fields in HTTP heads.

There is no standard; the fields are those that https://cast.readme.io/docs/icy and Icecast's manual describe.
"""

from __future__ import annotations

import re

from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_STATUS = re.compile(rb"ICY [1-5][0-9]{2} ")
_SOURCE = re.compile(rb"SOURCE \S{1,1024} (?:ICE|HTTP)/1\.[01]\r\n")
# What a player asks with, and what a station answers with
_FIELD = re.compile(rb"\r\n(?:icy-(?:metadata|metaint|name|br|url|pub|genre|notice1)|ice-audio-info) *:", re.IGNORECASE)
_LONGEST_HEAD = 4096
_FOUND = Found("icecast", TrafficClass.STREAMING)


def _own(sight: Sight) -> Found | None:
    return _FOUND if _STATUS.match(sight.payload) or _SOURCE.match(sight.payload) else None


def _over_http(sight: Sight) -> Found | None:
    payload = sight.payload
    end = payload.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
    return _FOUND if _FIELD.search(payload, 0, _LONGEST_HEAD if end < 0 else end) else None


DETECTORS: tuple[Detector, ...] = (
    Detector("icecast", Transport.TCP, b"IS", _own),
    Detector("icecast", Transport.TCP, b"GHP", _over_http),
)
