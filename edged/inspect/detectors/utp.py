"""uTP (BEP 29): a SYN that the other end answers with a STATE.

A single datagram proves nothing: its first byte is one that STUN and other protocols begin with as well. It is enough that a
STATE repeats the SYN's connection and acknowledges its sequence number, and that the extensions of both end where the datagrams
end.
"""

from __future__ import annotations

from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_STATE, _SYN = b"\x21", b"\x41"  # type and version 1
_HEADER = 20
_EXTENSIONS = (1, 2, 3)  # selective acks (BEP 29); extension bits and close reason, which libutp and libtorrent send
_FOUND = Found("bittorrent-utp", TrafficClass.P2P)


def _utp(sight: Sight) -> Found | None:
    state, syn = sight.payload, sight.other
    if syn[:1] != _SYN or state[:1] != _STATE or state[2:4] != syn[2:4] or state[18:20] != syn[16:18]:
        return None
    return _FOUND if _is_bare(syn) and _is_bare(state) else None


def _is_bare(datagram: bytes) -> bool:
    """Whether it is a header and its extensions, without data: neither a SYN nor a STATE has any."""
    size = len(datagram)
    if size < _HEADER:
        return False
    kind, at = datagram[1], _HEADER
    while kind:
        if kind not in _EXTENSIONS or at + 2 > size:
            return False
        kind, at = datagram[at], at + 2 + datagram[at + 1]
    return at == size


DETECTORS: tuple[Detector, ...] = (Detector("bittorrent-utp", Transport.UDP, _STATE, _utp),)
