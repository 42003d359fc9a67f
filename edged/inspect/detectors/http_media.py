"""Audio and video over HTTP/1: by what is asked for, by the response's media type, or by how its body begins.

Only what names media alone counts on the request's word: playlists of HLS (RFC 8216), manifests and segments of DASH (ISO/IEC
23009-1) and CMAF (ISO/IEC 23000-19), of Smooth Streaming (MS-SSTR) and of HDS. `.mp4`, `.ts` or `.mp3` wait for the response.
"""

from __future__ import annotations

import re

from edged.inspect.names.http import Response, response_head
from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.ruleset.nodes import Transport

_REQUEST = re.compile(
    rb"GET (?:"
    rb"[^ ?#\r\n]{1,2048}\.(?:m3u8|mpd|m4s|cmf[vat]|f4m)"
    rb"|[^ ?#\r\n]{1,2048}/init[^/ ?#\r\n]{0,64}\.mp4"  # the segment that begins a representation, as packagers name it
    rb"|[^ ?#\r\n]{1,2048}\.isml?/(?:manifest|QualityLevels\()[^ ?#\r\n]*"
    rb")[ ?;#]",
    re.IGNORECASE,
)
_MEDIA = ("audio/", "video/")
_MEDIA_TYPES = frozenset(
    (
        *("application/vnd.apple.mpegurl", "application/x-mpegurl", "application/mpegurl"),  # HLS: RFC 8216 section 4
        *("application/dash+xml", "application/vnd.ms-sstr+xml", "application/f4m+xml"),
        *("application/mp4", "application/ogg", "application/vnd.rn-realmedia", "application/x-mms-framed"),
        *(
            "application/x-fcs",
            "application/x-rtsp-tunnelled",
            "application/vnd.yt-ump",
        ),  # RTMP and RTSP tunnelled, and YouTube's own
    )
)
_PLAYLISTS = (b"#EXTM3U", b"<MPD ", b'<?xml version="1.0" encoding="UTF-8"?>\n<MPD ')
_SEGMENTS = (b"styp", b"sidx", b"moof")  # boxes that begin a media segment (ISO/IEC 14496-12); ftyp begins pictures too
_BODY = 64  # bytes of it that are looked at
_STATUS = b"HTTP/1."
_END = b"\r\n\r\n"
_FOUND = Found("http-media", TrafficClass.STREAMING)


def _request(sight: Sight) -> Found | None:
    return _FOUND if _REQUEST.match(sight.payload, sight.fresh) or _REQUEST.match(sight.payload) else None


def _response(sight: Sight) -> Found | None:
    """The response that begins with this packet, or the connection's first, while its head or its body's beginning comes in."""
    payload, fresh = sight.payload, sight.fresh
    if fresh and payload.startswith(_STATUS, fresh):
        return _FOUND if _is_media(payload[fresh:]) else None
    came_before = payload.find(_END, 0, max(fresh - _BODY, 0)) >= 0
    return None if came_before else (_FOUND if _is_media(payload) else None)


def _is_media(message: bytes) -> bool:
    head = response_head(message)
    if not isinstance(head, Response) or head.status not in (200, 206):
        return False
    if head.content_type and (head.content_type.startswith(_MEDIA) or head.content_type in _MEDIA_TYPES):
        return True
    body = message[head.size : head.size + _BODY] if head.size else b""
    return body.startswith(_PLAYLISTS) or body[4:8] in _SEGMENTS


DETECTORS: tuple[Detector, ...] = (
    Detector("http-media", Transport.TCP, b"GHOP", _request),  # where the first request has another method, too
    Detector("http-media", Transport.TCP, b"H", _response),
)
