"""What BitTorrent's Message Stream Encryption leaves to see.

It has no fixed bytes: each end sends 96 bytes of a Diffie-Hellman key and up to 512 of padding, all of them like chance, and the
first end then waits for the other's. That alone says nothing of the protocol, so this is no detector: it says whether a flow to
an endpoint at which a peer is known to listen may be such a one. Source: Message Stream Encryption (Vuze wiki, 2006).
"""

from __future__ import annotations

from edged.inspect.sight import Sight

_KEY, _MOST_PADDING = 96, 512
_LEAST_DISTINCT = 64  # values among 96 bytes; by chance there are 80, and fewer than 64 about once in a million
_RECORD = (b"\x14\x03", b"\x15\x03", b"\x16\x03", b"\x17\x03")  # TLS, whose hello is random too


def may_be_mse(sight: Sight) -> bool:
    """Whether what has come of a TCP flow may be the first message of an encrypted handshake."""
    payload = sight.payload
    if sight.other or not _KEY <= len(payload) <= _KEY + _MOST_PADDING:
        return False
    return not payload.startswith(_RECORD) and len(set(payload[:_KEY])) >= _LEAST_DISTINCT
