"""Audio and video over HTTP/1: by what is asked for, by the response's media type, or by how its body begins.

What names media alone counts on the request's word: playlists of HLS (RFC 8216), manifests and segments of DASH (ISO/IEC
23009-1) and CMAF (ISO/IEC 23000-19), of Smooth Streaming (MS-SSTR) and of HDS, and films. `.ts`, which is TypeScript too, and
sounds, which pages play at a click, wait for the response.
"""

from __future__ import annotations

import re

from edged.inspect.names.http import Response, response_head
from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_REQUEST = re.compile(
    rb"GET (?:"
    rb"[^ ?#\r\n]{1,2048}\.(?:m3u8|mpd|m4s|cmf[vat]|f4m|mp4|m4v|webm|mkv|flv)[ ?;#]"
    rb"|[^ ?#\r\n]{1,2048}\.isml?/(?:manifest|QualityLevels\()"
    rb")",
    re.IGNORECASE,
)
_MEDIA = ("audio/", "video/")
_MEDIA_TYPES = frozenset(
    (
        *("application/vnd.apple.mpegurl", "application/x-mpegurl", "application/mpegurl"),  # HLS: RFC 8216 section 4
        *("application/dash+xml", "application/vnd.ms-sstr+xml", "application/f4m+xml"),
        *("application/mp4", "application/ogg", "application/vnd.rn-realmedia", "application/x-mms-framed"),
        *("application/x-fcs", "application/x-rtsp-tunnelled"),  # RTMP and RTSP in tunnels
        "application/vnd.yt-ump",  # YouTube's own
    )
)
# How playlists, manifests and segments (boxes of ISO/IEC 14496-12) begin, whose type often says nothing. A whole film may be a
# download: there the type must say it.
_BEGINS = re.compile(rb"#EXTM3U|(?:<\?xml [^>]{1,80}\?>\s{0,4})?<MPD[ >]|.{4}(?:styp|sidx|moof)", re.DOTALL)
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,8}[^\r\n]{0,64}\r\n")  # RFC 9112 section 7.1: the size in front of a chunk
_BODY = 160  # bytes of it that are looked at
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
    if _BEGINS.match(body):
        return True
    chunk = _CHUNK.match(body)
    return chunk is not None and _BEGINS.match(body, chunk.end()) is not None


DETECTORS: tuple[Detector, ...] = (
    Detector("http-media", Transport.TCP, b"GHOP", _request),  # where the first request has another method, too
    Detector("http-media", Transport.TCP, b"H", _response),
)
