"""The host name in Google's QUIC before TLS, of the versions that send it in clear: Q024 to Q039, and Q043.

The format is that of Google's "QUIC Wire Layout Specification" and "QUIC Crypto", of 2016. Chromium's quic_versions.h tells where
versions differ: up to Q033 a byte of private flags stands in front of the frames, and from Q039 on integers are in network byte
order, but in the crypto handshake.
"""

from __future__ import annotations

from struct import Struct
from typing import Literal

from edged.inspect.names.answers import NEED_MORE, Hello, NeedMore
from edged.inspect.names.host import host_name

VERSIONS = frozenset(b"Q%03d" % number for number in (*range(24, 40), 43))

_VERSION_AT = 9
# Public flags. 0x04 asks for no more than an 8-byte connection id, as 0x08 does; clients used to set both.
_CHECKED_FLAGS, _FLAGS = 0xCB, 0x09
_NUMBER_BYTES = (1, 2, 4, 6)
_HASH = 12
_LAST_WITH_PRIVATE_FLAGS, _FIRST_IN_NETWORK_ORDER = b"Q033", b"Q039"
_PING, _STREAM = 7, 0x80
_HANDSHAKE_STREAM = 1
_MOST_ENTRIES = 128  # kMaxEntries in Chromium's net/quic
_MESSAGE = Struct("<4sHH")
_ENTRY = Struct("<4sI")


def is_client_packet(datagram: bytes) -> bool:
    """Whether this looks like a client's packet of these versions, from before the version is agreed on."""
    is_long_enough = len(datagram) > _VERSION_AT + 4
    return is_long_enough and datagram[0] & _CHECKED_FLAGS == _FLAGS and datagram[_VERSION_AT : _VERSION_AT + 4] in VERSIONS


def chlo(datagram: bytes) -> Hello | NeedMore:
    """The handshake's opening in a packet for which `is_client_packet` holds; NeedMore where it holds none that is whole."""
    version = datagram[_VERSION_AT : _VERSION_AT + 4]
    at = _VERSION_AT + 4 + _NUMBER_BYTES[datagram[0] >> 4 & 3] + _HASH + (version <= _LAST_WITH_PRIVATE_FLAGS)
    while at < len(datagram) and datagram[at] == _PING:
        at += 1
    message = _handshake_bytes(datagram, at, "big" if version >= _FIRST_IN_NETWORK_ORDER else "little")
    return NEED_MORE if message is None else _message(message)


def _handshake_bytes(datagram: bytes, at: int, order: Literal["big", "little"]) -> bytes | None:
    """The beginning of the handshake's stream, in a STREAM frame (1fdooossB) that stands there."""
    if at >= len(datagram) or not datagram[at] & _STREAM:
        return None
    kind = datagram[at]
    stream_bytes = (kind & 3) + 1
    offset_bytes = (kind >> 2 & 7) + 1 if kind >> 2 & 7 else 0
    offset_at = at + 1 + stream_bytes
    length_at = offset_at + offset_bytes
    stream = int.from_bytes(datagram[at + 1 : offset_at], order)
    if stream != _HANDSHAKE_STREAM or any(datagram[offset_at:length_at]):
        return None
    if not kind & 0x20:
        return datagram[length_at:]
    end = length_at + 2 + int.from_bytes(datagram[length_at : length_at + 2], order)
    return datagram[length_at + 2 : end]


def _message(message: bytes) -> Hello | NeedMore:
    """The name in a client hello: tags with the ends of their values, then the values."""
    if len(message) < _MESSAGE.size:
        return NEED_MORE
    tag, count, _ = _MESSAGE.unpack_from(message)
    values_at = _MESSAGE.size + count * _ENTRY.size
    if tag != b"CHLO" or count > _MOST_ENTRIES or values_at > len(message):
        return NEED_MORE
    name: str | None = None
    names = begin = 0
    for place in range(_MESSAGE.size, values_at, _ENTRY.size):
        tag, end = _ENTRY.unpack_from(message, place)
        if not begin <= end <= len(message) - values_at:
            return NEED_MORE
        if tag == b"SNI\0":
            name, names = host_name(message[values_at + begin : values_at + end]), names + 1
        begin = end
    return Hello(name if names == 1 else None, has_ech=False)
