"""The host name in a TLS ClientHello: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from edged.inspect.names.answers import LONGEST, NEED_MORE, Hello, NeedMore
from edged.inspect.names.host import host_of

_RECORD_BEGINS = b"\x16\x03"  # a handshake record, of SSL 3.0 or any TLS
_LATEST_MINOR = b"\x04"
_LONGEST_RECORD = 1 << 14
_CLIENT_HELLO = b"\x01"
_LEAST_HELLO = 41  # version, random, an empty session id, one cipher suite, one compression method
_EXTENSION = Struct("!HH")  # its type, and the length of what follows
_new = tuple.__new__  # the constructor of a NamedTuple is written in Python and takes twice as long
_SERVER_NAME, _ENCRYPTED_CLIENT_HELLO = 0, 0xFE0D


@dataclass(frozen=True, slots=True)
class NotTls:
    """What came is not the beginning of a TLS client's stream, or of none that a server would answer."""


NOT_TLS = NotTls()


def opening(stream: bytes) -> Hello | NeedMore | NotTls:
    """The ClientHello that a TCP direction's bytes begin with, which may be spread over records.

    `stream` is in order, without a hole and from the first byte on. A ClientHello of more than LONGEST bytes is not TLS.
    """
    size = len(stream)
    if size >= 9 and stream.startswith(_RECORD_BEGINS) and stream[2:3] <= _LATEST_MINOR:
        length = stream[3] << 8 | stream[4]
        first = stream[5 : 5 + length]
        if length <= _LONGEST_RECORD and _wanted(first) <= len(first):  # so it is nearly always
            return client_hello(first)
    handshake = bytearray()
    at = 0
    while at < size and len(handshake) < _wanted(handshake):
        head = stream[at : at + 5]
        if not head.startswith(_RECORD_BEGINS[: len(head)]) or head[2:3] > _LATEST_MINOR:
            return NOT_TLS
        if len(head) < 5:
            break
        length = head[3] << 8 | head[4]
        if not 0 < length <= _LONGEST_RECORD:  # RFC 8446 section 5.1: no handshake record is empty
            return NOT_TLS
        handshake += stream[at + 5 : at + 5 + length]
        at += 5 + length
    return client_hello(bytes(handshake))


def _wanted(handshake: bytes | bytearray) -> int:
    """How many bytes the message has with its header, as far as is known."""
    return min(4 + int.from_bytes(handshake[1:4], "big"), LONGEST) if len(handshake) >= 4 else 4


def client_hello(handshake: bytes) -> Hello | NeedMore | NotTls:
    """The ClientHello that handshake bytes begin with: those of TLS records joined, or of QUIC CRYPTO frames."""
    if not _CLIENT_HELLO.startswith(handshake[:1]):
        return NOT_TLS
    if len(handshake) < 4:
        return NEED_MORE
    size = int.from_bytes(handshake[1:4], "big")
    if not _LEAST_HELLO <= size <= LONGEST - 4:
        return NOT_TLS
    if len(handshake) < 4 + size:
        return NEED_MORE
    body = handshake[4 : 4 + size]
    if body[0] != 3:
        return NOT_TLS
    at = 35 + body[34]  # behind the session id
    at = _behind(body, at, 2)  # cipher suites
    at = _behind(body, at, 1)  # compression methods
    if at == size:
        return Hello(None, has_ech=False)  # RFC 5246 section 7.4.1.2: a hello may end here
    return _by_extensions(body, at + 2) if _behind(body, at, 2) == size else NOT_TLS


def _behind(body: bytes, at: int, width: int) -> int:
    """The place behind a vector whose length takes `width` bytes; beyond the end of `body` where the vector is cut."""
    return at + width + int.from_bytes(body[at : at + width], "big")


def _by_extensions(body: bytes, at: int) -> Hello | NotTls:
    """What the extensions tell, which begin there and go to the end."""
    size, unpack = len(body), _EXTENSION.unpack_from
    name: str | None = None
    names, has_ech = 0, False
    while size - at >= 4:
        extension, length = unpack(body, at)
        value = at + 4
        at = value + length
        if extension == _SERVER_NAME:
            name, names = _server_name(body[value:at]), names + 1
        elif extension == _ENCRYPTED_CLIENT_HELLO:
            has_ech = True
    if at != size:
        return NOT_TLS
    # RFC 8446 section 4.2 allows one of each; which of two a server takes, nobody can tell
    return _new(Hello, (name if names == 1 else None, has_ech))


def _server_name(value: bytes) -> str | None:
    """The host name of a list that holds one name, and that of type host_name; some clients (quic-go) let a port stand in it."""
    is_one = int.from_bytes(value[:2], "big") == len(value) - 2 and value[2:3] == b"\0" and _behind(value, 3, 2) == len(value)
    return host_of(value[5:]) if is_one else None
