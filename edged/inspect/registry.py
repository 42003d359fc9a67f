"""All detectors, by transport and by the first byte of what they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edged.inspect.detectors import (
    bittorrent,
    dht,
    edonkey,
    edonkey_udp,
    gnutella,
    gnutella_udp,
    http_media,
    icecast,
    kad,
    mpegts,
    rtmp,
    rtsp,
    spotify,
    tracker,
    utp,
    winny,
)
from edged.inspect.sight import Detector, Found, Sight
from edged.transport import Transport

# The first that recognises its protocol decides, so peer-to-peer goes first: a peer too sends audio by HTTP
DETECTORS: tuple[Detector, ...] = (
    *bittorrent.DETECTORS,
    *tracker.DETECTORS,
    *dht.DETECTORS,
    *gnutella.DETECTORS,
    *gnutella_udp.DETECTORS,
    *edonkey.DETECTORS,
    *edonkey_udp.DETECTORS,
    *kad.DETECTORS,
    *utp.DETECTORS,
    *winny.DETECTORS,
    *rtmp.DETECTORS,
    *rtsp.DETECTORS,
    *mpegts.DETECTORS,
    *spotify.DETECTORS,
    *icecast.DETECTORS,
    *http_media.DETECTORS,
)

Detect = Callable[[Sight], Found | None]
ByFirstByte = tuple[tuple[Detect, ...], ...]


def by_first_byte(transport: Transport, detectors: Iterable[Detector] = DETECTORS) -> ByFirstByte:
    """For each of the 256 bytes, what may recognise a payload that begins with it, in the order of the detectors."""
    of_transport = [each for each in detectors if each.transport is transport]
    return tuple(
        tuple(each.detect for each in of_transport if not each.first_bytes or byte in each.first_bytes) for byte in range(256)
    )
